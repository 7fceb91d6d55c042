//! Resuming from earlier checkpoints and with changed monitors, limits and settings.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use faknow_callbacks::{Callback, EarlyStopping, Flow, HookResult, Interval, Run, StopReason, on_batch_end};
use faknow_metrics::{Direction, Metrics};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::schedule::{ScheduleConfig, WarmupLinear};
use faknow_trainer::{
    ChangeKind, CheckpointPolicy, Error, FitReport, Interrupt, OptimizerConfig, Resume, RunDir, Trainer,
    TrainerBuilder,
};
use tch::nn::VarStore;

use crate::toy::{self, Toy, scripted, train_data, valid_data, weights};

/// Returns names and contents (branch and step) of all checkpoints except `last` and `previous`.
fn checkpoints(dir: &Path) -> BTreeMap<String, (u32, u64)> {
    let entries = CheckpointStore::new(dir).list().into_iter();
    let others = entries.filter(|entry| !["last", "previous"].contains(&entry.name.as_str()));
    others.map(|entry| (entry.name, entry.info.map(|info| (info.branch, info.step)).unwrap())).collect()
}

fn fit(builder: TrainerBuilder<Toy>, dir: &Path) -> FitReport {
    let mut trainer = builder.run_dir(RunDir::create(dir).unwrap()).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap()
}

fn resume(builder: TrainerBuilder<Toy>, dir: &Path, options: &Resume) -> (FitReport, Trainer<Toy>) {
    let mut trainer = builder.run_dir(RunDir::open(dir).unwrap()).build().unwrap();
    let report = trainer.resume_from(options, &train_data(), Some(&valid_data())).unwrap();
    (report, trainer)
}

fn from(name: &str) -> Resume {
    Resume { from: name.to_owned(), ..Resume::default() }
}

fn allow_config() -> Resume {
    Resume { allow: vec![ChangeKind::Config], ..Resume::default() }
}

fn trainer_with_many_checkpoints(scores: &[f64]) -> TrainerBuilder<Toy> {
    let policy = CheckpointPolicy { keep: 20, ..CheckpointPolicy::default() };
    toy::trainer_with_scores(scores).max_epochs(scores.len()).checkpoints(policy)
}

#[test]
fn resuming_from_an_earlier_checkpoint_retains_later_ones() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    fit(trainer_with_many_checkpoints(&[0.1, 0.2, 0.3, 0.4, 0.9, 0.6]), &dir);
    let before = checkpoints(&dir);
    let expected: Vec<String> =
        ["best"].map(String::from).into_iter().chain((1..=6).map(|n| format!("epoch-{n:04}"))).collect();
    assert_eq!(before.keys().cloned().collect::<Vec<_>>(), expected);

    // Back to the third epoch, and from there to the fifth on another branch.
    let (report, _) =
        resume(trainer_with_many_checkpoints(&[0.5, 0.4]).max_epochs(5), &dir, &from("epoch-0003"));
    assert_eq!(report.history.epochs.len(), 5);
    let after = checkpoints(&dir);
    for (name, content) in before.iter().filter(|(name, _)| name.starts_with("epoch-")) {
        assert_eq!(after.get(name), Some(content), "{name}");
    }
    assert_eq!((after["epoch-0004-b1"], after["epoch-0005-b1"]), ((1, 12), (1, 15)));
    // The old `last` and `best` are retained, and `best` is the best epoch of this branch.
    assert_eq!((after["last-b0"], after["best-b0"]), ((0, 18), (0, 15)));
    assert_eq!(report.best.map(|best| (best.epoch, best.value)), Some((4, 0.5)));
    assert_eq!(after["best"], (1, 12));
    let last = CheckpointStore::new(&dir).verify("last").unwrap();
    assert_eq!((last.branch, last.step), (1, 15));

    // The old branch can be resumed too.
    let (report, _) = resume(trainer_with_many_checkpoints(&[0.7]).max_epochs(7), &dir, &from("last-b0"));
    assert_eq!(report.history.epochs.len(), 7);
    let final_state = checkpoints(&dir);
    assert!(
        after.iter().all(|(name, content)| name == "best" || final_state.get(name) == Some(content)),
        "{final_state:?}"
    );
    assert_eq!(
        (final_state["epoch-0007-b2"], final_state["last-b1"], final_state["best"]),
        ((2, 21), (1, 15), (0, 15))
    );
    assert_eq!(report.best.map(|best| (best.epoch, best.value)), Some((5, 0.9)));
}

#[test]
fn resuming_from_an_earlier_checkpoint_retains_the_best_by_other_monitors() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let builder = |errors: &[f64], epochs: usize| {
        let score = scripted("score", Direction::Maximize, &[0.5, 0.9, 0.1, 0.1, 0.1]);
        let metrics = Metrics::empty().with(score).unwrap();
        let metrics = metrics.with(scripted("errors", Direction::Minimize, errors)).unwrap();
        let policy = CheckpointPolicy { monitors: vec!["errors".into()], ..CheckpointPolicy::default() };
        toy::trainer().metrics(metrics).monitor("score").max_epochs(epochs).checkpoints(policy)
    };
    fit(builder(&[0.5, 0.4, 0.3, 0.4, 0.4], 5), &dir);
    assert_eq!(checkpoints(&dir)["best-errors"], (0, 9));
    resume(builder(&[0.1], 3), &dir, &from("best"));
    let after = checkpoints(&dir);
    assert_eq!((after["best-errors"], after["best-errors-b0"]), ((1, 9), (0, 9)));
}

#[test]
fn going_back_with_changed_settings_uses_and_deletes_nothing_of_the_former_branch() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let policy = CheckpointPolicy { keep: 20, best: 2, ..CheckpointPolicy::default() };
    let builder = |scores: &[f64], epochs| {
        toy::trainer_with_scores(scores).max_epochs(epochs).checkpoints(policy.clone())
    };
    fit(builder(&[0.1, 0.2, 0.8, 0.9, 0.7], 5), &dir);
    let all = |dir: &Path| -> BTreeMap<String, (u32, u64)> {
        let entries = CheckpointStore::new(dir).list().into_iter();
        entries.map(|it| (it.name, it.info.map(|info| (info.branch, info.step)).unwrap())).collect()
    };
    let before = all(&dir);
    assert_eq!((before["last"], before["previous"], before["best"]), ((0, 15), (0, 12), (0, 12)));
    let options = Resume { from: "epoch-0002".into(), ..allow_config() };
    let changed = builder(&[0.3, 0.25], 4).optimizer(OptimizerConfig::sgd(0.5));
    let (report, trainer) = resume(changed, &dir, &options);
    let after = all(&dir);
    // What had the names of the former branch has others now; everything else is where it was.
    assert_eq!((after["last-b0"], after["previous-b0"], after["best-b0"]), ((0, 15), (0, 12), (0, 12)));
    for (name, id) in before.iter().filter(|(name, _)| name.starts_with("epoch-")) {
        assert_eq!(after.get(name), Some(id), "{name}");
    }
    assert_eq!(report.best.map(|best| (best.epoch, best.value)), Some((3, 0.3)));
    assert_eq!((after["best"], after["last"]), ((1, 9), (1, 12)));
    let change = trainer.run().changes()[0].clone();
    assert_eq!((change.step, change.epoch, change.name.as_str()), (6, 2, "optimizer.lr"));
    drop(trainer);
    // The changed run is on its branch, also if it is resumed again without the permission.
    let again = builder(&[0.2], 5).optimizer(OptimizerConfig::sgd(0.5));
    resume(again, &dir, &Resume::default());
    assert_eq!(all(&dir)["epoch-0005-b1"], (1, 15));
}

#[test]
fn resuming_from_the_last_checkpoint_stays_on_its_branch() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    fit(trainer_with_many_checkpoints(&[0.1, 0.2]), &dir);
    resume(trainer_with_many_checkpoints(&[0.3]).max_epochs(3), &dir, &Resume::default());
    assert_eq!(checkpoints(&dir)["epoch-0003"], (0, 9));
}

#[test]
fn changed_monitor_is_ranked_by_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let builder = |monitor: &str, errors: &[f64], epochs: usize| {
        let score = scripted("score", Direction::Maximize, &[0.9, 0.8, 0.7, 0.6, 0.5]);
        let metrics = Metrics::empty().with(score).unwrap();
        let metrics = metrics.with(scripted("errors", Direction::Minimize, errors)).unwrap();
        let policy = CheckpointPolicy { keep: 20, ..CheckpointPolicy::default() };
        toy::trainer().metrics(metrics).monitor(monitor).max_epochs(epochs).checkpoints(policy)
    };
    let report = fit(builder("score", &[0.5, 0.2, 0.4], 3), &dir);
    assert_eq!(report.best.map(|best| (best.epoch, best.value)), Some((1, 0.9)));
    // The second epoch is the best by `errors`; the next two are worse.
    let (report, trainer) = resume(builder("errors", &[0.3, 0.3], 5), &dir, &allow_config());
    let best = report.best.unwrap();
    assert_eq!((best.monitor.as_str(), best.epoch, best.value), ("errors", 2, 0.2));
    assert_eq!(checkpoints(&dir)["best"], (0, 6));
    let best_weights = toy::load_weights(&dir.join("checkpoints/epoch-0002/model.safetensors"));
    assert_eq!(weights(&trainer.run().vars), best_weights);
}

#[test]
fn early_stopping_with_a_changed_monitor_counts_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let builder = |monitor: &str, errors: &[f64]| {
        let score = scripted("score", Direction::Maximize, &[0.1, 0.2, 0.3, 0.4]);
        let metrics = Metrics::empty().with(score).unwrap();
        let metrics = metrics.with(scripted("errors", Direction::Minimize, errors)).unwrap();
        let stopping = EarlyStopping::new(2).monitor(monitor);
        toy::trainer().metrics(metrics).monitor(monitor).max_epochs(4).callback(stopping)
    };
    let stop = on_batch_end(|run, _| if run.step() == 7 { panic!("killed") } else { Ok(Flow::Continue) });
    let run_dir = RunDir::create(&dir).unwrap();
    let mut trainer = builder("score", &[0.5, 0.7]).callback(stop).run_dir(run_dir).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    drop(trainer);
    // The history has one validation without improvement of `errors`: the second one stops the run.
    let (report, _) = resume(builder("errors", &[0.6, 0.1]), &dir, &allow_config());
    assert_eq!((report.stop_reason.code(), report.history.epochs.len()), ("early_stopping", 3));
}

#[test]
fn changed_limit_extends_a_run_that_reached_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let builder = |steps: Option<u64>| {
        let builder = toy::trainer().max_epochs(4);
        steps.map_or_else(|| toy::trainer().max_epochs(4), |steps| builder.stop_after(Interval::steps(steps)))
    };
    let unlimited = fit(builder(None), &dir.path().join("unlimited"));
    for (name, second, n_steps) in [("more", Some(8), 8), ("none", None, 12), ("fewer", Some(2), 6)] {
        let dir = dir.path().join(name);
        let first = fit(builder(Some(6)), &dir);
        assert!(matches!(first.stop_reason, StopReason::Limit { .. }), "{:?}", first.stop_reason);
        let (report, trainer) = resume(builder(second), &dir, &Resume::default());
        assert_eq!(trainer.run().step(), n_steps, "{name}");
        if second.is_none() {
            assert_eq!(report.stop_reason, unlimited.stop_reason);
            let losses = |report: &FitReport| report.history.series("train/loss").unwrap();
            assert_eq!(losses(&report), losses(&unlimited));
        }
    }
    // A run that is longer than a new limit takes no further step.
    let dir = dir.path().join("ended");
    fit(toy::trainer().max_epochs(2), &dir);
    let (report, trainer) =
        resume(toy::trainer().max_epochs(3).stop_after(Interval::steps(2)), &dir, &Resume::default());
    assert_eq!((trainer.run().step(), report.stop_reason.code()), (6, "limit"));
}

#[test]
fn allowed_change_of_learning_rate_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    fit(toy::trainer().max_epochs(1).optimizer(OptimizerConfig::sgd(0.1)), &dir);
    let builder = toy::trainer().max_epochs(2).optimizer(OptimizerConfig::sgd(0.0));
    let (report, _) = resume(builder, &dir, &allow_config());
    let rates: Vec<&[f64]> =
        report.history.epochs.iter().map(|record| record.learning_rates.as_slice()).collect();
    assert_eq!(rates, [&[0.1][..], &[0.0]]);
}

#[test]
fn auto_resume_continues_the_run_in_the_run_directory() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let stop = |step: u64| {
        on_batch_end(move |run, _| if run.step() == step { panic!("killed") } else { Ok(Flow::Continue) })
    };
    let fit = |extra: Box<dyn Callback>| {
        let builder = toy::trainer().run_dir(RunDir::open_or_create(&dir).unwrap()).auto_resume();
        builder.callback(extra).build().unwrap().fit(&train_data(), Some(&valid_data()))
    };
    fit(Box::new(stop(1))).unwrap_err();
    fit(Box::new(stop(4))).unwrap_err();
    let report = fit(Box::new(NoOp)).unwrap();
    assert_eq!(report.history.epochs.len(), 3);
    // A finished run is not continued.
    assert_eq!(fit(Box::new(stop(5))).unwrap().history, report.history);
    let uninterrupted = toy::trainer().build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(
        report.history.series("valid/loss").unwrap(),
        uninterrupted.history.series("valid/loss").unwrap()
    );
}

struct NoOp;

impl Callback for NoOp {}

#[test]
fn next_fit_finishes_an_interrupted_one() {
    let interrupt = Interrupt::default();
    let request = interrupt.clone();
    let mut trainer = toy::trainer()
        .interrupt(interrupt.clone())
        .callback(EarlyStopping::new(5))
        .callback(on_batch_end(move |run, _| {
            if run.step() == 4 {
                request.request();
            }
            Ok(Flow::Continue)
        }))
        .build()
        .unwrap();
    let (train, valid) = (train_data(), valid_data());
    assert_eq!(trainer.fit(&train, Some(&valid)).unwrap().stop_reason, StopReason::Interrupted);
    interrupt.clear();
    let report = trainer.fit(&train, Some(&valid)).unwrap();
    assert_eq!(
        (report.stop_reason, trainer.run().epoch(), trainer.run().step()),
        (StopReason::Completed, 3, 9)
    );
}

/// Sets the learning rate of a batch when it starts.
struct Rates(Vec<f64>);

impl Callback for Rates {
    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        let step = run.step();
        run.learning_rates.fill(1.0 + step as f64);
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, _: &faknow_callbacks::BatchEnd) -> HookResult<Flow> {
        self.0.push(run.learning_rates[0]);
        Ok(Flow::Continue)
    }
}

#[test]
fn learning_rate_set_at_batch_start_applies_to_the_batch() {
    let warmup = WarmupLinear { warmup_steps: Some(2), ..WarmupLinear::default() };
    for schedule in [None, Some(ScheduleConfig::WarmupLinear(warmup))] {
        let builder = toy::trainer().max_epochs(1).callback(Rates(Vec::new()));
        let builder = match schedule {
            Some(schedule) => builder.schedule(schedule),
            None => builder,
        };
        let mut trainer = builder.build().unwrap();
        trainer.fit(&train_data(), None).unwrap();
        assert_eq!(trainer.callback::<Rates>().unwrap().0, [1.0, 2.0, 3.0]);
        assert_eq!(trainer.optimizer().learning_rates(), [3.0]);
    }
}

#[test]
fn fast_dev_run_uses_the_schedule_of_the_full_run() {
    let warmup = WarmupLinear { warmup_steps: Some(4), ..WarmupLinear::default() };
    let builder = toy::trainer().fast_dev_run().schedule(ScheduleConfig::WarmupLinear(warmup));
    let report = builder.build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!((report.history.epochs.len(), report.history.epochs[0].step), (1, 1));
}

#[test]
fn rejects_a_var_store_without_the_model() {
    let (model, _) = Toy::new();
    let error = Trainer::builder(model, VarStore::new(tch::Device::Cpu)).build().unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error:?}");
    let expected = "vars: expected the variables of the model, got 0 variables, none of them trainable; build the model in \
                    this `VarStore`";
    assert_eq!(error.to_string(), expected);
}
