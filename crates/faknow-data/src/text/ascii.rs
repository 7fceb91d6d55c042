//! Fast tokenization of ASCII text byte by byte, without Unicode tables.
//!
//! Texts are split at spaces. ASCII pieces are tokenized here; pieces with other characters are passed to the Unicode rules,
//! for which a space is always a boundary.

/// Calls `emit` for each word of `text` as defined by Unicode Standard Annex 29, with or without `punctuation`, until it returns
/// false; returns whether it never did. `tokenize_unicode` tokenizes pieces with characters outside ASCII.
pub(super) fn words<G: FnMut(&str) -> bool>(
    text: &str,
    punctuation: bool,
    emit: &mut G,
    tokenize_unicode: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    for_each_piece(text, &mut |piece| match piece.is_ascii() {
        true => words_of_piece(piece, punctuation, emit),
        false => tokenize_unicode(piece, emit),
    })
}

/// Calls `emit` for each run of letters, digits and `_`, otherwise like [`words`].
pub(super) fn runs<G: FnMut(&str) -> bool>(
    text: &str,
    punctuation: bool,
    emit: &mut G,
    tokenize_unicode: &mut impl FnMut(&str, &mut G) -> bool,
) -> bool {
    for_each_piece(text, &mut |piece| match piece.is_ascii() {
        true => runs_of_piece(piece, punctuation, emit),
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
fn words_of_piece(piece: &str, punctuation: bool, emit: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = piece.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if !is_word(bytes[start]) {
            if punctuation && bytes[start].is_ascii_graphic() && !emit(&piece[start..start + 1]) {
                return false;
            }
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
        if (punctuation || word.bytes().any(|byte| byte.is_ascii_alphanumeric())) && !emit(word) {
            return false;
        }
        start = end;
    }
    true
}

fn runs_of_piece(piece: &str, punctuation: bool, emit: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = piece.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let n = bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
        let is_token = n > 0 || (punctuation && bytes[start].is_ascii_graphic());
        let end = start + n.max(1);
        if is_token && !emit(&piece[start..end]) {
            return false;
        }
        start = end;
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

    fn by_unicode(text: &str, punctuation: bool) -> impl Iterator<Item = &str> {
        let is_visible = |c: char| !c.is_whitespace() && !c.is_control();
        let is_token = move |c: char| c.is_alphanumeric() || (punctuation && is_visible(c));
        text.split_word_bounds().map(str::trim).filter(move |word| word.chars().any(is_token))
    }

    #[test]
    fn words_match_unicode_segmentation() {
        let mut rng = Rng::new(5);
        let alphabet: Vec<char> =
            "aZ09_.,;:'\"-@#/ \t\u{1}!$aaa000   é中א\u{301}\u{200d}\u{a0}カ😀’٣".chars().collect();
        for (n_characters, punctuation) in
            [(25, false), (25, true), (alphabet.len(), false), (alphabet.len(), true)]
        {
            for _ in 0..100_000 {
                let n = rng.next_u64() as usize % 12;
                let text: String = (0..n).map(|_| alphabet[rng.next_u64() as usize % n_characters]).collect();
                let mut emitted: Vec<String> = Vec::new();
                let mut emit = |word: &str| {
                    emitted.push(word.to_owned());
                    true
                };
                let mut unicode = |piece: &str, emit: &mut _| by_unicode(piece, punctuation).all(emit);
                words(&text, punctuation, &mut emit, &mut unicode);
                assert_eq!(emitted, by_unicode(&text, punctuation).collect::<Vec<_>>(), "{text:?}");
            }
        }
    }

    #[test]
    fn stops_when_emit_returns_false() {
        let text = "one two-thrée four five";
        for (by_words, punctuation) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut n_emitted = 0;
            let mut emit = |_: &str| {
                n_emitted += 1;
                n_emitted < 3
            };
            let mut unicode = |piece: &str, emit: &mut _| by_unicode(piece, punctuation).all(emit);
            let is_complete = match by_words {
                true => words(text, punctuation, &mut emit, &mut unicode),
                false => runs(text, punctuation, &mut emit, &mut unicode),
            };
            assert!(!is_complete);
            assert_eq!(n_emitted, 3);
        }
    }
}
