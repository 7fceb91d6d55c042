//! A run without a model, and the loop that tells callbacks of it.

use std::path::Path;

use faknow_callbacks::{
    BatchEnd, Best, BestTracker, Callback, Flow, Monitor, Phase, Result, Run, State, StopReason,
};
use faknow_metrics::{EpochRecord, Evaluation, Predictions, Score, Scores};
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// Samples of each batch.
pub(crate) const BATCH_SIZE: usize = 8;

/// A run that records `loss`, `accuracy` and `f1`, judged by `f1`, of 2 batches an epoch and at most 20 epochs.
pub(crate) fn run(dir: &Path) -> Run {
    let mut run = Run::new("toy", VarStore::new(Device::Cpu));
    run.dir = Some(dir.to_owned());
    run.max_epochs = 20;
    run.n_batches = 2;
    run.learning_rates = vec![0.001];
    run.monitors = vec![Monitor::min("loss"), Monitor::max("accuracy"), Monitor::max("f1")];
    run.monitor = Some(Monitor::max("f1"));
    run.hyperparameters.insert("optimizer.lr".to_owned(), 0.001.into());
    run.hyperparameters.insert("model".to_owned(), "toy".into());
    run
}

/// Tells `callbacks` of a run with these F1 values, one an epoch (`None` = undefined), from where the run stands.
pub(crate) fn fit(run: &mut Run, callbacks: &mut impl Callback, f1s: &[Option<f64>]) -> Result<StopReason> {
    let _inside = run.span().entered();
    callbacks.on_fit_start(run)?;
    epochs(run, callbacks, f1s)
}

/// As [`fit`], of a run that goes on from a checkpoint with this state of its callbacks.
pub(crate) fn resume(
    run: &mut Run,
    callbacks: &mut impl Callback,
    state: &State,
    f1s: &[Option<f64>],
) -> Result<StopReason> {
    let _inside = run.span().entered();
    callbacks.on_fit_start(run)?;
    callbacks.restore(state)?;
    callbacks.on_resume(run)?;
    epochs(run, callbacks, f1s)
}

fn epochs(run: &mut Run, callbacks: &mut impl Callback, f1s: &[Option<f64>]) -> Result<StopReason> {
    let mut reason = StopReason::Completed;
    for &f1 in f1s {
        run.epoch += 1;
        run.batch = 0;
        callbacks.on_epoch_start(run)?;
        for _ in 0..run.n_batches {
            callbacks.on_batch_start(run)?;
            run.batch += 1;
            run.step += 1;
            run.samples += BATCH_SIZE as u64;
            let flow = callbacks.on_batch_end(run, &batch(1.0 / run.step as f64))?;
            assert_eq!(flow, Flow::Continue);
        }
        callbacks.on_validation_start(run)?;
        callbacks.on_evaluation_batch_end(run, Phase::Valid, 1, 1)?;
        callbacks.on_evaluation_end(run, Phase::Valid, &evaluation())?;
        let record = record(run, f1);
        run.history.epochs.push(record.clone());
        judge(run);
        let after_validation = callbacks.on_validation_end(run, &record)?;
        let after_epoch = callbacks.on_epoch_end(run, &record)?;
        if let Some(Flow::Stop(told)) =
            [after_validation, after_epoch].into_iter().find(|flow| *flow != Flow::Continue)
        {
            reason = told;
            break;
        }
    }
    callbacks.on_fit_end(run, &reason)?;
    Ok(reason)
}

/// Tells `callbacks` of a test.
pub(crate) fn test(run: &mut Run, callbacks: &mut impl Callback) -> Result<()> {
    let _inside = run.span().entered();
    callbacks.on_test_start(run)?;
    callbacks.on_evaluation_batch_end(run, Phase::Test, 1, 1)?;
    callbacks.on_evaluation_end(run, Phase::Test, &evaluation())?;
    callbacks.on_test_end(run, &evaluation())
}

pub(crate) fn evaluation() -> Evaluation {
    Evaluation {
        scores: [
            ("loss", Score::from(0.3)),
            ("f1", Score::from(0.75)),
            ("roc_auc", Score::undefined("one class")),
        ]
        .into_iter()
        .collect(),
        predictions: Predictions::new(2, vec![0, 1], vec![0.9, 0.1, 0.4, 0.6]).unwrap(),
        seconds: 0.5,
    }
}

pub(crate) fn batch(loss: f64) -> BatchEnd {
    BatchEnd {
        n_samples: BATCH_SIZE,
        loss: Tensor::from(loss),
        parts: vec![("class", Tensor::from(loss / 2.0))],
        grad_norm: Some(Tensor::from(2.5)),
    }
}

/// The text of a file of the run.
pub(crate) fn text(run: &Run, name: &str) -> String {
    std::fs::read_to_string(run.dir.as_ref().unwrap().join(name)).unwrap()
}

fn record(run: &Run, f1: Option<f64>) -> EpochRecord {
    let f1 = f1.map_or_else(|| Score::undefined("no prediction"), Score::from);
    let valid: Scores =
        [("loss", Score::from(0.5)), ("accuracy", Score::from(0.9)), ("f1", f1)].into_iter().collect();
    EpochRecord {
        epoch: run.epoch,
        step: run.step,
        samples: run.samples,
        train: [("loss", 1.0 / run.epoch as f64), ("loss/class", 0.25)].into_iter().collect(),
        valid: Some(valid),
        learning_rates: run.learning_rates.clone(),
        grad_norm: Some(2.5),
        train_seconds: 0.016,
        valid_seconds: 0.004,
    }
}

fn judge(run: &mut Run) {
    let Some(monitor) = run.monitor.clone() else { return };
    let mut tracker = BestTracker::new(monitor.direction);
    for record in &run.history.epochs {
        let value = monitor.value(record);
        if let (true, Some(value)) = (tracker.observe(value), value) {
            let (epoch, step) = (record.epoch, record.step);
            run.best = Some(Best { epoch, step, monitor: monitor.name.clone(), value });
        }
    }
}
