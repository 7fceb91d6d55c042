//! What the specifications of models of text and image share.

use faknow_model::content::Modalities;

use super::{EncoderUse, WordField};

/// Returns the field of words of convolutions with these kernel sizes; `None` if the model does not read texts.
pub(super) fn words(
    modalities: Modalities,
    train_encoder: bool,
    kernel_sizes: &[i64],
    faithful: bool,
) -> Option<WordField> {
    // Padding is read as tokens in the faithful mode only, which needs a text as long as the widest kernel.
    let widest = kernel_sizes.iter().copied().max().and_then(|kernel| usize::try_from(kernel).ok());
    let padding = if faithful { widest.unwrap_or(0) } else { 0 };
    let words = WordField::default().or_encoder_that_is(EncoderUse::of(!train_encoder));
    modalities.has_text().then(|| words.extra_padding(padding))
}

/// Sets the size of word vectors to that of pretrained ones; returns true, since the model supports them.
pub(super) fn embedding_size(setting: &mut i64, size: i64) -> bool {
    *setting = size;
    true
}
