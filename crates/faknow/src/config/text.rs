//! The table `[text]` of a config: how texts become tokens.

use std::path::PathBuf;

use faknow_data::text::TokenStorage;
use faknow_data::text::{TokenizerConfig, TokenizerKind};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How texts become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// `en` (Unicode words) or `zh` (jieba). Default `en`.
    pub language: String,
    /// Another tokenizer than the language's: `words`, `jieba`, `characters`, `alphanumeric`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerKind>,
    /// Whether words are lower-cased. Default true.
    pub lowercase: bool,
    /// Whether punctuation, symbols and emoji are tokens too. Default false.
    pub punctuation: bool,
    /// Whether web addresses become one token `<url>`. Default true.
    pub normalize_urls: bool,
    /// Whether @names become one token `<user>`. Default false.
    pub normalize_mentions: bool,
    /// File of words to leave out, one a line. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_words: Option<PathBuf>,
    /// Tokens after which a text is cut, at least 1. Default 255, FaKnow's.
    pub max_length: usize,
    /// Occurrences in the training texts from which a word has a number of its own. Default 1.
    pub min_count: u64,
    /// Largest size of the vocabulary, padding and unknown word included; 0 for no limit. Default 0.
    pub max_vocab: usize,
    /// File of pretrained word vectors, word2vec or GloVe as text. Default: random vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// Most MiB of memory that the tokens of a data set take, 4 bytes a token; if there are more, they go to a file, in `cache` or
    /// the system's directory for temporary files, and batches are read from there. Default 1024.
    pub memory: u64,
    /// Directory in which the tokens are kept, to be found again by the next run on the same texts with the same settings. Default:
    /// none, texts are read and cut by each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            language: "en".into(),
            tokenizer: None,
            lowercase: true,
            punctuation: false,
            normalize_urls: true,
            normalize_mentions: false,
            stop_words: None,
            max_length: 255,
            min_count: 1,
            max_vocab: 0,
            vectors: None,
            memory: 1024,
            cache: None,
        }
    }
}

impl TextConfig {
    /// Where the tokens of the data sets lie.
    pub(crate) fn storage(&self) -> TokenStorage {
        TokenStorage { max_bytes: Some(self.memory.saturating_mul(1 << 20)), dir: self.cache.clone() }
    }

    /// The tokenizer's own settings, with the stop words read.
    ///
    /// # Errors
    /// The language is unknown, or the stop words cannot be read.
    pub fn tokenizer_config(&self) -> Result<TokenizerConfig> {
        let mut config =
            TokenizerConfig::for_language(&self.language).map_err(|e| Error::setting("text.language", e))?;
        if let Some(kind) = self.tokenizer {
            config.kind = kind;
        }
        config.lowercase = self.lowercase;
        config.punctuation = self.punctuation;
        config.normalize_urls = self.normalize_urls;
        config.normalize_mentions = self.normalize_mentions;
        config.max_length = Some(self.max_length);
        if let Some(path) = &self.stop_words {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            config.stop_words =
                text.lines().map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        }
        Ok(config)
    }
}
