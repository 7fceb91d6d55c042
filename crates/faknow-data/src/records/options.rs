//! How a file of records is to be read: its format, and which of its columns mean what.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A file format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON array of objects, FaKnow's format; endings `.json`.
    Json,
    /// One JSON object a line; endings `.jsonl`, `.ndjson`.
    Jsonl,
    /// Comma-separated values; ending `.csv`.
    Csv,
    /// Tab-separated values; ending `.tsv`.
    Tsv,
}

impl Format {
    /// Returns the format that the ending of `path` names, in any case; an error that lists the endings otherwise.
    pub fn from_path(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            Some("tsv") => Ok(Self::Tsv),
            other => {
                let got = other.map_or("has none".into(), |ending| format!("is `.{ending}`"));
                let expected = "expected .json, .jsonl, .ndjson, .csv or .tsv, or a format given explicitly";
                Err(Error::file(path, format!("the file's ending tells its format, but {got}: {expected}")))
            }
        }
    }
}

/// Which column (key of a JSON object) holds what; the columns of a file without a header are `"1"`, `"2"`, …
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnMap {
    /// The text of a post. Reading needs it; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The label, read only when classes are given; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The domain (topic, event), kept as text; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Further columns to keep in [`Record::fields`](crate::Record::fields); default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// How to read a file of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Format of the file; by default its ending tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Whether the first row of CSV or TSV names the columns; default true.
    pub header: bool,
    /// Whether CSV and TSV fields may be quoted with `"`; default true. Without, a quote is plain text.
    pub quotes: bool,
    /// Which column holds what.
    pub columns: ColumnMap,
    /// Whether [`Record::fields`](crate::Record::fields) keeps every column; default false.
    pub keep_all: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: None, header: true, quotes: true, columns: ColumnMap::default(), keep_all: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_tells_the_format() {
        let check =
            |path: &str, expected| assert_eq!(Format::from_path(Path::new(path)).ok(), expected, "{path}");
        check("a/b.json", Some(Format::Json));
        check("b.JSONL", Some(Format::Jsonl));
        check("b.ndjson", Some(Format::Jsonl));
        check("b.tar.csv", Some(Format::Csv));
        check("b.Tsv", Some(Format::Tsv));
        check("b.txt", None);
        check("json", None);
        let message = Format::from_path(Path::new("posts.xlsx")).unwrap_err().to_string();
        assert!(message.contains("posts.xlsx") && message.contains("`.xlsx`") && message.contains(".jsonl"));
    }

    #[test]
    fn options_survive_serde_and_refuse_unknown_keys() {
        let columns =
            ColumnMap { text: Some("tweet".into()), fields: vec!["id".into()], ..Default::default() };
        for options in
            [ReadOptions::default(), ReadOptions { format: Some(Format::Tsv), columns, ..Default::default() }]
        {
            let json = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<ReadOptions>(&json).unwrap(), options);
        }
        assert!(serde_json::from_str::<ReadOptions>(r#"{"columns": {"txt": "a"}}"#).is_err());
    }
}
