//! Models with buffers that a pass over the training data initializes and each step updates.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::{Flow, on_batch_end};
use faknow_data::Rng;
use faknow_model::{Mode, Model, Output, TrainingDataPass};
use faknow_trainer::{Interrupt, Resume, RunDir, Trainer};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::toy::{self, Points, Toy, train_data, valid_data};

/// A [`Toy`] with a memory: the sum of the first features of all batches, and a random number.
struct WithMemory {
    toy: Toy,
    memory: Tensor,
}

impl WithMemory {
    fn new() -> (Self, VarStore) {
        let (toy, vars) = Toy::new();
        let memory = vars.root().add("memory", Tensor::zeros([2], tch::kind::DOUBLE_CPU), false);
        (Self { toy, memory }, vars)
    }
}

fn sum(batch: &Points) -> Tensor {
    batch.x.select(1, 0).sum(Kind::Double)
}

impl Model for WithMemory {
    type Batch = Points;

    fn forward(&self, batch: &Points, mode: Mode) -> faknow_model::Result<Output> {
        assert!(self.memory.double_value(&[1]) != 0.0, "the memory is not initialized");
        self.toy.forward(batch, mode)
    }

    fn training_data_pass(&self) -> faknow_model::Result<Option<Box<dyn TrainingDataPass<Points> + '_>>> {
        assert_eq!(self.memory.double_value(&[1]), 0.0, "the memory is initialized twice");
        Ok(Some(Box::new(Pass { memory: self.memory.shallow_clone(), sum: 0.0 })))
    }

    fn after_step(&self, batch: &Points) -> faknow_model::Result<()> {
        assert!(!toy::is_grad_enabled());
        let _ = self.memory.shallow_clone().get(0).f_add_(&sum(batch))?.f_mul_scalar_(0.9)?;
        Ok(())
    }
}

struct Pass {
    memory: Tensor,
    sum: f64,
}

impl TrainingDataPass<Points> for Pass {
    fn add(&mut self, batch: &Points) -> faknow_model::Result<()> {
        assert!(batch.is_moved && !toy::is_grad_enabled());
        self.sum += sum(batch).double_value(&[]);
        Ok(())
    }

    fn finish(&mut self, rng: &mut Rng) -> faknow_model::Result<()> {
        self.memory.copy_(&Tensor::from_slice(&[self.sum, rng.uniform()]));
        Ok(())
    }
}

fn memory(trainer: &Trainer<WithMemory>) -> Vec<f64> {
    toy::weights(&trainer.run().vars).remove("memory").unwrap()
}

#[test]
fn pass_initializes_buffers_before_validation_and_steps_update_them() {
    let (model, vars) = WithMemory::new();
    let mut trainer = Trainer::builder(model, vars).max_epochs(1).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let sums: Vec<f64> = [&toy::POINTS[..4], &toy::POINTS[4..6], &toy::POINTS[6..]]
        .map(|points| points.iter().map(|(x, _)| x[0]).sum())
        .into();
    let expected = sums.iter().fold(sums.iter().sum::<f64>(), |memory, sum| 0.9 * (memory + sum));
    assert!((memory(&trainer)[0] - expected).abs() < 1e-12);
    // Another fit continues with the buffers.
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
}

#[test]
fn resumed_run_has_the_buffers_of_an_uninterrupted_one() {
    let temp = tempfile::tempdir().unwrap();
    let trainer = |dir: &str, stop_at: u64| {
        let (model, vars) = WithMemory::new();
        let path = temp.path().join(dir);
        let run_dir = if path.exists() { RunDir::open(&path) } else { RunDir::create(&path) }.unwrap();
        let interrupt = Interrupt::default();
        let request = interrupt.clone();
        let stop = on_batch_end(move |run, _| {
            if run.step() == stop_at {
                request.request();
            }
            Ok(Flow::Continue)
        });
        Trainer::builder(model, vars)
            .max_epochs(3)
            .interrupt(interrupt)
            .callback(stop)
            .run_dir(run_dir)
            .build()
            .unwrap()
    };
    let mut complete = trainer("complete", 0);
    complete.fit(&train_data(), Some(&valid_data())).unwrap();
    let mut first = trainer("parts", 5);
    first.fit(&train_data(), Some(&valid_data())).unwrap();
    drop(first);
    let mut rest = trainer("parts", 0);
    rest.resume_from(&Resume::default(), &train_data(), Some(&valid_data())).unwrap();
    assert_eq!(toy::weights(&rest.run().vars), toy::weights(&complete.run().vars));
}
