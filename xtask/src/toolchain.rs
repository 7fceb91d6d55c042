//! The C and C++ compilers: whether they are there, and whether a small program links against libtorch and runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::libtorch::{self, Libtorch};
use crate::process;

/// The program of the link check: declares what it uses itself, since libtorch's own headers take half a minute.
const LINK_CHECK: &str = include_str!("link_check.cpp");

/// The linker that keeps `libtorch_cuda` in programs.
const CUDA_LINKER: &str = include_str!("cuda_linker.sh");

/// Refuses to begin without a C compiler, which links, and a C++ compiler, which compiles tch's bindings.
pub fn require_compilers() -> Result<()> {
    for (variable, default, language) in [("CC", "cc", "C"), ("CXX", "c++", "C++")] {
        let mut command = compiler(variable, default);
        if process::output(command.arg("--version")).is_err() {
            let origin = std::env::var_os(variable).map_or(String::new(), |_| format!(" (from {variable})"));
            bail!(
                "no {language} compiler: cannot run `{}`{origin}; tch compiles C++ bindings to libtorch. Install one: {}",
                process::describe(&command),
                install_hint()
            );
        }
    }
    Ok(())
}

/// Compiles, links and runs a small program against a libtorch folder, as the bindings will be.
pub fn link_check(libtorch: &Libtorch, work: &Path) -> Result<()> {
    let source = work.join("link_check.cpp");
    let program = work.join("link_check");
    fs::write(&source, LINK_CHECK).with_context(|| format!("cannot write {}", source.display()))?;
    let lib = libtorch.root.join("lib");
    let mut command = compiler("CXX", "c++");
    command.arg("-std=c++17").arg("-I").arg(libtorch.root.join("include")).arg(&source).arg("-L").arg(&lib);
    if libtorch.cuda {
        command.args(["-Wl,--no-as-needed", "-ltorch_cuda"]);
    }
    command
        .args(["-ltorch_cpu", "-lc10", "-Xlinker", "-rpath", "-Xlinker"])
        .arg(&lib)
        .arg("-o")
        .arg(&program);
    process::output(&mut command).context("a small C++ program cannot be linked against this libtorch")?;

    let mut command = Command::new(&program);
    command.env_remove("LD_LIBRARY_PATH").env_remove("DYLD_LIBRARY_PATH");
    let answer = process::run_quietly(&mut command, Duration::from_secs(120))
        .context("a small program that is linked against this libtorch does not start")?;
    let version = answer.trim();
    let bypassed = std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some();
    if version != libtorch::VERSION && !bypassed {
        bail!(
            "the headers in {} are of libtorch {version}, not {}",
            libtorch.root.display(),
            libtorch::VERSION
        );
    }
    Ok(())
}

/// Links an empty `libtorch.so` that leads to the CPU libraries, in place of the one that wants CUDA.
pub fn link_front(lib: &Path) -> Result<()> {
    let source = lib.join("front.c");
    fs::write(&source, "").with_context(|| format!("cannot write {}", source.display()))?;
    let mut command = compiler("CC", "cc");
    command.args([
        "-shared",
        "-o",
        "libtorch.so",
        "front.c",
        "-Wl,--no-as-needed",
        "-L.",
        "-ltorch_cpu",
        "-lc10",
    ]);
    command.args(["-Wl,-rpath,$ORIGIN", "-Wl,-soname,libtorch.so"]).current_dir(lib);
    process::output(&mut command)
        .context("cannot link an empty libtorch.so in front of the CPU libraries")?;
    fs::remove_file(&source)?;
    Ok(())
}

/// Writes the linker that a CUDA libtorch needs, and gives the target that it is for.
///
/// Linkers leave out a library of which nothing is called directly, and nothing calls libtorch_cuda: it registers
/// itself when it is loaded. Plain flags cannot keep it, since they would load it into build scripts too.
pub fn write_cuda_linker(folder: &Path) -> Result<(String, PathBuf)> {
    let path = folder.join("cuda-linker.sh");
    if fs::read_to_string(&path).map_or(true, |text| text != CUDA_LINKER) {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&path, CUDA_LINKER).with_context(|| format!("cannot write {}", path.display()))?;
    }
    make_executable(&path)?;
    Ok((host_target()?, path))
}

/// The target that rustc builds for when nobody says otherwise.
fn host_target() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = process::output(Command::new(rustc).arg("-vV"))?;
    let host = answer.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_string())
}

/// The compiler that a variable names, as `clang++` or `ccache g++`, or the usual one.
fn compiler(variable: &str, default: &str) -> Command {
    let own = std::env::var(variable).unwrap_or_default();
    let mut words = own.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(default));
    command.args(words);
    command
}

fn install_hint() -> &'static str {
    if cfg!(target_os = "macos") {
        return "xcode-select --install";
    }
    let managers = [
        ("apt-get", "apt-get install g++"),
        ("dnf", "dnf install gcc-c++"),
        ("pacman", "pacman -S gcc"),
        ("zypper", "zypper install gcc-c++"),
    ];
    let found = managers.iter().find(|(program, _)| process::exists(program));
    found.map_or("g++ 9 or newer, or clang++ 9 or newer, from your system's packages", |(_, hint)| hint)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Runs the linker with a stand-in for `cc` that prints its arguments.
    fn linked_with(args: &[&str]) -> String {
        let folder = crate::cache::test_folder(&format!("linker-{}", args.len()));
        let (_, linker) = write_cuda_linker(&folder).unwrap();
        let stand_in = folder.join("cc");
        fs::write(&stand_in, "#!/bin/sh\necho \"$@\"\n").unwrap();
        make_executable(&stand_in).unwrap();
        fs::write(folder.join("long"), "-ltorch_cpu\n-lc10\n").unwrap();
        let mut command = Command::new(linker);
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        command.args(args).env("PATH", path).current_dir(&folder);
        let answer = process::output(&mut command).unwrap();
        fs::remove_dir_all(folder).unwrap();
        answer.trim().to_string()
    }

    #[test]
    fn the_cuda_linker_adds_the_library_only_to_users_of_libtorch() {
        let cases: [(&[&str], &str); 3] = [
            (&["a.o", "-lfoo b"], ""),
            (&["a.o", "-ltorch_cpu", "-lc10"], " -Wl,--no-as-needed -ltorch_cuda"),
            (&["@long"], " -Wl,--no-as-needed -ltorch_cuda"),
        ];
        for (args, added) in cases {
            assert_eq!(linked_with(args), format!("{}{added}", args.join(" ")));
        }
    }

    #[test]
    fn the_host_is_a_triple() {
        assert!(host_target().unwrap().split('-').count() >= 3);
    }
}
