//! Trials before a run, the learning-rate range test and the batch-size search: their results, and that they have no side
//! effects.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::{Arc, Mutex};

use faknow_callbacks::{Recorder, State};
use faknow_trainer::{
    Adam, BatchSizeEnd, BatchSizeSearch, Error, Interrupt, LrRange, LrRangeEnd, Optimizer, OptimizerConfig,
    ParameterGroup, Result, StepContext, StepOutput, Supervised, TrainStep, Trainer,
};
use serde_json::json;

use crate::by_hand::{START, assert_weights};
use crate::toy::{self, Fault, Memory, POINTS, Points, Toy, train_data, valid_data, weights};

const RANGE: LrRange = LrRange { min: 1e-3, max: 10.0, steps: 10 };

/// Returns the learning rates of [`RANGE`].
fn learning_rates() -> impl Iterator<Item = f64> {
    (0..10).map(|step| 1e-3 * 1e4f64.powf(f64::from(step) / 9.0))
}

/// Describes the state of a trainer that a trial could change, except for the weights.
fn describe(trainer: &Trainer<Toy>) -> String {
    let (run, optimizer) = (trainer.run(), trainer.optimizer());
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        run.timestamp(),
        run.epoch(),
        run.learning_rates,
        run.history(),
        optimizer.learning_rates(),
        optimizer.state().unwrap(),
    )
}

#[test]
fn range_test_losses_match_gradient_descent() {
    let mut trainer = toy::trainer().build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let batches = [&POINTS[..4], &POINTS[4..6], &POINTS[6..]];
    let mut weights = START;
    // An epoch has three batches: the test continues with the next one.
    for ((point, rate), batch) in curve.points.iter().zip(learning_rates()).zip(batches.iter().cycle()) {
        assert!((point.learning_rate / rate - 1.0).abs() < 1e-12, "{point:?}");
        let expected = weights.loss(batch);
        assert!((point.loss - expected).abs() < 1e-12, "expected {expected}, got {point:?}");
        weights = weights.plus(-rate, &weights.gradient(batch));
    }
    assert_eq!((curve.points.len(), curve.stop_reason), (10, LrRangeEnd::Completed));
    assert_weights(&trainer.into_parts().1, &START, "the weights are restored");
}

#[test]
fn accumulated_batches_are_one_point() {
    let mut trainer = toy::trainer().accumulate_grad_batches(3).build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let mut weights = START;
    for (point, rate) in curve.points.iter().zip(learning_rates()) {
        assert!((point.loss - weights.loss(&POINTS)).abs() < 1e-12, "{point:?}");
        weights = weights.plus(-rate, &weights.gradient(&POINTS));
    }
}

/// Fits twice, with `trial` before each fit; returns the final weights, state and recorded events.
fn fit(trial: impl Fn(&mut Trainer<Toy>)) -> (toy::Weights, String, String) {
    let (mut model, vars) = Toy::new();
    model.dropout = 0.3;
    let recorder = Recorder::default();
    let builder =
        toy::trainer_for((model, vars)).optimizer(OptimizerConfig::adam(0.05)).accumulate_grad_batches(2);
    let mut trainer = builder.callback(recorder.clone()).restore_best(false).build().unwrap();
    for _ in 0..2 {
        let before = (weights(&trainer.run().vars), describe(&trainer));
        trial(&mut trainer);
        assert_eq!((weights(&trainer.run().vars), describe(&trainer)), before);
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    }
    let loss = |record: &faknow_metrics::EpochRecord| format!("{:?}", record.train.value("loss"));
    let losses = trainer.run().history().epochs.iter().map(loss).collect::<Vec<_>>().join(" ");
    let state = format!("{:?}", trainer.optimizer().state().unwrap());
    (weights(&trainer.run().vars), state + &losses, recorder.text())
}

#[test]
fn trials_do_not_change_the_run() {
    let expected = fit(|_| {});
    let after_range_test = fit(|trainer| drop(trainer.lr_range_test(&train_data(), &RANGE).unwrap()));
    assert_eq!(after_range_test, expected, "range test");
    let after_search = fit(|trainer| {
        let search = BatchSizeSearch { min: 1, max: 4, ..BatchSizeSearch::default() };
        trainer.find_batch_size(&search, |n| Ok(Memory::new(&POINTS, &[n]))).unwrap();
    });
    assert_eq!(after_search, expected, "batch-size search");
}

#[test]
fn failed_trial_restores_state() {
    let check = |fault: Fault, part: &str| {
        let mut trainer = toy::trainer_for(Toy::with_training_fault(3, fault)).build().unwrap();
        let before = (weights(&trainer.run().vars), describe(&trainer));
        let error = trainer.lr_range_test(&train_data(), &RANGE).unwrap_err().to_string();
        assert!(error.starts_with("training, epoch 1, batch 3: ") && error.contains(part), "{error}");
        assert_eq!((weights(&trainer.run().vars), describe(&trainer)), before);
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    };
    check(Fault::Panic, "simulated panic in forward pass 3");
    check(Fault::Error, "size");
}

#[test]
fn non_finite_loss_ends_range_test_without_error() {
    let mut trainer = toy::trainer_for(Toy::with_training_fault(5, Fault::Nan)).build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    assert_eq!((curve.points.len(), curve.stop_reason), (4, LrRangeEnd::NotFinite));
    assert_weights(&trainer.into_parts().1, &START, "the weights are restored");
}

/// The supervised step, which also counts its calls and records the learning rates.
#[derive(Clone, Default)]
struct Counting {
    n: u64,
    rates: Arc<Mutex<Vec<Vec<f64>>>>,
}

impl TrainStep<Toy> for Counting {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        self.n += 1;
        self.rates.lock().unwrap().push(optimizer.learning_rates().to_vec());
        Supervised::default().step(model, batch, optimizer, context)
    }

    fn state(&self) -> Result<State> {
        Ok(json!({ "n": self.n }).into())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.n = state.values["n"].as_u64().unwrap();
        self.rates.lock().unwrap().push(vec![self.n as f64]);
        Ok(())
    }
}

#[test]
fn range_test_scales_group_learning_rates_and_restores_step_state() {
    let step = Counting { n: 7, ..Counting::default() };
    let group = ParameterGroup { lr: Some(0.05), ..ParameterGroup::new("bias") };
    let adam = Adam { lr: 0.1, groups: vec![group], ..Adam::default() };
    let builder = toy::trainer().optimizer(OptimizerConfig::Adam(adam)).step(step.clone());
    let mut trainer = builder.build().unwrap();
    trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let mut recorded = step.rates.lock().unwrap().clone();
    assert_eq!(recorded.pop(), Some(vec![7.0]), "the restored count");
    assert_eq!(recorded.len(), 10);
    for (recorded, rate) in recorded.iter().zip(learning_rates()) {
        let ratios = [recorded[0] / rate, recorded[1] / rate];
        assert!((ratios[0] - 0.5).abs() < 1e-9 && (ratios[1] - 1.0).abs() < 1e-9, "{ratios:?}");
    }
}

#[test]
fn interrupt_ends_range_test() {
    let interrupt = Interrupt::default();
    let mut trainer = toy::trainer().interrupt(interrupt.clone()).build().unwrap();
    interrupt.request();
    let error = trainer.lr_range_test(&train_data(), &RANGE).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    interrupt.clear();
    trainer.lr_range_test(&train_data(), &RANGE).unwrap();
}

#[test]
fn range_test_rejects_empty_loader() {
    let mut trainer = toy::trainer().build().unwrap();
    let error = trainer.lr_range_test(&Memory::new(&[], &[]), &RANGE).unwrap_err();
    assert!(matches!(error, Error::EmptyLoader { .. }), "{error:?}");
}

#[test]
fn batch_size_search_creates_loader_for_each_size() {
    let requested = Mutex::new(Vec::new());
    let search = BatchSizeSearch { min: 1, max: 2, steps: 2, memory_limit: None };
    let (model, vars) = Toy::new();
    let modes = Arc::clone(&model.modes);
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    let sizes = trainer
        .find_batch_size(&search, |n| {
            requested.lock().unwrap().push(n);
            Ok(Memory::new(&POINTS, &[n]))
        })
        .unwrap();
    let measured: Vec<usize> = sizes.trials.iter().map(|trial| trial.batch_size).collect();
    assert_eq!(measured, *requested.lock().unwrap());
    assert_eq!(modes.lock().unwrap().len(), 3 * measured.len(), "one warm-up step and two measured steps");
    assert!(sizes.trials.iter().all(|trial| trial.samples_per_second > 0.0));
    // Only the third slower size would end the search.
    assert_eq!(sizes.stop_reason, BatchSizeEnd::Largest);
    let error = trainer.find_batch_size(&search, |_| -> faknow_data::Result<Memory> {
        Err(faknow_data::Error::Dataset("dataset closed".into()))
    });
    assert_eq!(error.unwrap_err().to_string(), "training, epoch 1, batch 1: dataset closed");
}
