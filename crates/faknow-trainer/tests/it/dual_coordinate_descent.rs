//! Dual coordinate descent, compared with the solvers of scikit-learn.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::Phase;
use faknow_data::FieldBatch;
use faknow_data::text::NGrams;
use faknow_model::{LinearClassifier, LinearConfig, LinearLoss, Mode, Model};
use faknow_trainer::{
    Clip, DualCoordinateDescent, Location, Optimizer, OptimizerConfig, StepContext, TrainStep,
};
use serde::Deserialize;
use tch::nn::VarStore;
use tch::{Device, Tensor};

#[derive(Deserialize)]
struct Golden {
    n_features: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    loss: LinearLoss,
    c: f64,
    n_classes: usize,
    rows: Vec<Vec<(i64, f32)>>,
    labels: Vec<i64>,
    /// `[n_features, n_classes]`, or the weights of the second of two classes.
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/linear.json")).unwrap()
}

impl Case {
    fn batch(&self, n_features: usize, samples: &[usize]) -> FieldBatch {
        let rows: Vec<&(i64, f32)> = samples.iter().flat_map(|&sample| &self.rows[sample]).collect();
        let start =
            |position: usize| -> usize { samples[..position].iter().map(|&it| self.rows[it].len()).sum() };
        let offsets: Vec<i64> = (0..samples.len()).map(|position| start(position) as i64).collect();
        let labels: Vec<i64> = samples.iter().map(|&sample| self.labels[sample]).collect();
        FieldBatch {
            indices: samples.to_vec(),
            labels: Some(Tensor::from_slice(&labels)),
            ngrams: Some(NGrams {
                indices: Tensor::from_slice(&rows.iter().map(|row| row.0).collect::<Vec<_>>()),
                values: Tensor::from_slice(&rows.iter().map(|row| row.1).collect::<Vec<_>>()),
                offsets: Tensor::from_slice(&offsets),
                n_features,
            }),
            ..FieldBatch::default()
        }
    }
}

/// A classifier with its training step.
struct Training {
    vars: VarStore,
    model: LinearClassifier,
    step: DualCoordinateDescent,
    optimizer: Optimizer,
}

impl Training {
    fn new(case: &Case, n_features: usize) -> Self {
        let vars = VarStore::new(Device::Cpu);
        let config = LinearConfig { loss: case.loss, c: case.c, ..LinearConfig::default() };
        let model = LinearClassifier::new(&vars.root(), &config, n_features, case.n_classes).unwrap();
        let step = DualCoordinateDescent::new(case.loss, case.c).unwrap();
        let optimizer = Optimizer::new(OptimizerConfig::sgd(0.1), &vars, Clip::None).unwrap();
        Self { vars, model, step, optimizer }
    }

    fn step(&mut self, batch: &FieldBatch) -> f64 {
        let location = Location { phase: Phase::Train, epoch: 1, batch: 1 };
        let context = StepContext { location, step: 0, position: 0, seed: 0, is_synchronous: true };
        let Self { model, step, optimizer, .. } = self;
        step.step(model, batch, optimizer, context).unwrap().loss.total.double_value(&[])
    }

    fn weight(&self, name: &str) -> Vec<f32> {
        self.vars.variables()[name].view([-1]).try_into().unwrap()
    }
}

#[test]
fn weights_converge_to_those_of_scikit_learn() {
    let Golden { n_features, cases } = golden();
    for case in cases {
        let mut training = Training::new(&case, n_features);
        let n_samples = case.rows.len();
        // Two batches, the second in another order.
        let (first, second) = ((0..n_samples / 2).collect::<Vec<_>>(), (n_samples / 2..n_samples).rev());
        let batches = [case.batch(n_features, &first), case.batch(n_features, &second.collect::<Vec<_>>())];
        for _ in 0..1500 {
            batches.iter().for_each(|batch| assert!(training.step(batch).is_finite()));
        }
        let is_binary = case.n_classes == 2;
        let expected = |values: &[f64]| match is_binary {
            // The difference of both classes is the single vector of weights of a logistic regression.
            true if case.loss == LinearLoss::Logistic => vec![-values[0] / 2.0, values[0] / 2.0],
            true => vec![-values[0], values[0]],
            false => values.to_vec(),
        };
        let mut expected_weight: Vec<f64> = case.weight.iter().flat_map(|row| expected(row)).collect();
        expected_weight.extend(expected(&case.bias));
        let found = [training.weight("weight"), training.weight("bias")].concat();
        assert_eq!(found.len(), expected_weight.len());
        for (found, expected) in found.iter().zip(expected_weight) {
            let (loss, c) = (case.loss, case.c);
            assert!((f64::from(*found) - expected).abs() < 2e-4, "{loss:?}, c {c}: {found}, {expected}");
        }
    }
}

#[test]
fn a_restored_state_continues_bit_by_bit() {
    let Golden { n_features, cases } = golden();
    for case in &cases {
        let all: Vec<usize> = (0..case.rows.len()).collect();
        let batch = case.batch(n_features, &all);
        let mut training = Training::new(case, n_features);
        (0..3).for_each(|_| assert!(training.step(&batch).is_finite()));
        let mut resumed = Training::new(case, n_features);
        resumed.vars.copy(&training.vars).unwrap();
        TrainStep::<LinearClassifier>::restore(
            &mut resumed.step,
            &TrainStep::<LinearClassifier>::state(&training.step).unwrap(),
        )
        .unwrap();
        for _ in 0..3 {
            assert_eq!(training.step(&batch).to_bits(), resumed.step(&batch).to_bits());
        }
        assert_eq!(training.weight("weight"), resumed.weight("weight"));
    }
}

#[test]
fn logits_and_losses_do_not_depend_on_the_other_samples() {
    let Golden { n_features, cases } = golden();
    for case in &cases {
        let mut training = Training::new(case, n_features);
        let all: Vec<usize> = (0..case.rows.len()).collect();
        training.step(&case.batch(n_features, &all));
        let forward = |samples: &[usize]| {
            let output = training.model.forward(&case.batch(n_features, samples), Mode::Eval).unwrap();
            let loss = output.loss.unwrap().total.double_value(&[]);
            (Vec::<f32>::try_from(output.logits.view([-1])).unwrap(), loss)
        };
        let (logits, loss) = forward(&all);
        let mut sum = 0.0;
        // Sample 3 has no features.
        for &sample in &all {
            let (single, loss) = forward(&[sample]);
            assert_eq!(single, logits[sample * case.n_classes..(sample + 1) * case.n_classes]);
            sum += loss;
        }
        assert!((sum / all.len() as f64 - loss).abs() < 1e-6);
    }
}

#[test]
fn rejects_settings_and_batches_that_do_not_fit() {
    for c in [0.0, -1.0, f64::NAN] {
        let error = DualCoordinateDescent::new(LinearLoss::Logistic, c).unwrap_err().to_string();
        assert!(error.contains("expected a number above 0"), "{error}");
    }
    let Golden { n_features, cases } = golden();
    let training = Training::new(&cases[0], n_features);
    let batch = cases[0].batch(n_features + 1, &[0]);
    let error = training.model.forward(&batch, Mode::Eval).unwrap_err().to_string();
    assert!(error.contains("expected 12 n-grams, got 13"), "{error}");
}
