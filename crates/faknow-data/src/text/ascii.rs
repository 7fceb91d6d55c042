//! Fast tokenization of ASCII text byte by byte, without Unicode tables.
//!
//! Texts are split at spaces. ASCII pieces are tokenized here; pieces with other characters are passed to the Unicode rules,
//! for which a space is always a boundary.

/// Calls `emit` for each word of `text` as defined by Unicode Standard Annex 29, without punctuation, until it returns false;
/// returns whether it never did. `tokenize_unicode` tokenizes pieces with characters outside ASCII.
pub(super) fn words<G: FnMut(&str) -> bool>(
    text: &str,
    emit: &mut G,
    tokenize_unicode: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    for_each_piece(text, &mut |piece| match piece.is_ascii() {
        true => words_of_piece(piece, emit),
        false => tokenize_unicode(piece, emit),
    })
}

/// Calls `emit` for each run of letters, digits and `_`, otherwise like [`words`].
pub(super) fn runs<G: FnMut(&str) -> bool>(
    text: &str,
    emit: &mut G,
    tokenize_unicode: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    for_each_piece(text, &mut |piece| match piece.is_ascii() {
        true => runs_of_piece(piece, emit),
        false => tokenize_unicode(piece, emit),
    })
}

/// Calls `emit` for each piece between spaces until it returns false.
fn for_each_piece(text: &str, emit: &mut impl FnMut(&str) -> bool) -> bool {
    let mut rest = text;
    loop {
        let end = rest.bytes().position(|byte| byte == b' ').unwrap_or(rest.len());
        if end > 0 && !emit(&rest[..end]) {
            return false;
        }
        match rest.get(end + 1..) {
            Some(after) => rest = after,
            None => return true,
        }
    }
}

/// Applies the rules WB5 to WB13 for letters, digits and the marks that join them; a word without letters and digits is
/// punctuation.
fn words_of_piece(piece: &str, emit: &mut impl FnMut(&str) -> bool) -> bool {
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
        if word.bytes().any(|byte| byte.is_ascii_alphanumeric()) && !emit(word) {
            return false;
        }
        start = end;
    }
    true
}

fn runs_of_piece(piece: &str, emit: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = piece.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let n = bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
        if n > 0 && !emit(&piece[start..start + n]) {
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

/// Returns whether `mark` joins a word: between two letters, or between two digits.
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
    fn words_match_unicode_segmentation() {
        let mut rng = Rng::new(5);
        let alphabet: Vec<char> =
            "aZ09_.,;:'\"-@#/ \t\u{1}!$aaa000   é中א\u{301}\u{200d}\u{a0}カ😀’٣".chars().collect();
        for n_characters in [25, alphabet.len()] {
            for _ in 0..100_000 {
                let n = rng.next_u64() as usize % 12;
                let text: String = (0..n).map(|_| alphabet[rng.next_u64() as usize % n_characters]).collect();
                let mut emitted: Vec<String> = Vec::new();
                let mut emit = |word: &str| {
                    emitted.push(word.to_owned());
                    true
                };
                words(&text, &mut emit, &mut |piece, emit| by_unicode(piece).all(emit));
                assert_eq!(emitted, by_unicode(&text).collect::<Vec<_>>(), "{text:?}");
            }
        }
    }

    #[test]
    fn stops_when_emit_returns_false() {
        let text = "one two-thrée four five";
        for by_words in [true, false] {
            let mut n_emitted = 0;
            let mut emit = |_: &str| {
                n_emitted += 1;
                n_emitted < 3
            };
            let is_complete = match by_words {
                true => words(text, &mut emit, &mut |piece, emit| by_unicode(piece).all(emit)),
                false => runs(text, &mut emit, &mut |piece, emit| by_unicode(piece).all(emit)),
            };
            assert!(!is_complete);
            assert_eq!(n_emitted, 3);
        }
    }
}
