//! The classifier of TrustRD: Bayesian layers, trained to be robust to noise.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, SparseFeatures, Trees};
use tch::nn::{Init, Path};
use tch::{Kind, Reduction, Tensor};

use super::TrustRdConfig;
use crate::layers::{BayesianLinear, Noise, Perturbation, SampledLinear, dropout, mean_pool};
use crate::{Loss, Mode, Output, Result, loss};

/// The classifier of [`TrustRd`](super::TrustRd): Bayesian layers on the mean embedding of the nodes, their mean features and
/// the features of the root.
///
/// In training, weights are sampled once per batch. With the same sample and dropout masks, the batch is classified again with
/// noise on the embeddings, and with noise on the parameters; the changes are part of the loss. In evaluation, the weights are
/// their means.
///
/// Parameters: `linear_one.*`, `linear_two.*`, `linear_three.*`, `linear_transform.*` (means and log variances), `prelu.weight`.
#[derive(Debug)]
pub struct TrustRdHead {
    layers: [BayesianLinear; 4],
    slope: Tensor,
    config: TrustRdConfig,
}

/// The random numbers of a training batch, shared by all its passes.
struct Draw {
    noise: [Noise; 4],
    /// Dropout masks of the three hidden layers.
    masks: [Tensor; 3],
}

impl TrustRdHead {
    /// Creates a classifier for trees with embeddings of `embedding_size` and `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &TrustRdConfig,
        embedding_size: i64,
        n_features: usize,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let hidden = config.hidden_size;
        let layer = |name: &str, n_in, n_out| BayesianLinear::new(&(path / name), n_in, n_out);
        Ok(Self {
            layers: [
                layer("linear_one", 2 * n_features as i64, 2 * hidden)?,
                layer("linear_two", 2 * hidden, hidden)?,
                layer("linear_three", embedding_size, hidden)?,
                layer("linear_transform", 2 * hidden, n_classes as i64)?,
            ],
            slope: (path / "prelu").f_var("weight", &[1], Init::Const(0.25))?,
            config: config.clone(),
        })
    }

    /// Classifies trees from the embeddings of their nodes, `[n_nodes, embedding_size]`, and their features.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, embeddings: &Tensor, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let embedded = mean_pool(embeddings, trees)?;
        let features = tree_features(trees, self.slope.kind())?;
        if !mode.is_train() {
            return loss::classify(self.logits(&embedded, &features, None, None)?, batch);
        }
        let draw = self.draw(trees.n_trees())?;
        let logits = self.logits(&embedded, &features, Some(&draw), None)?;
        let Output { logits, loss } = loss::classify(logits, batch)?;
        let with_uncertainty = |classification: Loss| -> Result<Loss> {
            let log_probabilities = logits.f_log_softmax(1, None::<Kind>)?;
            let change = |noisy_logits: Tensor| -> Result<Tensor> {
                Ok(noisy_logits
                    .f_log_softmax(1, None::<Kind>)?
                    .f_mse_loss(&log_probabilities, Reduction::Mean)?)
            };
            let noise = embeddings.f_randn_like()?.f_mul_scalar(self.config.embedding_noise)?;
            let noisy = mean_pool(&embeddings.f_add(&noise)?, trees)?;
            let data = change(self.logits(&noisy, &features, Some(&draw), None)?)?;
            let [one, two, three, last] = &self.layers;
            let norm = self.config.parameter_noise;
            let perturbations = [
                one.perturbation(norm)?,
                two.perturbation(norm)?,
                three.perturbation(norm)?,
                last.perturbation(norm)?,
            ];
            let parameter = change(self.logits(&embedded, &features, Some(&draw), Some(&perturbations))?)?;
            let uncertainty = data.f_add(&parameter)?.f_mul_scalar(self.config.uncertainty_weight)?;
            let total = classification.total.f_add(&uncertainty)?;
            let parts =
                vec![(Loss::CLASSIFICATION, classification.total), ("data", data), ("parameter", parameter)];
            Ok(Loss { total, parts })
        };
        Ok(Output { loss: loss.map(with_uncertainty).transpose()?, logits })
    }

    /// Draws the random numbers of a batch.
    fn draw(&self, n_trees: i64) -> Result<Draw> {
        let [one, two, three, last] = &self.layers;
        let hidden = self.config.hidden_size;
        let mask = |n: i64| {
            let ones = Tensor::f_ones([n_trees, n], (self.slope.kind(), self.slope.device()))?;
            dropout(&ones, self.config.dropout, Mode::Train)
        };
        Ok(Draw {
            noise: [one.noise()?, two.noise()?, three.noise()?, last.noise()?],
            masks: [mask(2 * hidden)?, mask(hidden)?, mask(hidden)?],
        })
    }

    /// Returns the logits of trees from their mean embeddings and features; without a draw, uses the means of the weights and
    /// no dropout.
    fn logits(
        &self,
        embedded: &Tensor,
        features: &Tensor,
        draw: Option<&Draw>,
        perturbations: Option<&[Perturbation; 4]>,
    ) -> Result<Tensor> {
        let layer = |index: usize| -> Result<SampledLinear> {
            let noise = draw.map(|draw| &draw.noise[index]);
            self.layers[index].sample_with(noise, perturbations.map(|it| &it[index]))
        };
        let activate = |x: &Tensor, index: usize| -> Result<Tensor> {
            let x = match draw {
                Some(draw) => x.f_mul(&draw.masks[index])?,
                None => x.shallow_clone(),
            };
            Ok(x.f_prelu(&self.slope)?)
        };
        let features = activate(&layer(0)?.forward(features)?, 0)?;
        let features = activate(&layer(1)?.forward(&features)?, 1)?;
        let embedded = activate(&layer(2)?.forward(embedded)?, 2)?;
        layer(3)?.forward(&Tensor::f_cat(&[embedded, features], 1)?)
    }
}

/// Returns the mean features of each tree, concatenated with those of its root: `[n_trees, 2 · n_features]`.
fn tree_features(trees: &Trees, kind: Kind) -> Result<Tensor> {
    let mean = match &trees.features {
        NodeFeatures::Dense(rows) => mean_pool(&rows.f_to_kind(kind)?, trees)?,
        NodeFeatures::Sparse(sparse) => {
            // The entries of the nodes of a tree are contiguous, so a tree can be one row.
            let start = Tensor::f_zeros([1], (Kind::Int64, trees.sizes.device()))?;
            let bounds = Tensor::f_cat(&[start, trees.sizes.f_cumsum(0, Kind::Int64)?], 0)?;
            let sums = NodeFeatures::Sparse(SparseFeatures {
                columns: sparse.columns.shallow_clone(),
                offsets: sparse.offsets.f_index_select(0, &bounds)?,
                values: sparse.values.f_to_kind(kind)?,
                n_features: sparse.n_features,
            });
            let sums = sums.to_dense()?;
            sums.f_div(&trees.sizes.f_to_kind(kind)?.f_unsqueeze(1)?)?
        }
    };
    let roots = trees.features.select(&trees.roots)?.to_dense()?;
    Ok(Tensor::f_cat(&[mean, roots.f_to_kind(kind)?], 1)?)
}
