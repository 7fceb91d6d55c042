//! Adversarial training compared with plain Rust: gradients, and restored parameters after failures.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_model::{Criterion, Loss, Mode, Model, Output};
use faknow_trainer::{
    Adversarial, Attack, Clip, Error, Fgm, NonFinitePolicy, Pgd, RunDir, Supervised, Trainer, TrainerBuilder,
};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::by_hand::{Linear, START, assert_weights};
use crate::toy::{self, Fault, Memory, POINTS, Point, Points, Toy, train_data, weights};

fn fgm(epsilon: f64) -> Attack {
    Attack::Fgm(Fgm { pattern: "weight".into(), epsilon })
}

fn pgd(epsilon: f64, alpha: f64, steps: usize) -> Attack {
    Attack::Pgd(Pgd { pattern: "weight".into(), epsilon, alpha, steps })
}

/// Returns a trainer of the toy with an adversarial step.
fn adversarial_trainer((model, vars): (Toy, VarStore), attack: Attack) -> TrainerBuilder<Toy> {
    let step = Adversarial::new(attack, &vars).unwrap();
    toy::trainer_for((model, vars)).step(step)
}

/// Returns the weights with a bias of 0.
fn without_bias(linear: &Linear) -> Linear {
    Linear { b: [0.0; 2], ..*linear }
}

/// Returns the summed gradients of the clean and the last adversarial loss, and the last adversarial loss.
fn expected_update(
    model: &Linear,
    points: &[Point],
    epsilon: f64,
    alpha: f64,
    steps: usize,
) -> (Linear, f64) {
    let clean = model.gradient(points);
    let mut delta = model.map(|_| 0.0);
    let mut gradient = clean;
    for _ in 0..steps {
        let direction = without_bias(&gradient);
        delta = delta.plus(alpha / direction.norm(), &direction);
        let length = delta.norm();
        delta = delta.map(|value| value * (epsilon / length).min(1.0));
        gradient = model.plus(1.0, &delta).gradient(points);
    }
    (clean.plus(1.0, &gradient), model.plus(1.0, &delta).loss(points))
}

#[test]
fn clean_and_adversarial_gradients_are_summed() {
    let check = |attack: Attack, epsilon, alpha, steps| {
        let label = format!("{attack:?}");
        let mut trainer = adversarial_trainer(Toy::new(), attack).max_epochs(1).build().unwrap();
        let report = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
        let (gradient, adversarial) = expected_update(&START, &POINTS, epsilon, alpha, steps);
        let record = report.history.last().unwrap();
        let clean = START.loss(&POINTS);
        for (name, expected) in
            [("loss", clean + adversarial), ("loss/clean", clean), ("loss/adversarial", adversarial)]
        {
            let got = record.train.value(name).unwrap();
            assert!((got - expected).abs() < 1e-12, "{label}: {name}: expected {expected}, got {got}");
        }
        assert!((record.grad_norm.unwrap() - gradient.norm()).abs() < 1e-12, "{label}");
        assert!(adversarial > clean + 0.01, "{label}: the attack must raise the loss");
        assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), &label);
    };
    check(fgm(0.3), 0.3, 0.3, 1);
    // The third step leaves the ball and is projected back.
    check(pgd(0.5, 0.2, 3), 0.5, 0.2, 3);
    check(pgd(5.0, 0.2, 3), 5.0, 0.2, 3);
}

#[test]
fn defect_07_summed_adversarial_gradients_are_clipped_once() {
    let max = 0.05;
    let mut trainer = adversarial_trainer(Toy::new(), pgd(0.5, 0.2, 3))
        .clip(Clip::Norm(max))
        .max_epochs(1)
        .build()
        .unwrap();
    trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    let (gradient, _) = expected_update(&START, &POINTS, 0.5, 0.2, 3);
    assert!(gradient.norm() > max);
    let clipped = gradient.map(|value| value * max / (gradient.norm() + 1e-6));
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &clipped), "clipped");
}

#[test]
fn defect_09_attacks_preserve_accumulated_gradients() {
    // Each batch is attacked with its own gradients, and weighted by its samples.
    let parts = [(&POINTS[..4], 4.0 / 7.0), (&POINTS[4..6], 2.0 / 7.0), (&POINTS[6..], 1.0 / 7.0)];
    let gradient = parts.iter().fold(START.map(|_| 0.0), |sum, (points, share)| {
        sum.plus(*share, &expected_update(&START, points, 0.5, 0.2, 3).0)
    });
    let mut trainer = adversarial_trainer(Toy::new(), pgd(0.5, 0.2, 3))
        .accumulate_grad_batches(3)
        .max_epochs(1)
        .build()
        .unwrap();
    trainer.fit(&train_data(), None).unwrap();
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), "three batches");
}

#[test]
fn both_passes_use_the_criterion() {
    let (model, vars) = Toy::new();
    let weighted: Criterion =
        serde_json::from_str(r#"{"class_weights": [1, 3], "label_smoothing": 0.1}"#).unwrap();
    let step = Adversarial::new(fgm(0.3), &vars).unwrap();
    let step = step.supervised(Supervised::new(weighted.clone()).unwrap());
    let mut trainer = toy::trainer_for((model, vars)).step(step).max_epochs(1).build().unwrap();
    let report = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    let loss = |model: &Linear| {
        let logits: Vec<f64> = POINTS.iter().flat_map(|(x, _)| model.scores(*x)).map(f64::ln).collect();
        let logits = Tensor::from_slice(&logits).view([7, 2]);
        weighted.loss(&logits, &Points::new(&POINTS).labels.unwrap()).unwrap().double_value(&[])
    };
    let record = report.history.last().unwrap();
    assert!((record.train.value("loss/clean").unwrap() - loss(&START)).abs() < 1e-12);
    assert!(record.train.value("loss/adversarial").unwrap() > loss(&START) + 0.01);
}

#[test]
fn errors_and_panics_restore_perturbed_parameters() {
    let check = |fault: Fault, n: usize, expected: &str| {
        let mut trainer =
            adversarial_trainer(Toy::with_training_fault(n, fault), pgd(0.5, 0.2, 3)).build().unwrap();
        let start = weights(&trainer.run().vars);
        let error = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap_err().to_string();
        assert!(error.starts_with(&format!("training, epoch 1, batch 1: {expected}")), "{error}");
        assert_eq!(weights(&trainer.run().vars), start, "pass {n}: {error}");
    };
    for n in [2, 3, 4] {
        check(Fault::Nan, n, "the loss is NaN, adversarial NaN; all weights are finite");
        check(Fault::Error, n, "libtorch: ");
        check(Fault::Panic, n, &format!("simulated panic in forward pass {n}"));
    }
    check(Fault::Nan, 1, "the loss is NaN; all weights are finite");
}

/// A model with a finite loss and a NaN gradient: that of a square root at 0.
struct RootAtZero(Toy, Tensor);

impl Model for RootAtZero {
    type Batch = Points;

    fn forward(&self, batch: &Points, mode: Mode) -> faknow_model::Result<Output> {
        let Output { logits, loss } = self.0.forward(batch, mode)?;
        let root = (&self.1 * 0.0).f_sqrt()?.f_sum(Kind::Double)?;
        Ok(Output { logits, loss: loss.map(|loss| Loss::single(loss.total + root)) })
    }
}

#[test]
fn nan_gradient_is_reported_before_the_perturbation() {
    let (model, vars) = Toy::new();
    let step = Adversarial::new(fgm(0.3), &vars).unwrap();
    let model = RootAtZero(model, vars.variables()["weight"].shallow_clone());
    let mut trainer = Trainer::builder(model, vars).step(step).build().unwrap();
    let start = weights(&trainer.run().vars);
    let error = trainer.fit(&train_data(), None).unwrap_err();
    assert!(matches!(error, Error::NonFiniteGradient { .. }), "{error:?}");
    let expected = "training, epoch 1, batch 1: the gradient of `weight` is not finite (global norm NaN)";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(weights(&trainer.run().vars), start);
}

#[test]
fn failed_attacks_can_be_skipped_or_rolled_back() {
    tch::set_num_threads(1);
    // The second of three batches fails, in its second of two passes.
    let faulty_toy = || Toy::with_training_fault(4, Fault::Nan);
    let attack = || fgm(0.3);
    let builder =
        adversarial_trainer(faulty_toy(), attack()).max_epochs(1).on_non_finite(NonFinitePolicy::Skip);
    let mut trainer = builder.build().unwrap();
    trainer.fit(&train_data(), None).unwrap();
    assert_eq!((trainer.run().skipped(), trainer.run().step()), (1, 2));
    let other_batches =
        Memory { batches: vec![POINTS[..4].to_vec(), POINTS[6..].to_vec()], is_labeled: true };
    let mut other = adversarial_trainer(Toy::new(), attack()).max_epochs(1).build().unwrap();
    other.fit(&other_batches, None).unwrap();
    assert_eq!(weights(&trainer.run().vars), weights(&other.run().vars));

    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let builder =
        adversarial_trainer(faulty_toy(), attack()).max_epochs(1).on_non_finite(NonFinitePolicy::RollBack);
    let mut trainer = builder.run_dir(dir).build().unwrap();
    trainer.fit(&train_data(), None).unwrap();
    assert_eq!((trainer.run().step(), trainer.run().learning_rates[0]), (3, 0.05));
}

#[test]
fn rejects_patterns_without_trainable_parameters() {
    let (_, vars) = Toy::new();
    let error = |pattern: &str| {
        let attack = Attack::Fgm(Fgm { pattern: pattern.into(), ..Fgm::default() });
        Adversarial::new(attack, &vars).unwrap_err().to_string()
    };
    let known = "expected a pattern that matches a trainable parameter (bias, weight)";
    assert_eq!(error("word_embedding.*"), format!("adversarial.pattern: {known}, got `word_embedding.*`"));
    drop(vars.variables()["weight"].set_requires_grad(false));
    let known = "expected a pattern that matches a trainable parameter (bias)";
    assert_eq!(error("weight"), format!("adversarial.pattern: {known}, got `weight`"));
}

#[test]
fn without_the_attacked_parameters_the_step_is_supervised() {
    let report = |step: Option<Adversarial>| {
        let builder = toy::trainer_for(Toy::new());
        let builder = match step {
            Some(step) => builder.step(step),
            None => builder,
        };
        let mut trainer = builder.max_epochs(2).build().unwrap();
        trainer.fit(&train_data(), None).unwrap().history.last().unwrap().train.value("loss").unwrap()
    };
    let attack = Attack::Pgd(Pgd { pattern: "word_embedding.*".into(), ..Pgd::default() });
    assert_eq!(report(Some(Adversarial::if_trainable(attack).unwrap())), report(None));
}
