//! Ranked guesses of the encoding of text that is not UTF-8, each with a line as it would read.

use std::cmp::Reverse;
use std::collections::HashSet;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::Encoding;
use super::encoding::ENCODINGS;
use super::script::plausibility;

/// Number of candidates.
const MAX_CANDIDATES: usize = 3;
/// Size of the text whose plausibility is measured.
const SAMPLE_BYTES: usize = 64 << 10;
/// Number of lines among which the shown line is chosen.
const N_LINES: usize = 200;
/// Number of characters of a decoded line.
const EXCERPT_CHARACTERS: usize = 40;

/// An encoding that text may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingCandidate {
    /// The encoding.
    pub encoding: Encoding,
    /// An excerpt of a line, decoded; the same line for every candidate.
    pub excerpt: String,
    /// Whether the decoded text is about as plausible as that of the first candidate.
    pub is_likely: bool,
}

/// Returns encodings in which `bytes`, the start of a text that is not UTF-8, can be read without error: the guess of a
/// detector first, then by plausibility of the text; at most 3.
pub fn encoding_candidates(bytes: &[u8]) -> Vec<EncodingCandidate> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, false);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let lines = lines_with_high_bytes(bytes);
    let sample = lines.concat();
    let mut candidates: Vec<(bool, i64, &encoding_rs::Encoding)> = ENCODINGS[3..]
        .iter()
        .filter(|it| **it == guess || **it != encoding_rs::GB18030)
        .filter_map(|&it| Some((it == guess, plausibility(&decode(it, &sample)?), it)))
        .collect();
    candidates.sort_by_key(|(is_guess, score, _)| (Reverse(*is_guess), Reverse(*score)));
    let Some(&(_, best, _)) = candidates.first() else { return Vec::new() };
    // The line with the greatest variety, which distinguishes encodings best.
    let variety = |line: &&&[u8]| line.iter().filter(|byte| !byte.is_ascii()).collect::<HashSet<_>>().len();
    let line = lines.iter().take(N_LINES).rev().max_by_key(variety).copied().unwrap_or_default();
    let mut texts = HashSet::new();
    candidates
        .into_iter()
        // Encodings that read the text identically are one candidate.
        .filter(|(_, _, encoding)| decode(encoding, &sample).is_some_and(|text| texts.insert(text)))
        .take(MAX_CANDIDATES)
        .map(|(is_guess, score, encoding)| EncodingCandidate {
            encoding: Encoding::new(encoding),
            excerpt: excerpt(&decode(encoding, line).unwrap_or_default()),
            is_likely: is_guess || (score > 0 && score * 4 >= best * 3),
        })
        .collect()
}

/// Returns the text if it is valid, apart from a character that is incomplete at its end.
fn decode(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Option<String> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len())?);
    let (result, _) = decoder.decode_to_string_without_replacement(bytes, &mut text, false);
    matches!(result, encoding_rs::DecoderResult::InputEmpty).then_some(text)
}

/// Returns the first lines that are not ASCII; of text in ISO-2022-JP, those with escapes.
fn lines_with_high_bytes(bytes: &[u8]) -> Vec<&[u8]> {
    let mut n_bytes = 0;
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.filter(|line| line.iter().any(|byte| !byte.is_ascii() || *byte == 0x1B));
    let lines = lines.map(|line| &line[..line.len().min(SAMPLE_BYTES)]);
    lines
        .take_while(|line| {
            n_bytes += line.len();
            n_bytes <= 2 * SAMPLE_BYTES
        })
        .collect()
}

/// Returns the text around the first character that is not ASCII.
fn excerpt(line: &str) -> String {
    let characters: Vec<char> = line.trim_end().chars().collect();
    let first = characters.iter().position(|c| !c.is_ascii()).unwrap_or(0);
    let start = if characters.len() <= EXCERPT_CHARACTERS { 0 } else { first.saturating_sub(10) };
    let end = characters.len().min(start + EXCERPT_CHARACTERS);
    let shown: String =
        characters[start..end].iter().map(|&c| if c.is_control() { ' ' } else { c }).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if end < characters.len() { "…" } else { "" };
    format!("{before}{shown}{after}")
}
