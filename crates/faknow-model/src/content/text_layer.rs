//! The first layer of MDFEND, ENDEF and M3FEND: token vectors, with dropout of word vectors.

use faknow_data::FieldBatch;
use tch::nn::Path;

use super::text_input::words;
use super::{TextInput, TextSource, TokenVectors};
use crate::layers::DistinctWords;
use crate::{Error, Mode, Result};

/// Settings of a [`TextLayer`], from the config of its model.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSettings {
    pub(super) model: &'static str,
    pub(super) embedding_dropout: f64,
    pub(super) freeze_embedding: bool,
    pub(super) train_encoder: bool,
    /// Whether padding has the vector of its id, rather than zeros.
    pub(super) faithful: bool,
}

/// Token vectors of a text; those of words have dropout.
#[derive(Debug)]
pub(super) struct TextLayer {
    input: TextInput,
    dropout: f64,
    faithful: bool,
}

impl TextLayer {
    /// Creates the layer, with word vectors at `words` and a trained encoder at `encoder`.
    pub(super) fn new(
        path: &Path<'_>,
        [words, encoder]: [&str; 2],
        source: &TextSource<'_>,
        settings: TextSettings,
    ) -> Result<Self> {
        let TextSettings { model, embedding_dropout, freeze_embedding, train_encoder, faithful } = settings;
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model, name, expected: expected.into(), got })
        };
        if !(0.0..1.0).contains(&embedding_dropout) {
            return invalid("embedding_dropout", "from 0 to below 1", embedding_dropout.to_string());
        }
        let (name, is_trainable) = match source {
            TextSource::Random { size, .. } if *size < 1 => {
                return invalid("embedding_size", "at least 1", size.to_string());
            }
            TextSource::Encoder(_) => (encoder, train_encoder),
            _ => (words, !freeze_embedding),
        };
        let input = TextInput::new(&(path / name), source, is_trainable)?;
        Ok(Self { input, dropout: embedding_dropout, faithful })
    }

    /// Returns the layer without dropout.
    pub(super) fn input(&self) -> &TextInput {
        &self.input
    }

    /// Returns the length of the vectors.
    pub(super) fn size(&self) -> i64 {
        self.input.size()
    }

    /// Returns the token vectors of the texts of a batch, or of its further texts of this name.
    pub(super) fn forward(&self, batch: &FieldBatch, text: Option<&str>, mode: Mode) -> Result<TokenVectors> {
        match &self.input {
            TextInput::Words(embedding) if !self.faithful && DistinctWords::are_supported(embedding) => {
                let texts = words(batch, text)?;
                let words = DistinctWords::new(embedding, &texts.ids, &texts.lengths, self.dropout, mode)?;
                Ok(TokenVectors { vectors: words.of_tokens()?, mask: texts.mask()?, words: Some(words) })
            }
            TextInput::Words(embedding) => {
                let TokenVectors { vectors, mask, .. } = self.input.forward(batch, text, mode)?;
                let vectors = embedding.dropout(&vectors, &words(batch, text)?.ids, self.dropout, mode)?;
                Ok(TokenVectors::new(vectors, mask))
            }
            encoder => encoder.forward(batch, text, mode),
        }
    }
}
