//! Token vectors of texts, from word vectors or an encoder: the first layer of models of texts.

use faknow_data::FieldBatch;
use faknow_data::text::{Encoded, PADDING, Subwords, Words};
use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use crate::encoder::{Encoder, PretrainedEncoder};
use crate::layers::{DistinctWords, Embedding, TextExperts};
use crate::{Mode, Result};

/// Where the token vectors of a model come from.
#[derive(Debug, Clone, Copy)]
pub enum TextSource<'a> {
    /// Random word vectors.
    Random {
        /// Size of the vocabulary, including padding and the unknown word.
        vocab_size: usize,
        /// Length of the vectors, at least 1.
        size: i64,
    },
    /// Pretrained word vectors, `[vocab_size, size]`.
    Vectors(&'a Tensor),
    /// A pretrained encoder of subwords.
    Encoder(&'a PretrainedEncoder),
}

impl TextSource<'_> {
    /// Returns the length of the token vectors.
    pub fn size(&self) -> i64 {
        match self {
            Self::Random { size, .. } => *size,
            Self::Vectors(vectors) => vectors.size().last().copied().unwrap_or(0),
            Self::Encoder(encoder) => encoder.config().hidden_size,
        }
    }
}

/// The first layer of a model of texts: token vectors from word vectors or an encoder.
///
/// A frozen encoder is not part of the model: its weights are neither trained nor saved with those of the model, it runs in
/// [`Mode::Eval`], and its output may be computed in advance ([`Encoded`]).
#[derive(Debug)]
pub enum TextInput {
    /// Word vectors, part of the model.
    Words(Embedding),
    /// An encoder that is not trained, outside of the model.
    Frozen(Encoder),
    /// An encoder that is trained, part of the model.
    Trained(Encoder),
}

/// Vectors of the tokens of a batch of texts.
#[derive(Debug)]
pub struct TokenVectors {
    /// The vectors, `[n, len, size]`.
    pub vectors: Tensor,
    /// Which of them are tokens rather than padding, bool `[n, len]`.
    pub mask: Tensor,
    /// The words that they are the vectors of, if this is known.
    pub(super) words: Option<DistinctWords>,
}

impl TokenVectors {
    /// Creates token vectors `[n, len, size]`, of which `mask`, bool `[n, len]`, marks the tokens.
    pub fn new(vectors: Tensor, mask: Tensor) -> Self {
        Self { vectors, mask, words: None }
    }

    /// Returns the features of these experts, `[n, n_experts, n_features]`. If `faithful`, padding is read as tokens.
    pub(super) fn features(&self, experts: &TextExperts, faithful: bool) -> Result<Tensor> {
        match &self.words {
            _ if faithful => experts.forward(&self.vectors, None),
            Some(words) => experts.forward_words(words),
            None => experts.forward(&self.vectors, Some(&self.mask)),
        }
    }
}

impl TextInput {
    /// Creates the layer, with its weights at `path` if they are part of the model.
    ///
    /// # Errors
    /// The pretrained vectors do not have two dimensions, or the weights of the encoder cannot be read.
    pub fn new(path: &Path<'_>, source: &TextSource<'_>, is_trainable: bool) -> Result<Self> {
        let words =
            |embedding: Embedding| Self::Words(if is_trainable { embedding } else { embedding.freeze() });
        Ok(match source {
            TextSource::Random { vocab_size, size } => {
                words(Embedding::random(path, *vocab_size as i64, *size)?)
            }
            TextSource::Vectors(vectors) => words(Embedding::from_pretrained(path, vectors)?),
            TextSource::Encoder(encoder) if is_trainable => Self::Trained(encoder.build(path)?),
            TextSource::Encoder(encoder) => {
                let mut vars = VarStore::new(path.device());
                vars.set_kind(path.kind());
                let encoder = encoder.build(&vars.root())?;
                vars.freeze();
                Self::Frozen(encoder)
            }
        })
    }

    /// Returns the length of the vectors.
    pub fn size(&self) -> i64 {
        match self {
            Self::Words(embedding) => embedding.size(),
            Self::Frozen(encoder) | Self::Trained(encoder) => encoder.hidden_size(),
        }
    }

    /// Returns the token vectors of the texts of a batch or, if `text` is given, of its further texts of this name.
    ///
    /// # Errors
    /// The batch does not have the texts as words or subwords, or an id is out of range.
    pub fn forward(&self, batch: &FieldBatch, text: Option<&str>, mode: Mode) -> Result<TokenVectors> {
        let further = text.map(|name| batch.text(name)).transpose()?;
        let subwords = || match further {
            Some(text) => text.subwords(),
            None => batch.subwords(),
        };
        let encoded = further.map_or(batch.encoded.as_ref(), |text| text.encoded.as_ref());
        match (self, encoded) {
            (Self::Words(embedding), _) => of_words(embedding, words(batch, text)?),
            (Self::Frozen(_), Some(encoded)) => of_encoded(encoded),
            (Self::Frozen(encoder), None) => tch::no_grad(|| of_subwords(encoder, subwords()?, Mode::Eval)),
            (Self::Trained(encoder), _) => of_subwords(encoder, subwords()?, mode),
        }
    }

    /// Returns the vectors of token ids `[n, len]` from which [`forward_vectors`](Self::forward_vectors) computes token vectors.
    ///
    /// # Errors
    /// A token id is out of range.
    pub fn word_vectors(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Words(embedding) => embedding.forward(ids),
            Self::Frozen(encoder) | Self::Trained(encoder) => encoder.word_vectors(ids),
        }
    }

    /// Computes token vectors from [`word_vectors`](Self::word_vectors) `[n, len, size]` of texts of the same length, whose tokens
    /// `mask` bool `[1, len]` marks, as in [`Mode::Eval`].
    ///
    /// # Errors
    /// The texts are longer than those of the encoder, or libtorch rejects an operation.
    pub fn forward_vectors(&self, vectors: &Tensor, mask: &Tensor) -> Result<TokenVectors> {
        let (n, len, _) = vectors.size3()?;
        let vectors = match self {
            Self::Words(_) => vectors.shallow_clone(),
            Self::Frozen(encoder) | Self::Trained(encoder) => {
                let n_tokens = mask.f_sum(Kind::Int64)?.f_int64_value(&[])?;
                let tokens = vectors.f_narrow(1, 0, n_tokens)?;
                let states = encoder.encode_vectors(&tokens, Mode::Eval)?.padded()?;
                states.f_constant_pad_nd([0, 0, 0, len - n_tokens])?
            }
        };
        Ok(TokenVectors::new(vectors, mask.f_expand([n, len], false)?))
    }

    /// Returns which columns of the texts of a batch are tokens, bool `[n, len]`.
    ///
    /// # Errors
    /// The batch does not have the texts as words or subwords.
    pub fn mask(&self, batch: &FieldBatch) -> Result<Tensor> {
        Ok(match self {
            Self::Words(_) => batch.words()?.mask()?,
            Self::Frozen(_) | Self::Trained(_) => batch.subwords()?.mask()?,
        })
    }

    /// Returns the token id of padding.
    pub fn padding_id(&self) -> i64 {
        match self {
            Self::Words(_) => i64::from(PADDING),
            Self::Frozen(encoder) | Self::Trained(encoder) => encoder.config().pad_id,
        }
    }
}

/// Returns the words of the texts of a batch or, if `text` is given, of its further texts of this name.
pub(super) fn words<'a>(batch: &'a FieldBatch, text: Option<&str>) -> Result<&'a Words> {
    Ok(match text {
        Some(name) => batch.text(name)?.words()?,
        None => batch.words()?,
    })
}

fn of_words(embedding: &Embedding, words: &Words) -> Result<TokenVectors> {
    Ok(TokenVectors::new(embedding.forward(&words.ids)?, words.mask()?))
}

fn of_encoded(encoded: &Encoded) -> Result<TokenVectors> {
    Ok(TokenVectors::new(encoded.vectors.shallow_clone(), encoded.mask()?))
}

fn of_subwords(encoder: &Encoder, subwords: &Subwords, mode: Mode) -> Result<TokenVectors> {
    Ok(TokenVectors::new(encoder.forward(subwords, mode)?, subwords.mask()?))
}
