//! Dual coordinate descent: a training step for linear classifiers of n-grams.

use std::collections::BTreeMap;

use faknow_callbacks::State;
use faknow_data::FieldBatch;
use faknow_model::{LinearLoss, Loss, Model};
use serde_json::{Value, json};
use tch::{Kind, Tensor, no_grad};

use crate::error::setting;
use crate::step::linear_dual::{LinearDual, Row};
use crate::{Error, Optimizer, Result, StepContext, StepOutput, TrainStep};

/// Name of the tensor of the state.
const DUAL: &str = "dual";

/// Trains a model whose logits are [weighted sums of n-grams](faknow_model::Model::ngram_weights) by dual coordinate descent, which
/// needs no learning rate and converges in a few epochs; the optimizer of the trainer is not used.
///
/// The objective is half the squared norm of all weights, those of the bias included, plus `c` times the sum of the losses of
/// all training samples. Each sample has dual variables, which are part of a checkpoint; a step maximizes the dual objective for
/// one sample of the batch after the other, for
///
/// - [`LinearLoss::SquaredHinge`], one class against all others or, with two classes, the second against the first, by Hsieh et
///   al., *A Dual Coordinate Descent Method for Large-scale Linear SVM*, ICML 2008, algorithm 1, as in liblinear and
///   scikit-learn's `LinearSVC`;
/// - [`LinearLoss::Logistic`], by Shalev-Shwartz and Zhang, *Accelerated Proximal Stochastic Dual Coordinate Ascent*, 2014,
///   figure 1, option III, for the cross entropy. With two classes, `c` is halved: the difference of the weights of both classes is
///   that of a logistic regression with a single vector of weights, as scikit-learn's `LogisticRegression(solver="liblinear")`.
///
/// The recorded loss is the mean over the samples before the update of each, without regularization.
///
/// ```
/// use faknow_data::text::{NGramEncoder, NGramOptions, Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{DataLoader, FieldDataset, Record};
/// use faknow_model::{LinearClassifier, LinearConfig};
/// use faknow_trainer::{DualCoordinateDescent, Trainer};
/// use tch::{Device, nn::VarStore};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let texts = [("moon made of cheese", 1), ("rain on the moon", 0), ("cheese from the moon", 1), ("rain in spain", 0)];
/// let records = texts.map(|(text, label)| Ok(Record::new(text).with_label(label)));
/// let (data, _) = FieldDataset::build(records, &tokenizer, &VocabOptions::default())?;
/// let encoder = NGramEncoder::fit(&data, &NGramOptions::default())?;
///
/// let vars = VarStore::new(Device::Cpu);
/// let config = LinearConfig::default();
/// let model = LinearClassifier::new(&vars.root(), &config, encoder.n_features(), 2)?;
/// let step = DualCoordinateDescent::new(config.loss, config.c)?;
/// let mut trainer = Trainer::builder(model, vars).step(step).max_epochs(10).build()?;
/// let train = DataLoader::builder(data.with_ngrams(&encoder)?).batch_size(4).build()?;
/// let report = trainer.fit(&train, None)?;
/// assert_eq!(report.history.epochs[9].get("train/accuracy").and_then(|score| score.value()), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DualCoordinateDescent {
    loss: LinearLoss,
    c: f64,
    /// The dual variables of each sample of the training data, `[n, n_duals]`.
    dual: Vec<f64>,
    n_duals: usize,
    /// Whether an update was started but not completed.
    is_incomplete: bool,
}

impl DualCoordinateDescent {
    /// Creates the step with this weight of the losses relative to the regularization.
    ///
    /// # Errors
    /// `c` is not above 0.
    pub fn new(loss: LinearLoss, c: f64) -> Result<Self> {
        if !(c > 0.0 && c.is_finite()) {
            return Err(setting("dual_coordinate_descent.c", "a number above 0", c));
        }
        Ok(Self { loss, c, dual: Vec::new(), n_duals: 0, is_incomplete: false })
    }
}

impl<M: Model<Batch = FieldBatch>> TrainStep<M> for DualCoordinateDescent {
    fn step(
        &mut self,
        model: &mut M,
        batch: &FieldBatch,
        _: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let Some(parameters) = model.ngram_weights() else {
            return Err(Error::other(
                "dual coordinate descent: expected a linear model of n-grams (`Model::ngram_weights`), got another",
            ));
        };
        let labels = batch.labels.as_ref().ok_or(Error::NoLabels { location: context.location })?;
        let ngrams = batch.ngrams()?;
        let n_classes = parameters.bias.numel();
        let floats = |tensor: &Tensor| -> Result<Vec<f32>> {
            Ok(tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?.try_into()?)
        };
        let (indices, values) = (Vec::<i64>::try_from(&ngrams.indices)?, floats(&ngrams.values)?);
        let mut offsets = Vec::<i64>::try_from(&ngrams.offsets)?;
        offsets.push(indices.len() as i64);
        let labels = Vec::<i64>::try_from(labels)?;
        if let Some(&label) = labels.iter().find(|&&label| !(0..n_classes as i64).contains(&label)) {
            let (n_classes, min, max) = (n_classes as i64, label, label);
            return Err(faknow_model::Error::Labels { n_classes, min, max }.into());
        }
        let (weight, bias) = (floats(parameters.weight)?, floats(parameters.bias)?);
        let mut dual = LinearDual { loss: self.loss, c: self.c, n_classes, weight, bias };
        self.reserve(batch, dual.n_duals());
        self.is_incomplete = true;
        let n_duals = self.n_duals;
        let mut logits = vec![0.0; labels.len() * n_classes];
        let mut total = 0.0;
        let rows = offsets.windows(2).zip(&labels).zip(&batch.indices);
        for (((bounds, &label), &sample), logits) in rows.zip(logits.chunks_exact_mut(n_classes)) {
            let range = bounds[0] as usize..bounds[1] as usize;
            let row = Row { indices: &indices[range.clone()], values: &values[range], label: label as usize };
            let variables = &mut self.dual[sample * n_duals..(sample + 1) * n_duals];
            total += dual.update(&row, variables, logits);
        }
        no_grad(|| -> Result<()> {
            for (parameter, new) in [(parameters.weight, &dual.weight), (parameters.bias, &dual.bias)] {
                let new = Tensor::f_from_slice(new)?.f_view_as(parameter)?;
                parameter.shallow_clone().f_copy_(&new)?;
            }
            Ok(())
        })?;
        self.is_incomplete = false;
        let mean = total / labels.len().max(1) as f64;
        let logits = Tensor::f_from_slice(&logits)?.f_view([labels.len() as i64, n_classes as i64])?;
        let device = parameters.weight.device();
        Ok(StepOutput::new(Loss::single(Tensor::from(mean).to_device(device)))
            .logits(logits.to_device(device)))
    }

    fn uses_optimizer(&self) -> bool {
        false
    }

    fn settings(&self) -> Value {
        json!({ "name": "dual_coordinate_descent", "loss": self.loss, "c": self.c })
    }

    fn state(&self) -> Result<State> {
        let n_duals = self.n_duals.max(1) as i64;
        let dual = Tensor::f_from_slice(&self.dual)?.f_view([-1, n_duals])?;
        let tensors = BTreeMap::from([(DUAL.to_owned(), dual)]);
        Ok(State { values: Value::Null, tensors })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let expected = || Error::other("dual coordinate descent: expected the dual variables of all samples");
        let dual = state.tensors.get(DUAL).ok_or_else(expected)?;
        let [_, n_duals] = dual.size()[..] else { return Err(expected()) };
        self.dual = dual.f_to_kind(Kind::Double)?.f_contiguous()?.f_view([-1])?.try_into()?;
        self.n_duals = if self.dual.is_empty() { 0 } else { n_duals as usize };
        self.is_incomplete = false;
        Ok(())
    }

    fn is_unchanged(&self) -> Result<bool> {
        Ok(!self.is_incomplete)
    }
}

impl DualCoordinateDescent {
    /// Adds dual variables, initially 0, for the new samples of a batch.
    fn reserve(&mut self, batch: &FieldBatch, n_duals: usize) {
        self.n_duals = n_duals;
        let n_samples = batch.indices.iter().max().map_or(0, |&last| last + 1);
        let n = self.dual.len().max(n_samples * n_duals);
        self.dual.resize(n, 0.0);
    }
}
