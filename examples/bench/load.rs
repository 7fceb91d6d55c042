//! Reading and tokenizing datasets, as training does before its first batch.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use faknow::data::text::TokenizerKind;
use faknow::data::{ColumnMap, ReadOptions, RecordReader};
use faknow::prelude::*;

/// Number of posts in the file to classify.
pub(crate) const N_POSTS: usize = 50_000;

/// Returns the options for reading posts whose text is in the column `text`.
pub(crate) fn options(text: &str) -> ReadOptions {
    let columns = ColumnMap { text: Some(text.into()), label: Some("label".into()), ..ColumnMap::default() };
    ReadOptions { columns, ..ReadOptions::default() }
}

/// Returns the seconds to read and tokenize `covid` (runs of letters and digits) or `weibo21` (jieba, whose dictionary is loaded in the
/// first run): the minimum of three runs.
pub(crate) fn seconds(dir: &Path, set: &str) -> Result<f64> {
    let (kind, extension, text) = match set {
        "weibo21" => (TokenizerKind::Jieba, "jsonl", "text"),
        _ => (TokenizerKind::Alphanumeric, "csv", "tweet"),
    };
    let classes = Classes::new(["real", "fake"])?;
    // Python's words of Chinese include punctuation, its runs of letters and digits do not.
    let punctuation = kind == TokenizerKind::Jieba;
    let config = TokenizerConfig { kind, punctuation, normalize_urls: false, ..TokenizerConfig::default() };
    let read = || -> Result<f64> {
        let start = Instant::now();
        let tokenizer = Tokenizer::new(config.clone())?;
        let open = |part: &str| {
            RecordReader::open(dir.join(format!("{part}.{extension}")), &options(text), Some(&classes))
        };
        let (train, vocab) = FieldDataset::build(open("train")?, &tokenizer, &VocabOptions::default())?;
        for part in ["valid", "test"] {
            std::hint::black_box(FieldDataset::from_records(
                open(part)?,
                &tokenizer,
                &vocab,
                train.domains(),
            )?);
        }
        Ok(start.elapsed().as_secs_f64())
    };
    let mut minimum = read()?;
    for _ in 0..2 {
        minimum = minimum.min(read()?);
    }
    Ok(minimum)
}

/// Returns the number of posts in a file of the covid dataset.
pub(crate) fn n_posts(file: &Path) -> Result<usize> {
    let records = RecordReader::open(file, &options("tweet"), None)?;
    Ok(records.collect::<Result<Vec<_>, _>>()?.len())
}

/// Writes [`N_POSTS`] posts as JSON lines, repeating the training posts of covid.
pub(crate) fn write_posts(covid: &Path, file: &Path) -> Result<()> {
    let records: Vec<_> =
        RecordReader::open(covid.join("train.csv"), &options("tweet"), None)?.collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for record in records.iter().cycle().take(N_POSTS) {
        serde_json::to_writer(&mut out, &serde_json::json!({ "tweet": record.text }))?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
