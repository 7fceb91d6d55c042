//! A run without a model, and a minimal training loop that calls the hooks.

use std::path::Path;

use faknow_callbacks::{
    BatchEnd, Best, BestTracker, Callback, Callbacks, FitStart, Flow, Monitor, PassProgress, Phase, Result,
    Run, RunOwner, State, StopReason,
};
use faknow_metrics::{EpochRecord, Evaluation, Predictions, Score, Scores};
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// Samples of each batch.
pub(crate) const BATCH_SIZE: usize = 8;

/// Creates a run that records `loss`, `accuracy` and `f1`, monitors `f1`, and has 2 batches per epoch and at most 20 epochs.
pub(crate) fn run(dir: &Path) -> RunOwner {
    let mut run = RunOwner::new("toy", VarStore::new(Device::Cpu));
    (run.progress_mut().max_epochs, run.progress_mut().n_batches) = (20, 2);
    run.learning_rates = vec![0.001];
    let setup = run.setup_mut();
    setup.dir = Some(dir.to_owned());
    setup.monitors = vec![Monitor::min("loss"), Monitor::max("accuracy"), Monitor::max("f1")];
    setup.monitor = Some(Monitor::max("f1"));
    setup.hyperparameters.insert("optimizer.lr".to_owned(), 0.001.into());
    setup.hyperparameters.insert("model".to_owned(), "toy".into());
    run
}

/// Creates a list of one callback.
pub(crate) fn one(callback: impl Callback) -> Callbacks {
    let mut callbacks = Callbacks::default();
    callbacks.push(callback);
    callbacks
}

/// Calls the hooks of a fit that continues the run with these F1 values, one per epoch (`None`: undefined).
pub(crate) fn fit(run: &mut RunOwner, callbacks: &mut Callbacks, f1s: &[Option<f64>]) -> Result<StopReason> {
    let _inside = run.span().entered();
    run.setup_mut().start = FitStart::New;
    callbacks.on_fit_start(run)?;
    epochs(run, callbacks, f1s)
}

/// Calls the hooks of a run resumed from a checkpoint with this state of the callbacks, as [`fit`] does.
pub(crate) fn resume(
    run: &mut RunOwner,
    callbacks: &mut Callbacks,
    state: &State,
    f1s: &[Option<f64>],
) -> Result<StopReason> {
    let _inside = run.span().entered();
    run.setup_mut().start = FitStart::Resumed;
    callbacks.on_fit_start(run)?;
    callbacks.restore(state)?;
    epochs(run, callbacks, f1s)
}

fn epochs(run: &mut RunOwner, callbacks: &mut Callbacks, f1s: &[Option<f64>]) -> Result<StopReason> {
    let mut reason = StopReason::Completed;
    for &f1 in f1s {
        run.progress_mut().epoch += 1;
        run.progress_mut().batch = 0;
        callbacks.on_epoch_start(run)?;
        for _ in 0..run.n_batches() {
            callbacks.on_batch_start(run)?;
            let progress = run.progress_mut();
            (progress.batch, progress.step) = (progress.batch + 1, progress.step + 1);
            progress.samples += BATCH_SIZE as u64;
            let loss = 1.0 / run.step() as f64;
            let flow = callbacks.on_batch_end(run, &batch(loss))?;
            assert_eq!(flow, Flow::Continue);
        }
        callbacks.on_evaluation_start(run, Phase::Valid)?;
        callbacks.on_evaluation_batch_end(run, Phase::Valid, FULL_PASS)?;
        let record = record(run, f1);
        run.progress_mut().logged.clear();
        run.progress_mut().history.epochs.push(record);
        update_best(run);
        let after_validation = callbacks.on_evaluation_end(run, Phase::Valid, &mut evaluation())?;
        let after_epoch = callbacks.on_epoch_end(run)?;
        let stop = [after_validation, after_epoch].into_iter().find(|flow| *flow != Flow::Continue);
        if let Some(Flow::Stop(stop_reason)) = stop {
            reason = stop_reason;
            break;
        }
    }
    callbacks.on_fit_end(run, Ok(&reason))?;
    Ok(reason)
}

/// Calls the hooks of a test.
pub(crate) fn test(run: &mut RunOwner, callbacks: &mut Callbacks) -> Result<()> {
    let _inside = run.span().entered();
    callbacks.on_evaluation_start(run, Phase::Test)?;
    callbacks.on_evaluation_batch_end(run, Phase::Test, FULL_PASS)?;
    callbacks.on_evaluation_end(run, Phase::Test, &mut evaluation()).map(drop)
}

const FULL_PASS: PassProgress = PassProgress { batch: 1, n_batches: 1, n_samples: 2 };

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

/// Reads a file of the run directory.
pub(crate) fn text(run: &Run, name: &str) -> String {
    std::fs::read_to_string(run.dir().unwrap().join(name)).unwrap()
}

fn record(run: &RunOwner, f1: Option<f64>) -> EpochRecord {
    let f1 = f1.map_or_else(|| Score::undefined("no prediction"), Score::from);
    let valid: Scores =
        [("loss", Score::from(0.5)), ("accuracy", Score::from(0.9)), ("f1", f1)].into_iter().collect();
    let mut train: Scores = [("loss", 1.0 / run.epoch() as f64), ("loss/class", 0.25)].into_iter().collect();
    run.progress().logged.write_to(&mut train);
    EpochRecord {
        epoch: run.epoch(),
        step: run.step(),
        samples: run.samples(),
        train,
        valid: Some(valid),
        learning_rates: run.learning_rates.clone(),
        grad_norm: Some(2.5),
        train_seconds: 0.016,
        valid_seconds: 0.004,
    }
}

fn update_best(run: &mut RunOwner) {
    let Some(monitor) = run.monitor().cloned() else { return };
    let mut tracker = BestTracker::new(monitor.direction);
    for record in run.history().epochs.clone() {
        let value = monitor.value(&record);
        if let (true, Some(value)) = (tracker.observe(value), value) {
            let (epoch, step) = (record.epoch, record.step);
            run.progress_mut().best = Some(Best { epoch, step, monitor: monitor.name.clone(), value });
        }
    }
}
