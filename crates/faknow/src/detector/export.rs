//! Export of text detectors to TorchScript, or to a table of weights if they are linear.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_data::common::write_path_atomically;
use faknow_metrics::Decision;
use faknow_model::{EmbeddingModel, Model as _};
use serde::{Deserialize, Serialize};
use tch::{CModule, Kind, Tensor};

use crate::detector::Detector;
use crate::detector::files::LIBTORCH;
use crate::files::write_json;
use crate::{Error, Result};

/// File of the TorchScript program.
const PROGRAM: &str = "model.pt";
/// File of the [`ExportManifest`].
const MANIFEST: &str = "export.json";

/// The description of an exported detector, in `export.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// Version of faknow that exported the detector.
    pub faknow: String,
    /// Version of libtorch that traced the program, which is the oldest that can run it; none for a table of weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libtorch: Option<String>,
    /// Name of the model.
    pub model: String,
    /// The classes, in the order of the scores.
    pub classes: Vec<String>,
    /// Input of the program: token ids i64 `[n, len]`, which are line numbers of `vocab.txt` from 0; shorter texts are padded
    /// with 0 at the end. Of a table of weights: the values of the n-grams.
    pub input: String,
    /// Output of the program: class scores f64 `[n, n_classes]`, after temperature scaling. Of a table of weights: their formula.
    pub output: String,
    /// Temperature, which the program applies, and threshold, which it does not.
    pub decision: Decision,
    /// Bias of each class, for a table of weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bias: Vec<f64>,
}

impl Detector {
    /// Exports the detector into the directory `dir`, which is created if missing: `model.pt` (TorchScript, from token ids to
    /// class scores), `export.json` ([`ExportManifest`]), and `vocab.txt`, `tokenizer.json` and `classes.json` as in a run
    /// directory. Tokenization is not part of the program; see [`tokenize`](Self::tokenize).
    ///
    /// A linear model of n-grams has a table instead of a program, `weights.tsv`: a line per n-gram with its tokens, separated by
    /// spaces, its inverse document frequency, and its weight for each class. Fields are separated by tabs and never quoted.
    ///
    /// # Errors
    /// The detector takes trees as input, its model takes more than words as input or depends on padding, a file cannot be
    /// written, or tracing fails.
    pub fn export(&self, dir: &Path) -> Result<ExportManifest> {
        if self.encoders().subwords.is_none() {
            self.word_encoder()?;
        }
        if let Some(manifest) = self.export_linear(dir)? {
            write_json(&dir.join(MANIFEST), &manifest)?;
            return Ok(manifest);
        }
        let model = self.exportable_model()?;
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        // Tensors that require gradients cannot be constants of a program, neither in tracing nor in saving.
        let _guard = self.freeze();
        let program = self.trace(model)?;
        let path = dir.join(PROGRAM);
        write_path_atomically(&path, |path| program.save(path).map_err(std::io::Error::other))
            .map_err(|error| Error::io(&path, error))?;
        self.save_inputs_to(dir)?;
        let manifest = ExportManifest {
            faknow: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: Some(LIBTORCH.to_owned()),
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            input: "token ids i64 [n, len], padded with 0".to_owned(),
            output: "class scores f64 [n, n_classes]".to_owned(),
            decision: self.decision(),
            bias: Vec::new(),
        };
        write_json(&dir.join(MANIFEST), &manifest)?;
        Ok(manifest)
    }

    /// Returns the token ids of each text as the model sees it, without padding.
    ///
    /// # Errors
    /// The detector takes trees as input.
    pub fn tokenize<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        if let Some(subwords) = &self.encoders().subwords {
            return texts.iter().map(|text| Ok(subwords.tokenizer.tokenize(text.as_ref())?)).collect();
        }
        let words = self.word_encoder()?;
        Ok(texts.iter().map(|text| words.vocab.encode(&words.tokenizer, text.as_ref())).collect())
    }

    /// Returns the model as a function of word vectors.
    fn exportable_model(&self) -> Result<&dyn EmbeddingModel> {
        let model = self.model().as_embedding_model().filter(|model| model.is_traceable());
        model.filter(|_| self.encoders().subwords.is_none()).ok_or_else(|| {
            let name = &self.config().model.name;
            let message = format!(
                "expected a model of words alone whose results do not depend on padding, such as `textcnn`, got `{name}`, \
                 which cannot be exported to TorchScript; its weights in `checkpoints/` can be read in Python"
            );
            Error::config("model.name", message)
        })
    }

    /// Traces a model from token ids to class scores.
    fn trace(&self, model: &dyn EmbeddingModel) -> Result<CModule> {
        let extra_padding = self.extra_padding() as i64;
        let temperature = self.decision().temperature;
        let scores = |tokens: &Tensor| -> faknow_model::Result<Tensor> {
            let padded = tokens.f_constant_pad_nd([0, extra_padding])?;
            let logits = model.logits(&model.vectors(&padded)?)?.f_to_kind(Kind::Double)?;
            Ok(logits.f_div_scalar(temperature)?.f_softmax(-1, Kind::Double)?)
        };
        // The example is arbitrary, since no operation depends on the number and length of texts.
        let example = Tensor::from_slice2(&[[2_i64, 1, 0, 0], [1, 1, 1, 1]]).to_device(self.device());
        let mut failure = None;
        let mut closure = |inputs: &[Tensor]| match scores(&inputs[0]) {
            Ok(scores) => vec![scores],
            Err(error) => {
                failure = Some(error);
                inputs.iter().map(Tensor::shallow_clone).collect()
            }
        };
        let program =
            tch::no_grad(|| CModule::create_by_tracing("Detector", "forward", &[example], &mut closure));
        match failure {
            Some(error) => Err(error.into()),
            None => program.map_err(|error| export_error("trace it", &PathBuf::from("the model"), &error)),
        }
    }
}

fn export_error(action: &str, path: &Path, error: &tch::TchError) -> Error {
    let error = error.to_string();
    let line = error.lines().next().unwrap_or_default().to_owned();
    Error::io(path, std::io::Error::other(format!("cannot {action}: {line}")))
}
