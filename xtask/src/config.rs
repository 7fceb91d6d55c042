//! The cargo configuration that tells where libtorch lies: `.cargo/libtorch.toml`, or a crate's own `config.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Where the configuration of the workspace is written, from its root.
pub const LIBTORCH_TOML: &str = ".cargo/libtorch.toml";

/// The first line of each file that is ours to overwrite.
const MARKER: &str = "# Written by `cargo xtask setup`; safe to delete.";

/// What cargo is told about libtorch.
pub struct Config<'a> {
    /// The folder with `include/` and `lib/`.
    pub libtorch: &'a Path,
    /// A linker to use, and the target that it is for, as `x86_64-unknown-linux-gnu`.
    pub linker: Option<(&'a str, &'a Path)>,
}

impl Config<'_> {
    /// The text of the configuration file.
    pub fn text(&self) -> Result<String> {
        let root = text_of(self.libtorch)?;
        let flags = rpath_flags(text_of(&self.libtorch.join("lib"))?);
        let flags = flags.iter().map(|flag| quoted(flag)).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "{MARKER}\n[env]\nLIBTORCH = {}\n\n[build]\nrustflags = [{flags}]\nrustdocflags = [{flags}]\n",
            quoted(root)
        );
        if let Some((target, linker)) = self.linker {
            text.push_str(&format!("\n[target.{target}]\nlinker = {}\n", quoted(text_of(linker)?)));
        }
        Ok(text)
    }

    /// Writes the file unless it says the same already; tells whether it changed.
    ///
    /// Leaving an equal file alone matters to people who look at its date; cargo itself compares the content.
    pub fn write(&self, path: &Path) -> Result<bool> {
        let text = self.text()?;
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(false);
        }
        let folder = path.parent().context("the configuration file has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
        fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(true)
    }

    /// Configures a crate outside the workspace; its own `config.toml` stays as it is, and the answer tells the
    /// line that it needs.
    pub fn write_for(&self, folder: &Path) -> Result<String> {
        if !folder.join("Cargo.toml").is_file() {
            bail!("{} holds no Cargo.toml; --for takes the folder of a crate or workspace", folder.display());
        }
        let config = folder.join(".cargo/config.toml");
        let old_name = folder.join(".cargo/config");
        if !config.exists() && !old_name.exists() || is_ours(&config) {
            self.write(&config)?;
            return Ok(format!("wrote {}", config.display()));
        }
        let foreign = if config.exists() { config } else { old_name };
        let ours = folder.join(LIBTORCH_TOML);
        if ours.exists() && !is_ours(&ours) {
            bail!("{} was not written by this command; move it away and try again", ours.display());
        }
        self.write(&ours)?;
        let include = "include = [{ path = \"libtorch.toml\", optional = true }]";
        if fs::read_to_string(&foreign).is_ok_and(|text| text.lines().any(|line| line.trim() == include)) {
            return Ok(format!("wrote {}, which {} includes", ours.display(), foreign.display()));
        }
        Ok(format!(
            "wrote {}; {} has content of its own, so add this line at its top yourself:\n    {include}",
            ours.display(),
            foreign.display()
        ))
    }
}

/// The libtorch folder that a file of ours names.
pub fn recorded_libtorch(path: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("LIBTORCH = \""))?;
    Some(PathBuf::from(value.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\")))
}

fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.starts_with(MARKER))
}

/// The rustc flags that let a program find `lib`.
///
/// The usual form is one flag; a folder with blanks or commas in its name needs each word on its own, since rustc
/// splits `link-args` at blanks and the linker `-Wl` at commas.
fn rpath_flags(lib: &str) -> Vec<String> {
    if !lib.contains([' ', '\t', ',']) {
        return vec!["-C".into(), format!("link-args=-Wl,-rpath,{lib}")];
    }
    let words = ["-Xlinker", "-rpath", "-Xlinker", lib];
    words.iter().flat_map(|word| ["-C".to_string(), format!("link-arg={word}")]).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not valid UTF-8, which cargo's files need", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(libtorch: &str) -> String {
        Config { libtorch: Path::new(libtorch), linker: None }.text().unwrap()
    }

    #[test]
    fn the_usual_file() {
        let expected = r#"# Written by `cargo xtask setup`; safe to delete.
[env]
LIBTORCH = "/opt/libtorch"

[build]
rustflags = ["-C", "link-args=-Wl,-rpath,/opt/libtorch/lib"]
rustdocflags = ["-C", "link-args=-Wl,-rpath,/opt/libtorch/lib"]
"#;
        assert_eq!(config("/opt/libtorch"), expected);
    }

    #[test]
    fn a_folder_with_blanks_stays_one_word() {
        let flags = "[\"-C\", \"link-arg=-Xlinker\", \"-C\", \"link-arg=-rpath\", \
                     \"-C\", \"link-arg=-Xlinker\", \"-C\", \"link-arg=/my torch/lib\"]";
        assert!(config("/my torch").contains(&format!("rustflags = {flags}")));
    }

    #[test]
    fn a_linker_belongs_to_its_target() {
        let linker = Some(("x86_64-unknown-linux-gnu", Path::new("/c/linker")));
        let text = Config { libtorch: Path::new("/t"), linker }.text().unwrap();
        assert!(text.ends_with("\n[target.x86_64-unknown-linux-gnu]\nlinker = \"/c/linker\"\n"), "{text}");
    }

    #[test]
    fn a_written_file_is_read_back_and_not_written_twice() {
        let folder = crate::cache::test_folder("config");
        for name in ["/opt/libtorch", "/odd \"name\"/back\\slash"] {
            let path = folder.join(LIBTORCH_TOML);
            let config = Config { libtorch: Path::new(name), linker: None };
            assert!(config.write(&path).unwrap());
            assert!(!config.write(&path).unwrap());
            assert_eq!(recorded_libtorch(&path), Some(PathBuf::from(name)));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_foreign_configuration_is_left_alone() {
        let folder = crate::cache::test_folder("foreign");
        let config = Config { libtorch: Path::new("/t"), linker: None };
        let error = config.write_for(&folder).unwrap_err().to_string();
        assert!(error.contains("holds no Cargo.toml"), "{error}");

        fs::write(folder.join("Cargo.toml"), "").unwrap();
        assert!(config.write_for(&folder).unwrap().starts_with("wrote "));
        assert!(config.write_for(&folder).unwrap().ends_with("config.toml"));

        let own = folder.join(".cargo/config.toml");
        fs::write(&own, "[alias]\nx = \"run\"\n").unwrap();
        let answer = config.write_for(&folder).unwrap();
        assert!(answer.contains("add this line"), "{answer}");
        assert_eq!(fs::read_to_string(&own).unwrap(), "[alias]\nx = \"run\"\n");
        assert!(folder.join(LIBTORCH_TOML).exists());

        let include = answer.lines().last().unwrap().trim();
        fs::write(&own, format!("{include}\n[alias]\nx = \"run\"\n")).unwrap();
        let answer = config.write_for(&folder).unwrap();
        assert!(answer.contains("which") && !answer.contains("add this line"), "{answer}");
        fs::remove_dir_all(folder).unwrap();
    }
}
