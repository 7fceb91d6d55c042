//! The keys that stop a run, read in a thread: a terminal that has disappeared must not block the training.

use std::fs::File;
use std::io::{IsTerminal as _, Read, stdin};
use std::thread;

use faknow::trainer::Interrupt;
use signal_hook::low_level::exit;

use super::screen::restore_terminal;

/// Exit code of a program that a second key press terminated.
const EXIT_CODE: i32 = 130;

/// Starts the thread: the first key requests `interrupt`, the second ends the program immediately, as a second signal does.
/// It ends with the terminal.
pub(super) fn watch(interrupt: Interrupt) {
    let mut keys: Box<dyn Read + Send> = if stdin().is_terminal() {
        Box::new(stdin())
    } else {
        // Standard input may be a file. Without a terminal of the session, there are no keys.
        let Ok(terminal) = File::open("/dev/tty") else { return };
        Box::new(terminal)
    };
    let watch = move || {
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = keys.read(&mut buffer) {
            if !is_stop(&buffer[..n]) {
                continue;
            }
            if interrupt.is_requested() {
                restore_terminal();
                // Without destructors, since those of libtorch crash while its threads are running.
                exit(EXIT_CODE);
            }
            interrupt.request();
        }
    };
    // Without the thread, signals still stop the run.
    let _ = thread::Builder::new().name("faknow-keys".into()).spawn(watch);
}

/// Returns whether bytes of a terminal in raw mode contain q, Ctrl-C or Escape. Other keys, such as arrows, send a sequence
/// that starts with Escape.
fn is_stop(bytes: &[u8]) -> bool {
    const ESCAPE: u8 = 0x1b;
    const CTRL_C: u8 = 0x03;
    match bytes {
        [ESCAPE] => true,
        [ESCAPE, ..] => bytes.contains(&CTRL_C),
        _ => bytes.contains(&b'q') || bytes.contains(&CTRL_C),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_the_keys_that_stop() {
        for bytes in [&b"q"[..], b"\x03", b"\x1b", b"xq", b"\x1b[A\x03"] {
            assert!(is_stop(bytes), "{bytes:?}");
        }
        for bytes in [&b"x"[..], b"\x1b[A", b"\x1bOQ", b"\r"] {
            assert!(!is_stop(bytes), "{bytes:?}");
        }
    }
}
