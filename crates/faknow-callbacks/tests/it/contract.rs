//! The callback contract: order of the hooks, first answer counts, panics become errors.

use std::sync::Arc;

use expect_test::expect;
use faknow_callbacks::{
    BatchEnd, Callback, Callbacks, EarlyStopping, Error, Flow, Result, Run, StopReason, on_batch_end,
    on_epoch_end,
};

use crate::common::{self, Recorder};

#[test]
fn hooks_come_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recorder, hooks) = Recorder::new();
    let mut run = common::run(dir.path());
    common::fit(&mut run, &mut recorder, &[Some(0.5), Some(0.6)]).unwrap();
    common::test(&mut run, &mut recorder).unwrap();
    recorder.on_error(&mut run, "late");
    expect![[r#"
        fit_start
        epoch_start 1
        batch_end 1
        batch_end 2
        evaluation_batch_end Valid 1/1
        epoch_end 1
        epoch_start 2
        batch_end 3
        batch_end 4
        evaluation_batch_end Valid 1/1
        epoch_end 2
        fit_end completed
        evaluation_batch_end Test 1/1
        test_end
        error late"#]]
    .assert_eq(&hooks.lock().unwrap().join("\n"));
}

#[test]
fn one_that_stops_does_not_hide_the_epoch_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, hooks) = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(EarlyStopping::new(1));
    callbacks.push(on_epoch_end(|_, record| {
        if record.epoch < 2 {
            return Ok(Flow::Continue);
        }
        Ok(Flow::Stop(StopReason::Callback { callback: "second".to_owned(), message: "too".to_owned() }))
    }));
    callbacks.push(recorder);
    let reason =
        common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5), Some(0.4), Some(0.6)]);
    assert_eq!(reason.unwrap(), StopReason::EarlyStopping { monitor: "f1".to_owned(), patience: 1 });
    let hooks = hooks.lock().unwrap();
    assert_eq!(hooks[hooks.len() - 2..], ["epoch_end 2", "fit_end early_stopping"]);
}

#[test]
fn a_panic_becomes_an_error_with_the_name_of_the_callback() {
    struct Careless<T>(T);
    impl<T: Send> Callback for Careless<T> {
        fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> Result<Flow> {
            panic!("step {}", run.step);
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let (recorder, hooks) = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(Careless(Arc::new(vec![0u8])));
    callbacks.push(recorder);
    let error = common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap_err();
    assert_eq!(error.to_string(), "Careless: panicked: step 1");
    assert_eq!(hooks.lock().unwrap().last().unwrap(), "batch_end 1");
}

#[test]
fn closures_may_change_the_run_and_fail() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = Callbacks::default();
    callbacks.push(on_epoch_end(|run, _| {
        run.learning_rates[0] /= 2.0;
        Ok(Flow::Continue)
    }));
    callbacks.push(on_batch_end(|run, batch| match run.step {
        5 => {
            let message = format!("loss {}", batch.read_loss()?);
            Err(Error::Custom { callback: "mine".to_owned(), message })
        }
        _ => Ok(Flow::Continue),
    }));
    let mut run = common::run(dir.path());
    let error = common::fit(&mut run, &mut callbacks, &[Some(0.5); 5]).unwrap_err();
    assert_eq!(error.to_string(), "mine: loss 0.2");
    assert_eq!(run.learning_rates, [0.00025]);
    assert_eq!(format!("{callbacks:?}"), r#"["on_epoch_end", "on_batch_end"]"#);
}

#[test]
fn a_loss_that_is_no_scalar_is_named() {
    let batch = BatchEnd {
        n_samples: 2,
        loss: tch::Tensor::from_slice(&[1.0, 2.0]),
        parts: Vec::new(),
        grad_norm: None,
    };
    let error = batch.read_loss().unwrap_err().to_string();
    assert!(error.starts_with("loss: "), "{error}");
    assert_eq!(batch.read_grad_norm().unwrap(), None);
}
