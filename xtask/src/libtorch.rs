//! What a libtorch folder must hold, and which version it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The version that tch 0.26 wants; it refuses any other.
pub const VERSION: &str = "2.13.0";

/// A libtorch that can be built against.
#[derive(Debug, Clone)]
pub struct Libtorch {
    /// The folder with `include/` and `lib/`.
    pub root: PathBuf,
    /// Who chose it, for the message: `LIBTORCH`, the cache, ...
    pub origin: String,
    /// Whether it holds the CUDA half.
    pub cuda: bool,
    /// Whether this run made it.
    pub fresh: bool,
}

/// Checks that a folder holds a libtorch of the right version; `origin` says where its path came from.
pub fn check(root: &Path, origin: &str) -> Result<Libtorch> {
    let shown = root.display();
    if !root.is_dir() {
        bail!("{origin} names {shown}, which is no folder");
    }
    for part in ["include/torch", "lib"] {
        if !root.join(part).is_dir() {
            bail!(
                "{origin} names {shown}, which has no {part}/; it must be the folder that holds both include/ and lib/"
            );
        }
    }
    let names = ["libtorch_cpu.so", "libtorch_cpu.dylib", "libtorch_cpu.a"];
    if !names.iter().any(|name| root.join("lib").join(name).is_file()) {
        bail!("{origin} names {shown}, whose lib/ holds no libtorch_cpu");
    }
    if std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_none() {
        match version(root) {
            Some(it) if plain(&it) == VERSION => {}
            Some(it) => bail!("{origin} names {shown}, which is libtorch {it}; it must be exactly {VERSION}"),
            None => bail!(
                "{origin} names {shown}, which does not tell its version: it has neither build-version nor \
                 include/torch/headeronly/version.h; it must be exactly {VERSION}"
            ),
        }
    }
    let cuda = root.join("lib/libtorch_cuda.so").exists();
    let root = std::path::absolute(root)?;
    Ok(Libtorch { root, origin: origin.into(), cuda, fresh: false })
}

/// The version of the libtorch in a folder, as `2.13.0` or `2.13.0+cpu`.
pub fn version(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_string());
    }
    let headers = ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"];
    headers.iter().find_map(|header| header_version(&fs::read_to_string(root.join(header)).ok()?))
}

/// `2.13.0+cpu` without what follows the plus.
pub fn plain(version: &str) -> &str {
    version.split('+').next().unwrap_or(version).trim()
}

/// The version in the text of `version.h`.
fn header_version(text: &str) -> Option<String> {
    let number = |name: &str| -> Option<u32> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("#define ")?.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let parts = ["TORCH_VERSION_MAJOR ", "TORCH_VERSION_MINOR ", "TORCH_VERSION_PATCH "].map(number);
    match parts {
        [Some(major), Some(minor), Some(patch)] => Some(format!("{major}.{minor}.{patch}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths and contents.
    type Files<'a> = &'a [(&'a str, &'a str)];

    fn folder(name: &str, files: Files<'_>) -> PathBuf {
        let root = crate::cache::test_folder(name);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn versions_in_headers() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(header_version(text).as_deref(), expected);
        let header = "/// x\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n\
                      #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION \\\n  \"2.13.0\"\n";
        check(header, Some("2.13.0"));
        check(&header.replace(" 13", " 9"), Some("2.9.0"));
        check("#define TORCH_VERSION_MAJOR 2\n", None);
        check("#define TORCH_VERSION_MAJOR x\n", None);
        check("", None);
    }

    #[test]
    fn what_follows_the_plus_does_not_count() {
        for (text, expected) in
            [("2.13.0+cpu\n", "2.13.0"), ("2.13.0", "2.13.0"), ("2.13.0a0+git", "2.13.0a0")]
        {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn each_fault_is_named() {
        let lib = ("lib/libtorch_cpu.so", "");
        let include = ("include/torch/script.h", "");
        let cases: [(&str, Files<'_>, &str); 6] = [
            ("no-include", &[lib], "has no include/torch/"),
            ("no-lib", &[include], "has no lib/"),
            ("empty-lib", &[include, ("lib/libother.so", "")], "holds no libtorch_cpu"),
            ("no-version", &[include, lib], "does not tell its version"),
            (
                "old",
                &[include, lib, ("build-version", "1.13.1+cpu\n")],
                "is libtorch 1.13.1+cpu; it must be exactly 2.13.0",
            ),
            ("newer", &[include, lib, ("build-version", "2.13.01")], "is libtorch 2.13.01;"),
        ];
        for (name, files, expected) in cases {
            let root = folder(name, files);
            let error = check(&root, "LIBTORCH").unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("LIBTORCH names"), "{name}: {error}");
            fs::remove_dir_all(root).unwrap();
        }
        let error = check(Path::new("/no/such/folder"), "LIBTORCH").unwrap_err().to_string();
        assert_eq!(error, "LIBTORCH names /no/such/folder, which is no folder");
    }

    #[test]
    fn a_good_folder_is_taken() {
        let files =
            [("lib/libtorch_cpu.so", ""), ("include/torch/script.h", ""), ("build-version", "2.13.0+cpu\n")];
        let root = folder("good", &files);
        let found = check(&root, "LIBTORCH").unwrap();
        assert_eq!((found.root, found.origin.as_str(), found.cuda), (root.clone(), "LIBTORCH", false));
        fs::write(root.join("lib/libtorch_cuda.so"), "").unwrap();
        assert!(check(&root, "LIBTORCH").unwrap().cuda);
        fs::remove_dir_all(root).unwrap();
    }
}
