//! The plausibility of decoded text: whether its characters form words of one script.

/// The scripts that encodings have, as far as they matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    /// Cyrillic, Greek, Hebrew, Arabic, Thai: never within a Latin word.
    Other(u8),
    /// Chinese, Japanese and Korean characters, which may be next to any.
    EastAsian,
}

/// Returns the plausibility of a text in thousandths of the characters that are not ASCII: at most 1000, negative for garbage.
pub(super) fn plausibility(text: &str) -> i64 {
    let mut before = ' ';
    let (mut score, mut n) = (0, 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if !c.is_ascii() {
            n += 1;
            score += points(before, c, characters.peek().copied().unwrap_or(' '));
        }
        before = c;
    }
    score * 100 / n.max(1)
}

/// Returns the points of a character between its neighbors, from -30 to 10.
fn points(before: char, c: char, after: char) -> i64 {
    if c.is_control() || is_unassigned(c) {
        return -30;
    }
    let Some(script) = script(c) else {
        // Punctuation of word processors and of Chinese is common; frames, fractions and others are not.
        return match c {
            '\u{a0}'
            | '\u{ab}'
            | '\u{b0}'
            | '\u{b7}'
            | '\u{bb}'
            | '\u{2010}'..='\u{2026}'
            | '€'
            | '£'
            | '№' => 5,
            '\u{3000}'..='\u{3020}' | '\u{ff00}'..='\u{ff60}' => 8,
            _ => -5,
        };
    };
    let neighbors = [before, after].into_iter().filter(|c| c.is_alphabetic());
    match script {
        Script::EastAsian => {
            let n_latin = neighbors.filter(|c| c.is_ascii()).count();
            match c {
                _ if n_latin > 0 => 0,
                '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}' => 10,
                _ if is_common(c) => 10,
                _ => 3,
            }
        }
        // A capital letter within a word.
        _ if before.is_lowercase() && c.is_uppercase() => -10,
        _ if neighbors.clone().any(|other| self::script(other) != Some(script)) => -10,
        // Latin words are ASCII for the most part.
        Script::Latin if !before.is_ascii() || !after.is_ascii() => 2,
        Script::Latin => 9,
        Script::Other(_) => 10,
    }
}

fn script(c: char) -> Option<Script> {
    Some(match c {
        'ª' | 'º' => return None,
        _ if !c.is_alphabetic() => return None,
        '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' => Script::Other(0),
        '\u{400}'..='\u{52f}' => Script::Other(1),
        '\u{590}'..='\u{5ff}' => Script::Other(2),
        '\u{600}'..='\u{6ff}' => Script::Other(3),
        '\u{e00}'..='\u{e7f}' => Script::Other(4),
        // Half-width katakana come from misread bytes more often than from texts.
        '\u{ff61}'..='\u{ff9f}' => return None,
        _ => Script::EastAsian,
    })
}

/// Returns whether a character is among the common ones of Chinese: the first level of GB 2312 or of Big5.
fn is_common(c: char) -> bool {
    let mut buffer = [0; 4];
    let text = c.encode_utf8(&mut buffer);
    let lead = |encoding: &'static encoding_rs::Encoding| {
        let (bytes, _, is_unmappable) = encoding.encode(text);
        if is_unmappable { 0 } else { bytes.first().copied().unwrap_or(0) }
    };
    matches!(lead(encoding_rs::GBK), 0xB0..=0xD7) || matches!(lead(encoding_rs::BIG5), 0xA4..=0xC6)
}

/// Returns whether a code point is for private use, which legacy encodings use for bytes without a character.
fn is_unassigned(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}')
}
