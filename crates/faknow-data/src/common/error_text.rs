//! Errors in words: every cause once, and no C++ frames unless they are asked for.

use std::error::Error;
use std::sync::LazyLock;

use tch::TchError;

/// Returns what an error and its causes say, separated by colons; a cause that the text before it contains is left out.
///
/// ```
/// let cause = std::io::Error::other("no more room");
/// assert_eq!(faknow_data::common::describe(&cause), "no more room");
/// ```
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// Returns libtorch's error without the C++ frames that follow its message, for the debug form of errors; with
/// `RUST_BACKTRACE` set it is returned as it is.
pub fn strip_frames(error: TchError) -> TchError {
    static KEEPS_FRAMES: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0"));
    match error {
        TchError::Torch(text) if !*KEEPS_FRAMES => TchError::Torch(message(&text).to_owned()),
        other => other,
    }
}

/// Returns what libtorch says in words, without C++ frames.
pub fn torch_message(error: &TchError) -> String {
    message(&error.to_string()).to_owned()
}

/// The part of a message before the C++ frames.
pub(super) fn message(text: &str) -> &str {
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
    fn every_cause_is_said_once() {
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
    fn frames_are_left_out() {
        let error = tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU)
            .f_matmul(&tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU))
            .unwrap_err();
        let text = torch_message(&error);
        assert!(text.contains("mat1 and mat2 shapes cannot be multiplied"), "{text}");
        assert!(!text.contains("frame #") && !text.contains('\n'), "{text}");
        let are_kept = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        assert_eq!(format!("{:?}", strip_frames(error)).contains("frame #"), are_kept);
    }
}
