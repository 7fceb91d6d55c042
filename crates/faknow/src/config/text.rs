//! The table `[text]` of a config: tokenization of texts.

use std::path::PathBuf;

use faknow_data::text::TokenStorage;
use faknow_data::text::{TokenizerConfig, TokenizerKind};
use serde::{Deserialize, Serialize};

use crate::config::names::similar_name;
use crate::models::Fields;
use crate::{Error, Result};

/// Tokenization of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// `en` (Unicode words) or `zh` (jieba). Default `en`.
    pub language: String,
    /// The tokenizer: `words`, `jieba`, `characters`, `alphanumeric`. Default: that of the language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerKind>,
    /// Whether texts are lowercased. Default true.
    pub lowercase: bool,
    /// Whether punctuation, symbols and emoji are tokens too. Default: true, except for n-grams of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub punctuation: Option<bool>,
    /// Whether URLs are replaced by the token `<url>`. Default true.
    pub normalize_urls: bool,
    /// Whether @mentions are replaced by the token `<user>`. Default false.
    pub normalize_mentions: bool,
    /// Whether texts are tokenized in Unicode's normalization form NFKC, without characters that are not visible. Default true.
    pub normalize_unicode: bool,
    /// File of stop words to remove, one per line. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_words: Option<PathBuf>,
    /// Maximum number of tokens of a text, at least 1; longer texts are truncated. Default 255, as in FaKnow.
    pub max_length: usize,
    /// Minimum number of occurrences in the training texts of a word of the vocabulary. Default 1.
    pub min_count: u64,
    /// Maximum size of the vocabulary, including padding and the unknown word; 0 for no limit. Default 0.
    pub max_vocab: usize,
    /// File of pretrained word vectors: GloVe, word2vec or fastText, as text or binary. Default: random vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// Directory of a pretrained encoder such as BERT, in the format of Hugging Face: configuration, weights and tokenizer. Its
    /// tokenizer replaces the settings above, except `max_length`. Default: none, the model reads words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PathBuf>,
    /// Directory of emotion lexicons, from which emotion features without a column are computed:
    /// [`EmotionLexicons`](faknow_data::emotion::EmotionLexicons) lists its files. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexicons: Option<PathBuf>,
    /// Maximum memory in MiB for the tokens of a dataset, 4 bytes per token; larger datasets are read from a file in `cache`
    /// or the system's temporary directory. Default 1024.
    pub memory: u64,
    /// Directory of cached tokens and of the output of encoders that are not trained, for later runs with the same texts and
    /// settings. Default: none, each run tokenizes and encodes the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            language: "en".into(),
            tokenizer: None,
            lowercase: true,
            punctuation: None,
            normalize_urls: true,
            normalize_mentions: false,
            normalize_unicode: true,
            stop_words: None,
            max_length: 255,
            min_count: 1,
            max_vocab: 0,
            vectors: None,
            encoder: None,
            lexicons: None,
            memory: 1024,
            cache: None,
        }
    }
}

impl TextConfig {
    /// Returns the storage of the tokens.
    pub(crate) fn storage(&self) -> TokenStorage {
        TokenStorage { max_bytes: Some(self.memory.saturating_mul(1 << 20)), dir: self.cache.clone() }
    }

    /// Returns the settings of the tokenizer for a model with these input fields. Models of n-grams read Chinese as characters,
    /// unless the config sets another tokenizer, and words without punctuation, unless it sets that.
    ///
    /// # Errors
    /// As for [`tokenizer_config`](Self::tokenizer_config).
    pub(crate) fn tokenizer_config_for(&self, fields: &Fields) -> Result<TokenizerConfig> {
        let mut config = self.tokenizer_config()?;
        if fields.ngrams.is_some() {
            if self.tokenizer.is_none() && config.kind == TokenizerKind::Jieba {
                config.kind = TokenizerKind::Characters;
            }
            config.punctuation = self.punctuation.unwrap_or(config.kind == TokenizerKind::Characters);
        }
        Ok(config)
    }

    /// Returns the settings of the tokenizer, with the stop words of their file.
    ///
    /// # Errors
    /// The language is unknown, or the file of stop words cannot be read.
    pub fn tokenizer_config(&self) -> Result<TokenizerConfig> {
        let mut config = TokenizerConfig::for_language(&self.language).map_err(|error| {
            let hint = similar_name(&self.language, &["en", "zh"]);
            match Error::from_data("text.language", error) {
                Error::Config { key, message } => Error::Config { key, message: message + &hint },
                other => other,
            }
        })?;
        if let Some(kind) = self.tokenizer {
            config.kind = kind;
        }
        config.lowercase = self.lowercase;
        config.punctuation = self.punctuation.unwrap_or(config.punctuation);
        config.normalize_urls = self.normalize_urls;
        config.normalize_mentions = self.normalize_mentions;
        config.normalize_unicode = self.normalize_unicode;
        config.max_length = Some(self.max_length);
        if let Some(path) = &self.stop_words {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            config.stop_words =
                text.lines().map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        }
        Ok(config)
    }
}
