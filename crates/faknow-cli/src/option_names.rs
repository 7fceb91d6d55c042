//! Replaces config keys in error messages by the names of the options that set them.

/// Config keys, and the options that set them.
const OPTIONS: [(&str, &str); 37] = [
    ("data.train", "--train"),
    ("data.valid", "--valid"),
    ("data.test", "--test"),
    ("data.trees", "--trees"),
    ("data.labels", "--labels"),
    ("data.train_ids", "--train-ids"),
    ("data.valid_ids", "--valid-ids"),
    ("data.test_ids", "--test-ids"),
    ("data.upfd", "--upfd"),
    ("data.fang", "--fang"),
    ("data.feature", "--feature"),
    ("data.split_by_event", "--split-by-event"),
    ("data.split", "--valid-fraction"),
    ("data.text", "--text"),
    ("data.label", "--label"),
    ("data.domain", "--domain"),
    ("data.image", "--image"),
    ("data.image_dir", "--image-dir"),
    ("data.entities", "--entities"),
    ("data.comments", "--comments"),
    ("data.features", "--features"),
    ("data.classes", "--classes"),
    ("data.values", "--classes"),
    ("data.drop_classes", "--drop-classes"),
    ("data.skip_broken", "--skip-broken"),
    ("data.format", "--format"),
    ("data.encoding", "--encoding"),
    ("data.delimiter", "--delimiter"),
    ("data.header", "--no-header"),
    ("data.quotes", "--no-quotes"),
    ("text.language", "--language"),
    ("text.encoder", "--encoder"),
    ("image.encoder", "--image-encoder"),
    ("trainer.epochs", "--epochs"),
    ("seed", "--seed"),
    ("device", "--device"),
    ("threads", "--threads"),
];

/// The start of a setting of the reader in a message, and the option that sets it.
const READER: [(&str, &str); 5] = [
    ("`encoding = ", "`--encoding "),
    ("`delimiter = ", "`--delimiter "),
    ("`format = ", "`--format "),
    ("`header = false`", "`--no-header`"),
    ("`quotes = false`", "`--no-quotes`"),
];

/// Messages about missing settings, and the options that provide them.
const MISSING: [(&str, &str); 4] = [
    ("`data.train`: no training file", "use `--train FILE`"),
    ("`data.labels`: no labels of the trees", "use `--labels FILE`"),
    ("`data.fang`: no graph of articles", "use `--fang DIR`"),
    (
        "`data.trees`: no trees",
        "use `--trees FILE`, `--upfd DIR` or, for trees as JSON lines, `--train FILE`",
    ),
];

/// Returns an error message with the options of the program instead of settings of the reader: `--encoding gbk` for `encoding = gbk`.
pub(crate) fn reader_settings_in_options(message: &str) -> String {
    READER.iter().fold(message.to_owned(), |text, (setting, option)| text.replace(setting, option))
}

/// Returns an error message with option names instead of config keys, if its setting was given as an option.
pub(crate) fn in_options(message: &str, arguments: &[String]) -> String {
    let key = message.strip_prefix('`').and_then(|rest| rest.split('`').next());
    let option = OPTIONS.iter().find(|(name, _)| Some(*name) == key).map(|(_, option)| *option);
    let is_given = |option: &str| {
        let matches = |argument: &String| argument == option || argument.starts_with(&format!("{option}="));
        arguments.iter().any(matches)
    };
    // `--set` takes precedence over the other options.
    let is_set = |key: &str| arguments.iter().any(|argument| argument.starts_with(&format!("{key}=")));
    if let Some((_, help)) = MISSING.iter().find(|(start, _)| *start == message) {
        return format!("{message}; {help}");
    }
    if !option.is_some_and(is_given) || key.is_some_and(is_set) {
        return message.to_owned();
    }
    let rename = |text: String, (key, option): &(&str, &str)| {
        text.replace(&format!("`{key}`"), &format!("`{option}`"))
    };
    OPTIONS.iter().fold(message.to_owned(), rename)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_options_instead_of_settings() {
        let check = |message: &str, arguments: &[&str], expected: &str| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            assert_eq!(in_options(message, &arguments), expected);
        };
        let message = "`data.test`: got trees of `data.trees`";
        check(message, &["--test", "x", "--trees=y"], "`--test`: got trees of `--trees`");
        check(message, &["--trees", "y", "--set", "data.test=x"], message);
        check("`data.text`: x", &["--text", "y", "--set", "data.text=3"], "`data.text`: x");
        check("`optimizer.lr`: x", &["--seed", "1"], "`optimizer.lr`: x");
        check("no such file", &["--train", "x"], "no such file");
        let message = "expected gbk, got valid UTF-8; read it with `encoding = utf-8`, and `quotes = false`";
        let expected = "expected gbk, got valid UTF-8; read it with `--encoding utf-8`, and `--no-quotes`";
        assert_eq!(reader_settings_in_options(message), expected);
        check("`data.train`: no training file", &[], "`data.train`: no training file; use `--train FILE`");
    }
}
