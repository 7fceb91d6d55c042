//! Graceful shutdown of a run by Ctrl-C, another signal, or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::flag;

use crate::system::signals::StopSignal;
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
    /// Number of the signal that made the request; 0 if none did.
    signal: Arc<AtomicUsize>,
    /// Whether any signal terminates the program, since no run checks the request.
    is_unchecked: Arc<AtomicBool>,
    /// Whether another direct signal terminates the program, since it is the second one.
    is_repeated: Arc<AtomicBool>,
    /// Number of guards that are alive: runs that check the request.
    n_guards: AtomicUsize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            is_requested: Arc::default(),
            signal: Arc::default(),
            is_unchecked: Arc::new(AtomicBool::new(true)),
            is_repeated: Arc::default(),
            n_guards: AtomicUsize::default(),
        }
    }
}

/// Whether signal handlers are installed in this process.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

impl Interrupt {
    /// Creates a request that is made by the [signals](crate::STOP_SIGNALS) that ask a program to stop: Ctrl-C (SIGINT),
    /// SIGTERM, and, unless they are ignored when it is called (as with `nohup`), SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU. For
    /// programs: it can be called once per process.
    ///
    /// The second SIGINT or SIGTERM, and any signal that arrives while no run checks the request, terminates the program
    /// immediately with exit code 130; files on disk stay consistent.
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
        for signal in StopSignal::handled() {
            interrupt.register(signal).map_err(|error| signals_error(error.to_string()))?;
        }
        Ok(interrupt)
    }

    /// Installs the handler of a signal.
    fn register(&self, signal: &StopSignal) -> std::io::Result<()> {
        let Request { is_requested, signal: cause, is_unchecked, is_repeated, .. } = &*self.0;
        let number = signal.number;
        // In this order: the first signal sets the flag by which the second terminates the program. It does so without
        // running destructors, since those of libtorch crash while its threads are running.
        flag::register_conditional_shutdown(number, EXIT_CODE, Arc::clone(is_unchecked))?;
        if signal.is_direct {
            flag::register_conditional_shutdown(number, EXIT_CODE, Arc::clone(is_repeated))?;
            flag::register(number, Arc::clone(is_repeated))?;
        }
        flag::register_usize(number, Arc::clone(cause), usize::try_from(number).unwrap_or(0))?;
        flag::register(number, Arc::clone(is_requested))?;
        Ok(())
    }

    /// Makes the request.
    pub fn request(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
    }

    /// Returns whether the request has been made.
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::SeqCst)
    }

    /// Returns an error if the request has been made.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_requested() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Returns the latest signal that made the request; `None` if no signal did.
    pub fn signal(&self) -> Option<&'static StopSignal> {
        StopSignal::with_number(self.0.signal.load(Ordering::SeqCst))
    }

    /// Withdraws the request, so that a run can continue.
    pub fn clear(&self) {
        self.0.is_requested.store(false, Ordering::SeqCst);
        self.0.is_repeated.store(false, Ordering::SeqCst);
        self.0.signal.store(0, Ordering::SeqCst);
    }

    /// Declares that the request is checked while the guard is alive, so that the first signal does not terminate the
    /// program. A trainer does this itself; a program with several runs in a row does it for the time between them.
    pub fn install(&self) -> InterruptGuard {
        if self.0.n_guards.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.is_unchecked.store(false, Ordering::SeqCst);
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
            request.is_unchecked.store(true, Ordering::SeqCst);
        }
    }
}
