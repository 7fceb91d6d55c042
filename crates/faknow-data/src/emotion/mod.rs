//! Dual-emotion features: the emotions of a post, those of its comments, and the gap between them.
//!
//! Zhang et al., *Mining Dual Emotion for Fake News Detection*, WWW 2021. The features are computed from the lexicons of a
//! directory ([`EmotionLexicons`] describes the files); none come with this library.

mod dual;
mod lexicons;
mod phrases;
mod style;
mod vector;

pub use dual::{DualEmotion, EmotionExtractor};
pub use lexicons::{EmotionLexicons, LEXICON_FILES, LexiconFile};
