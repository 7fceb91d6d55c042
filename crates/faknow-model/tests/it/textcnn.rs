//! TextCNN: invariance to padding, invalid batches and settings, products of distinct words, explanations.

use faknow_data::FieldBatch;
use faknow_model::layers::{Activation, Embedding, TextCnnLayer};
use faknow_model::{
    Mode, Model, TextCnn, TextCnnConfig, integrated_gradients, integrated_gradients_in_parts,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn small() -> TextCnnConfig {
    TextCnnConfig { embedding_size: 8, n_filters: 5, ..TextCnnConfig::default() }
}

fn model(config: &TextCnnConfig) -> (VarStore, TextCnn) {
    tch::manual_seed(3);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(tch::Kind::Double);
    let model = TextCnn::new(&vars.root(), config, 30, 3).unwrap();
    (vars, model)
}

/// Creates texts of 1 to 12 words with `n_padding` padding columns after the longest.
fn texts(n_padding: i64) -> FieldBatch {
    let rows: Vec<Tensor> = (1..=12i64)
        .map(|len| {
            let words: Vec<i64> = (0..len).map(|i| 2 + (len * 7 + i * 5) % 28).collect();
            Tensor::from_slice(&words).constant_pad_nd([0, 12 - len + n_padding])
        })
        .collect();
    FieldBatch::from_words(Tensor::stack(&rows, 0), Some(Tensor::from_slice(&[0i64, 1, 2].repeat(4))))
        .unwrap()
}

// With `extra_padding`, logits and gradients equal those of any longer padding.
#[test]
fn logits_and_gradients_do_not_depend_on_the_padding() {
    let _generator = crate::generator();
    let config = small();
    let (vars, model) = model(&config);
    let [short, long] = [config.extra_padding() as i64, 40].map(|n_padding| {
        let output = model.forward(&texts(n_padding), Mode::Eval).unwrap();
        output.loss.unwrap().total.backward();
        let mut gradients: Vec<(String, Tensor)> =
            vars.variables().into_iter().map(|(name, t)| (name, t.grad().copy())).collect();
        gradients.sort_by(|a, b| a.0.cmp(&b.0));
        vars.variables().into_values().for_each(|mut t| t.zero_grad());
        (output.logits.detach(), gradients)
    });
    assert!(short.0.allclose(&long.0, 1e-12, 1e-12, false), "logits");
    for ((name, a), (_, b)) in short.1.iter().zip(&long.1) {
        assert!(a.allclose(b, 1e-12, 1e-12, false), "gradient of {name}");
    }
    // Without extra padding the longest text has no window of padding, so the result differs.
    let unpadded = model.forward(&texts(0), Mode::Eval).unwrap().logits;
    assert!(!unpadded.allclose(&short.0, 1e-12, 1e-12, false));
}

#[test]
fn parameters_have_pytorchs_names_and_shapes() {
    let _generator = crate::generator();
    let (vars, _) = model(&small());
    let mut names: Vec<String> =
        vars.variables().iter().map(|(n, t)| format!("{n} {:?}", t.size())).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "classifier.1.bias [3]",
            "classifier.1.weight [3, 15]",
            "text_ccn_layer.convs.0.bias [5]",
            "text_ccn_layer.convs.0.weight [5, 1, 3, 8]",
            "text_ccn_layer.convs.1.bias [5]",
            "text_ccn_layer.convs.1.weight [5, 1, 4, 8]",
            "text_ccn_layer.convs.2.bias [5]",
            "text_ccn_layer.convs.2.weight [5, 1, 5, 8]",
            "word_embedding.weight [30, 8]",
        ]
    );
}

#[test]
fn frozen_embedding_has_no_gradient() {
    let _generator = crate::generator();
    let vars = VarStore::new(Device::Cpu);
    let vectors = Tensor::randn([30, 6], tch::kind::FLOAT_CPU);
    let config = TextCnnConfig { freeze_embedding: true, ..small() };
    let model = TextCnn::with_vectors(&vars.root(), &config, &vectors, 3).unwrap();
    let loss = model.forward(&texts(5), Mode::Eval).unwrap().loss.unwrap();
    loss.total.backward();
    let variables = vars.variables();
    assert_eq!(variables["word_embedding.weight"], vectors);
    assert!(!variables["word_embedding.weight"].grad().defined());
    assert!(variables["classifier.1.weight"].grad().defined());
}

#[test]
fn dropout_is_only_active_in_training() {
    let _generator = crate::generator();
    let (_vars, model) = model(&small());
    let logits = |mode| model.forward(&texts(5), mode).unwrap().logits;
    assert_eq!(logits(Mode::Eval), logits(Mode::Eval));
    assert_ne!(logits(Mode::Train), logits(Mode::Eval));
}

#[test]
fn a_batch_without_labels_has_no_loss() {
    let _generator = crate::generator();
    let (_vars, model) = model(&small());
    let batch = FieldBatch::from_words(texts(5).words.unwrap().ids, None).unwrap();
    assert!(model.forward(&batch, Mode::Eval).unwrap().loss.is_none());
}

#[test]
fn rejects_invalid_batches_and_settings() {
    let _generator = crate::generator();
    let check = |error: faknow_model::Error, expected: &[&str]| {
        let error = error.to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    let (_vars, model) = model(&small());
    let batch = |tokens: &[i64], label: i64| {
        FieldBatch::from_words(Tensor::from_slice(tokens).view([1, -1]), Some(Tensor::from_slice(&[label])))
            .unwrap()
    };
    let forward = |batch| model.forward(&batch, Mode::Eval).unwrap_err();
    check(forward(batch(&[2, 3], 0)), &["at least 5 words, the widest kernel", "got 2 words"]);
    check(forward(batch(&[2, 3, 4, 5, 30], 0)), &["token ids 0..=29", "got 2..=30"]);
    check(forward(batch(&[2, 3, 4, 5, 6], 3)), &["labels: expected 0..=2 (3 classes), got 3..=3"]);

    let new = |config: TextCnnConfig, n_classes| {
        TextCnn::new(&VarStore::new(Device::Cpu).root(), &config, 30, n_classes).unwrap_err()
    };
    check(new(TextCnnConfig { dropout: 1.0, ..small() }, 2), &["`dropout`", "below 1", "got 1"]);
    check(new(TextCnnConfig { kernel_sizes: vec![], ..small() }, 2), &["`kernel_sizes`", "none"]);
    check(new(TextCnnConfig { kernel_sizes: vec![3, 0], ..small() }, 2), &["`kernel_sizes`", "got 0"]);
    check(new(TextCnnConfig { n_filters: 0, ..small() }, 2), &["`n_filters`"]);
    check(new(TextCnnConfig { embedding_size: 0, ..small() }, 2), &["`embedding_size`"]);
    check(new(small(), 1), &["`n_classes`", "at least 2"]);
}

/// Returns the features of the convolution block and two gradients, from word vectors or from distinct words.
fn features(
    kind: Kind,
    kernels: &[i64],
    activation: Activation,
    tokens: &Tensor,
    distinct: bool,
) -> [Tensor; 3] {
    tch::manual_seed(5);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let embedding = Embedding::random(&(vars.root() / "words"), 40, 11).unwrap();
    let layer = TextCnnLayer::new(&(vars.root() / "layer"), 11, 7, kernels, activation).unwrap();
    let features = match distinct {
        true => layer.forward_words(&embedding, tokens),
        false => layer.forward(&embedding.forward(tokens).unwrap()),
    };
    let features = features.unwrap();
    let weights = Tensor::arange(features.numel() as i64, (kind, Device::Cpu)).view_as(&features) - 20.0;
    (&features * weights).sum(kind).backward();
    let gradient = |name: &str| vars.variables()[name].grad();
    let no_grad = tch::no_grad(|| layer.forward_words(&embedding, tokens).unwrap());
    assert!(no_grad.allclose(&features, 1e-5, 1e-6, false), "result without gradients differs");
    [features.detach(), gradient("words.weight"), gradient("layer.convs.0.weight")]
}

#[test]
fn forward_words_equals_convolutions() {
    let _generator = crate::generator();
    tch::manual_seed(9);
    let random = Tensor::randint(40, [17, 23], (Kind::Int64, Device::Cpu));
    // Repeated windows, texts of one word, texts of padding only.
    let repeated = Tensor::from_slice2(&[
        [3i64, 4, 3, 4, 3, 4, 3, 4, 3, 4, 0, 0, 0],
        [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    for tokens in [random.shallow_clone(), repeated, random.tr()] {
        for kernels in [&[3i64, 4, 5][..], &[1], &[2, 2], &[7, 1]] {
            for activation in [Activation::Relu, Activation::LeakyRelu, Activation::None] {
                for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 2e-4)] {
                    let [actual, expected] =
                        [true, false].map(|distinct| features(kind, kernels, activation, &tokens, distinct));
                    for (actual, expected) in actual.iter().zip(&expected) {
                        let is_close = actual.allclose(expected, tolerance, tolerance, false);
                        assert!(is_close, "{:?} {kernels:?} {activation:?} {kind:?}", tokens.size());
                    }
                }
            }
        }
    }
}

#[test]
fn nan_is_propagated() {
    let _generator = crate::generator();
    for distinct in [true, false] {
        let vars = VarStore::new(Device::Cpu);
        let embedding = Embedding::random(&(vars.root() / "words"), 40, 11).unwrap();
        let layer = TextCnnLayer::new(&vars.root(), 11, 7, &[3], Activation::Relu).unwrap();
        let row = vars.variables()["words.weight"].get(4);
        let _ = tch::no_grad(|| row.shallow_clone().fill_(f64::NAN));
        let tokens = Tensor::from_slice2(&[[1i64, 4, 3, 9, 8, 7], [1, 2, 3, 0, 0, 0]]);
        let features = match distinct {
            true => layer.forward_words(&embedding, &tokens),
            false => layer.forward(&embedding.forward(&tokens).unwrap()),
        };
        let nan = features.unwrap().isnan().all_dim(1, false);
        assert_eq!(Vec::<bool>::try_from(&nan).unwrap(), [true, false]);
    }
}

#[test]
fn rejects_short_texts_and_token_ids_out_of_range() {
    let _generator = crate::generator();
    let (vars, model) = model(&small());
    drop(vars);
    let message = |tokens: Tensor| {
        model.forward(&FieldBatch::from_words(tokens, None).unwrap(), Mode::Eval).unwrap_err().to_string()
    };
    let short = message(Tensor::from_slice2(&[[2i64, 3, 4, 0]]));
    assert!(
        short.contains("at least 5 words, the widest kernel") && short.contains("got 4 words"),
        "{short}"
    );
    let out_of_range = message(Tensor::from_slice2(&[[2i64, 3, 30, 0, 0]]));
    assert!(out_of_range.contains("expected token ids 0..=29, got 0..=30"), "{out_of_range}");
}

#[test]
fn cached_products_are_cleared_when_weights_change() {
    let _generator = crate::generator();
    let (vars, model) = model(&small());
    let batch = texts(5);
    let logits = || tch::no_grad(|| model.forward(&batch, Mode::Eval).unwrap().logits);
    let with_gradients = || model.forward(&batch, Mode::Eval).unwrap().logits.detach();
    // Enough batches for the products to be cached.
    let all: Vec<Tensor> = (0..9).map(|_| logits()).collect();
    for (number, logits) in all.iter().enumerate() {
        assert!(logits.allclose(&with_gradients(), 1e-12, 1e-12, false), "batch {number}");
    }
    for name in ["word_embedding.weight", "text_ccn_layer.convs.2.weight", "text_ccn_layer.convs.0.bias"] {
        let mut weight = vars.variables().remove(name).unwrap();
        let _ = tch::no_grad(|| weight.f_add_scalar_(0.1).unwrap());
        let changed = logits();
        assert!(!changed.allclose(&all[0], 1e-6, 1e-6, false), "{name}");
        assert!(changed.allclose(&with_gradients(), 1e-12, 1e-12, false), "{name}");
    }
    let out_of_range = FieldBatch::from_words(Tensor::from_slice2(&[[2i64, 3, 30, 0, 0]]), None).unwrap();
    let error = tch::no_grad(|| model.forward(&out_of_range, Mode::Eval)).unwrap_err().to_string();
    assert!(error.contains("token ids 0..=29"), "{error}");
}

#[test]
fn word_contributions_in_parts_are_the_same_and_can_be_abandoned() {
    let _generator = crate::generator();
    let vars = VarStore::new(Device::Cpu);
    let config = TextCnnConfig { embedding_size: 8, n_filters: 4, ..TextCnnConfig::default() };
    let model = TextCnn::new(&vars.root(), &config, 50, 2).unwrap();
    for (n_tokens, n_parts) in [(6, 2), (100, 32), (1000, 64)] {
        let tokens: Vec<i64> = (0..n_tokens).map(|token| token % 48 + 2).collect();
        let batch = FieldBatch::from_words(Tensor::from_slice(&tokens).view([1, -1]), None).unwrap();
        let words = batch.words().unwrap();
        let mut n_calls = 0;
        // Other work between the parts does not affect the result.
        let mut proceed = || {
            n_calls += 1;
            tch::no_grad(|| model.forward(&batch, Mode::Eval)).is_ok()
        };
        let in_parts = integrated_gradients_in_parts(&model, words, 1, &mut proceed).unwrap();
        assert_eq!(in_parts, Some(integrated_gradients(&model, words, 1).unwrap()));
        assert_eq!(n_calls, n_parts + 1, "{n_tokens} tokens");
        let mut left = n_parts;
        let mut abandon = || {
            left -= 1;
            left > 0
        };
        assert_eq!(integrated_gradients_in_parts(&model, words, 1, &mut abandon).unwrap(), None);
    }
}

#[test]
fn word_contributions_add_up_to_the_log_odds() {
    let _generator = crate::generator();
    let vars = VarStore::new(Device::Cpu);
    let config = TextCnnConfig { embedding_size: 12, n_filters: 6, ..TextCnnConfig::default() };
    let model = TextCnn::new(&vars.root(), &config, 50, 3).unwrap();
    let mut tokens = vec![7i64, 3, 41, 9, 22, 7];
    tokens.resize(6 + 5, 0);
    let batch = FieldBatch::from_words(Tensor::from_slice(&tokens).view([1, -1]), None).unwrap();
    let words = batch.words().unwrap();
    for class in 0..3 {
        let contributions = integrated_gradients(&model, words, class).unwrap();
        let logits = model.forward(&batch, Mode::Eval).unwrap().logits;
        let scores = Vec::<f64>::try_from(logits.softmax(-1, Kind::Double).view(-1)).unwrap();
        assert!(
            (contributions.output - (scores[class] / (1.0 - scores[class])).ln()).abs() < 1e-5,
            "{contributions:?}"
        );
        assert_eq!(contributions.words.len(), 6);
        assert!(contributions.residual().abs() < 0.02, "{contributions:?}: {}", contributions.residual());
    }
    assert!(vars.variables().values().all(|weight| !weight.grad().defined()), "a weight has a gradient");
    let error = integrated_gradients(&model, words, 3).unwrap_err().to_string();
    assert!(error.contains('3'), "{error}");
    let error = integrated_gradients(&model, texts(5).words().unwrap(), 0).unwrap_err().to_string();
    assert_eq!(error, "integrated gradients: batch: expected one text, got 12");
}
