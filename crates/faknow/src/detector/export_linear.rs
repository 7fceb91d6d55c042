//! Export of linear detectors of n-grams as a table of weights.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use faknow_data::common::write_atomically;
use faknow_model::Model as _;
use tch::Kind;

use crate::detector::{Detector, ExportManifest};
use crate::{Error, Result};

/// File of the weights.
const WEIGHTS: &str = "weights.tsv";

impl Detector {
    /// Exports the detector without the manifest, which is returned; returns `None` if its model is not linear in n-grams.
    pub(super) fn export_linear(&self, dir: &Path) -> Result<Option<ExportManifest>> {
        let (Some(weights), Some(encoder)) = (self.model().ngram_weights(), &self.encoders().ngrams) else {
            return Ok(None);
        };
        let vocab = &self.word_encoder()?.vocab;
        let values = |tensor: &tch::Tensor| -> Result<Vec<f64>> {
            let flat =
                tensor.f_detach().and_then(|it| it.f_to_kind(Kind::Double)).and_then(|it| it.f_view([-1]));
            Ok(flat.and_then(Vec::try_from).map_err(faknow_model::Error::from)?)
        };
        let (weight, bias) = (values(weights.weight)?, values(weights.bias)?);
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        let path = dir.join(WEIGHTS);
        write_atomically(&path, |file| {
            let columns: String = (0..bias.len()).map(|class| format!("\tweight_{class}")).collect();
            writeln!(file, "ngram\tidf{columns}")?;
            for ((feature, idf), weights) in (0..).zip(encoder.idf()).zip(weight.chunks_exact(bias.len())) {
                let weights: String = weights.iter().map(|weight| format!("\t{weight}")).collect();
                writeln!(file, "{}\t{idf}{weights}", encoder.name(feature, vocab))?;
            }
            Ok(())
        })
        .map_err(|error| Error::io(&path, error))?;
        self.save_inputs_to(dir)?;
        let input = format!(
            "n-grams of 1 to {} tokens; one that occurs c times has the value (1 + ln c) * idf, divided by the L2 norm of the values \
             of the text",
            encoder.max_n()
        );
        let output = "class scores: softmax of (bias + sum of value * weight) / temperature".to_owned();
        Ok(Some(ExportManifest {
            faknow: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: None,
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            input,
            output,
            decision: self.decision(),
            bias,
        }))
    }
}
