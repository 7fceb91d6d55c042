//! What the specifications of models of text and image share.

use faknow_model::content::Modalities;

use super::{EncoderUse, Fields, ImageField, WordField};

/// Returns the fields of the modalities that a model reads. The texts of records are also read if it uses images alone.
pub(super) fn fields(modalities: Modalities, words: WordField, images: ImageField) -> Fields {
    let words = if modalities.has_text() { words } else { WordField::default().unused() };
    let fields = Fields::default().with_words(words);
    if modalities.has_image() { fields.with_images(images) } else { fields }
}

/// Returns the field of words of convolutions with these kernel sizes.
pub(super) fn convolution_words(train_encoder: bool, kernel_sizes: &[i64], faithful: bool) -> WordField {
    // Padding is read as tokens in the faithful mode only, which needs a text as long as the widest kernel.
    let widest = kernel_sizes.iter().copied().max().and_then(|kernel| usize::try_from(kernel).ok());
    let padding = if faithful { widest.unwrap_or(0) } else { 0 };
    WordField::default().or_encoder_that_is(EncoderUse::of(!train_encoder)).extra_padding(padding)
}

/// Sets the size of word vectors to that of pretrained ones; returns true, since the model supports them.
pub(super) fn embedding_size(setting: &mut i64, size: i64) -> bool {
    *setting = size;
    true
}
