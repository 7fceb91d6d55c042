//! Batches and models whose tensors have invalid shapes, and options that require a run directory.

use faknow_data::{Batch, DataLoader, Dataset, TensorDataset};
use faknow_model::layers::BatchNorm;
use faknow_model::{Loss, Mode, Model, Output, loss};
use faknow_trainer::{CheckpointPolicy, Trainer};
use tch::{Device, Kind, Tensor, kind, nn, no_grad};

/// A batch of inputs and any number of labels.
struct Labeled(Tensor, Tensor);

impl Batch for Labeled {
    fn n_samples(&self) -> usize {
        self.0.size()[0] as usize
    }

    fn labels(&self) -> Option<&Tensor> {
        Some(&self.1)
    }

    fn to_device(&self, device: Device) -> Self {
        Self(self.0.to_device(device), self.1.to_device(device))
    }
}

/// Six samples whose batches have `n_extra_labels` labels too many.
struct Rows {
    n_extra_labels: i64,
}

impl Dataset for Rows {
    type Batch = Labeled;

    fn n_samples(&self) -> usize {
        6
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Labeled> {
        let n = indices.len() as i64;
        Ok(Labeled(
            Tensor::ones([n, 2], kind::FLOAT_CPU),
            Tensor::zeros([n + self.n_extra_labels], kind::INT64_CPU),
        ))
    }
}

/// A linear model whose output is modified by a function.
struct Modified(nn::Linear, fn(Output) -> Output);

impl Model for Modified {
    type Batch = Labeled;

    fn forward(&self, batch: &Labeled, _: Mode) -> faknow_model::Result<Output> {
        let output = loss::classify(batch.0.apply(&self.0), batch)?;
        Ok((self.1)(output))
    }
}

#[test]
fn shape_errors_have_location() {
    let check = |n_extra_labels, modify: fn(Output) -> Output, in_training: &str, in_test: &str| {
        let vars = nn::VarStore::new(Device::Cpu);
        let model = Modified(nn::linear(vars.root(), 2, 2, Default::default()), modify);
        let mut trainer = Trainer::builder(model, vars).build().unwrap();
        let loader = DataLoader::builder(Rows { n_extra_labels }).batch_size(3).build().unwrap();
        let error = trainer.fit(&loader, None).unwrap_err().to_string();
        assert_eq!(error, format!("training, epoch 1, batch 1: {in_training}"));
        let error = trainer.test(&loader).unwrap_err().to_string();
        assert_eq!(error, format!("test, batch 1: {in_test}"));
    };
    let labels = "labels of the batch: expected [3], one for each sample, got [4]";
    check(1, |output| output, labels, labels);
    let flat = "logits of the model: expected [3, n_classes] with at least 2 classes, got [6]";
    check(0, |output| Output { logits: output.logits.flatten(0, -1), ..output }, flat, flat);
    let one = "logits of the model: expected [3, n_classes] with at least 2 classes, got [3, 1]";
    check(0, |output| Output { logits: output.logits.narrow(1, 0, 1), ..output }, one, one);
    let rows = "loss: expected a scalar: the mean over the samples, got [3]";
    let loss_per_row =
        |output: Output| Output { loss: Some(Loss::single(Tensor::ones([3], kind::FLOAT_CPU))), ..output };
    check(0, loss_per_row, rows, rows);
}

#[test]
fn rejects_options_that_require_a_run_directory() {
    let builder = || {
        let vars = nn::VarStore::new(Device::Cpu);
        let model = Modified(nn::linear(vars.root(), 2, 2, Default::default()), |output| output);
        Trainer::builder(model, vars)
    };
    for (builder, name) in [
        (builder().histograms_every(1), "histograms_every: expected no value without a run directory"),
        (
            builder().checkpoints(CheckpointPolicy { keep: 2, ..CheckpointPolicy::default() }),
            "checkpoints: expected no value without a run directory",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

/// Batch normalization, then a linear layer.
struct Normalized(BatchNorm, nn::Linear);

impl Model for Normalized {
    type Batch = (Tensor, Option<Tensor>);

    fn forward(&self, batch: &Self::Batch, mode: Mode) -> faknow_model::Result<Output> {
        loss::classify(self.0.forward(&batch.0, mode)?.apply(&self.1), batch)
    }
}

#[test]
fn batch_norm_trains_on_a_last_batch_of_one_row_and_a_non_finite_buffer_is_named() {
    let vars = nn::VarStore::new(Device::Cpu);
    let norm = BatchNorm::new(&(vars.root() / "norm"), 2).unwrap();
    let model = Normalized(norm, nn::linear(vars.root() / "fc", 2, 2, Default::default()));
    let mut trainer = Trainer::builder(model, vars).max_epochs(2).build().unwrap();
    let x = Tensor::arange(10, (Kind::Float, Device::Cpu)).view([5, 2]);
    let loader = |batch_size| {
        let data = TensorDataset::new(x.copy(), Tensor::from_slice(&[0_i64, 1, 0, 1, 0])).unwrap();
        DataLoader::builder(data).batch_size(batch_size).build().unwrap()
    };
    trainer.fit(&loader(4), None).unwrap();
    assert_eq!(trainer.run().step(), 4);
    // Two updates of the statistics, each by the first four rows, whose mean is 3.
    let mean = trainer.run().vars.variables()["norm.running_mean"].double_value(&[0]);
    assert!((mean - 3.0 * (1.0 - 0.9 * 0.9)).abs() < 1e-6, "{mean}");
    trainer.test(&loader(4)).unwrap();

    let _ = no_grad(|| trainer.run().vars.variables()["norm.running_var"].shallow_clone().fill_(f64::NAN));
    let error = trainer.test(&loader(5)).unwrap_err().to_string();
    assert_eq!(
        error,
        "test, batch 1: the model's class scores are NaN, since its tensor `norm.running_var` is not finite"
    );
}
