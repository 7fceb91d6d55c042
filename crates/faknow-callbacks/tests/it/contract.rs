//! The callback contract: order of the hooks, precedence of errors and stops, panics.

use std::sync::Arc;

use expect_test::expect;
use faknow_callbacks::{
    BatchEnd, Callback, Callbacks, EarlyStopping, Error, Flow, HookResult, Recorder, Run, SavedCheckpoint,
    State, StopReason, on_batch_end, on_epoch_end,
};

use crate::common;

#[test]
fn hooks_are_called_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut callbacks = common::one(recorder.clone());
    let mut run = common::run(dir.path());
    common::fit(&mut run, &mut callbacks, &[Some(0.5), Some(0.6)]).unwrap();
    common::test(&mut run, &mut callbacks).unwrap();
    callbacks.on_fit_end(&mut run, Err(&std::io::Error::other("late"))).unwrap();
    expect![[r#"
        on_fit_start             epoch 0, batch 0, step 0: new, 20 epochs of 2 batches
        on_epoch_start           epoch 1, batch 0, step 0
        on_batch_start           epoch 1, batch 0, step 0
        on_batch_end             epoch 1, batch 1, step 1: 8 samples
        on_batch_start           epoch 1, batch 1, step 1
        on_batch_end             epoch 1, batch 2, step 2: 8 samples
        on_evaluation_start      epoch 1, batch 2, step 2: validation
        on_evaluation_batch_end  epoch 1, batch 2, step 2: validation, 1 of 1
        on_evaluation_end        epoch 1, batch 2, step 2: validation, best is epoch 1, step 2
        on_epoch_end             epoch 1, batch 2, step 2: best is epoch 1, step 2
        on_epoch_start           epoch 2, batch 0, step 2
        on_batch_start           epoch 2, batch 0, step 2
        on_batch_end             epoch 2, batch 1, step 3: 8 samples
        on_batch_start           epoch 2, batch 1, step 3
        on_batch_end             epoch 2, batch 2, step 4: 8 samples
        on_evaluation_start      epoch 2, batch 2, step 4: validation
        on_evaluation_batch_end  epoch 2, batch 2, step 4: validation, 1 of 1
        on_evaluation_end        epoch 2, batch 2, step 4: validation, best is epoch 2, step 4
        on_epoch_end             epoch 2, batch 2, step 4: best is epoch 2, step 4
        on_fit_end               epoch 2, batch 2, step 4: all epochs done
        on_evaluation_start      epoch 2, batch 2, step 4: test
        on_evaluation_batch_end  epoch 2, batch 2, step 4: test, 1 of 1
        on_evaluation_end        epoch 2, batch 2, step 4: test, 2 samples
        on_fit_end               epoch 2, batch 2, step 4: error: late"#]]
    .assert_eq(&recorder.text());
}

#[test]
fn all_callbacks_are_called_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(EarlyStopping::new(1));
    callbacks.push(on_epoch_end(|_, record| {
        if record.epoch < 2 {
            return Ok(Flow::Continue);
        }
        Ok(Flow::stop("second stop"))
    }));
    callbacks.push(recorder.clone());
    let reason =
        common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5), Some(0.4), Some(0.6)]);
    assert_eq!(reason.unwrap(), StopReason::EarlyStopping { monitor: "f1".to_owned(), patience: 1 });
    let events = recorder.events();
    let ends: Vec<_> = events[events.len() - 2..].iter().map(|event| (event.hook, event.epoch)).collect();
    assert_eq!(ends, [("on_epoch_end", 2), ("on_fit_end", 2)]);
    assert_eq!(events[events.len() - 1].detail, "f1 did not improve in 1 validations");
}

#[test]
fn panic_becomes_error_with_name_of_callback() {
    struct Panicking<T>(T);
    impl<T: Send + 'static> Callback for Panicking<T> {
        fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
            panic!("step {}", run.step());
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut callbacks = Callbacks::default();
    callbacks.push(Panicking(Arc::new(vec![0u8])));
    callbacks.push(recorder.clone());
    let error = common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap_err();
    assert_eq!(error.to_string(), "Panicking: panicked: step 1 (in on_batch_end, epoch 1, step 1)");
    let last = recorder.events().pop().unwrap();
    assert_eq!(last.to_string(), "on_batch_end  epoch 1, batch 1, step 1: 8 samples");
}

#[test]
fn closures_can_change_the_run_and_fail() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = Callbacks::default();
    callbacks.push(on_epoch_end(|run, _| {
        run.learning_rates[0] /= 2.0;
        Ok(Flow::Continue)
    }));
    callbacks.push(on_batch_end(|run, batch| match run.step() {
        5 => Err(format!("loss {}", batch.read_loss()?).into()),
        _ => Ok(Flow::Continue),
    }));
    let mut run = common::run(dir.path());
    let error = common::fit(&mut run, &mut callbacks, &[Some(0.5); 5]).unwrap_err();
    assert_eq!(error.to_string(), "on_batch_end: loss 0.2 (in on_batch_end, epoch 3, step 5)");
    assert_eq!(run.learning_rates, [0.00025]);
    assert_eq!(format!("{callbacks:?}"), r#"["on_epoch_end", "on_batch_end"]"#);
}

#[test]
fn rejects_loss_that_is_not_a_scalar() {
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

/// Counts updates in increments of `by`.
struct Counter {
    key: Option<&'static str>,
    by: u64,
    count: u64,
}

impl Callback for Counter {
    fn key(&self) -> Option<&str> {
        self.key
    }

    fn state(&self) -> HookResult<State> {
        let tensors = [("count".to_owned(), tch::Tensor::from(self.count as i64))].into();
        Ok(State { values: serde_json::json!({ "count": self.count }), tensors })
    }

    fn restore(&mut self, state: &State) -> HookResult {
        self.count = state.values["count"].as_u64().ok_or("no count")?;
        assert_eq!(state.tensors["count"].int64_value(&[]), self.count as i64);
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.count += self.by;
        Ok(Flow::Continue)
    }
}

fn counters(counters: &[(Option<&'static str>, u64)]) -> Callbacks {
    let mut callbacks = Callbacks::default();
    for &(key, by) in counters {
        callbacks.push(Counter { key, by, count: 0 });
    }
    callbacks
}

#[test]
fn each_callback_is_restored_from_the_state_under_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = counters(&[(Some("one"), 1), (Some("ten"), 10)]);
    callbacks.push(EarlyStopping::new(3));
    common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5), Some(0.4)]).unwrap();
    let state = callbacks.state().unwrap();
    let names: Vec<&String> = state.values.as_object().unwrap().keys().collect();
    assert_eq!(names, ["one", "ten", "early_stopping"]);
    assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["one/count", "ten/count"]);
    assert_eq!(state.values["ten"]["count"], 40);

    // In another order and with another callback: each continues from its state, the new one starts from scratch.
    let mut again = counters(&[(Some("ten"), 10), (Some("thousand"), 1000)]);
    again.push(EarlyStopping::new(3));
    again.on_fit_start(&mut common::run(dir.path())).unwrap();
    again.restore(&state).unwrap();
    let flow = again.on_batch_end(&mut common::run(dir.path()), &common::batch(0.5)).unwrap();
    assert_eq!(flow, Flow::Continue);
    let values = again.state().unwrap().values;
    assert_eq!(["ten", "thousand"].map(|key| values[key]["count"].as_u64()), [Some(50), Some(1000)]);
    assert_eq!(values["early_stopping"]["n_bad"], 1);
}

#[test]
fn keys_are_required_and_unique() {
    let error = counters(&[(Some("one"), 1), (None, 2), (Some("one"), 3)]).check_keys().unwrap_err();
    assert_eq!(
        error.to_string(),
        "callbacks Counter and Counter: expected different keys, got `one` twice; change the key of one of them"
    );
    let mut two = common::one(EarlyStopping::new(3));
    two.push(EarlyStopping::new(3).monitor("loss").with_key("early_stopping_loss"));
    two.check_keys().unwrap();
    let error = counters(&[(None, 1)]).state().unwrap_err().to_string();
    assert_eq!(error, "callback Counter: expected a key for its state, got none; implement `Callback::key`");
}

#[test]
fn callback_is_found_by_type() {
    let boxed: Box<dyn Callback> = Box::new(Counter { key: Some("boxed"), by: 1, count: 0 });
    let mut callbacks = common::one(Recorder::new());
    callbacks.push(boxed);
    let dir = tempfile::tempdir().unwrap();
    common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap();
    assert_eq!(callbacks.get::<Counter>().map(|counter| counter.count), Some(2));
    assert!(callbacks.get::<EarlyStopping>().is_none());
}

/// A custom error of a callback.
#[derive(Debug, thiserror::Error)]
#[error("over budget")]
struct OverBudget(#[source] std::io::Error);

#[test]
fn errors_retain_their_type_and_take_precedence_over_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = common::one(on_epoch_end(|_, _| Ok(Flow::stop("enough"))));
    callbacks.push(on_epoch_end(|_, _| {
        Err(OverBudget(std::io::Error::other("1000 tokens")))?;
        Ok(Flow::Continue)
    }));
    let error = common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "on_epoch_end: over budget: 1000 tokens (in on_epoch_end, epoch 1, step 2)"
    );
    let Error::Hook(hook) = &error else { panic!("{error:?}") };
    assert!(hook.error.is::<OverBudget>());
    assert!(std::error::Error::source(&error).is_none(), "the message has all causes");
}

#[test]
fn stop_has_name_of_callback() {
    let dir = tempfile::tempdir().unwrap();
    let mut callbacks = common::one(on_epoch_end(|_, _| Ok(Flow::stop("enough"))));
    let reason = common::fit(&mut common::run(dir.path()), &mut callbacks, &[Some(0.5)]).unwrap();
    assert_eq!(reason.to_string(), "on_epoch_end: enough");
}

#[test]
fn recorder_records_every_hook() {
    let hooks = |file: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("fn on_")?.split_once('('));
        names.map(|(name, _)| format!("on_{name}")).collect::<std::collections::BTreeSet<_>>()
    };
    let all = hooks("callback.rs");
    assert!(all.len() >= 10, "{all:?}");
    assert_eq!(hooks("recorder.rs"), all);

    // Called through the list of callbacks, each leaves an event of its name.
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut callbacks = common::one(recorder.clone());
    let mut run = common::run(dir.path());
    common::fit(&mut run, &mut callbacks, &[Some(0.5)]).unwrap();
    let checkpoint = SavedCheckpoint { name: "last".into(), path: dir.path().join("last") };
    callbacks.on_checkpoint(&mut run, &checkpoint).unwrap();
    let called: std::collections::BTreeSet<String> =
        recorder.hooks().iter().map(|hook| (*hook).to_owned()).collect();
    assert_eq!(called, all);
}
