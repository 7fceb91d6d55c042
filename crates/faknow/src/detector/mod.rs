//! A trained detector: all that prediction needs, saved to and loaded from a run folder.

pub(crate) mod explanation;
mod export;
mod stream;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use faknow_callbacks::Phase;
use faknow_data::graph::{RawTree, Tree};
use faknow_data::{Batch as _, Classes, Dataset, FieldDataset, Loader, ReadOptions, Record, RecordReader};
use faknow_metrics::{ClassificationReport, Decision, Evaluation, Metrics};
use faknow_model::{EmbeddingModel, Summary, node_contributions, summary};
use faknow_report::Tuned;
use faknow_trainer::{Location, WEIGHTS_FILE, evaluate, let_threads_sleep, predict_batch, with_model_seed};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::config::{Config, DataConfig, DecisionConfig, Threshold, decision as decision_config};
use crate::data::corpus::eval_loader;
use crate::data::inputs::{Inputs, Words};
use crate::data::tree_corpus;
use crate::models::InputModel;
use crate::models::registry::{AnyModelConfig, Sizes};
use crate::train::finish::{decide, in_order};
use crate::{Error, Result};

pub use explanation::{Attribution, Explanation};
pub use export::Exported;
pub use stream::Classified;

/// The libtorch that this version is made for.
pub(crate) const LIBTORCH: &str = "2.13.0";
pub(crate) const CONFIG: &str = "config.toml";
const CLASSES: &str = "classes.json";

/// A detector that is ready for use.
pub struct Detector {
    config: Config,
    inputs: Inputs,
    classes: Classes,
    extra_padding: usize,
    tuned: Tuned,
    model: InputModel,
    device: Device,
    /// Keeps the variables that the model's handles belong to.
    vars: VarStore,
}

/// What a detector says of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The class with the highest score, the first of them in a tie; or by the detector's threshold.
    pub label: String,
    /// Its score, from 0 to 1.
    pub score: f64,
    /// The score of every class, in their order, after the detector's temperature; they sum to 1.
    #[serde(serialize_with = "as_map")]
    pub scores: Vec<(String, f64)>,
}

impl Detector {
    /// Loads the detector of a run folder, wherever the folder lies now: the weights of the best epoch, or of the
    /// last if there was no validation.
    ///
    /// # Errors
    /// The folder holds no trained detector, or one of its files is damaged.
    pub fn load(run: &Path, device: Device) -> Result<Self> {
        let_threads_sleep();
        let missing = |message: &str| Error::NotARun { path: run.to_path_buf(), message: message.into() };
        if !run.is_dir() {
            return Err(missing("no such folder"));
        }
        let absent = |name: &str| missing(&format!("`{name}` is not there"));
        if let Some(name) = [CONFIG, CLASSES].iter().find(|name| !run.join(name).exists()) {
            return Err(absent(name));
        }
        let config = Config::from_file(&run.join(CONFIG))?;
        let in_file = |e: Error| Error::config("", format!("{}: {e}", run.join(CONFIG).display()));
        let model_config = AnyModelConfig::new(&config.model).map_err(in_file)?;
        if let Some(name) = Inputs::missing(run, model_config.reads()) {
            return Err(absent(name));
        }
        let weights =
            weights_file(run, &config).ok_or_else(|| missing("there are no weights in `checkpoints/`"))?;
        let classes: Classes = read_json(&run.join(CLASSES))?;
        let inputs = Inputs::load(run, model_config.reads())?;
        let vars = VarStore::new(device);
        let sizes = Sizes { n_inputs: inputs.n_inputs(), n_classes: classes.len(), vectors: None };
        let build = || model_config.build(&vars.root(), &sizes);
        let model = with_model_seed(config.seed, build).map_err(in_file)?;
        faknow_model::weights::load(&vars, &weights)?;
        let extra_padding = model_config.extra_padding();
        let tuned = decision_config::load(run)?;
        Ok(Self { config, inputs, classes, extra_padding, tuned, model, device, vars })
    }

    /// The same detector with another threshold than that of its training.
    ///
    /// # Errors
    /// The validation of its training chose no such threshold, or there are not two classes.
    pub fn with_threshold(mut self, threshold: Threshold) -> Result<Self> {
        DecisionConfig { threshold, ..DecisionConfig::default() }.check(self.classes.len())?;
        self.tuned.decision.threshold = decision_config::threshold(&self.tuned, threshold)?;
        Ok(self)
    }

    /// How its scores become judgements.
    pub fn decision(&self) -> Decision {
        self.tuned.decision
    }

    /// Judges each text, in their order.
    ///
    /// # Errors
    /// The model fails.
    pub fn predict<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Prediction>> {
        self.predict_records(texts.iter().map(|text| Ok(Record::new(text.as_ref()))).collect())
    }

    /// Judges the text of each record, in their order; an error among the records is answered as it is.
    ///
    /// # Errors
    /// A record is broken, the detector reads trees, or the model fails.
    pub fn predict_records(&self, records: Vec<faknow_data::Result<Record>>) -> Result<Vec<Prediction>> {
        self.predict_all(self.dataset(records)?)
    }

    /// Judges each tree, in their order.
    ///
    /// # Errors
    /// The detector reads texts, the trees have other features than those of its training, or the model fails.
    pub fn predict_trees(&self, trees: Vec<Tree>) -> Result<Vec<Prediction>> {
        self.predict_all(self.trees(trees)?)
    }

    /// What each node of each tree did for the class that the tree was given; see
    /// [`node_contributions`](faknow_model::node_contributions).
    ///
    /// # Errors
    /// As for [`predict_trees`](Self::predict_trees).
    pub fn explain_trees(&self, trees: Vec<Tree>) -> Result<Vec<Vec<f64>>> {
        let data = self.trees(trees)?;
        let explain = |index: usize| {
            let batch = data.batch(&[index])?.to_device(self.device);
            Ok(node_contributions(&self.model, &batch)?)
        };
        (0..data.n_samples()).map(explain).collect()
    }

    /// Tests the detector on a labelled file, read as `data` says: the scores with the loss, and the full report.
    ///
    /// # Errors
    /// The file is wrong, the detector reads trees, or the model fails.
    pub fn test(&self, file: &Path, data: &DataConfig) -> Result<(Evaluation, ClassificationReport)> {
        let records = RecordReader::open(file, &self.read_options(data, true), Some(&self.classes))?;
        self.test_all(self.dataset(records)?)
    }

    /// Tests the detector on labelled trees.
    ///
    /// # Errors
    /// As for [`predict_trees`](Self::predict_trees); or a tree has no label.
    pub fn test_trees(&self, trees: Vec<Tree>) -> Result<(Evaluation, ClassificationReport)> {
        self.test_all(self.trees(trees)?)
    }

    /// Whether the detector judges trees rather than texts.
    pub fn reads_trees(&self) -> bool {
        matches!(self.inputs, Inputs::Trees { .. })
    }

    /// The trees that `data` names, with their labels where they are known, as they were read in training.
    ///
    /// # Errors
    /// A file is wrong.
    pub fn read_trees(&self, data: &DataConfig) -> Result<Vec<Tree>> {
        let Inputs::Trees { n_features, words, .. } = &self.inputs else {
            return Err(reads("texts", "trees"));
        };
        tree_corpus::read_all(data, &self.classes, *n_features, words.as_ref())
    }

    /// Cascades as JSON has them, as the model was trained to see them; `file` is named in errors.
    ///
    /// # Errors
    /// The detector reads texts, or a tree has other features than those of its training.
    pub fn to_trees(&self, trees: Vec<RawTree>, file: &Path) -> Result<Vec<Tree>> {
        let Inputs::Trees { n_features, words, .. } = &self.inputs else {
            return Err(reads("texts", "trees"));
        };
        tree_corpus::to_trees(trees, words.as_ref(), Some(*n_features), file)
    }

    /// How texts become tokens.
    pub(crate) fn words(&self) -> Result<&Words> {
        match &self.inputs {
            Inputs::Texts(words) => Ok(words),
            Inputs::Trees { .. } => Err(reads("trees", "texts")),
        }
    }

    /// Padding that the model wants behind the longest text.
    pub(crate) fn extra_padding(&self) -> usize {
        self.extra_padding
    }

    pub(crate) fn model(&self) -> &InputModel {
        &self.model
    }

    /// The model as one of word vectors.
    pub(crate) fn embedding_model(&self) -> Result<&dyn EmbeddingModel> {
        self.model.as_embedding_model().ok_or_else(not_of_words)
    }

    /// Writes how texts become tokens, and the classes.
    pub(crate) fn save_inputs_to(&self, folder: &Path) -> Result<()> {
        self.inputs.save(folder)?;
        write_json(&folder.join(CLASSES), &self.classes)
    }

    /// Takes the gradients off all weights until what is answered is dropped.
    pub(crate) fn frozen(&self) -> impl Drop + use<> {
        struct Frozen(Vec<Tensor>);
        impl Drop for Frozen {
            fn drop(&mut self) {
                self.0.drain(..).for_each(|weight| drop(weight.set_requires_grad(true)));
            }
        }
        let trainable = self.vars.trainable_variables();
        Frozen(trainable.into_iter().map(|weight| weight.set_requires_grad(false)).collect())
    }

    /// The device that the model computes on.
    pub fn device(&self) -> Device {
        self.device
    }

    pub(crate) fn predict_all(&self, data: FieldDataset) -> Result<Vec<Prediction>> {
        let n_samples = data.n_samples();
        if n_samples == 0 {
            return Ok(Vec::new());
        }
        let loader = eval_loader(data, &self.config.loader)?;
        let mut rows = vec![Vec::new(); n_samples];
        for (index, batch) in loader.batches(0, 0).enumerate() {
            let batch = batch?;
            let indices = batch.indices.clone();
            let location = Location { phase: Phase::Test, epoch: 0, batch: index + 1 };
            for (row, scores) in
                indices.into_iter().zip(predict_batch(&self.model, batch, self.device, location)?)
            {
                rows[row] = scores;
            }
        }
        Ok(rows.into_iter().map(|scores| self.prediction(&scores)).collect())
    }

    fn test_all(&self, data: FieldDataset) -> Result<(Evaluation, ClassificationReport)> {
        let loader = eval_loader(data, &self.config.loader)?;
        let evaluation = evaluate(&self.model, &loader, &Metrics::all(), self.device)?;
        decide(in_order(evaluation, &loader)?.0, &self.tuned.decision, self.classes.names())
    }

    fn trees(&self, mut trees: Vec<Tree>) -> Result<FieldDataset> {
        let Inputs::Trees { n_features, tf_idf, .. } = &self.inputs else {
            return Err(reads("texts", "trees"));
        };
        if let Some(tree) = trees.iter().find(|tree| tree.features().n_features() != *n_features) {
            let (id, got) = (tree.id(), tree.features().n_features());
            let message =
                format!("tree `{id}`: expected {n_features} features a node, as in training, got {got}");
            return Err(faknow_data::Error::Dataset(message).into());
        }
        tree_corpus::weigh(&mut trees, tf_idf.as_ref())?;
        Ok(FieldDataset::from_trees(trees)?)
    }

    /// How records for this detector are read, whose fields are as `data` says; `labelled` says whether the label is
    /// needed. A domain is not, since the model reads texts alone.
    pub fn read_options(&self, data: &DataConfig, labelled: bool) -> ReadOptions {
        let mut options = data.read_options(labelled);
        options.columns.domain = None;
        options
    }

    /// The parameters of its model, with the memory that the optimizer of its training needs.
    pub fn summary(&self) -> Summary {
        summary(&self.vars).with_optimizer(self.config.optimizer.n_slots())
    }

    /// The config that the detector was trained by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The classes, in order.
    pub fn classes(&self) -> &[String] {
        self.classes.names()
    }

    /// The records as the model was trained to see them.
    fn dataset<I>(&self, records: I) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        self.words()?.dataset(records, self.extra_padding)
    }

    fn prediction(&self, scores: &[f64]) -> Prediction {
        let scores = self.tuned.decision.scale(scores);
        let chosen = self.tuned.decision.choose(&scores);
        let scores: Vec<(String, f64)> = self.classes.names().iter().cloned().zip(scores).collect();
        let (label, score) = scores[chosen].clone();
        Prediction { label, score, scores }
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

pub(crate) fn not_of_words() -> Error {
    Error::config("", "this model sees more of a text than its words, so that this cannot be done with it")
}

fn reads(expected: &str, got: &str) -> Error {
    Error::config("", format!("this detector judges {expected}, it was given {got}"))
}

/// Writes all that [`Detector::load`] needs beside the weights.
pub(crate) fn save_inputs(run: &Path, config: &Config, inputs: &Inputs, classes: &Classes) -> Result<()> {
    inputs.save(run)?;
    write_json(&run.join(CLASSES), classes)?;
    save_config(run, config)
}

/// Writes every setting, whole or not at all. It comes last: a folder with a config has all else too.
pub(crate) fn save_config(run: &Path, config: &Config) -> Result<()> {
    let header = format!(
        "# Every setting of this run. faknow {}, libtorch {LIBTORCH}, tch 0.26.0.\n",
        env!("CARGO_PKG_VERSION")
    );
    let text = toml::to_string(config).map_err(|e| Error::config("", e.to_string()))?;
    write_whole(&run.join(CONFIG), &(header + &text))
}

/// Writes a file, whole or not at all: beside it first, then in its place.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside).map_err(|e| Error::io(&beside, e))?;
    // The name must not become that of a file whose content the disk does not have yet.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| Error::io(&beside, e))?;
    fs::rename(&beside, path).map_err(|e| Error::io(path, e))
}

/// Where [`write_whole`] writes first.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io(path, e))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::io(path, e.into()))?;
    write(path, &(text + "\n"))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    serde_json::from_str(&text).map_err(|e| {
        Error::config("", format!("{}: the file is damaged: {e}; copy the run folder again", path.display()))
    })
}

/// The weights that the run was to end with, or else those that are there.
fn weights_file(run: &Path, config: &Config) -> Option<PathBuf> {
    let last = ["last", "previous", "failed"];
    let names = if config.trainer.restore_best { [&["best"], &last[..]] } else { [&last[..], &["best"]] };
    names
        .concat()
        .iter()
        .map(|name| run.join("checkpoints").join(name).join(WEIGHTS_FILE))
        .find(|p| p.exists())
}

fn as_map<S: Serializer>(scores: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(scores.iter().map(|(name, score)| (name, score)))
}
