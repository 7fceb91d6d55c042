//! What fails only to show something does not end a run.
#![expect(clippy::unwrap_used, reason = "a failing test shows the line")]

use std::io::{self, Write};

use faknow_callbacks::{
    BatchEnd, Callback, Callbacks, Flow, HookResult, LevelFilter, Progress, ProgressWriter, Recorder, Run,
    RunOwner, StopReason, console_subscriber,
};
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// Ways in which a destination fails.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Write,
    Flush,
    Panic,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Write => Err(io::Error::from_raw_os_error(5)),
            Self::Flush => Ok(bytes.len()),
            Self::Panic => panic!("no terminal"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// A display that fails in the hooks of batches.
struct Failing(Broken);

impl Callback for Failing {
    fn is_display(&self) -> bool {
        true
    }

    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.0.write_all(b"batch")?;
        self.0.flush()?;
        Ok(Flow::Continue)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        assert!(!matches!(self.0, Broken::Panic), "no terminal to restore");
    }
}

/// Calls the hooks of a fit.
fn fit(callbacks: &mut Callbacks) {
    let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
    callbacks.on_fit_start(&mut run).unwrap();
    callbacks.on_epoch_start(&mut run).unwrap();
    for _ in 0..2 {
        let batch = BatchEnd { n_samples: 1, loss: Tensor::from(1.0), parts: Vec::new(), grad_norm: None };
        assert_eq!(callbacks.on_batch_end(&mut run, &batch).unwrap(), Flow::Continue);
    }
    callbacks.on_fit_end(&mut run, Ok(&StopReason::Completed)).unwrap();
}

#[test]
fn broken_destinations_do_not_end_a_run() {
    for broken in [Broken::Write, Broken::Flush, Broken::Panic] {
        let writer = ProgressWriter::plain(broken);
        let mut callbacks = Callbacks::default();
        callbacks.push(Progress::with_writer(writer.clone()).line_every(std::time::Duration::ZERO));
        tracing::subscriber::with_default(console_subscriber(LevelFilter::DEBUG, &writer), || {
            tracing::warn!("a log line");
            fit(&mut callbacks);
        });
        assert!(writeln!(writer.clone(), "a line").is_ok(), "{broken:?}");
        assert!(callbacks.get::<Progress>().is_some(), "{broken:?}");
    }
}

#[test]
fn failing_display_is_removed_and_the_others_continue() {
    for broken in [Broken::Write, Broken::Flush, Broken::Panic] {
        let recorder = Recorder::new();
        let mut callbacks = Callbacks::default();
        callbacks.push(Failing(broken));
        callbacks.push(recorder.clone());
        callbacks.push(Failing(broken));
        fit(&mut callbacks);
        assert!(callbacks.get::<Failing>().is_none() && callbacks.len() == 1, "{broken:?}");
        assert_eq!(recorder.events().len(), 5, "{broken:?}");
    }
}
