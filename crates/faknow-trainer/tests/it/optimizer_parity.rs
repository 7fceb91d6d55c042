//! Our optimizers against libtorch's own, over random settings; in one pass, by operations, with any number of threads.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_trainer::{Adagrad, Adam, AdamW, Clip, Optimizer, OptimizerConfig, RmsProp, Sgd};
use tch::nn::{self, Init, OptimizerConfig as _, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    /// From 0 to below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn coin(&mut self) -> bool {
        self.next() < 0.5
    }

    /// 0 half of the time, else up to `max`.
    fn maybe(&mut self, max: f64) -> f64 {
        if self.coin() { max * self.next() } else { 0.0 }
    }

    fn tensor(&mut self, shape: &[i64], kind: Kind) -> Tensor {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| 2.0 * self.next() - 1.0).collect();
        Tensor::from_slice(&values).view(shape).to_kind(kind)
    }
}

/// Random settings of an algorithm, ours and libtorch's.
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
            let theirs = nn::Sgd { momentum, dampening, wd, nesterov }.build(vars, lr).unwrap();
            (
                OptimizerConfig::Sgd(Sgd { lr, momentum, dampening, weight_decay: wd, nesterov, groups }),
                Some(theirs),
            )
        }
        "adam" => {
            let theirs = nn::Adam { beta1, beta2, wd, eps, amsgrad: is_variant }.build(vars, lr).unwrap();
            let ours = Adam { lr, betas, eps, weight_decay: wd, amsgrad: is_variant, groups };
            (OptimizerConfig::Adam(ours), Some(theirs))
        }
        "adamw" => {
            let theirs = nn::AdamW { beta1, beta2, wd, eps, amsgrad: is_variant }.build(vars, lr).unwrap();
            let ours = AdamW { lr, betas, eps, weight_decay: wd, amsgrad: is_variant, groups };
            (OptimizerConfig::AdamW(ours), Some(theirs))
        }
        "rmsprop" => {
            let alpha = beta2;
            let theirs =
                nn::RmsProp { alpha, eps, wd, momentum, centered: is_variant }.build(vars, lr).unwrap();
            let ours = RmsProp { lr, alpha, eps, weight_decay: wd, momentum, centered: is_variant, groups };
            (OptimizerConfig::RmsProp(ours), Some(theirs))
        }
        // tch has none.
        "adagrad" => {
            let (lr_decay, initial_accumulator_value) = (numbers.maybe(0.1), numbers.maybe(0.1));
            let ours = Adagrad { lr, lr_decay, initial_accumulator_value, eps, weight_decay: wd, groups };
            (OptimizerConfig::Adagrad(ours), None)
        }
        other => panic!("{other}"),
    }
}

const SHAPES: [(&str, &[i64]); 4] =
    [("matrix", &[7, 5]), ("vector", &[19]), ("scalar", &[]), ("empty", &[0, 3])];

/// Parameters with given values; scattered, their memory is in another order than their values.
fn store(values: &[Tensor], kind: Kind, is_scattered: bool) -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    for ((name, shape), values) in SHAPES.iter().zip(values) {
        let mut variable = vars.root().var(name, shape, Init::Const(0.0));
        if is_scattered {
            let apart = Tensor::zeros([values.numel() as i64, 2], (kind, Device::Cpu)).select(1, 0);
            no_grad(|| variable.set_data(&apart.view(*shape)));
            assert!(variable.numel() < 2 || !variable.is_contiguous());
        }
        no_grad(|| variable.copy_(values));
    }
    vars
}

/// A loss whose gradients are the coefficients; parameters without any get none.
fn loss(vars: &VarStore, coefficients: &[Option<Tensor>]) -> Tensor {
    let variables = vars.variables();
    let named = SHAPES.iter().zip(coefficients);
    named.filter_map(|((name, _), c)| Some((&variables[*name] * c.as_ref()?).sum(vars.kind()))).sum()
}

fn assert_same(ours: &VarStore, theirs: &VarStore, tolerance: f64, what: &str) {
    let theirs = theirs.variables();
    for (name, ours) in ours.variables() {
        let theirs = theirs[&name].to_kind(Kind::Double).view([-1]);
        let ours = ours.to_kind(Kind::Double).reshape([-1]);
        if ours.numel() == 0 {
            continue;
        }
        let difference = (&ours - &theirs).abs().max().double_value(&[]);
        let bound = tolerance * theirs.abs().max().double_value(&[]).max(1.0);
        assert!(difference <= bound, "{what}: {name} differs by {difference:e}, allowed {bound:e}");
    }
}

/// Twenty steps of 25 random settings, each by libtorch, in one pass, and by operations.
fn check(algorithm: &str) {
    let mut numbers = Numbers(algorithm.bytes().map(u64::from).sum());
    for round in 0..25 {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            let values = SHAPES.map(|(_, shape)| numbers.tensor(shape, kind));
            let [theirs, fused, scattered] = [false, false, true].map(|apart| store(&values, kind, apart));
            let (config, mut libtorch) = settings(algorithm, &mut numbers, &theirs);
            let clip = if numbers.coin() { Clip::Norm(0.5 + 3.0 * numbers.next()) } else { Clip::None };
            let mut one_pass = Optimizer::new(&config, &fused, clip).unwrap();
            let mut operations = Optimizer::new(&config, &scattered, clip).unwrap();
            let what = format!("round {round}: {config:?}, {clip:?}, {kind:?}");
            for _ in 0..20 {
                // Now and then a parameter takes no part; its updates are counted by themselves.
                let mut some = |shape| (numbers.next() < 0.8).then(|| numbers.tensor(shape, kind));
                let coefficients =
                    [some(SHAPES[0].1), some(SHAPES[1].1), some(SHAPES[2].1), some(SHAPES[3].1)];
                if coefficients.iter().all(Option::is_none) {
                    continue;
                }
                one_pass.backward_step(&loss(&fused, &coefficients)).unwrap();
                operations.backward_step(&loss(&scattered, &coefficients)).unwrap();
                let norms = [&one_pass, &operations].map(|o| o.grad_norm().unwrap().double_value(&[]));
                assert!((norms[0] - norms[1]).abs() <= tolerance * norms[0].max(1.0), "{what}: {norms:?}");
                if let Some(libtorch) = &mut libtorch {
                    let loss = loss(&theirs, &coefficients);
                    match clip {
                        Clip::Norm(max) => libtorch.backward_step_clip_norm(&loss, max),
                        _ => libtorch.backward_step(&loss),
                    }
                }
            }
            assert_same(&scattered, &fused, tolerance, &format!("by operations, {what}"));
            if libtorch.is_some() {
                assert_same(&fused, &theirs, tolerance, &format!("libtorch, {what}"));
            }
        }
    }
}

#[test]
fn sgd_is_libtorchs() {
    check("sgd");
}

#[test]
fn adam_is_libtorchs() {
    check("adam");
}

#[test]
fn adamw_is_libtorchs() {
    check("adamw");
}

#[test]
fn rmsprop_is_libtorchs() {
    check("rmsprop");
}

#[test]
fn adagrad_is_the_same_in_one_pass_and_by_operations() {
    check("adagrad");
}

#[test]
fn adagrad_is_its_formula() {
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
fn parameters_that_share_memory_are_updated_one_after_the_other() {
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

/// Three clipped updates of parameters large enough for several threads, by so many.
fn with_threads(n_threads: i32) -> Vec<Tensor> {
    tch::set_num_threads(n_threads);
    let mut numbers = Numbers(7);
    let vars = VarStore::new(Device::Cpu);
    let shapes: [(&str, &[i64]); 4] =
        [("table", &[1031, 301]), ("odd", &[16 * 1024 + 1]), ("small", &[3]), ("whole", &[64, 1024])];
    let mut variables = Vec::new();
    for (name, shape) in shapes {
        let mut variable = vars.root().var(name, shape, Init::Const(0.0));
        no_grad(|| variable.copy_(&numbers.tensor(shape, Kind::Float)));
        variables.push(variable);
    }
    let config = OptimizerConfig::AdamW(AdamW { amsgrad: true, ..AdamW::default() });
    let mut optimizer = Optimizer::new(&config, &vars, Clip::Norm(1.0)).unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        let gradients = shapes.map(|(_, shape)| numbers.tensor(shape, Kind::Float));
        let products = variables.iter().zip(&gradients).map(|(v, g)| (v * g).sum(Kind::Float));
        optimizer.backward_step(&products.sum()).unwrap();
        all.push(optimizer.grad_norm().unwrap().copy());
    }
    all.extend(variables.iter().map(|variable| variable.detach().copy()));
    all.extend(optimizer.state().unwrap().tensors.into_values());
    all
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let before = tch::get_num_threads();
    let one = with_threads(1);
    assert_eq!(one.len(), 3 + 4 + 4 * 3);
    for n_threads in [2, 3, 8] {
        let several = with_threads(n_threads);
        assert!(one.iter().zip(&several).all(|(a, b)| a.equal(b)), "{n_threads} threads");
    }
    tch::set_num_threads(before);
}
