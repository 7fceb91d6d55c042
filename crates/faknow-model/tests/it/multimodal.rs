//! EANN, SpotFake, SAFE and CAFE: missing texts and images, ablations, batch mates, training, explanations, invalid settings.

use faknow_data::FieldBatch;
use faknow_data::image::Images;
use faknow_data::text::{Encoded, Subwords, TextFields, Words};
use faknow_model::content::{
    Cafe, CafeConfig, Eann, EannConfig, Modalities, Safe, SafeConfig, SpotFake, SpotFakeConfig, TextSource,
};
use faknow_model::encoder::{Encoder, EncoderConfig, PretrainedEncoder};
use faknow_model::image::PretrainedImageEncoder;
use faknow_model::{Mode, Model};
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor};

use crate::golden::assert_close;

pub(crate) const SOURCE: TextSource<'_> = TextSource::Random { vocab_size: 30, size: 6 };

pub(crate) type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

pub(crate) const MODELS: [&str; 5] = ["eann", "spotfake", "safe", "safe-title", "cafe"];

const N_CLASSES: usize = 3;

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

const TEXTS: [&[i64]; N] = [&[3, 4, 5, 6, 7], &[], &[7, 8, 9, 3], &[12, 13], &[4], &[20, 21, 22]];
const TITLES: [&[i64]; N] = [&[9, 8], &[4, 4, 5], &[], &[2], &[15, 3], &[6]];
/// The third post has no image, the fifth neither title nor image.
const HAS_IMAGE: [bool; N] = [true, true, false, true, false, true];
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

const ALL: [usize; N] = [0, 1, 2, 3, 4, 5];

pub(crate) fn logits(model: &BoxedModel, batch: &FieldBatch) -> Tensor {
    tch::no_grad(|| model.forward(batch, Mode::Eval).unwrap().logits)
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

/// Sets all running statistics and biases to values that are not degenerate.
fn perturb(vars: &VarStore) {
    tch::no_grad(|| {
        for (name, mut tensor) in vars.variables() {
            let noise = tensor.rand_like() * 0.3;
            if name.contains("missing_") || name.ends_with("bias") || name.contains("running_mean") {
                let _ = tensor.copy_(&(&tensor + noise));
            }
        }
    });
}

#[test]
fn batch_mates_and_padding_do_not_change_results_of_posts_with_missing_parts() {
    let _generator = crate::generator();
    let encoder = image_encoder();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
        perturb(&vars);
        assert!(!vars.variables().keys().any(|name| name.starts_with("image_encoder")), "{name}");
        let together = logits(&model, &for_model(name, posts(&ALL, 5)));
        assert_eq!(together.size(), [N as i64, N_CLASSES as i64], "{name}");
        let padded = logits(&model, &for_model(name, posts(&ALL, 12)));
        assert_close(name, &padded, &together, 1e-12, 1.0);
        for row in ALL {
            let alone = logits(&model, &for_model(name, posts(&[row], TEXTS[row].len().max(3))));
            assert_close(name, &alone.get(0), &together.get(row as i64), 1e-12, 1.0);
        }
    }
}

#[test]
fn features_of_missing_texts_and_images_are_learned() {
    let _generator = crate::generator();
    let encoder = image_encoder();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
        perturb(&vars);
        let batch = for_model(name, posts(&ALL, 8));
        model.forward(&batch, Mode::Train).unwrap().loss.unwrap().total.backward();
        let before = logits(&model, &batch);
        let parts: &[(&str, [bool; N])] = &[
            ("missing_text.embedding", TEXTS.map(<[i64]>::is_empty)),
            ("missing_image.embedding", HAS_IMAGE.map(|has_image| !has_image)),
            ("missing_title.embedding", TITLES.map(<[i64]>::is_empty)),
        ];
        for (parameter, is_missing) in parts.iter().take(if name == "safe-title" { 3 } else { 2 }) {
            let mut embedding = vars.variables().remove(*parameter).unwrap();
            assert!(largest(&embedding.grad()) > 0.0, "{name} {parameter}");
            let original = embedding.detach().copy();
            tch::no_grad(|| embedding.copy_(&(&original + 1.0)));
            let changes = (logits(&model, &batch) - &before).abs().amax([1], false);
            for row in ALL {
                let change = changes.double_value(&[row as i64]);
                assert_eq!(change > 1e-9, is_missing[row], "{name} {parameter} {row} {change}");
            }
            tch::no_grad(|| embedding.copy_(&original));
        }
    }
}

#[test]
fn ablations_read_one_modality_only() {
    let _generator = crate::generator();
    let encoder = image_encoder();
    for name in MODELS {
        let names = |settings: &Settings, image: Option<&PretrainedImageEncoder>| {
            let vars = double();
            let model = build(&vars, name, settings, &SOURCE, image).unwrap();
            (vars.variables().len(), model)
        };
        let (n_both, _) = names(&Settings::default(), Some(&encoder));
        let text =
            Settings { modalities: Modalities::Text, train_image_encoder: true, ..Settings::default() };
        let (n_text, model) = names(&text, Some(&encoder));
        let mut batch = for_model(name, posts(&ALL, 8));
        let complete = logits(&model, &batch);
        (batch.images, batch.encoded_images) = (None, None);
        assert_eq!(logits(&model, &batch), complete, "{name}");
        // The same model without an encoder of images.
        let (n_without, model) = names(&Settings::default(), None);
        assert_eq!(logits(&model, &batch), complete, "{name}");
        assert_eq!(n_text, n_without);
        let image = Settings { modalities: Modalities::Image, ..Settings::default() };
        let (n_image, model) = names(&image, Some(&encoder));
        let mut batch = for_model(name, posts(&ALL, 8));
        let complete = logits(&model, &batch);
        (batch.words, batch.subwords) = (None, None);
        batch.texts.clear();
        assert_eq!(logits(&model, &batch), complete, "{name}");
        assert!(model.embedding_model_of(&posts(&[0], 8)).is_none());
        assert!(n_text < n_both && n_image < n_both, "{name} {n_both} {n_text} {n_image}");
        for model in [text, image] {
            let vars = double();
            let model = build(&vars, name, &model, &SOURCE, Some(&encoder)).unwrap();
            let batch = for_model(name, posts(&ALL, 8));
            let loss = model.forward(&batch, Mode::Train).unwrap().loss.unwrap().total;
            assert!(loss.double_value(&[]).is_finite(), "{name}");
            assert!(model.auxiliary_loss(&batch).unwrap().is_none(), "{name}");
        }
        let error = build(&double(), name, &image, &SOURCE, None).map(drop).unwrap_err().to_string();
        let expected = "`modalities`: expected `both` or `text` without an image encoder, got `image`";
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn models_memorize_a_few_posts_with_a_trained_image_encoder() {
    let _generator = crate::generator();
    let encoder = PretrainedImageEncoder::small();
    for name in MODELS {
        let vars = VarStore::new(Device::Cpu);
        let model = build(&vars, name, &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
        assert!(vars.variables().keys().any(|name| name.starts_with("image_encoder")), "{name}");
        let batch = posts(&ALL, 6);
        let mut optimizer = tch::nn::Adam::default().build(&vars, 0.01).unwrap();
        let mut losses = Vec::new();
        for _ in 0..30 {
            let loss = model.forward(&batch, Mode::Train).unwrap().loss.unwrap();
            let class = loss.parts.iter().find(|(name, _)| *name == "classification");
            losses.push(class.map_or(&loss.total, |(_, part)| part).double_value(&[]));
            optimizer.backward_step(&loss.total);
        }
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.3 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn batch_of_one_post_is_trained_with_running_statistics() {
    let _generator = crate::generator();
    let encoder = image_encoder();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
        for row in ALL {
            let loss = model.forward(&for_model(name, posts(&[row], 3)), Mode::Train).unwrap().loss.unwrap();
            loss.total.backward();
            assert!(loss.total.double_value(&[]).is_finite(), "{name} {row}");
        }
        for (parameter, tensor) in vars.variables() {
            let gradient = tensor.grad();
            assert!(!gradient.defined() || largest(&gradient).is_finite(), "{name} {parameter}");
        }
    }
}

#[test]
fn explanations_compute_the_logits_of_the_post() {
    let _generator = crate::generator();
    let encoder = image_encoder();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
        perturb(&vars);
        // The third post has no image.
        for row in [0, 2, 3] {
            let batch = for_model(name, posts(&[row], 5));
            let expected = logits(&model, &batch);
            let of_words = model.embedding_model_of(&batch).unwrap();
            let vectors = of_words.vectors(&batch.words().unwrap().ids).unwrap();
            let of_vectors = of_words.logits(&Tensor::cat(&[&vectors, &vectors, &(vectors.zeros_like())], 0));
            let of_vectors = of_vectors.unwrap();
            assert_eq!(of_vectors.size(), [3, N_CLASSES as i64]);
            assert_close(name, &of_vectors.get(1), &expected.get(0), 1e-12, 1.0);
            assert!(largest(&(of_vectors.get(2) - expected.get(0))) > 1e-9, "{name}");
        }
    }
}

#[test]
fn texts_of_encoders_are_read_frozen_or_trained() {
    let _generator = crate::generator();
    let config = EncoderConfig {
        hidden_size: 8,
        n_layers: 1,
        n_heads: 2,
        intermediate_size: 12,
        n_positions: 10,
        pooler: true,
        initializer_range: 0.4,
        ..EncoderConfig::bert(40)
    };
    let encoder = Encoder::new(&double().root(), &config).unwrap();
    let pretrained = PretrainedEncoder::new(config, encoder.merged().unwrap(), "encoder".into());
    let source = TextSource::Encoder(&pretrained);
    let images = image_encoder();
    for name in ["eann", "spotfake", "safe", "cafe"] {
        let vars = double();
        let model = build(&vars, name, &Settings::default(), &source, Some(&images)).unwrap();
        assert!(!vars.variables().keys().any(|name| name.contains("bert.")), "{name}");
        let batch = for_model(name, posts(&ALL, 6));
        let expected = logits(&model, &batch);
        // The output of the encoder, computed in advance.
        let subwords = batch.subwords().unwrap();
        let states = encoder.forward(subwords, Mode::Eval).unwrap();
        let encoded = Encoded::new(states, subwords.lengths.shallow_clone()).unwrap();
        let cached = FieldBatch { encoded: Some(encoded), subwords: None, ..for_model(name, posts(&ALL, 6)) };
        assert_close(name, &logits(&model, &cached), &expected, 1e-12, 1.0);
    }
    // The pooled output of BERT is computed by the pooler of the encoder.
    let vars = double();
    let config = SpotFakeConfig { train_encoder: true, ..spotfake(&Settings::default()) };
    let model = SpotFake::new(&vars.root(), &config, &source, Some(&images), 2).unwrap();
    let batch = for_model("spotfake", FieldBatch { labels: None, ..posts(&ALL, 6) });
    let output = model.forward(&batch, Mode::Train).unwrap();
    assert_eq!(output.logits.size(), [N as i64, 2]);
    output.logits.square().sum(Kind::Double).backward();
    let pooler = &vars.variables()["model.text_encoder.bert.pooler.dense.weight"];
    assert!(largest(&pooler.grad()) > 0.0);
}

#[test]
fn new_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let check = |result: faknow_model::Result<()>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let settings = Settings::default();
    let new_eann = |config: EannConfig, n_events: usize| {
        Eann::new(&double().root(), &config, &SOURCE, None, n_events, 2).map(drop)
    };
    check(
        new_eann(EannConfig { reverse_lambda: -1.0, ..eann(&settings) }, 2),
        "EANN: `reverse_lambda`: expected at least 0, got -1",
    );
    check(
        new_eann(EannConfig { kernel_sizes: vec![0], ..eann(&settings) }, 2),
        "EANN: `kernel_sizes`: expected at least 1, got 0",
    );
    check(
        new_eann(eann(&settings), 1),
        "EANN: `n_events`: expected at least 2 events of the training posts, got 1",
    );
    let new_spotfake =
        |config: SpotFakeConfig| SpotFake::new(&double().root(), &config, &SOURCE, None, 2).map(drop);
    check(
        new_spotfake(SpotFakeConfig { fusion_size: 0, ..spotfake(&settings) }),
        "SpotFake: `fusion_size`: expected at least 1, got 0",
    );
    check(
        new_spotfake(SpotFakeConfig { dropout: 1.0, ..spotfake(&settings) }),
        "SpotFake: `dropout`: expected from 0 to below 1, got 1",
    );
    let new_safe = |config: SafeConfig| Safe::new(&double().root(), &config, &SOURCE, None, 2).map(drop);
    check(
        new_safe(SafeConfig { real_class: 2, ..safe(&settings) }),
        "SAFE: `real_class`: expected from 0 to 1 (2 classes), got 2",
    );
    check(
        new_safe(SafeConfig { similarity_weight: f64::NAN, ..safe(&settings) }),
        "SAFE: `similarity_weight`: expected a number of at least 0, got NaN",
    );
    let new_cafe = |config: CafeConfig| Cafe::new(&double().root(), &config, &SOURCE, None, 2).map(drop);
    check(
        new_cafe(CafeConfig { similarity_lr: 0.0, ..cafe(&settings) }),
        "CAFE: `similarity_lr`: expected a number above 0, got 0",
    );
    check(
        new_cafe(CafeConfig { latent_size: 0, ..cafe(&settings) }),
        "CAFE: `latent_size`: expected at least 1, got 0",
    );
}
