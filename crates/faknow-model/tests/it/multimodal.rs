//! EANN, SpotFake, SAFE and CAFE: missing texts and images, ablations, batch mates, training, explanations, invalid settings.

use faknow_data::FieldBatch;
use faknow_data::text::Encoded;
use faknow_model::content::{
    Cafe, CafeConfig, Eann, EannConfig, Modalities, Safe, SafeConfig, SpotFake, SpotFakeConfig, TextSource,
};
use faknow_model::encoder::{Encoder, EncoderConfig, PretrainedEncoder};
use faknow_model::image::PretrainedImageEncoder;
use faknow_model::{Mode, Model};
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor};

use crate::golden::assert_close;
use crate::posts::{
    ALL, HAS_IMAGE, MODELS, N, N_CLASSES, SOURCE, Settings, TEXTS, TITLES, build, cafe, double, eann,
    for_model, image_encoder, logits, posts, safe, spotfake,
};

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

/// Sets all running statistics and biases to values that are not degenerate.
fn perturb(vars: &VarStore) {
    tch::no_grad(|| {
        for (name, mut tensor) in vars.variables() {
            let noise = tensor.rand_like() * 0.3;
            if name.contains("missing_") || name.ends_with("bias") || name.contains("running_mean") {
                tensor.copy_(&(&tensor + noise));
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
