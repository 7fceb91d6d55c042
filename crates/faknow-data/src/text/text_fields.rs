//! The forms of one text of a batch.

use tch::Device;

use super::{Encoded, Subwords, Words};
use crate::{Error, Result};

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
    /// Returns the text as token ids.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn words(&self) -> Result<&Words> {
        self.words.as_ref().ok_or_else(|| self.missing_field("words"))
    }

    /// Returns the text as subword ids.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn subwords(&self) -> Result<&Subwords> {
        self.subwords.as_ref().ok_or_else(|| self.missing_field("subwords"))
    }

    fn missing_field(&self, field: &str) -> Error {
        let forms = [
            ("words", self.words.is_some()),
            ("subwords", self.subwords.is_some()),
            ("encoded", self.encoded.is_some()),
        ];
        let present =
            forms.into_iter().filter(|(_, is_present)| *is_present).map(|(name, _)| name.to_owned());
        Error::MissingField {
            field: format!("{field} of a further text"),
            provider: "a further text column of the records",
            present: present.collect(),
        }
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            words: self.words.as_ref().map(|words| words.to_device(device)),
            subwords: self.subwords.as_ref().map(|subwords| subwords.to_device(device)),
            encoded: self.encoded.as_ref().map(|encoded| encoded.to_device(device)),
        }
    }
}
