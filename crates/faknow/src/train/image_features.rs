//! The output of an image encoder that is not trained: computed once for all images, before the first epoch.

use std::path::Path;

use faknow_data::text::EncodedStore;
use faknow_data::{Batch as _, DataLoader, Dataset as _, FieldDataset, Fingerprint, Loader as _};
use faknow_model::Mode;
use faknow_model::image::{ImageEncoder, ImageOutput};
use faknow_trainer::Interrupt;
use tch::{Device, Kind};

use crate::Result;
use crate::config::Config;
use crate::data::encoders::FieldEncoders;
use crate::data::image_encoder::ImageEncoderFile;

/// Directory of the features in `text.cache`, or else in the directory of a run or of a study.
const DIR: &str = "image_features";
/// Version of the features; incremented when the same encoder and image result in other features.
const VERSION: u64 = 1;
/// Number of images per batch.
const BATCH_SIZE: usize = 32;

/// Computes the features of all images of `parts` that the cache lacks; `None` if the model does not read the output of an image
/// encoder that is not trained. The cache is `text.cache`, or else `dir`.
///
/// # Errors
/// The encoder fails, the cache cannot be written, or the run is interrupted; what is computed is then in the cache.
pub(super) fn compute(
    config: &Config,
    encoders: &FieldEncoders,
    parts: &[&FieldDataset],
    dir: &Path,
    device: Device,
    interrupt: &Interrupt,
) -> Result<Option<EncodedStore>> {
    let fields = config.configured_model()?.fields();
    let Some(field) = fields.images.filter(|images| images.is_frozen) else { return Ok(None) };
    let Some(file) = encoders.images.as_ref().and_then(|images| images.encoder.as_ref()) else {
        return Ok(None);
    };
    let pretrained = file.pretrained()?;
    let Some((output, size)) = pretrained.output_or_pooled(field.output) else { return Ok(None) };
    let dir = config.text.cache.as_deref().unwrap_or(dir).join(DIR);
    let mut store = EncodedStore::open(dir.join(format!("{:016x}", key(file, output)?)), size as usize)?;
    let mut encoder = None;
    for data in parts {
        let missing = data.not_encoded_images(&store)?;
        if missing.n_samples() > 0 {
            let encoder = match &mut encoder {
                Some(built) => built,
                None => encoder.insert(pretrained.build_frozen((Kind::Float, device))?),
            };
            encode(encoder, output, missing, &mut store, device, interrupt)?;
        }
    }
    Ok(Some(store))
}

/// Returns a hash of everything that determines the features of an image, besides its pixels.
fn key(file: &ImageEncoderFile, output: ImageOutput) -> Result<u64> {
    let mut key = Fingerprint::new();
    key.add(VERSION);
    key.add_str(&file.fingerprint()?);
    key.add_str(&format!("{output:?}"));
    Ok(key.finish())
}

/// Encodes images and adds them to the store a tenth at a time, also if it is interrupted.
fn encode(
    encoder: &ImageEncoder,
    output: ImageOutput,
    data: FieldDataset,
    store: &mut EncodedStore,
    device: Device,
    interrupt: &Interrupt,
) -> Result<()> {
    let n_images = data.n_samples();
    tracing::info!("computing the output of the image encoder for {n_images} images, once");
    let loader = DataLoader::builder(data).batch_size(BATCH_SIZE).build()?;
    let mut writer = store.writer()?;
    let (mut n_encoded, mut tenths) = (0, 0);
    for batch in loader.batches(0, 0) {
        if interrupt.is_requested() {
            break;
        }
        let batch = batch?;
        let pixels = batch.images()?.pixels.to_device(device);
        let vectors = tch::no_grad(|| -> faknow_model::Result<_> {
            let vectors = encoder.forward(&pixels, output, Mode::Eval)?;
            Ok(vectors.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?)
        })?;
        for (row, &index) in batch.indices.iter().enumerate() {
            let image = vectors.f_get(row as i64).map_err(faknow_model::Error::from)?;
            if let Some(key) = loader.dataset().image_key(index) {
                writer.push(&key, &image)?;
            }
        }
        n_encoded += batch.n_samples();
        if 10 * n_encoded / n_images > tenths {
            tenths = 10 * n_encoded / n_images;
            let complete = std::mem::replace(&mut writer, store.writer()?);
            store.add(complete)?;
            tracing::info!("{n_encoded} of {n_images} images are encoded");
        }
    }
    store.add(writer)?;
    Ok(interrupt.check()?)
}
