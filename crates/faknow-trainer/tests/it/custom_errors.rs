//! Errors of custom models, datasets and steps: `?` converts them, the trainer adds the location, each cause is shown once.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::error::Error as _;
use std::io;

use faknow_data::{DataLoader, Dataset, TensorDataset};
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::{Error, Result, Trainer, TrainerBuilder};
use tch::{Device, Kind, Tensor, nn};

type Pair = (Tensor, Option<Tensor>);

/// A linear model whose forward pass first calls a function.
struct Linear(nn::Linear, fn() -> faknow_model::Result<()>);

impl Model for Linear {
    type Batch = Pair;

    fn forward(&self, batch: &Pair, _: Mode) -> faknow_model::Result<Output> {
        (self.1)()?;
        loss::classify(batch.0.apply(&self.0), batch)
    }
}

/// A dataset whose batches first call a function.
struct Failing(TensorDataset, fn() -> faknow_data::Result<()>);

impl Dataset for Failing {
    type Batch = Pair;

    fn n_samples(&self) -> usize {
        self.0.n_samples()
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Pair> {
        (self.1)()?;
        self.0.batch(indices)
    }
}

fn builder(fail: fn() -> faknow_model::Result<()>) -> TrainerBuilder<Linear> {
    let vars = nn::VarStore::new(Device::Cpu);
    let model = Linear(nn::linear(vars.root(), 2, 2, Default::default()), fail);
    Trainer::builder(model, vars).max_epochs(1)
}

fn rows() -> TensorDataset {
    let x = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([8, 2]);
    TensorDataset::new(x, Tensor::from_slice(&[0_i64, 1, 0, 1, 0, 1, 0, 1])).unwrap()
}

fn fit(builder: TrainerBuilder<Linear>, fail: fn() -> faknow_data::Result<()>) -> Error {
    let loader = DataLoader::builder(Failing(rows(), fail)).batch_size(4).build().unwrap();
    builder.build().unwrap().fit(&loader, None).unwrap_err()
}

/// An error with a source.
#[derive(Debug)]
struct OuterError(io::Error);

impl std::fmt::Display for OuterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("outer error")
    }
}

impl std::error::Error for OuterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn outer_error() -> OuterError {
    OuterError(io::Error::other("inner error"))
}

/// All kinds of failures with their messages: common errors with `?`, any error with `other`, and libtorch errors.
macro_rules! failures {
    ($result:ty, $other:path) => {{
        let table: &[(fn() -> $result, &str)] = &[
            (|| Ok(Err(io::Error::other("no disk"))?), "no disk"),
            (|| Ok("x".parse::<u8>().map(drop)?), "invalid digit found in string"),
            (|| Ok("x".parse::<f64>().map(drop)?), "invalid float literal"),
            (|| Ok(Err("owned text".to_owned())?), "owned text"),
            (|| Ok(Err("static text")?), "static text"),
            (
                || Ok(Err(Box::<dyn std::error::Error + Send + Sync>::from(outer_error()))?),
                "outer error: inner error",
            ),
            (|| Err($other(outer_error())), "outer error: inner error"),
            (
                || Ok(Tensor::zeros([2, 3], tch::kind::FLOAT_CPU).f_view([4]).map(drop)?),
                "shape '[4]' is invalid for input of size 6",
            ),
        ];
        table
    }};
}

/// Checks that the message starts with the location, has the cause once, and no C++ stack frames of libtorch.
fn check(error: &Error, location: &str, cause: &str) {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        chain = format!("{chain}: {source}");
        next = source.source();
    }
    assert!(chain.starts_with(location), "{chain}");
    assert_eq!(chain.matches(cause).count(), 1, "{chain}");
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        let debug = format!("{error:?}");
        assert!(!debug.contains("frame #") && !chain.contains("frame #"), "{debug}");
    }
}

#[test]
fn errors_of_custom_code_have_location_and_each_cause_once() {
    let location = "training, epoch 1, batch 1: ";
    for (fail, cause) in failures!(Result<()>, Error::other) {
        let step = builder(|| Ok(())).step_fn(|_, _, _, _| {
            fail()?;
            Err::<faknow_model::Loss, _>(Error::Interrupted)
        });
        check(&fit(step, || Ok(())), location, cause);
    }
    for (fail, cause) in failures!(faknow_model::Result<()>, faknow_model::Error::other) {
        check(&fit(builder(*fail), || Ok(())), location, cause);
        // A step returns the error of the model.
        let step = builder(*fail).step_fn(|model, batch, optimizer, context| {
            context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)
        });
        check(&fit(step, || Ok(())), location, cause);
    }
    for (fail, cause) in failures!(faknow_data::Result<()>, faknow_data::Error::other) {
        check(&fit(builder(|| Ok(())), *fail), location, cause);
    }
}

#[test]
fn step_rng_differs_by_batch_and_is_reproducible() {
    let draw = |seed| {
        let numbers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let recorded = std::sync::Arc::clone(&numbers);
        let step = builder(|| Ok(())).seed(seed).accumulate_grad_batches(2).step_fn(
            move |model, batch, optimizer, context| {
                recorded.lock().unwrap().push(context.rng().next_u64());
                let loss = context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)?;
                optimizer.backward_step(&loss.total)?;
                Ok(loss)
            },
        );
        let loader = DataLoader::builder(rows()).batch_size(2).build().unwrap();
        step.build().unwrap().fit(&loader, None).unwrap();
        std::mem::take(&mut *numbers.lock().unwrap())
    };
    let numbers = draw(1);
    assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    assert_eq!(numbers, draw(1));
    assert_ne!(numbers, draw(2));
}
