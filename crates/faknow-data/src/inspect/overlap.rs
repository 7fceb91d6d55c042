//! Texts that occur again, word for word or nearly, within files and from one to another: what makes test scores too good.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::sketch::{Sketch, Sketcher};
use crate::records::RawLabel;
use crate::records::{ReadOptions, Source, open_file, text_of};
use crate::{Classes, Error, Result};

/// Share of the shingles of two texts from which they are nearly the same.
pub const NEAR_DUPLICATE_THRESHOLD: f64 = 0.7;
/// Texts that are sketched at once.
const CHUNK: usize = 4096;
/// Earlier texts of a band that a text is compared with: a text that occurs ten thousand times is not compared with all of them.
const MOST_CANDIDATES: usize = 16;
/// Examples of each kind.
const N_LISTED: usize = 5;
/// Characters of a text that an example shows.
const SHOWN: usize = 80;

/// Texts of files that occur again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The files, in the order in which they were given: training first.
    pub files: Vec<PathBuf>,
    /// Texts with a word, of each file.
    pub n_texts: Vec<usize>,
    /// What was found, for each pair of files that has something.
    pub findings: Vec<FileOverlap>,
}

/// Texts of a file that an earlier record has too, in the same file or in another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileOverlap {
    /// Position of the file of the texts.
    pub file: usize,
    /// Position of the file of the earlier records.
    pub earlier: usize,
    /// Texts that are the same word for word.
    pub n_exact: usize,
    /// Texts that are not, but share at least [`NEAR_DUPLICATE_THRESHOLD`] of their shingles of three words.
    pub n_near: usize,
    /// Those of both whose label is another.
    pub n_conflicts: usize,
    /// The first few.
    pub examples: Vec<DuplicatePair>,
}

/// A text and the earlier one that it repeats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DuplicatePair {
    /// Number of its record, from 1.
    pub record: usize,
    /// Number of the earlier record in its file.
    pub earlier: usize,
    /// Share of the shingles of both that both have.
    pub jaccard: f64,
    /// Whether the labels differ.
    pub conflict: bool,
    /// How the text begins.
    pub text: String,
}

struct Text {
    file: usize,
    record: usize,
    label: Option<String>,
    start: String,
    sketch: Sketch,
}

/// Finds the texts of `files` that an earlier record has too; each file is read by its own options, which name the columns.
///
/// Near-duplicates are found by MinHash (64 hashes in 16 bands of 4) over shingles of three lower-cased words, and checked exactly. Memory
/// holds 4 bytes for each word and some hundred for each text.
///
/// Labels are compared as classes if these are given, since `1` and `fake` may be the same.
///
/// # Errors
/// A file cannot be opened, or has no column of its text.
pub fn overlap(files: &[(PathBuf, ReadOptions)], classes: Option<&Classes>) -> Result<Overlap> {
    let sketcher = Sketcher::new();
    let mut texts = Vec::new();
    let mut n_texts = Vec::new();
    for (file, (path, options)) in files.iter().enumerate() {
        let before = texts.len();
        read(file, (path, options), classes, &sketcher, &mut texts)?;
        n_texts.push(texts.len() - before);
    }
    let mut findings: Vec<FileOverlap> = Vec::new();
    let mut bands: Vec<HashMap<u64, Vec<u32>>> =
        vec![HashMap::new(); texts.first().map_or(0, |text| text.sketch.bands.len())];
    for (at, text) in texts.iter().enumerate() {
        let mut candidates: Vec<u32> = Vec::new();
        for (band, known) in text.sketch.bands.iter().zip(&mut bands) {
            let alike = known.entry(*band).or_default();
            candidates.extend(alike.iter());
            if alike.len() < MOST_CANDIDATES {
                alike.push(at as u32);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        if let Some((earlier, jaccard)) = closest(text, &candidates, &texts) {
            note(&mut findings, text, earlier, jaccard);
        }
    }
    // The gravest first: what is in two files.
    findings.sort_by_key(|found| (found.file == found.earlier, found.file, found.earlier));
    Ok(Overlap { files: files.iter().map(|(path, _)| path.clone()).collect(), n_texts, findings })
}

/// The earlier text that is most alike, of another file if there is one, the first of equal ones.
fn closest<'a>(text: &Text, candidates: &[u32], texts: &'a [Text]) -> Option<(&'a Text, f64)> {
    let alike = candidates.iter().map(|&at| &texts[at as usize]);
    let alike = alike.map(|other| (other, text.sketch.jaccard(&other.sketch)));
    alike.filter(|(_, jaccard)| *jaccard >= NEAR_DUPLICATE_THRESHOLD).reduce(|best, next| {
        let rank = |(other, jaccard): &(&Text, f64)| (other.file != text.file, *jaccard);
        if rank(&next) > rank(&best) { next } else { best }
    })
}

fn note(findings: &mut Vec<FileOverlap>, text: &Text, earlier: &Text, jaccard: f64) {
    let is_pair = |found: &FileOverlap| (found.file, found.earlier) == (text.file, earlier.file);
    let at = findings.iter().position(is_pair).unwrap_or_else(|| {
        findings.push(FileOverlap {
            file: text.file,
            earlier: earlier.file,
            n_exact: 0,
            n_near: 0,
            n_conflicts: 0,
            examples: Vec::new(),
        });
        findings.len() - 1
    });
    let found = &mut findings[at];
    let conflict = matches!((&text.label, &earlier.label), (Some(a), Some(b)) if a != b);
    if text.sketch.exact == earlier.sketch.exact {
        found.n_exact += 1;
    } else {
        found.n_near += 1;
    }
    found.n_conflicts += usize::from(conflict);
    if found.examples.len() < N_LISTED {
        let (record, earlier) = (text.record, earlier.record);
        found.examples.push(DuplicatePair { record, earlier, jaccard, conflict, text: text.start.clone() });
    }
}

/// Reads the texts of a file; records that cannot be read are for [`inspect`](super::inspect) to tell of.
fn read(
    file: usize,
    (path, options): (&Path, &ReadOptions),
    classes: Option<&Classes>,
    sketcher: &Sketcher,
    texts: &mut Vec<Text>,
) -> Result<()> {
    let name = |label: &RawLabel<'_>| match classes {
        Some(classes) => classes.parse(label).ok().and_then(|class| classes.name(class)).map(str::to_owned),
        None => Some(label.to_string()),
    };
    let (reader, _, options) = open_file(path, options)?;
    let mut source = Source::new(reader, path, &options)?;
    let columns = &options.columns;
    let Some(text_column) = &columns.text else {
        return Err(Error::file(path, "expected the name of the column of texts, got none"));
    };
    let wanted: Vec<&str> =
        [Some(text_column), columns.label.as_ref()].into_iter().flatten().map(String::as_str).collect();
    source.select(&wanted, false)?;
    loop {
        let mut chunk: Vec<(usize, String, Option<String>)> = Vec::new();
        let mut ended = false;
        while chunk.len() < CHUNK && !ended {
            match source.next_record() {
                Ok(Some(raw)) => {
                    let label = columns.label.as_ref().and_then(|column| raw.fields.get(column));
                    let label = label.and_then(|value| RawLabel::from_value(value).ok().flatten());
                    if let Ok(text) = text_of(&raw.fields, text_column) {
                        chunk.push((raw.number, text.to_owned(), label.as_ref().and_then(name)));
                    }
                }
                Ok(None) => ended = true,
                Err(broken) => ended = !broken.recoverable,
            }
        }
        let sketched = chunk.into_par_iter().filter_map(|(record, text, label)| {
            let sketch = sketcher.sketch(&text)?;
            let start = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
            Some(Text { file, record, label, start, sketch })
        });
        texts.par_extend(sketched);
        if ended {
            return Ok(());
        }
    }
}

impl Overlap {
    /// Returns what to do about a finding.
    pub fn advice(found: &FileOverlap) -> &'static str {
        match (found.file == found.earlier, found.n_conflicts > 0) {
            (false, _) => "take them out of the later file: a test on texts that were trained on is too good",
            (true, true) => "decide on one label for them, and keep one of each",
            (true, false) => {
                "keep one of each before the file is split, or its parts share them and the test is too good"
            }
        }
    }
}

impl Display for Overlap {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let name = |file: usize| self.files[file].display();
        if self.findings.is_empty() {
            return write!(out, "repeated    no text occurs again, not even nearly");
        }
        write!(
            out,
            "repeated texts (nearly: at least {:.0} % of the shingles of three words)",
            100.0 * NEAR_DUPLICATE_THRESHOLD
        )?;
        for found in &self.findings {
            let FileOverlap { file, earlier, n_exact, n_near, n_conflicts, examples } = found;
            let n_texts = self.n_texts[*file].max(1);
            let share = 100.0 * (n_exact + n_near) as f64 / n_texts as f64;
            let place = if file == earlier {
                "of an earlier record".to_owned()
            } else {
                format!("of {}", name(*earlier))
            };
            write!(
                out,
                "\n  {}: {n_exact} texts word for word {place}, {n_near} nearly ({share:.1} %)",
                name(*file)
            )?;
            if *n_conflicts > 0 {
                write!(out, ", {n_conflicts} of them under another label")?;
            }
            write!(out, "\n    to do: {}", Self::advice(found))?;
            for DuplicatePair { record, earlier, jaccard, conflict, text } in examples {
                let label = if *conflict { ", other label" } else { "" };
                write!(out, "\n    record {record} ~ record {earlier} ({jaccard:.2}{label}): {text}")?;
            }
        }
        Ok(())
    }
}
