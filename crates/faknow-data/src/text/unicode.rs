//! Unicode normalization of texts, so that words that look the same are the same.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// Returns `text` in Unicode's normalization form NFKC, without characters that are not visible.
///
/// Removed are soft hyphens, direction marks, word joiners and byte order marks; zero-width spaces, unless they separate words
/// (Thai, Lao, Khmer, Burmese); joiners and non-joiners after letters of scripts that do not need them, so that they remain in
/// Persian, in Indic scripts and in emoji; and variation selectors after letters.
pub(super) fn normalize(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let is_normalized = is_nfkc_quick(text.chars()) == IsNormalized::Yes;
    if is_normalized && !text.chars().any(may_be_removed) {
        return Cow::Borrowed(text);
    }
    let mut previous = None;
    let visible = text.chars().filter(move |&c| {
        let is_visible = !may_be_removed(c) || !is_removed(c, previous);
        if is_visible {
            previous = Some(c);
        }
        is_visible
    });
    Cow::Owned(visible.nfkc().collect())
}

/// Returns whether a character is not visible, and removed at least after some others.
fn may_be_removed(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Returns whether such a character is removed after the character `previous`.
fn is_removed(c: char, previous: Option<char>) -> bool {
    match c {
        '\u{200b}' => !previous.is_some_and(has_no_spaces),
        '\u{200c}' | '\u{200d}' => previous.is_some_and(needs_no_joiner),
        '\u{fe00}'..='\u{fe0f}' => previous.is_some_and(char::is_alphabetic),
        _ => true,
    }
}

/// Returns whether a character belongs to a script in which zero-width spaces separate words.
fn has_no_spaces(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1980}'..='\u{19df}'
        | '\u{1a20}'..='\u{1aaf}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}')
}

/// Returns whether a character is a letter, digit or accent of a script without joining forms: Latin, Greek, Cyrillic,
/// Armenian, Hebrew, Georgian, Chinese, Japanese, Korean.
fn needs_no_joiner(c: char) -> bool {
    let is_letter = c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}');
    is_letter
        && matches!(c,
            '\0'..='\u{5ff}' | '\u{10a0}'..='\u{11ff}' | '\u{1e00}'..='\u{1fff}' | '\u{2c00}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{fb4f}' | '\u{ff00}'..='\u{ffef}'
            | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(normalize(text), expected, "{text:?}");
        assert_eq!(normalize(expected), expected, "{expected:?} is normalized");
    }

    #[test]
    fn compatible_characters_are_the_same() {
        check("Ｆｕｌｌ　ｗｉｄｔｈ，３％", "Full width,3%");
        check("ﬁnance №1 x²", "finance No1 x2");
        check("cafe\u{301}", "café");
        check("ｶﾞ", "ガ");
        check("plain text", "plain text");
        check("中文 café 😀", "中文 café 😀");
    }

    #[test]
    fn invisible_characters_are_removed_where_they_have_no_meaning() {
        check("vi\u{200b}rus", "virus");
        check("co\u{ad}operate", "cooperate");
        check("\u{feff}one\u{2060}two\u{202e}three\u{200f}", "onetwothree");
        check("ви\u{200d}рус 新\u{200c}闻 e\u{301}\u{200d}t", "вирус 新闻 ét");
        check("word\u{fe0f} 字\u{fe00}", "word 字");
        check("\u{200b}\u{feff}", "");
    }

    #[test]
    fn invisible_characters_with_a_meaning_remain() {
        for text in [
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "👩\u{200d}👧",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "สวัสดี\u{200b}ครับ",
        ] {
            check(text, text);
        }
    }
}
