//! Trained detectors: loading from a run directory, prediction, tests, explanation, export.

mod builder;
pub(crate) mod domains;
pub(crate) mod evaluation;
pub(crate) mod explanation;
mod export;
mod export_encoder;
mod export_linear;
pub(crate) mod files;
pub(crate) mod ngram_explanation;
mod predicting;
mod sample;
mod sample_prediction;
mod stream;

use std::path::Path;

use faknow_data::graph::Tree;
use faknow_data::image::OnImageProblem;
use faknow_data::{Classes, ColumnMap, FieldDataset, ReadOptions, Record, SkipBroken};
use faknow_metrics::Decision;
use faknow_model::{Summary, summary};
use faknow_report::Calibrated;
use faknow_trainer::{evaluate, let_threads_sleep, with_model_seed};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::config::{Config, DataConfig, DataFiles, DecisionConfig, Threshold, decision as decision_config};
use crate::data::corpus::eval_loader;
use crate::data::encoders::{FieldEncoders, TreeEncoder, WordEncoder, wrong_input};
use crate::data::files::FileRecords;
use crate::data::layout::LayoutRules;
use crate::data::left_out::{LeftOutRecords, check_drop_classes};
use crate::data::trees;
use crate::detector::domains::inputs_of;
use crate::detector::evaluation::{EvaluatedSamples, decide, in_order};
use crate::detector::files::{CLASSES, CONFIG, check_classes, load_weights, weights_checkpoint};
use crate::files::{check_run_dir, read_json, verify_files, write_json};
use crate::models::{BoxedModel, Fields, Registry};
use crate::{Error, Result};

pub use faknow_metrics::Prediction;

pub use crate::data::known_tokens::KnownTokens;
pub use builder::DetectorBuilder;
pub use domains::{DomainResult, DomainResults};
pub use evaluation::DetectorEvaluation;
pub use explanation::{Attribution, Explanation, NodeAttribution, TextExplanation, TreeExplanation};
pub use export::ExportManifest;
pub use ngram_explanation::NGramAttribution;
pub use sample::{InputRecord, InputRecords, Sample};
pub use sample_prediction::{NoPrediction, SamplePrediction};
pub use stream::Classified;

/// A trained detector.
pub struct Detector {
    config: Config,
    encoders: FieldEncoders,
    fields: Fields,
    classes: Classes,
    calibrated: Calibrated,
    model: BoxedModel,
    device: Device,
    /// The variables of the model, which it refers to.
    vars: VarStore,
    /// Whether samples without known tokens have predictions.
    predicts_unknown: bool,
}

impl Registry {
    /// Loads the detector of one of these models from a run directory, which may have been moved. It has the weights of the
    /// best epoch, or of the last one without validation; they are compared with the checksum in the manifest of their
    /// checkpoint, if it has a manifest.
    ///
    /// # Errors
    /// The directory contains no trained detector, or one of its files is corrupted.
    pub fn load_detector(&self, run: &Path, device: Device) -> Result<Detector> {
        let_threads_sleep();
        let not_a_run = |message: &str| Error::NotARun { path: run.to_path_buf(), message: message.into() };
        check_run_dir(run)?;
        let missing_file = |name: &str| not_a_run(&format!("missing `{name}`; copy the run directory again"));
        verify_files(run, &[CONFIG])?;
        let config = self.config_from_file(&run.join(CONFIG))?;
        self.check_model_of(run, &config)?;
        let in_file = |e: Error| Error::config("", format!("{}: {e}", run.join(CONFIG).display()));
        let configured = config.configured_model().map_err(in_file)?;
        let fields = configured.fields();
        if let Some(name) = FieldEncoders::missing(run, &fields, &config)? {
            return Err(missing_file(name));
        }
        let classes: Classes = read_json(run, CLASSES)?.ok_or_else(|| missing_file(CLASSES))?;
        check_classes(run, &config, &classes)?;
        let checkpoint =
            weights_checkpoint(run, &config)?.ok_or_else(|| not_a_run("no weights in `checkpoints/`"))?;
        let encoders = FieldEncoders::load(run, &fields, &config)?;
        let vars = VarStore::new(device);
        let pretrained = encoders.pretrained()?;
        let shape = encoders.shape(classes.len(), None, &pretrained);
        let build = || configured.build(&vars.root(), &shape);
        let model = with_model_seed(config.seed, build).map_err(in_file)?;
        load_weights(&vars, run, checkpoint)?;
        let calibrated = decision_config::load(run)?;
        let predicts_unknown = false;
        Ok(Detector { config, encoders, fields, classes, calibrated, model, device, vars, predicts_unknown })
    }
}

impl Registry {
    /// Checks that the model of a run is registered.
    pub(crate) fn check_model_of(&self, run: &Path, config: &Config) -> Result<()> {
        self.model(&config.model.name).map(drop).map_err(|error| {
            let file = run.join(CONFIG);
            let hint = "for a run of another program, use that program or register the model";
            Error::config("", format!("{}: {error}; {hint}", file.display()))
        })
    }
}

impl Detector {
    /// Loads the detector of a builtin model from a run directory; see [`Registry::load_detector`].
    ///
    /// # Errors
    /// The directory contains no trained detector, or one of its files is corrupted.
    pub fn load(run: &Path, device: Device) -> Result<Self> {
        Registry::builtin().load_detector(run, device)
    }

    /// Returns the detector with another decision threshold.
    ///
    /// # Errors
    /// Its calibration has no such threshold, or there are not two classes.
    pub fn with_threshold(mut self, threshold: Threshold) -> Result<Self> {
        DecisionConfig { threshold, ..DecisionConfig::default() }.check(self.classes.len())?;
        self.calibrated.decision.threshold = decision_config::threshold_value(&self.calibrated, threshold)?;
        Ok(self)
    }

    /// Returns the detector with predictions for all samples, also for those without any known token, whose
    /// scores say nothing about them.
    #[must_use]
    pub fn with_predictions_of_unknown(self) -> Self {
        Self { predicts_unknown: true, ..self }
    }

    /// Returns the detector with images that cannot be read as missing, with a warning, rather than as errors.
    ///
    /// # Errors
    /// The model does not read images.
    pub fn without_broken_images(mut self) -> Result<Self> {
        let Some(images) = &mut self.encoders.images else {
            let message = format!("`{}` does not read images", self.config.model.name);
            return Err(Error::config("image.on_problem", message));
        };
        images.options.on_problem = OnImageProblem::Missing;
        Ok(self)
    }

    /// Returns the temperature and the decision threshold.
    pub fn decision(&self) -> Decision {
        self.calibrated.decision
    }

    /// Classifies texts, in order. A text without any token that the model knows has no prediction but a reason.
    ///
    /// # Errors
    /// The detector takes trees as input, or the model fails.
    pub fn predict<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<SamplePrediction>> {
        let texts: Vec<Sample> = texts.iter().map(|text| Sample::Text(text.as_ref().to_owned())).collect();
        self.predict_samples(&texts)
    }

    /// Classifies samples, in order. A sample without any token or feature that the model knows has no prediction but a reason.
    ///
    /// # Errors
    /// A sample is not of the detector's input type, or the model fails.
    pub fn predict_samples(&self, samples: &[Sample]) -> Result<Vec<SamplePrediction>> {
        let data = sample::encode(samples, &self.encoders, &self.fields, Path::new("samples"))?;
        self.predict_all(samples, data)
    }

    /// Tests the detector on labeled files with the fields of `data`. Missing texts and those without known tokens are
    /// classified too, and counted.
    ///
    /// # Errors
    /// A file is invalid or occurs twice, no record has a label of `drop_classes`, the detector takes trees as input, or the model fails.
    pub fn test(&self, files: impl Into<DataFiles>, data: &DataConfig) -> Result<DetectorEvaluation> {
        let files = files.into();
        files.check("data.train")?;
        check_drop_classes(&data.drop_classes, &self.classes)?;
        let left_out = LeftOutRecords::default();
        let mut rules = self.layout_rules(data, true);
        // Missing texts are counted, unless broken records are to be skipped.
        rules.options.accept_missing_texts = data.skip_broken == SkipBroken::default();
        let records = FileRecords::open(&files, &rules, Some(&self.classes))?;
        // Also names of domains that the model does not know.
        let mut domains = Vec::new();
        let records = records.with_left_out(&left_out).inspect(|record| {
            domains.extend(record.as_ref().ok().map(|record| record.domain.clone()));
        });
        let dataset = self.dataset(records)?;
        // The labels dropped in training may be missing in other files.
        let trained = &self.config.data.drop_classes;
        let new =
            data.drop_classes.iter().filter(|label| !trained.contains(label)).cloned().collect::<Vec<_>>();
        left_out.check_dropped(&new)?;
        left_out.lines().iter().for_each(|line| tracing::warn!("{line}"));
        self.test_all(dataset, &domains)
    }

    /// Tests the detector on labeled trees.
    ///
    /// # Errors
    /// The detector takes texts as input, the trees have other features than those of its training, or a tree has no label.
    pub fn test_trees(&self, trees: Vec<Tree>) -> Result<DetectorEvaluation> {
        self.test_all(self.tree_encoder()?.dataset(trees)?, &[])
    }

    /// Returns whether the detector takes trees rather than texts as input.
    pub fn has_tree_input(&self) -> bool {
        self.fields.trees.is_some()
    }

    /// Reads the trees of `data` as in training, with their labels if they have any.
    ///
    /// # Errors
    /// A file is invalid, or the detector takes texts as input.
    pub fn read_trees(&self, data: &DataConfig) -> Result<Vec<Tree>> {
        let n_features = self.tree_encoder()?.n_features;
        trees::read_all(data, &self.classes, n_features, self.encoders.words.as_ref())
    }

    /// Returns the encoder of texts as words, of a detector without subwords.
    pub(crate) fn word_encoder(&self) -> Result<&WordEncoder> {
        if self.fields.news.is_some() {
            return Err(articles_only());
        }
        let words = self.encoders.words.as_ref().filter(|_| self.fields.words.is_some());
        words.ok_or_else(|| wrong_input("trees", "texts"))
    }

    pub(crate) fn encoders(&self) -> &FieldEncoders {
        &self.encoders
    }

    /// Returns the input fields of the model.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    fn tree_encoder(&self) -> Result<&TreeEncoder> {
        if self.fields.news.is_some() {
            return Err(articles_only());
        }
        self.encoders.trees.as_ref().ok_or_else(|| wrong_input("texts", "trees"))
    }

    /// Returns the number of padding columns after the longest text.
    pub(crate) fn extra_padding(&self) -> usize {
        self.fields.words.as_ref().map_or(0, |words| words.extra_padding)
    }

    pub(crate) fn model(&self) -> &BoxedModel {
        &self.model
    }

    /// Writes the encoders and the classes.
    pub(crate) fn save_inputs_to(&self, dir: &Path) -> Result<()> {
        if let Some(subwords) = &self.encoders.subwords {
            subwords.save(dir, false)?;
        }
        self.encoders.save(dir)?;
        write_json(&dir.join(CLASSES), &self.classes)
    }

    /// Disables the gradients of all weights until the returned guard is dropped.
    pub(crate) fn freeze(&self) -> impl Drop + use<> {
        struct FreezeGuard(Vec<Tensor>);
        impl Drop for FreezeGuard {
            fn drop(&mut self) {
                self.0.drain(..).for_each(|weight| drop(weight.set_requires_grad(true)));
            }
        }
        let trainable = self.vars.trainable_variables();
        FreezeGuard(trainable.into_iter().map(|weight| weight.set_requires_grad(false)).collect())
    }

    /// Returns the device of the model.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Tests the detector on samples with these domains, one entry per sample, or none.
    fn test_all(&self, data: FieldDataset, domains: &[Option<String>]) -> Result<DetectorEvaluation> {
        let counts = self.encoders.token_counts(&data)?;
        let loader = eval_loader(data.clone(), &self.config.loader)?;
        let evaluation = evaluate(&self.model, &loader, &self.config.metrics()?, self.device)?;
        let (evaluation, rows) = in_order(evaluation, &loader)?;
        let domains: Vec<Option<String>> = rows.iter().filter_map(|&row| domains.get(row)).cloned().collect();
        let inputs = inputs_of(&data, &counts, &rows);
        let samples = EvaluatedSamples { rows: &rows, domains: &domains, inputs: &inputs };
        decide(evaluation, &samples, &counts, &self.calibrated.decision, self.classes.names())
    }

    /// Returns the options for reading records with the fields of `data`; `labeled` is whether the label is required. The
    /// domain is read for models that use it, and for results per domain; the column of the training may be missing.
    pub fn read_options(&self, data: &DataConfig, labeled: bool) -> ReadOptions {
        // The layout of input that is read once cannot be recognized.
        let trained = &self.config.data;
        let (header, quotes) = (data.header.or(trained.header), data.quotes.or(trained.quotes));
        let mut options = DataConfig { header, quotes, ..data.clone() }.read_options(labeled);
        self.set_domain(&mut options.columns, labeled);
        options
    }

    /// Returns the rules for reading files of records with the fields of `data`. What it does not set about the layout is recognized,
    /// or as in training if a file does not show it.
    pub(crate) fn layout_rules(&self, data: &DataConfig, labeled: bool) -> LayoutRules {
        let mut rules = LayoutRules::new(data, labeled, &self.config.data);
        self.set_domain(&mut rules.options.columns, labeled);
        rules
    }

    fn set_domain(&self, columns: &mut ColumnMap, labeled: bool) {
        if self.fields.domains.is_none() && !labeled {
            columns.domain = None;
        }
        columns.is_domain_optional = columns.domain == self.config.data.domain;
    }

    /// Returns the parameters of the model, with the memory of the optimizer of its training.
    pub fn summary(&self) -> Summary {
        summary(&self.vars).with_optimizer(self.config.optimizer.n_slots())
    }

    /// Returns the config of the training.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the names of the classes, in order.
    pub fn classes(&self) -> &[String] {
        self.classes.names()
    }

    /// Encodes records as in training.
    fn dataset<I>(&self, records: I) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        if self.fields.news.is_some() {
            return Err(articles_only());
        }
        if self.fields.words.is_none() {
            return Err(wrong_input("trees", "texts"));
        }
        // Scores of made-up numbers would be a part of the metrics.
        let encoders = &self.encoders;
        let records = records.into_iter().map(|record| {
            let record = record?;
            match encoders.feature_problem(&record) {
                Some(problem) => {
                    Err(faknow_data::Error::Dataset(format!("record {}: {problem}", record.number)))
                }
                None => Ok(record),
            }
        });
        encoders.dataset(records, self.extra_padding(), Path::new("records"))
    }
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector")
            .field("model", &self.config.model.name)
            .field("classes", &self.classes.names())
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// Returns the error for new samples of a model whose samples are the nodes of a graph.
pub(crate) fn articles_only() -> Error {
    Error::config(
        "",
        "this detector classifies the articles of the graph that it was trained on, no others: their predictions are in \
         predictions/ of the run directory",
    )
}
