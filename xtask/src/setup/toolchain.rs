//! The C and C++ compilers: whether they are there, and whether a small program links against libtorch and runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use super::libtorch::{self, Libtorch};
use crate::process;

/// The program of the link check: declares what it uses itself, since libtorch's own headers take half a minute.
const LINK_CHECK: &str = include_str!("link_check.cpp");

/// The linker that keeps `libtorch_cuda` in programs.
const CUDA_LINKER: &str = include_str!("cuda_linker.sh");

/// Fails without a C compiler, which links, and a C++ compiler, which compiles tch's bindings.
pub fn require_compilers(sh: &Shell) -> Result<()> {
    for (variable, default, language) in [("CC", "cc", "C"), ("CXX", "c++", "C++")] {
        let command = compiler(sh, variable, default);
        if command.arg("--version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
            let command = compiler(sh, variable, default);
            let origin = std::env::var_os(variable).map_or(String::new(), |_| format!(" (from {variable})"));
            let hint = install_hint(sh);
            bail!(
                "no {language} compiler: cannot run `{command}`{origin}; tch compiles C++ bindings to libtorch. Install \
                 one: {hint}"
            );
        }
    }
    Ok(())
}

/// Compiles, links and runs a small program against a libtorch directory, as the bindings will be.
pub fn link_check(sh: &Shell, libtorch: &Libtorch, work: &Path) -> Result<()> {
    let (source, program) = (work.join("link_check.cpp"), work.join("link_check"));
    sh.write_file(&source, LINK_CHECK)?;
    let (include, lib) = (libtorch.root.join("include"), libtorch.root.join("lib"));
    let mut command =
        compiler(sh, "CXX", "c++").arg("-std=c++17").arg("-I").arg(include).arg(&source).arg("-L").arg(&lib);
    if libtorch.cuda {
        command = command.args(["-Wl,--no-as-needed", "-ltorch_cuda"]);
    }
    command = command
        .args(["-ltorch_cpu", "-lc10", "-Xlinker", "-rpath", "-Xlinker"])
        .arg(&lib)
        .arg("-o")
        .arg(&program);
    process::capture(command).context("a small C++ program cannot be linked against this libtorch")?;
    let command = sh.cmd(&program).env_remove("LD_LIBRARY_PATH").env_remove("DYLD_LIBRARY_PATH");
    let version = process::capture(command)
        .context("a small program that is linked against this libtorch does not start")?;
    let version = version.trim();
    ensure!(
        version == libtorch::VERSION || libtorch::is_version_check_bypassed(),
        "the headers in {}: expected libtorch {}, got {version}",
        libtorch.root.display(),
        libtorch::VERSION
    );
    Ok(())
}

/// Links an empty `libtorch.so` that leads to the CPU libraries, in place of the one that needs CUDA.
pub fn link_front(sh: &Shell, lib: &Path) -> Result<()> {
    let (source, library) = (lib.join("front.c"), lib.join("libtorch.so"));
    sh.write_file(&source, "")?;
    let command =
        compiler(sh, "CC", "cc").arg("-shared").arg("-o").arg(library).arg(&source).arg("-L").arg(lib);
    let libraries =
        ["-Wl,--no-as-needed", "-ltorch_cpu", "-lc10", "-Wl,-rpath,$ORIGIN", "-Wl,-soname,libtorch.so"];
    process::capture(command.args(libraries))
        .context("cannot link an empty libtorch.so in front of the CPU libraries")?;
    Ok(fs::remove_file(&source)?)
}

/// Writes the linker that a CUDA libtorch needs, and returns the target that it is for and its path.
///
/// Linkers leave out a library of which nothing is called directly, and nothing calls libtorch_cuda: it registers
/// itself when it is loaded. Plain flags cannot keep it, since they would load it into build scripts too.
pub fn write_cuda_linker(sh: &Shell, dir: &Path) -> Result<(String, PathBuf)> {
    let path = dir.join("cuda-linker.sh");
    if fs::read_to_string(&path).ok().as_deref() != Some(CUDA_LINKER) {
        sh.write_file(&path, CUDA_LINKER)?;
    }
    cmd!(sh, "chmod +x {path}").quiet().run()?;
    let output = cmd!(sh, "rustc -vV").read()?;
    let host = output.lines().find_map(|line| line.strip_prefix("host: "));
    Ok((host.context("`rustc -vV` names no host")?.to_string(), path))
}

/// Returns the compiler that a variable names, as `clang++` or `ccache g++`, or the default one.
fn compiler<'a>(sh: &'a Shell, variable: &str, default: &str) -> Cmd<'a> {
    let own = std::env::var(variable).unwrap_or_default();
    let mut words = own.split_whitespace();
    sh.cmd(words.next().unwrap_or(default)).args(words)
}

fn install_hint(sh: &Shell) -> &'static str {
    if cfg!(target_os = "macos") {
        return "xcode-select --install";
    }
    let managers = [
        ("apt-get", "apt-get install g++"),
        ("dnf", "dnf install gcc-c++"),
        ("pacman", "pacman -S gcc"),
        ("zypper", "zypper install gcc-c++"),
    ];
    let found = managers.iter().find(|(program, _)| process::exists(sh, program));
    found.map_or("g++ 9 or newer, or clang++ 9 or newer, from your system's packages", |(_, hint)| hint)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_cuda_linker_adds_the_library_only_to_users_of_libtorch() {
        let dir = tempfile::tempdir().unwrap();
        let sh = Shell::new().unwrap();
        sh.change_dir(dir.path());
        let (host, linker) = write_cuda_linker(&sh, dir.path()).unwrap();
        assert!(host.split('-').count() >= 3);
        // A stand-in for `cc` that prints its arguments.
        sh.write_file("cc", "#!/bin/sh\necho \"$@\"\n").unwrap();
        sh.write_file("long", "-ltorch_cpu\n-lc10\n").unwrap();
        cmd!(sh, "chmod +x cc").run().unwrap();
        sh.set_var("PATH", format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap()));
        for (args, added) in [("a.o -lfoo", ""), ("a.o -ltorch_cpu -lc10", " X"), ("@long", " X")] {
            let linked = sh.cmd(&linker).args(args.split(' ')).read().unwrap();
            assert_eq!(linked, format!("{args}{}", added.replace('X', "-Wl,--no-as-needed -ltorch_cuda")));
        }
    }
}
