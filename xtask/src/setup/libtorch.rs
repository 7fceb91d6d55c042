//! What a libtorch directory must contain, and which version it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

/// The version that tch 0.26 needs; it refuses any other.
pub const VERSION: &str = "2.13.0";

/// A libtorch that can be built against.
#[derive(Debug, Clone)]
pub struct Libtorch {
    /// The directory with `include/` and `lib/`.
    pub root: PathBuf,
    /// Who chose it, for messages: `LIBTORCH`, the cache, ...
    pub origin: String,
    /// Whether it contains the CUDA half.
    pub cuda: bool,
    /// Whether this run made it.
    pub fresh: bool,
}

/// Checks that a directory contains a libtorch of the right version; `origin` says where its path came from.
pub fn check(root: &Path, origin: &str) -> Result<Libtorch> {
    let shown = root.display();
    ensure!(root.is_dir(), "{origin} names {shown}, which is not a directory");
    for part in ["include/torch", "lib"] {
        ensure!(
            root.join(part).is_dir(),
            "{origin} names {shown}, which has no {part}/; it must be the directory that contains both include/ and lib/"
        );
    }
    let mut names = ["libtorch_cpu.so", "libtorch_cpu.dylib", "libtorch_cpu.a"].iter();
    ensure!(
        names.any(|name| root.join("lib").join(name).is_file()),
        "{origin} names {shown}, whose lib/ contains no libtorch_cpu"
    );
    if !is_version_check_bypassed() {
        match version(root) {
            Some(it) if plain(&it) == VERSION => {}
            Some(it) => bail!("{origin} names {shown}, which is libtorch {it}; it must be exactly {VERSION}"),
            None => bail!(
                "{origin} names {shown}, whose version is unknown: it has neither build-version nor \
                 include/torch/headeronly/version.h; it must be exactly {VERSION}"
            ),
        }
    }
    let cuda = root.join("lib/libtorch_cuda.so").exists();
    Ok(Libtorch { root: std::path::absolute(root)?, origin: origin.into(), cuda, fresh: false })
}

/// Returns whether the user wants another version than the right one, as tch's build script understands it too.
pub fn is_version_check_bypassed() -> bool {
    std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some()
}

/// Returns the version of the libtorch in a directory, as `2.13.0` or `2.13.0+cpu`.
fn version(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_string());
    }
    let headers = ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"];
    headers.iter().find_map(|header| header_version(&fs::read_to_string(root.join(header)).ok()?))
}

/// Returns a version without its local part: `2.13.0` for `2.13.0+cpu`.
pub fn plain(version: &str) -> &str {
    version.split('+').next().unwrap_or(version).trim()
}

/// Returns the version in the text of `version.h`.
fn header_version(text: &str) -> Option<String> {
    let number = |name: &str| -> Option<u32> {
        text.lines()
            .find_map(|line| line.trim().strip_prefix("#define ")?.strip_prefix(name))?
            .trim()
            .parse()
            .ok()
    };
    let [major, minor, patch] =
        ["TORCH_VERSION_MAJOR ", "TORCH_VERSION_MINOR ", "TORCH_VERSION_PATCH "].map(number);
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "/// x\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n\
                          #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION \\\n  \"2.13.0\"\n";

    #[test]
    fn versions() {
        assert_eq!(header_version(HEADER).as_deref(), Some("2.13.0"));
        for text in ["#define TORCH_VERSION_MAJOR 2\n", "#define TORCH_VERSION_MAJOR x\n", ""] {
            assert_eq!(header_version(text), None);
        }
        for (text, expected) in
            [("2.13.0+cpu\n", "2.13.0"), ("2.13.0", "2.13.0"), ("2.13.0a0+git", "2.13.0a0")]
        {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn a_wrong_directory_is_refused_with_the_reason() {
        let check = |files: &[(&str, &str)], expected: Option<&str>| {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let error = super::check(root.path(), "LIBTORCH").err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(error, None),
                Some(expected) => {
                    assert!(error.as_ref().is_some_and(|it| it.contains(expected)), "{error:?}")
                }
            }
        };
        let include = ("include/torch/script.h", "");
        let lib = ("lib/libtorch_cpu.so", "");
        check(&[], Some("has no include/torch/"));
        check(&[include], Some("has no lib/"));
        check(&[include, ("lib/other.so", "")], Some("contains no libtorch_cpu"));
        check(&[include, lib], Some("whose version is unknown"));
        check(
            &[include, lib, ("build-version", "1.13.1+cpu")],
            Some("is libtorch 1.13.1+cpu; it must be exactly 2.13.0"),
        );
        check(&[include, lib, ("build-version", "2.13.01")], Some("is libtorch 2.13.01;"));
        check(&[include, lib, ("build-version", "2.13.0+cpu\n")], None);
        check(&[include, lib, ("include/torch/headeronly/version.h", HEADER)], None);
    }
}
