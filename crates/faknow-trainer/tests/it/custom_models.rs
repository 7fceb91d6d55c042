//! Custom models: labels with scores, missing losses, and cross-validation.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use faknow_data::{DataLoader, Dataset as _, Folds, TensorDataset};
use faknow_metrics::{Calibration, Decision};
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::{Error, OptimizerConfig, Result, Trainer, cross_validate};
use tch::{Device, Kind, Tensor, nn};

struct Linear(nn::Linear);

impl Model for Linear {
    type Batch = (Tensor, Option<Tensor>);

    fn forward(&self, batch: &Self::Batch, _: Mode) -> faknow_model::Result<Output> {
        loss::classify(batch.0.apply(&self.0), batch)
    }
}

/// Returns `n` numbers from -1 to 1, of class 1 if above 0.
fn numbers(n: i64) -> Arc<TensorDataset> {
    let x = Tensor::linspace(-1.0, 1.0, n, (Kind::Float, Device::Cpu)).unsqueeze(1);
    let labels = x.squeeze_dim(1).gt(0.0).to_kind(Kind::Int64);
    Arc::new(TensorDataset::new(x, labels).unwrap())
}

fn trainer() -> Result<Trainer<Linear>> {
    let vars = nn::VarStore::new(Device::Cpu);
    let zero = nn::LinearConfig { ws_init: nn::Init::Const(0.0), ..Default::default() };
    let model = Linear(nn::linear(vars.root(), 1, 2, zero));
    Trainer::builder(model, vars).max_epochs(4).optimizer(OptimizerConfig::adam(0.5)).build()
}

#[test]
fn predictions_have_labels_scores_and_a_threshold() {
    let mut trainer = trainer().unwrap();
    let loader = DataLoader::builder(numbers(40)).batch_size(8).build().unwrap();
    trainer.fit(&loader, Some(&loader)).unwrap();
    let classes = ["below", "above"];
    let plain = trainer.classify(&loader, &classes, &Decision::default()).unwrap();
    assert_eq!((plain[0].label.as_str(), plain[39].label.as_str()), ("below", "above"));
    assert!(plain.iter().all(|prediction| prediction.score >= 0.5));
    // The threshold that calibration suggests.
    let calibration = Calibration::fit(&trainer.test(&loader).unwrap().predictions, 0.9, false).unwrap();
    let threshold = calibration.thresholds.map(|thresholds| thresholds.f1.threshold);
    let strict = Decision { threshold: threshold.map(|_| 1.0), ..Decision::default() };
    let strict = trainer.classify(&loader, &classes, &strict).unwrap();
    assert!(strict.iter().all(|prediction| prediction.label == "below"));
    let error = trainer.classify(&loader, &["below"], &Decision::default()).unwrap_err();
    assert_eq!(error.to_string(), "class scores: expected 1 values, got 2");
}

/// A model that returns logits and no loss.
struct LogitsOnly(Linear);

impl Model for LogitsOnly {
    type Batch = (Tensor, Option<Tensor>);

    fn forward(&self, batch: &Self::Batch, mode: Mode) -> faknow_model::Result<Output> {
        Ok(Output { loss: None, ..self.0.forward(batch, mode)? })
    }
}

#[test]
fn training_without_a_loss_reports_no_loss() {
    let vars = || nn::VarStore::new(Device::Cpu);
    let builder = |vars: nn::VarStore| {
        let model = LogitsOnly(Linear(nn::linear(vars.root(), 1, 2, nn::LinearConfig::default())));
        Trainer::builder(model, vars)
    };
    let custom = builder(vars()).step_fn(|model, batch, optimizer, context| {
        let loss = context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)?;
        optimizer.backward_step(&loss.total)?;
        Ok(loss)
    });
    for builder in [builder(vars()), custom] {
        let loader = DataLoader::builder(numbers(40)).batch_size(8).build().unwrap();
        let error = builder.build().unwrap().fit(&loader, None).unwrap_err();
        assert!(matches!(error, Error::NoLoss { .. }), "{error:?}");
        let expected = "training, epoch 1, batch 1: the model returned no loss; return one from `forward`";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn cross_validation_tests_each_sample_once() {
    let data = numbers(30);
    let mut n_tested = 0;
    let result = cross_validate(&data, &Folds::stratified(5).seed(1), |fold| {
        n_tested += fold.test.n_samples();
        assert_eq!(fold.train.n_samples() + fold.test.n_samples(), 30);
        let mut trainer = trainer()?;
        trainer.fit(&DataLoader::builder(fold.train).batch_size(8).shuffle(1).build()?, None)?;
        trainer.test(&DataLoader::builder(fold.test).build()?)
    })
    .unwrap();
    assert_eq!((n_tested, result.folds.len()), (30, 5));
    let accuracy = result.metric("accuracy").unwrap();
    assert_eq!(accuracy.values.len(), 5);
    assert!(accuracy.summary.unwrap().mean > 0.8, "{result}");
    assert!(result.to_string().contains("\naccuracy "), "{result}");
    assert!(cross_validate(&data, &Folds::new(31), |_| panic!("never called")).is_err());
}
