//! A trained detector: all that prediction needs, saved to and loaded from a run folder.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use faknow_callbacks::Phase;
use faknow_data::text::{Tokenizer, TokenizerConfig, Vocab};
use faknow_data::{Classes, Dataset, Loader, ReadOptions, Record, RecordReader, TextDataset};
use faknow_metrics::{ClassificationReport, Evaluation, Metrics};
use faknow_model::{Summary, summary};
use faknow_trainer::{Place, WEIGHTS_FILE, evaluate, predict_batch, with_model_seed};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use tch::Device;
use tch::nn::VarStore;

use super::corpus::eval_loader;
use super::models::{TextModelConfig, TextSizes};
use super::{Config, DataConfig, TextModel};
use crate::{Error, Result};

pub(super) const CONFIG: &str = "config.toml";
pub(super) const VOCAB: &str = "vocab.txt";
const TOKENIZER: &str = "tokenizer.json";
const CLASSES: &str = "classes.json";

/// A detector that is ready for use.
pub struct Detector {
    config: Config,
    tokenizer: Tokenizer,
    vocab: Vocab,
    classes: Classes,
    margin: usize,
    model: TextModel,
    device: Device,
    /// Keeps the variables that the model's handles belong to.
    vars: VarStore,
}

/// What a detector says of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The class with the highest score; the first of them in a tie.
    pub label: String,
    /// Its score, from 0 to 1.
    pub score: f64,
    /// The score of every class, in their order; they sum to 1.
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
        let missing = |message: &str| Error::NotARun { path: run.to_path_buf(), message: message.into() };
        if !run.is_dir() {
            return Err(missing("no such folder"));
        }
        for name in [CONFIG, VOCAB, TOKENIZER, CLASSES] {
            if !run.join(name).exists() {
                return Err(missing(&format!("`{name}` is not there")));
            }
        }
        let config = Config::from_file(&run.join(CONFIG))?;
        let weights =
            weights_file(run, &config).ok_or_else(|| missing("there are no weights in `checkpoints/`"))?;
        let tokenizer: TokenizerConfig = read_json(&run.join(TOKENIZER))?;
        let classes: Classes = read_json(&run.join(CLASSES))?;
        let vocab = Vocab::load(run.join(VOCAB))?;
        let in_file = |e: Error| Error::config("", format!("{}: {e}", run.join(CONFIG).display()));
        let model_config = TextModelConfig::new(&config.model).map_err(in_file)?;
        let vars = VarStore::new(device);
        let sizes = TextSizes { vocab_size: vocab.len(), n_classes: classes.len(), vectors: None };
        let build = || model_config.build(&vars.root(), &sizes);
        let model = with_model_seed(config.seed, build).map_err(in_file)?;
        faknow_model::weights::load(&vars, &weights)?;
        let margin = model_config.margin();
        let tokenizer = Tokenizer::new(tokenizer)?;
        Ok(Self { config, tokenizer, vocab, classes, margin, model, device, vars })
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
    /// A record is broken, or the model fails.
    pub fn predict_records(&self, records: Vec<faknow_data::Result<Record>>) -> Result<Vec<Prediction>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let data = self.dataset(records)?;
        let n_samples = data.n_samples();
        let loader = eval_loader(data, &self.config.loader)?;
        let mut rows = vec![Vec::new(); n_samples];
        for (index, batch) in loader.batches(0, 0).enumerate() {
            let batch = batch?;
            let indices = batch.indices.clone();
            let place = Place { phase: Phase::Test, epoch: 0, batch: index + 1 };
            for (row, scores) in
                indices.into_iter().zip(predict_batch(&self.model, batch, self.device, place)?)
            {
                rows[row] = scores;
            }
        }
        Ok(rows.into_iter().map(|scores| self.prediction(&scores)).collect())
    }

    /// Tests the detector on a labelled file, read as `data` says: the scores with the loss, and the full report.
    ///
    /// # Errors
    /// The file is wrong, or the model fails.
    pub fn test(&self, file: &Path, data: &DataConfig) -> Result<(Evaluation, ClassificationReport)> {
        let records = RecordReader::open(file, &self.read_options(data, true), Some(&self.classes))?;
        let loader = eval_loader(self.dataset(records)?, &self.config.loader)?;
        let evaluation = evaluate(&self.model, &loader, &Metrics::all(), self.device)?;
        let report = ClassificationReport::new(&evaluation.predictions, self.classes.names())?;
        Ok((evaluation, report))
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
    fn dataset<I>(&self, records: I) -> Result<TextDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let data = TextDataset::from_records(records, &self.tokenizer, &self.vocab, &[])?;
        Ok(data.with_margin(self.margin))
    }

    fn prediction(&self, scores: &[f64]) -> Prediction {
        let best = (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
        let scores: Vec<(String, f64)> =
            self.classes.names().iter().cloned().zip(scores.iter().copied()).collect();
        let (label, score) = scores[best].clone();
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

/// Writes all that [`Detector::load`] needs beside the weights.
pub(super) fn save_inputs(
    run: &Path,
    config: &Config,
    tokenizer: &Tokenizer,
    vocab: &Vocab,
    classes: &Classes,
) -> Result<()> {
    vocab.save(run.join(VOCAB))?;
    write_json(&run.join(TOKENIZER), tokenizer.config())?;
    write_json(&run.join(CLASSES), classes)?;
    save_config(run, config)
}

/// Writes every setting, whole or not at all. It comes last: a folder with a config has all else too.
pub(super) fn save_config(run: &Path, config: &Config) -> Result<()> {
    let header = format!(
        "# Every setting of this run. faknow {}, libtorch 2.13.0, tch 0.26.0.\n",
        env!("CARGO_PKG_VERSION")
    );
    let text = toml::to_string(config).map_err(|e| Error::config("", e.to_string()))?;
    write_whole(&run.join(CONFIG), &(header + &text))
}

/// Writes a file, whole or not at all: beside it first, then in its place.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside).map_err(|e| Error::io(&beside, e))?;
    // The name must not become that of a file whose content the disk does not have yet.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| Error::io(&beside, e))?;
    fs::rename(&beside, path).map_err(|e| Error::io(path, e))
}

/// Where [`write_whole`] writes first.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io(path, e))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::io(path, e.into()))?;
    write(path, &(text + "\n"))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
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
