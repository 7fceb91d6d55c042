//! Every option of the builder, changed when a run is resumed: it takes effect, or it is refused and nothing changes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use faknow_callbacks::{Callbacks, EarlyStopping};
use faknow_metrics::Metrics;
use faknow_model::{Criterion, Mode, Model as _};
use faknow_trainer::schedule::{ExponentialLr, ScheduleConfig};
use faknow_trainer::{
    BUILDER_OPTIONS, BuilderOption, ChangeKind, CheckpointPolicy, Clip, Error, FitReport, NonFinitePolicy,
    OptimizerConfig, Resume, ResumePolicy, RunDir, Supervised, TrainerBuilder, WeightAveraging,
};

use crate::toy::{self, Toy, Weights, train_data, valid_data, weights};

type Change = fn(TrainerBuilder<Toy>) -> TrainerBuilder<Toy>;

/// The option, its change, and whether weights or history of the next epoch show it.
const CHANGES: &[(&str, Change, bool)] = &[
    ("optimizer", |b| b.optimizer(OptimizerConfig::sgd(0.5)), true),
    ("optimizer", |b| b.optimizer(OptimizerConfig::adamw(0.1)), true),
    ("schedule", |b| b.schedule(ScheduleConfig::Exponential(ExponentialLr::new(0.1))), true),
    ("schedule_fn", |b| b.schedule_fn(|epoch| 0.5_f64.powi(epoch as i32)), true),
    (
        "step",
        |b| b.step(Supervised::new(Criterion { label_smoothing: 0.5, ..Criterion::default() }).unwrap()),
        true,
    ),
    (
        "step_fn",
        |b| {
            b.step_fn(|model: &mut Toy, batch, optimizer, context| {
                let loss = context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)?;
                optimizer.backward_step(&(&loss.total * 2.0))?;
                Ok(loss)
            })
        },
        true,
    ),
    ("metrics", |b| b.metrics(Metrics::from_names(&["accuracy", "f1"]).unwrap()), true),
    ("train_metrics", |b| b.train_metrics(false), true),
    ("callback", |b| b.callback(EarlyStopping::new(3).stopping_threshold(0.0)), true),
    (
        "callbacks",
        |b| {
            let mut callbacks = Callbacks::default();
            callbacks.push(EarlyStopping::new(3).stopping_threshold(0.0));
            b.callbacks(callbacks)
        },
        true,
    ),
    ("max_epochs", |b| b.max_epochs(3), true),
    ("stop_after", |b| b.stop_after("4 steps"), true),
    ("accumulate_grad_batches", |b| b.accumulate_grad_batches(3), true),
    ("clip", |b| b.clip(Clip::Norm(0.001)), true),
    ("validate_every", |b| b.validate_every("1 step"), true),
    ("num_sanity_val_batches", |b| b.num_sanity_val_batches(1), false),
    ("monitor", |b| b.monitor("loss"), true),
    ("restore_best", |b| b.restore_best(false), true),
    ("average", |b| b.average(WeightAveraging::Ema { decay: 0.5 }), true),
    ("on_non_finite", |b| b.on_non_finite(NonFinitePolicy::Skip), false),
    ("checkpoints", |b| b.checkpoints(CheckpointPolicy { keep: 2, ..CheckpointPolicy::default() }), false),
    ("limit_batches", |b| b.limit_batches(2), true),
    ("overfit_batches", |b| b.overfit_batches(2), true),
    ("fast_dev_run", |b| b.fast_dev_run(), false),
    ("seed", |b| b.seed(9), false),
    (
        "hyperparameters",
        |b| b.hyperparameters(serde_json::Map::from_iter([("own".to_owned(), 1.into())])),
        false,
    ),
];

/// Returns every file below a directory but the lock, which names the process that held it last.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if !path.ends_with(".lock") {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Returns a trainer whose second epoch is worse than its first.
fn builder() -> TrainerBuilder<Toy> {
    toy::trainer_with_scores(&[0.5]).metrics(Metrics::from_names(&["accuracy"]).unwrap()).monitor("accuracy")
}

fn resume(dir: &Path, change: Change, allow: &[ChangeKind]) -> faknow_trainer::Result<(FitReport, Weights)> {
    let mut trainer = change(builder().max_epochs(2)).run_dir(RunDir::open(dir)?).build()?;
    let options = Resume { allow: allow.to_vec(), ..Resume::default() };
    let report = trainer.resume_from(&options, &train_data(), Some(&valid_data()))?;
    Ok((report, weights(&trainer.run().vars)))
}

fn show((report, weights): &(FitReport, Weights)) -> String {
    let mut history = report.history.clone();
    history.epochs.iter_mut().chain(&mut history.mid_epoch).for_each(|record| {
        (record.train_seconds, record.valid_seconds) = (0.0, 0.0);
    });
    format!("{history:?} {:?} {:?} {weights:?}", report.best, report.weights)
}

#[test]
fn changed_options_take_effect_or_are_refused() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join("run");
    let mut trainer = builder().max_epochs(1).run_dir(RunDir::create(&run).unwrap()).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    drop(trainer);
    let before = files(&run);
    let restore = || {
        fs::remove_dir_all(&run).unwrap();
        for (name, content) in &before {
            let path = run.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    };
    let unchanged = show(&resume(&run, |builder| builder, &[]).unwrap());
    for (method, change, is_visible) in CHANGES {
        restore();
        let has_method = |option: &&BuilderOption| option.methods.contains(method);
        let policy = BUILDER_OPTIONS.iter().find(has_method).unwrap().policy;
        let all = [ChangeKind::Data, ChangeKind::Model, ChangeKind::Config];
        let allow: &[ChangeKind] = match policy {
            ResumePolicy::Free => &[],
            ResumePolicy::Allow(kind) => {
                let error = resume(&run, *change, &[]).unwrap_err();
                assert!(matches!(&error, Error::Changed { what, .. } if *what == kind), "{method}: {error}");
                assert!(files(&run) == before, "{method}: a refused change has changed the run");
                match kind {
                    ChangeKind::Data => &[ChangeKind::Data],
                    ChangeKind::Model => &[ChangeKind::Model],
                    ChangeKind::Config => &[ChangeKind::Config],
                }
            }
            ResumePolicy::Refused(remedy) => {
                let error = resume(&run, *change, &all).unwrap_err();
                assert!(matches!(&error, Error::Fixed { .. }), "{method}: {error}");
                assert!(error.to_string().ends_with(remedy), "{method}: {error}");
                assert!(files(&run) == before, "{method}: a refused change has changed the run");
                continue;
            }
        };
        let resumed = resume(&run, *change, allow).unwrap_or_else(|error| panic!("{method}: {error}"));
        assert_eq!(show(&resumed) != unchanged, *is_visible, "{method}");
        // An allowed change need not be allowed again.
        resume(&run, *change, &[]).unwrap_or_else(|error| panic!("{method} again: {error}"));
    }
}

#[test]
fn every_recorded_option_has_a_change() {
    let changed: BTreeSet<&str> = CHANGES.iter().map(|(method, ..)| *method).collect();
    for option in BUILDER_OPTIONS.iter().filter(|option| !option.settings.is_empty()) {
        for method in option.methods.iter().filter(|method| **method != "histograms_every") {
            assert!(changed.contains(method), "`{method}` has no change");
        }
    }
}
