//! The cargo configuration that says where libtorch is: `.cargo/libtorch.toml`, or a crate's own `config.toml`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Where the configuration of the workspace is written, from its root.
pub const LIBTORCH_TOML: &str = ".cargo/libtorch.toml";

/// The first line of each file that is ours to overwrite.
const MARKER: &str = "# Written by `cargo xtask setup`; safe to delete.";

/// What cargo needs to know about libtorch.
pub struct Config<'a> {
    /// The directory with `include/` and `lib/`.
    pub libtorch: &'a Path,
    /// A linker to use, and the target that it is for, as `x86_64-unknown-linux-gnu`.
    pub linker: Option<(String, PathBuf)>,
}

/// Creates a temporary file with the permissions of an ordinary one; by default only its owner could read it.
fn new_file_in(dir: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
}

impl Config<'_> {
    /// Returns the text of the configuration file.
    pub fn text(&self) -> Result<String> {
        let root = quoted(self.libtorch)?;
        let flags = rpath_flags(&self.libtorch.join("lib"))?;
        let mut text = format!(
            "{MARKER}\n[env]\nLIBTORCH = {root}\n\n[build]\nrustflags = [{flags}]\nrustdocflags = [{flags}]\n"
        );
        if let Some((target, linker)) = &self.linker {
            text += &format!("\n[target.{target}]\nlinker = {}\n", quoted(linker)?);
        }
        Ok(text)
    }

    /// Writes the file unless it has this text already; returns whether it changed.
    pub fn write(&self, path: &Path) -> Result<bool> {
        let text = self.text()?;
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(false);
        }
        let dir = path.parent().context("the configuration file has no directory")?;
        let write = || -> Result<()> {
            fs::create_dir_all(dir)?;
            let mut file = new_file_in(dir)?;
            file.write_all(text.as_bytes())?;
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(true)
    }

    /// Configures a crate outside the workspace; its own `config.toml` stays as it is, and the returned message contains
    /// the line that it needs.
    pub fn write_for(&self, dir: &Path) -> Result<String> {
        ensure!(
            dir.join("Cargo.toml").is_file(),
            "{} contains no Cargo.toml; --for takes the directory of a crate or workspace",
            dir.display()
        );
        let config = dir.join(".cargo/config.toml");
        let old_name = dir.join(".cargo/config");
        if !config.exists() && !old_name.exists() || is_ours(&config) {
            self.write(&config)?;
            return Ok(format!("wrote {}", config.display()));
        }
        let foreign = if config.exists() { config } else { old_name };
        let ours = dir.join(LIBTORCH_TOML);
        ensure!(
            !ours.exists() || is_ours(&ours),
            "{} was not written by this command; move it away and try again",
            ours.display()
        );
        self.write(&ours)?;
        let include = "include = [{ path = \"libtorch.toml\", optional = true }]";
        if fs::read_to_string(&foreign).is_ok_and(|text| text.lines().any(|line| line.trim() == include)) {
            return Ok(format!("wrote {}, which {} includes", ours.display(), foreign.display()));
        }
        Ok(format!(
            "wrote {}; {} has other content, so add this line at its top yourself:\n    {include}",
            ours.display(),
            foreign.display()
        ))
    }
}

/// Returns the libtorch directory that a configuration file written by `setup` names.
pub fn recorded_libtorch(path: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("LIBTORCH = \""))?;
    Some(PathBuf::from(value.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\")))
}

fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.starts_with(MARKER))
}

/// Returns the rustc flags that let a program find `lib`, as a list of TOML.
///
/// The usual form is one flag; a path with blanks or commas needs each word on its own, since rustc splits `link-args` at
/// blanks and the linker `-Wl` at commas.
fn rpath_flags(lib: &Path) -> Result<String> {
    let quoted = quoted(lib)?;
    if !quoted.contains([' ', '\t', ',']) {
        return Ok(format!("\"-C\", \"link-args=-Wl,-rpath,{}", &quoted[1..]));
    }
    let words = ["-Xlinker", "-rpath", "-Xlinker", &quoted[1..quoted.len() - 1]];
    Ok(words.map(|word| format!("\"-C\", \"link-arg={word}\"")).join(", "))
}

/// Returns a path as a string of TOML.
fn quoted(path: &Path) -> Result<String> {
    let text =
        path.to_str().with_context(|| format!("{} is not valid UTF-8, as cargo needs", path.display()))?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_file() {
        let config = |libtorch: &str| Config { libtorch: Path::new(libtorch), linker: None }.text().unwrap();
        let expected = r#"# Written by `cargo xtask setup`; safe to delete.
[env]
LIBTORCH = "/opt/libtorch"

[build]
rustflags = ["-C", "link-args=-Wl,-rpath,/opt/libtorch/lib"]
rustdocflags = ["-C", "link-args=-Wl,-rpath,/opt/libtorch/lib"]
"#;
        assert_eq!(config("/opt/libtorch"), expected);
        let flags = "[\"-C\", \"link-arg=-Xlinker\", \"-C\", \"link-arg=-rpath\", \
                     \"-C\", \"link-arg=-Xlinker\", \"-C\", \"link-arg=/my torch/lib\"]";
        assert!(config("/my torch").contains(&format!("rustflags = {flags}")));
        let linker = Some(("x86_64-unknown-linux-gnu".to_owned(), PathBuf::from("/c/linker")));
        let text = Config { libtorch: Path::new("/t"), linker }.text().unwrap();
        assert!(text.ends_with("\n[target.x86_64-unknown-linux-gnu]\nlinker = \"/c/linker\"\n"), "{text}");
    }

    #[test]
    fn a_written_file_is_read_back_and_not_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["/opt/libtorch", "/odd \"name\"/back\\slash"] {
            let path = dir.path().join(LIBTORCH_TOML);
            let config = Config { libtorch: Path::new(name), linker: None };
            assert!(config.write(&path).unwrap());
            assert!(!config.write(&path).unwrap());
            assert_eq!(recorded_libtorch(&path), Some(PathBuf::from(name)));
            let ordinary = dir.path().join("ordinary");
            fs::write(&ordinary, "").unwrap();
            let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
            assert_eq!(permissions(&path), permissions(&ordinary));
        }
    }

    #[test]
    fn a_foreign_configuration_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let config = Config { libtorch: Path::new("/t"), linker: None };
        let error = config.write_for(dir).unwrap_err().to_string();
        assert!(error.contains("contains no Cargo.toml"), "{error}");

        fs::write(dir.join("Cargo.toml"), "").unwrap();
        assert!(config.write_for(dir).unwrap().starts_with("wrote "));
        assert!(config.write_for(dir).unwrap().ends_with("config.toml"));

        let own = dir.join(".cargo/config.toml");
        fs::write(&own, "[alias]\nx = \"run\"\n").unwrap();
        let output = config.write_for(dir).unwrap();
        assert!(output.contains("add this line"), "{output}");
        assert_eq!(fs::read_to_string(&own).unwrap(), "[alias]\nx = \"run\"\n");
        assert!(dir.join(LIBTORCH_TOML).exists());

        fs::write(&own, format!("{}\n[alias]\nx = \"run\"\n", output.lines().last().unwrap().trim()))
            .unwrap();
        assert!(config.write_for(dir).unwrap().contains("which"));
    }
}
