//! Reading and cutting whole data sets, as training does before its first batch.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use faknow::data::text::TokenizerKind;
use faknow::data::{ColumnMap, ReadOptions, RecordReader};
use faknow::prelude::*;

/// Posts in the file that is judged.
pub(crate) const N_MANY: usize = 50_000;

/// How posts are read whose text stands in the column `text`.
pub(crate) fn options(text: &str) -> ReadOptions {
    let columns = ColumnMap { text: Some(text.into()), label: Some("label".into()), ..ColumnMap::default() };
    ReadOptions { columns, ..ReadOptions::default() }
}

/// Seconds to read `covid` by regular-expression words, or `weibo21` by jieba: the smallest of three, the dictionary loaded.
pub(crate) fn seconds(dir: &Path, set: &str) -> Result<f64> {
    let (kind, ending, text) = match set {
        "weibo21" => (TokenizerKind::Jieba, "jsonl", "text"),
        _ => (TokenizerKind::Alphanumeric, "csv", "tweet"),
    };
    let classes = Classes::new(["real", "fake"])?;
    let config = TokenizerConfig { kind, normalize_urls: false, ..TokenizerConfig::default() };
    let read = || -> Result<f64> {
        let start = Instant::now();
        let tokenizer = Tokenizer::new(config.clone())?;
        let open = |part: &str| {
            RecordReader::open(dir.join(format!("{part}.{ending}")), &options(text), Some(&classes))
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
    let mut smallest = read()?;
    for _ in 0..2 {
        smallest = smallest.min(read()?);
    }
    Ok(smallest)
}

/// Writes the training posts of covid again and again, as JSON lines.
pub(crate) fn write_many(covid: &Path, file: &Path) -> Result<()> {
    let records: Vec<_> =
        RecordReader::open(covid.join("train.csv"), &options("tweet"), None)?.collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for record in records.iter().cycle().take(N_MANY) {
        serde_json::to_writer(&mut out, &serde_json::json!({ "tweet": record.text }))?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
