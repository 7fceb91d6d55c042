//! Messages of serde in the words of a config.

/// Serde's message with the names of Rust's types in words.
pub(crate) fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 11] = [
        ("expected usize", "expected a whole number of at least 0"),
        ("expected u64", "expected a whole number of at least 0"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list, as in [\"a\", \"b\"]"),
        ("expected an array of length", "expected a list of length"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text; quotes make one: \"1\""),
        ("expected path string", "expected a path"),
        ("expected internally tagged enum OptimizerConfig", "expected a table with a `name`"),
        ("expected internally tagged enum Attack", "expected a table with a `name`"),
    ];
    let message = message.replace('\n', " ");
    match message.split_once("expected struct ") {
        Some((start, _)) => format!("{start}expected a table of settings"),
        None => WORDS.iter().fold(message, |text, (rust, words)| text.replace(rust, words)),
    }
}
