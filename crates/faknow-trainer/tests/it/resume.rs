//! A run that is cut off at any moment and resumed ends as the run that was not.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{
    BatchEnd, Callback, EarlyStopping, Flow, Phase, Run, Span, StopReason, on_batch_end, on_epoch_end,
};
use faknow_data::{DataLoader, Dataset, Rng};
use faknow_metrics::{EpochRecord, Metrics};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::schedule::{Plateau, ScheduleConfig, WarmupLinear};
use faknow_trainer::{
    Adam, Average, Change, CheckpointPolicy, Clip, Error, FitReport, Interrupt, OptimizerConfig, Resume,
    RunDir, Trainer, TrainerBuilder,
};
use serde_json::Value;

use crate::toy::{self, POINTS, Points, Toy, Weights, weights};

/// The points as a data set, some longer than others.
struct Data;

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

/// Shuffled, in buckets, assembled ahead.
fn train_data() -> DataLoader<Data> {
    train_data_of(2)
}

fn train_data_of(batch_size: usize) -> DataLoader<Data> {
    DataLoader::builder(Data).batch_size(batch_size).shuffle(3).buckets(2).prefetch(1, 2).build().unwrap()
}

fn valid_data() -> DataLoader<Data> {
    DataLoader::builder(Data).batch_size(3).build().unwrap()
}

/// What a run is made of; everything is on by default.
#[derive(Clone, Copy)]
struct Setup {
    epochs: usize,
    accumulate: usize,
    average: u8,
    plateau: bool,
    validate_every: Option<&'static str>,
    every: &'static str,
    keep: usize,
    best: usize,
}

const ALL: Setup = Setup {
    epochs: 5,
    accumulate: 2,
    average: 1,
    plateau: true,
    validate_every: None,
    every: "1 step",
    keep: 2,
    best: 2,
};

impl Setup {
    fn builder(&self, dir: RunDir) -> TrainerBuilder<Toy> {
        let (mut model, vars) = Toy::new();
        model.dropout = 0.3;
        let adam = Adam { lr: 0.05, amsgrad: true, ..Adam::default() };
        let schedule = match self.plateau {
            true => ScheduleConfig::Plateau(Plateau { patience: 0, factor: 0.5, ..Plateau::default() }),
            false => ScheduleConfig::WarmupLinear(WarmupLinear {
                warmup_steps: Some(4),
                ..WarmupLinear::default()
            }),
        };
        let checkpoints = CheckpointPolicy {
            every: self.every.parse().unwrap(),
            keep: self.keep,
            best: self.best,
            monitors: vec!["accuracy".into()],
        };
        let mut builder = Trainer::builder(model, vars)
            .optimizer(OptimizerConfig::Adam(adam))
            .schedule(schedule)
            .clip(Clip::Norm(0.8))
            .metrics(Metrics::default())
            .monitor("loss")
            .max_epochs(self.epochs)
            .accumulate(self.accumulate)
            .checkpoints(checkpoints)
            .callback(EarlyStopping::new(2))
            .seed(11)
            .run_dir(dir);
        builder = match self.average {
            0 => builder,
            1 => builder.average(Average::Ema { decay: 0.8 }),
            _ => builder.average(Average::Swa { start: Span::steps(3), every: Span::steps(2) }),
        };
        if let Some(every) = self.validate_every {
            builder = builder.validate_every(every.parse().unwrap());
        }
        builder
    }

    fn fit(&self, dir: &Path, extra: impl Callback + 'static) -> faknow_trainer::Result<End> {
        let mut trainer = self.builder(RunDir::create(dir).unwrap()).callback(extra).build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data()))?;
        Ok(End::of(report, &trainer, dir))
    }

    fn resume(&self, dir: &Path) -> faknow_trainer::Result<End> {
        let mut trainer = self.builder(RunDir::open(dir)?).build().unwrap();
        let report = trainer.resume(&train_data(), Some(&valid_data()))?;
        Ok(End::of(report, &trainer, dir))
    }
}

/// All that a run ends with, times aside.
#[derive(Debug, PartialEq)]
struct End {
    report: Value,
    weights: Weights,
    checkpoints: BTreeMap<String, Value>,
    csv: Vec<String>,
    jsonl: Vec<Value>,
}

impl End {
    fn of(report: FitReport, trainer: &Trainer<Toy>, dir: &Path) -> Self {
        let mut report = serde_json::to_value(report).unwrap();
        without_times(&mut report);
        report.as_object_mut().unwrap().remove("run_dir");
        let store = CheckpointStore::new(dir);
        let mut checkpoints = BTreeMap::new();
        for found in store.list() {
            let name = found.name;
            // What `last` was before depends on when the run was cut off.
            if name == "previous" {
                continue;
            }
            let mut checkpoint = store.read(&name).unwrap();
            without_times(&mut checkpoint.state);
            let mut all = checkpoint.state;
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
        let csv =
            text("metrics.csv").lines().filter(|l| !l.contains(",seconds,")).map(str::to_owned).collect();
        let jsonl = text("history.jsonl")
            .lines()
            .map(|line| {
                let mut line = serde_json::from_str(line).unwrap();
                without_times(&mut line);
                line
            })
            .collect();
        Self { report, weights: weights(&trainer.run().vars), checkpoints, csv, jsonl }
    }

    fn assert_eq(&self, other: &Self, what: &str) {
        assert_eq!(self.report, other.report, "{what}: report");
        assert_eq!(self.weights, other.weights, "{what}: weights");
        let names = |end: &Self| end.checkpoints.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{what}: checkpoints");
        for (name, checkpoint) in &self.checkpoints {
            for (key, value) in checkpoint.as_object().unwrap() {
                assert_eq!(value, &other.checkpoints[name][key], "{what}: checkpoint {name}: {key}");
            }
        }
        assert_eq!(self.csv, other.csv, "{what}: metrics.csv");
        assert_eq!(self.jsonl, other.jsonl, "{what}: history.jsonl");
    }
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields
                .retain(|name, _| !name.ends_with("seconds") && name != "profile" && name != "validated_at");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Copies the run folder at some of the hooks, as a `kill -9` there would leave it.
struct Killed {
    to: PathBuf,
    /// Share of the hooks at which it does.
    share: f64,
    rng: Rng,
    copies: Arc<Mutex<Vec<(PathBuf, String)>>>,
}

impl Killed {
    fn new(to: &Path, share: f64, seed: u64) -> (Self, Arc<Mutex<Vec<(PathBuf, String)>>>) {
        let copies = Arc::<Mutex<Vec<_>>>::default();
        (Self { to: to.to_owned(), share, rng: Rng::new(seed), copies: Arc::clone(&copies) }, copies)
    }

    fn at(&mut self, run: &Run, hook: &str) {
        if self.rng.uniform() >= self.share {
            return;
        }
        let mut copies = self.copies.lock().unwrap();
        let to = self.to.join(format!("copy-{}", copies.len()));
        copy(run.dir.as_deref().unwrap(), &to);
        copies.push((to, format!("{hook} in epoch {}, batch {}, step {}", run.epoch, run.batch, run.step)));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            let _ = fs::copy(entry.path(), to).unwrap();
        }
    }
}

type CallbackResult<T> = faknow_callbacks::Result<T>;

impl Callback for Killed {
    fn on_fit_start(&mut self, run: &mut Run) -> CallbackResult<()> {
        self.at(run, "fit_start");
        Ok(())
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> CallbackResult<()> {
        self.at(run, "epoch_start");
        Ok(())
    }

    fn on_batch_start(&mut self, run: &mut Run) -> CallbackResult<()> {
        self.at(run, "batch_start");
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> CallbackResult<Flow> {
        self.at(run, "batch_end");
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, _: Phase, _: usize, _: usize) -> CallbackResult<()> {
        self.at(run, "evaluation_batch_end");
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> CallbackResult<Flow> {
        self.at(run, "epoch_end");
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, _: &StopReason) -> CallbackResult<()> {
        self.at(run, "fit_end");
        Ok(())
    }
}

/// Cuts the run off at random hooks, and again at random hooks while it goes on.
fn check(setup: Setup, share: f64, seed: u64) {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let (killed, copies) = Killed::new(folder.path(), share, seed);
    let unbroken = setup.fit(&folder.path().join("run"), killed).unwrap();
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    assert!(copies.len() > 2, "the run was cut off {} times", copies.len());
    for (copy, what) in copies {
        let end = setup.resume(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
        unbroken.assert_eq(&end, &what);
        // Done is done: to resume it once more gives the same again.
        setup.resume(&copy).unwrap().assert_eq(&unbroken, &what);
    }
}

#[test]
fn a_run_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    check(ALL, 0.25, 1);
}

#[test]
fn whatever_the_policies_are() {
    let setups = [
        Setup { every: "1 epoch", keep: 0, best: 1, ..ALL },
        Setup { every: "3 steps", average: 2, validate_every: Some("2 steps"), accumulate: 1, ..ALL },
        Setup { every: "5 samples", plateau: false, average: 0, keep: 1, ..ALL },
        Setup { every: "2 epochs", validate_every: Some("2 epochs"), accumulate: 3, best: 3, ..ALL },
        Setup { every: "1000 seconds", validate_every: Some("0.5 epochs"), ..ALL },
    ];
    for (seed, setup) in (2..).zip(setups) {
        check(setup, 0.1, seed);
    }
}

#[test]
fn an_interrupted_run_saves_itself_and_goes_on() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let unbroken = ALL.fit(&folder.path().join("whole"), on_batch_end(|_, _| Ok(Flow::Continue))).unwrap();
    for step in [1, 2, 3, 5, 6] {
        let dir = folder.path().join(format!("at-{step}"));
        let interrupt = Interrupt::default();
        let asks = interrupt.clone();
        let ask = on_batch_end(move |run, _| {
            if run.step == step {
                asks.request();
            }
            Ok(Flow::Continue)
        });
        // Seldom saved: the interrupt itself has to.
        let setup = Setup { every: "100 epochs", keep: 0, ..ALL };
        let builder = setup.builder(RunDir::create(&dir).unwrap()).callback(ask).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.ended, StopReason::Interrupted);
        let facts = CheckpointStore::new(&dir).verify("last").unwrap();
        assert_eq!((facts.step, facts.ended), (step, None));
        drop(trainer);
        let end = setup.resume(&dir).unwrap();
        assert_eq!(end.report, unbroken.report);
        assert_eq!(end.weights, unbroken.weights);
        assert_eq!((end.csv, end.jsonl), (unbroken.csv.clone(), unbroken.jsonl.clone()));
    }
}

/// Asks for the end while a validation is under way, at its `at`-th batch in all.
struct AskInValidation {
    at: usize,
    interrupt: Interrupt,
}

impl Callback for AskInValidation {
    fn on_evaluation_batch_end(&mut self, _: &mut Run, _: Phase, _: usize, _: usize) -> CallbackResult<()> {
        self.at = self.at.saturating_sub(1);
        if self.at == 0 {
            self.interrupt.request();
        }
        Ok(())
    }
}

#[test]
fn a_validation_that_was_interrupted_is_made_up_for() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { validate_every: Some("2 steps"), accumulate: 1, every: "100 epochs", keep: 0, ..ALL };
    let quiet = on_batch_end(|_, _| Ok(Flow::Continue));
    let unbroken = setup.fit(&folder.path().join("whole"), quiet).unwrap();
    assert!(!unbroken.report["history"]["inside"].as_array().unwrap().is_empty());
    // A validation has 3 batches; those after 2 and after 4 steps, the latter the end of the first epoch.
    for at in [1, 2, 3, 4, 6] {
        let dir = folder.path().join(format!("at-{at}"));
        let interrupt = Interrupt::default();
        let ask = AskInValidation { at, interrupt: interrupt.clone() };
        let builder = setup.builder(RunDir::create(&dir).unwrap()).callback(ask).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.ended, StopReason::Interrupted);
        let step = if at <= 3 { 2 } else { 4 };
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{at}");
        drop(trainer);
        let end = setup.resume(&dir).unwrap();
        assert_eq!(end.report, unbroken.report, "{at}");
        assert_eq!(end.weights, unbroken.weights, "{at}");
        assert_eq!((&end.csv, &end.jsonl), (&unbroken.csv, &unbroken.jsonl), "{at}");
    }
}

#[test]
fn a_run_that_a_callback_failed_goes_on_when_it_no_longer_does() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let unbroken = ALL.fit(&folder.path().join("whole"), on_batch_end(|_, _| Ok(Flow::Continue))).unwrap();
    let in_batch =
        on_batch_end(|run, _| if run.step == 3 { panic!("at step 3") } else { Ok(Flow::Continue) });
    let error = ALL.fit(&folder.path().join("batch"), in_batch).unwrap_err();
    assert_eq!(error.to_string(), "on_batch_end: panicked: at step 3");
    let in_epoch =
        on_epoch_end(|run, _| if run.epoch == 2 { panic!("in epoch 2") } else { Ok(Flow::Continue) });
    let error = ALL.fit(&folder.path().join("epoch"), in_epoch).unwrap_err();
    assert_eq!(error.to_string(), "on_epoch_end: panicked: in epoch 2");
    for (name, step) in [("batch", 3), ("epoch", 4)] {
        let dir = folder.path().join(name);
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{name}");
        ALL.resume(&dir).unwrap().assert_eq(&unbroken, name);
    }
}

#[test]
fn a_finished_run_goes_on_to_more_epochs() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let quiet = || on_batch_end(|_, _| Ok(Flow::Continue));
    // Without a plateau, whose rates do not depend on the length of the run, the two would differ.
    let long = Setup { epochs: 4, every: "1 epoch", ..ALL };
    let whole = long.fit(&folder.path().join("whole"), quiet()).unwrap();
    let dir = folder.path().join("short");
    let short = Setup { epochs: 2, ..long }.fit(&dir, quiet()).unwrap();
    assert_eq!(short.report["ended"]["reason"], "completed");
    let extended = long.resume(&dir).unwrap();
    assert_eq!(extended.report, whole.report);
    assert_eq!(extended.weights, whole.weights);
    assert_eq!(extended.csv, whole.csv);
}

fn refused(resumed: faknow_trainer::Result<FitReport>, what: Change, says: &str) {
    let error = resumed.unwrap_err();
    assert!(matches!(&error, Error::Changed { what: found, .. } if *found == what), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(says) && message.contains(&format!("--allow {what}")), "{message}");
}

#[test]
fn changed_data_model_and_settings_are_refused_or_allowed_by_name() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("run");
    let setup = Setup { epochs: 3, ..ALL };
    let stop = on_batch_end(|run, _| if run.step == 3 { panic!("cut off") } else { Ok(Flow::Continue) });
    setup.fit(&dir, stop).unwrap_err();
    let builder = || setup.builder(RunDir::open(&dir).unwrap());
    let valid = valid_data();

    let mut trainer = builder().build().unwrap();
    refused(
        trainer.resume(&train_data_of(3), Some(&valid)),
        Change::Data,
        "the training data had 4 batches, fingerprint ",
    );
    drop(trainer);
    let mut trainer = builder().seed(12).build().unwrap();
    refused(trainer.resume(&train_data(), Some(&valid)), Change::Config, "`seed` was 11, now 12");
    let own = serde_json::Map::from_iter([("model.dropout".to_owned(), 0.5.into())]);
    drop(trainer);
    let mut trainer = builder().hyperparameters(own.clone()).build().unwrap();
    refused(
        trainer.resume(&train_data(), Some(&valid)),
        Change::Model,
        "`model.dropout` was not set, now 0.5",
    );
    let allow = Resume { allow: vec![Change::Model], ..Resume::default() };
    let report = trainer.resume_from(&allow, &train_data(), Some(&valid)).unwrap();
    assert_eq!(report.history.epochs.len(), 3);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_previous_good_one_named() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("run");
    let setup = Setup { epochs: 4, ..ALL };
    let whole = setup.fit(&folder.path().join("whole"), on_batch_end(|_, _| Ok(Flow::Continue))).unwrap();
    let stop = on_batch_end(|run, _| if run.step == 5 { panic!("cut off") } else { Ok(Flow::Continue) });
    setup.fit(&dir, stop).unwrap_err();
    let weights = dir.join("checkpoints/last/training.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let error = setup.resume(&dir).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("training.safetensors") && message.contains("good one is `"), "{message}");
    let mut trainer = setup.builder(RunDir::open(&dir).unwrap()).build().unwrap();
    let from = Resume { from: "previous".into(), ..Resume::default() };
    let report = trainer.resume_from(&from, &train_data(), Some(&valid_data())).unwrap();
    assert_eq!(End::of(report, &trainer, &dir).weights, whole.weights);
}

#[test]
fn a_second_fit_can_be_cut_off_too() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { epochs: 2, plateau: false, ..ALL };
    let twice = |dir: &Path, callback: Killed| {
        let mut trainer = setup.builder(RunDir::create(dir).unwrap()).callback(callback).build().unwrap();
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        End::of(report, &trainer, dir)
    };
    let (killed, copies) = Killed::new(folder.path(), 0.3, 5);
    let whole = twice(&folder.path().join("run"), killed);
    assert_eq!(whole.report["history"]["epochs"].as_array().map(Vec::len), Some(4));
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    let second = copies.iter().filter(|(_, what)| what.contains("epoch 3") || what.contains("epoch 4"));
    let mut n = 0;
    for (copy, what) in second.filter(|(_, what)| !what.starts_with("epoch_start in epoch 3")) {
        n += 1;
        let end = setup.resume(copy).unwrap();
        assert_eq!(end.report, whole.report, "{what}");
        assert_eq!(end.weights, whole.weights, "{what}");
    }
    assert!(n > 1, "{n}");
}

#[test]
fn a_run_folder_that_is_none_cannot_be_resumed() {
    let error = RunDir::open("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("no such folder"), "{error}");
    let mut trainer = toy::trainer().build().unwrap();
    let error = trainer.resume(&train_data(), None).unwrap_err().to_string();
    assert_eq!(error, "run_dir: expected the folder of the run to resume, got none");
}
