//! Tokenization of texts.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::ascii;
use super::normalize::{Piece, split_marks};
use super::unicode;
use crate::{Error, Result};

/// A tokenization algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// Words as defined by Unicode Standard Annex 29, for languages written with spaces (the default): `can't` and `3.5` are
    /// one word each. Chinese is split into single characters.
    #[default]
    Words,
    /// Chinese words by jieba's dictionary and, for out-of-dictionary words, its hidden Markov model. The dictionary is loaded
    /// once, with the first text, which takes a moment. Requires the feature `chinese`.
    Jieba,
    /// User-perceived characters (grapheme clusters): a letter with its accents, an emoji with its modifiers.
    Characters,
    /// Runs of letters, digits and `_`, as returned by Python's `re.findall(r"\w+", text)`, except that vowel signs (of Indic
    /// scripts, for example) do not split words.
    Alphanumeric,
}

/// Settings of a [`Tokenizer`]; saved with a model, which requires texts tokenized the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Tokenization algorithm; default [`TokenizerKind::Words`].
    pub kind: TokenizerKind,
    /// Whether tokens are converted to lowercase; default true.
    pub lowercase: bool,
    /// Whether punctuation, symbols and emoji are tokens; default true.
    pub punctuation: bool,
    /// Whether each link is replaced by the token `<url>`; default true. If false, links are tokenized like other text.
    pub normalize_urls: bool,
    /// Whether each mention (`@name`) is replaced by the token `<user>`; default false. If false, names are tokenized like other
    /// text.
    pub normalize_mentions: bool,
    /// Whether texts are tokenized in Unicode's normalization form NFKC, in which compatible characters are the same (`ﬁ` and `fi`,
    /// fullwidth letters and ASCII), without characters that are not visible, such as zero-width spaces; default true. Joiners
    /// remain where they have a meaning: in Persian, in Indic scripts and in emoji. Links and mentions are found before.
    /// A saved tokenizer without this setting has the value false.
    #[serde(default)]
    pub normalize_unicode: bool,
    /// Tokens to remove, compared after conversion to [`lowercase`](Self::lowercase); default none. See
    /// [`stop_words`](super::stop_words).
    pub stop_words: Vec<String>,
    /// Number of tokens to which texts are truncated, at least 1, not counting stop words; default none.
    pub max_length: Option<usize>,
}

impl TokenizerConfig {
    /// Returns the defaults for a language: `"en"` (Unicode words) or `"zh"` (jieba).
    ///
    /// # Errors
    /// [`Error::Setting`]: another language.
    pub fn for_language(language: &str) -> Result<Self> {
        let kind = match language {
            "en" => TokenizerKind::Words,
            "zh" => TokenizerKind::Jieba,
            other => {
                let expected = "`en` or `zh`".to_owned();
                return Err(Error::Setting { name: "language", expected, got: format!("`{other}`") });
            }
        };
        Ok(Self { kind, ..Self::default() })
    }
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::Words,
            lowercase: true,
            punctuation: true,
            normalize_urls: true,
            normalize_mentions: false,
            normalize_unicode: true,
            stop_words: Vec::new(),
            max_length: None,
        }
    }
}

/// A deterministic tokenizer, whose tokens are not empty and contain no whitespace.
///
/// ```
/// use faknow_data::text::{Tokenizer, TokenizerConfig};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// assert_eq!(tokenizer.tokens("BREAKING: can't sleep? https://t.co/x1"), ["breaking", ":", "can't", "sleep", "?", "<url>"]);
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::for_language("zh")?)?;
/// assert_eq!(tokenizer.tokens("我们在北京，喝茶。"), ["我们", "在", "北京", ",", "喝茶", "。"]);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    config: TokenizerConfig,
    stop_words: HashSet<String>,
}

impl Tokenizer {
    /// Creates a tokenizer with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`]: `max_length` is 0, or the kind is [`TokenizerKind::Jieba`] and the feature `chinese` is disabled.
    pub fn new(config: TokenizerConfig) -> Result<Self> {
        if config.max_length == Some(0) {
            let expected = "at least 1".to_owned();
            return Err(Error::Setting { name: "tokenizer.max_length", expected, got: "0".to_owned() });
        }
        if config.kind == TokenizerKind::Jieba && cfg!(not(feature = "chinese")) {
            let expected = "another tokenizer, or a build with the feature `chinese`".to_owned();
            return Err(Error::Setting { name: "tokenizer.kind", expected, got: "`jieba`".to_owned() });
        }
        let normalize = |word: &String| {
            let word = if config.normalize_unicode {
                unicode::normalize(word)
            } else {
                Cow::Borrowed(word.as_str())
            };
            if config.lowercase { word.to_lowercase() } else { word.into_owned() }
        };
        let stop_words = config.stop_words.iter().map(normalize).collect();
        Ok(Self { config, stop_words })
    }

    /// Returns the settings.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// Calls `token` for each token of `text`, in order, without an allocation per token.
    pub fn tokenize(&self, text: &str, token: &mut impl FnMut(&str)) {
        let mut n_remaining = self.config.max_length.unwrap_or(usize::MAX);
        let mut scratch = String::new();
        // Returns whether to continue.
        let mut emit = |word: &str| {
            let word = if self.config.lowercase { lowercase(word, &mut scratch) } else { word };
            if !self.stop_words.is_empty() && self.stop_words.contains(word) {
                return true;
            }
            token(word);
            n_remaining -= 1;
            n_remaining > 0
        };
        split_marks(
            text,
            self.config.normalize_urls,
            self.config.normalize_mentions,
            &mut |piece| match piece {
                Piece::Mark(mark) => emit(mark),
                Piece::Text(text) => self.tokenize_piece(text, &mut emit),
            },
        );
    }

    /// Returns the tokens of `text`.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.tokenize(text, &mut |token| tokens.push(token.to_owned()));
        tokens
    }

    /// Calls `emit` for each token of `text` until it returns false; returns whether it never did.
    fn tokenize_piece(&self, text: &str, emit: &mut impl FnMut(&str) -> bool) -> bool {
        let by_unicode = &mut |text: &str, emit: &mut _| self.tokenize_unicode(text, emit);
        match self.config.kind {
            TokenizerKind::Words => ascii::words(text, self.config.punctuation, emit, by_unicode),
            TokenizerKind::Alphanumeric => ascii::runs(text, self.config.punctuation, emit, by_unicode),
            TokenizerKind::Jieba | TokenizerKind::Characters => self.tokenize_unicode(text, emit),
        }
    }

    /// Calls `emit` for each token like [`tokenize_piece`](Self::tokenize_piece), without the fast path for ASCII.
    fn tokenize_unicode<G: FnMut(&str) -> bool>(&self, text: &str, emit: &mut G) -> bool {
        let text = if self.config.normalize_unicode { unicode::normalize(text) } else { Cow::Borrowed(text) };
        let text = &*text;
        let is_alphanumeric = self.config.kind == TokenizerKind::Alphanumeric;
        let is_word = |c: char| c.is_alphanumeric() || (is_alphanumeric && c == '_');
        let emit = |token: &str| {
            // Whitespace belongs to an accent that follows it.
            let token = token.trim_matches(is_invisible).trim();
            let is_token = match self.config.punctuation {
                true => !token.is_empty(),
                false => token.chars().any(is_word),
            };
            !is_token || emit(token)
        };
        match self.config.kind {
            TokenizerKind::Words => text.split_word_bounds().all(emit),
            TokenizerKind::Jieba => chinese_words(text).into_iter().all(emit),
            TokenizerKind::Characters => text.graphemes(true).all(emit),
            TokenizerKind::Alphanumeric => alphanumeric_runs(text).all(emit),
        }
    }
}

/// Returns the words of a Chinese text by jieba, whose default dictionary is shared by all tokenizers and threads.
#[cfg(feature = "chinese")]
fn chinese_words(text: &str) -> Vec<&str> {
    static JIEBA: std::sync::OnceLock<jieba_rs::Jieba> = std::sync::OnceLock::new();
    let tokens = JIEBA.get_or_init(jieba_rs::Jieba::new).cut(text, true);
    tokens.into_iter().map(|token| token.word).collect()
}

/// Returns no words; unreachable, as [`Tokenizer::new`] rejects jieba without the feature `chinese`.
#[cfg(not(feature = "chinese"))]
fn chinese_words(_: &str) -> Vec<&str> {
    Vec::new()
}

/// Splits text into runs of letters, digits and `_`, and single other characters.
fn alphanumeric_runs(text: &str) -> impl Iterator<Item = &str> {
    let is_word_char = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match is_word_char(first) {
            true => rest.find(|c| !is_word_char(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

/// Returns `word` in lowercase, using `scratch` if it has to be changed.
#[inline]
fn lowercase<'a>(word: &'a str, scratch: &'a mut String) -> &'a str {
    let (mut all_bytes, mut has_uppercase) = (0u8, false);
    for byte in word.bytes() {
        all_bytes |= byte;
        has_uppercase |= byte.is_ascii_uppercase();
    }
    if all_bytes.is_ascii() && !has_uppercase {
        return word;
    }
    scratch.clear();
    if all_bytes.is_ascii() {
        scratch.push_str(word);
        scratch.make_ascii_lowercase();
    } else {
        scratch.push_str(&word.to_lowercase()); // handles both lowercase forms of sigma
    }
    scratch
}

/// Returns whether a text has only whitespace, control characters and invisible characters, such as zero-width spaces, direction
/// marks and byte order marks.
///
/// ```
/// use faknow_data::text::is_blank;
///
/// assert!(is_blank("") && is_blank(" \u{200b}\u{feff}\n"));
/// assert!(!is_blank("🙂"));
/// ```
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// Returns whether a character only affects the rendering of its neighbors: direction marks, joiners, emoji variants. Copied
/// texts contain them at the ends of words, where they would produce distinct tokens.
fn is_invisible(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}');
    is_format || (c.is_control() && !c.is_whitespace())
}
