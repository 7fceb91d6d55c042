//! The settings of a tokenizer in the files of a Hugging Face model.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// The contents of `tokenizer_config.json`, `special_tokens_map.json` and `config.json`; empty for missing files.
#[derive(Debug, Default)]
pub(super) struct TokenizerSettings {
    tokenizer: Value,
    special_tokens: Value,
    model: Value,
}

/// The special tokens of a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpecialTokens {
    /// The first token of each text.
    pub(super) cls: Option<String>,
    /// The last token of each text.
    pub(super) sep: Option<String>,
    pub(super) padding: Option<String>,
    pub(super) unknown: Option<String>,
    pub(super) mask: Option<String>,
}

impl TokenizerSettings {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        Ok(Self {
            tokenizer: read_json(&dir.join("tokenizer_config.json"))?.unwrap_or_default(),
            special_tokens: read_json(&dir.join("special_tokens_map.json"))?.unwrap_or_default(),
            model: read_json(&dir.join("config.json"))?.unwrap_or_default(),
        })
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.tokenizer[name].as_bool()
    }

    /// Returns the maximum number of tokens per text; values that mean "no limit" are ignored.
    pub(super) fn max_length(&self) -> Option<usize> {
        let length = self.tokenizer["model_max_length"].as_f64()?;
        (1.0..1e6).contains(&length).then_some(length as usize)
    }

    /// Returns the family of the encoder, such as `xlm-roberta`.
    pub(super) fn model_type(&self) -> Option<&str> {
        self.model["model_type"].as_str()
    }

    /// Returns the id of the padding token in the encoder's configuration.
    pub(super) fn padding_id(&self) -> Option<u32> {
        self.model["pad_token_id"].as_u64().and_then(|id| id.try_into().ok())
    }

    /// Returns the special tokens that occur in the vocabulary: those of the settings, else those of BERT or RoBERTa.
    pub(super) fn special_tokens(&self, contains: impl Fn(&str) -> bool) -> SpecialTokens {
        let find = |key: &str, defaults: [&str; 2]| {
            let settings = [&self.tokenizer, &self.special_tokens].map(|file| token_name(&file[key]));
            let names = settings.into_iter().flatten().chain(defaults);
            names.into_iter().find(|name| contains(name)).map(str::to_owned)
        };
        SpecialTokens {
            cls: find("cls_token", ["[CLS]", "<s>"]),
            sep: find("sep_token", ["[SEP]", "</s>"]),
            padding: find("pad_token", ["[PAD]", "<pad>"]),
            unknown: find("unk_token", ["[UNK]", "<unk>"]),
            mask: find("mask_token", ["[MASK]", "<mask>"]),
        }
    }
}

/// Returns the token of a setting: a string, or an object with its content.
fn token_name(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// Reads a JSON file; returns `None` if it does not exist.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, error)),
    };
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|error| Error::file(path, format!("expected JSON: {error}")))
}
