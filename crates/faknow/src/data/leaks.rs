//! Samples of the training data that are also validation or test samples, whose scores are then too high.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use faknow_data::common::printable_path;
use faknow_data::text::UNKNOWN;
use faknow_data::{Dataset as _, FieldDataset, TokenKind};

use crate::config::DataConfig;
use crate::data::corpus::Corpus;
use crate::data::encoders::FieldEncoders;
use crate::{Error, Result};

/// Maximum number of examples per warning.
const MAX_EXAMPLES: usize = 3;
/// Maximum number of words of an example.
const EXAMPLE_WORDS: usize = 8;
/// Minimum number of known words of a text with unknown words that is compared, since these are not distinguished.
const MIN_KNOWN_WORDS: usize = 8;
/// Number of bytes of two files that are compared at a time.
const CHUNK_BYTES: u64 = 1 << 16;

/// Checks that the files of training differ in path and content from each other and from those of validation and test.
///
/// # Errors
/// A file or a copy of it occurs twice; the error names the setting and both files.
pub(crate) fn check_files(data: &DataConfig) -> Result<()> {
    let records = [("data.train", &data.train), ("data.valid", &data.valid), ("data.test", &data.test)];
    let records = records.iter().flat_map(|(key, files)| {
        files.iter().flat_map(|files| files.paths()).map(|path| (*key, path)).collect::<Vec<_>>()
    });
    let ids = [
        ("data.train_ids", &data.train_ids),
        ("data.valid_ids", &data.valid_ids),
        ("data.test_ids", &data.test_ids),
    ];
    let ids = ids.iter().filter_map(|(key, file)| Some((*key, file.as_deref()?)));
    check_different(&records.collect::<Vec<_>>())?;
    check_different(&ids.collect::<Vec<_>>())
}

/// Checks that files, given with their setting, differ in path and content.
fn check_different(files: &[(&str, &Path)]) -> Result<()> {
    for (index, (key, file)) in files.iter().enumerate() {
        // Validation and test may share a file, of which a warning counts the samples.
        let is_compared = |other: &str| other == *key || matches!(other, "data.train" | "data.train_ids");
        for (other_key, other) in files[..index].iter().filter(|other| is_compared(other.0)) {
            let help = match key == other_key {
                true => "its samples would be read twice",
                false => "scores on training samples are too high",
            };
            let place = if key == other_key { "before".to_owned() } else { format!("in `{other_key}`") };
            let (file_name, other_name) = (printable_path(file), printable_path(other));
            if matches!((file.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b) {
                let message =
                    format!("expected each file once, got `{file_name}`, which is {place} too: {help}");
                return Err(Error::config(*key, message));
            }
            // Files that cannot be read are errors of the reader, which names the setting.
            if have_same_content(file, other).unwrap_or(false) {
                let message = format!(
                    "expected different files, got `{file_name}`, a copy of `{other_name}` {place}: {help}"
                );
                return Err(Error::config(*key, message));
            }
        }
    }
    Ok(())
}

/// Returns whether two regular files have the same bytes.
fn have_same_content(a: &Path, b: &Path) -> std::io::Result<bool> {
    let (is_file, length) = std::fs::metadata(a).map(|metadata| (metadata.is_file(), metadata.len()))?;
    let other = std::fs::metadata(b)?;
    if !is_file || !other.is_file() || length != other.len() || length == 0 {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::new(File::open(a)?), BufReader::new(File::open(b)?));
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    loop {
        from_a.clear();
        from_b.clear();
        a.by_ref().take(CHUNK_BYTES).read_to_end(&mut from_a)?;
        b.by_ref().take(CHUNK_BYTES).read_to_end(&mut from_b)?;
        if from_a != from_b || from_a.is_empty() {
            return Ok(from_a == from_b);
        }
    }
}

/// Returns warnings about validation and test samples whose input is that of a training sample, and about test samples whose
/// input is that of a validation sample.
///
/// Compared is what a model reads: the tokens of texts without punctuation, so that case and whitespace make no difference where
/// the tokenizer ignores them, and shape and features of trees. Not compared are texts without a known word, and texts with unknown
/// words and few known ones.
///
/// # Errors
/// Tokens stored in a file cannot be read.
pub(crate) fn warnings(corpus: &Corpus) -> Result<Vec<String>> {
    let encoders = &corpus.encoders;
    let mut warnings = Vec::new();
    let parts = [("validation", corpus.valid.as_ref()), ("test", corpus.test.as_ref())];
    for (name, part) in parts {
        if let Some(part) = part {
            warnings.extend(shared(("training", &corpus.train), (name, part), encoders)?);
        }
    }
    if let (Some(valid), Some(test)) = (&corpus.valid, &corpus.test) {
        warnings.extend(shared(("validation", valid), ("test", test), encoders)?);
    }
    Ok(warnings)
}

/// Returns a warning about the samples of `part` that are in `other`, if there are any.
fn shared(
    (other_name, other): (&str, &FieldDataset),
    (name, part): (&str, &FieldDataset),
    encoders: &FieldEncoders,
) -> Result<Option<String>> {
    let mut kind_of = encoders.kinds_of_tokens();
    // Memory is proportional to the smaller part, that of the evaluation.
    let mut samples: HashMap<u64, Vec<u32>> = HashMap::new();
    for index in 0..part.n_samples() {
        if let Some(hash) = input_hash(part, index, &mut kind_of)? {
            samples.entry(hash).or_default().push(index as u32);
        }
    }
    let (mut n, mut n_other_class, mut examples) = (0, 0, Vec::new());
    for index in 0..other.n_samples() {
        let Some(hash) = input_hash(other, index, &mut kind_of)? else { continue };
        for sample in samples.remove(&hash).unwrap_or_default() {
            n += 1;
            n_other_class += usize::from(part.class(sample as usize) != other.class(index));
            if examples.len() < MAX_EXAMPLES {
                examples.push(describe(part, sample as usize, encoders)?);
            }
        }
    }
    if n == 0 {
        return Ok(None);
    }
    let unit = if part.has_trees() { "trees" } else { "texts" };
    let classes = match n_other_class {
        0 => String::new(),
        n => format!(", {n} of them with another class"),
    };
    let more = if n > examples.len() { ", …" } else { "" };
    Ok(Some(format!(
        "{n} of {} {name} {unit} are {other_name} {unit} too{classes}, so the {name} scores are too high; remove them from one \
         part: {}{more}",
        part.n_samples(),
        examples.join(", ")
    )))
}

/// Returns a hash of the input of a sample; `None` for a text that is not compared.
fn input_hash(
    data: &FieldDataset,
    index: usize,
    kind_of: &mut impl FnMut(u32) -> TokenKind,
) -> Result<Option<u64>> {
    if data.has_words() {
        let tokens = data.tokens(index)?;
        // An n-gram model distinguishes words that are not features, too.
        let n_known =
            tokens.iter().filter(|&&token| token > UNKNOWN && kind_of(token) != TokenKind::Ignored).count();
        let is_complete = n_known > 0 && !tokens.contains(&UNKNOWN);
        if !is_complete && n_known < MIN_KNOWN_WORDS {
            return Ok(None);
        }
    }
    Ok(data.input_hash(index, kind_of)?)
}

/// Returns the id of a sample or the start of its text.
fn describe(data: &FieldDataset, index: usize, encoders: &FieldEncoders) -> Result<String> {
    if let Some(id) = data.id(index) {
        return Ok(format!("`{id}`"));
    }
    let tokens = data.tokens(index)?;
    let first = &tokens[..tokens.len().min(EXAMPLE_WORDS)];
    let more = if tokens.len() > EXAMPLE_WORDS { " …" } else { "" };
    let text = match (&encoders.words, &encoders.subwords) {
        (_, Some(subwords)) => subwords.tokenizer.decode(first).unwrap_or_default(),
        (Some(words), None) => {
            let words = first.iter().filter_map(|&token| words.vocab.word(token));
            words.collect::<Vec<_>>().join(" ")
        }
        (None, None) => String::new(),
    };
    Ok(format!("`{text}{more}`"))
}
