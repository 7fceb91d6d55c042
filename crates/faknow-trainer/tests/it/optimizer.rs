//! The optimizer: groups, accumulation windows, frozen parameters, invalid settings and gradients.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use faknow_trainer::{
    AccumulationWindow, Adam, Clip, Error, NamePattern, Optimizer, OptimizerConfig, ParameterGroup, Result,
    Sgd,
};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

/// Returns three parameters of two ones each.
fn store() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    for (layer, name) in [("conv", "weight"), ("conv", "bias"), ("fc", "bias")] {
        let _ = (vars.root() / layer).var(name, &[2], Init::Const(1.0));
    }
    vars
}

fn variable(vars: &VarStore, name: &str) -> Tensor {
    vars.variables().remove(name).unwrap()
}

/// Returns the value of a parameter whose elements are all equal.
fn value(vars: &VarStore, name: &str) -> f64 {
    let values = Vec::<f64>::try_from(&variable(vars, name)).unwrap();
    assert!(values.iter().all(|value| *value == values[0]), "{name}: {values:?}");
    values[0]
}

/// Returns `factor` times the sum of these parameters: all elements of the gradient are `factor`.
fn sum_of(vars: &VarStore, names: &[&str], factor: f64) -> Tensor {
    names.iter().map(|name| variable(vars, name).sum(Kind::Double)).sum::<Tensor>() * factor
}

const ALL: [&str; 3] = ["conv.bias", "conv.weight", "fc.bias"];

fn sgd(lr: f64, groups: Vec<ParameterGroup>) -> OptimizerConfig {
    OptimizerConfig::Sgd(Sgd { lr, groups, ..Sgd::default() })
}

fn group(pattern: &str, lr: Option<f64>, weight_decay: Option<f64>) -> ParameterGroup {
    ParameterGroup { pattern: pattern.into(), lr, weight_decay }
}

fn message<T>(result: Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn groups_have_separate_learning_rates_and_weight_decays() {
    let vars = store();
    let groups = vec![group("*.weight", Some(0.1), None), group("conv.*", None, Some(2.0))];
    let mut optimizer = Optimizer::new(sgd(0.5, groups), &vars, Clip::None).unwrap();
    let settings: Vec<_> =
        optimizer.groups().iter().map(|g| (g.name.to_owned(), g.lr, g.weight_decay)).collect();
    assert_eq!(
        settings,
        [("*.weight".into(), 0.1, 0.0), ("conv.*".into(), 0.5, 2.0), ("default".into(), 0.5, 0.0)]
    );
    let members: Vec<_> = optimizer.groups().iter().map(|g| g.parameters.join(" ")).collect();
    assert_eq!(members, ["conv.weight", "conv.bias", "fc.bias"], "the first group that matches applies");
    assert_eq!(optimizer.base_learning_rates(), [0.1, 0.5, 0.5]);
    optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
    assert_eq!(ALL.map(|name| value(&vars, name)), [1.0 - 0.5 * 3.0, 0.9, 0.5]);
    optimizer.set_learning_rates(&[0.0, 0.0, 0.25]);
    optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
    assert_eq!(ALL.map(|name| value(&vars, name)), [-0.5, 0.9, 0.25]);
    assert_eq!(optimizer.groups()[2].lr, 0.25);
}

#[test]
fn default_group_without_parameters_is_omitted() {
    let config = sgd(0.5, vec![group("*", Some(0.25), None)]);
    let vars = store();
    let optimizer = Optimizer::new(&config, &vars, Clip::None).unwrap();
    assert_eq!(optimizer.learning_rates(), [0.25]);
    assert_eq!(optimizer.groups()[0].parameters, ALL);
}

#[test]
fn rejects_patterns_without_match_and_lists_parameters() {
    let new = |groups| message(Optimizer::new(sgd(0.5, groups), &store(), Clip::None));
    assert_eq!(
        new(vec![group("*.bias", None, None), group("embedding.*", None, None)]),
        "optimizer.groups[1].pattern: expected a pattern that matches a trainable parameter \
         (conv.bias, conv.weight, fc.bias), got `embedding.*`"
    );
    assert_eq!(
        new(vec![group("*.bias", None, None), group("fc.*", None, None)]),
        "optimizer.groups[1].pattern: expected a pattern that matches a trainable parameter that matches no earlier \
         group (conv.bias, conv.weight, fc.bias), got `fc.*`"
    );
    assert_eq!(
        new(vec![group("*", Some(-1.0), None)]),
        "optimizer.groups[0].lr: expected a number of at least 0, got -1"
    );
    let for_parameters = |patterns: &[&str]| {
        let patterns: Vec<_> = patterns.iter().copied().map(NamePattern::from).collect();
        message(Optimizer::for_parameters(sgd(0.5, vec![]), &store(), Clip::None, &patterns))
    };
    assert_eq!(for_parameters(&[]), "patterns of an optimizer: expected at least one, got none");
    assert_eq!(
        for_parameters(&["fc.*", "conv"]),
        "patterns of an optimizer: expected a pattern that matches a trainable parameter \
         (conv.bias, conv.weight, fc.bias), got `conv`"
    );
}

#[test]
fn optimizers_for_different_parameters_are_independent() {
    let vars = store();
    let optimizer = |lr, pattern: &str| {
        Optimizer::for_parameters(OptimizerConfig::sgd(lr), &vars, Clip::None, &[pattern.into()]).unwrap()
    };
    let (mut conv, mut fc) = (optimizer(0.5, "conv.*"), optimizer(0.25, "fc.*"));
    assert_eq!(conv.parameters().map(|(name, _)| name).collect::<Vec<_>>(), ["conv.bias", "conv.weight"]);
    let loss = sum_of(&vars, &ALL, 1.0);
    conv.zero_grad();
    fc.zero_grad();
    loss.backward();
    conv.step().unwrap();
    assert_eq!(ALL.map(|name| value(&vars, name)), [0.5, 0.5, 1.0]);
    assert_eq!(conv.grad_norm().unwrap().double_value(&[]), 2.0);
    conv.zero_grad();
    fc.step().unwrap();
    assert_eq!(ALL.map(|name| value(&vars, name)), [0.5, 0.5, 0.75]);
}

#[test]
fn accumulation_window_is_one_update() {
    let vars = store();
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.5), &vars, Clip::Norm(1.0)).unwrap();
    assert!(!optimizer.has_updated());
    for (window, n_updates) in [(0..3, 1), (3..4, 2)] {
        let window: Vec<i32> = window.collect();
        for (index, batch) in window.iter().enumerate() {
            let (is_first, is_last) = (index == 0, index + 1 == window.len());
            optimizer.set_window(AccumulationWindow { weight: 0.25, is_first, is_last });
            let before = value(&vars, "fc.bias");
            optimizer.backward_step(&sum_of(&vars, &["fc.bias"], 4.0 * f64::from(*batch + 1))).unwrap();
            assert_eq!((optimizer.has_updated(), optimizer.grad_norm().is_some()), (is_last, is_last));
            assert_eq!(value(&vars, "fc.bias") == before, !is_last);
        }
        // The gradients are 1 + 2 + 3, then 4; clipping reduces the norm of the sum to 1.
        let gradient = if n_updates == 1 { 6.0 } else { 4.0 };
        let norm = gradient * 2f64.sqrt();
        let measured = optimizer.grad_norm().unwrap().double_value(&[]);
        assert!((measured - norm).abs() < 1e-12, "{measured}");
    }
    let expected = 1.0 - 2.0 * 0.5 / 2f64.sqrt();
    assert!((value(&vars, "fc.bias") - expected).abs() < 1e-6);
    // `Tensor::grad` is not clipped.
    assert_eq!(variable(&vars, "fc.bias").grad().double_value(&[0]), 4.0);
}

#[test]
fn frozen_parameters_are_not_updated_until_unfrozen() {
    let configs: [OptimizerConfig; 3] = [
        OptimizerConfig::sgd(0.5).into(),
        OptimizerConfig::adam(0.1).into(),
        OptimizerConfig::adagrad(0.1).into(),
    ];
    for config in configs {
        let vars = store();
        let mut optimizer = Optimizer::new(&config, &vars, Clip::None).unwrap();
        optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
        // Frozen while it has a gradient.
        let frozen = variable(&vars, "fc.bias");
        let _ = frozen.set_requires_grad(false);
        let (before, other) = (value(&vars, "fc.bias"), value(&vars, "conv.bias"));
        optimizer.step().unwrap();
        assert_eq!(value(&vars, "fc.bias"), before);
        assert_ne!(value(&vars, "conv.bias"), other);
        optimizer.zero_grad();
        assert!(ALL.iter().all(|name| !variable(&vars, name).grad().defined()), "cleared, not set to 0");
        optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
        assert_eq!(value(&vars, "fc.bias"), before);
        assert_eq!(optimizer.grad_norm().unwrap().double_value(&[]), 2.0);
        // Updates are counted per parameter: after unfreezing, this is its second one.
        let _ = frozen.set_requires_grad(true);
        optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
        assert_ne!(value(&vars, "fc.bias"), before);
        let state = optimizer.state().unwrap();
        assert_eq!(state.values["steps"]["fc.bias"], 2);
        assert_eq!(state.values["steps"]["conv.bias"], 4);
    }
}

#[test]
fn parameters_without_a_gradient_are_not_updated() {
    let vars = store();
    let config = OptimizerConfig::Adam(Adam { weight_decay: 0.5, ..Adam::default() });
    let mut optimizer = Optimizer::new(&config, &vars, Clip::None).unwrap();
    optimizer.step().unwrap();
    assert!(optimizer.grad_norm().is_none() && optimizer.has_updated());
    optimizer.backward_step(&sum_of(&vars, &["fc.bias"], 1.0)).unwrap();
    assert_eq!([value(&vars, "conv.bias"), value(&vars, "conv.weight")], [1.0, 1.0]);
    assert_ne!(value(&vars, "fc.bias"), 1.0);
    let state = optimizer.state().unwrap();
    assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["exp_avg.fc.bias", "exp_avg_sq.fc.bias"]);
}

#[test]
fn non_finite_gradient_is_named_and_nothing_is_updated() {
    let check = |clip: Clip, factors: [f64; 3], non_finite: Option<&str>| {
        let vars = store();
        let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.5), &vars, clip).unwrap();
        let loss = ALL.iter().zip(factors).map(|(name, factor)| sum_of(&vars, &[name], factor)).sum();
        let result = optimizer.backward_step(&loss);
        let values = ALL.map(|name| value(&vars, name));
        match (non_finite, result) {
            (None, result) => {
                result.unwrap();
                assert!(
                    values.iter().all(|v| v.is_finite() && *v != 1.0),
                    "{clip:?} {factors:?}: {values:?}"
                );
            }
            (Some(name), Err(Error::NonFiniteGradient { parameter, learning_rate: 0.5, .. })) => {
                assert_eq!(parameter, name, "{clip:?} {factors:?}");
                assert_eq!(values, [1.0; 3]);
                assert!(!optimizer.has_updated());
                assert_eq!(optimizer.state().unwrap().values["steps"][name], 0);
            }
            (_, other) => panic!("{clip:?} {factors:?}: {other:?}"),
        }
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for clip in [Clip::None, Clip::Norm(1.0), Clip::Value(1.0)] {
        check(clip, [1.0, nan, nan], Some("conv.weight"));
        check(clip, [1.0, inf, nan], Some(if clip == Clip::Value(1.0) { "fc.bias" } else { "conv.weight" }));
        check(clip, [1.0, 2.0, 3.0], None);
    }
    check(Clip::None, [1.0, 1.0, inf], Some("fc.bias"));
    check(Clip::Norm(1.0), [-inf, 1.0, 1.0], Some("conv.bias"));
    check(Clip::Value(1.0), [inf, 1.0, -inf], None);
}

#[test]
fn norm_of_huge_gradients_is_finite() {
    let vars = store();
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.5), &vars, Clip::Norm(1.0)).unwrap();
    optimizer.backward_step(&sum_of(&vars, &["fc.bias"], 1e200)).unwrap();
    let norm = optimizer.grad_norm().unwrap().double_value(&[]);
    assert!((norm / (2f64.sqrt() * 1e200) - 1.0).abs() < 1e-12, "{norm}");
    assert!((value(&vars, "fc.bias") - (1.0 - 0.5 / 2f64.sqrt())).abs() < 1e-12);
}

#[test]
fn rejects_backward_through_overwritten_values() {
    let vars = store();
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.5), &vars, Clip::None).unwrap();
    // Both gradients depend on the values that the first update overwrites.
    let squares = || variable(&vars, "fc.bias").square().sum(Kind::Double);
    let (first, second) = (squares(), squares());
    optimizer.backward_step(&first).unwrap();
    let error = message(optimizer.backward_step(&second));
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn sparse_and_dense_gradients_give_equal_updates() {
    let check = |is_sparse: bool| {
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let table = vars.root().var("table", &[4, 2], Init::Const(1.0));
        let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.5), &vars, Clip::Norm(0.5)).unwrap();
        for tokens in [[0i64, 2, 2], [1, 1, 2]] {
            let tokens = Tensor::from_slice(&tokens);
            let embedded = Tensor::embedding(&table, &tokens, -1, false, is_sparse);
            optimizer.backward_step(&embedded.sum(Kind::Double)).unwrap();
            assert_eq!(table.grad().is_sparse(), is_sparse);
        }
        Vec::<f64>::try_from(table.view([-1])).unwrap()
    };
    assert_eq!(check(true), check(false));
}

#[test]
fn take_times_resets_durations() {
    let vars = store();
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.5), &vars, Clip::None).unwrap();
    assert_eq!(optimizer.take_times(), (Duration::ZERO, Duration::ZERO));
    optimizer.backward_step(&sum_of(&vars, &ALL, 1.0)).unwrap();
    let (backward, update) = optimizer.take_times();
    assert!(backward > Duration::ZERO && update > Duration::ZERO);
    assert_eq!(optimizer.take_times(), (Duration::ZERO, Duration::ZERO));
}
