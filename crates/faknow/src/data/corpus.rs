//! The data of a run: datasets, encoders, loaders, splits.

use std::path::Path;

use faknow_data::graph::{event_k_fold, event_split};
use faknow_data::{Classes, DataLoader, Dataset, FieldDataset, stratified_k_fold, stratified_split};
use tch::Tensor;

use crate::config::{Config, Fold, LoaderConfig};
use crate::data::encoders::{FieldEncoders, PretrainedEncoders};
use crate::data::known_tokens::KnownTokens;
use crate::data::left_out::LeftOutRecords;
use crate::data::source::{self, DataSource};
use crate::data::{leaks, news, records, trees};
use crate::models::{Fields, Shape};
use crate::{Error, Result};

/// Number of domains that the summary lists.
const MAX_DOMAINS: usize = 10;

/// The use of test records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestRecords {
    /// Test records are read, to test the detector.
    Include,
    /// Test records are not used; only the existence of their file is checked.
    Exclude,
}

/// The data of a run.
pub(crate) struct Corpus {
    pub(crate) train: FieldDataset,
    pub(crate) valid: Option<FieldDataset>,
    pub(crate) test: Option<FieldDataset>,
    pub(crate) encoders: FieldEncoders,
    pub(crate) classes: Classes,
    pub(crate) test_records: TestRecords,
    pub(crate) left_out: LeftOutRecords,
    /// Findings that may affect the results, one per line, such as samples that are left out.
    pub(crate) warnings: Vec<String>,
}

/// The summary of the data of a run.
#[derive(Debug, Default)]
pub(crate) struct CorpusSummary {
    /// One line per part.
    pub(crate) lines: Vec<String>,
    /// What spoils the training or its results.
    pub(crate) warnings: Vec<String>,
}

impl CorpusSummary {
    /// Returns the lines and the warnings, for the report.
    pub(crate) fn all_lines(&self) -> Vec<String> {
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        self.lines.iter().cloned().chain(warnings).collect()
    }
}

impl Corpus {
    /// Reads the data of `config` for a model with these input fields; `saved` are the encoders of a resumed run.
    pub(crate) fn load(
        config: &Config,
        fields: &Fields,
        saved: Option<FieldEncoders>,
        test_records: TestRecords,
    ) -> Result<Self> {
        source::check_options(config, fields)?;
        source::check_model_inputs(config, fields)?;
        let source = DataSource::from_config(&config.data, fields)?.ok_or_else(|| match fields.news {
            Some(_) => Error::config("data.fang", "no graph of articles"),
            None => Error::config("data.trees", "no trees"),
        })?;
        leaks::check_files(&config.data)?;
        let mut corpus = match source {
            DataSource::Records => records::load(config, fields, saved, test_records)?,
            DataSource::News => {
                news::load(config, config.data.fang.as_deref().unwrap_or(Path::new("")), test_records)?
            }
            DataSource::TreeFile | DataSource::Upfd | DataSource::TreeLines => {
                trees::load(config, source, saved, test_records)?
            }
        };
        if fields.domains.as_ref().is_some_and(|it| it.is_required) && corpus.encoders.domains.is_empty() {
            let column = config.data.domain.as_deref().unwrap_or_default();
            let message = format!(
                "expected the domains of the posts, which `{}` needs; no training record has one in `{column}`",
                config.model.name
            );
            return Err(Error::config("data.domain", message));
        }
        let leaks = leaks::warnings(&corpus)?;
        corpus.warnings.extend(leaks);
        Ok(corpus)
    }

    /// Returns the properties that determine the size of a model.
    pub(crate) fn shape<'a>(
        &'a self,
        word_vectors: Option<&'a Tensor>,
        pretrained: &'a PretrainedEncoders,
    ) -> Shape<'a> {
        self.encoders.shape(self.classes.len(), word_vectors, pretrained)
    }

    /// Returns a summary of the data, one line per part, which shows a wrong column or split before the first epoch.
    ///
    /// # Errors
    /// The tokens cannot be read from their file.
    pub(crate) fn summary(&self) -> Result<CorpusSummary> {
        let parts = [
            ("training", Some(&self.train)),
            ("validation", self.valid.as_ref()),
            ("test", self.test.as_ref()),
        ];
        let mut summary = CorpusSummary { warnings: self.warnings.clone(), ..CorpusSummary::default() };
        for (name, data) in parts {
            let line = match data {
                Some(data) => self.summarize(name, data, &mut summary.warnings)?,
                None => format!("{name}: none"),
            };
            summary.lines.push(line);
        }
        if self.test_records == TestRecords::Exclude {
            summary.lines.pop();
            summary.lines.push("test: held back".to_owned());
        }
        summary.lines.extend(self.left_out.lines());
        let words = self.encoders.words.as_ref();
        summary.lines.extend(words.map(|words| format!("vocabulary: {} words", words.vocab.len())));
        let subwords = self.encoders.subwords.as_ref();
        summary.lines.extend(subwords.map(|it| format!("vocabulary: {} subwords", it.tokenizer.n_tokens())));
        Ok(summary)
    }

    fn summarize(&self, name: &str, data: &FieldDataset, warnings: &mut Vec<String>) -> Result<String> {
        let of_classes = data.class_counts();
        let count =
            |(i, class): (usize, &String)| format!("{} {class}", of_classes.get(i).copied().unwrap_or(0));
        let classes: Vec<String> = self.classes.names().iter().enumerate().map(count).collect();
        let (n, classes) = (data.n_samples(), classes.join(", "));
        let (mut units, mut details) = (Vec::new(), Vec::new());
        let counts = self.encoders.token_counts(data)?;
        let mut known: KnownTokens = counts.iter().copied().collect();
        if data.has_images() {
            // A post without a known token has an image to learn from.
            let without = counts.iter().enumerate().filter(|(_, counts)| counts.n_known == 0);
            known.n_without = without.filter(|(row, _)| data.image_key(*row).is_none()).count();
        }
        if data.has_words() || data.has_subwords() {
            let storage = if data.is_on_disk() { ", stored on disk" } else { "" };
            let per_text = known.n_tokens as f64 / n.max(1) as f64;
            units.push("texts");
            details.push(format!(
                "{per_text:.1} tokens per text, {:.1} % unknown{storage}",
                100.0 * known.unknown_fraction()
            ));
        }
        if data.has_trees() {
            let n_nodes = data.n_nodes() as f64 / n.max(1) as f64;
            units.push("trees");
            details
                .push(format!("{n_nodes:.1} nodes per tree, {} features per node", data.n_node_features()));
        }
        if let Some(graph) = data.news_graph() {
            let articles = (0..n).filter_map(|index| data.article(index));
            let n_engagements: usize = articles.map(|article| article.engagements.len()).sum();
            let per_article = n_engagements as f64 / n.max(1) as f64;
            units.push("articles");
            details
                .push(format!("{per_article:.1} engagements per article, {} nodes in all", graph.n_nodes()));
        }
        let units = units.join(" with ");
        details.extend(describe_domains(name, data));
        if data.has_images() {
            details.push(format!("{} with an image", data.n_images()));
            let problems = data.image_problems().filter(|problems| problems.n_problems() > 0);
            warnings.extend(problems.map(|problems| format!("{name}: {problems}")));
        }
        if known.n_without > 0 {
            details.push(format!("{} {units} without any known token", known.n_without));
        }
        match name {
            "training" => warnings.extend(known.training_warning(&units)),
            _ => warnings.extend(known.warnings(name, &units)),
        }
        Ok(format!("{name}: {n} {units} ({classes}), {}", details.join(", ")))
    }
}

/// Returns the domains of a part of the data: for the training data, the largest with their numbers of samples; for others, the
/// number of samples without a domain of the training data.
fn describe_domains(part: &str, data: &FieldDataset) -> Option<String> {
    let names = data.domains();
    let mut counts = vec![0; names.len()];
    let known = (0..data.n_samples()).filter_map(|index| data.domain(index));
    known.for_each(|domain| counts[domain] += 1);
    let n_without = data.n_samples() - counts.iter().sum::<usize>();
    match (part, names) {
        (_, []) => None,
        ("training", _) => {
            let mut domains: Vec<(&String, usize)> = names.iter().zip(counts).collect();
            domains.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            let shown = domains.iter().take(MAX_DOMAINS).map(|(name, n)| format!("{n} {name}"));
            let mut shown: Vec<String> = shown.collect();
            shown.extend(
                domains.len().checked_sub(MAX_DOMAINS).filter(|n| *n > 0).map(|n| format!("{n} more")),
            );
            Some(format!("{} domains ({})", names.len(), shown.join(", ")))
        }
        _ => (n_without > 0).then(|| format!("{n_without} without a known domain")),
    }
}

/// Returns the loader of training batches.
pub(crate) fn train_loader(data: FieldDataset, config: &Config) -> Result<DataLoader<FieldDataset>> {
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
    if loader.max_tokens > 0 {
        builder = builder.max_tokens(loader.max_tokens);
    }
    let source = config.training_source()?;
    Ok(builder.build().map_err(|e| training_error(source, e))?)
}

/// Returns the loader of evaluation batches, sorted by length, since the results do not depend on the order.
pub(crate) fn eval_loader(data: FieldDataset, config: &LoaderConfig) -> Result<DataLoader<FieldDataset>> {
    let mut builder =
        DataLoader::builder(data).batch_size(config.eval_batch_size).prefetch(config.workers, 4);
    if config.max_tokens > 0 {
        builder = builder.max_tokens(config.max_tokens);
    }
    // A pool of the size of the dataset sorts all samples, which minimizes padding.
    Ok(builder.buckets(usize::MAX / config.eval_batch_size.max(1)).build()?)
}

/// Adds the file to an error of the training records.
pub(crate) fn training_error(file: &Path, error: faknow_data::Error) -> faknow_data::Error {
    match error {
        faknow_data::Error::Dataset(message) => {
            faknow_data::Error::file(file, format!("training records: {message}"))
        }
        other => other,
    }
}

/// The events, if samples are split by event, and the labels of samples.
pub(crate) type EventsAndLabels<'a> = (Vec<Option<&'a str>>, Vec<usize>);

/// Splits samples into training, validation and test by their labels; returns `None` if all are for training.
pub(crate) fn split(
    config: &Config,
    labels: impl FnOnce() -> Result<Vec<usize>>,
) -> Result<Option<[Vec<usize>; 3]>> {
    split_samples(config, || Ok((Vec::new(), labels()?)))
}

/// Splits samples into training, validation and test by their labels or, with `data.split_by_event`, by their events; returns
/// `None` if all are for training.
pub(crate) fn split_samples<'a>(
    config: &Config,
    samples: impl FnOnce() -> Result<EventsAndLabels<'a>>,
) -> Result<Option<[Vec<usize>; 3]>> {
    if let Some(fold) = config.data.fold {
        let (events, labels) = samples()?;
        return split_fold(config, fold, &events, &labels).map(Some);
    }
    let [train, mut valid, mut test] = config.data.split;
    if config.data.valid.is_some() {
        (valid, test) = (0.0, 0.0);
    }
    if config.data.test.is_some() {
        test = 0.0;
    }
    if valid == 0.0 && test == 0.0 {
        return match config.data.split_by_event {
            true => Err(nothing_to_split_by_event()),
            false => Ok(None),
        };
    }
    let sum = train + valid + test;
    let ratios = [train / sum, valid / sum, test / sum];
    let (events, labels) = samples()?;
    let parts = split_by(config, &events, &labels, ratios)?;
    // Rounded to a number of samples, a part may be empty: training without validation would be a silent surprise.
    let parts_with_names = ["training", "validation", "test"].into_iter().zip(&parts).zip(ratios);
    match parts_with_names.into_iter().find(|((_, part), ratio)| part.is_empty() && *ratio > 0.0) {
        None => Ok(Some(parts)),
        Some(((name, _), ratio)) => Err(Error::config(
            "data.split",
            format!(
                "expected at least one {name} record, got none: {:.0} % of {} records; name files of records with \
                 `data.valid` and `data.test`, or use all for training with data.split=[1.0, 0.0, 0.0]",
                100.0 * ratio,
                labels.len()
            ),
        )),
    }
}

/// Returns the error for `data.split_by_event` if files define all parts.
pub(crate) fn nothing_to_split_by_event() -> Error {
    let message =
        "expected a part that is split from the training samples, got files or a share of 0 for all parts";
    Error::config("data.split_by_event", message)
}

/// Splits samples in these ratios, stratified by class or, with `data.split_by_event`, by event.
pub(crate) fn split_by(
    config: &Config,
    events: &[Option<&str>],
    labels: &[usize],
    ratios: [f64; 3],
) -> Result<[Vec<usize>; 3]> {
    if !config.data.split_by_event {
        return Ok(stratified_split(labels, ratios, config.seed)?);
    }
    if events.iter().all(Option::is_none) {
        let message = "expected samples with an event, got none: for records name its column with `data.domain`; trees have it in \
                       the second of three columns of `data.labels`, or in the field `event` of JSON lines";
        return Err(Error::config("data.split_by_event", message));
    }
    Ok(event_split(events, labels, ratios, config.seed)?)
}

/// Splits samples with a fold as the test part; training and validation share the other folds.
fn split_fold(
    config: &Config,
    fold: Fold,
    events: &[Option<&str>],
    labels: &[usize],
) -> Result<[Vec<usize>; 3]> {
    let folds = match config.data.split_by_event {
        true => event_k_fold(events, labels, fold.n_folds, config.seed),
        false => stratified_k_fold(labels, fold.n_folds, config.seed),
    };
    let mut folds = folds.map_err(|e| Error::from_data("data.fold", e))?;
    let test = folds.swap_remove(fold.number - 1);
    let mut others = folds.concat();
    others.sort_unstable();
    let [train, valid, _] = config.data.split;
    let valid = if config.data.valid.is_some() { 0.0 } else { valid / (train + valid) };
    let other_labels: Vec<usize> = others.iter().map(|&index| labels[index]).collect();
    let other_events: Vec<Option<&str>> =
        others.iter().filter_map(|&index| events.get(index).copied()).collect();
    let parts = split_by(config, &other_events, &other_labels, [1.0 - valid, valid, 0.0])?;
    let [train, valid, _] = parts.map(|part| part.into_iter().map(|index| others[index]).collect());
    Ok([train, valid, test])
}
