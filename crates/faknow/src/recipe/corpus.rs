//! From files of records to data sets of tokens, with the vocabulary of the training texts.

use std::path::Path;

use faknow_data::text::{Tokenizer, Vocab, VocabOptions};
use faknow_data::{
    Classes, DataLoader, Dataset, ReadOptions, Record, RecordReader, TextDataset, stratified_k_fold,
    stratified_split,
};

use super::fold::Fold;
use super::{Config, LoaderConfig, TextConfig};
use crate::{Error, Result};

/// What becomes of the test records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestRecords {
    /// They are read, to test the detector.
    Used,
    /// They are set aside, and nothing but that their file exists is looked at.
    HeldBack,
}

/// The data of a run.
pub(super) struct Corpus {
    pub(super) train: TextDataset,
    pub(super) valid: Option<TextDataset>,
    pub(super) test: Option<TextDataset>,
    pub(super) vocab: Vocab,
    pub(super) tokenizer: Tokenizer,
    pub(super) classes: Classes,
    test_records: TestRecords,
}

impl Corpus {
    /// Reads the files of `config`; `margin` is the padding that the model wants behind the longest text, `saved` the
    /// vocabulary of a run that goes on.
    pub(super) fn load(
        config: &Config,
        margin: usize,
        saved: Option<Vocab>,
        test_records: TestRecords,
    ) -> Result<Self> {
        let classes = config.data.to_classes()?;
        let tokenizer = Tokenizer::new(config.text.tokenizer_config()?)?;
        let options = config.data.read_options(true);
        let file = config.train_file()?;
        // A file that cannot be opened should be known before an hour is spent on another one.
        for path in [&config.data.valid, &config.data.test].into_iter().flatten() {
            RecordReader::open(path, &options, Some(&classes))?;
        }
        let parts = cut(config, file, &options, &classes)?;

        let open = |path: &Path| RecordReader::open(path, &options, Some(&classes));
        let training = || -> Result<_> {
            let all = parts.is_none();
            let part = parts.as_ref().map_or(&[][..], |parts| &parts[0]);
            Ok(select(open(file)?, part, all))
        };
        let (mut train, mut vocab) =
            TextDataset::build(training()?, &tokenizer, &vocab_options(&config.text))
                .map_err(|e| training_part(file, e))?;
        if let Some(saved) = saved.filter(|saved| saved.fingerprint() != vocab.fingerprint()) {
            // The weights belong to the words of old.
            train = TextDataset::from_records(training()?, &tokenizer, &saved, train.domains())?;
            vocab = saved;
        }
        let train = train.with_margin(margin);
        train.check_classes(classes.names()).map_err(|e| training_part(file, e))?;
        let rest = |path: &Option<std::path::PathBuf>,
                    part: Option<&Vec<usize>>|
         -> Result<Option<TextDataset>> {
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
        Ok(Self { train, valid, test, vocab, tokenizer, classes, test_records })
    }

    /// What was read, a line each, so that a wrong column or a wrong split is seen before the first epoch.
    pub(super) fn summary(&self) -> Vec<String> {
        let parts = [
            ("training", Some(&self.train)),
            ("validation", self.valid.as_ref()),
            ("test", self.test.as_ref()),
        ];
        let mut lines: Vec<String> =
            parts.into_iter().map(|(name, data)| self.summarize(name, data)).collect();
        if self.test_records == TestRecords::HeldBack {
            lines.pop();
            lines.push("test: held back".to_owned());
        }
        lines.push(format!("vocabulary: {} words", self.vocab.len()));
        lines
    }

    fn summarize(&self, name: &str, data: Option<&TextDataset>) -> String {
        let Some(data) = data else { return format!("{name}: none") };
        let counts = data.class_counts();
        let of_class =
            |(i, class): (usize, &String)| format!("{} {class}", counts.get(i).copied().unwrap_or(0));
        let classes: Vec<String> = self.classes.names().iter().enumerate().map(of_class).collect();
        let n_tokens = data.n_tokens();
        format!(
            "{name}: {} texts ({}), {:.1} tokens each, {:.1} % outside the vocabulary",
            data.n_samples(),
            classes.join(", "),
            n_tokens as f64 / data.n_samples().max(1) as f64,
            100.0 * data.n_unknown() as f64 / n_tokens.max(1) as f64
        )
    }
}

/// The loader of training batches.
pub(super) fn train_loader(data: TextDataset, config: &Config) -> Result<DataLoader<TextDataset>> {
    let loader = &config.loader;
    let mut builder = DataLoader::builder(data)
        .batch_size(loader.batch_size)
        .shuffle(config.seed)
        .drop_last(loader.drop_last)
        .prefetch(loader.workers, 4);
    if loader.buckets > 0 {
        builder = builder.buckets(loader.buckets);
    }
    if loader.balanced {
        builder = builder.balanced();
    }
    let file = config.train_file()?;
    Ok(builder.build().map_err(|e| training_part(file, e))?)
}

/// The loader of batches for evaluation: the shortest texts first, since no result depends on the order.
pub(super) fn eval_loader(data: TextDataset, config: &LoaderConfig) -> Result<DataLoader<TextDataset>> {
    let builder = DataLoader::builder(data).batch_size(config.eval_batch_size).prefetch(config.workers, 4);
    // A pool as large as the data sorts all of it, and saves the most padding.
    Ok(builder.buckets(usize::MAX / config.eval_batch_size.max(1)).build()?)
}

/// An error of the training texts, with the file that they come from.
fn training_part(file: &Path, error: faknow_data::Error) -> faknow_data::Error {
    match error {
        faknow_data::Error::Dataset(message) => {
            faknow_data::Error::file(file, format!("training records: {message}"))
        }
        other => other,
    }
}

fn vocab_options(config: &TextConfig) -> VocabOptions {
    VocabOptions { min_count: config.min_count, max_size: (config.max_vocab > 0).then_some(config.max_vocab) }
}

/// Which records of the training file go to training, validation and test; `None` if all are for training.
fn cut(
    config: &Config,
    file: &Path,
    options: &ReadOptions,
    classes: &Classes,
) -> Result<Option<[Vec<usize>; 3]>> {
    let labels = || -> Result<Vec<usize>> {
        let records = RecordReader::open(file, options, Some(classes))?;
        records.map(|record| Ok(record?.label.unwrap_or_default())).collect()
    };
    if let Some(fold) = config.data.fold {
        return cut_fold(config, fold, &labels()?).map(Some);
    }
    let [train, mut valid, mut test] = config.data.split;
    if config.data.valid.is_some() {
        (valid, test) = (0.0, 0.0);
    }
    if config.data.test.is_some() {
        test = 0.0;
    }
    if valid == 0.0 && test == 0.0 {
        return Ok(None);
    }
    let sum = train + valid + test;
    let ratios = [train / sum, valid / sum, test / sum];
    Ok(Some(stratified_split(&labels()?, ratios, config.seed)?))
}

/// The same if the test is a fold: the other folds are for training and, by its share, validation.
fn cut_fold(config: &Config, fold: Fold, labels: &[usize]) -> Result<[Vec<usize>; 3]> {
    let mut folds =
        stratified_k_fold(labels, fold.of, config.seed).map_err(|e| Error::setting("data.fold", e))?;
    let test = folds.swap_remove(fold.number - 1);
    let mut others = folds.concat();
    others.sort_unstable();
    let [train, valid, _] = config.data.split;
    let valid = if config.data.valid.is_some() { 0.0 } else { valid / (train + valid) };
    let classes: Vec<usize> = others.iter().map(|&position| labels[position]).collect();
    let parts = stratified_split(&classes, [1.0 - valid, valid, 0.0], config.seed)?;
    let [train, valid, _] = parts.map(|part| part.into_iter().map(|at| others[at]).collect());
    Ok([train, valid, test])
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
