//! The forms of one text of a batch.

use tch::Device;

use super::{Encoded, Subwords, Words};

/// The forms in which a batch has a text; `None` for those that the dataset does not have.
#[derive(Debug, Default)]
pub struct TextFields {
    /// The text as token ids.
    pub words: Option<Words>,
    /// The text as subword ids.
    pub subwords: Option<Subwords>,
    /// The text as the output of an encoder that is not trained.
    pub encoded: Option<Encoded>,
}

impl TextFields {
    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            words: self.words.as_ref().map(|words| words.to_device(device)),
            subwords: self.subwords.as_ref().map(|subwords| subwords.to_device(device)),
            encoded: self.encoded.as_ref().map(|encoded| encoded.to_device(device)),
        }
    }
}
