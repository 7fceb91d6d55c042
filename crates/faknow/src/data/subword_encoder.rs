//! The encoder of texts as subwords, with the pretrained encoder that reads them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use faknow_data::common::write_atomically;
use faknow_data::text::{ENCODER_HELP, SubwordTokenizer, TokenStorage};
use faknow_data::{FieldDataset, Record};
use faknow_model::encoder::{EncoderConfig, PretrainedEncoder};
use twox_hash::XxHash3_128;

use crate::config::TextConfig;
use crate::files::remove_if_present;
use crate::{Error, Result};

/// Directory of the encoder in a run directory.
pub(crate) const ENCODER: &str = "encoder";

/// The files of the encoder in a run directory, without the weights.
pub(crate) const ENCODER_FILES: [&str; 3] =
    ["encoder/config.json", "encoder/tokenizer.json", "encoder/tokenizer_config.json"];

const CONFIG: &str = "config.json";

/// An encoder of texts as subwords.
#[derive(Debug, Clone)]
pub(crate) struct SubwordEncoder {
    pub(crate) tokenizer: SubwordTokenizer,
    /// The directory of the configuration and the weights.
    dir: PathBuf,
    /// Whether a run may lack weights of the encoder, since they are in its checkpoints.
    is_of_run: bool,
}

impl SubwordEncoder {
    /// Opens the Hugging Face directory of a config; returns `None` if the config has none.
    ///
    /// # Errors
    /// The directory is incomplete, or texts would be longer than the encoder accepts.
    pub(crate) fn open(text: &TextConfig) -> Result<Option<Self>> {
        let Some(dir) = &text.encoder else { return Ok(None) };
        let error = |message: String| Error::config("text.encoder", message);
        if !dir.is_dir() {
            let message = format!("expected the directory of an encoder, got `{}`", dir.display());
            return Err(error(format!("{message}; {ENCODER_HELP}")));
        }
        if weight_files(dir)?.is_empty() {
            let message =
                format!("expected `model.safetensors` or `pytorch_model.bin` in `{}`", dir.display());
            return Err(error(format!("{message}, which has no weights; {ENCODER_HELP}")));
        }
        let encoder = Self { tokenizer: SubwordTokenizer::load(dir)?, dir: dir.clone(), is_of_run: false };
        let config = encoder.config()?;
        let (max_length, n_positions) = (text.max_length, config.max_len());
        if i64::try_from(max_length).is_ok_and(|length| length > n_positions) {
            let message =
                format!("expected at most {n_positions} tokens, as the encoder accepts, got {max_length}");
            return Err(Error::config("text.max_length", message));
        }
        let (n_tokens, vocab_size) = (encoder.tokenizer.n_tokens(), config.vocab_size);
        if i64::try_from(n_tokens).is_ok_and(|n_tokens| n_tokens > vocab_size) {
            let message = "expected tokenizer and weights of the same encoder";
            return Err(error(format!(
                "{message}, got a tokenizer with {n_tokens} tokens and weights for {vocab_size}"
            )));
        }
        let tokenizer = encoder.tokenizer.clone().with_max_length(max_length);
        let tokenizer = tokenizer.map_err(|error| Error::from_data("text.max_length", error))?;
        Ok(Some(Self { tokenizer, ..encoder }))
    }

    /// Loads the encoder of a run directory.
    pub(crate) fn load(run: &Path) -> Result<Self> {
        let dir = run.join(ENCODER);
        Ok(Self { tokenizer: SubwordTokenizer::load(&dir)?, dir, is_of_run: true })
    }

    /// Writes configuration and tokenizer into a run directory, and the weights if they are not part of its checkpoints.
    pub(crate) fn save(&self, run: &Path, with_weights: bool) -> Result<()> {
        let dir = run.join(ENCODER);
        fs::create_dir_all(&dir).map_err(|error| Error::io(&dir, error))?;
        self.tokenizer.save(&dir)?;
        let names = if with_weights { weight_files(&self.dir)? } else { Vec::new() };
        for name in names.iter().map(String::as_str).chain([CONFIG]) {
            let (from, to) = (self.dir.join(name), dir.join(name));
            if from != to {
                link_or_copy(&from, &to, name != CONFIG).map_err(|error| Error::io(&to, error))?;
            }
        }
        Ok(())
    }

    /// Writes configuration, tokenizer, and the weights by `save_weights`, into the directory `dir`.
    ///
    /// # Errors
    /// The directory already contains a model, or a file cannot be written.
    pub(crate) fn save_to(&self, dir: &Path, save_weights: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if dir.join(CONFIG).exists() {
            return Err(Error::io(
                dir,
                io::Error::other("the directory already contains a model; choose another one"),
            ));
        }
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        self.tokenizer.save(dir)?;
        save_weights(&dir.join("model.safetensors"))?;
        let (from, to) = (self.dir.join(CONFIG), dir.join(CONFIG));
        link_or_copy(&from, &to, false).map_err(|error| Error::io(&to, error))
    }

    /// Returns the names of the weights in a run directory, relative to it.
    pub(crate) fn saved_weights(run: &Path) -> Result<Vec<String>> {
        let dir = run.join(ENCODER);
        let names = if dir.is_dir() { weight_files(&dir)? } else { Vec::new() };
        Ok(names.into_iter().map(|name| format!("{ENCODER}/{name}")).collect())
    }

    /// Encodes records; `domains` are those of the training data, `None` for the training data.
    pub(crate) fn dataset<I>(
        &self,
        records: I,
        domains: Option<&[String]>,
        storage: &TokenStorage,
    ) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        Ok(FieldDataset::from_subwords(records, &self.tokenizer, domains, storage)?)
    }

    /// Reads the weights; those of a run whose checkpoints contain them are random.
    pub(crate) fn pretrained(&self) -> Result<PretrainedEncoder> {
        if self.is_of_run && weight_files(&self.dir)?.is_empty() {
            return Ok(PretrainedEncoder::random(self.config()?));
        }
        PretrainedEncoder::open(&self.dir).map_err(of_encoder)
    }

    /// Returns a checksum of the configuration and the weights.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let mut hash = XxHash3_128::new();
        for name in weight_files(&self.dir)?.iter().map(String::as_str).chain([CONFIG]) {
            let path = self.dir.join(name);
            let mut file = fs::File::open(&path).map_err(|error| Error::io(&path, error))?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                match io::Read::read(&mut file, &mut buffer).map_err(|error| Error::io(&path, error))? {
                    0 => break,
                    n => hash.write(&buffer[..n]),
                }
            }
        }
        Ok(format!("{:032x}", hash.finish_128()))
    }

    /// Reads the configuration.
    pub(crate) fn config(&self) -> Result<EncoderConfig> {
        EncoderConfig::read(&self.dir).map_err(of_encoder)
    }
}

/// Returns the names of the files of weights in a directory: those of safetensors, else those of PyTorch.
fn weight_files(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    for (prefix, extension) in [("model", ".safetensors"), ("pytorch_model", ".bin")] {
        let is_weights = |name: &&String| {
            let end = name.strip_suffix(".index.json").unwrap_or(name);
            name.starts_with(prefix) && end.ends_with(extension)
        };
        let mut found: Vec<String> = names.iter().filter(is_weights).cloned().collect();
        if !found.is_empty() {
            found.sort_unstable();
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Makes `to` a hard link of `from`, or a copy on another file system; a small file is always copied.
pub(crate) fn link_or_copy(from: &Path, to: &Path, may_link: bool) -> io::Result<()> {
    remove_if_present(to)?;
    // Links of links would name a file that may be replaced.
    let from = fs::canonicalize(from)?;
    if may_link && fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    write_atomically(to, |file| io::copy(&mut fs::File::open(&from)?, file).map(drop))
}

fn of_encoder(error: faknow_model::Error) -> Error {
    match error {
        faknow_model::Error::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
            Error::config("text.encoder", format!("{}: {source}; {ENCODER_HELP}", path.display()))
        }
        faknow_model::Error::Config { name, expected, got, .. } => {
            Error::config("text.encoder", format!("config.json: {name}: expected {expected}, got {got}"))
        }
        other => Error::Model(other),
    }
}
