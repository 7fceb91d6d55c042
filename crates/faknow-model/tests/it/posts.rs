//! Posts with text, image and event, of which parts are missing, and small models that read them.

use faknow_data::FieldBatch;
use faknow_data::image::Images;
use faknow_data::text::{Encoded, Subwords, TextFields, Words};
use faknow_model::content::{
    Cafe, CafeConfig, Eann, EannConfig, Modalities, Safe, SafeConfig, SpotFake, SpotFakeConfig, TextSource,
};
use faknow_model::image::PretrainedImageEncoder;
use faknow_model::{Mode, Model};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

pub(crate) const SOURCE: TextSource<'_> = TextSource::Random { vocab_size: 30, size: 6 };

pub(crate) type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

pub(crate) const MODELS: [&str; 5] = ["eann", "spotfake", "safe", "safe-title", "cafe"];

pub(crate) const N_CLASSES: usize = 3;

/// Number of samples of [`posts`].
pub(crate) const N: usize = 6;

/// Length of the vectors of the frozen encoder of images.
const IMAGE_SIZE: i64 = 128;

/// The settings of the tests, small and without dropout.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) modalities: Modalities,
    pub(crate) train_image_encoder: bool,
    pub(crate) faithful: bool,
}

pub(crate) fn eann(settings: &Settings) -> EannConfig {
    EannConfig {
        embedding_dropout: 0.0,
        n_filters: 3,
        kernel_sizes: vec![1, 3],
        hidden_size: 8,
        event_hidden_size: 5,
        modalities: settings.modalities,
        train_image_encoder: settings.train_image_encoder,
        faithful: settings.faithful,
        ..EannConfig::default()
    }
}

pub(crate) fn spotfake(settings: &Settings) -> SpotFakeConfig {
    SpotFakeConfig {
        embedding_dropout: 0.0,
        text_hidden_size: 12,
        text_size: 8,
        image_hidden_size: 12,
        image_size: 7,
        fusion_size: 9,
        dropout: 0.0,
        modalities: settings.modalities,
        train_image_encoder: settings.train_image_encoder,
        ..SpotFakeConfig::default()
    }
}

pub(crate) fn safe(settings: &Settings) -> SafeConfig {
    SafeConfig {
        embedding_dropout: 0.0,
        reduced_size: 5,
        n_filters: 4,
        kernel_sizes: vec![2, 3],
        feature_size: 6,
        modalities: settings.modalities,
        train_image_encoder: settings.train_image_encoder,
        faithful: settings.faithful,
        ..SafeConfig::default()
    }
}

pub(crate) fn cafe(settings: &Settings) -> CafeConfig {
    CafeConfig {
        embedding_dropout: 0.0,
        n_filters: 4,
        kernel_sizes: vec![1, 3],
        text_hidden_size: 8,
        image_hidden_size: 9,
        shared_size: 8,
        aligned_size: 7,
        unimodal_size: 6,
        cross_size: 5,
        hidden_size: 8,
        dropout: 0.0,
        modalities: settings.modalities,
        train_image_encoder: settings.train_image_encoder,
        faithful: settings.faithful,
        ..CafeConfig::default()
    }
}

/// Builds a model by name for three classes and, for EANN, three events.
pub(crate) fn build(
    vars: &VarStore,
    name: &str,
    settings: &Settings,
    source: &TextSource<'_>,
    image: Option<&PretrainedImageEncoder>,
) -> faknow_model::Result<BoxedModel> {
    tch::manual_seed(3);
    let path = vars.root();
    Ok(match name {
        "eann" => Box::new(Eann::new(&path, &eann(settings), source, image, 3, N_CLASSES)?),
        "spotfake" => Box::new(SpotFake::new(&path, &spotfake(settings), source, image, N_CLASSES)?),
        "safe" => Box::new(Safe::new(&path, &safe(settings), source, image, N_CLASSES)?),
        "safe-title" => {
            let config = SafeConfig { title: true, ..safe(settings) };
            Box::new(Safe::new(&path, &config, source, image, N_CLASSES)?)
        }
        "cafe" => Box::new(Cafe::new(&path, &cafe(settings), source, image, N_CLASSES)?),
        other => panic!("no model {other}"),
    })
}

pub(crate) fn double() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

/// Returns an encoder of images with weights, which is frozen by default.
pub(crate) fn image_encoder() -> PretrainedImageEncoder {
    let vars = double();
    let _encoder = PretrainedImageEncoder::small().build(&vars.root()).unwrap();
    let weights = vars.variables().into_iter().map(|(name, tensor)| (name, tensor.detach().copy()));
    PretrainedImageEncoder::new(weights.collect(), "images.safetensors".into()).unwrap()
}

fn rows<T: Copy + tch::kind::Element>(rows: &[usize], values: [T; N]) -> Tensor {
    Tensor::from_slice(&rows.iter().map(|row| values[*row]).collect::<Vec<_>>())
}

pub(crate) const TEXTS: [&[i64]; N] = [&[3, 4, 5, 6, 7], &[], &[7, 8, 9, 3], &[12, 13], &[4], &[20, 21, 22]];
pub(crate) const TITLES: [&[i64]; N] = [&[9, 8], &[4, 4, 5], &[], &[2], &[15, 3], &[6]];
/// The third post has no image, the fifth neither title nor image.
pub(crate) const HAS_IMAGE: [bool; N] = [true, true, false, true, false, true];
const LABELS: [i64; N] = [0, 1, 2, 0, 1, 0];
const EVENTS: [i64; N] = [0, 2, -1, 1, 0, -1];

fn words(selected: &[usize], texts: [&[i64]; N], len: usize) -> Words {
    let ids =
        selected.iter().flat_map(|row| texts[*row].iter().copied().chain(std::iter::repeat(0)).take(len));
    Words::new(Tensor::from_slice(&ids.collect::<Vec<_>>()).view([selected.len() as i64, len as i64]))
        .unwrap()
}

/// Returns these posts, with texts padded to `len` and everything that the models read: images as the output of the frozen
/// encoder, and as pixels.
pub(crate) fn posts(selected: &[usize], len: usize) -> FieldBatch {
    let n = selected.len() as i64;
    let index = Tensor::from_slice(&selected.iter().map(|row| *row as i64).collect::<Vec<_>>());
    let present = rows(selected, HAS_IMAGE.map(i64::from));
    let vectors = Tensor::arange(N as i64 * 4 * IMAGE_SIZE, (Kind::Double, Device::Cpu)).sin();
    let vectors = vectors.view([N as i64, 4, IMAGE_SIZE]).index_select(0, &index) * present.view([-1, 1, 1]);
    let pixels = (&index * 40 + 20).view([n, 1, 1, 1]).expand([n, 3, 32, 32], false);
    let pixels = (pixels * present.view([-1, 1, 1, 1])).to_kind(Kind::Uint8);
    let ids = words(selected, TEXTS, len);
    let mut batch = FieldBatch {
        labels: Some(rows(selected, LABELS)),
        subwords: Some(Subwords::new(&ids.ids + 1, ids.lengths.clamp_min(1)).unwrap()),
        words: Some(ids),
        images: Some(Images::new(pixels, present.to_kind(Kind::Bool)).unwrap()),
        encoded_images: Some(Encoded::new(vectors, &present * 4).unwrap()),
        domains: Some(rows(selected, EVENTS)),
        ..FieldBatch::new(selected.len())
    };
    let title = TextFields { words: Some(words(selected, TITLES, len)), ..TextFields::default() };
    batch.texts.insert(Safe::TITLE.into(), title);
    batch
}

/// Keeps the vectors of one region where the model reads one vector per image.
pub(crate) fn for_model(name: &str, mut batch: FieldBatch) -> FieldBatch {
    if let Some(encoded) = batch.encoded_images.as_mut().filter(|_| !name.starts_with("safe")) {
        encoded.vectors = encoded.vectors.narrow(1, 0, 1);
        encoded.lengths = encoded.lengths.clamp_max(1);
    }
    batch
}

pub(crate) const ALL: [usize; N] = [0, 1, 2, 3, 4, 5];

pub(crate) fn logits(model: &BoxedModel, batch: &FieldBatch) -> Tensor {
    tch::no_grad(|| model.forward(batch, Mode::Eval).unwrap().logits)
}
