//! Elastic weight consolidation: parameters that are important for earlier tasks are held in place.

use std::collections::BTreeMap;

use faknow_callbacks::Phase;
use faknow_data::{Batch, Dataset};
use faknow_model::{Loss, Mode, Model, loss};
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use crate::error::{Location, setting};
use crate::optim::copy;
use crate::system::guard::{GradModeGuard, guard};
use crate::{
    Clip, Error, Optimizer, OptimizerConfig, Result, StepContext, StepOutput, Supervised, TrainStep,
};

/// Trains on a new task without forgetting earlier ones: a penalty keeps parameters near their old values, weighted by
/// their importance.
///
/// Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, PNAS 2017, equation 3: the penalty
/// strength / 2 · Σ F (θ - θ*)² over all parameters and all earlier tasks is added to the loss of the new task. θ* are the
/// parameters at the end of a task, F is the diagonal of the empirical Fisher information there: the mean over the samples
/// of the task of the squared gradient of the log likelihood of their labels. GNNCL (Han et al., 2020) uses it to train on
/// several datasets in sequence.
///
/// The recorded loss is the sum, with the parts `classification` (or the model's own) and `ewc`.
///
/// ```
/// use faknow_data::synth::{CascadeOptions, cascades};
/// use faknow_data::FieldDataset;
/// use faknow_data::DataLoader;
/// use faknow_model::{GraphClassifier, GraphClassifierConfig, ConvKind};
/// use faknow_trainer::{Ewc, Trainer};
/// use tch::{Device, nn::VarStore};
///
/// let task = |seed| -> Result<FieldDataset, faknow_data::Error> {
///     FieldDataset::from_trees(cascades(&CascadeOptions { n_trees: 20, seed, ..CascadeOptions::default() })?.collect())
/// };
/// let loader = |data| DataLoader::builder(data).batch_size(10).build();
/// let vars = VarStore::new(Device::Cpu);
/// let model = GraphClassifier::new(&vars.root(), ConvKind::Gcn, &GraphClassifierConfig::default(), 2000, 2)?;
/// let mut trainer = Trainer::builder(model, vars).max_epochs(1).build()?;
/// trainer.fit(&loader(task(1)?)?, None)?;
///
/// let (model, vars) = trainer.into_parts();
/// let mut ewc = Ewc::new(1000.0)?;
/// ewc.consolidate(&model, &vars, &task(1)?)?;
/// let mut trainer = Trainer::builder(model, vars).step(ewc).max_epochs(1).build()?;
/// trainer.fit(&loader(task(2)?)?, None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ewc {
    strength: f64,
    tasks: Vec<BTreeMap<String, Consolidated>>,
    supervised: Supervised,
}

/// A parameter at the end of a task.
#[derive(Debug)]
struct Consolidated {
    value: Tensor,
    /// Importance of each element.
    fisher: Tensor,
}

impl Ewc {
    /// Creates the step without earlier tasks; `strength` is the weight of their penalty.
    ///
    /// # Errors
    /// The strength is negative or not finite.
    pub fn new(strength: f64) -> Result<Self> {
        if !(strength >= 0.0 && strength.is_finite()) {
            return Err(setting("ewc.strength", "a number of at least 0", strength));
        }
        Ok(Self { strength, tasks: Vec::new(), supervised: Supervised::default() })
    }

    /// Sets how the loss of the new task is computed. Default: the model's own loss.
    #[must_use]
    pub fn supervised(mut self, supervised: Supervised) -> Self {
        self.supervised = supervised;
        self
    }

    /// Adds a task: saves the parameters of a model after training on it, and their importance for its labeled `samples`.
    /// `vars` are the variables of the model. Each sample takes a separate forward and backward pass, without dropout.
    ///
    /// # Errors
    /// There are no samples, one has no label, or the model fails on one.
    pub fn consolidate<M, D>(&mut self, model: &M, vars: &VarStore, samples: &D) -> Result<()>
    where
        M: Model,
        D: Dataset<Batch = M::Batch>,
    {
        if samples.n_samples() == 0 {
            return Err(setting("samples of a task to consolidate", "at least one", 0));
        }
        let _grad_mode = GradModeGuard::new();
        // For backward passes and for resetting gradients; it never updates anything.
        let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.0), vars, Clip::None)?;
        drop(optimizer.take_gradients()?);
        let mut task = BTreeMap::new();
        for (name, tensor) in optimizer.parameters() {
            let fisher = no_grad(|| tensor.f_zeros_like())?;
            task.insert(name.to_owned(), Consolidated { value: copy(tensor)?, fisher });
        }
        for sample in 0..samples.n_samples() {
            let location = Location { phase: Phase::Train, epoch: 0, batch: sample + 1 };
            guard(location, || {
                let batch = samples.batch(&[sample])?.to_device(vars.device());
                let labels = batch.labels().ok_or(Error::NoLabels { location })?;
                let logits = model.forward(&batch, Mode::Eval)?.logits;
                optimizer.backward(&loss::cross_entropy(&logits, labels)?)
            })?;
            for (name, tensor) in optimizer.parameters() {
                let gradient = tensor.f_grad()?;
                if let (true, Some(parameter)) = (gradient.defined(), task.get_mut(name)) {
                    let _ = no_grad(|| parameter.fisher.f_add_(&gradient.f_square()?))?;
                }
            }
            drop(optimizer.take_gradients()?);
        }
        let n = samples.n_samples() as f64;
        no_grad(|| task.values_mut().try_for_each(|r| r.fisher.f_div_scalar_(n).map(drop)))?;
        self.tasks.push(task);
        Ok(())
    }

    /// Returns the weighted distance of the parameters from their old values; `None` without earlier tasks.
    fn penalty(&self, optimizer: &Optimizer) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for (name, tensor) in optimizer.parameters() {
            for Consolidated { value, fisher } in self.tasks.iter().filter_map(|task| task.get(name)) {
                let part = tensor.f_sub(value)?.f_square()?.f_mul(fisher)?.f_sum(None::<Kind>)?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&part)?,
                    None => part,
                });
            }
        }
        Ok(sum.map(|sum| sum.f_mul_scalar(self.strength / 2.0)).transpose()?)
    }
}

impl<M: Model> TrainStep<M> for Ewc {
    fn settings(&self) -> Value {
        let supervised = TrainStep::<M>::settings(&self.supervised);
        json!({ "name": "ewc", "strength": self.strength, "n_tasks": self.tasks.len(), "supervised": supervised })
    }

    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        TrainStep::<M>::start_window(&mut self.supervised, batches)
    }

    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let StepOutput { mut loss, logits, logged_values } =
            self.supervised.forward(model, batch, optimizer, context)?;
        if let Some(penalty) = self.penalty(optimizer)? {
            let total = loss.total.f_add(&penalty)?;
            if loss.parts.is_empty() {
                loss.parts.push((Loss::CLASSIFICATION, loss.total));
            }
            loss.parts.push(("ewc", penalty));
            loss = context.check_loss(Some(Loss { total, parts: loss.parts }), optimizer)?;
        }
        optimizer.backward_step(&loss.total)?;
        Ok(StepOutput { loss, logits, logged_values })
    }
}
