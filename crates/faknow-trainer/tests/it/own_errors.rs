//! Errors of custom models, data sets and steps: `?` takes them, the trainer adds the location, every cause is said once.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::error::Error as _;
use std::io;

use faknow_data::{DataLoader, Dataset, TensorDataset};
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::{Error, Result, Trainer, TrainerBuilder};
use tch::{Device, Kind, Tensor, nn};

type Pair = (Tensor, Option<Tensor>);

/// A linear model whose forward pass first does what it was given.
struct Linear(nn::Linear, fn() -> faknow_model::Result<()>);

impl Model for Linear {
    type Batch = Pair;

    fn forward(&self, batch: &Pair, _: Mode) -> faknow_model::Result<Output> {
        (self.1)()?;
        loss::classify(batch.0.apply(&self.0), batch)
    }
}

/// Eight rows, of which any batch fails as given.
struct Broken(TensorDataset, fn() -> faknow_data::Result<()>);

impl Dataset for Broken {
    type Batch = Pair;

    fn n_samples(&self) -> usize {
        self.0.n_samples()
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Pair> {
        (self.1)()?;
        self.0.batch(indices)
    }
}

fn builder(fails: fn() -> faknow_model::Result<()>) -> TrainerBuilder<Linear> {
    let vars = nn::VarStore::new(Device::Cpu);
    let model = Linear(nn::linear(vars.root(), 2, 2, Default::default()), fails);
    Trainer::builder(model, vars).max_epochs(1)
}

fn rows() -> TensorDataset {
    let x = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([8, 2]);
    TensorDataset::new(x, Tensor::from_slice(&[0_i64, 1, 0, 1, 0, 1, 0, 1])).unwrap()
}

fn fit(builder: TrainerBuilder<Linear>, fails: fn() -> faknow_data::Result<()>) -> Error {
    let loader = DataLoader::builder(Broken(rows(), fails)).batch_size(4).build().unwrap();
    builder.build().unwrap().fit(&loader, None).unwrap_err()
}

/// A failure with a cause of its own.
#[derive(Debug)]
struct Uncertain(io::Error);

impl std::fmt::Display for Uncertain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no idea")
    }
}

impl std::error::Error for Uncertain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn uncertain() -> Uncertain {
    Uncertain(io::Error::other("too dark"))
}

/// Every kind of failure: `?` of common errors, `other` of all, libtorch, and an error of a lower layer.
macro_rules! failures {
    ($result:ty, $other:path) => {{
        let table: &[(fn() -> $result, &str)] = &[
            (|| Ok(Err(io::Error::other("no disk"))?), "no disk"),
            (|| Ok("x".parse::<u8>().map(drop)?), "invalid digit found in string"),
            (|| Ok("x".parse::<f64>().map(drop)?), "invalid float literal"),
            (|| Ok(Err("plain words".to_owned())?), "plain words"),
            (|| Ok(Err("static words")?), "static words"),
            (|| Ok(Err(Box::<dyn std::error::Error + Send + Sync>::from(uncertain()))?), "no idea: too dark"),
            (|| Err($other(uncertain())), "no idea: too dark"),
            (
                || Ok(Tensor::zeros([2, 3], tch::kind::FLOAT_CPU).f_view([4]).map(drop)?),
                "shape '[4]' is invalid for input of size 6",
            ),
        ];
        table
    }};
}

/// The place comes first, the cause once, and nothing of libtorch's C++ frames.
fn check(error: &Error, location: &str, says: &str) {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        chain = format!("{chain}: {cause}");
        next = cause.source();
    }
    assert!(chain.starts_with(location), "{chain}");
    assert_eq!(chain.matches(says).count(), 1, "{chain}");
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        let debug = format!("{error:?}");
        assert!(!debug.contains("frame #") && !chain.contains("frame #"), "{debug}");
    }
}

#[test]
fn errors_of_custom_code_have_a_place_and_each_cause_once() {
    let location = "training, epoch 1, batch 1: ";
    for (fails, says) in failures!(Result<()>, Error::other) {
        let step = builder(|| Ok(())).step_fn(|_, _, _, _| {
            fails()?;
            Err::<faknow_model::Loss, _>(Error::Interrupted)
        });
        check(&fit(step, || Ok(())), location, says);
    }
    for (fails, says) in failures!(faknow_model::Result<()>, faknow_model::Error::other) {
        check(&fit(builder(*fails), || Ok(())), location, says);
        // A step hands the model's error on.
        let step = builder(*fails).step_fn(|model, batch, optimizer, context| {
            context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)
        });
        check(&fit(step, || Ok(())), location, says);
    }
    for (fails, says) in failures!(faknow_data::Result<()>, faknow_data::Error::other) {
        check(&fit(builder(|| Ok(())), *fails), location, says);
    }
}

#[test]
fn accumulated_batches_draw_different_numbers_and_a_repeated_run_the_same() {
    let drawn = |seed| {
        let numbers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = std::sync::Arc::clone(&numbers);
        let step = builder(|| Ok(())).seed(seed).accumulate_grad_batches(2).step_fn(
            move |model, batch, optimizer, context| {
                noted.lock().unwrap().push(context.rng().next_u64());
                let loss = context.check_loss(model.forward(batch, Mode::Train)?.loss, optimizer)?;
                optimizer.backward_step(&loss.total)?;
                Ok(loss)
            },
        );
        let loader = DataLoader::builder(rows()).batch_size(2).build().unwrap();
        step.build().unwrap().fit(&loader, None).unwrap();
        std::mem::take(&mut *numbers.lock().unwrap())
    };
    let numbers = drawn(1);
    assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    assert_eq!(numbers, drawn(1));
    assert_ne!(numbers, drawn(2));
}
