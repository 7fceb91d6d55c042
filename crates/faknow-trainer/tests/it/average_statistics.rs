//! Averaged weights have separate running statistics, computed over the training data.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::{Interval, Phase, Run, on_epoch_end};
use faknow_data::{DataLoader, TensorDataset};
use faknow_model::layers::BatchNorm;
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{OptimizerConfig, Resume, RunDir, Trainer, TrainerBuilder, WeightAveraging};
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};

use crate::toy::{Weights, weights};

type Pair = (Tensor, Option<Tensor>);

/// A linear layer, then batch normalization, in f64.
struct Normalized {
    linear: nn::Linear,
    norm: BatchNorm,
}

impl Model for Normalized {
    type Batch = Pair;

    fn forward(&self, batch: &Pair, mode: Mode) -> faknow_model::Result<Output> {
        loss::classify(self.norm.forward(&batch.0.apply(&self.linear), mode)?, batch)
    }
}

const N: i64 = 10;

fn inputs() -> Tensor {
    let x = Tensor::linspace(-1.0, 3.0, N, (Kind::Double, Device::Cpu));
    Tensor::stack(&[x.shallow_clone(), x.square()], 1)
}

/// Batches of 4, 4 and 2.
fn loader() -> DataLoader<TensorDataset> {
    let labels = inputs().select(1, 0).gt(1.0).to_kind(Kind::Int64);
    DataLoader::builder(TensorDataset::new(inputs(), labels).unwrap()).batch_size(4).build().unwrap()
}

fn builder(max_epochs: usize) -> TrainerBuilder<Normalized> {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let root = vars.root();
    let init = nn::Init::Const(0.3);
    let constant = nn::LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
    let linear = nn::linear(&root / "fc", 2, 2, constant);
    let norm = BatchNorm::new(&(&root / "norm"), 2).unwrap();
    Trainer::builder(Normalized { linear, norm }, vars)
        .optimizer(OptimizerConfig::sgd(0.5))
        .max_epochs(max_epochs)
        .restore_best(false)
}

fn swa() -> WeightAveraging {
    WeightAveraging::Swa { start: Interval::epochs(1.0), every: Interval::epochs(1.0) }
}

/// Returns the statistics that belong to these weights: the means over the batches.
fn expected_statistics(weights: &Weights) -> [Vec<f64>; 2] {
    let x = inputs();
    let weight = Tensor::from_slice(&weights["fc.weight"]).view([2, 2]);
    let hidden = x.matmul(&weight.tr()) + Tensor::from_slice(&weights["fc.bias"]);
    let (mut mean, mut variance) = (vec![0.0; 2], vec![0.0; 2]);
    for (start, n) in [(0, 4), (4, 4), (8, 2)] {
        let batch = hidden.narrow(0, start, n);
        for feature in 0..2 {
            let column = batch.select(1, feature);
            mean[feature as usize] += column.mean(Kind::Double).double_value(&[]) / 3.0;
            variance[feature as usize] += column.var(true).double_value(&[]) / 3.0;
        }
    }
    [mean, variance]
}

fn assert_statistics(weights: &Weights, what: &str) {
    for (name, expected) in ["norm.running_mean", "norm.running_var"].iter().zip(expected_statistics(weights))
    {
        for (got, expected) in weights[*name].iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-9, "{what}: {name}: expected {expected}, got {got}");
        }
    }
}

#[test]
fn swa_recomputes_statistics_and_training_continues_with_its_own() {
    for has_validation in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let data = loader();
        let valid = loader();
        let mut plain = builder(3).build().unwrap();
        plain.fit(&data, None).unwrap();
        let plain = weights(&plain.run().vars);

        let mut trainer = builder(3).average(swa()).run_dir(RunDir::create(&path).unwrap()).build().unwrap();
        let report = trainer.fit(&data, has_validation.then_some(&valid as _)).unwrap();
        let averaged = weights(&trainer.run().vars);
        assert_statistics(&averaged, "the final weights");
        assert_ne!(averaged["fc.weight"], plain["fc.weight"], "an average of several snapshots");
        // The recorded validation is that of the final model.
        if has_validation {
            let test = trainer.test(&valid).unwrap();
            let recorded = report.history.last().unwrap().valid.as_ref().unwrap();
            assert_eq!(recorded.value("loss"), test.scores.value("loss"));
        }

        // In a checkpoint, the model has the average and its statistics; training continues with its own.
        let last = CheckpointStore::new(&path).read("last").unwrap();
        let values = |name: &str| -> Weights {
            let tensors = last.part(name).unwrap().tensors;
            tensors.iter().map(|(name, t)| (name.clone(), Vec::try_from(t.view([-1])).unwrap())).collect()
        };
        assert_eq!(values("model"), averaged);
        assert_eq!(values("training"), plain);

        // A run that is continued equals one that was never interrupted.
        let mut longer = builder(5).average(swa()).build().unwrap();
        longer.fit(&data, has_validation.then_some(&valid as _)).unwrap();
        drop(trainer);
        let mut resumed = builder(5).average(swa()).run_dir(RunDir::open(&path).unwrap()).build().unwrap();
        let valid = has_validation.then_some(&valid as _);
        resumed.resume_from(&Resume::default(), &data, valid).unwrap();
        assert_eq!(weights(&resumed.run().vars), weights(&longer.run().vars));
    }
}

#[test]
fn ema_and_models_without_statistics_run_no_additional_pass() {
    let mut trainer = builder(2).average(WeightAveraging::Ema { decay: 0.5 }).build().unwrap();
    trainer.fit(&loader(), None).unwrap();
    let mut plain = builder(2).build().unwrap();
    plain.fit(&loader(), None).unwrap();
    let name = "norm.running_mean";
    assert_eq!(weights(&trainer.run().vars)[name], weights(&plain.run().vars)[name]);
}

#[test]
fn run_that_a_callback_stops_at_the_end_of_an_epoch_is_validated() {
    let recorder = faknow_callbacks::Recorder::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let stop = on_epoch_end(|run: &mut Run, record| {
        run.log("own", 1.0);
        Ok(if record.epoch == 3 {
            faknow_callbacks::Flow::stop("enough")
        } else {
            faknow_callbacks::Flow::Continue
        })
    });
    let builder = builder(9).validate_every("2 epochs").num_sanity_val_batches(0).restore_best(true);
    let builder = builder.callback(stop).callback(recorder.clone()).run_dir(RunDir::create(&path).unwrap());
    let mut trainer = builder.monitor("loss").build().unwrap();
    let report = trainer.fit(&loader(), Some(&loader())).unwrap();
    let validated = report.history.epochs.iter().map(|record| record.valid.is_some()).collect::<Vec<_>>();
    assert_eq!(validated, [false, true, true]);
    assert_eq!(report.best.unwrap().epoch, 3, "the loss falls, and the last epoch is ranked");
    let hooks = recorder.hooks();
    let last = hooks.iter().rposition(|hook| *hook == "on_epoch_end").unwrap();
    let expected = ["on_epoch_end", "on_evaluation_start"];
    assert_eq!(hooks[last..last + 2], expected, "{}", recorder.text());
    assert_eq!(hooks.iter().filter(|hook| **hook == "on_evaluation_end").count(), 2);
    // The logs have the completed record.
    let csv = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|name| *name == "valid/loss").unwrap();
    assert_eq!(
        (rows.len(), rows[1][column].is_empty(), rows[3][column].is_empty()),
        (4, true, false),
        "{csv}"
    );
    let events = recorder.events();
    assert!(
        events.iter().any(|event| event.epoch == 3 && event.hook == "on_evaluation_end"),
        "{:?}",
        Phase::Valid
    );
}
