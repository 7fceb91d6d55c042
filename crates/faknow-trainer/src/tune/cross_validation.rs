//! Cross-validation of custom models: each fold is tested with a model that was trained on the other folds.

use std::fmt;
use std::sync::Arc;

use faknow_data::{Dataset, Folds, Subset};
use faknow_metrics::{Evaluation, RepeatedScore};

use crate::Result;

/// The data of one fold.
#[derive(Debug)]
pub struct FoldData<D> {
    /// The number of the fold, from 1.
    pub number: usize,
    /// Training data: all other folds.
    pub train: Subset<Arc<D>>,
    /// Test data: the fold itself, which must not be used in training.
    pub test: Subset<Arc<D>>,
}

/// The results of cross-validation.
#[derive(Debug, Clone)]
pub struct FoldEvaluations {
    /// The test result of each fold, in order.
    pub folds: Vec<Evaluation>,
}

impl FoldEvaluations {
    /// Returns every metric with its mean and standard deviation over the folds, the loss first.
    pub fn metrics(&self) -> Vec<RepeatedScore> {
        RepeatedScore::per_metric(self.folds.iter().map(|fold| &fold.scores))
    }

    /// Returns one metric over the folds; `None` if it was not measured.
    pub fn metric(&self, name: &str) -> Option<RepeatedScore> {
        self.metrics().into_iter().find(|metric| metric.name == name)
    }
}

/// One line per metric, as in `accuracy 0.9000 ± 0.1000`.
impl fmt::Display for FoldEvaluations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.metrics().iter().map(RepeatedScore::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Splits `data` into folds and calls `run` for each, which trains a new model on `fold.train` and returns its evaluation
/// on `fold.test`.
///
/// ```
/// # use std::sync::Arc;
/// # use faknow_data::{DataLoader, Folds, TensorDataset};
/// # use faknow_model::{Mode, Model, Output, Result, loss};
/// # use faknow_trainer::{Trainer, cross_validate};
/// # use tch::{Device, Kind, Tensor, nn};
/// # struct Linear(nn::Linear);
/// # impl Model for Linear {
/// #     type Batch = (Tensor, Option<Tensor>);
/// #     fn forward(&self, batch: &Self::Batch, _: Mode) -> Result<Output> {
/// #         loss::classify(batch.0.apply(&self.0), batch)
/// #     }
/// # }
/// # let x = Tensor::arange(40, (Kind::Float, Device::Cpu)).unsqueeze(1) - 19.5;
/// # let y = x.squeeze_dim(1).gt(0.0).to_kind(Kind::Int64);
/// # let data = Arc::new(TensorDataset::new(x, y)?);
/// let result = cross_validate(&data, &Folds::stratified(4), |fold| {
///     let vars = nn::VarStore::new(Device::Cpu);
///     let model = Linear(nn::linear(vars.root(), 1, 2, Default::default()));
///     let mut trainer = Trainer::builder(model, vars).max_epochs(3).build()?;
///     trainer.fit(&DataLoader::builder(fold.train).shuffle(1).build()?, None)?;
///     trainer.test(&DataLoader::builder(fold.test).build()?)
/// })?;
/// println!("{result}"); // accuracy 0.9750 ± 0.0500 …
/// # assert_eq!(result.metric("accuracy").and_then(|metric| metric.summary).map(|summary| summary.n), Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Take a validation set for early stopping from `fold.train`: with a model that was selected on its test fold, the
/// results are biased.
///
/// # Errors
/// The data cannot be split into these folds, or `run` fails.
pub fn cross_validate<D: Dataset>(
    data: &Arc<D>,
    folds: &Folds,
    mut run: impl FnMut(FoldData<D>) -> Result<Evaluation>,
) -> Result<FoldEvaluations> {
    let parts = folds.split(data)?;
    let numbered = parts.into_iter().zip(1..);
    let test = |((train, test), number)| run(FoldData { number, train, test });
    Ok(FoldEvaluations { folds: numbered.map(test).collect::<Result<_>>()? })
}
