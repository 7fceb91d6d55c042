//! TextCNN's own promises: padding does not matter, odd batches and settings are errors with names.

use faknow_data::FieldBatch;
use faknow_model::layers::{Activation, Embedding, TextCnnLayer};
use faknow_model::{Mode, Model, TextCnn, TextCnnConfig, integrated_gradients};
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

/// Texts of 1 to 12 words, padded by `n_padding` columns behind the longest.
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

/// With the extra padding that the configuration asks for, results and gradients equal those of any longer padding.
#[test]
fn the_result_does_not_depend_on_the_padding() {
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
    // Without extra padding the longest text has no window of padding, so the result is another one.
    let none = model.forward(&texts(0), Mode::Eval).unwrap().logits;
    assert!(!none.allclose(&short.0, 1e-12, 1e-12, false));
}

#[test]
fn parameters_have_pytorchs_names_and_shapes() {
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
fn frozen_vectors_stay_and_the_rest_learns() {
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
fn dropout_acts_in_training_alone() {
    let (_vars, model) = model(&small());
    let logits = |mode| model.forward(&texts(5), mode).unwrap().logits;
    assert_eq!(logits(Mode::Eval), logits(Mode::Eval));
    assert_ne!(logits(Mode::Train), logits(Mode::Eval));
}

#[test]
fn a_batch_without_labels_has_no_loss() {
    let (_vars, model) = model(&small());
    let batch = FieldBatch::from_words(texts(5).words.unwrap().ids, None).unwrap();
    assert!(model.forward(&batch, Mode::Eval).unwrap().loss.is_none());
}

#[test]
fn odd_batches_and_settings_are_errors_with_names() {
    let check = |error: faknow_model::Error, says: &[&str]| {
        let error = error.to_string();
        assert!(says.iter().all(|part| error.contains(part)), "{error}");
    };
    let (_vars, model) = model(&small());
    let batch = |tokens: &[i64], label: i64| {
        FieldBatch::from_words(Tensor::from_slice(tokens).view([1, -1]), Some(Tensor::from_slice(&[label])))
            .unwrap()
    };
    let forward = |batch| model.forward(&batch, Mode::Eval).unwrap_err();
    check(forward(batch(&[2, 3], 0)), &["widest kernel, 5 words", "got 2 words"]);
    check(forward(batch(&[2, 3, 4, 5, 30], 0)), &["tokens from 0 to 29", "to 30"]);
    check(forward(batch(&[2, 3, 4, 5, 6], 3)), &["3 classes (0..=2)", "3..=3"]);

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

/// The block of convolutions over words, from the vectors of all places and from distinct words.
fn features(
    kind: Kind,
    kernels: &[i64],
    activation: Activation,
    tokens: &Tensor,
    by_words: bool,
) -> [Tensor; 3] {
    tch::manual_seed(5);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let embedding = Embedding::random(&(vars.root() / "words"), 40, 11).unwrap();
    let layer = TextCnnLayer::new(&(vars.root() / "layer"), 11, 7, kernels, activation).unwrap();
    let features = match by_words {
        true => layer.forward_words(&embedding, tokens),
        false => layer.forward(&embedding.forward(tokens).unwrap()),
    };
    let features = features.unwrap();
    let weights = Tensor::arange(features.numel() as i64, (kind, Device::Cpu)).view_as(&features) - 20.0;
    (&features * weights).sum(kind).backward();
    let gradient = |name: &str| vars.variables()[name].grad();
    let no_grad = tch::no_grad(|| layer.forward_words(&embedding, tokens).unwrap());
    assert!(no_grad.allclose(&features, 1e-5, 1e-6, false), "without gradients");
    [features.detach(), gradient("words.weight"), gradient("layer.convs.0.weight")]
}

#[test]
fn products_of_distinct_words_give_what_convolutions_give() {
    tch::manual_seed(9);
    let random = Tensor::randint(40, [17, 23], (Kind::Int64, Device::Cpu));
    // Repeated windows, texts of one word, texts of padding alone.
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
                    let [words, places] =
                        [true, false].map(|by_words| features(kind, kernels, activation, &tokens, by_words));
                    for (words, places) in words.iter().zip(&places) {
                        let equal = words.allclose(places, tolerance, tolerance, false);
                        assert!(equal, "{:?} {kernels:?} {activation:?} {kind:?}", tokens.size());
                    }
                }
            }
        }
    }
}

#[test]
fn values_that_are_not_finite_are_not_hidden() {
    for by_words in [true, false] {
        let vars = VarStore::new(Device::Cpu);
        let embedding = Embedding::random(&(vars.root() / "words"), 40, 11).unwrap();
        let layer = TextCnnLayer::new(&vars.root(), 11, 7, &[3], Activation::Relu).unwrap();
        let row = vars.variables()["words.weight"].get(4);
        let _ = tch::no_grad(|| row.shallow_clone().fill_(f64::NAN));
        let tokens = Tensor::from_slice2(&[[1i64, 4, 3, 9, 8, 7], [1, 2, 3, 0, 0, 0]]);
        let features = match by_words {
            true => layer.forward_words(&embedding, &tokens),
            false => layer.forward(&embedding.forward(&tokens).unwrap()),
        };
        let nan = features.unwrap().isnan().all_dim(1, false);
        assert_eq!(Vec::<bool>::try_from(&nan).unwrap(), [true, false]);
    }
}

#[test]
fn texts_that_are_too_short_and_words_outside_the_table_are_errors() {
    let (vars, model) = model(&small());
    drop(vars);
    let message = |tokens: Tensor| {
        model.forward(&FieldBatch::from_words(tokens, None).unwrap(), Mode::Eval).unwrap_err().to_string()
    };
    let short = message(Tensor::from_slice2(&[[2i64, 3, 4, 0]]));
    assert!(
        short.contains("at least the widest kernel, 5 words") && short.contains("got 4 words"),
        "{short}"
    );
    let outside = message(Tensor::from_slice2(&[[2i64, 3, 30, 0, 0]]));
    assert!(outside.contains("from 0 to 29") && outside.contains("to 30"), "{outside}");
}

#[test]
fn products_of_all_words_are_kept_while_the_weights_stay_as_they_are() {
    let (vars, model) = model(&small());
    let batch = texts(5);
    let logits = || tch::no_grad(|| model.forward(&batch, Mode::Eval).unwrap().logits);
    let with_gradients = || model.forward(&batch, Mode::Eval).unwrap().logits.detach();
    // Enough batches that the products are there.
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
    let outside = FieldBatch::from_words(Tensor::from_slice2(&[[2i64, 3, 30, 0, 0]]), None).unwrap();
    let error = tch::no_grad(|| model.forward(&outside, Mode::Eval)).unwrap_err().to_string();
    assert!(error.contains("from 0 to 29"), "{error}");
}

#[test]
fn contributions_of_words_add_up_to_the_log_odds() {
    let vars = VarStore::new(Device::Cpu);
    let config = TextCnnConfig { embedding_size: 12, n_filters: 6, ..TextCnnConfig::default() };
    let model = TextCnn::new(&vars.root(), &config, 50, 3).unwrap();
    let mut tokens = vec![7i64, 3, 41, 9, 22, 7];
    tokens.resize(6 + 5, 0);
    let batch = FieldBatch::from_words(Tensor::from_slice(&tokens).view([1, -1]), None).unwrap();
    let words = batch.words().unwrap();
    for class in 0..3 {
        let said = integrated_gradients(&model, words, class).unwrap();
        let logits = model.forward(&batch, Mode::Eval).unwrap().logits;
        let scores = Vec::<f64>::try_from(logits.softmax(-1, Kind::Double).view(-1)).unwrap();
        assert!((said.output - (scores[class] / (1.0 - scores[class])).ln()).abs() < 1e-5, "{said:?}");
        assert_eq!(said.words.len(), 6);
        assert!(said.residual().abs() < 0.02, "{said:?} leaves {}", said.residual());
    }
    assert!(vars.variables().values().all(|weight| !weight.grad().defined()), "no weight has a gradient");
    let error = integrated_gradients(&model, words, 3).unwrap_err().to_string();
    assert!(error.contains('3'), "{error}");
    let error = integrated_gradients(&model, texts(5).words().unwrap(), 0).unwrap_err().to_string();
    assert_eq!(error, "integrated gradients: batch: expected one text, got 12");
}
