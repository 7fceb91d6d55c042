//! Limits of a run: the forms in which they are given, and fits after each other.

use anyhow::Context;
use faknow_callbacks::{EarlyStopping, Flow, Interval, StopReason, on_batch_end};
use faknow_trainer::schedule::{ScheduleConfig, WarmupLinear};
use faknow_trainer::{FinalWeights, Interrupt, TrainerBuilder};

use crate::toy::{self, EpochWeights, Toy, train_data, trainer_with_scores, valid_data, weights};

#[test]
fn limits_are_accepted_as_texts_and_intervals_where_any_error_is_returned() -> anyhow::Result<()> {
    let check = |limited: fn(TrainerBuilder<Toy>) -> anyhow::Result<TrainerBuilder<Toy>>, n_steps: u64| {
        let report = limited(toy::trainer())?.build()?.fit(&train_data(), Some(&valid_data()))?;
        anyhow::ensure!(report.history.last().context("no epoch")?.step == n_steps, "{report:?}");
        anyhow::Ok(())
    };
    check(|builder| Ok(builder.stop_after("4 steps")), 4)?;
    check(|builder| Ok(builder.stop_after("4 steps".to_owned())), 4)?;
    check(|builder| Ok(builder.stop_after(Interval::steps(4))), 4)?;
    check(|builder| Ok(builder.stop_after("4 steps".parse::<Interval>()?)), 4)?;
    check(|builder| Ok(builder.stop_after("1 hour".parse::<Interval>()?)), 9)?;
    check(|builder| Ok(builder.stop_after("2 epochs").stop_after("1 hour")), 6)?;
    check(|builder| Ok(builder.stop_after("8 samples")), 4)?;
    let error = check(|builder| Ok(builder.stop_after("4 weeks")), 0).unwrap_err().to_string();
    anyhow::ensure!(error.contains("stop_after") && error.contains("4 weeks"), "{error}");
    let error = check(|builder| Ok(builder.stop_after("4 weeks".parse::<Interval>()?)), 0);
    anyhow::ensure!(error.is_err_and(|error| error.to_string().contains("`4 weeks`")));
    Ok(())
}

/// Checks that the limit of a smoke test does not make a schedule invalid.
#[test]
fn a_smoke_test_has_the_schedule_of_the_run() -> anyhow::Result<()> {
    for warmup_steps in [1, 4, 9] {
        let warmup = WarmupLinear { warmup_steps: Some(warmup_steps), ..WarmupLinear::default() };
        let builder = toy::trainer().fast_dev_run().schedule(ScheduleConfig::WarmupLinear(warmup));
        let report = builder.stop_after("1 hour").build()?.fit(&train_data(), Some(&valid_data()))?;
        assert_eq!(report.history.last().map(|record| (record.epoch, record.step)), Some((1, 1)));
    }
    Ok(())
}

/// Checks where a further fit starts: with the weights that the first one left, and the last state of the optimizer.
#[test]
fn a_further_fit_starts_from_the_weights_that_the_first_left() -> anyhow::Result<()> {
    for (restore_best, start) in [(true, 1), (false, 2)] {
        let epochs = EpochWeights::default();
        let builder = trainer_with_scores(&[0.5, 0.4, 0.1, 0.6]).max_epochs(2).restore_best(restore_best);
        let mut trainer = builder.callback(epochs.clone()).build()?;
        let first = trainer.fit(&train_data(), Some(&valid_data()))?;
        let expected = if restore_best { FinalWeights::Best } else { FinalWeights::Last };
        assert_eq!(first.weights, expected);
        assert_eq!(weights(&trainer.run().vars), epochs.after(start));
        let second = trainer.fit(&train_data(), Some(&valid_data()))?;
        assert_eq!((second.history.epochs.len(), trainer.run().step()), (4, 12));
        assert_eq!(second.best.map(|best| best.epoch), Some(4));
    }
    Ok(())
}

/// Checks that an interrupted fit is finished by the next one, exactly as without the interruption.
#[test]
fn a_fit_after_an_interruption_finishes_its_epochs_exactly() -> anyhow::Result<()> {
    let fit = |interrupted_at: &'static [u64]| {
        let interrupt = Interrupt::default();
        let request = interrupt.clone();
        let stop = on_batch_end(move |run, _| {
            if interrupted_at.contains(&run.step()) {
                request.request();
            }
            Ok(Flow::Continue)
        });
        let schedule = ScheduleConfig::WarmupLinear(WarmupLinear::default());
        let builder = toy::trainer().schedule(schedule).interrupt(interrupt.clone()).callback(stop);
        let mut trainer = builder.callback(EarlyStopping::new(5)).build()?;
        for _ in interrupted_at {
            let report = trainer.fit(&train_data(), Some(&valid_data()))?;
            assert_eq!(report.stop_reason, StopReason::Interrupted);
            interrupt.clear();
        }
        let report = trainer.fit(&train_data(), Some(&valid_data()))?;
        assert_eq!((report.stop_reason, trainer.run().epoch()), (StopReason::Completed, 3));
        anyhow::Ok((weights(&trainer.run().vars), report.history.series("train/loss")?))
    };
    assert_eq!(fit(&[3, 6])?, fit(&[])?);
    // In the middle of an epoch too.
    assert_eq!(fit(&[4])?, fit(&[])?);
    Ok(())
}
