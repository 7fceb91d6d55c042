//! A data set of tokens on disk, so that the texts need not be read and cut again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TextDataset;
use super::texts::Texts;
use super::tokens::{Storage, Tokens};
use crate::{Error, Result};

/// What a saved data set knows beside its tokens.
#[derive(Serialize, Deserialize)]
struct Index {
    /// Number of tokens of each text.
    lengths: Vec<u32>,
    labels: Vec<u32>,
    domains: Vec<Option<u32>>,
    domain_names: Vec<String>,
    /// Of all of it, tokens included.
    content: u64,
}

impl TextDataset {
    /// Writes the tokens as `PATH.tokens` and the rest as `PATH.json`. Of a [`subset`](Self::subset) all texts are written that it
    /// was taken from; the padding is not.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let [tokens, index] = files(path.as_ref());
        let texts = &self.texts;
        texts.tokens.save(&tokens)?;
        let lengths = std::iter::once(0).chain(texts.ends.iter().copied()).zip(&texts.ends);
        let content = Index {
            lengths: lengths.map(|(start, end)| (end - start) as u32).collect(),
            labels: texts.labels.clone(),
            domains: texts.domains.clone(),
            domain_names: texts.domain_names.clone(),
            content: texts.content,
        };
        let io = |source| Error::io(&index, source);
        let mut file = BufWriter::new(File::create(&index).map_err(io)?);
        serde_json::to_writer(&mut file, &content).map_err(|error| io(error.into()))?;
        file.flush().map_err(io)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what was written.
    pub fn load(path: impl AsRef<Path>, storage: &Storage) -> Result<Self> {
        let [tokens_file, index_file] = files(path.as_ref());
        let file = File::open(&index_file).map_err(|source| Error::io(&index_file, source))?;
        let index: Index = serde_json::from_reader(BufReader::new(file))
            .map_err(|error| Error::file(&index_file, format!("this is no index of tokens: {error}")))?;
        let mut end = 0;
        let ends: Vec<usize> = index
            .lengths
            .iter()
            .map(|&length| {
                end += length as usize;
                end
            })
            .collect();
        let tokens = Tokens::open(&tokens_file, end, storage)?;
        let Index { labels, domains, domain_names, content, .. } = index;
        let mut texts = Texts { tokens, ends, labels, domains, domain_names, content: 0 };
        let damaged = |file: &Path| Error::file(file, "damaged: it does not hold what was written");
        if !texts.is_consistent() {
            return Err(damaged(&index_file));
        }
        texts.content = texts.fingerprint()?;
        match texts.content == content {
            true => Ok(Self::of(texts)),
            false => Err(damaged(&tokens_file)),
        }
    }
}

fn files(path: &Path) -> [PathBuf; 2] {
    ["tokens", "json"].map(|ending| path.with_extension(ending))
}
