//! Words of ASCII text, found byte by byte: most text is ASCII, and needs no tables of Unicode.
//!
//! The texts are cut at blanks. A piece of ASCII alone is cut here; one with any other character is left to the rules of
//! Unicode, which see nothing beyond a blank.

/// Gives the words of `text` after Unicode Standard Annex 29, without punctuation, until `give` returns false; returns whether
/// it never did. `other` cuts pieces with characters outside ASCII.
pub(super) fn words<G: FnMut(&str) -> bool>(
    text: &str,
    give: &mut G,
    other: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    pieces(text, &mut |piece| match piece.is_ascii() {
        true => words_of_piece(piece, give),
        false => other(piece, give),
    })
}

/// As [`words`], for runs of letters, digits and `_`.
pub(super) fn runs<G: FnMut(&str) -> bool>(
    text: &str,
    give: &mut G,
    other: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    pieces(text, &mut |piece| match piece.is_ascii() {
        true => runs_of_piece(piece, give),
        false => other(piece, give),
    })
}

/// Gives what lies between blanks, until `give` returns false.
fn pieces(text: &str, give: &mut impl FnMut(&str) -> bool) -> bool {
    let mut rest = text;
    loop {
        let end = rest.bytes().position(|byte| byte == b' ').unwrap_or(rest.len());
        if end > 0 && !give(&rest[..end]) {
            return false;
        }
        match rest.get(end + 1..) {
            Some(after) => rest = after,
            None => return true,
        }
    }
}

/// The rules WB5 to WB13 for letters, digits and what may join them; a word without letter or digit is punctuation.
fn words_of_piece(piece: &str, give: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = piece.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if !is_word(bytes[start]) {
            start += 1;
            continue;
        }
        let mut end = start + 1;
        while end < bytes.len() {
            if is_word(bytes[end]) {
                end += 1;
            } else if let Some(&after) = bytes.get(end + 1)
                && joins(bytes[end - 1], bytes[end], after)
            {
                end += 2;
            } else {
                break;
            }
        }
        let word = &piece[start..end];
        if word.bytes().any(|byte| byte.is_ascii_alphanumeric()) && !give(word) {
            return false;
        }
        start = end;
    }
    true
}

fn runs_of_piece(piece: &str, give: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = piece.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let n = bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
        if n > 0 && !give(&piece[start..start + n]) {
            return false;
        }
        start += n + 1;
    }
    true
}

#[inline(always)]
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `mark` is within a word: between two letters, or between two digits.
fn joins(before: u8, mark: u8, after: u8) -> bool {
    match mark {
        b'.' | b'\'' => {
            (before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
                || (before.is_ascii_digit() && after.is_ascii_digit())
        }
        b':' => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        b',' | b';' => before.is_ascii_digit() && after.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;
    use crate::Rng;

    fn by_unicode(text: &str) -> impl Iterator<Item = &str> {
        text.split_word_bounds().filter(|word| word.chars().any(char::is_alphanumeric))
    }

    #[test]
    fn words_are_those_of_unicode() {
        let mut rng = Rng::new(5);
        let alphabet: Vec<char> =
            "aZ09_.,;:'\"-@#/ \t\u{1}!$aaa000   é中א\u{301}\u{200d}\u{a0}カ😀’٣".chars().collect();
        for n_characters in [25, alphabet.len()] {
            for _ in 0..100_000 {
                let n = rng.next_u64() as usize % 12;
                let text: String = (0..n).map(|_| alphabet[rng.next_u64() as usize % n_characters]).collect();
                let mut found: Vec<String> = Vec::new();
                let mut give = |word: &str| {
                    found.push(word.to_owned());
                    true
                };
                words(&text, &mut give, &mut |piece, give| by_unicode(piece).all(give));
                assert_eq!(found, by_unicode(&text).collect::<Vec<_>>(), "{text:?}");
            }
        }
    }

    #[test]
    fn nothing_is_given_after_enough() {
        let text = "one two-thrée four five";
        for by_words in [true, false] {
            let mut found = 0;
            let mut give = |_: &str| {
                found += 1;
                found < 3
            };
            let all = match by_words {
                true => words(text, &mut give, &mut |piece, give| by_unicode(piece).all(give)),
                false => runs(text, &mut give, &mut |piece, give| by_unicode(piece).all(give)),
            };
            assert!(!all);
            assert_eq!(found, 3);
        }
    }
}
