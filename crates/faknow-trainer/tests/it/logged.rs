//! Values that callbacks and steps log, and the metrics of the training pass.

use faknow_callbacks::{
    Callback, EarlyStopping, Flow, HookResult, Monitor, Phase, Run, StopReason, on_batch_end, on_epoch_end,
};
use faknow_data::Batch;
use faknow_metrics::Evaluation;
use faknow_model::Model;
use faknow_trainer::schedule::{ScheduleConfig, WarmupLinear};
use faknow_trainer::{
    Error, Interrupt, Optimizer, Result, RunDir, StepContext, StepOutput, Supervised, TrainStep,
};

use crate::toy::{self, Toy, train_data, valid_data};

/// A callback that logs the given values, one after each validation.
struct Reward(Vec<f64>);

impl Callback for Reward {
    fn on_evaluation_end(&mut self, run: &mut Run, phase: Phase, _: &Evaluation) -> HookResult<Flow> {
        if phase == Phase::Valid {
            run.log("reward", self.0.remove(0));
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn logged_values_can_be_monitored() {
    let builder = toy::trainer().max_epochs(9).monitor(Monitor::max("reward"));
    let mut trainer = builder
        .callback(EarlyStopping::new(2).monitor(Monitor::max("valid/reward")))
        .callback(Reward(vec![0.1, 0.7, 0.3, 0.2, 0.9]))
        .build()
        .unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let best = report.best.unwrap();
    assert_eq!((best.epoch, best.value, best.monitor.as_str()), (2, 0.7, "reward"));
    assert_eq!(report.stop_reason, StopReason::EarlyStopping { monitor: "reward".into(), patience: 2 });
    let series: Vec<_> =
        report.history.series("reward").unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(series, [Some(0.1), Some(0.7), Some(0.3), Some(0.2)]);
}

#[test]
fn training_values_can_be_monitored_without_validation() {
    let mut trainer = toy::trainer().max_epochs(3).monitor("train/loss").build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    let losses = report.history.series("train/loss").unwrap();
    let lowest = losses.iter().map(|(_, loss)| loss.unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(report.best.unwrap().value, lowest);
}

#[test]
fn batch_values_are_averaged_over_samples_and_epoch_values_are_unchanged() {
    let builder = toy::trainer().max_epochs(1).callback(on_batch_end(|run, batch| {
        run.log("n", batch.n_samples as f64);
        Ok(Flow::Continue)
    }));
    let builder = builder.callback(on_epoch_end(|run, record| {
        run.log("step_of_epoch", record.step as f64);
        Ok(Flow::Continue)
    }));
    let report = builder.step(Logging).build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap();
    let train = &report.history.epochs[0].train;
    // Batches of 4, 2 and 1 samples.
    assert_eq!(train.value("n"), Some((16.0 + 4.0 + 1.0) / 7.0));
    assert_eq!(train.value("of_step"), Some((4.0 + 2.0 * 2.0 + 3.0) / 7.0));
    assert_eq!(train.value("step_of_epoch"), Some(3.0));
}

/// A step that logs the number of the batch.
struct Logging;

impl TrainStep<Toy> for Logging {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &<Toy as Model>::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        assert!(batch.n_samples() > 0);
        let output = Supervised::default().step(model, batch, optimizer, context)?;
        Ok(output.log("of_step", context.location.batch as f64))
    }
}

#[test]
fn training_accuracy_is_recorded_by_default() {
    let accuracies = |metrics: bool| {
        let mut trainer = toy::trainer().max_epochs(2).train_metrics(metrics).build().unwrap();
        trainer.fit(&train_data(), Some(&valid_data())).unwrap().history
    };
    for (_, accuracy) in accuracies(true).series("train/accuracy").unwrap() {
        let n_correct = accuracy.unwrap() * 7.0;
        let is_integer = (n_correct - n_correct.round()).abs() < 1e-9;
        assert!(is_integer && (0.0..=7.0).contains(&n_correct), "{n_correct}");
    }
    let without = accuracies(false);
    assert!(without.series("train/accuracy").is_err());
    // Nothing else changes.
    assert_eq!(without.series("train/loss").unwrap(), accuracies(true).series("train/loss").unwrap());
    let error = toy::trainer().train_metrics(["auc"]).build().err().unwrap().to_string();
    assert_eq!(
        error,
        "train_metrics: expected metrics that need only predicted classes, such as accuracy and f1, got auc"
    );
}

/// Interrupts a run within an epoch: metric counts and logged values so far are part of the checkpoint.
#[test]
fn interrupted_epoch_has_same_record_as_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let train = |dir: RunDir, interrupt: Option<Interrupt>| {
        let requested = interrupt.clone();
        let builder = toy::trainer().max_epochs(2).run_dir(dir).train_metrics(["accuracy", "f1_macro"]);
        let builder = builder.callback(on_batch_end(move |run, batch| {
            run.log("n", batch.n_samples as f64);
            if run.step() == 2
                && let Some(interrupt) = &requested
            {
                interrupt.request();
            }
            Ok(Flow::Continue)
        }));
        let builder = builder.interrupt(interrupt.unwrap_or_default());
        let mut trainer = builder.build().unwrap();
        let run = trainer.run().dir().unwrap().join("checkpoints");
        if run.exists() {
            trainer.resume(&train_data(), Some(&valid_data())).unwrap()
        } else {
            trainer.fit(&train_data(), Some(&valid_data())).unwrap()
        }
    };
    let uninterrupted = train(RunDir::create(dir.path().join("uninterrupted")).unwrap(), None);
    let dir = dir.path().join("run");
    let interrupted = train(RunDir::create(&dir).unwrap(), Some(Interrupt::default()));
    assert_eq!(interrupted.stop_reason, StopReason::Interrupted);
    let resumed = train(RunDir::open(&dir).unwrap(), None);
    for (resumed, expected) in resumed.history.epochs.iter().zip(&uninterrupted.history.epochs) {
        assert_eq!(resumed.train, expected.train);
        assert_eq!(resumed.valid, expected.valid);
    }
}

#[test]
fn rejects_duplicate_and_reserved_names() {
    let check = |hook: &'static str, name: &'static str, expected: &str| {
        let log = crate::at_hook::AtHook(move |run: &mut Run, current: &'static str| {
            if current == hook {
                run.log(name, 1.0);
            }
            Ok(())
        });
        let mut trainer = toy::trainer().max_epochs(1).callback(log).build().unwrap();
        let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
        assert!(matches!(error, Error::Callback(_)), "{hook}, {name}: {error:?}");
        assert_eq!(error.to_string(), format!("log `{name}`: expected {expected}"), "{hook}");
    };
    let of_loss = "a name other than `loss` and `loss/…`, which are reserved for the loss and its parts";
    for hook in
        ["on_epoch_start", "on_batch_start", "on_batch_end", "on_evaluation_batch_end", "on_epoch_end"]
    {
        check(hook, "loss", of_loss);
        check(hook, "loss/class", of_loss);
        check(hook, "", "a non-empty name");
        check(hook, "valid/accuracy", "a name without the phase, which is added automatically");
    }
    for hook in ["on_fit_start", "on_batch_end", "on_epoch_end"] {
        check(hook, "accuracy", "a name that no training metric uses");
    }
    let taken = "a name that no metric and no other logged value uses";
    check("on_evaluation_end", "accuracy", taken);
    check("on_evaluation_batch_end", "accuracy", taken);
}

#[test]
fn learning_rate_set_before_a_batch_applies_to_it() {
    let train = |learning_rate: Option<f64>| {
        let learning_rates = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let recorded = std::sync::Arc::clone(&learning_rates);
        let set = crate::at_hook::AtHook(move |run: &mut Run, hook: &'static str| {
            if let ("on_batch_start", Some(learning_rate), 1) = (hook, learning_rate, run.step()) {
                run.learning_rates[0] = learning_rate;
            }
            Ok(())
        });
        let builder =
            toy::trainer().max_epochs(1).callback(set).step_fn(move |model, batch, optimizer, context| {
                recorded.lock().unwrap().push(optimizer.learning_rates()[0]);
                Supervised::default().step(model, batch, optimizer, context)
            });
        // The schedule sets a learning rate after each step.
        let schedule = WarmupLinear { warmup_ratio: Some(0.5), ..WarmupLinear::default() };
        let builder = builder.schedule(ScheduleConfig::WarmupLinear(schedule));
        builder.build().unwrap().fit(&train_data(), None).unwrap();
        std::mem::take(&mut *learning_rates.lock().unwrap())
    };
    let (scheduled, set) = (train(None), train(Some(0.5)));
    assert_eq!((set[0], set[1]), (scheduled[0], 0.5));
}

#[test]
fn intervals_are_parsed_and_errors_name_the_option() {
    let report = toy::trainer().max_epochs(9).stop_after("4 steps").build().unwrap().fit(&train_data(), None);
    assert_eq!(report.unwrap().stop_reason.to_string(), "reached the limit of 4 steps");
    let error = toy::trainer().stop_after("4 weeks").build().err().unwrap().to_string();
    assert_eq!(
        error,
        "stop_after: expected a number above 0 and a unit (epochs, steps, samples, seconds, minutes, hours), as in `5 \
         steps`, got 4 weeks"
    );
}
