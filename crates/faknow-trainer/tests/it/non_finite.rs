//! Losses and gradients that are not finite: neither weights nor buffers change, also if checks are deferred as on a GPU.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;

use faknow_callbacks::Recorder;
use faknow_data::Loader;
use faknow_model::layers::BatchNorm;
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{
    Adam, CheckpointPolicy, Clip, Error, NonFinitePolicy, Optimizer, OptimizerConfig, RunDir, Sgd, Trainer,
    TrainerBuilder, WEIGHTS_FILE, WeightAveraging,
};
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};

use crate::toy::{Weights, weights};

/// Batches of numbers; class 1 above 0.
struct Numbers(Vec<Vec<f64>>);

type Batch = (Tensor, Option<Tensor>);

impl Loader<Batch> for Numbers {
    fn n_samples(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    fn n_batches(&self) -> usize {
        self.0.len()
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Batch>> + '_> {
        Box::new(self.0[from..].iter().map(|batch| {
            let x = Tensor::from_slice(batch).view([-1, 1]);
            let labels = x.squeeze_dim(1).gt(0.0).to_kind(Kind::Int64);
            Ok((x, Some(labels)))
        }))
    }
}

/// A batch that makes the loss NaN.
const NAN_LOSS: [f64; 3] = [0.5, f64::NAN, -2.0];
/// A batch whose loss is finite and whose gradient is not.
const NAN_GRADIENT: [f64; 3] = [0.0, 1.0, -2.0];

/// Returns five batches, with the given one as the third.
fn data(third: Option<[f64; 3]>) -> Numbers {
    let mut batches: Vec<Vec<f64>> =
        [[1.0, -0.5, 2.0], [0.3, -0.7, -1.5], [0.9, 0.8, -0.1], [-2.0, 1.5, 0.6]].map(Vec::from).into();
    batches.splice(2..2, third.map(Vec::from));
    Numbers(batches)
}

/// Batch normalization and a linear layer, in f64; the gradient for an input of 0 is NaN.
struct Normalized {
    norm: BatchNorm,
    linear: nn::Linear,
    scale: Tensor,
}

impl Model for Normalized {
    type Batch = Batch;

    fn forward(&self, batch: &Batch, mode: Mode) -> faknow_model::Result<Output> {
        let x = self.norm.forward(&batch.0, mode)?;
        // The root is 0 for an input of 0, and its derivative infinite.
        let root = batch.0.f_mul(&self.scale)?.f_abs()?.f_sqrt()?.f_mul_scalar(0.0)?;
        loss::classify(x.f_add(&root)?.apply(&self.linear), batch)
    }
}

fn builder() -> TrainerBuilder<Normalized> {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let root = vars.root();
    let init = nn::Init::Const(0.2);
    let constant = nn::LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
    let model = Normalized {
        norm: BatchNorm::new(&(&root / "norm"), 1).unwrap(),
        linear: nn::linear(&root / "fc", 1, 2, constant),
        scale: root.var("scale", &[1], nn::Init::Const(1.0)),
    };
    Trainer::builder(model, vars).optimizer(OptimizerConfig::adam(0.1)).max_epochs(1)
}

fn is_finite(weights: &Weights) -> bool {
    weights.values().flatten().all(|value| value.is_finite())
}

/// Returns the weights and buffers after training on `data`.
fn trained(builder: TrainerBuilder<Normalized>, data: &Numbers) -> Weights {
    let mut trainer = builder.build().unwrap();
    trainer.fit(data, None).unwrap();
    weights(&trainer.run().vars)
}

fn saved(dir: &Path, name: &str) -> Weights {
    let vars = builder().build().unwrap().into_parts().1;
    faknow_model::weights::load(&vars, &dir.join("checkpoints").join(name).join(WEIGHTS_FILE)).unwrap();
    weights(&vars)
}

#[test]
fn skipped_update_leaves_weights_and_buffers() {
    let expected = trained(builder(), &data(None));
    assert!(expected["norm.running_mean"][0] != 0.0 && is_finite(&expected));
    for third in [NAN_LOSS, NAN_GRADIENT] {
        let skipping = builder().on_non_finite(NonFinitePolicy::Skip);
        assert_eq!(trained(skipping, &data(Some(third))), expected, "{third:?}");
    }
    // The third and the fourth batch are one update.
    let mut without = data(None);
    without.0.remove(2);
    let expected = trained(builder().accumulate_grad_batches(2), &without);
    for third in [NAN_LOSS, NAN_GRADIENT] {
        let skipping = builder().on_non_finite(NonFinitePolicy::Skip).accumulate_grad_batches(2);
        assert_eq!(trained(skipping, &data(Some(third))), expected, "accumulated {third:?}");
    }
}

#[test]
fn failed_update_leaves_weights_and_buffers() {
    for third in [NAN_LOSS, NAN_GRADIENT] {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = RunDir::create(dir.path().join("run")).unwrap();
        let mut trainer = builder().run_dir(run_dir).build().unwrap();
        let error = trainer.fit(&data(Some(third)), None).unwrap_err().to_string();
        assert!(error.starts_with("training, epoch 1, batch 3: "), "{error}");
        let expected = trained(builder(), &Numbers(data(None).0[..2].to_vec()));
        assert_eq!(weights(&trainer.run().vars), expected, "{third:?}");
        assert_eq!(saved(&dir.path().join("run"), "last"), expected, "{third:?}");
    }
}

#[test]
fn rolled_back_update_leaves_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = RunDir::create(dir.path().join("run")).unwrap();
    let every = CheckpointPolicy { every: "1 step".parse().unwrap(), ..CheckpointPolicy::default() };
    let rolling = builder().on_non_finite(NonFinitePolicy::RollBack).checkpoints(every).run_dir(run_dir);
    let mut trainer = rolling.build().unwrap();
    let error = trainer.fit(&data(Some(NAN_LOSS)), None).unwrap_err();
    assert!(matches!(error, Error::NonFiniteLoss { .. }), "{error}");
    let expected = trained(builder(), &Numbers(data(None).0[..2].to_vec()));
    assert_eq!(weights(&trainer.run().vars), expected);
}

// With deferred checks, a run ends at the end of the epoch or at the next checkpoint, with the weights and buffers from
// before the failed update, and no checkpoint contains others.
#[test]
fn deferred_checks_mask_updates_and_precede_checkpoints() {
    let policies = [
        ("end of the epoch", CheckpointPolicy::default(), 5),
        ("step", CheckpointPolicy { every: "1 step".parse().unwrap(), ..CheckpointPolicy::default() }, 3),
        (
            "background",
            CheckpointPolicy {
                every: "2 steps".parse().unwrap(),
                background: true,
                ..CheckpointPolicy::default()
            },
            4,
        ),
    ];
    let two_batches = Numbers(data(None).0[..2].to_vec());
    let expected = trained(builder().deferred_checks(true), &two_batches);
    for (synchronous, deferred) in trained(builder(), &two_batches).values().zip(expected.values()) {
        assert!((synchronous[0] - deferred[0]).abs() < 1e-12, "the updates are the same");
    }
    for third in [NAN_LOSS, NAN_GRADIENT] {
        for (name, policy, batch) in &policies {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("run");
            let recorder = Recorder::new();
            let builder = builder().deferred_checks(true).run_dir(RunDir::create(&path).unwrap());
            let builder = builder.checkpoints(policy.clone()).average(WeightAveraging::Ema { decay: 0.5 });
            let mut trainer = builder.callback(recorder.clone()).build().unwrap();
            let error = trainer.fit(&data(Some(third)), None).unwrap_err();
            assert!(matches!(error, Error::NonFiniteUpdate { update: 3, .. }), "{name}: {error}");
            let place =
                format!("training, epoch 1, batch {batch}: the loss or a gradient of update 3 is not finite");
            assert!(error.to_string().starts_with(&place), "{name}: {error}");
            assert_eq!(weights(&trainer.run().vars), expected, "{name}");
            let store = CheckpointStore::new(&path);
            for entry in store.list() {
                assert!(is_finite(&saved(&path, &entry.name)), "{name}: {}", entry.name);
            }
            assert!(store.read("failed").is_ok(), "{name}");
            // The counters of this state are those of updates that were not made, so `last` is from before.
            assert!(store.read("last").map_or(0, |last| last.info.step) <= 2, "{name}");
        }
    }
    // A run without such values ends as usual.
    assert!(is_finite(&trained(builder().deferred_checks(true), &data(None))));
    let error = builder().deferred_checks(true).on_non_finite(NonFinitePolicy::Skip).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "deferred_checks: expected false unless `on_non_finite` is `stop`, got true"
    );
}

#[test]
fn masked_update_changes_neither_parameters_nor_state() {
    let configs: [OptimizerConfig; 4] = [
        Sgd { momentum: 0.9, weight_decay: 0.1, ..Sgd::default() }.into(),
        Adam { amsgrad: true, ..Adam::default() }.into(),
        OptimizerConfig::adamw(0.1).into(),
        OptimizerConfig::rms_prop(0.1).into(),
    ];
    for config in configs {
        let vars = VarStore::new(Device::Cpu);
        let weight = vars.root().ones("weight", &[3]);
        let mut optimizer = Optimizer::new(config.clone(), &vars, Clip::Norm(1.0)).unwrap();
        optimizer.set_deferred(true);
        let step = |optimizer: &mut Optimizer, factor: f64| {
            optimizer.backward_step(&(&weight * factor).square().sum(Kind::Float)).unwrap();
            let state = optimizer.state().unwrap().tensors;
            state
                .values()
                .chain([&weight])
                .map(|t| Vec::<f32>::try_from(t.detach().copy()).unwrap())
                .collect::<Vec<_>>()
        };
        let first = step(&mut optimizer, 1.0);
        assert_ne!(first, step(&mut optimizer, 1.0), "{config:?}");
        optimizer.check_finite().unwrap();
        let before = step(&mut optimizer, 1.0);
        for factor in [f64::INFINITY, 1.0] {
            assert_eq!(step(&mut optimizer, factor), before, "{config:?}");
        }
        let error = optimizer.check_finite().unwrap_err();
        assert!(matches!(error, Error::NonFiniteUpdate { update: 2, .. }), "{config:?}: {error}");
        assert_ne!(step(&mut optimizer, 1.0), before, "{config:?}");
    }
}
