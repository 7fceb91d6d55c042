//! Helpers for tests of interrupted runs: setups, copies of run directories at any point, and comparable outcomes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{
    Callback, EarlyStopping, Freeze, FreezeRule, Interval, NamePattern, Run, read_scalars,
};
use faknow_data::{DataLoader, Dataset, Rng};
use faknow_metrics::Metrics;
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::schedule::{ExponentialLr, Plateau, ScheduleConfig, WarmupLinear};
use faknow_trainer::{
    Adam, CheckpointPolicy, Clip, FitReport, NonFinitePolicy, Optimizer, OptimizerConfig, RunDir,
    StepContext, StepOutput, Supervised, TrainStep, Trainer, TrainerBuilder, WeightAveraging,
};
use serde_json::Value;

use crate::at_hook::AtHook;
use crate::toy::{POINTS, Points, Toy, Weights, weights};

/// The points as a dataset with different lengths.
pub(crate) struct Data;

impl Dataset for Data {
    type Batch = Points;

    fn n_samples(&self) -> usize {
        POINTS.len()
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Points> {
        Ok(Points::new(&indices.iter().map(|&i| POINTS[i]).collect::<Vec<_>>()))
    }

    fn length(&self, index: usize) -> usize {
        index % 3
    }
}

/// Returns a loader with shuffling, length buckets and prefetching.
pub(crate) fn train_data() -> DataLoader<Data> {
    train_data_of(2)
}

pub(crate) fn train_data_of(batch_size: usize) -> DataLoader<Data> {
    DataLoader::builder(Data).batch_size(batch_size).shuffle(3).buckets(2).prefetch(1, 2).build().unwrap()
}

pub(crate) fn valid_data() -> DataLoader<Data> {
    DataLoader::builder(Data).batch_size(3).build().unwrap()
}

/// The settings of a test run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) epochs: usize,
    pub(crate) max_steps: Option<u64>,
    pub(crate) accumulate: usize,
    pub(crate) average: Averaging,
    pub(crate) schedule: ScheduleKind,
    pub(crate) validate_every: Option<&'static str>,
    pub(crate) every: &'static str,
    pub(crate) keep: usize,
    pub(crate) best: usize,
    pub(crate) patience: usize,
    /// Patterns of frozen weights, each with the time at which they are unfrozen.
    pub(crate) freeze: &'static [(&'static str, Option<&'static str>)],
    pub(crate) on_non_finite: NonFinitePolicy,
    /// (epoch, batch) pairs whose loss is NaN.
    pub(crate) poison: &'static [(usize, usize)],
    /// Whether checkpoints are written while training continues.
    pub(crate) background: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Averaging {
    None,
    Ema,
    Swa,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ScheduleKind {
    Constant,
    Plateau,
    WarmUp,
    EachEpoch,
}

/// A setup with all features enabled.
pub(crate) const ALL_FEATURES: Setup = Setup {
    seed: 11,
    epochs: 5,
    max_steps: None,
    accumulate: 2,
    average: Averaging::Ema,
    schedule: ScheduleKind::Plateau,
    validate_every: None,
    every: "1 step",
    keep: 2,
    best: 2,
    patience: 2,
    freeze: &[("bias", Some("3 steps"))],
    on_non_finite: NonFinitePolicy::Skip,
    poison: &[(3, 2)],
    background: false,
};

/// Minimum learning rate at which poisoned batches are NaN, in runs that are rolled back.
const MIN_POISONOUS_LR: f64 = 0.04;

impl Setup {
    pub(crate) fn builder(&self, dir: RunDir) -> TrainerBuilder<Toy> {
        let (mut model, vars) = Toy::new();
        model.dropout = 0.3;
        let adam = Adam { lr: 0.05, amsgrad: true, ..Adam::default() };
        let checkpoints = CheckpointPolicy {
            every: self.every.parse().unwrap(),
            keep: self.keep,
            best: self.best,
            monitors: vec!["accuracy".into()],
            background: self.background,
        };
        let freeze = self.freeze.iter().map(|(pattern, until)| FreezeRule {
            pattern: NamePattern::new(*pattern),
            until: until.map(|until| until.parse().unwrap()),
        });
        let mut builder = Trainer::builder(model, vars)
            .optimizer(OptimizerConfig::Adam(adam))
            .clip(Clip::Norm(0.8))
            .metrics(Metrics::default())
            .monitor("loss")
            .max_epochs(self.epochs)
            .accumulate_grad_batches(self.accumulate)
            .checkpoints(checkpoints)
            .callback(EarlyStopping::new(self.patience))
            .callback(Freeze::new(freeze))
            .step(PoisonedStep {
                batches: self.poison,
                rolls_back: self.on_non_finite == NonFinitePolicy::RollBack,
            })
            .on_non_finite(self.on_non_finite)
            .seed(self.seed)
            .run_dir(dir);
        let schedule = match self.schedule {
            ScheduleKind::Constant => None,
            ScheduleKind::Plateau => {
                Some(ScheduleConfig::Plateau(Plateau { patience: 0, factor: 0.5, ..Plateau::default() }))
            }
            ScheduleKind::WarmUp => {
                let warmup_ratio = Some(0.5);
                Some(ScheduleConfig::WarmupLinear(WarmupLinear { warmup_ratio, ..WarmupLinear::default() }))
            }
            ScheduleKind::EachEpoch => Some(ScheduleConfig::Exponential(ExponentialLr::new(0.9))),
        };
        if let Some(schedule) = schedule {
            builder = builder.schedule(schedule);
        }
        builder = match self.average {
            Averaging::None => builder,
            Averaging::Ema => builder.average(WeightAveraging::Ema { decay: 0.8 }),
            Averaging::Swa => {
                builder.average(WeightAveraging::Swa { start: Interval::steps(3), every: Interval::steps(2) })
            }
        };
        if let Some(every) = self.validate_every {
            builder = builder.validate_every(every);
        }
        match self.max_steps {
            Some(steps) => builder.stop_after(Interval::steps(steps)),
            None => builder,
        }
    }

    pub(crate) fn fit(
        &self,
        dir: &Path,
        extra: impl Callback + 'static,
    ) -> faknow_trainer::Result<RunOutcome> {
        let mut trainer = self.builder(RunDir::create(dir).unwrap()).callback(extra).build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data()))?;
        Ok(RunOutcome::new(report, &trainer, dir))
    }

    pub(crate) fn resume(&self, dir: &Path) -> faknow_trainer::Result<RunOutcome> {
        self.resume_with(dir, no_op())
    }

    pub(crate) fn resume_with(
        &self,
        dir: &Path,
        extra: impl Callback + 'static,
    ) -> faknow_trainer::Result<RunOutcome> {
        let mut trainer = self.builder(RunDir::open(dir)?).callback(extra).build().unwrap();
        let report = trainer.resume(&train_data(), Some(&valid_data()))?;
        Ok(RunOutcome::new(report, &trainer, dir))
    }
}

/// Returns a callback that does nothing.
pub(crate) fn no_op() -> impl Callback + 'static {
    AtHook(|_: &mut Run, _| Ok(()))
}

/// The default step with NaN inputs in some batches, as a function of position and learning rate, so that a resumed run
/// behaves identically.
struct PoisonedStep {
    batches: &'static [(usize, usize)],
    rolls_back: bool,
}

impl TrainStep<Toy> for PoisonedStep {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> faknow_trainer::Result<StepOutput> {
        let is_poisonous = !self.rolls_back || optimizer.learning_rates()[0] >= MIN_POISONOUS_LR;
        if is_poisonous && self.batches.contains(&(context.location.epoch, context.location.batch)) {
            let labels = batch.labels.as_ref().map(tch::Tensor::shallow_clone);
            let batch = Points { x: &batch.x * f64::NAN, labels, names: batch.names.clone(), is_moved: true };
            return Supervised::default().step(model, &batch, optimizer, context);
        }
        Supervised::default().step(model, batch, optimizer, context)
    }
}

/// The complete outcome of a run, without times.
#[derive(Debug, PartialEq)]
pub(crate) struct RunOutcome {
    pub(crate) report: Value,
    pub(crate) weights: Weights,
    pub(crate) checkpoints: BTreeMap<String, Value>,
    pub(crate) csv: Vec<String>,
    pub(crate) jsonl: Vec<Value>,
    /// Tag, x and value of each point of the TensorBoard curves.
    pub(crate) curves: Vec<(String, i64, u32)>,
}

impl RunOutcome {
    pub(crate) fn new(report: FitReport, trainer: &Trainer<Toy>, dir: &Path) -> Self {
        let mut report = serde_json::to_value(report).unwrap();
        without_times(&mut report);
        report.as_object_mut().unwrap().remove("run_dir");
        let store = CheckpointStore::new(dir);
        let mut checkpoints = BTreeMap::new();
        for entry in store.list() {
            let name = entry.name;
            // `previous` depends on when the run was interrupted.
            if name == "previous" {
                continue;
            }
            let mut checkpoint = store.read(&name).unwrap();
            without_times(&mut checkpoint.state);
            let mut all = checkpoint.state;
            // A run that fails or is interrupted is saved early; it does the work that is due when it is resumed.
            let parts = all.as_object_mut().unwrap();
            parts["fit"].as_object_mut().unwrap().remove("saved_at");
            if name != "last" {
                parts.remove("checkpoints");
            }
            for (group, tensors) in &checkpoint.tensors {
                for (tensor, value) in tensors {
                    let value = value.to_kind(tch::Kind::Double).reshape([-1]);
                    let bits: Vec<u64> =
                        Vec::<f64>::try_from(value).unwrap().into_iter().map(f64::to_bits).collect();
                    all[format!("{group}/{tensor}")] = bits.into();
                }
            }
            checkpoints.insert(name, all);
        }
        let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        // Without the last column, which is `seconds`.
        let csv = text("metrics.csv");
        let csv = csv.lines().map(|row| row.rsplit_once(',').unwrap().0.to_owned()).collect();
        let jsonl = text("history.jsonl")
            .lines()
            .map(|line| {
                let mut line = serde_json::from_str(line).unwrap();
                without_times(&mut line);
                line
            })
            .collect();
        let points = read_scalars(&dir.join("tensorboard")).unwrap();
        let mut curves: Vec<_> =
            points.into_iter().map(|point| (point.tag, point.x, point.value.to_bits())).collect();
        curves.sort();
        Self { report, weights: weights(&trainer.run().vars), checkpoints, csv, jsonl, curves }
    }

    pub(crate) fn assert_eq(&self, expected: &Self, label: &str) {
        assert_eq!(self.report, expected.report, "{label}: report");
        assert_eq!(self.weights, expected.weights, "{label}: weights");
        let names = |outcome: &Self| outcome.checkpoints.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(expected), "{label}: checkpoints");
        for (name, checkpoint) in &self.checkpoints {
            for (key, value) in checkpoint.as_object().unwrap() {
                assert_eq!(value, &expected.checkpoints[name][key], "{label}: checkpoint {name}: {key}");
            }
        }
        assert_eq!(self.csv, expected.csv, "{label}: metrics.csv");
        assert_eq!(self.jsonl, expected.jsonl, "{label}: history.jsonl");
        assert_eq!(self.curves, expected.curves, "{label}: tensorboard");
    }
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("seconds") && name != "profile");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Copies of a run directory, each with a description of when it was made.
pub(crate) type Copies = Arc<Mutex<Vec<(PathBuf, String)>>>;

/// Returns a callback that copies the run directory into `to` at a share of the hook calls, in the state that `kill -9`
/// would leave it in.
pub(crate) fn copy_at_hooks(to: &Path, share: f64, seed: u64) -> (impl Callback + 'static, Copies) {
    let (to, mut rng, copies) = (to.to_owned(), Rng::new(seed), Copies::default());
    let log = Arc::clone(&copies);
    let callback = AtHook(move |run: &mut Run, hook| {
        if rng.uniform() < share {
            let mut log = log.lock().unwrap();
            let to = to.join(format!("copy-{}", log.len()));
            consistent_copy(run.dir().unwrap(), &to);
            log.push((
                to,
                format!("{hook} in epoch {}, batch {}, step {}", run.epoch(), run.batch(), run.step()),
            ));
        }
        Ok(())
    });
    (callback, copies)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    try_copy(from, to).unwrap();
}

/// Copies a directory, repeatedly until nothing was written meanwhile.
fn consistent_copy(from: &Path, to: &Path) {
    loop {
        let before = entries(from);
        let result = try_copy(from, to);
        if before.is_ok_and(|before| entries(from).is_ok_and(|after| after == before)) {
            return result.unwrap();
        }
        fs::remove_dir_all(to).unwrap();
    }
}

/// Returns path, inode and size of all entries of a directory.
fn entries(dir: &Path) -> io::Result<BTreeSet<(PathBuf, u64, u64)>> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let (path, info) = {
            let entry = entry?;
            (entry.path(), entry.metadata()?)
        };
        if info.is_dir() {
            all.extend(entries(&path)?);
        }
        all.insert((path, info.ino(), info.len()));
    }
    Ok(all)
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            try_copy(&entry.path(), &to)?;
        } else {
            let _ = fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
