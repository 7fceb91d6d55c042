//! Text from files, made safe for terminals, logs and messages: invisible characters are escaped, and its length is bounded.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Maximum number of characters of a name or value in a message.
const MAX_NAME: usize = 60;
/// Maximum number of names that a message lists.
const MAX_NAMES: usize = 20;
/// Maximum number of characters of a file path, that of Linux.
const MAX_PATH: usize = 4_096;
/// Maximum number of characters of a line of a log.
const MAX_LINE: usize = 4_000;
/// Maximum number of characters of a message, so that a file cannot fill a terminal or a log.
const MAX_MESSAGE: usize = 2_000;

/// Returns text from a file for a message: characters that a terminal interprets or does not show are escaped, and after
/// `max_characters` it ends with `…` and its length.
///
/// Escaped are control characters, among them line breaks and escape sequences, direction marks, and characters without
/// width, such as a byte order mark. Escaped text remains the same if it is escaped again.
///
/// ```
/// use faknow_data::common::printable;
///
/// assert_eq!(printable("la\u{1b}[31mbel\u{feff}", 60), r"la\u{1b}[31mbel\u{feff}");
/// assert_eq!(printable("one\ntwo", 60), r"one\ntwo");
/// assert_eq!(printable(&"a".repeat(1_000_000), 5), "aaaaa… (1000000 characters)");
/// assert_eq!(printable("中文 café 😀", 60), "中文 café 😀");
/// ```
pub fn printable(text: &str, max_characters: usize) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(max_characters) {
        escape(character, &mut shown);
    }
    match characters.count() {
        0 => {}
        // Writing to a string cannot fail.
        n_more => drop(write!(shown, "… ({} characters)", max_characters + n_more)),
    }
    shown
}

/// Returns a name or value from a file for a message, [`printable`] with at most 60 characters.
pub fn printable_name(name: &str) -> String {
    printable(name, MAX_NAME)
}

/// Returns names from a file for a message, in backticks: at most 20, and how many there are.
///
/// ```
/// use faknow_data::common::printable_names;
///
/// assert_eq!(printable_names(["id", "te\txt"]), r"`id`, `te\txt`");
/// let columns: Vec<String> = (0..10_000).map(|column| column.to_string()).collect();
/// assert!(printable_names(&columns).ends_with("`18`, `19`, … (10000 in all)"));
/// ```
pub fn printable_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(MAX_NAMES).map(|name| format!("`{}`", printable_name(name.as_ref()))).collect();
    match names.count() {
        0 => shown.join(", "),
        n_more => format!("{}, … ({} in all)", shown.join(", "), shown.len() + n_more),
    }
}

/// Returns a path for a message, with characters escaped as by [`printable`].
pub fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy(), MAX_PATH)
}

/// Returns a message that may contain text from files, [`printable`] with at most 2,000 characters.
pub fn printable_message(message: &str) -> String {
    printable(message, MAX_MESSAGE)
}

/// Returns text of several lines for a log: [`printable`] line by line, with at most 4,000 characters each.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line, MAX_LINE)).collect::<Vec<_>>().join("\n")
}

/// Returns a text without the invisible characters that editors and spreadsheets leave: U+FEFF, U+200B and similar.
pub fn without_invisible(text: &str) -> Cow<'_, str> {
    match text.contains(is_invisible) {
        true => text.chars().filter(|&c| !is_invisible(c)).collect::<String>().into(),
        false => text.into(),
    }
}

/// Returns whether a terminal does not show the character as it is: control characters, direction marks, characters
/// without width.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn escape(character: char, shown: &mut String) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        other if is_invisible(other) => shown.extend(other.escape_unicode()),
        other => shown.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_whatever_a_terminal_interprets_or_hides() {
        for code in (0..0x20).chain(0x7f..0xa0).chain([0x200b, 0x202e, 0x2066, 0x2069, 0xfeff, 0xe0041]) {
            let character = char::from_u32(code).unwrap();
            let shown = printable(&format!("a{character}b"), 60);
            assert!(shown.starts_with("a\\") && !shown.contains(character), "{code:x}: {shown}");
            assert_eq!(printable(&shown, 60), shown);
        }
        let visible = "a\u{a0}é\u{301} ‘中文’ \u{5d0} 😀";
        assert_eq!(printable(visible, 60), visible);
    }

    #[test]
    fn shortens_text_and_lists() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text, 3), expected);
        check("", "");
        check("abc", "abc");
        check("abcd", "abc… (4 characters)");
        check("中文中文", "中文中… (4 characters)");
        check("\u{1b}bcd", "\\u{1b}bc… (4 characters)");
        assert_eq!(printable_names::<&str>([]), "");
        assert!(printable_names(["x".repeat(100_000)]).len() < 100);
        assert!(printable_message(&"x".repeat(1 << 20)).len() < 2_100);
        assert_eq!(printable_lines("a\u{7}\nb\r\n"), "a\\u{7}\nb");
        assert_eq!(printable_path(Path::new("a\u{1b}]0;b.csv")), r"a\u{1b}]0;b.csv");
    }
}
