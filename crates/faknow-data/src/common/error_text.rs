//! Error messages with their causes, without C++ stack frames.

use std::error::Error;
use std::sync::LazyLock;

use tch::TchError;

use super::OtherError;

/// Returns the messages of an error and its causes, separated by colons; causes that the text already contains and C++ stack
/// frames of libtorch are omitted.
///
/// ```
/// let cause = std::io::Error::other("no more room");
/// assert_eq!(faknow_data::common::describe(&cause), "no more room");
/// ```
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let message = |error: &dyn Error| before_frames(&error.to_string()).to_owned();
    let mut text = message(error);
    let mut next = error.source();
    while let Some(cause) = next {
        let message = message(cause);
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

/// Removes the C++ stack frames after the message of a libtorch error, for its `Debug` output; if `RUST_BACKTRACE` is set, the
/// error is unchanged.
pub fn strip_frames(error: TchError) -> TchError {
    static HAS_BACKTRACE: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0"));
    match error {
        TchError::Torch(text) if !*HAS_BACKTRACE => TchError::Torch(before_frames(&text).to_owned()),
        other => other,
    }
}

/// Applies [`strip_frames`] to an error of any type.
pub fn strip_any_frames(error: OtherError) -> OtherError {
    match error.downcast::<TchError>() {
        Ok(error) => Box::new(strip_frames(*error)),
        Err(error) => error,
    }
}

/// Returns the message of a libtorch error, without C++ stack frames.
pub fn torch_message(error: &TchError) -> String {
    before_frames(&error.to_string()).to_owned()
}

/// Returns the part of a message before the C++ stack frames.
pub(super) fn before_frames(text: &str) -> &str {
    let frames = ["\nException raised from ", "\nframe #0"].iter().filter_map(|start| text.find(start)).min();
    text[..frames.unwrap_or(text.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn describe_contains_every_cause_once() {
        let check = |layers: &[&'static str], expected: &str| {
            let error = layers.iter().rev().fold(None, |source, text| {
                let source = source.map(Box::new);
                Some(Layer { text, source })
            });
            assert_eq!(describe(&error.unwrap()), expected);
        };
        check(&["a"], "a");
        check(&["cannot read", "no such file"], "cannot read: no such file");
        check(&["x.csv: no such file", "no such file", "code 2"], "x.csv: no such file: code 2");
    }

    #[test]
    fn torch_messages_have_no_frames() {
        let error = tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU)
            .f_matmul(&tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU))
            .unwrap_err();
        let text = torch_message(&error);
        assert!(text.contains("mat1 and mat2 shapes cannot be multiplied"), "{text}");
        assert!(!text.contains("frame #") && !text.contains('\n'), "{text}");
        let has_backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        assert_eq!(format!("{:?}", strip_frames(error)).contains("frame #"), has_backtrace);
    }
}
