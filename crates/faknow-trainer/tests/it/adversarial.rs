//! Adversarial training by hand: what the gradients are, and that moved parameters come back whatever happens.
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

/// A trainer of the toy under attack.
fn attacked((model, vars): (Toy, VarStore), attack: Attack) -> TrainerBuilder<Toy> {
    let step = Adversarial::new(attack, &vars).unwrap();
    toy::trainer_for((model, vars)).step(step)
}

/// The weights without the bias.
fn w_only(linear: &Linear) -> Linear {
    Linear { b: [0.0; 2], ..*linear }
}

/// The gradients of the clean and of the last adversarial loss at `at`, and that last loss.
fn by_hand(at: &Linear, points: &[Point], epsilon: f64, alpha: f64, steps: usize) -> (Linear, f64) {
    let clean = at.gradient(points);
    let mut delta = at.map(|_| 0.0);
    let mut gradient = clean;
    for _ in 0..steps {
        let direction = w_only(&gradient);
        delta = delta.plus(alpha / direction.norm(), &direction);
        let length = delta.norm();
        delta = delta.map(|value| value * (epsilon / length).min(1.0));
        gradient = at.plus(1.0, &delta).gradient(points);
    }
    (clean.plus(1.0, &gradient), at.plus(1.0, &delta).loss(points))
}

#[test]
fn clean_and_adversarial_gradients_add_up() {
    let check = |attack: Attack, epsilon, alpha, steps| {
        let what = format!("{attack:?}");
        let mut trainer = attacked(Toy::new(), attack).max_epochs(1).build().unwrap();
        let report = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
        let (gradient, adversarial) = by_hand(&START, &POINTS, epsilon, alpha, steps);
        let record = report.history.last().unwrap();
        let clean = START.loss(&POINTS);
        for (name, expected) in
            [("loss", clean + adversarial), ("loss/clean", clean), ("loss/adversarial", adversarial)]
        {
            let got = record.train.value(name).unwrap();
            assert!((got - expected).abs() < 1e-12, "{what}: {name}: {got}, expected {expected}");
        }
        assert!((record.grad_norm.unwrap() - gradient.norm()).abs() < 1e-12, "{what}");
        assert!(adversarial > clean + 0.01, "{what}: an attack raises the loss");
        assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &gradient), &what);
    };
    check(fgm(0.3), 0.3, 0.3, 1);
    // The third move leaves the ball and is shortened.
    check(pgd(0.5, 0.2, 3), 0.5, 0.2, 3);
    check(pgd(5.0, 0.2, 3), 5.0, 0.2, 3);
}

#[test]
fn defect_07_adversarial_gradients_are_clipped_once_and_together() {
    let max = 0.05;
    let mut trainer =
        attacked(Toy::new(), pgd(0.5, 0.2, 3)).clip(Clip::Norm(max)).max_epochs(1).build().unwrap();
    trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    let (gradient, _) = by_hand(&START, &POINTS, 0.5, 0.2, 3);
    assert!(gradient.norm() > max);
    let clipped = gradient.map(|value| value * max / (gradient.norm() + 1e-6));
    assert_weights(&trainer.into_parts().1, &START.plus(-0.1, &clipped), "clipped");
}

#[test]
fn defect_09_gradients_of_a_window_are_kept_while_a_batch_is_attacked() {
    // Each batch is attacked by its own gradients, and counts by its samples.
    let parts = [(&POINTS[..4], 4.0 / 7.0), (&POINTS[4..6], 2.0 / 7.0), (&POINTS[6..], 1.0 / 7.0)];
    let gradient = parts.iter().fold(START.map(|_| 0.0), |sum, (points, share)| {
        sum.plus(*share, &by_hand(&START, points, 0.5, 0.2, 3).0)
    });
    let mut trainer =
        attacked(Toy::new(), pgd(0.5, 0.2, 3)).accumulate_grad_batches(3).max_epochs(1).build().unwrap();
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
    let of = |model: &Linear| {
        let logits: Vec<f64> = POINTS.iter().flat_map(|(x, _)| model.scores(*x)).map(f64::ln).collect();
        let logits = Tensor::from_slice(&logits).view([7, 2]);
        weighted.loss(&logits, &Points::new(&POINTS).labels.unwrap()).unwrap().double_value(&[])
    };
    let record = report.history.last().unwrap();
    assert!((record.train.value("loss/clean").unwrap() - of(&START)).abs() < 1e-12);
    assert!(record.train.value("loss/adversarial").unwrap() > of(&START) + 0.01);
}

#[test]
fn moved_parameters_are_put_back_after_an_error_and_a_panic() {
    let check = |fault: Fault, n: usize, says: &str| {
        let mut trainer = attacked(Toy::with_training_fault(n, fault), pgd(0.5, 0.2, 3)).build().unwrap();
        let start = weights(&trainer.run().vars);
        let error = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap_err().to_string();
        assert!(error.starts_with(&format!("training, epoch 1, batch 1: {says}")), "{error}");
        assert_eq!(weights(&trainer.run().vars), start, "pass {n}: {error}");
    };
    for n in [2, 3, 4] {
        check(Fault::Nan, n, "the loss is NaN, adversarial NaN; all weights are finite");
        check(Fault::Error, n, "libtorch: ");
        check(Fault::Panic, n, &format!("simulated panic in forward pass {n}"));
    }
    check(Fault::Nan, 1, "the loss is NaN; all weights are finite");
}

/// A model whose loss is finite and whose gradient is not: that of a root at 0.
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
fn a_nan_gradient_is_named_before_it_moves_anything() {
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
fn an_attack_that_fails_can_be_skipped_or_rolled_back() {
    tch::set_num_threads(1);
    // The second of three batches fails, in its second of two passes.
    let failing = || Toy::with_training_fault(4, Fault::Nan);
    let attack = || fgm(0.3);
    let builder = attacked(failing(), attack()).max_epochs(1).on_non_finite(NonFinitePolicy::Skip);
    let mut skipping = builder.build().unwrap();
    skipping.fit(&train_data(), None).unwrap();
    assert_eq!((skipping.run().skipped(), skipping.run().step()), (1, 2));
    let without = Memory { batches: vec![POINTS[..4].to_vec(), POINTS[6..].to_vec()], is_labeled: true };
    let mut other = attacked(Toy::new(), attack()).max_epochs(1).build().unwrap();
    other.fit(&without, None).unwrap();
    assert_eq!(weights(&skipping.run().vars), weights(&other.run().vars));

    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let builder = attacked(failing(), attack()).max_epochs(1).on_non_finite(NonFinitePolicy::RollBack);
    let mut rolling = builder.run_dir(dir).build().unwrap();
    rolling.fit(&train_data(), None).unwrap();
    assert_eq!((rolling.run().step(), rolling.run().learning_rates[0]), (3, 0.05));
}

#[test]
fn patterns_that_fit_nothing_that_is_trained_are_refused() {
    let (_, vars) = Toy::new();
    let refused = |pattern: &str| {
        let attack = Attack::Fgm(Fgm { pattern: pattern.into(), ..Fgm::default() });
        Adversarial::new(attack, &vars).unwrap_err().to_string()
    };
    let known = "expected a pattern that matches a trainable parameter (bias, weight)";
    assert_eq!(refused("word_embedding.*"), format!("adversarial.pattern: {known}, got `word_embedding.*`"));
    drop(vars.variables()["weight"].set_requires_grad(false));
    let known = "expected a pattern that matches a trainable parameter (bias)";
    assert_eq!(refused("weight"), format!("adversarial.pattern: {known}, got `weight`"));
}
