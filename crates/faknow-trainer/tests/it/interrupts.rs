//! Requests that stop a test or an evaluation.

use faknow_callbacks::StopReason;
use faknow_metrics::Metrics;
use faknow_trainer::{Error, Interrupt, evaluate_until};
use tch::Device;

use crate::at_hook::AtHook;
use crate::toy::{train_data, trainer, valid_data};

#[test]
fn request_during_a_test_ends_it() {
    let interrupt = Interrupt::default();
    let handle = interrupt.clone();
    let request = AtHook(move |_: &mut _, hook| {
        if hook == "on_evaluation_batch_end" {
            handle.request();
        }
        Ok(())
    });
    let mut trainer = trainer().interrupt(interrupt.clone()).callback(request).build().unwrap();
    assert!(matches!(trainer.test(&valid_data()), Err(Error::Interrupted)));
    // A request that was made before, such as during the fit, does not prevent a test.
    assert!(trainer.test(&valid_data()).is_ok());
    interrupt.request();
    assert_eq!(trainer.fit(&train_data(), None).unwrap().stop_reason, StopReason::Interrupted);
    assert!(trainer.test(&valid_data()).is_ok());
}

#[test]
fn evaluation_ends_at_a_request() {
    let trainer = trainer().build().unwrap();
    let interrupt = Interrupt::default();
    let evaluate =
        || evaluate_until(trainer.model(), &valid_data(), &Metrics::empty(), Device::Cpu, &interrupt);
    assert!(evaluate().is_ok());
    interrupt.request();
    assert!(matches!(evaluate(), Err(Error::Interrupted)));
    assert_eq!(interrupt.signal(), None);
}
