//! A builder for detectors of models that were trained through the Rust API.

use std::fs;
use std::path::Path;

use faknow_data::Classes;
use faknow_data::text::{Tokenizer, Vocab};
use faknow_model::weights;
use faknow_report::{CALIBRATION, Calibrated};
use faknow_trainer::{WEIGHTS_FILE, with_model_seed};
use tch::nn::VarStore;

use crate::config::{Config, decision as decision_config};
use crate::data::encoders::{FieldEncoders, TreeEncoder, WordEncoder};
use crate::data::subword_encoder::SubwordEncoder;
use crate::detector::Detector;
use crate::detector::files::{CONFIG, save_inputs, weights_name};
use crate::files::record_checksums;
use crate::{Error, Result};

/// Builds a [`Detector`] from a registered model, its trained weights, and the encoders of its input.
///
/// ```no_run
/// # use faknow::data::text::{Tokenizer, Vocab};
/// # fn example(vocab: Vocab, tokenizer: Tokenizer, vars: &faknow::tch::nn::VarStore) -> faknow::Result<()> {
/// use faknow::data::Classes;
/// use faknow::{Config, Detector};
///
/// let config = Config::for_model("textcnn")?;
/// let classes = Classes::new(["real", "fake"])?;
/// let detector = Detector::builder(config, classes).words(vocab, tokenizer).build(vars)?;
/// detector.save("detectors/mine".as_ref())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct DetectorBuilder {
    config: Config,
    classes: Classes,
    encoders: FieldEncoders,
}

impl Detector {
    /// Returns a builder for a detector with the model and hyperparameters of `config`.
    pub fn builder(config: Config, classes: Classes) -> DetectorBuilder {
        DetectorBuilder { config, classes, encoders: FieldEncoders::default() }
    }

    /// Saves the detector into the directory `dir`, which is created if missing: weights, encoders, classes, calibration and
    /// config, for [`Detector::load`] and all commands.
    ///
    /// # Errors
    /// The directory already contains a detector, or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        if dir.join(CONFIG).exists() {
            let source = std::io::Error::other("the directory already contains a detector");
            return Err(Error::io(dir, source));
        }
        let weights_dir = dir.join("checkpoints").join("best");
        fs::create_dir_all(&weights_dir).map_err(|error| Error::io(&weights_dir, error))?;
        record_checksums(dir, &[&weights_name("best"), CALIBRATION], || {
            weights::save(&self.vars, &weights_dir.join(WEIGHTS_FILE))?;
            decision_config::save(dir, &self.calibrated)
        })?;
        save_inputs(dir, &self.config, &self.fields, &self.encoders, &self.classes)
    }
}

impl DetectorBuilder {
    /// Sets the encoder of texts; required for text models, and for tree models whose nodes have texts.
    pub fn words(mut self, vocab: Vocab, tokenizer: Tokenizer) -> Self {
        self.encoders.words = Some(WordEncoder { vocab, tokenizer });
        self
    }

    /// Sets the encoder of texts as subwords instead: the directory of a pretrained encoder, see `text.encoder`. The texts are
    /// truncated as the config says.
    ///
    /// # Errors
    /// The directory is incomplete.
    pub fn encoder(mut self, dir: &Path) -> Result<Self> {
        self.config.text.encoder = Some(dir.to_path_buf());
        self.encoders.subwords = SubwordEncoder::open(&self.config.text)?;
        Ok(self)
    }

    /// Sets the number of features per node; required for tree models.
    pub fn node_features(mut self, n: usize) -> Self {
        self.encoders.trees = Some(TreeEncoder { n_features: n, tf_idf: None });
        self
    }

    /// Builds the model and copies its trained weights from `vars`, for example from `trainer.run().vars`.
    ///
    /// # Errors
    /// The registry of the config has no such model, the encoder of a field is missing, or the weights do not fit the model.
    pub fn build(self, vars: &VarStore) -> Result<Detector> {
        let Self { mut config, classes, encoders } = self;
        let configured = config.configured_model()?;
        let fields = configured.fields();
        for (field, is_missing, method) in [
            (
                "text",
                fields.words.is_some() && encoders.words.is_none() && encoders.subwords.is_none(),
                ".words(vocab, tokenizer)",
            ),
            ("trees", fields.trees.is_some() && encoders.trees.is_none(), ".node_features(n)"),
        ] {
            if is_missing {
                let message = format!("the model takes {field} as input: set its encoder with `{method}`");
                return Err(Error::config("model.name", message));
            }
        }
        config.model.hyperparameters = configured.to_table();
        let own_vars = VarStore::new(vars.device());
        let pretrained = encoders.pretrained()?;
        let shape = encoders.shape(classes.len(), None, &pretrained);
        let model = with_model_seed(config.seed, || configured.build(&own_vars.root(), &shape))?;
        weights::restore(&own_vars, &weights::snapshot(vars), Path::new("the trained model"))?;
        let (calibrated, device) = (Calibrated::default(), vars.device());
        Ok(Detector {
            config,
            encoders,
            fields,
            classes,
            calibrated,
            model,
            device,
            vars: own_vars,
            predicts_unknown: false,
        })
    }
}
