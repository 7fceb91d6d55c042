//! DUDEF: a bidirectional GRU over the words of a post, with the dual-emotion features of the post and its comments.
//!
//! Zhang et al., *Mining Dual Emotion for Fake News Detection*, WWW 2021, section 4.2 (BiGRU + Dual Emotion). The features are
//! an input, the named feature `emotions`; `faknow_data::emotion` computes them from lexicons.

use faknow_data::FieldBatch;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::one_text::OneText;
use super::{TextInput, TextSource, TokenVectors, check};
use crate::encoder::Pooling;
use crate::layers::{Gru, Linear, RecurrentSize};
use crate::{EmbeddingModel, Error, Loss, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Dudef`]; the defaults are those of the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DudefConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors. Default 300.
    pub embedding_size: i64,
    /// Whether the word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether the encoder, if there is one, is trained, too. Default false.
    pub train_encoder: bool,
    /// Size of the state of the GRU per direction, at least 1. Default 32.
    pub hidden_size: i64,
    /// Number of layers of the GRU, at least 1. Default 1.
    pub n_layers: i64,
    /// Size of the layer between features and classes, at least 1. Default 32.
    pub dense_size: i64,
    /// Whether to reproduce FaKnow's defects: the GRU reads across the posts of a batch, padding is part of the mean, and the
    /// cross entropy is that of a softmax of probabilities. Default false.
    pub faithful: bool,
}

impl Default for DudefConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            freeze_embedding: false,
            train_encoder: false,
            hidden_size: 32,
            n_layers: 1,
            dense_size: 32,
            faithful: false,
        }
    }
}

/// The DUDEF classifier.
///
/// Parameters: `embedding.weight`, or `bert.*` with a trained encoder, `bi_gru.*`, `fc1.*`, `fc2.*`.
#[derive(Debug)]
pub struct Dudef {
    text: TextInput,
    gru: Gru,
    hidden: Linear,
    classifier: Linear,
    n_emotions: i64,
    faithful: bool,
}

impl Dudef {
    /// Name of the feature of a batch that holds the emotions, `[n, n_emotions]`.
    pub const EMOTIONS: &'static str = "emotions";

    /// Creates a model for `n_emotions` emotion features per post, with token vectors from `source`.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range; the source is not usable.
    pub fn new(
        path: &Path<'_>,
        config: &DudefConfig,
        source: &TextSource<'_>,
        n_emotions: usize,
        n_classes: usize,
    ) -> Result<Self> {
        let sizes = [
            ("embedding_size", config.embedding_size),
            ("hidden_size", config.hidden_size),
            ("n_layers", config.n_layers),
            ("dense_size", config.dense_size),
        ];
        check("DUDEF", &sizes, &[], 0.0, n_classes)?;
        let text = match source {
            TextSource::Encoder(_) => TextInput::new(&(path / "bert"), source, config.train_encoder)?,
            _ => TextInput::new(&(path / "embedding"), source, !config.freeze_embedding)?,
        };
        let size = RecurrentSize {
            n_in: text.size(),
            hidden: config.hidden_size,
            n_layers: config.n_layers,
            bidirectional: true,
        };
        let n_features = size.n_out() + n_emotions as i64;
        Ok(Self {
            text,
            gru: Gru::new(&(path / "bi_gru"), size, 0.0)?,
            hidden: Linear::new(&(path / "fc1"), n_features, config.dense_size)?,
            classifier: Linear::new(&(path / "fc2"), config.dense_size, n_classes as i64)?,
            n_emotions: n_emotions as i64,
            faithful: config.faithful,
        })
    }

    /// Returns the mean output of the GRU per post, `[n, 2 hidden_size]`.
    fn encode(&self, TokenVectors { vectors, mask, .. }: &TokenVectors, mode: Mode) -> Result<Tensor> {
        if self.faithful {
            // Transposed, the posts of the batch are the steps of the sequences.
            let states = self.gru.forward(&vectors.f_transpose(0, 1)?, None, mode)?;
            return Ok(states.f_mean_dim([0].as_slice(), false, None::<Kind>)?);
        }
        let lengths = mask.f_sum_dim_intlist([1].as_slice(), false, Kind::Int64)?;
        Pooling::Mean.apply(&self.gru.forward(vectors, Some(&lengths), mode)?, Some(mask))
    }

    /// Returns the logits of texts `[n, 2 hidden_size]` with the emotions of a batch.
    fn logits(&self, texts: &Tensor, batch: &FieldBatch) -> Result<Tensor> {
        let emotions = batch.feature(Self::EMOTIONS)?;
        if emotions.dim() != 2 || emotions.size()[1] != self.n_emotions {
            let expected = format!("{} emotion features per post", self.n_emotions);
            return Err(Error::Batch { model: "DUDEF", expected, got: format!("{:?}", emotions.size()) });
        }
        let features = Tensor::f_cat(&[texts, &emotions.f_to_kind(texts.kind())?], 1)?;
        self.classifier.forward(&self.hidden.forward(&features)?.f_relu()?)
    }
}

impl Model for Dudef {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let texts = self.encode(&self.text.forward(batch, None, mode)?, mode)?;
        let logits = self.logits(&texts, batch)?;
        match (&batch.labels, self.faithful) {
            (Some(labels), true) => {
                let probabilities = logits.f_softmax(-1, None::<Kind>)?;
                let loss = Loss::single(loss::cross_entropy(&probabilities, labels)?);
                Ok(Output { logits, loss: Some(loss) })
            }
            _ => loss::classify(logits, batch),
        }
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let logits = |tokens: TokenVectors, batch: &FieldBatch| {
            let TokenVectors { vectors, mask, .. } = &tokens;
            // In the faithful mode, the posts of a batch are not independent.
            let n_rows = if self.faithful { 1 } else { vectors.size()[0] };
            let rows = vectors.f_split(n_rows, 0)?.into_iter().zip(mask.f_split(n_rows, 0)?);
            let texts =
                rows.map(|(vectors, mask)| self.encode(&TokenVectors::new(vectors, mask), Mode::Eval));
            self.logits(&Tensor::f_cat(&texts.collect::<Result<Vec<_>>>()?, 0)?, batch)
        };
        Some(Box::new(OneText::new(&self.text, batch, logits)))
    }
}
