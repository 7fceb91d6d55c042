//! Regression tests of FaKnow's defects in training and evaluation (numbers as in docs/parity.md).
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

/// The stock step, which notes the learning rate of each update.
struct Rates(Arc<Mutex<Vec<f64>>>);

impl TrainStep<Toy> for Rates {
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

/// Rates of all updates of a fit with this schedule, over epochs of 3 batches, from a rate of 1.
fn rates(schedule: &str, epochs: usize, scores: &[f64]) -> Vec<f64> {
    let schedule: ScheduleConfig = toml::from_str(&schedule.replace("; ", "\n")).expect(schedule);
    let noted = Arc::<Mutex<Vec<f64>>>::default();
    let trainer = toy::trainer_with_scores_in(Direction::Minimize, scores).max_epochs(epochs);
    let trainer =
        trainer.optimizer(OptimizerConfig::sgd(1.0)).schedule(schedule).step(Rates(Arc::clone(&noted)));
    trainer.build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap();
    let noted = noted.lock().unwrap();
    noted.clone()
}

#[test]
fn defect_01_epoch_loss_is_the_mean_over_all_samples() {
    // At a rate of 0 the weights stay, so that the epoch's loss is the loss of all points at once.
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
        for (what, got) in [("training", &record.train), ("validation", valid)] {
            let loss = got.value("loss").unwrap();
            assert!((loss - expected).abs() < 1e-12, "{what}: got {loss}, expected {expected}");
            if with_parts {
                assert!((got.value("loss/class").unwrap() - class).abs() < 1e-12, "{what}");
                assert!((got.value("loss/size").unwrap() - size).abs() < 1e-12, "{what}");
            }
        }
        // Neither the last batch nor the mean of the batches' means.
        let of_batches = [START.loss(&POINTS[..4]), START.loss(&POINTS[4..6]), START.loss(&POINTS[6..])];
        assert!((of_batches[2] - class).abs() > 1e-2);
        assert!((of_batches.iter().sum::<f64>() / 3.0 - class).abs() > 1e-3);
    }
}

#[test]
fn defect_05_schedules_step_in_their_own_unit() {
    let check = |schedule: &str, epochs: usize, expected: &[f64]| {
        let got = rates(schedule, epochs, &[]);
        assert_eq!(got.len(), expected.len(), "{schedule}: {got:?}");
        let same = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(same, "{schedule}: got {got:?}, expected {expected:?}");
    };
    // FaKnow's warm-up stayed at a rate of 0 for the whole first epoch.
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
fn defect_06_a_plateau_schedule_follows_the_monitored_value() {
    let plateau = "name = 'plateau'; factor = 0.5; patience = 0; threshold = 0.0";
    let of_epochs = |scores: &[f64]| -> Vec<f64> {
        rates(plateau, scores.len(), scores).chunks(3).map(|epoch| epoch[0]).collect()
    };
    assert_eq!(of_epochs(&[0.9, 0.8, 0.7, 0.6]), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(of_epochs(&[0.9, 0.9, 0.7, 0.8, 0.6]), [1.0, 1.0, 0.5, 0.5, 0.25]);
    assert_eq!(of_epochs(&[0.9, f64::NAN, 0.7]), [1.0, 1.0, 0.5]);
}

/// Two optimizations in one step, as CAFE's and MFAN's own loops of FaKnow had.
struct Twice;

impl TrainStep<Toy> for Twice {
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
    let clipped = |at: &crate::by_hand::Linear| {
        let gradient = at.gradient(&POINTS);
        gradient.map(|v| v * (max / (gradient.norm() + 1e-6)).min(1.0))
    };
    let one = START.plus(-0.1, &clipped(&START));
    let two = one.plus(-0.1, &clipped(&one));
    let data = Memory::new(&POINTS, &[7]);
    let fit = |own_step: bool| {
        let builder = toy::trainer().clip(Clip::Norm(max)).max_epochs(1);
        let builder = if own_step { builder.step(Twice) } else { builder };
        let mut trainer = builder.build().unwrap();
        trainer.fit(&data, None).unwrap();
        trainer.into_parts().1
    };
    assert_weights(&fit(false), &one, "the stock step");
    assert_weights(&fit(true), &two, "a step of one's own");
}

#[test]
fn defect_08_every_batch_is_moved_to_the_device() {
    // The toy refuses a batch that was not moved.
    let mut trainer = toy::trainer().build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    trainer.test(&valid_data()).unwrap();
    trainer.predict(&valid_data()).unwrap();
    let raw = Points::new(&POINTS);
    let refused =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trainer.model().forward(&raw, Mode::Eval)));
    assert!(refused.is_err(), "the toy does not notice");
}

/// Training on the points and on the points as an adversary moves them (fast gradient sign), gradients added up.
struct Adversarial {
    epsilon: f64,
}

impl TrainStep<Toy> for Adversarial {
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
fn defect_09_an_adversarial_step_adds_the_gradients_of_one_and_the_same_loss() {
    let epsilon = 0.3;
    let moved: Vec<Point> = POINTS
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
    let gradient = START.gradient(&POINTS).plus(1.0, &START.gradient(&moved));
    let mut trainer = toy::trainer().step(Adversarial { epsilon }).max_epochs(1).build().unwrap();
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
fn defect_10_a_test_counts_every_sample() {
    let mut trainer = toy::trainer().build().unwrap();
    let whole = trainer.test(&Memory::new(&POINTS, &[7])).unwrap();
    assert_eq!(whole.predictions.n_samples(), 7);
    for batch_size in [1, 2, 3, 4, 6] {
        // The last batch is not full; the default is to keep it.
        let loader = DataLoader::builder(PointSet).batch_size(batch_size).build().unwrap();
        let test = trainer.test(&loader).unwrap();
        assert_eq!(test.predictions, whole.predictions, "batches of {batch_size}");
        let (a, b) = (test.scores.value("loss").unwrap(), whole.scores.value("loss").unwrap());
        assert!((a - b).abs() < 1e-12, "batches of {batch_size}: {a} {b}");
        assert_eq!(trainer.predict(&loader).unwrap().len(), 7);
    }
}

#[test]
fn defect_12_batches_without_labels_are_refused_with_their_place() {
    let unlabeled = |data: Memory| Memory { is_labeled: false, ..data };
    let says = |result: Result<()>, location: &str| match result {
        Err(error @ Error::NoLabels { .. }) => {
            let expected = format!("{location}: the batch has no labels");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        other => panic!("{location}: {other:?}"),
    };
    let mut trainer = toy::trainer().build().unwrap();
    let valid = unlabeled(valid_data());
    says(trainer.fit(&unlabeled(train_data()), None).map(drop), "training, epoch 1, batch 1");
    says(trainer.fit(&train_data(), Some(&valid)).map(drop), "validation, epoch 1, batch 1");
    says(trainer.test(&valid).map(drop), "test, batch 1");
    // Prediction needs none, and gives the scores that a test judges.
    let scores = trainer.predict(&valid).unwrap();
    let predictions = trainer.test(&valid_data()).unwrap().predictions;
    assert_eq!(scores.concat(), predictions.scores());
}

#[test]
fn defect_33_batches_may_hold_more_than_tensors() {
    // The names, which are no tensors, come along to the model.
    let data = valid_data();
    let batch = data.batches(0, 0).next().unwrap().unwrap();
    let moved = faknow_data::Batch::to_device(&batch, tch::Device::Cpu);
    assert_eq!(moved.names, ["point 0", "point 1", "point 2", "point 3", "point 4"]);
    toy::trainer().build().unwrap().fit(&data, None).unwrap();
}

#[test]
fn defect_35_evaluation_leaves_no_mode_behind() {
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
fn defect_36_the_total_of_several_losses_is_the_models_own() {
    // Sum of squares of the weights beside the cross entropy: its gradient, 2 w, is part of the update.
    let (mut model, vars) = Toy::new();
    model.has_loss_parts = true;
    let parts = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&parts);
    let note = on_batch_end(move |_, batch| {
        let parts = batch.read_parts()?;
        let sum: f64 = parts.iter().map(|(_, value)| value).sum();
        assert!((batch.read_loss()? - sum).abs() < 1e-12);
        noted.lock().unwrap().extend(parts.into_iter().map(|(name, _)| name.to_owned()));
        Ok(Flow::Continue)
    });
    let names = on_epoch_end(|_, record| {
        assert_eq!(record.train.names().collect::<Vec<_>>(), ["loss", "loss/class", "loss/size", "accuracy"]);
        Ok(Flow::Continue)
    });
    let builder = toy::trainer_for((model, vars)).callback(note).callback(names).max_epochs(1);
    let mut trainer = builder.monitor("loss/class").build().unwrap();
    let data = Memory::new(&POINTS, &[7]);
    let report = trainer.fit(&data, Some(&data)).unwrap();
    assert_eq!(report.best.unwrap().monitor, "loss/class");
    assert_eq!(*parts.lock().unwrap(), ["class", "size"]);
    let mut gradient = START.gradient(&POINTS);
    gradient.w = [0, 1].map(|c| [0, 1].map(|f| gradient.w[c][f] + 2.0 * START.w[c][f]));
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), "both losses");
}
