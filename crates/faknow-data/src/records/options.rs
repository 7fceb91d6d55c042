//! Options for reading a file of records: its format, and the meaning of its columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Delimiter, Encoding, SkipBroken, TextColumns};
use crate::input::{ARCHIVE_EXTENSIONS, COMPRESSED_EXTENSIONS, Content, input_name};
use crate::{Error, Result};

/// A file format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON array of objects, FaKnow's format; extension `.json`.
    Json,
    /// One JSON object per line; extensions `.jsonl` and `.ndjson`.
    Jsonl,
    /// Comma-separated values; extension `.csv`.
    Csv,
    /// Tab-separated values; extensions `.tsv` and `.tab`.
    Tsv,
    /// The first sheet of a spreadsheet, with the feature `excel`; extensions `.xlsx`, `.xlsm`, `.xlsb`, `.xls` and `.ods`.
    Excel,
    /// Apache Parquet, with the feature `parquet`; extensions `.parquet` and `.pq`.
    Parquet,
}

impl Format {
    /// Returns the format for the extension of `path`, ignoring case; `posts.csv.gz` and `posts.csv.zst` are CSV.
    ///
    /// # Errors
    /// [`Error::File`]: the extension is missing, unknown, or that of an archive.
    pub fn from_path(path: &Path) -> Result<Self> {
        let extension_of = |path: &Path| path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
        let is_compressed = |extension: String| COMPRESSED_EXTENSIONS.contains(&extension.as_str());
        let stem =
            if extension_of(path).is_some_and(is_compressed) { path.with_extension("") } else { path.into() };
        let extension = extension_of(&stem);
        match extension.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            Some("tsv" | "tab") => Ok(Self::Tsv),
            Some("xlsx" | "xlsm" | "xlsb" | "xls" | "ods") => Ok(Self::Excel),
            Some("parquet" | "pq") => Ok(Self::Parquet),
            other => {
                if let Some((name, help)) = ARCHIVE_EXTENSIONS.iter().find(|(name, _)| Some(*name) == other) {
                    return Err(Error::file(
                        path,
                        format!("cannot read `.{name}` files; {help}, or compress with gzip or zstd"),
                    ));
                }
                let got = other.map_or("none".into(), |extension| format!("`.{extension}`"));
                let expected =
                    "expected .json, .jsonl, .ndjson, .csv, .tsv, .xlsx or .parquet, or an explicit format";
                Err(Error::file(input_name(path), format!("unknown file extension: {expected}, got {got}")))
            }
        }
    }
}

impl Content {
    /// Returns the format of records in which such a file can be read.
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Json => Some(Format::Json),
            Self::Parquet => Some(Format::Parquet),
            Self::Spreadsheet => Some(Format::Excel),
            _ => None,
        }
    }
}

/// The names of the columns (keys of JSON objects) to read; the columns of a file without a header are `"1"`, `"2"`, …
///
/// A name that is not a key of a JSON object is a path into nested objects and arrays: `content.text`, `posts.0.text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnMap {
    /// The text of a post, one column or several; required for reading records; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextColumns>,
    /// The label, read only when classes are given; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The domain (topic, event), read as text; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Whether files may lack the column of the domain, whose records then have none; default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_domain_optional: bool,
    /// Columns of further texts, by the name of the text, such as `entities`; default none. A field is a text or an array of texts;
    /// files and records may lack it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// Columns of numeric features, by the name of the feature; default none. A field holds an array of finite numbers, of the same
    /// length in all records of a file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, String>,
    /// The image of a post, the path of a file or an array of paths, of which the first one is used; default none. Records may
    /// lack it, and records with an image may lack the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether files may lack the column of the image, whose records then have none; default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_image_optional: bool,
    /// The comments on a post, an array of texts; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
    /// Additional columns to store in [`Record::fields`](crate::Record::fields); default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// Options for reading a file of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Format of the file; default: determined by its extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Character encoding of text files; default UTF-8. A byte order mark takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Separator of the fields of CSV and TSV; default: a comma or a tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// Whether the first row of CSV or TSV names the columns; default true.
    pub header: bool,
    /// Whether CSV and TSV fields may be quoted with `"`; default true. If false, quotes are plain text.
    pub quotes: bool,
    /// The columns to read.
    pub columns: ColumnMap,
    /// The directory of the paths of images; default: that of the file, or the working directory for standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_dir: Option<PathBuf>,
    /// Whether [`Record::fields`](crate::Record::fields) contains every column; default false.
    pub keep_all: bool,
    /// Whether a record without a text is read, with an empty text; default false, it is an error.
    pub accept_missing_texts: bool,
    /// Label values whose records are left out, ignoring case, when labels are read; default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_labels: Vec<String>,
    /// The number of broken records to skip: those that cannot be parsed or lack a text or label; default 0. Unknown labels
    /// are errors nevertheless.
    pub skip_broken: SkipBroken,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            encoding: None,
            delimiter: None,
            header: true,
            quotes: true,
            columns: ColumnMap::default(),
            image_dir: None,
            keep_all: false,
            accept_missing_texts: false,
            drop_labels: Vec::new(),
            skip_broken: SkipBroken::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_follows_the_file_extension() {
        let check =
            |path: &str, expected| assert_eq!(Format::from_path(Path::new(path)).ok(), expected, "{path}");
        check("a/b.json", Some(Format::Json));
        check("b.JSONL", Some(Format::Jsonl));
        check("b.ndjson", Some(Format::Jsonl));
        check("b.tar.csv", Some(Format::Csv));
        check("b.Tsv", Some(Format::Tsv));
        check("b.csv.gz", Some(Format::Csv));
        check("b.xlsx", Some(Format::Excel));
        check("b.parquet", Some(Format::Parquet));
        check("b.jsonl.ZST", Some(Format::Jsonl));
        check("b.gz", None);
        check("b.csv.bz2", None);
        check("b.tar.gz", None);
        check("b.txt", None);
        check("json", None);
        let message = Format::from_path(Path::new("posts.docx")).unwrap_err().to_string();
        assert!(message.contains("posts.docx") && message.contains("`.docx`") && message.contains(".jsonl"));
    }

    #[test]
    fn serde_round_trips_and_rejects_unknown_keys() {
        let columns =
            ColumnMap { text: Some("tweet".into()), fields: vec!["id".into()], ..Default::default() };
        let encoding = Some("windows-1251".parse().unwrap());
        let tsv = ReadOptions { format: Some(Format::Tsv), columns, encoding, ..Default::default() };
        let delimited = ReadOptions { delimiter: Some(Delimiter::TAB), ..Default::default() };
        for options in [ReadOptions::default(), tsv, delimited] {
            let json = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<ReadOptions>(&json).unwrap(), options);
        }
        assert!(serde_json::from_str::<ReadOptions>(r#"{"columns": {"txt": "a"}}"#).is_err());
    }
}
