//! Optimizers compared with those of libtorch, with random settings; in one pass, with operations, with several threads.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_trainer::{Adagrad, Adam, AdamW, Clip, Optimizer, OptimizerConfig, RmsProp, Sgd};
use tch::nn::{self, Init, OptimizerConfig as _, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// A deterministic pseudorandom number generator.
struct Numbers(u64);

impl Numbers {
    /// Returns a number from 0 (inclusive) to 1 (exclusive).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn coin(&mut self) -> bool {
        self.next() < 0.5
    }

    /// Returns 0 with a probability of one half, else a number up to `max`.
    fn maybe(&mut self, max: f64) -> f64 {
        if self.coin() { max * self.next() } else { 0.0 }
    }

    fn tensor(&mut self, shape: &[i64], kind: Kind) -> Tensor {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| 2.0 * self.next() - 1.0).collect();
        Tensor::from_slice(&values).view(shape).to_kind(kind)
    }
}

/// Returns random settings of an algorithm, and libtorch's optimizer with the same settings.
fn settings(name: &str, numbers: &mut Numbers, vars: &VarStore) -> (OptimizerConfig, Option<nn::Optimizer>) {
    let lr = 0.001 + 0.05 * numbers.next();
    let wd = numbers.maybe(0.1);
    let betas = [0.5 + 0.45 * numbers.next(), 0.9 + 0.0999 * numbers.next()];
    let [beta1, beta2] = betas;
    let eps = if numbers.coin() { 1e-8 } else { 1e-3 };
    let (is_variant, momentum) = (numbers.coin(), numbers.maybe(0.95));
    let groups = Vec::new();
    match name {
        "sgd" => {
            let nesterov = is_variant && momentum > 0.0;
            let dampening = if nesterov { 0.0 } else { numbers.maybe(0.5) };
            let libtorch = nn::Sgd { momentum, dampening, wd, nesterov }.build(vars, lr).unwrap();
            let config = Sgd { lr, momentum, dampening, weight_decay: wd, nesterov, groups };
            (OptimizerConfig::Sgd(config), Some(libtorch))
        }
        "adam" => {
            let libtorch = nn::Adam { beta1, beta2, wd, eps, amsgrad: is_variant }.build(vars, lr).unwrap();
            let config = Adam { lr, betas, eps, weight_decay: wd, amsgrad: is_variant, groups };
            (OptimizerConfig::Adam(config), Some(libtorch))
        }
        "adamw" => {
            let libtorch = nn::AdamW { beta1, beta2, wd, eps, amsgrad: is_variant }.build(vars, lr).unwrap();
            let config = AdamW { lr, betas, eps, weight_decay: wd, amsgrad: is_variant, groups };
            (OptimizerConfig::AdamW(config), Some(libtorch))
        }
        "rmsprop" => {
            let alpha = beta2;
            let libtorch =
                nn::RmsProp { alpha, eps, wd, momentum, centered: is_variant }.build(vars, lr).unwrap();
            let config = RmsProp { lr, alpha, eps, weight_decay: wd, momentum, centered: is_variant, groups };
            (OptimizerConfig::RmsProp(config), Some(libtorch))
        }
        // tch does not have Adagrad.
        "adagrad" => {
            let (lr_decay, initial_accumulator_value) = (numbers.maybe(0.1), numbers.maybe(0.1));
            let config = Adagrad { lr, lr_decay, initial_accumulator_value, eps, weight_decay: wd, groups };
            (OptimizerConfig::Adagrad(config), None)
        }
        other => panic!("{other}"),
    }
}

const SHAPES: [(&str, &[i64]); 4] =
    [("matrix", &[7, 5]), ("vector", &[19]), ("scalar", &[]), ("empty", &[0, 3])];

/// Returns parameters with the given values, with dense or strided memory.
fn store(values: &[Tensor], kind: Kind, is_strided: bool) -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    for ((name, shape), values) in SHAPES.iter().zip(values) {
        let mut variable = vars.root().var(name, shape, Init::Const(0.0));
        if is_strided {
            let strided = Tensor::zeros([values.numel() as i64, 2], (kind, Device::Cpu)).select(1, 0);
            no_grad(|| variable.set_data(&strided.view(*shape)));
            assert!(variable.numel() < 2 || !variable.is_contiguous());
        }
        no_grad(|| variable.copy_(values));
    }
    vars
}

/// Returns a loss whose gradients are the coefficients; parameters without coefficients have no gradient.
fn loss(vars: &VarStore, coefficients: &[Option<Tensor>]) -> Tensor {
    let variables = vars.variables();
    let named = SHAPES.iter().zip(coefficients);
    named.filter_map(|((name, _), c)| Some((&variables[*name] * c.as_ref()?).sum(vars.kind()))).sum()
}

fn assert_close(got: &VarStore, expected: &VarStore, tolerance: f64, what: &str) {
    let expected = expected.variables();
    for (name, got) in got.variables() {
        let expected = expected[&name].to_kind(Kind::Double).view([-1]);
        let got = got.to_kind(Kind::Double).reshape([-1]);
        if got.numel() == 0 {
            continue;
        }
        let difference = (&got - &expected).abs().max().double_value(&[]);
        let bound = tolerance * expected.abs().max().double_value(&[]).max(1.0);
        assert!(difference <= bound, "{what}: {name} differs by {difference:e}, allowed {bound:e}");
    }
}

/// Compares 20 steps with 25 random settings: by libtorch, in one pass, and with operations.
fn check(algorithm: &str) {
    let mut numbers = Numbers(algorithm.bytes().map(u64::from).sum());
    for round in 0..25 {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            let values = SHAPES.map(|(_, shape)| numbers.tensor(shape, kind));
            let [reference, fused, strided] =
                [false, false, true].map(|is_strided| store(&values, kind, is_strided));
            let (config, mut libtorch) = settings(algorithm, &mut numbers, &reference);
            let clip = if numbers.coin() { Clip::Norm(0.5 + 3.0 * numbers.next()) } else { Clip::None };
            let mut one_pass = Optimizer::new(&config, &fused, clip).unwrap();
            let mut operations = Optimizer::new(&config, &strided, clip).unwrap();
            let what = format!("round {round}: {config:?}, {clip:?}, {kind:?}");
            for _ in 0..20 {
                // Some parameters have no gradient: updates are counted per parameter.
                let mut optional = |shape| (numbers.next() < 0.8).then(|| numbers.tensor(shape, kind));
                let coefficients = SHAPES.map(|(_, shape)| optional(shape));
                if coefficients.iter().all(Option::is_none) {
                    continue;
                }
                one_pass.backward_step(&loss(&fused, &coefficients)).unwrap();
                operations.backward_step(&loss(&strided, &coefficients)).unwrap();
                let norms = [&one_pass, &operations].map(|o| o.grad_norm().unwrap().double_value(&[]));
                assert!((norms[0] - norms[1]).abs() <= tolerance * norms[0].max(1.0), "{what}: {norms:?}");
                if let Some(libtorch) = &mut libtorch {
                    let loss = loss(&reference, &coefficients);
                    match clip {
                        Clip::Norm(max) => libtorch.backward_step_clip_norm(&loss, max),
                        _ => libtorch.backward_step(&loss),
                    }
                }
            }
            assert_close(&strided, &fused, tolerance, &format!("with operations, {what}"));
            if libtorch.is_some() {
                assert_close(&fused, &reference, tolerance, &format!("libtorch, {what}"));
            }
        }
    }
}

#[test]
fn sgd_matches_libtorch() {
    check("sgd");
}

#[test]
fn adam_matches_libtorch() {
    check("adam");
}

#[test]
fn adamw_matches_libtorch() {
    check("adamw");
}

#[test]
fn rmsprop_matches_libtorch() {
    check("rmsprop");
}

#[test]
fn adagrad_in_one_pass_matches_operations() {
    check("adagrad");
}

#[test]
fn adagrad_matches_formula() {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let p = vars.root().var("p", &[1], Init::Const(1.0));
    let config = Adagrad {
        lr: 0.5,
        lr_decay: 0.25,
        initial_accumulator_value: 0.5,
        weight_decay: 0.125,
        ..Adagrad::default()
    };
    let mut optimizer = Optimizer::new(OptimizerConfig::Adagrad(config), &vars, Clip::Value(1.0)).unwrap();
    let (mut value, mut sum): (f64, f64) = (1.0, 0.5);
    for (n, gradient) in [2.0f64, -0.5, 0.25].into_iter().enumerate() {
        optimizer.backward_step(&(&p * gradient).sum(Kind::Double)).unwrap();
        let d = gradient.clamp(-1.0, 1.0) + 0.125 * value;
        sum += d * d;
        value -= 0.5 / (1.0 + 0.25 * n as f64) * d / (sum.sqrt() + 1e-10);
        assert!((p.double_value(&[0]) - value).abs() < 1e-15, "{n}");
    }
}

#[test]
fn parameters_with_shared_memory_are_updated_sequentially() {
    let memory = Tensor::ones([6], tch::kind::DOUBLE_CPU);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    for (name, from) in [("a", 0), ("b", 2)] {
        let mut variable = vars.root().var(name, &[4], Init::Const(0.0));
        no_grad(|| variable.set_data(&memory.narrow(0, from, 4)));
    }
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.25), &vars, Clip::None).unwrap();
    let loss: Tensor = vars.variables().into_values().map(|t| t.sum(Kind::Double)).sum();
    optimizer.backward_step(&loss).unwrap();
    assert_eq!(Vec::<f64>::try_from(&memory).unwrap(), [0.75, 0.75, 0.5, 0.5, 0.75, 0.75]);
}

/// Performs three clipped updates, of parameters large enough for several threads.
fn with_threads(n_threads: i32) -> Vec<Tensor> {
    tch::set_num_threads(n_threads);
    let mut numbers = Numbers(7);
    let vars = VarStore::new(Device::Cpu);
    let shapes: [(&str, &[i64]); 4] =
        [("table", &[1031, 301]), ("odd", &[16 * 1024 + 1]), ("small", &[3]), ("even", &[64, 1024])];
    let mut variables = Vec::new();
    for (name, shape) in shapes {
        let mut variable = vars.root().var(name, shape, Init::Const(0.0));
        no_grad(|| variable.copy_(&numbers.tensor(shape, Kind::Float)));
        variables.push(variable);
    }
    let config = OptimizerConfig::AdamW(AdamW { amsgrad: true, ..AdamW::default() });
    let mut optimizer = Optimizer::new(&config, &vars, Clip::Norm(1.0)).unwrap();
    let mut results = Vec::new();
    for _ in 0..3 {
        let gradients = shapes.map(|(_, shape)| numbers.tensor(shape, Kind::Float));
        let products = variables.iter().zip(&gradients).map(|(v, g)| (v * g).sum(Kind::Float));
        optimizer.backward_step(&products.sum()).unwrap();
        results.push(optimizer.grad_norm().unwrap().copy());
    }
    results.extend(variables.iter().map(|variable| variable.detach().copy()));
    results.extend(optimizer.state().unwrap().tensors.into_values());
    results
}

#[test]
fn result_does_not_depend_on_number_of_threads() {
    let before = tch::get_num_threads();
    let one = with_threads(1);
    assert_eq!(one.len(), 3 + 4 + 4 * 3);
    for n_threads in [2, 3, 8] {
        let several = with_threads(n_threads);
        assert!(one.iter().zip(&several).all(|(a, b)| a.equal(b)), "{n_threads} threads");
    }
    tch::set_num_threads(before);
}
