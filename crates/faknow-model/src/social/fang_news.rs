//! The news classifier of FANG.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{Linear, Lstm, RecurrentSize, kaiming_uniform};
use crate::{Mode, Result};

/// Number of layers of the LSTM.
const N_LAYERS: i64 = 2;

/// The inputs of [`FangNewsClassifier`] for `n` articles with at most `len` engagements each.
#[derive(Debug)]
pub struct FangEngagements {
    /// Embeddings of the users, `[n, len, size]`.
    pub users: Tensor,
    /// Stances of the users as one-hot vectors, `[n, len, n_stances]`.
    pub stances: Tensor,
    /// Times of the engagements, `[n, len, n_times]`.
    pub times: Tensor,
    /// Summand of the attention scores, `[n, len]`: 0, or a large negative number for padding.
    pub mask: Tensor,
    /// Number of engagements of each article, i64 `[n]`; `None` if the LSTM reads padding too, as in FaKnow.
    pub lengths: Option<Tensor>,
}

/// The outputs of [`FangNewsClassifier`].
#[derive(Debug)]
pub struct FangNewsOutput {
    /// Class logits, `[n, n_classes]`.
    pub logits: Tensor,
    /// Weights of the engagements, `[n, len]`.
    pub attention: Tensor,
    /// Embeddings of the articles plus those of their engagements, `[n, size]`.
    pub news: Tensor,
}

/// Classifies news articles: a bidirectional LSTM reads the engagements of an article in order, attention by article and by
/// stance and time weights its outputs, and a linear layer reads their sum with the article and its source.
///
/// Parameters: `lstm.*`, `aligned_attn_proj.weight`, `meta_attn_proj.weight`, `output_layer.*`.
#[derive(Debug)]
pub struct FangNewsClassifier {
    lstm: Lstm,
    aligned: Tensor,
    meta: Tensor,
    output: Linear,
}

/// The sizes of [`FangNewsClassifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FangNewsSize {
    /// Length of the embeddings of articles, sources and users; twice `hidden_size`.
    pub embedding_size: i64,
    /// Size of the state of the LSTM per direction.
    pub hidden_size: i64,
    /// Number of stances.
    pub n_stances: i64,
    /// Number of features of a time.
    pub n_times: i64,
    /// Number of classes.
    pub n_classes: i64,
}

impl FangNewsClassifier {
    /// Creates a classifier; `dropout` applies between the layers of the LSTM.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, size: FangNewsSize, dropout: f64) -> Result<Self> {
        let FangNewsSize { embedding_size, hidden_size, n_stances, n_times, n_classes } = size;
        let n_meta = n_stances + n_times;
        let recurrent = RecurrentSize {
            n_in: embedding_size + n_meta,
            hidden: hidden_size,
            n_layers: N_LAYERS,
            bidirectional: true,
        };
        let projection = |name: &str, shape: [i64; 2]| kaiming_uniform(&(path / name), "weight", &shape);
        Ok(Self {
            lstm: Lstm::new(&(path / "lstm"), recurrent, dropout)?,
            aligned: projection("aligned_attn_proj", [embedding_size, recurrent.n_out()])?,
            meta: projection("meta_attn_proj", [1, n_meta])?,
            output: Linear::new(&(path / "output_layer"), 2 * embedding_size, n_classes)?,
        })
    }

    /// Classifies articles by their embeddings `news` and those of their `sources`, each `[n, size]`.
    ///
    /// # Errors
    /// A tensor has another size.
    pub fn forward(
        &self,
        news: &Tensor,
        sources: &Tensor,
        engagements: &FangEngagements,
        mode: Mode,
    ) -> Result<FangNewsOutput> {
        let FangEngagements { users, stances, times, mask, lengths } = engagements;
        let meta = Tensor::f_cat(&[stances, times], 2)?;
        let steps = Tensor::f_cat(&[users, &meta], 2)?;
        let states = self.lstm.forward(&steps, lengths.as_ref(), mode)?; // [n, len, 2 hidden]
        let weights = |scores: Tensor| scores.f_add(mask)?.f_softmax(1, None::<Kind>);
        let projected = states.f_linear::<Tensor>(&self.aligned, None)?;
        let aligned = weights(projected.f_matmul(&news.f_unsqueeze(2)?)?.f_squeeze_dim(2)?)?;
        let meta = weights(meta.f_linear::<Tensor>(&self.meta, None)?.f_squeeze_dim(2)?)?;
        let attention = aligned.f_add(&meta)?.f_div_scalar(2.0)?; // [n, len]
        let context = attention.f_unsqueeze(1)?.f_matmul(&states)?.f_squeeze_dim(1)?;
        let news = news.f_add(&context)?;
        let logits = self.output.forward(&Tensor::f_cat(&[sources, &news], 1)?)?;
        Ok(FangNewsOutput { logits, attention, news })
    }
}
