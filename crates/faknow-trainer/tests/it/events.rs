//! The order of events in all kinds of runs: plain, with mid-epoch validation, stopped, interrupted, resumed.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use expect_test::{Expect, expect};
use faknow_callbacks::{Callback, EarlyStopping, Flow, Interval, Recorder, Run, StopReason, on_batch_end};
use faknow_trainer::{CheckpointPolicy, FitReport, Interrupt, Result, RunDir, Trainer, TrainerBuilder};

use crate::toy::{self, Toy, train_data, trainer_with_scores, valid_data};

/// Runs a fit and compares its events with the expected ones.
pub(crate) fn check(
    builder: TrainerBuilder<Toy>,
    expected: &Expect,
) -> (Trainer<Toy>, Recorder, Result<FitReport>) {
    let recorder = Recorder::new();
    let mut trainer = builder.callback(recorder.clone()).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data()));
    expected.assert_eq(&recorder.text());
    recorder.clear();
    (trainer, recorder, report)
}

#[test]
fn events_of_a_fit_and_a_test() {
    let (mut trainer, recorder, _) = check(
        trainer_with_scores(&[0.5, 0.4]),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 2 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 3: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 3: validation, best is epoch 1, step 3
            on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 3
            on_epoch_start           epoch 2, batch 0, step 3
            on_batch_start           epoch 2, batch 0, step 3
            on_batch_end             epoch 2, batch 1, step 4: 4 samples
            on_batch_start           epoch 2, batch 1, step 4
            on_batch_end             epoch 2, batch 2, step 5: 2 samples
            on_batch_start           epoch 2, batch 2, step 5
            on_batch_end             epoch 2, batch 3, step 6: 1 samples
            on_evaluation_start      epoch 2, batch 3, step 6: validation
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 3, step 6: validation, best is epoch 1, step 3
            on_epoch_end             epoch 2, batch 3, step 6: best is epoch 1, step 3
            on_fit_end               epoch 2, batch 3, step 6: all epochs done"#]],
    );
    trainer.test(&valid_data()).unwrap();
    expect![[r#"
        on_evaluation_start      epoch 2, batch 3, step 6: test
        on_evaluation_batch_end  epoch 2, batch 3, step 6: test, 1 of 2
        on_evaluation_batch_end  epoch 2, batch 3, step 6: test, 2 of 2
        on_evaluation_end        epoch 2, batch 3, step 6: test, 7 samples"#]]
    .assert_eq(&recorder.text());
}

#[test]
fn events_of_a_second_fit() {
    let (mut trainer, recorder, _) = check(
        toy::trainer().max_epochs(1),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 1 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 3: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 3: validation, best is epoch 1, step 3
            on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 3
            on_fit_end               epoch 1, batch 3, step 3: all epochs done"#]],
    );
    trainer.fit(&train_data(), None).unwrap();
    expect![[r#"
        on_fit_start    epoch 1, batch 3, step 3: new, 2 epochs of 3 batches
        on_epoch_start  epoch 2, batch 0, step 3
        on_batch_start  epoch 2, batch 0, step 3
        on_batch_end    epoch 2, batch 1, step 4: 4 samples
        on_batch_start  epoch 2, batch 1, step 4
        on_batch_end    epoch 2, batch 2, step 5: 2 samples
        on_batch_start  epoch 2, batch 2, step 5
        on_batch_end    epoch 2, batch 3, step 6: 1 samples
        on_epoch_end    epoch 2, batch 3, step 6: no best epoch
        on_fit_end      epoch 2, batch 3, step 6: all epochs done"#]]
    .assert_eq(&recorder.text());
}

#[test]
fn events_with_mid_epoch_validation() {
    let _ = check(
        trainer_with_scores(&[0.5, 0.4]).validate_every(Interval::steps(2)),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 2 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_evaluation_start      epoch 1, batch 2, step 2: validation
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 2, step 2: validation, best is epoch 1, step 2
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 2
            on_epoch_start           epoch 2, batch 0, step 3
            on_batch_start           epoch 2, batch 0, step 3
            on_batch_end             epoch 2, batch 1, step 4: 4 samples
            on_evaluation_start      epoch 2, batch 1, step 4: validation
            on_evaluation_batch_end  epoch 2, batch 1, step 4: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 1, step 4: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 1, step 4: validation, best is epoch 1, step 2
            on_batch_start           epoch 2, batch 1, step 4
            on_batch_end             epoch 2, batch 2, step 5: 2 samples
            on_batch_start           epoch 2, batch 2, step 5
            on_batch_end             epoch 2, batch 3, step 6: 1 samples
            on_evaluation_start      epoch 2, batch 3, step 6: validation
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 3, step 6: validation, best is epoch 1, step 2
            on_epoch_end             epoch 2, batch 3, step 6: best is epoch 1, step 2
            on_fit_end               epoch 2, batch 3, step 6: all epochs done"#]],
    );
}

#[test]
fn events_with_validation_every_second_epoch() {
    let _ = check(
        trainer_with_scores(&[0.5; 3]).validate_every(Interval::epochs(2.0)),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 3 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_epoch_end             epoch 1, batch 3, step 3: no best epoch
            on_epoch_start           epoch 2, batch 0, step 3
            on_batch_start           epoch 2, batch 0, step 3
            on_batch_end             epoch 2, batch 1, step 4: 4 samples
            on_batch_start           epoch 2, batch 1, step 4
            on_batch_end             epoch 2, batch 2, step 5: 2 samples
            on_batch_start           epoch 2, batch 2, step 5
            on_batch_end             epoch 2, batch 3, step 6: 1 samples
            on_evaluation_start      epoch 2, batch 3, step 6: validation
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 3, step 6: validation, best is epoch 2, step 6
            on_epoch_end             epoch 2, batch 3, step 6: best is epoch 2, step 6
            on_epoch_start           epoch 3, batch 0, step 6
            on_batch_start           epoch 3, batch 0, step 6
            on_batch_end             epoch 3, batch 1, step 7: 4 samples
            on_batch_start           epoch 3, batch 1, step 7
            on_batch_end             epoch 3, batch 2, step 8: 2 samples
            on_batch_start           epoch 3, batch 2, step 8
            on_batch_end             epoch 3, batch 3, step 9: 1 samples
            on_evaluation_start      epoch 3, batch 3, step 9: validation
            on_evaluation_batch_end  epoch 3, batch 3, step 9: validation, 1 of 2
            on_evaluation_batch_end  epoch 3, batch 3, step 9: validation, 2 of 2
            on_evaluation_end        epoch 3, batch 3, step 9: validation, best is epoch 2, step 6
            on_epoch_end             epoch 3, batch 3, step 9: best is epoch 2, step 6
            on_fit_end               epoch 3, batch 3, step 9: all epochs done"#]],
    );
}

#[test]
fn events_with_accumulated_gradients() {
    let _ = check(
        trainer_with_scores(&[0.5]).accumulate_grad_batches(2),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 1 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 2, step 1: 6 samples
            on_batch_start           epoch 1, batch 2, step 1
            on_batch_end             epoch 1, batch 3, step 2: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 2: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 2: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 2: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 2: validation, best is epoch 1, step 2
            on_epoch_end             epoch 1, batch 3, step 2: best is epoch 1, step 2
            on_fit_end               epoch 1, batch 3, step 2: all epochs done"#]],
    );
}

pub(crate) fn in_dir(
    builder: TrainerBuilder<Toy>,
    dir: &tempfile::TempDir,
    every: Interval,
) -> TrainerBuilder<Toy> {
    let dir = dir.path().join("run");
    let dir = if dir.exists() { RunDir::open(dir) } else { RunDir::create(dir) };
    builder.run_dir(dir.unwrap()).checkpoints(CheckpointPolicy { every, ..CheckpointPolicy::default() })
}

#[test]
fn events_with_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let _ = check(
        in_dir(trainer_with_scores(&[0.5, 0.4]), &dir, Interval::steps(2)),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 2 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_checkpoint            epoch 1, batch 2, step 2: last
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 3: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 3: validation, best is epoch 1, step 3
            on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 3
            on_checkpoint            epoch 1, batch 3, step 3: last
            on_checkpoint            epoch 1, batch 3, step 3: best
            on_epoch_start           epoch 2, batch 0, step 3
            on_batch_start           epoch 2, batch 0, step 3
            on_batch_end             epoch 2, batch 1, step 4: 4 samples
            on_checkpoint            epoch 2, batch 1, step 4: last
            on_batch_start           epoch 2, batch 1, step 4
            on_batch_end             epoch 2, batch 2, step 5: 2 samples
            on_batch_start           epoch 2, batch 2, step 5
            on_batch_end             epoch 2, batch 3, step 6: 1 samples
            on_evaluation_start      epoch 2, batch 3, step 6: validation
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 3, step 6: validation, best is epoch 1, step 3
            on_epoch_end             epoch 2, batch 3, step 6: best is epoch 1, step 3
            on_checkpoint            epoch 2, batch 3, step 6: last
            on_fit_end               epoch 2, batch 3, step 6: all epochs done"#]],
    );
}

/// Returns a callback that stops the run gracefully at this step.
fn stop_at(step: u64) -> impl Callback {
    on_batch_end(move |run: &mut Run, _| {
        if run.step() < step {
            return Ok(Flow::Continue);
        }
        Ok(Flow::stop("enough"))
    })
}

#[test]
fn events_of_a_run_stopped_mid_epoch() {
    let (_, _, report) = check(
        trainer_with_scores(&[0.5, 0.6, 0.7]).callback(stop_at(4)),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 3 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_batch_start           epoch 1, batch 2, step 2
            on_batch_end             epoch 1, batch 3, step 3: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 3: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 3: validation, best is epoch 1, step 3
            on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 3
            on_epoch_start           epoch 2, batch 0, step 3
            on_batch_start           epoch 2, batch 0, step 3
            on_batch_end             epoch 2, batch 1, step 4: 4 samples
            on_evaluation_start      epoch 2, batch 1, step 4: validation
            on_evaluation_batch_end  epoch 2, batch 1, step 4: validation, 1 of 2
            on_evaluation_batch_end  epoch 2, batch 1, step 4: validation, 2 of 2
            on_evaluation_end        epoch 2, batch 1, step 4: validation, best is epoch 2, step 4
            on_epoch_end             epoch 2, batch 1, step 4: best is epoch 2, step 4
            on_fit_end               epoch 2, batch 1, step 4: on_batch_end: enough"#]],
    );
    let report = report.unwrap();
    assert_eq!(report.stop_reason.to_string(), "on_batch_end: enough");
    let last = report.history.last().unwrap();
    assert_eq!((last.epoch, last.step, last.samples), (2, 4, 11));
    assert_eq!(report.best.unwrap().epoch, 2);
}

#[test]
fn events_of_early_stopping_mid_epoch() {
    let builder = trainer_with_scores(&[0.5, 0.4, 0.3])
        .validate_every(Interval::steps(1))
        .callback(EarlyStopping::new(1));
    let (_, _, report) = check(
        builder,
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 3 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_evaluation_start      epoch 1, batch 1, step 1: validation
            on_evaluation_batch_end  epoch 1, batch 1, step 1: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 1, step 1: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 1, step 1: validation, best is epoch 1, step 1
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_end             epoch 1, batch 2, step 2: 2 samples
            on_evaluation_start      epoch 1, batch 2, step 2: validation
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 2, step 2: validation, best is epoch 1, step 1
            on_evaluation_start      epoch 1, batch 2, step 2: validation
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 2, step 2: validation, best is epoch 1, step 1
            on_epoch_end             epoch 1, batch 2, step 2: best is epoch 1, step 1
            on_fit_end               epoch 1, batch 2, step 2: score did not improve in 1 validations"#]],
    );
    assert_eq!(report.unwrap().stop_reason.code(), "early_stopping");
}

#[test]
fn events_of_an_interrupted_and_resumed_run() {
    let dir = tempfile::tempdir().unwrap();
    let build = |interrupt: Interrupt| {
        in_dir(trainer_with_scores(&[0.5, 0.4]), &dir, Interval::epochs(1.0)).interrupt(interrupt)
    };
    let interrupt = Interrupt::default();
    let handle = interrupt.clone();
    let request = on_batch_end(move |run, _| {
        if run.step() == 2 {
            handle.request();
        }
        Ok(Flow::Continue)
    });
    let (trainer, _, report) = check(
        build(interrupt).callback(request),
        &expect![[r#"
            on_fit_start    epoch 0, batch 0, step 0: new, 2 epochs of 3 batches
            on_epoch_start  epoch 1, batch 0, step 0
            on_batch_start  epoch 1, batch 0, step 0
            on_batch_end    epoch 1, batch 1, step 1: 4 samples
            on_batch_start  epoch 1, batch 1, step 1
            on_batch_end    epoch 1, batch 2, step 2: 2 samples
            on_checkpoint   epoch 1, batch 2, step 2: last
            on_fit_end      epoch 1, batch 2, step 2: interrupted"#]],
    );
    assert_eq!(report.unwrap().stop_reason, StopReason::Interrupted);
    drop(trainer);
    let recorder = Recorder::new();
    let mut trainer = build(Interrupt::default()).callback(recorder.clone()).build().unwrap();
    trainer.resume(&train_data(), Some(&valid_data())).unwrap();
    expect![[r#"
        on_fit_start             epoch 1, batch 2, step 2: resumed, 2 epochs of 3 batches
        on_batch_start           epoch 1, batch 2, step 2
        on_batch_end             epoch 1, batch 3, step 3: 1 samples
        on_evaluation_start      epoch 1, batch 3, step 3: validation
        on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 1 of 2
        on_evaluation_batch_end  epoch 1, batch 3, step 3: validation, 2 of 2
        on_evaluation_end        epoch 1, batch 3, step 3: validation, best is epoch 1, step 3
        on_epoch_end             epoch 1, batch 3, step 3: best is epoch 1, step 3
        on_checkpoint            epoch 1, batch 3, step 3: last
        on_checkpoint            epoch 1, batch 3, step 3: best
        on_epoch_start           epoch 2, batch 0, step 3
        on_batch_start           epoch 2, batch 0, step 3
        on_batch_end             epoch 2, batch 1, step 4: 4 samples
        on_batch_start           epoch 2, batch 1, step 4
        on_batch_end             epoch 2, batch 2, step 5: 2 samples
        on_batch_start           epoch 2, batch 2, step 5
        on_batch_end             epoch 2, batch 3, step 6: 1 samples
        on_evaluation_start      epoch 2, batch 3, step 6: validation
        on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 1 of 2
        on_evaluation_batch_end  epoch 2, batch 3, step 6: validation, 2 of 2
        on_evaluation_end        epoch 2, batch 3, step 6: validation, best is epoch 1, step 3
        on_epoch_end             epoch 2, batch 3, step 6: best is epoch 1, step 3
        on_checkpoint            epoch 2, batch 3, step 6: last
        on_fit_end               epoch 2, batch 3, step 6: all epochs done"#]]
    .assert_eq(&recorder.text());
    drop(trainer);
    // Resuming a finished run only reports that it is finished.
    recorder.clear();
    let mut trainer = build(Interrupt::default()).callback(recorder.clone()).build().unwrap();
    trainer.resume(&train_data(), Some(&valid_data())).unwrap();
    expect![[r#"
        on_fit_start  epoch 2, batch 3, step 6: resumed, 2 epochs of 3 batches
        on_fit_end    epoch 2, batch 3, step 6: all epochs done"#]]
    .assert_eq(&recorder.text());
}
