//! Tokens of whole corpora on disk, found again by what they were made from.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use faknow_data::FieldDataset;
use faknow_data::text::TokenStorage;
use faknow_data::text::{TokenizerConfig, Vocab, VocabOptions};
use serde_json::json;
use twox_hash::XxHash3_128;

use crate::config::Config;
use crate::data::corpus::TestRecords;
use crate::files::{read_json, write_json};
use crate::{Error, Result};

/// Goes up when the same files and settings give other tokens than before.
const VERSION: u32 = 2;

const VOCAB: &str = "vocab.txt";
/// The fingerprint of the words: a list that lacks some is still a list.
const WORDS: &str = "words.json";

/// A corpus as it comes out of its files.
pub(crate) struct Tokenized {
    pub(crate) train: FieldDataset,
    pub(crate) valid: Option<FieldDataset>,
    pub(crate) test: Option<FieldDataset>,
    pub(crate) vocab: Vocab,
}

/// Where a corpus is cached. Its name is a checksum of all that the tokens come from: what the files hold, how they are read and
/// split, how texts are tokenized, which words are retained. What has changed is not found, whatever its date.
pub(crate) struct TextCache {
    dir: PathBuf,
}

impl TextCache {
    /// `None` without a cache.
    pub(crate) fn new(
        config: &Config,
        test_records: TestRecords,
        tokenizer: &TokenizerConfig,
        vocab: &VocabOptions,
    ) -> Result<Option<Self>> {
        let Some(cache) = &config.text.cache else { return Ok(None) };
        let data = &config.data;
        let files = [&data.train, &data.valid, &data.test];
        let contents = files.map(|file| file.as_deref().map(checksum).transpose());
        let [train, valid, test] = contents;
        let made_from = json!({
            "version": [json!(VERSION), json!(env!("CARGO_PKG_VERSION"))],
            "files": [train?, valid?, test?],
            "formats": files.map(|file| file.as_ref().and_then(|file| file.extension()?.to_str().map(str::to_lowercase))),
            "records": [json!(data.text), json!(data.label), json!(data.domain), json!(data.classes), json!(data.values),
                json!(data.format), json!(data.header), json!(data.quotes)],
            "parts": [json!(data.split), json!(data.fold), json!(config.seed), json!(test_records == TestRecords::Used)],
            "tokenizer": tokenizer,
            "vocab": vocab,
        });
        let name = format!("{:032x}", XxHash3_128::oneshot(made_from.to_string().as_bytes()));
        Ok(Some(Self { dir: cache.join(name) }))
    }

    /// The corpus, if it is there; what cannot be used is logged, and removed.
    pub(crate) fn find(&self, storage: &TokenStorage) -> Option<Tokenized> {
        if !self.dir.exists() {
            return None;
        }
        match self.load(storage) {
            Ok(found) => {
                tracing::debug!("tokens are taken from {}", self.dir.display());
                Some(found)
            }
            Err(error) => {
                tracing::warn!("{error}; the texts are read instead");
                let _ = std::fs::remove_dir_all(&self.dir);
                None
            }
        }
    }

    fn load(&self, storage: &TokenStorage) -> Result<Tokenized> {
        let load = |name: &str| FieldDataset::load(self.dir.join(name), storage);
        let optional =
            |name: &str| self.dir.join(name).with_extension("json").exists().then(|| load(name)).transpose();
        let vocab = Vocab::load(self.dir.join(VOCAB))?;
        if vocab.fingerprint() != read_json::<u64>(&self.dir.join(WORDS))? {
            let file = self.dir.join(VOCAB);
            return Err(
                faknow_data::Error::file(file, "corrupted: the contents differ from what was saved").into()
            );
        }
        Ok(Tokenized { vocab, train: load("train")?, valid: optional("valid")?, test: optional("test")? })
    }

    /// Saves a corpus; a failure is logged, and no reason to end.
    pub(crate) fn keep(&self, corpus: &Tokenized) {
        if let Err(error) = self.save(corpus) {
            tracing::warn!("{error}; the tokens are not cached");
        }
    }

    /// In a temporary directory that is renamed when it is complete, so that no run finds half of it.
    fn save(&self, corpus: &Tokenized) -> Result<()> {
        let making = self.dir.with_extension(format!("{}.part", std::process::id()));
        let io = |path: &Path, source| Error::from(faknow_data::Error::io(path, source));
        let write = || -> Result<()> {
            std::fs::create_dir_all(&making).map_err(|e| io(&making, e))?;
            corpus.vocab.save(making.join(VOCAB))?;
            write_json(&making.join(WORDS), &corpus.vocab.fingerprint())?;
            let parts = [
                ("train", Some(&corpus.train)),
                ("valid", corpus.valid.as_ref()),
                ("test", corpus.test.as_ref()),
            ];
            for (name, data) in parts {
                if let Some(data) = data {
                    data.save(making.join(name))?;
                }
            }
            match std::fs::rename(&making, &self.dir) {
                // Somebody else was faster.
                Err(_) if self.dir.exists() => Ok(()),
                renamed => renamed.map_err(|e| io(&self.dir, e)),
            }
        };
        let result = write();
        if making.exists() {
            let _ = std::fs::remove_dir_all(&making);
        }
        result
    }
}

/// The checksum of what a file holds.
fn checksum(path: &Path) -> Result<String> {
    let io = |source| faknow_data::Error::io(path, source);
    let mut file = File::open(path).map_err(io)?;
    let mut hash = XxHash3_128::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(format!("{:032x}", hash.finish_128())),
            n => hash.write(&buffer[..n]),
        }
    }
}
