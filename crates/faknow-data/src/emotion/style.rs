//! Features of a text that need no lexicon: punctuation and case.

/// Names of the features, in order; all are shares of the characters of the text.
pub(super) const NAMES: [&str; 6] =
    ["exclamation marks", "question marks", "ellipses", "other punctuation", "uppercase letters", "digits"];

/// Returns the features of a text, each from 0 to 1; 0 for a text without visible characters.
pub(super) fn features(text: &str) -> [f64; NAMES.len()] {
    let mut counts = [0.0; NAMES.len()];
    let mut n_chars = 0.0;
    let mut previous = ' ';
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        n_chars += 1.0;
        let index = match c {
            '!' | '！' => Some(0),
            '?' | '？' => Some(1),
            '…' => Some(2),
            '.' if previous == '.' => Some(2),
            _ if is_punctuation(c) => Some(3),
            _ if c.is_uppercase() => Some(4),
            _ if c.is_numeric() => Some(5),
            _ => None,
        };
        if let Some(index) = index {
            counts[index] += 1.0;
        }
        previous = c;
    }
    counts.map(|count| if n_chars > 0.0 { count / n_chars } else { 0.0 })
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{ff0c}' | '\u{ff1a}' | '\u{ff1b}')
}
