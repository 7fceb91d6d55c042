//! Cuts texts into tokens.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

use super::ascii;
use super::normalize::{Piece, split_marks};
use crate::{Error, Result};

/// How a text is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// Words after Unicode Standard Annex 29, for languages written with blanks (the default): `can't` and `3.5` are
    /// one word each. Chinese comes out as single characters.
    #[default]
    Words,
    /// Chinese words, by jieba's dictionary and, for words that are not in it, its hidden Markov model. The
    /// dictionary is loaded once, at the first text, which takes a moment. Needs the feature `chinese`.
    Jieba,
    /// User-perceived characters (grapheme clusters): a letter with its accents, an emoji with its modifiers.
    Characters,
    /// Runs of letters, digits and `_`, as Python's `re.findall(r"\w+", text)` gives them, except that vowel signs
    /// (of Indic scripts, for example) belong to their words, where Python breaks these.
    Alphanumeric,
}

/// Settings of a [`Tokenizer`]; they are saved with a model, since it works only on texts cut the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerConfig {
    /// How texts are cut; default [`TokenizerKind::Words`].
    pub kind: TokenizerKind,
    /// Whether letters become small; default true.
    pub lowercase: bool,
    /// Whether punctuation, symbols and emoji are tokens too, or left out; default false (left out).
    pub punctuation: bool,
    /// Whether each link becomes the token `<url>`; default true. Otherwise links are cut like any text.
    pub normalize_urls: bool,
    /// Whether each mention (`@name`) becomes the token `<user>`; default false. Otherwise the name is cut like any
    /// text.
    pub normalize_mentions: bool,
    /// Tokens to leave out, compared after [`lowercase`](Self::lowercase); default none. See
    /// [`stop_words`](super::stop_words).
    pub stop_words: Vec<String>,
    /// Number of tokens after which a text is cut off, at least 1, stop words not counted; default none.
    pub max_length: Option<usize>,
}

impl TokenizerConfig {
    /// Returns the defaults for a language: `"en"` (Unicode words) or `"zh"` (jieba).
    ///
    /// # Errors
    /// If the language is any other.
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
            punctuation: false,
            normalize_urls: true,
            normalize_mentions: false,
            stop_words: Vec::new(),
            max_length: None,
        }
    }
}

/// Cuts texts into tokens; the same text always gives the same tokens.
///
/// No token is empty, and none holds white space.
///
/// ```
/// use faknow_data::text::{Tokenizer, TokenizerConfig};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// assert_eq!(tokenizer.tokens("BREAKING: can't sleep? https://t.co/x1"), ["breaking", "can't", "sleep", "<url>"]);
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::for_language("zh")?)?;
/// assert_eq!(tokenizer.tokens("我们在北京，喝茶。"), ["我们", "在", "北京", "喝茶"]);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    config: TokenizerConfig,
    stop_words: HashSet<String>,
}

impl Tokenizer {
    /// Creates a tokenizer of these settings.
    ///
    /// # Errors
    /// If `max_length` is 0, or the kind is [`TokenizerKind::Jieba`] and the feature `chinese` is not enabled.
    pub fn new(config: TokenizerConfig) -> Result<Self> {
        if config.max_length == Some(0) {
            let expected = "at least 1".to_owned();
            return Err(Error::Setting { name: "tokenizer.max_length", expected, got: "0".to_owned() });
        }
        if config.kind == TokenizerKind::Jieba && cfg!(not(feature = "chinese")) {
            let expected = "another tokenizer, or a build with the feature `chinese`".to_owned();
            return Err(Error::Setting { name: "tokenizer.kind", expected, got: "`jieba`".to_owned() });
        }
        let prepared = |word: &String| if config.lowercase { word.to_lowercase() } else { word.clone() };
        let stop_words = config.stop_words.iter().map(prepared).collect();
        Ok(Self { config, stop_words })
    }

    /// Returns the settings it was made with.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// Calls `token` for each token of `text`, in order; nothing is allocated for a single token.
    pub fn tokenize(&self, text: &str, token: &mut impl FnMut(&str)) {
        let mut left = self.config.max_length.unwrap_or(usize::MAX);
        let mut scratch = String::new();
        // Returns whether more tokens are wanted.
        let mut give = |word: &str| {
            let word = if self.config.lowercase { lowercase(word, &mut scratch) } else { word };
            if !self.stop_words.is_empty() && self.stop_words.contains(word) {
                return true;
            }
            token(word);
            left -= 1;
            left > 0
        };
        split_marks(
            text,
            self.config.normalize_urls,
            self.config.normalize_mentions,
            &mut |piece| match piece {
                Piece::Mark(mark) => give(mark),
                Piece::Text(text) => self.cut(text, &mut give),
            },
        );
    }

    /// Returns the tokens of `text`.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.tokenize(text, &mut |token| tokens.push(token.to_owned()));
        tokens
    }

    /// Gives the tokens of `text` until `give` returns false; returns whether it never did.
    fn cut(&self, text: &str, give: &mut impl FnMut(&str) -> bool) -> bool {
        if !self.config.punctuation {
            match self.config.kind {
                TokenizerKind::Words => {
                    return ascii::words(text, give, &mut |text, give| self.cut_any(text, give));
                }
                TokenizerKind::Alphanumeric => {
                    return ascii::runs(text, give, &mut |text, give| self.cut_any(text, give));
                }
                TokenizerKind::Jieba | TokenizerKind::Characters => {}
            }
        }
        self.cut_any(text, give)
    }

    /// As [`cut`](Self::cut), for texts of any characters.
    fn cut_any<G: FnMut(&str) -> bool>(&self, text: &str, give: &mut G) -> bool {
        let runs = self.config.kind == TokenizerKind::Alphanumeric;
        let is_word = |c: char| c.is_alphanumeric() || (runs && c == '_');
        let give = |token: &str| {
            let token = token.trim_matches(is_invisible);
            let wanted = match self.config.punctuation {
                true => !token.chars().all(char::is_whitespace),
                false => token.chars().any(is_word),
            };
            !wanted || give(token)
        };
        match self.config.kind {
            TokenizerKind::Words => text.split_word_bounds().all(give),
            TokenizerKind::Jieba => chinese_words(text).into_iter().all(give),
            TokenizerKind::Characters => text.graphemes(true).all(give),
            TokenizerKind::Alphanumeric => alphanumeric_runs(text).all(give),
        }
    }
}

/// The words of a Chinese text, by jieba with its own dictionary, which all tokenizers and threads share.
#[cfg(feature = "chinese")]
fn chinese_words(text: &str) -> Vec<&str> {
    static JIEBA: std::sync::OnceLock<jieba_rs::Jieba> = std::sync::OnceLock::new();
    let tokens = JIEBA.get_or_init(jieba_rs::Jieba::new).cut(text, true);
    tokens.into_iter().map(|token| token.word).collect()
}

/// Nothing: [`Tokenizer::new`] refuses Chinese without the feature `chinese`.
#[cfg(not(feature = "chinese"))]
fn chinese_words(_: &str) -> Vec<&str> {
    Vec::new()
}

/// Runs of letters, digits and `_`, and every other character on its own.
fn alphanumeric_runs(text: &str) -> impl Iterator<Item = &str> {
    let belongs = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match belongs(first) {
            true => rest.find(|c| !belongs(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

/// `word` in lowercase, in `scratch` if it has any other.
#[inline]
fn lowercase<'a>(word: &'a str, scratch: &'a mut String) -> &'a str {
    let (mut all, mut any_large) = (0u8, false);
    for byte in word.bytes() {
        all |= byte;
        any_large |= byte.is_ascii_uppercase();
    }
    if all.is_ascii() && !any_large {
        return word;
    }
    scratch.clear();
    if all.is_ascii() {
        scratch.push_str(word);
        scratch.make_ascii_lowercase();
    } else {
        scratch.push_str(&word.to_lowercase()); // knows the two small forms of sigma
    }
    scratch
}

/// Whether a character only steers how those around it are shown: direction marks, joiners, emoji variants. Copied
/// texts have them at the ends of words, where they would make other words of them.
fn is_invisible(c: char) -> bool {
    let steers = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}');
    steers || (c.is_control() && !c.is_whitespace())
}
