//! Errors of all crates that wrap an error of libtorch or of custom code: each cause once, C++ frames only on request.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::error::Error as StdError;
use std::io;

use faknow::callbacks::{Callbacks, RunOwner, on_epoch_end};
use tch::{Device, TchError, Tensor, kind, nn::VarStore};

/// Returns an error of libtorch, with C++ stack frames.
fn torch() -> TchError {
    let error = Tensor::zeros([2, 3], kind::FLOAT_CPU).f_view([4]).unwrap_err();
    assert!(error.to_string().contains("frame #"), "{error}");
    error
}

/// An error with a cause that its own message does not contain.
#[derive(Debug, thiserror::Error)]
#[error("over budget")]
struct OverBudget(#[source] io::Error);

fn custom() -> OverBudget {
    OverBudget(io::Error::other("1000 tokens"))
}

/// Returns the error of a callback whose hook fails.
fn hook(fail: impl Fn() -> faknow::callbacks::BoxError + Send + 'static) -> faknow::callbacks::Error {
    let mut callbacks = Callbacks::default();
    callbacks.push(on_epoch_end(move |_, _| Err(fail())));
    let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
    run.progress_mut().history.epochs.push(record());
    callbacks.on_epoch_end(&mut run).unwrap_err()
}

fn record() -> faknow::metrics::EpochRecord {
    serde_json::from_value(serde_json::json!({
        "epoch": 1, "step": 1, "samples": 1, "train": {}, "valid": null, "learning_rates": [], "grad_norm": null,
        "train_seconds": 0.0, "valid_seconds": 0.0,
    }))
    .unwrap()
}

type Boxed = Box<dyn StdError + Send + Sync>;

#[test]
fn each_cause_is_shown_once_and_frames_only_on_request() {
    use faknow::{callbacks, metrics, model, trainer};
    use faknow_data as data;
    let table: Vec<(&str, Boxed)> = vec![
        ("data", Box::new(data::Error::from(torch()))),
        ("data, other", Box::new(data::Error::other(torch()))),
        ("model", Box::new(model::Error::from(torch()))),
        ("model, other", Box::new(model::Error::other(torch()))),
        ("model of data", Box::new(model::Error::from(data::Error::from(torch())))),
        ("trainer", Box::new(trainer::Error::from(torch()))),
        ("trainer, other", Box::new(trainer::Error::other(torch()))),
        ("trainer of model", Box::new(trainer::Error::from(model::Error::from(torch())))),
        ("trainer of data", Box::new(trainer::Error::from(data::Error::from(torch())))),
        ("schedule", Box::new(trainer::schedule::ScheduleError::other(torch()))),
        ("trainer of schedule", {
            let error = trainer::schedule::ScheduleError::other(torch());
            Box::new(trainer::Error::from(error))
        }),
        ("hook", Box::new(hook(|| Box::new(torch())))),
        ("trainer of hook", Box::new(trainer::Error::from(hook(|| Box::new(torch()))))),
        ("faknow", Box::new(faknow::Error::other(torch()))),
        ("faknow of data", Box::new(faknow::Error::from(data::Error::from(torch())))),
        ("faknow of model", Box::new(faknow::Error::from(model::Error::from(torch())))),
        ("faknow of callbacks", Box::new(faknow::Error::from(hook(|| Box::new(torch()))))),
    ];
    for (name, error) in &table {
        check(name, error.as_ref(), &["shape '[4]' is invalid for input of size 6"]);
    }
    let causes = ["over budget", "1000 tokens"];
    let table: Vec<(&str, Boxed)> = vec![
        ("data", Box::new(data::Error::other(custom()))),
        ("metrics", Box::new(metrics::Error::other(custom()))),
        ("model", Box::new(model::Error::other(custom()))),
        ("trainer", Box::new(trainer::Error::other(custom()))),
        ("trainer of metrics", Box::new(trainer::Error::from(metrics::Error::other(custom())))),
        ("trainer of model", Box::new(trainer::Error::from(model::Error::other(custom())))),
        ("schedule", Box::new(trainer::schedule::ScheduleError::other(custom()))),
        ("hook", Box::new(hook(|| Box::new(custom())))),
        (
            "callbacks, io",
            Box::new(callbacks::Error::io("file", io::Error::other("over budget: 1000 tokens"))),
        ),
        ("data, io", Box::new(data::Error::io("file", io::Error::other("over budget: 1000 tokens")))),
        ("faknow", Box::new(faknow::Error::other(custom()))),
        ("faknow, io", Box::new(faknow::Error::io("file", io::Error::other("over budget: 1000 tokens")))),
        ("faknow of metrics", Box::new(faknow::Error::from(metrics::Error::other(custom())))),
    ];
    for (name, error) in &table {
        check(name, error.as_ref(), &causes);
    }
}

/// Checks the message with its chain of sources, which `{:#}` of `anyhow` prints, and the debug form.
fn check(name: &str, error: &(dyn StdError + 'static), causes: &[&str]) {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        chain = format!("{chain}: {source}");
        next = source.source();
    }
    for cause in causes {
        assert_eq!(chain.matches(cause).count(), 1, "{name}: {chain}");
    }
    assert!(!chain.contains("frame #") && !chain.contains("Exception raised"), "{name}: {chain}");
    let debug = format!("{error:?}");
    for cause in causes {
        assert!(debug.matches(cause).count() <= 1, "{name}: {debug}");
    }
    let wants_frames = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    assert_eq!(debug.contains("frame #"), wants_frames && causes.len() == 1, "{name}: {debug}");
}
