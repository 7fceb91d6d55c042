//! The classifier on encoders: tuning, heads, cached features, layers, explanations, invalid settings.

use std::collections::BTreeSet;
use std::path::PathBuf;

use faknow_data::FieldBatch;
use faknow_data::text::{Encoded, Subwords, Words};
use faknow_model::content::{ClassifierHead, EncoderClassifier, EncoderClassifierConfig, TextSource, Tuning};
use faknow_model::encoder::{Encoder, EncoderConfig, Pooling, PretrainedEncoder};
use faknow_model::{Mode, Model, integrated_gradients};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const LENGTHS: [i64; 4] = [5, 2, 5, 3];

fn pretrained() -> PretrainedEncoder {
    let config = EncoderConfig {
        hidden_size: 8,
        n_layers: 2,
        n_heads: 2,
        intermediate_size: 12,
        n_positions: 10,
        initializer_range: 0.4,
        ..EncoderConfig::bert(30)
    };
    let vars = VarStore::new(Device::Cpu);
    let encoder = Encoder::new(&vars.root(), &config).unwrap();
    PretrainedEncoder::new(config, encoder.merged().unwrap(), PathBuf::from("encoder"))
}

fn small() -> EncoderClassifierConfig {
    EncoderClassifierConfig {
        hidden_size: 8,
        n_layers: 2,
        n_heads: 2,
        intermediate_size: 12,
        head_size: 6,
        lora_rank: 2,
        ..EncoderClassifierConfig::default()
    }
}

fn batch() -> FieldBatch {
    let ids = Tensor::from_slice(&(0..20i64).map(|i| i * 7 % 28 + 2).collect::<Vec<_>>()).view([4, 5]);
    let lengths = Tensor::from_slice(&LENGTHS);
    let columns = Tensor::arange(5, tch::kind::INT64_CPU);
    let ids = &ids * columns.unsqueeze(0).lt_tensor(&lengths.unsqueeze(1));
    let words = Words::new(ids.shallow_clone()).unwrap();
    let labels = Tensor::from_slice(&[0i64, 1, 1, 0]);
    FieldBatch {
        labels: Some(labels),
        words: Some(words),
        subwords: Some(Subwords::new(ids, lengths).unwrap()),
        ..FieldBatch::new(4)
    }
}

fn build(config: &EncoderClassifierConfig, source: &TextSource<'_>) -> (VarStore, EncoderClassifier) {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let model = EncoderClassifier::new(&vars.root(), config, source, 2).unwrap();
    (vars, model)
}

fn names(vars: &VarStore) -> BTreeSet<String> {
    vars.variables().into_keys().collect()
}

#[test]
fn tuning_determines_the_weights_of_the_model() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    let source = TextSource::Encoder(&pretrained);
    let weights = |tuning| names(&build(&EncoderClassifierConfig { tuning, ..small() }, &source).0);
    assert_eq!(
        weights(Tuning::Frozen),
        BTreeSet::from(["classifier.bias", "classifier.weight"].map(str::to_owned))
    );
    assert_eq!(weights(Tuning::Full).len(), 5 + 2 * 16 + 2);
    let adapters = weights(Tuning::Lora);
    assert_eq!(adapters.len(), 2 * 2 * 2 + 2);
    assert!(adapters.contains("encoder.encoder.layer.1.attention.self.value.lora_B"), "{adapters:?}");
    let mlp = EncoderClassifierConfig { tuning: Tuning::Frozen, head: ClassifierHead::Mlp, ..small() };
    assert_eq!(build(&mlp, &source).0.variables()["dense.weight"].size(), [6, 8]);
}

#[test]
fn all_tunings_start_from_the_same_encoder_and_train_their_weights_only() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    let source = TextSource::Encoder(&pretrained);
    let mut logits = Vec::new();
    for tuning in [Tuning::Frozen, Tuning::Full, Tuning::Lora] {
        tch::manual_seed(3);
        let config = EncoderClassifierConfig { tuning, pooling: Pooling::Max, dropout: 0.0, ..small() };
        let (vars, model) = build(&config, &source);
        let _ = tch::no_grad(|| vars.variables()["classifier.weight"].shallow_clone().fill_(0.3));
        let _ = tch::no_grad(|| vars.variables()["classifier.bias"].shallow_clone().fill_(0.1));
        logits.push(model.forward(&batch(), Mode::Eval).unwrap().logits);
        model.forward(&batch(), Mode::Train).unwrap().loss.unwrap().total.backward();
        for (name, variable) in vars.variables() {
            assert!(variable.grad().defined(), "{name}");
        }
        let is_trained = model.encoder().parameters()[0].1.grad().defined();
        assert_eq!(is_trained, tuning == Tuning::Full);
    }
    // The head of a frozen encoder reads normalized vectors.
    assert!(logits[1].allclose(&logits[2], 1e-12, 1e-12, false));
}

#[test]
fn the_head_of_a_frozen_encoder_does_not_depend_on_the_scale_of_its_vectors() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    let config = EncoderClassifierConfig { tuning: Tuning::Frozen, head: ClassifierHead::Mlp, ..small() };
    let (_vars, model) = build(&config, &TextSource::Encoder(&pretrained));
    let mut batch = batch();
    let subwords = batch.subwords.take().unwrap();
    let vectors = model.encoder().encode(&subwords, Mode::Eval).unwrap().padded().unwrap();
    let [small, large] = [0.1, 100.0].map(|scale| {
        let encoded = Encoded::new(&vectors * scale + 3.0, subwords.lengths.shallow_clone()).unwrap();
        batch.encoded = Some(encoded);
        model.forward(&batch, Mode::Eval).unwrap().logits
    });
    assert!(small.allclose(&large, 1e-2, 1e-2, false));
}

#[test]
fn cached_features_equal_those_of_the_encoder() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max] {
        let config = EncoderClassifierConfig { tuning: Tuning::Frozen, pooling, ..small() };
        let (_vars, model) = build(&config, &TextSource::Encoder(&pretrained));
        let mut batch = batch();
        let expected = model.forward(&batch, Mode::Eval).unwrap().logits;
        let subwords = batch.subwords.take().unwrap();
        let hidden = model.encoder().encode(&subwords, Mode::Eval).unwrap();
        let tokens = Encoded::new(hidden.padded().unwrap(), subwords.lengths.shallow_clone()).unwrap();
        let ones = Tensor::ones([4], tch::kind::INT64_CPU);
        let pooled = Encoded::new(hidden.pool(pooling).unwrap().unsqueeze(1), ones).unwrap();
        for encoded in [tokens, pooled] {
            batch.encoded = Some(encoded);
            let logits = model.forward(&batch, Mode::Eval).unwrap().logits;
            assert!(logits.allclose(&expected, 1e-12, 1e-12, false), "{pooling:?}");
        }
    }
}

#[test]
fn layers_cover_all_trained_weights_of_the_encoder() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    let random = TextSource::Random { vocab_size: 30, size: 8 };
    for (tuning, source, expected) in [
        (Tuning::Full, TextSource::Encoder(&pretrained), 3),
        (Tuning::Full, random, 3),
        (Tuning::Lora, TextSource::Encoder(&pretrained), 2),
        (Tuning::Frozen, TextSource::Encoder(&pretrained), 0),
    ] {
        let config = EncoderClassifierConfig { tuning, ..small() };
        let (vars, _model) = build(&config, &source);
        let layers = config.layers(&source);
        assert_eq!(
            layers.iter().map(|layer| layer.depth).collect::<Vec<_>>(),
            (1..=expected).collect::<Vec<_>>()
        );
        let prefixes: Vec<&str> = layers.iter().map(|layer| layer.pattern.trim_end_matches('*')).collect();
        for prefix in &prefixes {
            assert!(names(&vars).iter().any(|name| name.starts_with(prefix)), "{prefix}");
        }
        for name in names(&vars).iter().filter(|name| name.starts_with("encoder.")) {
            assert_eq!(prefixes.iter().filter(|prefix| name.starts_with(**prefix)).count(), 1, "{name}");
        }
    }
}

#[test]
fn an_encoder_from_scratch_reads_words_and_learns() {
    let _generator = crate::generator();
    tch::manual_seed(5);
    let config = EncoderClassifierConfig { dropout: 0.0, ..small() };
    let (vars, model) = build(&config, &TextSource::Random { vocab_size: 30, size: 300 });
    let loss = |mode| model.forward(&batch(), mode).unwrap().loss.unwrap().total;
    let before = loss(Mode::Eval).double_value(&[]);
    for _ in 0..60 {
        loss(Mode::Train).backward();
        tch::no_grad(|| {
            for (_, mut variable) in vars.variables() {
                let step = variable.grad() * -0.2;
                let _ = variable.f_add_(&step).unwrap();
                variable.zero_grad();
            }
        });
    }
    let after = loss(Mode::Eval).double_value(&[]);
    assert!(after < 0.5 * before, "{before} {after}");
}

#[test]
fn word_contributions_add_up_to_the_log_odds() {
    let _generator = crate::generator();
    let pretrained = pretrained();
    let (_vars, model) = build(&small(), &TextSource::Encoder(&pretrained));
    let words =
        Words { ids: Tensor::from_slice2(&[[2i64, 7, 9, 11, 3]]), lengths: Tensor::from_slice(&[5i64]) };
    let contributions = integrated_gradients(model.as_embedding_model().unwrap(), &words, 1).unwrap();
    let subwords = Subwords::new(words.ids.shallow_clone(), words.lengths.shallow_clone()).unwrap();
    let batch = FieldBatch { subwords: Some(subwords), ..FieldBatch::new(1) };
    let scores = model.forward(&batch, Mode::Eval).unwrap().logits.softmax(-1, Kind::Double);
    let score = scores.double_value(&[0, 1]);
    assert!((contributions.output - (score / (1.0 - score)).ln()).abs() < 1e-9, "{contributions:?}");
    assert_eq!(contributions.words.len(), 5);
    assert!(contributions.residual().abs() < 0.02, "{contributions:?}");
}

#[test]
fn invalid_settings_are_rejected_by_name() {
    let pretrained = pretrained();
    let check = |change: &dyn Fn(&mut EncoderClassifierConfig), expected: &str| {
        let mut config = small();
        change(&mut config);
        let vars = VarStore::new(Device::Cpu);
        let result = EncoderClassifier::new(&vars.root(), &config, &TextSource::Encoder(&pretrained), 2);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&|config| config.dropout = 1.0, "`dropout`: expected from 0 to below 1");
    check(&|config| config.head_size = 0, "`head_size`: expected at least 1");
    check(&|config| config.layer_decay = 0.0, "`layer_decay`: expected above 0 to 1");
    check(&|config| config.unfreeze_epochs = -1.0, "`unfreeze_epochs`: expected at least 0");
    check(&|config| config.lora_rank = 0, "`lora_rank`: expected at least 1");
    check(&|config| config.lora_targets.clear(), "`lora_targets`: expected at least one");
    check(&|config| config.n_heads = 3, "`hidden_size`: expected a multiple");
    check(&|config| config.max_len = 0, "`max_len`: expected at least 1");
    let vectors = Tensor::zeros([30, 8], tch::kind::FLOAT_CPU);
    let vars = VarStore::new(Device::Cpu);
    let result = EncoderClassifier::new(&vars.root(), &small(), &TextSource::Vectors(&vectors), 2);
    assert!(result.unwrap_err().to_string().contains("`vectors`: expected a pretrained encoder"));
}
