//! Graceful shutdown of a run by Ctrl-C, SIGTERM, or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, Result};

/// Exit code of a program that a signal terminated, as in shells.
const EXIT_CODE: i32 = 130;

/// A request to stop a run after the current batch.
///
/// Clones are handles to the same request. A trainer checks it after each batch; when it has been made, the trainer
/// writes the checkpoint `last`, closes its logs, and returns
/// [`StopReason::Interrupted`](faknow_callbacks::StopReason::Interrupted).
///
/// ```
/// use faknow_trainer::Interrupt;
///
/// let interrupt = Interrupt::default();
/// let handle = interrupt.clone();
/// std::thread::spawn(move || handle.request()).join().unwrap();
/// assert!(interrupt.is_requested());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Request>);

#[derive(Debug)]
struct Request {
    is_requested: Arc<AtomicBool>,
    /// Whether the next signal terminates the program: no run checks the request, or it is the second signal.
    is_immediate: Arc<AtomicBool>,
    /// Number of guards that are alive: runs that check the request.
    n_guards: AtomicUsize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            is_requested: Arc::default(),
            is_immediate: Arc::new(AtomicBool::new(true)),
            n_guards: AtomicUsize::default(),
        }
    }
}

/// Whether signal handlers are installed in this process.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

impl Interrupt {
    /// Creates a request that is made by Ctrl-C and SIGTERM. For programs: it can be called once per process.
    ///
    /// The second signal, and any that arrives while no run checks the request, terminates the program immediately with
    /// exit code 130; files on disk stay consistent.
    ///
    /// # Errors
    /// Another request of this process handles these signals, or the system rejects the handler.
    pub fn on_signals() -> Result<Self> {
        let signals_error = |message: String| Error::Signals { message };
        if IS_INSTALLED.swap(true, Ordering::SeqCst) {
            return Err(signals_error(
                "another request of this process handles them; use clones of that one".into(),
            ));
        }
        let interrupt = Self::default();
        let Request { is_requested, is_immediate, .. } = &*interrupt.0;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal sets the flag by which the second terminates the program. It does so without
            // running destructors, since those of libtorch crash while its threads are running.
            flag::register_conditional_shutdown(signal, EXIT_CODE, Arc::clone(is_immediate))
                .and_then(|_| flag::register(signal, Arc::clone(is_immediate)))
                .and_then(|_| flag::register(signal, Arc::clone(is_requested)))
                .map_err(|error| signals_error(error.to_string()))?;
        }
        Ok(interrupt)
    }

    /// Makes the request.
    pub fn request(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
    }

    /// Returns whether the request has been made.
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::SeqCst)
    }

    /// Withdraws the request, so that a run can continue.
    pub fn clear(&self) {
        self.0.is_requested.store(false, Ordering::SeqCst);
        let is_checked = self.0.n_guards.load(Ordering::SeqCst) > 0;
        self.0.is_immediate.store(!is_checked, Ordering::SeqCst);
    }

    /// Declares that the request is checked while the guard is alive, so that the first signal does not terminate the
    /// program. A trainer does this itself; a program with several runs in a row does it for the time between them.
    pub fn install(&self) -> InterruptGuard {
        if self.0.n_guards.fetch_add(1, Ordering::SeqCst) == 0 && !self.is_requested() {
            self.0.is_immediate.store(false, Ordering::SeqCst);
        }
        InterruptGuard(self.clone())
    }
}

/// Declares, while it is alive, that a request is checked; see [`Interrupt::install`].
#[derive(Debug)]
#[must_use = "the request is checked only while this guard is alive"]
pub struct InterruptGuard(Interrupt);

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        let request = &self.0.0;
        if request.n_guards.fetch_sub(1, Ordering::SeqCst) == 1 {
            request.is_immediate.store(true, Ordering::SeqCst);
        }
    }
}
