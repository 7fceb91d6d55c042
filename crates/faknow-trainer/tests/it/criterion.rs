//! Training with a criterion in place of the model's own loss.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_model::{Criterion, Loss, Mode, Model, Output};
use faknow_trainer::{OptimizerConfig, Supervised, Trainer};
use tch::Tensor;

use crate::by_hand::{Linear, START};
use crate::toy::{self, Memory, POINTS, Points, Toy, train_data, valid_data, weights};

const WEIGHTED: &str = r#"{"class_weights": [1, 3], "label_smoothing": 0.1}"#;
const FOCAL: &str = r#"{"name": "focal", "class_weights": [1, 3]}"#;

fn step(json: &str) -> Supervised {
    Supervised::new(serde_json::from_str(json).unwrap()).unwrap()
}

/// Returns the loss of the criterion over all points with these weights.
fn expected(json: &str, model: &Linear) -> f64 {
    let criterion: Criterion = serde_json::from_str(json).unwrap();
    let logits: Vec<f64> = POINTS.iter().flat_map(|(x, _)| model.scores(*x)).map(f64::ln).collect();
    let logits = Tensor::from_slice(&logits).view([7, 2]);
    criterion.loss(&logits, &Points::new(&POINTS).labels.unwrap()).unwrap().double_value(&[])
}

fn assert_close(got: f64, expected: f64, label: &str) {
    assert!((got - expected).abs() < 1e-12, "{label}: expected {expected}, got {got}");
}

#[test]
fn training_uses_the_criterion_and_validation_the_models_own_loss() {
    for json in [WEIGHTED, FOCAL] {
        let builder = toy::trainer().step(step(json)).max_epochs(1).optimizer(OptimizerConfig::sgd(0.0));
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&Memory::new(&POINTS, &[7]), Some(&valid_data())).unwrap();
        let record = report.history.last().unwrap();
        assert_close(record.train.value("loss").unwrap(), expected(json, &START), json);
        assert_close(record.valid.as_ref().unwrap().value("loss").unwrap(), START.loss(&POINTS), json);
    }
}

#[test]
fn class_weights_are_exact_with_accumulated_gradients() {
    for json in [WEIGHTED, FOCAL] {
        let fit = |data: &Memory, accumulate: usize| {
            let builder = toy::trainer().step(step(json)).max_epochs(4).accumulate_grad_batches(accumulate);
            let mut trainer = builder.build().unwrap();
            let report = trainer.fit(data, None).unwrap();
            let losses: Vec<f64> =
                report.history.epochs.iter().map(|record| record.train.value("loss").unwrap()).collect();
            let weights = weights(&trainer.run().vars);
            (losses, [&weights["weight"][..], &weights["bias"]].concat())
        };
        let (losses, weights) = fit(&Memory::new(&POINTS, &[7]), 1);
        let (batch_losses, batch_weights) = fit(&train_data(), 3);
        for (full, accumulated) in
            losses.iter().chain(&weights).zip(batch_losses.iter().chain(&batch_weights))
        {
            assert_close(*accumulated, *full, json);
        }
        // Two windows per epoch: the state of one window must not affect the next.
        let (one, two) = (fit(&Memory::new(&POINTS, &[6, 1]), 1), fit(&train_data(), 2));
        for (full, accumulated) in one.1.iter().zip(&two.1) {
            assert_close(*accumulated, *full, json);
        }
    }
}

/// The toy with a loss of two parts, the first of which has the given name.
struct Parts(Toy, &'static str);

impl Model for Parts {
    type Batch = Points;

    fn forward(&self, batch: &Points, mode: Mode) -> faknow_model::Result<Output> {
        let Output { logits, loss } = self.0.forward(batch, mode)?;
        let rename = |(name, part)| (if name == "class" { self.1 } else { name }, part);
        let loss =
            loss.map(|Loss { total, parts }| Loss { total, parts: parts.into_iter().map(rename).collect() });
        Ok(Output { logits, loss })
    }
}

fn with_parts(name: &'static str) -> faknow_trainer::TrainerBuilder<Parts> {
    let (mut model, vars) = Toy::new();
    model.has_loss_parts = true;
    Trainer::builder(Parts(model, name), vars).optimizer(OptimizerConfig::sgd(0.1)).max_epochs(1)
}

#[test]
fn criterion_replaces_only_the_classification_part() {
    let data = Memory::new(&POINTS, &[7]);
    let mut trainer = with_parts("classification").step(step(FOCAL)).build().unwrap();
    let record = trainer.fit(&data, None).unwrap().history.last().unwrap().clone();
    let size: f64 = [0.1f64, -0.2, 0.3, 0.05].iter().map(|w| w * w).sum();
    let focal = expected(FOCAL, &START);
    for (name, expected) in [("loss", focal + size), ("loss/classification", focal), ("loss/size", size)] {
        assert_close(record.train.value(name).unwrap(), expected, name);
    }
    // Replacing cross entropy by itself changes nothing.
    let final_weights = |builder: faknow_trainer::TrainerBuilder<Parts>| {
        let mut trainer = builder.max_epochs(3).build().unwrap();
        trainer.fit(&data, None).unwrap();
        let weights = weights(&trainer.run().vars);
        [&weights["weight"][..], &weights["bias"]].concat()
    };
    let own = final_weights(with_parts("classification"));
    for (got, expected) in final_weights(with_parts("classification").step(step("{}"))).iter().zip(&own) {
        assert_close(*got, *expected, "the same loss");
    }
}

#[test]
fn rejects_loss_parts_without_classification() {
    let mut trainer = with_parts("class").step(step(FOCAL)).build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err().to_string();
    assert_eq!(
        error,
        "training, epoch 1, batch 1: criterion: expected a part of the model's loss named `classification`, which the \
         criterion replaces, got only `class`, `size`"
    );
}

#[test]
fn rejects_invalid_criteria() {
    let error = |json: &str| Supervised::new(serde_json::from_str(json).unwrap()).unwrap_err().to_string();
    let smoothing = "loss: `label_smoothing`: expected from 0 to below 1, got 1";
    assert_eq!(error(r#"{"label_smoothing": 1}"#), smoothing);
    assert!(error(r#"{"class_weights": "balanced"}"#).contains("`with_class_counts`"));
    let mut trainer = toy::trainer().step(step(r#"{"class_weights": [1, 2, 3]}"#)).build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err().to_string();
    let expected = "loss: `class_weights`: expected one weight per class (2), got 3";
    assert_eq!(error, format!("training, epoch 1, batch 1: {expected}"));
}
