//! Utilities shared by several crates: atomic file writes, messages of panics and errors, and safe texts for messages.

mod atomic_file;
mod error_text;
mod other_error;
mod panic_message;
mod printable;
mod shell_word;
mod similar;

pub use atomic_file::{
    AtomicFile, is_temporary, remove_temporary_files, sync_dir, write_atomically, write_path_atomically,
};
pub use error_text::{describe, strip_any_frames, strip_frames, torch_message};
#[doc(hidden)]
pub use other_error::{JsonError, OtherError};
pub use panic_message::panic_message;
pub use printable::{
    is_invisible, printable, printable_lines, printable_message, printable_name, printable_names,
    printable_path, without_invisible,
};
pub use shell_word::shell_word;
pub use similar::most_similar;
