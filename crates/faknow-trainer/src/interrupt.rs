//! Asking a run to end in good order: Ctrl-C, SIGTERM, or another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Error, Result};

/// Exit code of a program that a signal ended, as shells have it.
const EXIT_CODE: i32 = 130;

/// A request to end a run after the present batch.
///
/// Clones are handles to one request. A trainer that is given one looks at it after each batch; when it was made,
/// the trainer writes the checkpoint `last`, closes its logs, and answers
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

#[derive(Debug, Default)]
struct Request {
    made: AtomicBool,
    /// Runs that would honour it now.
    listeners: AtomicUsize,
}

impl Interrupt {
    /// A request that Ctrl-C and SIGTERM make; once in a process, for programs.
    ///
    /// The second signal, and any that comes while no run would honour it, ends the program at once with exit
    /// code 130; what is on disk stays whole.
    ///
    /// # Errors
    /// Something else handles these signals in this process already.
    pub fn on_signals() -> Result<Self> {
        let interrupt = Self::default();
        let seen = interrupt.clone();
        ctrlc::set_handler(move || {
            if seen.0.listeners.load(Ordering::SeqCst) == 0 || seen.is_requested() {
                std::process::exit(EXIT_CODE);
            }
            seen.request();
        })
        .map_err(|error| Error::Signals { message: error.to_string() })?;
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

    /// Takes the request back, so that a run can go on.
    pub fn clear(&self) {
        self.0.made.store(false, Ordering::SeqCst);
    }

    /// Says that the request is honoured as long as the answer lives, so that the first signal does not end the program.
    /// A trainer says so by itself; who does several runs in a row says it for the time between them.
    pub fn listen(&self) -> Listening {
        self.0.listeners.fetch_add(1, Ordering::SeqCst);
        Listening(self.clone())
    }
}

/// Someone who honours a request, see [`Interrupt::listen`].
#[derive(Debug)]
#[must_use = "the request is honoured only as long as this lives"]
pub struct Listening(Interrupt);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.0.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}
