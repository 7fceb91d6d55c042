//! The callback contract: order of the hooks, first answer counts, panics become errors.

use std::sync::Arc;

use expect_test::expect;
use faknow_callbacks::{
    BatchEnd, Callback, Callbacks, EarlyStopping, Error, Flow, Recorder, Result, Run, State, StopReason,
    on_batch_end, on_epoch_end,
};

use crate::common;

#[test]
fn hooks_come_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::new();
    let mut run = common::run(dir.path());
    common::fit(&mut run, &mut recorder, &[Some(0.5), Some(0.6)]).unwrap();
    common::test(&mut run, &mut recorder).unwrap();
    recorder.on_error(&mut run, "late");
    expect![[r#"
        on_fit_start             epoch 0, batch 0, step 0: 20 epochs of 2 batches
        on_epoch_start           epoch 1, batch 0, step 0
        on_batch_start           epoch 1, batch 0, step 0
        on_batch_end             epoch 1, batch 1, step 1: 8 samples
        on_batch_start           epoch 1, batch 1, step 1
        on_batch_end             epoch 1, batch 2, step 2: 8 samples
        on_validation_start      epoch 1, batch 2, step 2
        on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 1 of 1
        on_validation_end        epoch 1, batch 2, step 2: best is epoch 1, step 2
        on_epoch_end             epoch 1, batch 2, step 2: best is epoch 1, step 2
        on_epoch_start           epoch 2, batch 0, step 2
        on_batch_start           epoch 2, batch 0, step 2
        on_batch_end             epoch 2, batch 1, step 3: 8 samples
        on_batch_start           epoch 2, batch 1, step 3
        on_batch_end             epoch 2, batch 2, step 4: 8 samples
        on_validation_start      epoch 2, batch 2, step 4
        on_evaluation_batch_end  epoch 2, batch 2, step 4: validation, 1 of 1
        on_validation_end        epoch 2, batch 2, step 4: best is epoch 2, step 4
        on_epoch_end             epoch 2, batch 2, step 4: best is epoch 2, step 4
        on_fit_end               epoch 2, batch 2, step 4: all epochs done
        on_test_start            epoch 2, batch 2, step 4
        on_evaluation_batch_end  epoch 2, batch 2, step 4: test, 1 of 1
        on_test_end              epoch 2, batch 2, step 4: 2 samples
        on_error                 epoch 2, batch 2, step 4: late"#]]
    .assert_eq(&recorder.text());
}

#[test]
fn one_that_stops_does_not_hide_the_epoch_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(EarlyStopping::new(1));
    callbacks.push(on_epoch_end(|_, record| {
        if record.epoch < 2 {
            return Ok(Flow::Continue);
        }
        Ok(Flow::Stop(StopReason::Callback { callback: "second".to_owned(), message: "too".to_owned() }))
    }));
    callbacks.push(recorder.clone());
    let reason =
        common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5), Some(0.4), Some(0.6)]);
    assert_eq!(reason.unwrap(), StopReason::EarlyStopping { monitor: "f1".to_owned(), patience: 1 });
    let events = recorder.events();
    let ends: Vec<_> = events[events.len() - 2..].iter().map(|event| (event.hook, event.epoch)).collect();
    assert_eq!(ends, [("on_epoch_end", 2), ("on_fit_end", 2)]);
    assert_eq!(events[events.len() - 1].told, "f1 did not improve in 1 validations");
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
    let recorder = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(Careless(Arc::new(vec![0u8])));
    callbacks.push(recorder.clone());
    let error = common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap_err();
    assert_eq!(error.to_string(), "Careless: panicked: step 1");
    let last = recorder.events().pop().unwrap();
    assert_eq!(last.to_string(), "on_batch_end  epoch 1, batch 1, step 1: 8 samples");
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

/// Counts updates, in steps of its own.
struct Counter {
    by: u64,
    count: u64,
}

impl Callback for Counter {
    fn state(&self) -> Result<State> {
        let tensors = [("count".to_owned(), tch::Tensor::from(self.count as i64))].into();
        Ok(State { values: serde_json::json!({ "count": self.count }), tensors })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.count = state.values["count"].as_u64().unwrap();
        assert_eq!(state.tensors["count"].int64_value(&[]), self.count as i64);
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> Result<Flow> {
        self.count += self.by;
        Ok(Flow::Continue)
    }
}

#[test]
fn callbacks_of_one_name_have_each_its_own_state() {
    let row = |by: &[u64]| {
        let mut callbacks = Callbacks::default();
        for &by in by {
            callbacks.push(EarlyStopping::new(3));
            callbacks.push(Counter { by, count: 0 });
        }
        callbacks
    };
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = row(&[1, 10, 100]);
    common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5), Some(0.4)]).unwrap();
    let state = callbacks.state().unwrap();
    let names: Vec<&String> = state.values.as_object().unwrap().keys().collect();
    let expected =
        ["EarlyStopping", "Counter", "EarlyStopping-2", "Counter-2", "EarlyStopping-3", "Counter-3"];
    assert_eq!(names, expected);
    assert_eq!(
        state.tensors.keys().collect::<Vec<_>>(),
        ["Counter-2/count", "Counter-3/count", "Counter/count"]
    );
    assert_eq!(state.values["Counter-2"]["count"], 40);

    // Each goes on where it was; one that was not there begins afresh.
    let mut again = row(&[1, 10, 100, 1000]);
    again.on_fit_start(&mut common::run(dir.path())).unwrap();
    again.restore(&state).unwrap();
    let flow = again.on_batch_end(&mut common::run(dir.path()), &common::batch(0.5)).unwrap();
    assert_eq!(flow, Flow::Continue);
    let counts = |callbacks: &Callbacks| {
        let values = callbacks.state().unwrap().values;
        ["Counter", "Counter-2", "Counter-3", "Counter-4"].map(|name| values[name]["count"].as_u64())
    };
    assert_eq!(counts(&again), [Some(5), Some(50), Some(500), Some(1000)]);
    assert_eq!(again.state().unwrap().values["EarlyStopping-3"]["n_bad"], 1);
}
