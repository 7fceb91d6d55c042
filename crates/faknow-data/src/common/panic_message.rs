//! Messages of panics.

use std::any::Any;

use super::error_text::before_frames;

/// Returns the message of a caught panic in one line, without libtorch's C++ frames.
///
/// ```
/// let panic = std::panic::catch_unwind(|| panic!("too long:\n  {} rows", 3)).unwrap_err();
/// assert_eq!(faknow_data::common::panic_message(&*panic), "too long: 3 rows");
/// ```
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked without a message");
    // tch panics with the `Debug` output of libtorch errors, in which line feeds are escaped.
    let text = text.replace("\\n", "\n");
    let lines = before_frames(&text).lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_panic_has_a_one_line_message() {
        let check = |panic: Box<dyn Any + Send>, expected: &str| assert_eq!(panic_message(&*panic), expected);
        check(Box::new("static"), "static");
        check(Box::new("owned\n  left: 1\n right: 2".to_owned()), "owned left: 1 right: 2");
        check(Box::new(7_u8), "panicked without a message");
        let torch = r#"called `Result::unwrap()` on an `Err` value: Torch("shapes differ\nException raised from add at x.cpp:1\nframe #0: f()")"#;
        check(
            Box::new(torch.to_owned()),
            "called `Result::unwrap()` on an `Err` value: Torch(\"shapes differ",
        );
    }
}
