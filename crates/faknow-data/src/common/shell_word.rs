//! Words of commands that messages advise.

use std::fmt::Write as _;

use super::is_invisible;

/// Returns text as one word of a shell command, quoted if necessary. Characters that a terminal does not show are escaped in
/// the notation `$'…'` of bash, zsh and ksh.
///
/// ```
/// use faknow_data::common::shell_word;
///
/// assert_eq!(shell_word("data/train.csv"), "data/train.csv");
/// assert_eq!(shell_word("my posts.csv"), "'my posts.csv'");
/// assert_eq!(shell_word("it's"), r"'it'\''s'");
/// assert_eq!(shell_word("la\u{1b}bel"), r"$'la\x1bbel'");
/// ```
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_./,=:+@%-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.contains(|c: char| c.is_control() || is_invisible(c)) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = "$'".to_owned();
    for c in text.chars() {
        // Writing to a string cannot fail.
        match c {
            '\'' | '\\' => word.extend(['\\', c]),
            c if c.is_ascii_control() => drop(write!(word, "\\x{:02x}", u32::from(c))),
            c if c.is_control() || is_invisible(c) => drop(write!(word, "\\u{:04x}", u32::from(c))),
            c => word.push(c),
        }
    }
    word + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let check = |text: &str, expected: &str| assert_eq!(shell_word(text), expected);
        check("real=0,fake=1", "real=0,fake=1");
        check(";", "';'");
        check("内容", "内容");
        check("\u{feff}text", r"$'\ufefftext'");
        check("it's\n", r"$'it\'s\x0a'");
        check("", "''");
    }
}
