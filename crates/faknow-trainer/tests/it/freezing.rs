//! Freezing weights temporarily: training, gradients, weight averages and further fits.

use std::sync::{Arc, Mutex};

use faknow_callbacks::{Freeze, FreezeRule, Interval, Run};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{Adam, Error, OptimizerConfig, RunDir, TrainerBuilder, WEIGHTS_FILE, WeightAveraging};

use crate::at_hook::AtHook;
use crate::by_hand::{Linear, START, assert_weights};
use crate::toy::{self, Memory, POINTS, Toy, train_data, weights};

fn frozen_until(pattern: &str, until: Interval) -> TrainerBuilder<Toy> {
    toy::trainer().callback(Freeze::new([FreezeRule::until(pattern, until)]))
}

/// Computes full-batch gradient descent with the bias frozen in the first `n_frozen` steps.
fn descend(n_steps: usize, n_frozen: usize) -> Linear {
    (0..n_steps).fold(START, |weights, step| {
        let gradient = weights.gradient(&POINTS);
        let bias = if step < n_frozen { [0.0; 2] } else { gradient.b };
        weights.plus(-0.1, &Linear { b: bias, ..gradient })
    })
}

#[test]
fn frozen_weights_are_constant_and_others_are_trained() {
    let full_batch = Memory::new(&POINTS, &[7]);
    for (until, n_frozen) in [
        (Interval::steps(2), 2),
        (Interval::epochs(3.0), 3),
        (Interval::samples(7), 1),
        (Interval::steps(9), 4),
    ] {
        let mut trainer = frozen_until("bias", until).max_epochs(4).build().unwrap();
        trainer.fit(&full_batch, None).unwrap();
        assert_weights(&trainer.into_parts().1, &descend(4, n_frozen), &format!("until {until}"));
    }
}

#[test]
fn no_gradient_is_computed_for_frozen_weights() {
    let has_gradient = Arc::<Mutex<Vec<[bool; 2]>>>::default();
    let recorded = Arc::clone(&has_gradient);
    let record_gradients = AtHook(move |run: &mut Run, hook| {
        if hook == "on_batch_end" {
            let variables = run.vars.variables();
            recorded.lock().unwrap().push(["bias", "weight"].map(|name| variables[name].grad().defined()));
        }
        Ok(())
    });
    let builder = frozen_until("b*", Interval::steps(2)).callback(record_gradients).max_epochs(1);
    builder.build().unwrap().fit(&train_data(), None).unwrap();
    assert_eq!(*has_gradient.lock().unwrap(), [[false, true], [false, true], [true, true]]);
}

#[test]
fn weight_average_equals_frozen_weights() {
    let dir = tempfile::tempdir().unwrap();
    let initial = weights(&Toy::new().1);
    for average in [
        WeightAveraging::Ema { decay: 0.7 },
        WeightAveraging::Swa { start: Interval::steps(1), every: Interval::steps(1) },
    ] {
        let dir = RunDir::create(dir.path().join(format!("{average:?}"))).unwrap();
        let freeze = Freeze::new([FreezeRule::always("weight")]);
        let builder = toy::trainer().average(average).callback(freeze).run_dir(dir.clone());
        let mut trainer = builder.build().unwrap();
        trainer.fit(&train_data(), None).unwrap();
        let end = weights(&trainer.run().vars);
        assert_eq!(end["weight"], initial["weight"]);
        assert_ne!(end["bias"], initial["bias"]);
        let saved = toy::load_weights(&CheckpointStore::new(dir.path()).path("last").join(WEIGHTS_FILE));
        assert_eq!(saved, end, "the average is saved too");
    }
}

#[test]
fn freezing_continues_in_a_further_fit() {
    let adam = OptimizerConfig::Adam(Adam { lr: 0.1, ..Adam::default() });
    // The second of three batches ends the first half of an epoch.
    let builder = frozen_until("bias", Interval::epochs(2.5)).optimizer(adam).max_epochs(1);
    let mut trainer = builder.build().unwrap();
    for (fit, updates_of_bias) in [(1, 0), (2, 0), (3, 1), (4, 4)] {
        trainer.fit(&train_data(), None).unwrap();
        let updates = &trainer.optimizer().state().unwrap().values["steps"];
        assert_eq!(updates["bias"], updates_of_bias, "fit {fit}");
        assert_eq!(updates["weight"], 3 * fit, "fit {fit}");
        // Between fits nothing is frozen.
        assert!(trainer.run().vars.variables().values().all(|tensor| tensor.requires_grad()), "fit {fit}");
    }
}

#[test]
fn rejects_invalid_rules_before_training() {
    let check = |rule: FreezeRule, expected: &str| {
        let mut trainer = toy::trainer().callback(Freeze::new([rule])).build().unwrap();
        let before = weights(&trainer.run().vars);
        let error = trainer.fit(&train_data(), None).unwrap_err();
        assert!(matches!(error, Error::Callback(_)), "{error:?}");
        assert_eq!(error.to_string(), expected);
        assert_eq!((trainer.run().step(), weights(&trainer.run().vars)), (0, before));
    };
    let unknown = "freeze.pattern: expected a pattern that matches a weight (bias, weight), got `biases`";
    check(FreezeRule::always("biases"), unknown);
    let all =
        "freeze.pattern: expected patterns that leave at least one weight trainable, got `*` until 1 epoch";
    check(FreezeRule::until("*", Interval::epochs(1.0)), all);
}
