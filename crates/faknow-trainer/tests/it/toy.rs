//! A linear classifier of 2-d points with batches and loaders, small enough to compare with a manual computation.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{Callback, Flow, LevelFilter, ProgressWriter, Run, console_subscriber};
use faknow_data::{Batch, Loader};
use faknow_metrics::{Direction, EpochRecord, FnMetric, Metrics, metric_fn};
use faknow_model::{Loss, Mode, Model, Output, loss};
use faknow_trainer::{OptimizerConfig, Trainer, TrainerBuilder};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

/// The values of all variables, by name.
pub(crate) type Weights = BTreeMap<String, Vec<f64>>;

/// A point and its class.
pub(crate) type Point = ([f64; 2], i64);

/// Seven points of two classes.
pub(crate) const POINTS: [Point; 7] = [
    ([1.0, 0.5], 0),
    ([0.2, 1.5], 1),
    ([-1.0, 0.3], 0),
    ([0.4, -0.8], 1),
    ([2.0, 1.0], 0),
    ([-0.5, -1.2], 1),
    ([0.1, 0.9], 1),
];

/// A batch of points with names, as an example of a field that is not a tensor.
#[derive(Debug)]
pub(crate) struct Points {
    pub(crate) x: Tensor,
    pub(crate) labels: Option<Tensor>,
    pub(crate) names: Vec<String>,
    pub(crate) is_moved: bool,
}

impl Points {
    pub(crate) fn new(points: &[Point]) -> Self {
        let x: Vec<f64> = points.iter().flat_map(|(x, _)| *x).collect();
        let labels: Vec<i64> = points.iter().map(|(_, label)| *label).collect();
        Self {
            x: Tensor::from_slice(&x).view([points.len() as i64, 2]),
            labels: Some(Tensor::from_slice(&labels)),
            names: (0..points.len()).map(|i| format!("point {i}")).collect(),
            is_moved: false,
        }
    }
}

impl Batch for Points {
    fn n_samples(&self) -> usize {
        self.names.len()
    }

    fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    fn to_device(&self, device: Device) -> Self {
        Self {
            x: self.x.to_device(device),
            labels: self.labels.as_ref().map(|labels| labels.to_device(device)),
            names: self.names.clone(),
            is_moved: true,
        }
    }
}

/// Batches in memory, the same in every epoch.
pub(crate) struct Memory {
    pub(crate) batches: Vec<Vec<Point>>,
    pub(crate) is_labeled: bool,
}

impl Memory {
    /// Splits points into batches of these sizes, in order.
    pub(crate) fn new(points: &[Point], sizes: &[usize]) -> Self {
        let mut rest = points;
        let mut next = |n| {
            let (batch, tail) = rest.split_at(n);
            rest = tail;
            batch.to_vec()
        };
        Self { batches: sizes.iter().map(|&n| next(n)).collect(), is_labeled: true }
    }
}

impl Loader<Points> for Memory {
    fn n_samples(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }

    fn n_batches(&self) -> usize {
        self.batches.len()
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
        Box::new(self.batches[from..].iter().map(|points| {
            let batch = Points::new(points);
            Ok(if self.is_labeled { batch } else { Points { labels: None, ..batch } })
        }))
    }
}

/// Returns all points in batches of 4, 2 and 1.
pub(crate) fn train_data() -> Memory {
    Memory::new(&POINTS, &[4, 2, 1])
}

/// Returns all points in batches of 5 and 2.
pub(crate) fn valid_data() -> Memory {
    Memory::new(&POINTS, &[5, 2])
}

/// A simulated fault of a forward pass.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Nothing,
    Nan,
    Error,
    Panic,
}

/// A linear model with dropout: logits `x Wᵀ + b`.
pub(crate) struct Toy {
    weight: Tensor,
    bias: Tensor,
    pub(crate) dropout: f64,
    /// Whether the loss has the parts `class` and `size`.
    pub(crate) has_loss_parts: bool,
    /// The fault of the n-th forward pass (from 1) of a mode.
    pub(crate) fault: Box<dyn Fn(Mode, usize) -> Fault + Send>,
    /// The modes of all forward passes.
    pub(crate) modes: Arc<Mutex<Vec<Mode>>>,
}

impl Toy {
    /// Creates a model of two classes with fixed weights, in f64.
    pub(crate) fn new() -> (Self, VarStore) {
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let weight = vars.root().var("weight", &[2, 2], Init::Const(0.0));
        let bias = vars.root().var("bias", &[2], Init::Const(0.0));
        tch::no_grad(|| {
            weight.shallow_clone().copy_(&Tensor::from_slice2(&[[0.1, -0.2], [0.3, 0.05]]));
            bias.shallow_clone().copy_(&Tensor::from_slice(&[0.0, 0.1]));
        });
        let fault = Box::new(|_, _| Fault::Nothing);
        (Self { weight, bias, dropout: 0.0, has_loss_parts: false, fault, modes: Arc::default() }, vars)
    }

    /// Creates a model with a fault in the n-th forward pass of training, from 1.
    pub(crate) fn with_training_fault(n: usize, fault: Fault) -> (Self, VarStore) {
        let (mut toy, vars) = Self::new();
        toy.fault = Box::new(move |mode, i| if mode.is_train() && i == n { fault } else { Fault::Nothing });
        (toy, vars)
    }
}

impl Model for Toy {
    type Batch = Points;

    fn forward(&self, batch: &Points, mode: Mode) -> faknow_model::Result<Output> {
        assert!(batch.is_moved, "the batch was not moved to the device");
        assert_eq!(is_grad_enabled(), mode.is_train(), "gradients must be enabled only in training");
        let count = {
            let mut modes = self.modes.lock().unwrap();
            modes.push(mode);
            modes.iter().filter(|m| **m == mode).count()
        };
        let mut x = batch.x.f_dropout(self.dropout, mode.is_train())?;
        match (self.fault)(mode, count) {
            Fault::Nothing => {}
            Fault::Nan => x *= f64::NAN,
            Fault::Error => x = x.f_matmul(&Tensor::from_slice(&[1.0, 2.0, 3.0]))?,
            Fault::Panic => tch::no_grad(|| panic!("simulated panic in forward pass {count}")),
        }
        let mut output = loss::classify(x.f_linear(&self.weight, Some(&self.bias))?, batch)?;
        if let (true, Some(Loss { total, .. })) = (self.has_loss_parts, &output.loss) {
            let class = total.shallow_clone();
            let size = self.weight.f_square()?.f_sum(Kind::Double)?;
            output.loss = Some(Loss { total: &class + &size, parts: vec![("class", class), ("size", size)] });
        }
        Ok(output)
    }
}

/// Returns whether gradients are enabled in this thread.
pub(crate) fn is_grad_enabled() -> bool {
    Tensor::zeros([1], tch::kind::FLOAT_CPU).set_requires_grad(true).square().requires_grad()
}

/// Returns a trainer of [`Toy`] with gradient descent and accuracy.
pub(crate) fn trainer() -> TrainerBuilder<Toy> {
    trainer_for(Toy::new())
}

/// Returns a [`trainer`] of this model.
pub(crate) fn trainer_for((model, vars): (Toy, VarStore)) -> TrainerBuilder<Toy> {
    Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::sgd(0.1))
        .metrics(Metrics::from_names(&["accuracy"]).unwrap())
        .max_epochs(3)
        // Scripted metrics and faults must count only the passes of the run.
        .num_sanity_val_batches(0)
}

/// Returns a metric with the given values, one per validation, then NaN.
pub(crate) fn scripted(name: &str, direction: Direction, values: &[f64]) -> FnMetric {
    let (values, next) = (values.to_vec(), AtomicUsize::new(0));
    metric_fn(name, direction, move |_| {
        values.get(next.fetch_add(1, Ordering::Relaxed)).copied().unwrap_or(f64::NAN)
    })
}

/// Returns a trainer with one epoch per value, which monitors a scripted metric `score` to be maximized.
pub(crate) fn trainer_with_scores(values: &[f64]) -> TrainerBuilder<Toy> {
    trainer_with_scores_in(Direction::Maximize, values)
}

/// Returns a trainer like [`trainer_with_scores`] with another direction of the metric.
pub(crate) fn trainer_with_scores_in(direction: Direction, values: &[f64]) -> TrainerBuilder<Toy> {
    let metrics = Metrics::empty().with(scripted("score", direction, values)).unwrap();
    trainer().metrics(metrics).monitor("score").max_epochs(values.len())
}

/// Returns the values of all variables, by name.
pub(crate) fn weights(vars: &VarStore) -> Weights {
    let values = |t: Tensor| Vec::<f64>::try_from(t.detach().to_kind(Kind::Double).view([-1])).unwrap();
    vars.variables().into_iter().map(|(name, t)| (name, values(t))).collect()
}

/// Reads the weights of a safetensors file.
pub(crate) fn load_weights(path: &Path) -> Weights {
    let (_, vars) = Toy::new();
    faknow_model::weights::load(&vars, path).expect("weights that can be loaded");
    weights(&vars)
}

/// A callback that records the weights at the end of each epoch; clones share one list.
#[derive(Clone, Default)]
pub(crate) struct EpochWeights(Arc<Mutex<Vec<Weights>>>);

impl EpochWeights {
    pub(crate) fn after(&self, epoch: usize) -> Weights {
        self.0.lock().unwrap()[epoch - 1].clone()
    }
}

impl Callback for EpochWeights {
    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> faknow_callbacks::HookResult<Flow> {
        assert_eq!(run.history().last(), Some(record));
        self.0.lock().unwrap().push(weights(&run.vars));
        Ok(Flow::Continue)
    }
}

/// Returns what a function logs in this thread at level INFO and above.
pub(crate) fn logged(f: impl FnOnce()) -> String {
    let lines = Lines::default();
    let subscriber = console_subscriber(LevelFilter::INFO, &ProgressWriter::plain(lines.clone()));
    tracing::subscriber::with_default(subscriber, f);
    let lines = lines.0.lock().unwrap().clone();
    String::from_utf8(lines).unwrap()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
