//! Checks of single texts: wrong encodings, invisible characters, HTML escapes.

use crate::common::is_invisible;
use crate::inspect::ProblemKind;

/// A check of a text: what it finds, and a function that returns an example.
type TextCheck = (ProblemKind, fn(&str) -> Option<String>);

/// All checks.
pub(super) const TEXT_CHECKS: &[TextCheck] = &[
    (ProblemKind::Mojibake, mojibake),
    (ProblemKind::InvisibleCharacters, invisible),
    (ProblemKind::HtmlEscapes, |text| html_escape(text).map(|escape| format!("`{escape}`"))),
];

/// Characters of Windows-1252 for the bytes 0x80 to 0x9F, which continue characters of UTF-8.
const WINDOWS_1252: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// Returns the first sequence that a wrong encoding produces: UTF-8 that was read as Windows-1252 or Latin-1, such as `Ã©` and
/// `â€™`, or the replacement character.
fn mojibake(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    if text.contains('\u{fffd}') {
        return Some("U+FFFD, the replacement for bytes that could not be decoded".to_owned());
    }
    let continues =
        |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{a1}'..='\u{bf}') || WINDOWS_1252.contains(c);
    let characters: Vec<char> = text.chars().collect();
    let length = |start: usize| match characters[start..] {
        ['â', '€', third, ..] | ['ð', 'Ÿ', third, ..] if continues(third) => Some(3),
        ['Ã' | 'Â', second, ..] if continues(second) => Some(2),
        _ => None,
    };
    let (start, length) = (0..characters.len()).find_map(|start| Some((start, length(start)?)))?;
    Some(format!("`{}`", characters[start..start + length].iter().collect::<String>()))
}

/// Returns the first invisible character, except those that join emoji and letters.
fn invisible(text: &str) -> Option<String> {
    let found = text.chars().find(|&c| {
        is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0f}') && !c.is_control()
    })?;
    Some(format!("U+{:04X}", u32::from(found)))
}

/// Returns the first HTML escape in `text`: `&name;`, `&#39;` or `&#x27;`.
fn html_escape(text: &str) -> Option<&str> {
    text.match_indices('&').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        let end = rest.bytes().take(10).position(|byte| byte == b';')?;
        let body = &rest[..end];
        let consists_of = |digits: &str, is_digit: fn(&char) -> bool| {
            !digits.is_empty() && digits.chars().all(|c| is_digit(&c))
        };
        let is_escape = match (body.strip_prefix("#x").or(body.strip_prefix("#X")), body.strip_prefix('#')) {
            (Some(hex), _) => consists_of(hex, char::is_ascii_hexdigit),
            (_, Some(decimal)) => consists_of(decimal, char::is_ascii_digit),
            _ => body.len() > 1 && consists_of(body, char::is_ascii_alphabetic),
        };
        is_escape.then(|| &text[start..start + end + 2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mojibake_differs_from_accents_and_quotes() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(mojibake(text).as_deref(), expected, "{text}");
        check("cafÃ©", Some("`Ã©`"));
        check("donâ€™t", Some("`â€™`"));
        check("Â£5", Some("`Â£`"));
        check("ðŸ˜€", Some("`ðŸ˜`"));
        check("café, don’t, São Paulo, “€5”", None);
        check("Ã PARIS", None);
        check("中文 текст", None);
        assert!(mojibake("caf\u{fffd}").unwrap().starts_with("U+FFFD"));
    }

    #[test]
    fn invisible_characters_differ_from_joined_emoji() {
        assert_eq!(invisible("vi\u{200b}rus").as_deref(), Some("U+200B"));
        assert_eq!(invisible("\u{1f468}\u{200d}\u{1f469} \u{2764}\u{fe0f}"), None);
    }

    #[test]
    fn html_escapes_differ_from_ampersands() {
        let check = |text: &str, expected| assert_eq!(html_escape(text), expected, "{text}");
        check("a &amp; b", Some("&amp;"));
        check("&& 中&quot;", Some("&quot;"));
        check("it&#39;s", Some("&#39;"));
        check("it&#x27;s", Some("&#x27;"));
        check("rock & roll; jazz", None);
        check("a&b; c", None);
        check("&;", None);
        check("&#;", None);
        check("&中;", None);
        check("x &", None);
    }
}
