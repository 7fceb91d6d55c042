//! Continual learning with EWC and GEM, compared with plain Rust.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_data::Dataset;
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::{Ewc, Gem, OptimizerConfig, Trainer};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::by_hand::{Linear, START, assert_weights};
use crate::toy::{self, Memory, POINTS, Point, Points, Toy};

/// The layer of the toy, without its check that evaluation records no gradients.
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    fn new() -> (Self, VarStore) {
        let (_, vars) = Toy::new();
        let variables = vars.variables();
        let take = |name: &str| variables[name].shallow_clone();
        (Self { weight: take("weight"), bias: take("bias") }, vars)
    }
}

impl Model for Layer {
    type Batch = Points;

    fn forward(&self, batch: &Points, _: Mode) -> faknow_model::Result<Output> {
        loss::classify(batch.x.f_linear(&self.weight, Some(&self.bias))?, batch)
    }
}

struct Samples(Vec<Point>);

impl Dataset for Samples {
    type Batch = Points;

    fn n_samples(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Points> {
        Ok(Points::new(&indices.iter().map(|&index| self.0[index]).collect::<Vec<_>>()))
    }
}

/// Returns the points with swapped classes: a conflicting task.
fn reversed() -> Vec<Point> {
    POINTS.iter().map(|(x, label)| (*x, 1 - label)).collect()
}

fn values(linear: &Linear) -> [f64; 6] {
    let [[a, b], [c, d]] = linear.w;
    [a, b, c, d, linear.b[0], linear.b[1]]
}

fn from_values([a, b, c, d, e, f]: [f64; 6]) -> Linear {
    Linear { w: [[a, b], [c, d]], b: [e, f] }
}

fn dot(a: &Linear, b: &Linear) -> f64 {
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

#[test]
fn ewc_penalizes_parameter_changes_by_importance() {
    let (model, vars) = Layer::new();
    let mut ewc = Ewc::new(3.0).unwrap();
    ewc.consolidate(&model, &vars, &Samples(POINTS.to_vec())).unwrap();
    assert_weights(&vars, &START, "consolidation must not change the weights");
    let mut fisher = [0.0; 6];
    for point in POINTS {
        let gradient = values(&START.gradient(&[point]));
        fisher.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g * g / 7.0);
    }
    let new = reversed();
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::sgd(0.1))
        .step(ewc)
        .max_epochs(3)
        .build()
        .unwrap();
    let report = trainer.fit(&Memory::new(&new, &[7]), None).unwrap();
    let mut model = START;
    let mut last = (0.0, 0.0);
    for _ in 0..3 {
        let change: Vec<f64> = values(&model).iter().zip(values(&START)).map(|(a, s)| a - s).collect();
        let penalty: f64 = change.iter().zip(fisher).map(|(a, f)| 1.5 * f * a * a).sum();
        last = (model.loss(&new), penalty);
        let mut gradient = values(&model.gradient(&new));
        (0..6).for_each(|k| gradient[k] += 3.0 * fisher[k] * change[k]);
        model = model.plus(-0.1, &from_values(gradient));
    }
    let record = report.history.last().unwrap();
    for (name, expected) in [("loss", last.0 + last.1), ("loss/classification", last.0), ("loss/ewc", last.1)]
    {
        assert!((record.train.value(name).unwrap() - expected).abs() < 1e-12, "{name}");
    }
    assert!(last.1 > 1e-6);
    assert_weights(&trainer.into_parts().1, &model, "three steps");
}

#[test]
fn ewc_forgets_less_and_sums_several_tasks() {
    let distance = |n_tasks: usize, strength: f64| {
        let (model, vars) = Layer::new();
        let mut ewc = Ewc::new(strength).unwrap();
        for _ in 0..n_tasks {
            ewc.consolidate(&model, &vars, &Samples(POINTS.to_vec())).unwrap();
        }
        let builder = Trainer::builder(model, vars).optimizer(OptimizerConfig::sgd(0.1));
        let mut trainer = builder.step(ewc).max_epochs(50).build().unwrap();
        trainer.fit(&Memory::new(&reversed(), &[7]), None).unwrap();
        let weights = toy::weights(&trainer.into_parts().1);
        let weights = [&weights["weight"][..], &weights["bias"]].concat();
        weights.iter().zip(values(&START)).map(|(w, s)| (w - s).powi(2)).sum::<f64>().sqrt()
    };
    let (none, one, strong) = (distance(0, 5.0), distance(1, 5.0), distance(1, 10.0));
    assert!(none > 1.3 * one && one > 1.1 * strong, "{none} {one} {strong}");
    assert!((distance(2, 5.0) - strong).abs() < 1e-9, "two tasks with half the strength must equal one task");
}

#[test]
fn rejects_invalid_tasks_and_memories() {
    let (model, vars) = Layer::new();
    let error = Ewc::new(-1.0).unwrap_err().to_string();
    assert_eq!(error, "ewc.strength: expected a number of at least 0, got -1");
    let error = Ewc::new(1.0).unwrap().consolidate(&model, &vars, &Samples(vec![])).unwrap_err().to_string();
    assert_eq!(error, "samples of a task to consolidate: expected at least one, got 0");
    struct Unlabeled;
    impl Dataset for Unlabeled {
        type Batch = Points;
        fn n_samples(&self) -> usize {
            1
        }
        fn batch(&self, _: &[usize]) -> faknow_data::Result<Points> {
            Ok(Points { labels: None, ..Points::new(&POINTS[..1]) })
        }
    }
    let error = Ewc::new(1.0).unwrap().consolidate(&model, &vars, &Unlabeled).unwrap_err().to_string();
    assert!(error.contains("label"), "{error}");
    let error = Gem::<Points>::new(vec![]).unwrap_err().to_string();
    assert_eq!(error, "memories of earlier tasks: expected at least one, with labels, got none");
    let unlabeled = Points { labels: None, ..Points::new(&POINTS) };
    let error = Gem::new(vec![unlabeled]).unwrap_err().to_string();
    assert!(error.ends_with("got one without labels"), "{error}");
}

fn fit_with_gem(memories: &[&[Point]], new: &[Point], sizes: &[usize], accumulate: usize) -> VarStore {
    let step = Gem::new(memories.iter().map(|points| Points::new(points)).collect()).unwrap();
    let builder = toy::trainer().step(step).accumulate_grad_batches(accumulate).max_epochs(1);
    let mut trainer = builder.build().unwrap();
    trainer.fit(&Memory::new(new, sizes), None).unwrap();
    trainer.into_parts().1
}

#[test]
fn gem_leaves_compatible_gradients_unchanged() {
    let expected = START.plus(-0.1, &START.gradient(&POINTS));
    assert_weights(&fit_with_gem(&[&POINTS, &POINTS[..5]], &POINTS, &[7], 1), &expected, "the same task");
}

#[test]
fn gem_projects_conflicting_gradients() {
    let new = reversed();
    let (gradient, memory_gradient) = (START.gradient(&new), START.gradient(&POINTS[..6]));
    let product = dot(&gradient, &memory_gradient);
    assert!(product < 0.0);
    let projected = gradient.plus(-product / dot(&memory_gradient, &memory_gradient), &memory_gradient);
    assert!(dot(&projected, &memory_gradient).abs() < 1e-12);
    let expected = START.plus(-0.1, &projected);
    assert_weights(&fit_with_gem(&[&POINTS[..6]], &new, &[7], 1), &expected, "one memory");
    // Once per update, independent of the number of accumulated batches.
    assert_weights(&fit_with_gem(&[&POINTS[..6]], &new, &[4, 2, 1], 3), &expected, "three batches");

    // With several memories, the closest gradient that conflicts with none of them.
    let memories = [&POINTS[..6], &POINTS[2..6], &POINTS[4..]];
    let weights = toy::weights(&fit_with_gem(&memories, &new, &[7], 1));
    let weights: Vec<f64> = [&weights["weight"][..], &weights["bias"]].concat();
    let applied: Vec<f64> = weights.iter().zip(values(&START)).map(|(w, s)| (s - w) / 0.1).collect();
    let applied = from_values(applied.try_into().unwrap());
    for memory in memories {
        assert!(dot(&applied, &START.gradient(memory)) > -1e-9);
    }
    assert!((applied.plus(-1.0, &gradient)).norm() >= (projected.plus(-1.0, &gradient)).norm() - 1e-9);
}

#[test]
fn gem_moves_memories_to_the_device_once() {
    let (model, vars) = Toy::new();
    // The toy rejects batches that were not moved.
    let mut trainer = toy::trainer_for((model, vars))
        .step(Gem::new(vec![Points::new(&POINTS)]).unwrap())
        .device(Device::Cpu)
        .build()
        .unwrap();
    trainer.fit(&Memory::new(&reversed(), &[4, 3]), None).unwrap();
}
