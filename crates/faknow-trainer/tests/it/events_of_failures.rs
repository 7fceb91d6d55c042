//! The order of events when a hook or an update fails.

use expect_test::expect;
use faknow_callbacks::{Interval, Run, on_epoch_end};
use faknow_trainer::{NonFinitePolicy, Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

use crate::at_hook::AtHook;
use crate::events::{check, in_dir};
use crate::toy::{Points, Toy, trainer_with_scores};

#[test]
fn events_of_an_error_in_a_hook() {
    let fails = |hook: &'static str| {
        AtHook(move |run: &mut Run, called: &'static str| {
            assert!(called != hook || run.step() < 3, "in {hook}");
            Ok(())
        })
    };
    let (_, _, report) = check(
        trainer_with_scores(&[0.5, 0.4]).callback(fails("on_batch_end")),
        &expect![[r#"
            on_fit_start    epoch 0, batch 0, step 0: new, 2 epochs of 3 batches
            on_epoch_start  epoch 1, batch 0, step 0
            on_batch_start  epoch 1, batch 0, step 0
            on_batch_end    epoch 1, batch 1, step 1: 4 samples
            on_batch_start  epoch 1, batch 1, step 1
            on_batch_end    epoch 1, batch 2, step 2: 2 samples
            on_batch_start  epoch 1, batch 2, step 2
            on_batch_end    epoch 1, batch 3, step 3: 1 samples
            on_fit_end      epoch 1, batch 3, step 3: error: AtHook: panicked: in on_batch_end (in on_batch_end, epoch 1, step 3)"#]],
    );
    let message = "AtHook: panicked: in on_batch_end (in on_batch_end, epoch 1, step 3)";
    assert_eq!(report.unwrap_err().to_string(), message);
    let (_, _, report) = check(
        trainer_with_scores(&[0.5, 0.4]).callback(fails("on_epoch_start")),
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
            on_fit_end               epoch 1, batch 3, step 3: error: AtHook: panicked: in on_epoch_start (in on_epoch_start, epoch 2, step 3)"#]],
    );
    let message = "AtHook: panicked: in on_epoch_start (in on_epoch_start, epoch 2, step 3)";
    assert_eq!(report.unwrap_err().to_string(), message);
    // The epoch is recorded, and all callbacks are notified, before the run fails.
    let late = on_epoch_end(|_, _| panic!("late"));
    let (trainer, _, report) = check(
        trainer_with_scores(&[0.5, 0.4]).callback(late),
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
            on_fit_end               epoch 1, batch 3, step 3: error: on_epoch_end: panicked: late (in on_epoch_end, epoch 1, step 3)"#]],
    );
    let message = "on_epoch_end: panicked: late (in on_epoch_end, epoch 1, step 3)";
    assert_eq!(report.unwrap_err().to_string(), message);
    assert_eq!(trainer.run().history().epochs.len(), 1);
}

/// The default step with a NaN loss in the second batch of each epoch until the learning rate is lowered.
struct NanUntilRollback;

impl TrainStep<Toy> for NanUntilRollback {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let factor =
            if context.location.batch == 2 && optimizer.learning_rates()[0] == 0.1 { f64::NAN } else { 1.0 };
        let batch = Points {
            x: &batch.x * factor,
            labels: batch.labels.as_ref().map(tch::Tensor::shallow_clone),
            names: batch.names.clone(),
            is_moved: true,
        };
        Supervised::default().step(model, &batch, optimizer, context)
    }
}

#[test]
fn events_of_skipped_and_rolled_back_updates() {
    let builder = |policy| trainer_with_scores(&[0.5]).step(NanUntilRollback).on_non_finite(policy);
    let (trainer, _, _) = check(
        builder(NonFinitePolicy::Skip),
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 1 epochs of 3 batches
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_batch_start           epoch 1, batch 1, step 1
            on_batch_start           epoch 1, batch 2, step 1
            on_batch_end             epoch 1, batch 3, step 2: 1 samples
            on_evaluation_start      epoch 1, batch 3, step 2: validation
            on_evaluation_batch_end  epoch 1, batch 3, step 2: validation, 1 of 2
            on_evaluation_batch_end  epoch 1, batch 3, step 2: validation, 2 of 2
            on_evaluation_end        epoch 1, batch 3, step 2: validation, best is epoch 1, step 2
            on_epoch_end             epoch 1, batch 3, step 2: best is epoch 1, step 2
            on_fit_end               epoch 1, batch 3, step 2: all epochs done"#]],
    );
    assert_eq!(trainer.run().skipped(), 1);
    let dir = tempfile::tempdir().unwrap();
    let rolling = in_dir(builder(NonFinitePolicy::RollBack), &dir, Interval::steps(1));
    let (trainer, _, _) = check(
        rolling,
        &expect![[r#"
            on_fit_start             epoch 0, batch 0, step 0: new, 1 epochs of 3 batches
            on_checkpoint            epoch 0, batch 0, step 0: last
            on_epoch_start           epoch 1, batch 0, step 0
            on_batch_start           epoch 1, batch 0, step 0
            on_batch_end             epoch 1, batch 1, step 1: 4 samples
            on_checkpoint            epoch 1, batch 1, step 1: last
            on_batch_start           epoch 1, batch 1, step 1
            on_fit_start             epoch 1, batch 1, step 1: rolled back, 1 epochs of 3 batches
            on_checkpoint            epoch 1, batch 1, step 1: last
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
            on_fit_end               epoch 1, batch 3, step 3: all epochs done"#]],
    );
    assert_eq!(trainer.run().learning_rates, [0.05]);
}
