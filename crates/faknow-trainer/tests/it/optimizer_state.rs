//! Saving and restoring the state of an optimizer.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::State;
use faknow_trainer::{Adam, Clip, Error, Optimizer, OptimizerConfig, ParameterGroup, RmsProp, Sgd};
use serde_json::{Value, json};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

fn store(kind: Kind) -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let fc = vars.root() / "fc";
    for (name, shape) in [("weight", vec![3, 4]), ("bias", vec![3]), ("late", vec![])] {
        let mut variable = fc.var(name, &shape, Init::Const(0.0));
        let n = variable.numel() as i64;
        no_grad(|| variable.copy_(&(Tensor::arange(n, (kind, Device::Cpu)).view(&*shape) * 0.1 - 0.35)));
    }
    vars
}

/// Returns the loss of a step; it depends on `fc.late` from the fourth step on.
fn loss(vars: &VarStore, step: i64) -> Tensor {
    let squares = |name: &str| (&vars.variables()[name] * (step + 1) as f64 - 0.7).square().sum(vars.kind());
    let loss = squares("fc.weight") + squares("fc.bias");
    if step > 3 { loss + squares("fc.late") } else { loss }
}

fn steps(optimizer: &mut Optimizer, vars: &VarStore, steps: std::ops::Range<i64>) {
    for step in steps {
        optimizer.set_learning_rates(&vec![0.01 / (step + 1) as f64; optimizer.learning_rates().len()]);
        optimizer.backward_step(&loss(vars, step)).unwrap();
    }
}

/// Returns the state as after a round trip through a checkpoint: values parsed from JSON, tensors copied.
fn round_trip(optimizer: &Optimizer) -> State {
    let State { values, tensors } = optimizer.state().unwrap();
    State { values: serde_json::from_str(&values.to_string()).unwrap(), tensors }
}

fn all_configs() -> Vec<OptimizerConfig> {
    let groups = || vec![ParameterGroup { weight_decay: Some(0.1), ..ParameterGroup::new("*.bias") }];
    vec![
        OptimizerConfig::sgd(0.01).into(),
        OptimizerConfig::Sgd(Sgd { momentum: 0.9, dampening: 0.5, ..Sgd::default() }),
        OptimizerConfig::Adam(Adam { amsgrad: true, groups: groups(), ..Adam::default() }),
        OptimizerConfig::adamw(0.01).into(),
        OptimizerConfig::RmsProp(RmsProp { momentum: 0.5, centered: true, ..RmsProp::default() }),
        OptimizerConfig::rms_prop(0.01).into(),
        OptimizerConfig::adagrad(0.01).into(),
    ]
}

#[test]
fn restored_optimizer_continues_bit_exactly() {
    for config in all_configs() {
        for kind in [Kind::Double, Kind::Float] {
            for middle in [0, 3, 7] {
                let vars = store(kind);
                let mut optimizer = Optimizer::new(&config, &vars, Clip::Norm(1.0)).unwrap();
                steps(&mut optimizer, &vars, 0..middle);
                let state = round_trip(&optimizer);
                let mut resumed_vars = VarStore::new(Device::Cpu);
                resumed_vars.set_kind(kind);
                let (root, fc) = (resumed_vars.root(), "fc");
                for (name, values) in vars.variables() {
                    let name = name.strip_prefix("fc.").unwrap();
                    let mut copy = (&root / fc).var(name, &values.size(), Init::Const(0.0));
                    no_grad(|| copy.copy_(&values));
                }
                let mut resumed = Optimizer::new(&config, &resumed_vars, Clip::Norm(1.0)).unwrap();
                resumed.restore(&state).unwrap();
                assert_eq!(resumed.learning_rates(), optimizer.learning_rates());
                // The saved tensors are copies: further steps do not change them.
                steps(&mut optimizer, &vars, middle..10);
                steps(&mut resumed, &resumed_vars, middle..10);
                let resumed_vars = resumed_vars.variables();
                for (name, expected) in vars.variables() {
                    assert!(
                        expected.equal(&resumed_vars[&name]),
                        "{config:?}, {kind:?}, from {middle}: {name}"
                    );
                }
                let (expected, got) = (optimizer.state().unwrap(), resumed.state().unwrap());
                assert_eq!(expected.values, got.values);
                assert!(expected.tensors.keys().eq(got.tensors.keys()));
                assert!(expected.tensors.iter().all(|(name, t)| t.equal(&got.tensors[name])), "{config:?}");
            }
        }
    }
}

#[test]
fn state_has_algorithm_groups_counts_and_tensors() {
    let vars = store(Kind::Double);
    let group = ParameterGroup { weight_decay: Some(0.5), ..ParameterGroup::new("*.bias") };
    let config = Adam { groups: vec![group], ..Adam::default() };
    let mut optimizer = Optimizer::new(OptimizerConfig::Adam(config), &vars, Clip::None).unwrap();
    steps(&mut optimizer, &vars, 0..2);
    let state = optimizer.state().unwrap();
    assert_eq!(
        state.values,
        json!({
            "algorithm": "adam",
            "groups": [
                { "name": "*.bias", "learning_rate": 0.005, "weight_decay": 0.5 },
                { "name": "default", "learning_rate": 0.005, "weight_decay": 0.0 },
            ],
            "steps": { "fc.bias": 2, "fc.late": 0, "fc.weight": 2 },
        })
    );
    assert_eq!(
        state.tensors.keys().collect::<Vec<_>>(),
        ["exp_avg.fc.bias", "exp_avg.fc.weight", "exp_avg_sq.fc.bias", "exp_avg_sq.fc.weight"]
    );
}

#[test]
fn restore_rejects_mismatched_state_without_changes() {
    let vars = store(Kind::Double);
    let adam: OptimizerConfig = OptimizerConfig::adam(0.01).into();
    let mut optimizer = Optimizer::new(&adam, &vars, Clip::None).unwrap();
    steps(&mut optimizer, &vars, 0..2);
    let before = optimizer.state().unwrap();
    let mut check = |change: &dyn Fn(&mut State), expected: &str| {
        let mut state = optimizer.state().unwrap();
        // All values differ, so that a partial restore would be detected.
        state.tensors.values_mut().for_each(|t| *t = &*t + 1.0);
        state.values["groups"][0]["learning_rate"] = json!(7.0);
        change(&mut state);
        let error = optimizer.restore(&state).unwrap_err();
        assert!(matches!(error, Error::State { part: "optimizer", .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("the optimizer's saved state does not fit: {expected}"));
        let after = optimizer.state().unwrap();
        assert_eq!(after.values, before.values);
        assert!(after.tensors.iter().all(|(name, t)| t.equal(&before.tensors[name])));
    };
    let name = "exp_avg.fc.bias";
    let insert = |state: &mut State, name: &str, t: Tensor| drop(state.tensors.insert(name.into(), t));
    let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
    check(&|s| s.values["algorithm"] = json!("sgd"), "algorithm: expected `adam`, got `sgd`");
    check(&|s| s.values["groups"][0]["name"] = json!("fc.*"), "groups: expected default, got fc.*");
    check(&|s| drop(s.tensors.remove(name)), "tensor `exp_avg.fc.bias` is missing");
    check(
        &|s| insert(s, name, zeros(&[4], Kind::Double)),
        "tensor `exp_avg.fc.bias`: expected shape [3], got [4]",
    );
    check(
        &|s| insert(s, name, zeros(&[3], Kind::Float)),
        "tensor `exp_avg.fc.bias`: expected kind Double, got Float",
    );
    check(
        &|s| insert(s, "max_exp_avg_sq.fc.bias", zeros(&[3], Kind::Double)),
        "unexpected tensors: max_exp_avg_sq.fc.bias",
    );
    check(&|s| insert(s, "exp_avg.other", zeros(&[3], Kind::Double)), "unexpected tensors: exp_avg.other");
    check(&|s| s.values["steps"]["conv.bias"] = json!(3), "unexpected parameter `conv.bias`");
    let without = |s: &mut State| drop(s.values["steps"].as_object_mut().unwrap().remove("fc.late"));
    check(&without, "parameter `fc.late` is missing");
    check(&|s| s.values["steps"]["fc.late"] = json!(1), "tensor `exp_avg.fc.late` is missing");
    check(
        &|s| s.values["groups"][0]["learning_rate"] = Value::Null,
        "values: invalid type: null, expected f64",
    );
    check(&|s| s.values = Value::Null, "values: invalid type: null, expected struct Values");
}

#[test]
fn state_is_converted_to_kind_of_parameters() {
    let mut vars = store(Kind::Double);
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.01), &vars, Clip::None).unwrap();
    steps(&mut optimizer, &vars, 0..2);
    vars.float();
    vars.set_kind(Kind::Float);
    steps(&mut optimizer, &vars, 2..6);
    let state = optimizer.state().unwrap();
    assert!(state.tensors.values().all(|t| t.kind() == Kind::Float));
    assert_eq!(state.values["steps"]["fc.bias"], 6);
}
