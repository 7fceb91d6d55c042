//! Duplicate and near-duplicate texts, within files and across them, which inflate test scores.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::sketch::{Sketch, Sketcher};
use crate::common::{printable, printable_path};
use crate::records::RawLabel;
use crate::records::{ReadOptions, Source, open_file, text_of, value_at};
use crate::{Classes, Error, Result};

/// Minimum Jaccard similarity of the shingles of two near-duplicate texts.
pub const NEAR_DUPLICATE_THRESHOLD: f64 = 0.7;
/// Number of texts that are sketched in parallel.
const CHUNK: usize = 4096;
/// Maximum number of earlier texts per band that a text is compared with, as a text may occur thousands of times.
const MAX_CANDIDATES: usize = 16;
/// Maximum number of examples per pair of files.
const MAX_EXAMPLES: usize = 5;
/// Number of characters of a text that an example shows.
const EXCERPT_CHARACTERS: usize = 80;

/// Duplicate and near-duplicate texts within and across files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The files in the given order, training data first.
    pub files: Vec<PathBuf>,
    /// Number of texts with at least one word, per file.
    pub n_texts: Vec<usize>,
    /// The duplicates of each pair of files that has any.
    pub findings: Vec<FileOverlap>,
}

/// Texts of a file that duplicate the text of an earlier record, in the same file or in another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileOverlap {
    /// Index of the file with the duplicates.
    pub file: usize,
    /// Index of the file with the earlier records.
    pub earlier: usize,
    /// Number of exact duplicates.
    pub n_exact: usize,
    /// Number of near-duplicates: texts that share at least [`NEAR_DUPLICATE_THRESHOLD`] of their shingles of three words.
    pub n_near: usize,
    /// Number of exact and near-duplicates with a different label.
    pub n_conflicts: usize,
    /// The first few duplicates.
    pub examples: Vec<DuplicatePair>,
}

/// A text and the earlier text that it duplicates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DuplicatePair {
    /// Number of the record, from 1.
    pub record: usize,
    /// Number of the earlier record in its file.
    pub earlier: usize,
    /// Jaccard similarity of the shingles of both texts.
    pub jaccard: f64,
    /// Whether the labels differ.
    pub conflict: bool,
    /// The start of the text.
    pub text: String,
}

struct Text {
    file: usize,
    record: usize,
    label: Option<String>,
    excerpt: String,
    sketch: Sketch,
}

/// Finds the texts of `files` that duplicate the text of an earlier record; each file is read with its own options, which
/// name the columns.
///
/// Near-duplicates are found by MinHash (64 hashes in 16 bands of 4) over shingles of three lowercase words, and verified
/// exactly. Memory use is about 4 bytes per word and some hundred bytes per text.
///
/// If `classes` are given, labels are compared by class, as `1` and `fake` may be the same class.
///
/// # Errors
/// A file cannot be opened, or lacks its text column.
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
    for (index, text) in texts.iter().enumerate() {
        let mut candidates: Vec<u32> = Vec::new();
        for (band, seen) in text.sketch.bands.iter().zip(&mut bands) {
            let earlier = seen.entry(*band).or_default();
            candidates.extend(earlier.iter());
            if earlier.len() < MAX_CANDIDATES {
                earlier.push(index as u32);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        if let Some((earlier, jaccard)) = closest(text, &candidates, &texts) {
            add_finding(&mut findings, text, earlier, jaccard);
        }
    }
    // Most severe first: duplicates across files.
    findings.sort_by_key(|finding| (finding.file == finding.earlier, finding.file, finding.earlier));
    Ok(Overlap { files: files.iter().map(|(path, _)| path.clone()).collect(), n_texts, findings })
}

/// Returns the most similar earlier text, preferring those of other files; ties go to the first.
fn closest<'a>(text: &Text, candidates: &[u32], texts: &'a [Text]) -> Option<(&'a Text, f64)> {
    let candidates = candidates.iter().map(|&index| &texts[index as usize]);
    let similarities = candidates.map(|other| (other, text.sketch.jaccard(&other.sketch)));
    similarities.filter(|(_, jaccard)| *jaccard >= NEAR_DUPLICATE_THRESHOLD).reduce(|best, next| {
        let rank = |(other, jaccard): &(&Text, f64)| (other.file != text.file, *jaccard);
        if rank(&next) > rank(&best) { next } else { best }
    })
}

fn add_finding(findings: &mut Vec<FileOverlap>, text: &Text, earlier: &Text, jaccard: f64) {
    let is_pair = |finding: &FileOverlap| (finding.file, finding.earlier) == (text.file, earlier.file);
    let index = findings.iter().position(is_pair).unwrap_or_else(|| {
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
    let finding = &mut findings[index];
    let conflict = matches!((&text.label, &earlier.label), (Some(a), Some(b)) if a != b);
    if text.sketch.exact == earlier.sketch.exact {
        finding.n_exact += 1;
    } else {
        finding.n_near += 1;
    }
    finding.n_conflicts += usize::from(conflict);
    if finding.examples.len() < MAX_EXAMPLES {
        let (record, earlier) = (text.record, earlier.record);
        finding.examples.push(DuplicatePair {
            record,
            earlier,
            jaccard,
            conflict,
            text: text.excerpt.clone(),
        });
    }
}

/// Reads the texts of a file, skipping records that cannot be read, which [`inspect`](super::inspect) reports.
fn read(
    file: usize,
    (path, options): (&Path, &ReadOptions),
    classes: Option<&Classes>,
    sketcher: &Sketcher,
    texts: &mut Vec<Text>,
) -> Result<()> {
    let class_name = |label: &RawLabel<'_>| match classes {
        Some(classes) => classes.parse(label).ok().and_then(|class| classes.name(class)).map(str::to_owned),
        None => Some(label.to_string()),
    };
    let (reader, _, options) = open_file(path, options)?;
    let mut source = Source::new(reader, path, &options)?;
    let columns = &options.columns;
    let Some(text_column) = &columns.text else {
        return Err(Error::file(path, "expected the name of the text column, got none"));
    };
    columns.select_in(&mut source, false)?;
    loop {
        let mut chunk: Vec<(usize, String, Option<String>)> = Vec::new();
        let mut is_at_end = false;
        while chunk.len() < CHUNK && !is_at_end {
            match source.next_record() {
                Ok(Some(raw)) => {
                    let label = columns.label.as_ref().and_then(|column| value_at(&raw.fields, column));
                    let label = label.and_then(|value| RawLabel::from_value(value).ok().flatten());
                    if let Ok(text) = text_of(&raw.fields, text_column) {
                        chunk.push((raw.number, text.into_owned(), label.as_ref().and_then(class_name)));
                    }
                }
                Ok(None) => is_at_end = true,
                Err(error) => is_at_end = !error.is_recoverable,
            }
        }
        let sketched = chunk.into_par_iter().filter_map(|(record, text, label)| {
            let sketch = sketcher.sketch(&text)?;
            let excerpt = text
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .chars()
                .take(EXCERPT_CHARACTERS)
                .collect();
            Some(Text { file, record, label, excerpt, sketch })
        });
        texts.par_extend(sketched);
        if is_at_end {
            return Ok(());
        }
    }
}

impl Overlap {
    /// Returns advice on how to fix a finding.
    pub fn advice(finding: &FileOverlap) -> &'static str {
        match (finding.file == finding.earlier, finding.n_conflicts > 0) {
            (false, _) => "remove them from the later file: testing on training texts inflates the scores",
            (true, true) => "choose one label for each, and keep one copy",
            (true, false) => {
                "keep one copy of each before splitting the file: duplicates across splits inflate test scores"
            }
        }
    }
}

impl Display for Overlap {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let name = |file: usize| printable_path(&self.files[file]);
        if self.findings.is_empty() {
            return write!(out, "duplicates  no duplicate or near-duplicate texts found");
        }
        write!(
            out,
            "duplicate texts (near-duplicates share at least {:.0} % of their 3-word shingles)",
            100.0 * NEAR_DUPLICATE_THRESHOLD
        )?;
        for finding in &self.findings {
            let FileOverlap { file, earlier, n_exact, n_near, n_conflicts, examples } = finding;
            let n_texts = self.n_texts[*file].max(1);
            let share = 100.0 * (n_exact + n_near) as f64 / n_texts as f64;
            let source = if file == earlier {
                "of earlier records".to_owned()
            } else {
                format!("of texts in {}", name(*earlier))
            };
            write!(
                out,
                "\n  {}: {n_exact} exact duplicates {source}, {n_near} near-duplicates ({share:.1} %)",
                name(*file)
            )?;
            if *n_conflicts > 0 {
                write!(out, ", {n_conflicts} of them with a different label")?;
            }
            write!(out, "\n    help: {}", Self::advice(finding))?;
            for DuplicatePair { record, earlier, jaccard, conflict, text } in examples {
                let label = if *conflict { ", different label" } else { "" };
                write!(
                    out,
                    "\n    record {record} ~ record {earlier} ({jaccard:.2}{label}): {}",
                    printable(text, EXCERPT_CHARACTERS)
                )?;
            }
        }
        Ok(())
    }
}
