//! The emotions of a post and of its comments.

use super::EmotionLexicons;
use super::vector::EmotionVector;
use crate::Result;
use crate::text::{Tokenizer, TokenizerConfig};

/// Computes [`DualEmotion`] features.
///
/// ```
/// use faknow_data::emotion::{EmotionExtractor, EmotionLexicons};
/// use faknow_data::text::TokenizerConfig;
///
/// let mut lexicons = EmotionLexicons::default();
/// lexicons.categories.entry("terrible".into()).or_default().insert("fear".into(), 2.0);
/// lexicons.negations.insert("not".into(), 2);
/// let extractor = EmotionExtractor::new(&lexicons, &TokenizerConfig::default())?;
/// assert_eq!(extractor.names()[0], "emotion fear");
/// let dual = extractor.extract("a terrible storm", &["not terrible", "ok"]);
/// assert_eq!((dual.publisher[0], dual.comments_mean[0], dual.comments_max[0]), (2.0 / 3.0, -0.5, 0.0));
/// assert_eq!(dual.to_vec().len(), 5 * extractor.names().len());
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug)]
pub struct EmotionExtractor {
    vector: EmotionVector,
    tokenizer: Tokenizer,
}

/// The dual-emotion features of a post; each part has as many values as [`EmotionExtractor::names`].
#[derive(Debug, Clone, PartialEq)]
pub struct DualEmotion {
    /// Emotions of the post.
    pub publisher: Vec<f64>,
    /// Mean over its comments; 0 without comments.
    pub comments_mean: Vec<f64>,
    /// Maximum over its comments; 0 without comments.
    pub comments_max: Vec<f64>,
}

impl EmotionExtractor {
    /// Creates an extractor that splits texts and lexicon entries into words as `tokenizer`, without its stop words and its
    /// maximum length, in lowercase.
    ///
    /// # Errors
    /// As [`Tokenizer::new`].
    pub fn new(lexicons: &EmotionLexicons, tokenizer: &TokenizerConfig) -> Result<Self> {
        let tokenizer = Tokenizer::new(TokenizerConfig {
            lowercase: true,
            punctuation: false,
            stop_words: Vec::new(),
            max_length: None,
            ..tokenizer.clone()
        })?;
        Ok(Self { vector: EmotionVector::new(lexicons, &tokenizer), tokenizer })
    }

    /// Returns the names of the features of a text: emotion categories, sentiment, modifiers, emoticons, pronouns,
    /// punctuation and case.
    pub fn names(&self) -> Vec<String> {
        self.vector.names()
    }

    /// Returns the features of a single text.
    pub fn features(&self, text: &str) -> Vec<f64> {
        self.vector.features(text, &self.tokenizer)
    }

    /// Computes the features of a post and its comments.
    pub fn extract<S: AsRef<str>>(&self, text: &str, comments: &[S]) -> DualEmotion {
        let publisher = self.features(text);
        let zeros = vec![0.0; publisher.len()];
        let rows: Vec<Vec<f64>> = comments.iter().map(|comment| self.features(comment.as_ref())).collect();
        let column = |index: usize| rows.iter().map(move |row| row[index]);
        let n = rows.len().max(1) as f64;
        let of_columns = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            if rows.is_empty() { zeros.clone() } else { (0..zeros.len()).map(value).collect() }
        };
        DualEmotion {
            comments_mean: of_columns(&|index| column(index).sum::<f64>() / n),
            comments_max: of_columns(&|index| column(index).fold(f64::NEG_INFINITY, f64::max)),
            publisher,
        }
    }
}

impl DualEmotion {
    /// Returns the differences between the post and the mean of its comments, followed by those to their maximum.
    pub fn gap(&self) -> Vec<f64> {
        let minus = |other: &[f64]| -> Vec<f64> {
            self.publisher.iter().zip(other).map(|(own, other)| own - other).collect()
        };
        [minus(&self.comments_mean), minus(&self.comments_max)].concat()
    }

    /// Returns mean and maximum of the comments.
    pub fn social(&self) -> Vec<f64> {
        [self.comments_mean.as_slice(), &self.comments_max].concat()
    }

    /// Returns all features: publisher, mean and maximum of the comments, and the gap.
    pub fn to_vec(&self) -> Vec<f64> {
        [self.publisher.clone(), self.social(), self.gap()].concat()
    }
}
