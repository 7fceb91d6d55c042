//! Error messages in the terms of a config: serde's messages, and suggestions for misspelled names.

use faknow_data::common::most_similar;

/// Returns serde's message with the types of Rust replaced by those of a config.
pub(crate) fn config_message(message: &str) -> String {
    const TYPES: [(&str, &str); 11] = [
        ("expected usize", "expected an integer of at least 0"),
        ("expected u64", "expected an integer of at least 0"),
        ("expected i64", "expected an integer"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list, as in [\"a\", \"b\"]"),
        ("expected an array of length", "expected a list of length"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a string, in quotes: \"1\""),
        ("expected path string", "expected a path"),
        ("expected internally tagged enum OptimizerConfig", "expected a table with a `name`"),
        ("expected internally tagged enum Attack", "expected a table with a `name`"),
    ];
    let message = message.replace('\n', " ");
    match message.split_once("expected struct ") {
        Some((start, _)) => format!("{start}expected a table of settings"),
        None => TYPES.iter().fold(message, |text, (rust, config)| text.replace(rust, config)),
    }
}

/// Returns `; did you mean …?` with the most similar of the known names, or nothing if none is similar.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    most_similar(name, known).map(|similar| format!("; did you mean `{similar}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_similar_names() {
        let known = ["textcnn", "bigcn", "ebgcn"];
        assert_eq!(did_you_mean("textcn", known), "; did you mean `textcnn`?");
        assert_eq!(did_you_mean("bigc", known), "; did you mean `bigcn`?");
        assert_eq!(did_you_mean("bert", known), "");
        assert_eq!(did_you_mean("textcnn", []), "");
    }
}
