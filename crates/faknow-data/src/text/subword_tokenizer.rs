//! Subword tokenizers of encoders such as BERT, loaded from Hugging Face directories.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokenizers::{Encoding, TruncationParams};

use super::subword::{ENCODER_HELP, Subword};
use super::subword_files;
use super::tokenizer_settings::TokenizerSettings;
use crate::common::{panic_message, write_atomically};
use crate::{Error, Fingerprint, Result};

/// The tokenizer of an encoder. Clones share its vocabulary.
///
/// Token ids are those of the library `transformers`, special tokens included: the first and the last token of each text are
/// special, also of a truncated one.
///
/// ```no_run
/// use faknow_data::text::SubwordTokenizer;
///
/// let tokenizer = SubwordTokenizer::load("bert-base-uncased")?.with_max_length(128)?;
/// let ids = tokenizer.tokenize("Aliens have landed!")?;
/// assert!(ids.len() <= 128);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone)]
pub struct SubwordTokenizer {
    tokenizer: Arc<tokenizers::Tokenizer>,
    max_length: usize,
    padding_id: u32,
    unknown_id: Option<u32>,
    mask_id: Option<u32>,
    /// Number of special tokens that are added to each text.
    n_special: usize,
    /// The settings to save with the tokenizer.
    saved_settings: serde_json::Value,
}

impl SubwordTokenizer {
    /// Loads the tokenizer of a Hugging Face directory: `tokenizer.json`, else `vocab.txt` (WordPiece of BERT), else `vocab.json`
    /// and `merges.txt` (byte-level BPE of RoBERTa), else a SentencePiece model (XLM-R, DeBERTa-v3). Texts are truncated to
    /// `model_max_length` of `tokenizer_config.json`, if set, else to 512 tokens.
    ///
    /// # Errors
    /// The directory has no tokenizer, or a file of it is invalid.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        if !dir.is_dir() {
            let message = format!("expected the Hugging Face directory of an encoder; {ENCODER_HELP}");
            return Err(Error::file(dir, message));
        }
        let settings = TokenizerSettings::read(dir)?;
        let mut tokenizer = subword_files::load(dir, &settings)?;
        tokenizer.with_padding(None);
        let special = settings.special_tokens(|token| tokenizer.token_to_id(token).is_some());
        let id = |token: &Option<String>| tokenizer.token_to_id(token.as_ref()?);
        let max_length = settings.max_length().unwrap_or(512);
        let n_special = tokenizer.get_post_processor().map_or(0, |it| {
            use tokenizers::PostProcessor as _;
            it.added_tokens(false)
        });
        let loaded = Self {
            max_length,
            padding_id: id(&special.padding).or(settings.padding_id()).unwrap_or(0),
            unknown_id: id(&special.unknown),
            mask_id: id(&special.mask),
            n_special,
            saved_settings: serde_json::json!({
                "cls_token": special.cls, "sep_token": special.sep, "pad_token": special.padding,
                "unk_token": special.unknown, "mask_token": special.mask,
            }),
            tokenizer: Arc::new(tokenizer),
        };
        loaded.with_max_length(max_length.max(n_special + 1))
    }

    /// Sets the number of tokens, special tokens included, to which texts are truncated; the last special token remains.
    ///
    /// # Errors
    /// [`Error::Setting`]: there would be no place for a token besides the special ones.
    pub fn with_max_length(mut self, max_length: usize) -> Result<Self> {
        let min = self.n_special + 1;
        if max_length < min {
            let expected = format!("at least {min}: {} special tokens and one of the text", self.n_special);
            return Err(Error::Setting { name: "max_length", expected, got: max_length.to_string() });
        }
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        let set = Arc::make_mut(&mut self.tokenizer).with_truncation(Some(truncation));
        set.map_err(|error| Error::Dataset(format!("tokenizer: {error}")))?;
        self.saved_settings["model_max_length"] = max_length.into();
        self.max_length = max_length;
        Ok(self)
    }

    /// Returns the token ids of a text, special tokens included.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the tokenizer fails, such as one without a token for unknown characters.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode(text, false)?.get_ids().to_vec())
    }

    /// Returns the tokens of a text with their places, special tokens included.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn subwords(&self, text: &str) -> Result<Vec<Subword>> {
        let encoding = self.encode(text, true)?;
        let special = encoding.get_special_tokens_mask().iter();
        let ids = encoding.get_ids().iter().zip(encoding.get_tokens());
        let places = encoding.get_offsets().iter().zip(special);
        let subwords = ids.zip(places).map(|((&id, token), (&(start, end), &is_special))| Subword {
            id,
            token: token.clone(),
            // Tokens of bytes can be parts of a character.
            range: (is_special == 0).then(|| text.floor_char_boundary(start)..text.ceil_char_boundary(end)),
        });
        Ok(subwords.collect())
    }

    fn encode(&self, text: &str, has_places: bool) -> Result<Encoding> {
        let encode = || match has_places {
            true => self.tokenizer.encode(text, true),
            false => self.tokenizer.encode_fast(text, true),
        };
        // Tables in files of tokenizers are not checked before use: corrupted ones lead to panics.
        let result = catch_unwind(AssertUnwindSafe(encode));
        let result = result.unwrap_or_else(|panic| Err(panic_message(&*panic).into()));
        result.map_err(|error| Error::Dataset(format!("the tokenizer of the encoder failed: {error}")))
    }

    /// Returns the number of token ids: all are lower.
    pub fn n_tokens(&self) -> usize {
        let ids = self.tokenizer.get_vocab(true).into_values();
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// Returns the maximum number of tokens per text, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Returns the id that pads batches.
    pub fn padding_id(&self) -> u32 {
        self.padding_id
    }

    /// Returns the id of what the vocabulary cannot represent; `None` for tokenizers of bytes without such a token.
    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown_id
    }

    /// Returns the id of the token for hidden parts of a text.
    pub fn mask_id(&self) -> Option<u32> {
        self.mask_id
    }

    /// Returns the token with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Returns the text of tokens without special ones, as far as the tokenizer keeps it; `None` if it cannot join them.
    pub fn decode(&self, ids: &[u32]) -> Option<String> {
        self.tokenizer.decode(ids, true).ok()
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` to a directory, from which [`load`](Self::load) restores the same
    /// tokenizer, whatever files it was loaded from.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let settings = dir.join("tokenizer_config.json");
        write_atomically(&settings, |file| Ok(serde_json::to_writer_pretty(file, &self.saved_settings)?))
            .map_err(|source| Error::io(&settings, source))?;
        let path = dir.join("tokenizer.json");
        let json = self.to_json()?;
        write_atomically(&path, |file| std::io::Write::write_all(file, json.as_bytes()))
            .map_err(|source| Error::io(&path, source))
    }

    /// Returns a hash of everything that determines the tokens of texts.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the tokenizer cannot be serialized.
    pub fn fingerprint(&self) -> Result<u64> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add_str(&self.to_json()?);
        Ok(fingerprint.finish())
    }

    fn to_json(&self) -> Result<String> {
        let json = self.tokenizer.to_string(false);
        json.map_err(|error| Error::Dataset(format!("the tokenizer of the encoder cannot be saved: {error}")))
    }
}

impl fmt::Debug for SubwordTokenizer {
    /// Omits the vocabulary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubwordTokenizer").field("max_length", &self.max_length).finish_non_exhaustive()
    }
}
