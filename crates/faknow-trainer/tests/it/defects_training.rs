//! Regression tests for FaKnow's defects in training and evaluation (numbers as in docs/parity.md).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::{Arc, Mutex};

use faknow_callbacks::{Flow, on_batch_end, on_epoch_end};
use faknow_data::{DataLoader, Dataset, Loader};
use faknow_metrics::Direction;
use faknow_model::{Mode, Model};
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{
    Clip, Error, Optimizer, OptimizerConfig, Result, StepContext, StepOutput, Supervised, TrainStep,
};
use tch::no_grad;

use crate::by_hand::{START, assert_weights};
use crate::toy::{self, Memory, POINTS, Point, Points, Toy, train_data, valid_data};

/// The default step, which records the learning rate of each update.
struct RecordLearningRates(Arc<Mutex<Vec<f64>>>);

impl TrainStep<Toy> for RecordLearningRates {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        self.0.lock().unwrap().push(optimizer.learning_rates()[0]);
        Supervised::default().step(model, batch, optimizer, context)
    }
}

/// Returns the learning rates of all updates of a fit with this schedule, over epochs of 3 batches, from 1.
fn learning_rates(schedule: &str, epochs: usize, scores: &[f64]) -> Vec<f64> {
    let schedule: ScheduleConfig = toml::from_str(&schedule.replace("; ", "\n")).expect(schedule);
    let log = Arc::<Mutex<Vec<f64>>>::default();
    let trainer = toy::trainer_with_scores_in(Direction::Minimize, scores).max_epochs(epochs);
    let trainer = trainer
        .optimizer(OptimizerConfig::sgd(1.0))
        .schedule(schedule)
        .step(RecordLearningRates(Arc::clone(&log)));
    trainer.build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap();
    let log = log.lock().unwrap();
    log.clone()
}

#[test]
fn defect_01_epoch_loss_is_the_mean_over_all_samples() {
    // With a learning rate of 0, the loss of the epoch is the loss of all points in one batch.
    for with_parts in [false, true] {
        let (mut model, vars) = Toy::new();
        model.has_loss_parts = with_parts;
        let mut trainer = toy::trainer_for((model, vars))
            .optimizer(OptimizerConfig::sgd(0.0))
            .max_epochs(1)
            .build()
            .unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let record = report.history.last().unwrap();
        let class = START.loss(&POINTS);
        let size: f64 = [0.1f64, -0.2, 0.3, 0.05].iter().map(|w| w * w).sum();
        let expected = if with_parts { class + size } else { class };
        let valid = record.valid.as_ref().unwrap();
        for (label, got) in [("training", &record.train), ("validation", valid)] {
            let loss = got.value("loss").unwrap();
            assert!((loss - expected).abs() < 1e-12, "{label}: expected {expected}, got {loss}");
            if with_parts {
                assert!((got.value("loss/class").unwrap() - class).abs() < 1e-12, "{label}");
                assert!((got.value("loss/size").unwrap() - size).abs() < 1e-12, "{label}");
            }
        }
        // Neither the loss of the last batch nor the mean of the batch losses.
        let batch_losses = [START.loss(&POINTS[..4]), START.loss(&POINTS[4..6]), START.loss(&POINTS[6..])];
        assert!((batch_losses[2] - class).abs() > 1e-2);
        assert!((batch_losses.iter().sum::<f64>() / 3.0 - class).abs() > 1e-3);
    }
}

#[test]
fn defect_05_schedules_step_in_their_own_unit() {
    let check = |schedule: &str, epochs: usize, expected: &[f64]| {
        let got = learning_rates(schedule, epochs, &[]);
        assert_eq!(got.len(), expected.len(), "{schedule}: {got:?}");
        let is_equal = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(is_equal, "{schedule}: expected {expected:?}, got {got:?}");
    };
    // FaKnow's warm-up stayed at a learning rate of 0 for the entire first epoch.
    check("name = 'warmup_linear'; warmup_steps = 2", 2, &[0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
    check(
        "name = 'step'; interval = 'step'; step_size = 2; gamma = 0.5",
        2,
        &[1.0, 1.0, 0.5, 0.5, 0.25, 0.25],
    );
    check("name = 'step'; step_size = 1; gamma = 0.5", 2, &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5]);
    check("name = 'exponential'; gamma = 0.1", 3, &[1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]);
}

#[test]
fn defect_06_plateau_schedule_follows_the_monitored_value() {
    let plateau = "name = 'plateau'; factor = 0.5; patience = 0; threshold = 0.0";
    let per_epoch = |scores: &[f64]| -> Vec<f64> {
        learning_rates(plateau, scores.len(), scores).chunks(3).map(|epoch| epoch[0]).collect()
    };
    assert_eq!(per_epoch(&[0.9, 0.8, 0.7, 0.6]), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(per_epoch(&[0.9, 0.9, 0.7, 0.8, 0.6]), [1.0, 1.0, 0.5, 0.5, 0.25]);
    assert_eq!(per_epoch(&[0.9, f64::NAN, 0.7]), [1.0, 1.0, 0.5]);
}

/// Two updates in one step, as in FaKnow's custom loops for CAFE and MFAN.
struct TwoUpdates;

impl TrainStep<Toy> for TwoUpdates {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        Supervised::default().step(model, batch, optimizer, context)?;
        Supervised::default().step(model, batch, optimizer, context)
    }
}

#[test]
fn defect_07_clipping_is_never_ignored() {
    let max = 0.05;
    let first = START.gradient(&POINTS);
    assert!(first.norm() > max);
    let clipped = |model: &crate::by_hand::Linear| {
        let gradient = model.gradient(&POINTS);
        gradient.map(|v| v * (max / (gradient.norm() + 1e-6)).min(1.0))
    };
    let one = START.plus(-0.1, &clipped(&START));
    let two = one.plus(-0.1, &clipped(&one));
    let data = Memory::new(&POINTS, &[7]);
    let fit = |is_custom: bool| {
        let builder = toy::trainer().clip(Clip::Norm(max)).max_epochs(1);
        let builder = if is_custom { builder.step(TwoUpdates) } else { builder };
        let mut trainer = builder.build().unwrap();
        trainer.fit(&data, None).unwrap();
        trainer.into_parts().1
    };
    assert_weights(&fit(false), &one, "default step");
    assert_weights(&fit(true), &two, "custom step");
}

#[test]
fn defect_08_every_batch_is_moved_to_the_device() {
    // The toy rejects batches that were not moved.
    let mut trainer = toy::trainer().build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    trainer.test(&valid_data()).unwrap();
    trainer.predict(&valid_data()).unwrap();
    let raw = Points::new(&POINTS);
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trainer.model().forward(&raw, Mode::Eval)));
    assert!(result.is_err(), "the toy must reject batches that were not moved");
}

/// Trains on the points and on adversarial points (fast gradient sign method), with summed gradients.
struct Fgsm {
    epsilon: f64,
}

impl TrainStep<Toy> for Fgsm {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let mut batch = Points { x: batch.x.copy().set_requires_grad(true), ..Points::new(&POINTS) };
        batch.is_moved = true;
        optimizer.zero_grad();
        let clean = model.forward(&batch, Mode::Train)?;
        let clean = context.check_loss(clean.loss, optimizer)?;
        clean.total.backward();
        batch.x = no_grad(|| &batch.x + batch.x.grad().sign() * self.epsilon);
        let adversarial = model.forward(&batch, Mode::Train)?;
        context.check_loss(adversarial.loss, optimizer)?.total.backward();
        optimizer.step()?;
        Ok(clean.into())
    }
}

#[test]
fn defect_09_adversarial_step_sums_clean_and_adversarial_gradients() {
    let epsilon = 0.3;
    let perturbed: Vec<Point> = POINTS
        .iter()
        .map(|(x, label)| {
            let scores = START.scores(*x);
            let slope = |feature: usize| -> f64 {
                let error = |class: usize| scores[class] - f64::from(class as i64 == *label);
                (0..2).map(|class| error(class) * START.w[class][feature]).sum()
            };
            ([x[0] + epsilon * slope(0).signum(), x[1] + epsilon * slope(1).signum()], *label)
        })
        .collect();
    let gradient = START.gradient(&POINTS).plus(1.0, &START.gradient(&perturbed));
    let mut trainer = toy::trainer().step(Fgsm { epsilon }).max_epochs(1).build().unwrap();
    trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), "clean and adversarial");
}

struct PointSet;

impl Dataset for PointSet {
    type Batch = Points;

    fn n_samples(&self) -> usize {
        POINTS.len()
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Points> {
        Ok(Points::new(&indices.iter().map(|&i| POINTS[i]).collect::<Vec<_>>()))
    }
}

#[test]
fn defect_10_test_counts_every_sample() {
    let mut trainer = toy::trainer().build().unwrap();
    let full_batch = trainer.test(&Memory::new(&POINTS, &[7])).unwrap();
    assert_eq!(full_batch.predictions.n_samples(), 7);
    for batch_size in [1, 2, 3, 4, 6] {
        // By default, an incomplete last batch is not dropped.
        let loader = DataLoader::builder(PointSet).batch_size(batch_size).build().unwrap();
        let test = trainer.test(&loader).unwrap();
        assert_eq!(test.predictions, full_batch.predictions, "batches of {batch_size}");
        let (a, b) = (test.scores.value("loss").unwrap(), full_batch.scores.value("loss").unwrap());
        assert!((a - b).abs() < 1e-12, "batches of {batch_size}: {a} {b}");
        assert_eq!(trainer.predict(&loader).unwrap().len(), 7);
    }
}

#[test]
fn defect_12_missing_labels_error_names_the_location() {
    let unlabeled = |data: Memory| Memory { is_labeled: false, ..data };
    let check = |result: Result<()>, location: &str| match result {
        Err(error @ Error::NoLabels { .. }) => {
            let expected = format!("{location}: the batch has no labels");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        other => panic!("{location}: {other:?}"),
    };
    let mut trainer = toy::trainer().build().unwrap();
    let valid = unlabeled(valid_data());
    check(trainer.fit(&unlabeled(train_data()), None).map(drop), "training, epoch 1, batch 1");
    check(trainer.fit(&train_data(), Some(&valid)).map(drop), "validation, epoch 1, batch 1");
    check(trainer.test(&valid).map(drop), "test, batch 1");
    // Prediction needs no labels and returns the scores that a test evaluates.
    let scores = trainer.predict(&valid).unwrap();
    let predictions = trainer.test(&valid_data()).unwrap().predictions;
    assert_eq!(scores.concat(), predictions.scores());
}

#[test]
fn defect_33_batches_may_hold_more_than_tensors() {
    // The names, which are not tensors, are moved with the batch.
    let data = valid_data();
    let batch = data.batches(0, 0).next().unwrap().unwrap();
    let moved = faknow_data::Batch::to_device(&batch, tch::Device::Cpu);
    assert_eq!(moved.names, ["point 0", "point 1", "point 2", "point 3", "point 4"]);
    toy::trainer().build().unwrap().fit(&data, None).unwrap();
}

#[test]
fn defect_35_evaluation_restores_the_training_mode() {
    let (model, vars) = Toy::new();
    let modes = Arc::clone(&model.modes);
    let in_training = on_batch_end(|_, _| {
        assert!(toy::is_grad_enabled());
        Ok(Flow::Continue)
    });
    let mut trainer = toy::trainer_for((model, vars)).max_epochs(2).callback(in_training).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    trainer.test(&valid_data()).unwrap();
    trainer.predict(&valid_data()).unwrap();
    let text: String = modes.lock().unwrap().iter().map(|m| if m.is_train() { 't' } else { 'e' }).collect();
    assert_eq!(text, "ttteettteeeeee");
    assert!(toy::is_grad_enabled());
}

#[test]
fn defect_36_total_loss_is_that_of_the_model() {
    // The loss is the cross entropy plus the sum of squares of the weights, whose gradient 2 w is part of the update.
    let (mut model, vars) = Toy::new();
    model.has_loss_parts = true;
    let parts = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&parts);
    let record_parts = on_batch_end(move |_, batch| {
        let parts = batch.read_parts()?;
        let sum: f64 = parts.iter().map(|(_, value)| value).sum();
        assert!((batch.read_loss()? - sum).abs() < 1e-12);
        log.lock().unwrap().extend(parts.into_iter().map(|(name, _)| name.to_owned()));
        Ok(Flow::Continue)
    });
    let check_names = on_epoch_end(|_, record| {
        assert_eq!(record.train.names().collect::<Vec<_>>(), ["loss", "loss/class", "loss/size", "accuracy"]);
        Ok(Flow::Continue)
    });
    let builder = toy::trainer_for((model, vars)).callback(record_parts).callback(check_names).max_epochs(1);
    let mut trainer = builder.monitor("loss/class").build().unwrap();
    let data = Memory::new(&POINTS, &[7]);
    let report = trainer.fit(&data, Some(&data)).unwrap();
    assert_eq!(report.best.unwrap().monitor, "loss/class");
    assert_eq!(*parts.lock().unwrap(), ["class", "size"]);
    let mut gradient = START.gradient(&POINTS);
    gradient.w = [0, 1].map(|c| [0, 1].map(|f| gradient.w[c][f] + 2.0 * START.w[c][f]));
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), "both losses");
}
