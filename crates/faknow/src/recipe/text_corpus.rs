//! From files of records to data sets of tokens, with the vocabulary of the training texts.

use std::path::Path;

use faknow_data::text::{Tokenizer, VocabOptions};
use faknow_data::{Record, RecordReader, TextDataset};

use super::corpus::{Corpus, TestRecords, cut, training_part};
use super::input::InputDataset;
use super::inputs::{Inputs, Words};
use super::{Config, TextConfig};
use crate::Result;

/// Reads the files of `config`; `margin` is the padding that the model wants behind the longest text, `saved` the
/// inputs of a run that goes on.
pub(super) fn load(
    config: &Config,
    margin: usize,
    saved: Option<Inputs>,
    test_records: TestRecords,
) -> Result<Corpus> {
    let classes = config.data.to_classes()?;
    let tokenizer = Tokenizer::new(config.text.tokenizer_config()?)?;
    let options = config.data.read_options(true);
    let file = config.train_file()?;
    // A file that cannot be opened should be known before an hour is spent on another one.
    for path in [&config.data.valid, &config.data.test].into_iter().flatten() {
        RecordReader::open(path, &options, Some(&classes))?;
    }
    let labels = || -> Result<Vec<usize>> {
        let records = RecordReader::open(file, &options, Some(&classes))?;
        records.map(|record| Ok(record?.label.unwrap_or_default())).collect()
    };
    let parts = cut(config, labels)?;

    let open = |path: &Path| RecordReader::open(path, &options, Some(&classes));
    let training = || -> Result<_> {
        let all = parts.is_none();
        let part = parts.as_ref().map_or(&[][..], |parts| &parts[0]);
        Ok(select(open(file)?, part, all))
    };
    let (mut train, mut vocab) = TextDataset::build(training()?, &tokenizer, &vocab_options(&config.text))
        .map_err(|e| training_part(file, e))?;
    let saved = saved.and_then(|saved| match saved {
        Inputs::Texts(words) => Some(words.vocab),
        Inputs::Trees { .. } => None,
    });
    if let Some(saved) = saved.filter(|saved| saved.fingerprint() != vocab.fingerprint()) {
        // The weights belong to the words of old.
        train = TextDataset::from_records(training()?, &tokenizer, &saved, train.domains())?;
        vocab = saved;
    }
    let train = train.with_margin(margin);
    train.check_classes(classes.names()).map_err(|e| training_part(file, e))?;
    let rest =
        |path: &Option<std::path::PathBuf>, part: Option<&Vec<usize>>| -> Result<Option<TextDataset>> {
            let domains = train.domains();
            Ok(match (path, part) {
                (Some(path), _) => Some(
                    TextDataset::from_records(open(path)?, &tokenizer, &vocab, domains)?.with_margin(margin),
                ),
                (None, Some(part)) if !part.is_empty() => {
                    let records = select(open(file)?, part, false);
                    Some(TextDataset::from_records(records, &tokenizer, &vocab, domains)?.with_margin(margin))
                }
                _ => None,
            })
        };
    let valid = rest(&config.data.valid, parts.as_ref().map(|p| &p[1]))?;
    let test = match test_records {
        TestRecords::Used => rest(&config.data.test, parts.as_ref().map(|p| &p[2]))?,
        TestRecords::HeldBack => None,
    };
    Ok(Corpus {
        train: InputDataset::Texts(train),
        valid: valid.map(InputDataset::Texts),
        test: test.map(InputDataset::Texts),
        inputs: Inputs::Texts(Words { vocab, tokenizer }),
        classes,
        test_records,
    })
}

pub(super) fn vocab_options(config: &TextConfig) -> VocabOptions {
    VocabOptions { min_count: config.min_count, max_size: (config.max_vocab > 0).then_some(config.max_vocab) }
}

/// The records at the ascending positions `part`, or all.
fn select<'a>(
    records: RecordReader,
    part: &'a [usize],
    all: bool,
) -> impl Iterator<Item = faknow_data::Result<Record>> + Send + 'a {
    let mut wanted = part.iter().peekable();
    records.enumerate().filter_map(move |(position, record)| {
        let take = all || record.is_err() || wanted.next_if(|&&next| next == position).is_some();
        take.then_some(record)
    })
}
