//! The files of `data.train`, `data.valid` and `data.test`: one, several, or several with a label each.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// The files of a part of the data, whose records are read one file after the other.
///
/// In a config they are a path, a list of paths, or a table from labels to paths, where all records of a file have its label:
///
/// ```
/// use faknow::config::DataFiles;
///
/// let files = DataFiles::parse("real=politifact_real.csv,fake=politifact_fake.csv")?;
/// assert_eq!(files.labels(), Some(vec!["real", "fake"]));
/// assert_eq!(files, serde_json::from_str(r#"{ "real": "politifact_real.csv", "fake": ["politifact_fake.csv"] }"#)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFiles(Vec<DataFile>);

/// A file of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its path.
    pub path: PathBuf,
    /// The label of all its records; `None` if a column has the labels.
    pub label: Option<String>,
}

impl DataFiles {
    /// Creates files without labels.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(paths.into_iter().map(|path| DataFile { path: path.into(), label: None }).collect())
    }

    /// Creates files whose records have the label of their file; files of the same label are placed next to each other.
    pub fn with_labels<L, P>(files: impl IntoIterator<Item = (L, P)>) -> Self
    where
        L: Into<String>,
        P: Into<PathBuf>,
    {
        let mut all: Vec<DataFile> = Vec::new();
        for (label, path) in files {
            let file = DataFile { label: Some(label.into()), path: path.into() };
            let position = all.iter().rposition(|other| other.label == file.label);
            all.insert(position.map_or(all.len(), |position| position + 1), file);
        }
        Self(all)
    }

    /// Parses `FILE`, `FILE,FILE,…` or `LABEL=FILE,LABEL=FILE,…`.
    ///
    /// An existing file with this entire name is that file. A label is what precedes the first `=`, unless that contains a
    /// path separator; so paths may contain `=` after it, and `./` in front marks a path.
    ///
    /// # Errors
    /// A path or a label is empty, or only some of several files have a label.
    pub fn parse(text: &str) -> Result<Self, String> {
        if Path::new(text).exists() || !text.contains([',', '=']) {
            return Ok(text.into());
        }
        let parse_one = |part: &str| {
            let is_label = |label: &str| !label.contains(['/', '\\']) && !Path::new(part).exists();
            match part.split_once('=').filter(|(label, _)| is_label(label)) {
                Some((label, path)) => {
                    DataFile { label: Some(label.trim().to_owned()), path: path.trim().into() }
                }
                None => DataFile { label: None, path: part.trim().into() },
            }
        };
        let files: Vec<DataFile> = text.split(',').map(parse_one).collect();
        if let Some(empty) =
            files.iter().find(|file| file.path.as_os_str().is_empty() || file.label.as_deref() == Some(""))
        {
            let part = empty
                .label
                .as_ref()
                .map_or("a path", |label| if label.is_empty() { "a label" } else { "a path" });
            return Err(format!("expected FILE,… or LABEL=FILE,…, got `{text}`, in which {part} is empty"));
        }
        let n_labels = files.iter().filter(|file| file.label.is_some()).count();
        match files.iter().find(|file| file.label.is_none()) {
            Some(unlabeled) if n_labels > 0 => Err(format!(
                "expected a label for each file or for none, got no label for `{}`",
                unlabeled.path.display()
            )),
            Some(_) => Ok(Self(files)),
            None => {
                Ok(Self::with_labels(files.into_iter().filter_map(|file| Some((file.label?, file.path)))))
            }
        }
    }

    /// Returns the files, in order.
    pub fn files(&self) -> &[DataFile] {
        &self.0
    }

    /// Returns the paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|file| file.path.as_path())
    }

    /// Returns the first path, for messages about all files.
    pub fn first(&self) -> &Path {
        self.paths().next().unwrap_or(Path::new(""))
    }

    /// Returns the distinct labels of the files, in order; `None` if a column has the labels.
    pub fn labels(&self) -> Option<Vec<&str>> {
        let mut labels: Vec<&str> = self.0.iter().filter_map(|file| file.label.as_deref()).collect();
        labels.dedup();
        (!labels.is_empty()).then_some(labels)
    }

    /// Returns the only file, without a label.
    ///
    /// # Errors
    /// There are several files, or the file has a label.
    pub(crate) fn single(&self, key: &str, content: &str) -> Result<&Path> {
        match &self.0[..] {
            [DataFile { path, label: None }] => Ok(path),
            files => {
                let got = match self.labels() {
                    Some(_) => "labels of files".to_owned(),
                    None => format!("{} files", files.len()),
                };
                Err(Error::config(key, format!("expected one file of {content}, got {got}")))
            }
        }
    }

    /// Checks that there are files, and that none occurs twice.
    ///
    /// # Errors
    /// The error has the name `key`.
    pub(crate) fn check(&self, key: &str) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::config(key, "expected at least one file, got none"));
        }
        let mut seen = Vec::new();
        for path in self.paths() {
            let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            if seen.contains(&canonical) {
                let message = format!("expected each file once, got `{}` twice", path.display());
                return Err(Error::config(key, message));
            }
            seen.push(canonical);
        }
        Ok(())
    }
}

impl From<PathBuf> for DataFiles {
    fn from(path: PathBuf) -> Self {
        Self::new([path])
    }
}

impl From<&Path> for DataFiles {
    fn from(path: &Path) -> Self {
        Self::new([path])
    }
}

impl From<&PathBuf> for DataFiles {
    fn from(path: &PathBuf) -> Self {
        Self::new([path])
    }
}

impl From<&str> for DataFiles {
    fn from(path: &str) -> Self {
        Self::new([path])
    }
}

/// Formats the files as [`DataFiles::parse`] parses them.
impl fmt::Display for DataFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let label = file.label.as_ref().map(|label| format!("{label}=")).unwrap_or_default();
            write!(f, "{comma}{label}{}", file.path.display())?;
        }
        Ok(())
    }
}

impl Serialize for DataFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(labels) = self.labels() else {
            return match &self.0[..] {
                [one] => one.path.serialize(serializer),
                _ => self.paths().collect::<Vec<_>>().serialize(serializer),
            };
        };
        let mut map = serializer.serialize_map(Some(labels.len()))?;
        for label in labels {
            let files = self.0.iter().filter(|file| file.label.as_deref() == Some(label));
            match &files.map(|file| &file.path).collect::<Vec<_>>()[..] {
                [one] => map.serialize_entry(label, one)?,
                several => map.serialize_entry(label, several)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DataFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Files;
        impl<'de> Visitor<'de> for Files {
            type Value = DataFiles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, a list of paths, or a table from labels to paths")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<DataFiles, E> {
                Ok(path.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DataFiles, A::Error> {
                let mut paths: Vec<PathBuf> = Vec::new();
                while let Some(path) = items.next_element()? {
                    paths.push(path);
                }
                Ok(DataFiles::new(paths))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<DataFiles, A::Error> {
                let mut files: Vec<(String, PathBuf)> = Vec::new();
                while let Some((label, paths)) = entries.next_entry::<String, DataFiles>()? {
                    if paths.labels().is_some() {
                        return Err(de::Error::custom("expected paths as values of the table, got a table"));
                    }
                    files.extend(paths.0.into_iter().map(|file| (label.clone(), file.path)));
                }
                Ok(DataFiles::with_labels(files))
            }
        }
        deserializer.deserialize_any(Files)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parses_files_with_and_without_labels() {
        let check =
            |text: &str, expected: DataFiles| assert_eq!(DataFiles::parse(text), Ok(expected), "{text}");
        check("a.csv", "a.csv".into());
        check("a.csv, b.csv", DataFiles::new(["a.csv", "b.csv"]));
        check("real=a.csv,fake=b.csv", DataFiles::with_labels([("real", "a.csv"), ("fake", "b.csv")]));
        check("real=a=1.csv", DataFiles::with_labels([("real", "a=1.csv")]));
        check("./a=1.csv,x/b=2.csv", DataFiles::new(["./a=1.csv", "x/b=2.csv"]));
        let grouped = [("real", "a"), ("real", "c"), ("fake", "b")];
        check("real=a,fake=b,real=c", DataFiles::with_labels(grouped));
    }

    #[test]
    fn an_existing_file_with_the_entire_name_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real=a,b.csv");
        let text = path.display().to_string();
        assert_eq!(DataFiles::parse(&text).unwrap().files().len(), 2);
        std::fs::write(&path, "text\n").unwrap();
        assert_eq!(DataFiles::parse(&text), Ok(text.as_str().into()));
    }

    #[test]
    fn rejects_empty_parts_missing_labels_and_repeated_files() {
        let check = |text: &str, expected: &str| {
            let error = DataFiles::parse(text)
                .map_err(|message| Error::config("data.train", message))
                .and_then(|files| files.check("data.train"));
            let error = error.unwrap_err().to_string();
            assert!(
                error.starts_with("`data.train`: expected ") && error.contains(expected),
                "{text}: {error}"
            );
        };
        check("a.csv,", "a path is empty");
        check("real=,fake=b.csv", "a path is empty");
        check("=a.csv,fake=b.csv", "a label is empty");
        check("real=a.csv,b.csv", "got no label for `b.csv`");
        check("a.csv,b.csv,a.csv", "each file once, got `a.csv` twice");
        check("real=a.csv,fake=a.csv", "got `a.csv` twice");
    }

    #[test]
    fn serde_round_trips() {
        for (files, json) in [
            (DataFiles::from("a=b.csv"), json!("a=b.csv")),
            (DataFiles::new(["a", "b"]), json!(["a", "b"])),
            (DataFiles::with_labels([("z", "a"), ("b", "c")]), json!({ "z": "a", "b": "c" })),
            (
                DataFiles::with_labels([("z", "a"), ("b", "c"), ("z", "d")]),
                json!({ "z": ["a", "d"], "b": "c" }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&files).unwrap(), json);
            assert_eq!(serde_json::from_value::<DataFiles>(json).unwrap(), files);
        }
        for invalid in [json!(3), json!([1]), json!({ "real": { "x": "y" } })] {
            assert!(serde_json::from_value::<DataFiles>(invalid.clone()).is_err(), "{invalid}");
        }
    }
}
