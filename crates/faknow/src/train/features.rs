//! The output of encoders that are not trained: computed once for all texts and images, before the first epoch.

use std::path::Path;

use faknow_data::text::{EncodedStore, EncodedWriter};
use faknow_data::{Batch as _, DataLoader, Dataset as _, FieldBatch, FieldDataset, Fingerprint, Loader as _};
use faknow_model::Mode;
use faknow_model::encoder::{Encoder, Pooling, Precision};
use faknow_trainer::Interrupt;
use tch::nn::VarStore;
use tch::{Device, Kind};

use crate::Result;
use crate::config::Config;
use crate::data::encoders::FieldEncoders;
use crate::data::subword_encoder::SubwordEncoder;
use crate::models::EncoderUse;
use crate::train::image_features;

/// Directory of the features in `text.cache`, or else in the directory of a run or of a study.
const DIR: &str = "features";
/// Version of the features; incremented when the same encoder and text result in other features.
const VERSION: u64 = 1;
/// Maximum number of tokens and texts per batch.
const BATCH: (usize, usize) = (4096, 256);

/// The features of texts and images.
pub(crate) struct Features {
    texts: Option<EncodedStore>,
    images: Option<EncodedStore>,
    /// Whether batches have pixels besides the features of images.
    needs_pixels: bool,
}

impl Features {
    /// Computes the features of all texts and images of `parts` that the cache lacks, if the model reads the output of encoders that
    /// are not trained. The cache is `text.cache`, or else `dir`.
    ///
    /// # Errors
    /// The encoder fails, the cache cannot be written, or the run is interrupted; what is computed is then in the cache.
    pub(crate) fn compute(
        config: &Config,
        encoders: &FieldEncoders,
        parts: &[&FieldDataset],
        dir: &Path,
        device: Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let images = config.configured_model()?.fields().images;
        Ok(Self {
            texts: Self::of_texts(config, encoders, parts, dir, device, interrupt)?,
            images: image_features::compute(config, encoders, parts, dir, device, interrupt)?,
            needs_pixels: images.is_some_and(|images| images.needs_pixels),
        })
    }

    fn of_texts(
        config: &Config,
        encoders: &FieldEncoders,
        parts: &[&FieldDataset],
        dir: &Path,
        device: Device,
        interrupt: &Interrupt,
    ) -> Result<Option<EncodedStore>> {
        let (pooling, precision) = match config.configured_model()?.fields().encoder_use() {
            Some(EncoderUse::Frozen) => (None, Precision::F32),
            Some(EncoderUse::Pooled(pooling, precision)) => (Some(pooling), precision),
            Some(EncoderUse::Trained | EncoderUse::Adapted) | None => return Ok(None),
        };
        let Some(subwords) = &encoders.subwords else { return Ok(None) };
        let dir = config.text.cache.as_deref().unwrap_or(dir).join(DIR);
        let dir = dir.join(format!("{:016x}", key(subwords, pooling, precision)?));
        let size = subwords.config()?.hidden_size;
        let mut store = EncodedStore::open(dir, size as usize)?;
        let mut encoder = None;
        let texts =
            parts.iter().flat_map(|data| std::iter::once((*data).clone()).chain(data.further_subwords()));
        for data in texts {
            let missing = data.not_encoded(&store)?;
            if missing.n_samples() > 0 {
                let (encoder, _) = match &mut encoder {
                    Some(built) => built,
                    None => encoder.insert(build(subwords, precision, device)?),
                };
                encode(encoder, pooling, missing, &mut store, device, interrupt)?;
            }
        }
        Ok(Some(store))
    }

    /// Returns no features, for a model that computes the output of its encoder.
    pub(crate) fn none() -> Self {
        Self { texts: None, images: None, needs_pixels: false }
    }

    /// Returns the dataset with the features of its texts and images.
    pub(crate) fn of(&self, data: FieldDataset) -> Result<FieldDataset> {
        let data = match &self.texts {
            Some(store) => data.with_encoded(store)?,
            None => data,
        };
        Ok(match &self.images {
            Some(store) => data.with_encoded_images(store)?.with_pixels(self.needs_pixels),
            None => data,
        })
    }
}

/// Returns a hash of everything that determines the features of token ids.
fn key(subwords: &SubwordEncoder, pooling: Option<Pooling>, precision: Precision) -> Result<u64> {
    let mut key = Fingerprint::new();
    key.add(VERSION);
    key.add_str(&subwords.fingerprint()?);
    key.add_str(&format!("{pooling:?} {precision:?}"));
    Ok(key.finish())
}

/// Builds the encoder outside of the model, with its variables.
fn build(subwords: &SubwordEncoder, precision: Precision, device: Device) -> Result<(Encoder, VarStore)> {
    let mut vars = VarStore::new(device);
    let encoder = subwords.pretrained()?.build_with(&vars.root(), precision)?;
    vars.freeze();
    Ok((encoder, vars))
}

/// Encodes texts, sorted by length, and adds them to the store a tenth at a time, also if it is interrupted.
fn encode(
    encoder: &Encoder,
    pooling: Option<Pooling>,
    data: FieldDataset,
    store: &mut EncodedStore,
    device: Device,
    interrupt: &Interrupt,
) -> Result<()> {
    let n_texts = data.n_samples();
    tracing::info!("computing the output of the encoder for {n_texts} texts, once");
    let (max_tokens, batch_size) = BATCH;
    let loader = DataLoader::builder(data).max_tokens(max_tokens).batch_size(batch_size).build()?;
    let encode_batch = |batch: FieldBatch, writer: &mut EncodedWriter| -> Result<usize> {
        let indices = batch.indices.clone();
        let batch = batch.to_device(device);
        let subwords = batch.subwords()?;
        let vectors = tch::no_grad(|| -> faknow_model::Result<_> {
            let hidden = encoder.encode(subwords, Mode::Eval)?;
            let vectors = match pooling {
                Some(pooling) => hidden.pool(pooling)?.f_unsqueeze(1)?,
                None => hidden.padded()?,
            };
            Ok(vectors.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?)
        })?;
        let lengths = Vec::<i64>::try_from(&subwords.lengths).map_err(faknow_model::Error::from)?;
        for (row, (&index, &length)) in indices.iter().zip(&lengths).enumerate() {
            let n_vectors = if pooling.is_some() { 1 } else { length };
            let text = vectors.f_get(row as i64).and_then(|text| text.f_narrow(0, 0, n_vectors));
            writer.push(&loader.dataset().tokens(index)?, &text.map_err(faknow_model::Error::from)?)?;
        }
        Ok(indices.len())
    };
    let mut writer = store.writer()?;
    let (mut n_encoded, mut tenths) = (0, 0);
    for batch in loader.batches(0, 0) {
        if interrupt.is_requested() {
            break;
        }
        n_encoded += encode_batch(batch?, &mut writer)?;
        if 10 * n_encoded / n_texts > tenths {
            tenths = 10 * n_encoded / n_texts;
            let complete = std::mem::replace(&mut writer, store.writer()?);
            store.add(complete)?;
            tracing::info!("{n_encoded} of {n_texts} texts are encoded");
        }
    }
    store.add(writer)?;
    Ok(interrupt.check()?)
}
