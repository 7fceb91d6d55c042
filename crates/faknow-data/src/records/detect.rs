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

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts, and the encodings in which they occur.
    const TEXTS: [(&str, &[&str]); 12] = [
        (
            "Vláda schválila nový rozpočet, řekl premiér. Příští týden začne žňová sezóna, uvedli včera zemědělci.",
            &["iso-8859-2", "windows-1250"],
        ),
        (
            "Премьер-министр заявил, что бюджет будет принят на следующей неделе. Учёные опубликовали отчёт.",
            &["windows-1251", "koi8-r", "iso-8859-5", "ibm866", "x-mac-cyrillic"],
        ),
        (
            "Die Regierung kündigt höhere Löhne an: größere Städte müssen künftig mehr zahlen, sagte der Bürgermeister.",
            &["windows-1252"],
        ),
        (
            "L’économie française a créé des milliers d’emplois, affirme le ministère. Où sont passés les chômeurs ?",
            &["windows-1252", "macintosh"],
        ),
        (
            "Η κυβέρνηση ανακοίνωσε νέα μέτρα για την οικονομία. Οι επιστήμονες δημοσίευσαν την έκθεση.",
            &["windows-1253", "iso-8859-7"],
        ),
        (
            "Hükümet yeni bütçeyi açıkladı. İstanbul'da öğrenciler için ücretsiz ulaşım başlıyor, dedi başkan.",
            &["windows-1254"],
        ),
        ("הממשלה אישרה את התקציב החדש. החוקרים פרסמו דוח על בתי הספר בצפון הארץ.", &["windows-1255"]),
        (
            "أعلنت الحكومة ميزانية جديدة اليوم. نشر الباحثون تقريرا عن المدارس في شمال البلاد.",
            &["windows-1256", "iso-8859-6"],
        ),
        ("政府今天宣布新的预算计划，专家表示将影响经济增长。研究人员发布了学校报告。", &["gbk", "gb18030"]),
        ("政府今天宣布新的預算計畫，專家表示將影響經濟成長。研究人員發布了學校報告。", &["big5"]),
        (
            "政府は新しい予算を発表しました。研究者は学校についての報告書を公開した。",
            &["shift_jis", "euc-jp", "iso-2022-jp"],
        ),
        ("정부는 오늘 새로운 예산안을 발표했다. 연구자들은 학교에 대한 보고서를 공개했다.", &["euc-kr"]),
    ];

    #[test]
    fn the_true_encoding_is_a_candidate() {
        let mut missing = Vec::new();
        for (text, names) in TEXTS {
            for name in names {
                let encoding = encoding_rs::Encoding::for_label(name.as_bytes()).unwrap();
                let csv = format!("id,text,label\n1,\"{text}\",1\n2,plain,0\n");
                let (bytes, _, is_unmappable) = encoding.encode(&csv);
                assert!(!is_unmappable, "{name}");
                let found = encoding_candidates(&bytes);
                // Encodings that read the text identically are one candidate.
                let is_true = |it: &EncodingCandidate| it.encoding.inner().decode(&bytes).0 == csv;
                assert!(found.len() <= MAX_CANDIDATES);
                if !found.iter().any(is_true) {
                    missing.push(format!("{name}: {found:?}"));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn lines_are_shortened_around_the_first_character() {
        let line = format!("{}café {}\n", "x".repeat(100), "y".repeat(100));
        assert_eq!(excerpt(&line).chars().count(), EXCERPT_CHARACTERS + 2);
        assert!(excerpt(&line).contains("café"));
        assert_eq!(excerpt("\tcafé\u{1b}[0m\n"), " café [0m");
    }
}
