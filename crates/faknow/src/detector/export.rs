//! A detector of texts as a file that PyTorch and libtorch run without us.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_metrics::Decision;
use serde::{Deserialize, Serialize};
use tch::{CModule, Kind, Tensor};

use crate::detector::Detector;
use crate::detector::files::LIBTORCH;
use crate::files::write_json;
use crate::{Error, Result};

/// File of the program, in TorchScript.
const PROGRAM: &str = "model.pt";
/// File of what there is to know of it.
const ABOUT: &str = "export.json";

/// What there is to know of an exported detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// Version of faknow that wrote it.
    pub faknow: String,
    /// Version of libtorch that traced it; this or a later one runs it.
    pub libtorch: String,
    /// Name of the model.
    pub model: String,
    /// The classes, in the order of the scores.
    pub classes: Vec<String>,
    /// What the program takes: token ids i64 `[n, len]`, the lines of `vocab.txt` from 0, shorter texts padded with 0 after
    /// their words.
    pub input: String,
    /// What it answers: class scores f64 `[n, n_classes]`, after the temperature.
    pub output: String,
    /// The temperature, which the program has in it, and the threshold, which it has not.
    pub decision: Decision,
}

impl Detector {
    /// Writes the detector into `dir`, which is made: `model.pt` (TorchScript, from token ids to class scores), `export.json`
    /// ([`ExportManifest`]), and `vocab.txt`, `tokenizer.json` and `classes.json` as a run directory has them. Cutting texts is not part of the
    /// program; [`tokenize`](Self::tokenize) does it.
    ///
    /// # Errors
    /// The detector takes trees as input, its model sees more of a text than its words, a file cannot be written, or libtorch refuses.
    pub fn export(&self, dir: &Path) -> Result<ExportManifest> {
        self.word_encoder()?;
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        // What has a gradient can be no constant of a program, neither when it is traced nor when it is written.
        let _frozen = self.frozen();
        let program = self.trace()?;
        let path = dir.join(PROGRAM);
        program.save(&path).map_err(|error| cannot("write", &path, &error))?;
        self.save_inputs_to(dir)?;
        let exported = ExportManifest {
            faknow: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: LIBTORCH.to_owned(),
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            input: "word numbers i64 [n, len], padded with 0".to_owned(),
            output: "class scores f64 [n, n_classes]".to_owned(),
            decision: self.decision(),
        };
        write_json(&dir.join(ABOUT), &exported)?;
        Ok(exported)
    }

    /// Returns the token ids of each text, as the model sees it without padding.
    ///
    /// # Errors
    /// The detector takes trees as input.
    pub fn tokenize<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        let words = self.word_encoder()?;
        Ok(texts.iter().map(|text| words.vocab.encode(&words.tokenizer, text.as_ref())).collect())
    }

    /// The model from word numbers to scores as a program of libtorch's own.
    fn trace(&self) -> Result<CModule> {
        let model = self.embedding_model()?;
        let extra_padding = self.extra_padding() as i64;
        let temperature = self.decision().temperature;
        let scores = |tokens: &Tensor| -> faknow_model::Result<Tensor> {
            let padded = tokens.f_constant_pad_nd([0, extra_padding])?;
            let logits = model.logits(&model.vectors(&padded)?)?.f_to_kind(Kind::Double)?;
            Ok(logits.f_div_scalar(temperature)?.f_softmax(-1, Kind::Double)?)
        };
        // Any texts will do, since no operation depends on their number and length.
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
            None => program.map_err(|error| cannot("trace", &PathBuf::from("the model"), &error)),
        }
    }
}

fn cannot(what: &str, path: &Path, error: &tch::TchError) -> Error {
    let error = error.to_string();
    let line = error.lines().next().unwrap_or_default().to_owned();
    Error::io(path, std::io::Error::other(format!("cannot {what} it: {line}")))
}
