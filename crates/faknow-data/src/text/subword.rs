//! Subwords of texts.

use std::ops::Range;

/// How to get the directory of an encoder.
pub const ENCODER_HELP: &str = "`cargo xtask encoder minilm` fetches a small English encoder, `huggingface-cli download \
                                ORGANIZATION/MODEL --local-dir DIR` any other";

/// A token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subword {
    /// Token id.
    pub id: u32,
    /// Token as the vocabulary contains it, such as `##ing`.
    pub token: String,
    /// Bytes of the text, extended to complete characters; `None` for special tokens, which are added to the text.
    pub range: Option<Range<usize>>,
}
