//! Asking a run to end in good order: Ctrl-C, SIGTERM, or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, Result};

/// Exit code of a program that a signal ended, as shells have it.
const EXIT_CODE: i32 = 130;

/// A request to end a run after the present batch.
///
/// Clones are handles to one request. A trainer that is given one looks at it after each batch; when it was made,
/// the trainer writes the checkpoint `last`, closes its logs, and returns
/// [`StopReason::Interrupted`](faknow_callbacks::StopReason::Interrupted).
///
/// ```
/// use faknow_trainer::Interrupt;
///
/// let interrupt = Interrupt::default();
/// let elsewhere = interrupt.clone();
/// std::thread::spawn(move || elsewhere.request()).join().unwrap();
/// assert!(interrupt.is_requested());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Request>);

#[derive(Debug)]
struct Request {
    made: Arc<AtomicBool>,
    /// Whether the next signal ends the program: nobody honors the request, or it was the second.
    ends_at_once: Arc<AtomicBool>,
    /// Runs that would honor it now.
    listeners: AtomicUsize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            made: Arc::default(),
            ends_at_once: Arc::new(AtomicBool::new(true)),
            listeners: AtomicUsize::default(),
        }
    }
}

/// Whether a request listens to signals already.
static LISTENS: AtomicBool = AtomicBool::new(false);

impl Interrupt {
    /// A request that Ctrl-C and SIGTERM make; once in a process, for programs.
    ///
    /// The second signal, and any that comes while no run would honor it, ends the program at once with exit
    /// code 130; what is on disk stays whole.
    ///
    /// # Errors
    /// Another request listens to these signals in this process, or the system refuses.
    pub fn on_signals() -> Result<Self> {
        let refuse = |message: String| Error::Signals { message };
        if LISTENS.swap(true, Ordering::SeqCst) {
            return Err(refuse("another request of this process does; hand out clones of that one".into()));
        }
        let interrupt = Self::default();
        let Request { made, ends_at_once, .. } = &*interrupt.0;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal leaves the mark by which the second ends the program. It ends without
            // destructors, since those of libtorch crash while its threads are at work.
            flag::register_conditional_shutdown(signal, EXIT_CODE, Arc::clone(ends_at_once))
                .and_then(|_| flag::register(signal, Arc::clone(ends_at_once)))
                .and_then(|_| flag::register(signal, Arc::clone(made)))
                .map_err(|error| refuse(error.to_string()))?;
        }
        Ok(interrupt)
    }

    /// Asks for the end.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::SeqCst);
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.made.load(Ordering::SeqCst)
    }

    /// Takes the request back, so that a run can continue.
    pub fn clear(&self) {
        self.0.made.store(false, Ordering::SeqCst);
        let is_honored = self.0.listeners.load(Ordering::SeqCst) > 0;
        self.0.ends_at_once.store(!is_honored, Ordering::SeqCst);
    }

    /// Says that the request is honored as long as the answer lives, so that the first signal does not end the program.
    /// A trainer says so by itself; who does several runs in a row says it for the time between them.
    pub fn install(&self) -> InterruptGuard {
        if self.0.listeners.fetch_add(1, Ordering::SeqCst) == 0 && !self.is_requested() {
            self.0.ends_at_once.store(false, Ordering::SeqCst);
        }
        InterruptGuard(self.clone())
    }
}

/// Someone who honors a request, see [`Interrupt::install`].
#[derive(Debug)]
#[must_use = "the request is honored only as long as this lives"]
pub struct InterruptGuard(Interrupt);

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        let request = &self.0.0;
        if request.listeners.fetch_sub(1, Ordering::SeqCst) == 1 {
            request.ends_at_once.store(true, Ordering::SeqCst);
        }
    }
}
