//! A cache of tokenized datasets on disk, identified by their files and settings.

use std::io::Read;
use std::path::{Path, PathBuf};

use faknow_data::text::TokenStorage;
use faknow_data::text::Vocab;
use faknow_data::{FieldDataset, Input};
use faknow_report::{CHECKSUMS, Checksums};
use serde_json::{Value, json};
use twox_hash::XxHash3_128;

use crate::config::Config;
use crate::data::corpus::TestRecords;
use crate::data::left_out::LeftOutRecords;
use crate::files::{read_json, record_checksums, report_error, verify_files, write_json};
use crate::{Error, Result};

/// Version of the cache; incremented when the same files and settings result in different tokens.
const VERSION: u32 = 4;

const VOCAB: &str = "vocab.txt";
const LEFT_OUT: &str = "left_out.json";
const PARTS: [&str; 3] = ["train", "valid", "test"];

/// The tokenized datasets of a config, with their vocabulary.
pub(crate) struct Tokenized {
    pub(crate) train: FieldDataset,
    pub(crate) valid: Option<FieldDataset>,
    pub(crate) test: Option<FieldDataset>,
    /// The vocabulary of words; `None` for subwords.
    pub(crate) vocab: Option<Vocab>,
    pub(crate) left_out: LeftOutRecords,
}

/// The cache directory of a dataset. Its name is a checksum of everything that determines the tokens: contents of the
/// files, settings of reading, splitting and tokenization, and vocabulary. Modification times are not used.
pub(crate) struct TextCache {
    dir: PathBuf,
}

impl TextCache {
    /// Returns the cache for a config; `None` if `text.cache` is not set.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub(crate) fn new(config: &Config, test_records: TestRecords, texts: &Value) -> Result<Option<Self>> {
        let Some(cache) = &config.text.cache else { return Ok(None) };
        let data = &config.data;
        let files = [&data.train, &data.valid, &data.test];
        let paths = || files.into_iter().map(|files| files.iter().flat_map(|files| files.files()));
        let contents: Vec<Vec<(&Option<String>, String)>> = paths()
            .map(|files| files.map(|file| Ok((&file.label, checksum(&file.path)?))).collect::<Result<_>>())
            .collect::<Result<_>>()?;
        let formats: Vec<Vec<Option<String>>> = paths()
            .map(|files| files.map(|it| it.path.extension()?.to_str().map(str::to_lowercase)).collect())
            .collect();
        let inputs = json!({
            "version": [json!(VERSION), json!(env!("CARGO_PKG_VERSION"))],
            "files": contents,
            "formats": formats,
            "records": [json!(data.text), json!(data.label), json!(data.domain), json!(data.classes), json!(data.values),
                json!(data.format), json!(data.encoding), json!(data.delimiter), json!(data.header), json!(data.quotes), json!(data.drop_classes),
                json!(data.skip_broken)],
            "parts": [json!(data.split), json!(data.fold), json!(config.seed), json!(test_records == TestRecords::Include)],
            "texts": texts,
        });
        let name = format!("{:032x}", XxHash3_128::oneshot(inputs.to_string().as_bytes()));
        Ok(Some(Self { dir: cache.join(name) }))
    }

    /// Returns the cached datasets, if there are any; an unusable cache is removed with a warning.
    pub(crate) fn find(&self, storage: &TokenStorage) -> Option<Tokenized> {
        if !self.dir.exists() {
            return None;
        }
        match self.load(storage) {
            Ok(cached) => {
                tracing::debug!("using cached tokens in {}", self.dir.display());
                Some(cached)
            }
            Err(error) => {
                // Without what helps for a run directory.
                let message = error.to_string();
                let problem = message.split("; ").next().unwrap_or(&message);
                tracing::warn!("{problem}; tokenizing the texts again");
                let _ = std::fs::remove_dir_all(&self.dir);
                None
            }
        }
    }

    fn load(&self, storage: &TokenStorage) -> Result<Tokenized> {
        let load = |name: &str| FieldDataset::load(self.dir.join(name), storage);
        // Also those of absent parts: a file that is missing is not an absent dataset.
        let checksums = Checksums::read(&self.dir).map_err(report_error)?;
        let names: Vec<&str> = checksums.names().collect();
        if !names.contains(&LEFT_OUT) {
            return Err(faknow_data::Error::file(self.dir.join(CHECKSUMS), "the file is missing").into());
        }
        verify_files(&self.dir, &names)?;
        let has_part = |name: &str| names.contains(&format!("{name}.json").as_str());
        let optional = |name: &str| has_part(name).then(|| load(name)).transpose();
        let has_vocab = names.contains(&VOCAB);
        let vocab = has_vocab.then(|| Vocab::load(self.dir.join(VOCAB))).transpose()?;
        let left_out = LeftOutRecords::new(read_json(&self.dir, LEFT_OUT)?.unwrap_or_default());
        let (valid, test) = (optional("valid")?, optional("test")?);
        Ok(Tokenized { vocab, train: load("train")?, valid, test, left_out })
    }

    /// Saves tokenized datasets; a failure is only logged.
    pub(crate) fn store(&self, corpus: &Tokenized) {
        if let Err(error) = self.save(corpus) {
            tracing::warn!("{error}; tokens are not cached");
        }
    }

    /// Saves tokenized datasets in a temporary directory and renames it, so that no run reads an incomplete cache.
    fn save(&self, corpus: &Tokenized) -> Result<()> {
        let staging = self.dir.with_extension(format!("{}.part", std::process::id()));
        let io = |path: &Path, source| Error::from(faknow_data::Error::io(path, source));
        let write = || -> Result<()> {
            std::fs::create_dir_all(&staging).map_err(|e| io(&staging, e))?;
            let files = PARTS.iter().flat_map(|part| [format!("{part}.json"), format!("{part}.tokens")]);
            let names: Vec<String> = files.chain([VOCAB.to_owned(), LEFT_OUT.to_owned()]).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            record_checksums(&staging, &names, || {
                corpus.vocab.as_ref().map_or(Ok(()), |vocab| vocab.save(staging.join(VOCAB)))?;
                write_json(&staging.join(LEFT_OUT), &corpus.left_out.files())?;
                let parts = [Some(&corpus.train), corpus.valid.as_ref(), corpus.test.as_ref()];
                for (name, data) in PARTS.iter().zip(parts) {
                    data.map_or(Ok(()), |data| data.save(staging.join(name)))?;
                }
                Ok(())
            })?;
            match std::fs::rename(&staging, &self.dir) {
                // Another process has saved the same datasets.
                Err(_) if self.dir.exists() => Ok(()),
                result => result.map_err(|e| io(&self.dir, e)),
            }
        };
        let result = write();
        if staging.exists() {
            let _ = std::fs::remove_dir_all(&staging);
        }
        result
    }
}

/// Returns the checksum of the content of a file, decompressed.
fn checksum(path: &Path) -> Result<String> {
    let io = |source| faknow_data::Error::io(path, source);
    let mut file = Input::open(path)?;
    let mut hash = XxHash3_128::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(format!("{:032x}", hash.finish_128())),
            n => hash.write(&buffer[..n]),
        }
    }
}
