//! Tools that try something before a run: what they find, and that they leave nothing behind.
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

/// The rates of [`RANGE`].
fn rates() -> impl Iterator<Item = f64> {
    (0..10).map(|step| 1e-3 * 1e4f64.powf(f64::from(step) / 9.0))
}

/// All that a trainer knows which a test could change, but for the weights.
fn info(trainer: &Trainer<Toy>) -> String {
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
fn the_losses_are_those_of_a_descent_with_growing_rates() {
    let mut trainer = toy::trainer().build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let batches = [&POINTS[..4], &POINTS[4..6], &POINTS[6..]];
    let mut at = START;
    // Three batches an epoch: the test goes on with the next one.
    for ((point, rate), batch) in curve.points.iter().zip(rates()).zip(batches.iter().cycle()) {
        assert!((point.learning_rate / rate - 1.0).abs() < 1e-12, "{point:?}");
        assert!((point.loss - at.loss(batch)).abs() < 1e-12, "{point:?}, expected {}", at.loss(batch));
        at = at.plus(-rate, &at.gradient(batch));
    }
    assert_eq!((curve.points.len(), curve.stop_reason), (10, LrRangeEnd::Completed));
    assert_weights(&trainer.into_parts().1, &START, "the weights are put back");
}

#[test]
fn accumulated_batches_make_one_point() {
    let mut trainer = toy::trainer().accumulate_grad_batches(3).build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let mut at = START;
    for (point, rate) in curve.points.iter().zip(rates()) {
        assert!((point.loss - at.loss(&POINTS)).abs() < 1e-12, "{point:?}");
        at = at.plus(-rate, &at.gradient(&POINTS));
    }
}

/// Fits twice, with `trial` before each, and answers all that there is in the end.
fn fit(trial: impl Fn(&mut Trainer<Toy>)) -> (toy::Weights, String, String) {
    let (mut model, vars) = Toy::new();
    model.dropout = 0.3;
    let recorder = Recorder::default();
    let builder =
        toy::trainer_for((model, vars)).optimizer(OptimizerConfig::adam(0.05)).accumulate_grad_batches(2);
    let mut trainer = builder.callback(recorder.clone()).restore_best(false).build().unwrap();
    for _ in 0..2 {
        let before = (weights(&trainer.run().vars), info(&trainer));
        trial(&mut trainer);
        assert_eq!((weights(&trainer.run().vars), info(&trainer)), before);
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    }
    let loss = |record: &faknow_metrics::EpochRecord| format!("{:?}", record.train.value("loss"));
    let losses = trainer.run().history().epochs.iter().map(loss).collect::<Vec<_>>().join(" ");
    let state = format!("{:?}", trainer.optimizer().state().unwrap());
    (weights(&trainer.run().vars), state + &losses, recorder.text())
}

#[test]
fn a_run_is_the_same_to_the_bit_whether_something_was_tried_before_or_not() {
    let expected = fit(|_| {});
    let ranged = fit(|trainer| drop(trainer.lr_range_test(&train_data(), &RANGE).unwrap()));
    assert_eq!(ranged, expected, "a range test");
    let sized = fit(|trainer| {
        let search = BatchSizeSearch { min: 1, max: 4, ..BatchSizeSearch::default() };
        trainer.find_batch_size(&search, |n| Ok(Memory::new(&POINTS, &[n]))).unwrap();
    });
    assert_eq!(sized, expected, "a search for a batch size");
}

#[test]
fn after_an_error_all_is_as_it_was() {
    let check = |fault: Fault, part: &str| {
        let mut trainer = toy::trainer_for(Toy::with_training_fault(3, fault)).build().unwrap();
        let before = (weights(&trainer.run().vars), info(&trainer));
        let error = trainer.lr_range_test(&train_data(), &RANGE).unwrap_err().to_string();
        assert!(error.starts_with("training, epoch 1, batch 3: ") && error.contains(part), "{error}");
        assert_eq!((weights(&trainer.run().vars), info(&trainer)), before);
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    };
    check(Fault::Panic, "simulated panic in forward pass 3");
    check(Fault::Error, "size");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_test_and_is_no_error() {
    let mut trainer = toy::trainer_for(Toy::with_training_fault(5, Fault::Nan)).build().unwrap();
    let curve = trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    assert_eq!((curve.points.len(), curve.stop_reason), (4, LrRangeEnd::NotFinite));
    assert_weights(&trainer.into_parts().1, &START, "the weights are put back");
}

/// The stock step, which counts, and notes the rates of each update.
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
fn groups_keep_the_ratio_of_their_rates_and_the_step_gets_its_state_back() {
    let step = Counting { n: 7, ..Counting::default() };
    let own = ParameterGroup { lr: Some(0.05), ..ParameterGroup::new("bias") };
    let adam = Adam { lr: 0.1, groups: vec![own], ..Adam::default() };
    let builder = toy::trainer().optimizer(OptimizerConfig::Adam(adam)).step(step.clone());
    let mut trainer = builder.build().unwrap();
    trainer.lr_range_test(&train_data(), &RANGE).unwrap();
    let mut noted = step.rates.lock().unwrap().clone();
    assert_eq!(noted.pop(), Some(vec![7.0]), "the count of before");
    assert_eq!(noted.len(), 10);
    for (noted, rate) in noted.iter().zip(rates()) {
        let ratios = [noted[0] / rate, noted[1] / rate];
        assert!((ratios[0] - 0.5).abs() < 1e-9 && (ratios[1] - 1.0).abs() < 1e-9, "{ratios:?}");
    }
}

#[test]
fn who_asks_for_the_end_gets_it() {
    let interrupt = Interrupt::default();
    let mut trainer = toy::trainer().interrupt(interrupt.clone()).build().unwrap();
    interrupt.request();
    let error = trainer.lr_range_test(&train_data(), &RANGE).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    interrupt.clear();
    trainer.lr_range_test(&train_data(), &RANGE).unwrap();
}

#[test]
fn data_without_batches_are_refused() {
    let mut trainer = toy::trainer().build().unwrap();
    let error = trainer.lr_range_test(&Memory::new(&[], &[]), &RANGE).unwrap_err();
    assert!(matches!(error, Error::EmptyLoader { .. }), "{error:?}");
}

#[test]
fn each_batch_size_is_measured_on_its_own_batches() {
    let asked = Mutex::new(Vec::new());
    let search = BatchSizeSearch { min: 1, max: 4, steps: 2, memory_limit: None };
    let (model, vars) = Toy::new();
    let modes = Arc::clone(&model.modes);
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    let sizes = trainer
        .find_batch_size(&search, |n| {
            asked.lock().unwrap().push(n);
            Ok(Memory::new(&POINTS, &[n]))
        })
        .unwrap();
    let tried: Vec<usize> = sizes.trials.iter().map(|trial| trial.batch_size).collect();
    assert_eq!(tried, *asked.lock().unwrap());
    assert_eq!(modes.lock().unwrap().len(), 3 * tried.len(), "an update to begin with, and two that count");
    assert!(sizes.trials.iter().all(|trial| trial.samples_per_second > 0.0));
    assert!(matches!(sizes.stop_reason, BatchSizeEnd::Largest | BatchSizeEnd::NoFaster));
    let error = trainer.find_batch_size(&search, |_| -> faknow_data::Result<Memory> {
        Err(faknow_data::Error::Dataset("it is closed".into()))
    });
    assert_eq!(error.unwrap_err().to_string(), "training, epoch 1, batch 1: it is closed");
}
