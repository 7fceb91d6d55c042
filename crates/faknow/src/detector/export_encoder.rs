//! Export of the encoder of a detector as a Hugging Face directory.

use std::path::Path;

use faknow_model::{Model as _, weights};

use crate::detector::Detector;
use crate::{Error, Result};

impl Detector {
    /// Exports the encoder of the detector into the directory `dir`, which is created if missing, in the format of Hugging Face:
    /// `config.json`, `model.safetensors`, `tokenizer.json` and `tokenizer_config.json`. Low-rank adapters are added to the
    /// weights. The classifier is not part of it.
    ///
    /// # Errors
    /// The detector has no pretrained encoder, its model does not give access to it, the directory already contains a model, or a
    /// file cannot be written.
    pub fn export_encoder(&self, dir: &Path) -> Result<()> {
        let (Some(encoder), Some(subwords)) = (self.model().text_encoder(), &self.encoders().subwords) else {
            let name = &self.config().model.name;
            let message = format!(
                "expected the model `encoder` with a pretrained encoder (`text.encoder`), got `{name}` without one to export"
            );
            return Err(Error::config("model.name", message));
        };
        subwords.save_to(dir, |path| Ok(weights::save_tensors(&encoder.merged()?, path)?))
    }
}
