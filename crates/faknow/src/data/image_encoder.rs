//! The pretrained encoder of images, in a file or in a run directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use faknow_model::image::PretrainedImageEncoder;
use twox_hash::XxHash3_128;

use crate::config::ImageConfig;
use crate::data::subword_encoder::link_or_copy;
use crate::{Error, Result};

/// Directory of the encoder in a run directory.
const DIR: &str = "image_encoder";
/// Name of its file, without the extension.
const FILE_STEM: &str = "weights";
/// Extensions of files of weights.
const EXTENSIONS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

/// Where to get weights, for errors.
const HELP: &str = "`cargo xtask encoder efficientnet-lite0` fetches one, \
                    and files of weights of torchvision can be used (docs/models.md)";

/// The file of a pretrained image encoder.
#[derive(Debug, Clone)]
pub(crate) struct ImageEncoderFile {
    path: PathBuf,
}

impl ImageEncoderFile {
    /// Returns the file of a config; `None` if the encoder is trained from scratch.
    ///
    /// # Errors
    /// The file does not exist, or its extension is not that of weights.
    pub(crate) fn open(config: &ImageConfig) -> Result<Option<Self>> {
        let Some(path) = &config.encoder else { return Ok(None) };
        if !path.is_file() {
            let message = format!("expected a file of weights, got `{}`; {HELP}", path.display());
            return Err(Error::config("image.encoder", message));
        }
        if !EXTENSIONS.contains(&extension(path)) {
            let message =
                format!("expected a file `.{}`, got `{}`", EXTENSIONS.join("`, `."), path.display());
            return Err(Error::config("image.encoder", message));
        }
        Ok(Some(Self { path: path.clone() }))
    }

    /// Returns the file in a run directory; `None` if it has none.
    pub(crate) fn load(run: &Path) -> Option<Self> {
        Self::saved_weights(run).map(|name| Self { path: run.join(name) })
    }

    /// Returns the name of the file in a run directory, relative to it.
    pub(crate) fn saved_weights(run: &Path) -> Option<String> {
        let names = EXTENSIONS.map(|extension| format!("{DIR}/{FILE_STEM}.{extension}"));
        names.into_iter().find(|name| run.join(name).is_file())
    }

    /// Writes the file into a run directory, as a hard link where possible.
    pub(crate) fn save(&self, run: &Path) -> Result<()> {
        let dir = run.join(DIR);
        fs::create_dir_all(&dir).map_err(|error| Error::io(&dir, error))?;
        let to = dir.join(format!("{FILE_STEM}.{}", extension(&self.path)));
        if self.path == to {
            return Ok(());
        }
        link_or_copy(&self.path, &to, true).map_err(|error| Error::io(&to, error))
    }

    /// Reads the weights.
    pub(crate) fn pretrained(&self) -> Result<PretrainedImageEncoder> {
        PretrainedImageEncoder::open(&self.path)
            .map_err(|error| Error::config("image.encoder", format!("{error}; {HELP}")))
    }

    /// Returns a checksum of the weights.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let mut hash = XxHash3_128::new();
        let error = |error| Error::io(&self.path, error);
        let mut file = fs::File::open(&self.path).map_err(error)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match io::Read::read(&mut file, &mut buffer).map_err(error)? {
                0 => break,
                n => hash.write(&buffer[..n]),
            }
        }
        Ok(format!("{:032x}", hash.finish_128()))
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
