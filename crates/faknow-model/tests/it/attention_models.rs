//! MCAN, HMCAN and MFAN: training, missing texts and images, padding, ablations, explanations and invalid settings.

use faknow_data::FieldBatch;
use faknow_data::image::Images;
use faknow_data::text::{Subwords, Words};
use faknow_model::content::{MfanGraph, MfanNodes, TextSource};
use faknow_model::encoder::{EncoderConfig, PretrainedEncoder};
use faknow_model::image::PretrainedImageEncoder;
use faknow_model::{
    Hmcan, HmcanConfig, Loss, Mcan, McanConfig, Mfan, MfanConfig, Modalities, Mode, Model,
    integrated_gradients,
};
use tch::nn::{OptimizerConfig as _, VarStore};
use tch::{Device, Kind, Tensor};

use crate::golden::assert_close;

type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

const WORDS: TextSource<'_> = TextSource::Random { vocab_size: 30, size: 6 };

fn mcan() -> McanConfig {
    McanConfig {
        model_size: 8,
        n_heads: 2,
        ffn_size: 6,
        hidden_size: 5,
        dropout: 0.0,
        feature_dropout: 0.0,
        embedding_dropout: 0.0,
        dct_channels: vec![2, 3],
        dct_kernel_sizes: vec![3, 3],
        dct_branch1_channels: vec![2],
        dct_branch2_channels: vec![2, 3],
        dct_branch3_channels: vec![2, 2, 2],
        dct_branch4_channels: vec![2],
        dct_out_channels: 2,
        ..McanConfig::default()
    }
}

fn hmcan() -> HmcanConfig {
    HmcanConfig {
        n_heads: 2,
        n_cross_heads: 2,
        hidden_size: 7,
        dropout: 0.0,
        embedding_dropout: 0.0,
        ..HmcanConfig::default()
    }
}

fn mfan() -> MfanConfig {
    MfanConfig {
        n_filters: 3,
        kernel_sizes: vec![1, 4],
        n_heads: 2,
        key_size: 3,
        value_size: 3,
        dropout: 0.0,
        node_dropout: 0.0,
        embedding_dropout: 0.0,
        ..MfanConfig::default()
    }
}

fn graph() -> MfanGraph {
    let node_embeddings = Tensor::arange(15, (Kind::Double, Device::Cpu)).view([5, 3]).sin();
    let adjacency = Tensor::eye(5, (Kind::Double, Device::Cpu)).roll(1, 0);
    MfanGraph { node_embeddings, adjacency }
}

fn tiny_encoder() -> PretrainedEncoder {
    PretrainedEncoder::random(EncoderConfig {
        hidden_size: 8,
        n_layers: 4,
        n_heads: 2,
        intermediate_size: 8,
        ..EncoderConfig::bert(30)
    })
}

/// Builds a model by name, in f64, for three classes.
fn build(vars: &VarStore, name: &str, source: &TextSource<'_>, modalities: Modalities) -> BoxedModel {
    tch::manual_seed(3);
    let (path, image) = (vars.root(), PretrainedImageEncoder::small());
    let image = Some(&image);
    match name {
        "mcan" => Box::new(Mcan::new(&path, &McanConfig { modalities, ..mcan() }, source, image, 3).unwrap()),
        "mcan-faithful" => {
            let config = McanConfig { modalities, faithful: true, ..mcan() };
            Box::new(Mcan::new(&path, &config, source, image, 3).unwrap())
        }
        "hmcan" => {
            Box::new(Hmcan::new(&path, &HmcanConfig { modalities, ..hmcan() }, source, image, 3).unwrap())
        }
        "mfan" => {
            let config = MfanConfig { modalities, ..mfan() };
            Box::new(Mfan::new(&path, &config, source, image, MfanNodes::None, 3).unwrap())
        }
        "mfan-users" => {
            let config = MfanConfig { modalities, ..mfan() };
            Box::new(Mfan::new(&path, &config, source, image, MfanNodes::Users(3), 3).unwrap())
        }
        "mfan-graph" => {
            let config = MfanConfig { modalities, ..mfan() };
            Box::new(Mfan::new(&path, &config, source, image, MfanNodes::Graph(&graph()), 3).unwrap())
        }
        other => panic!("no model {other}"),
    }
}

const MODELS: [&str; 6] = ["mcan", "mcan-faithful", "hmcan", "mfan", "mfan-users", "mfan-graph"];

/// The texts of five posts; the last has none.
const TEXTS: [&[i64]; 5] = [&[3, 4, 5, 6, 7, 8, 9], &[5, 2], &[7, 8, 9, 3, 3], &[4], &[]];
/// Which posts have an image.
const HAS_IMAGE: [bool; 5] = [true, true, false, true, false];

/// Returns a batch of these posts, padded to `len`, with everything that the models read.
fn batch(rows: &[usize], len: usize) -> FieldBatch {
    let n = rows.len() as i64;
    let words = |row: &usize| TEXTS[*row].iter().copied().chain(std::iter::repeat(0)).take(len);
    let ids: Vec<i64> = rows.iter().flat_map(words).collect();
    let ids = Tensor::from_slice(&ids).view([n, len as i64]);
    let of_rows =
        |values: [i64; 5]| Tensor::from_slice(&rows.iter().map(|row| values[*row]).collect::<Vec<_>>());
    let mut batch = FieldBatch::new(rows.len());
    batch.labels = Some(of_rows([0, 1, 2, 0, 1]));
    batch.words = Some(Words::new(ids.shallow_clone()).unwrap());
    batch.subwords = Some(Subwords::new(ids, of_rows(TEXTS.map(|text| text.len().max(1) as i64))).unwrap());
    let present = Tensor::from_slice(&rows.iter().map(|row| HAS_IMAGE[*row]).collect::<Vec<_>>());
    let pixels = Tensor::arange(3 * 40 * 40, (Kind::Int64, Device::Cpu)).view([1, 3, 40, 40]);
    let seeds = of_rows([7, 11, 13, 17, 19]).view([n, 1, 1, 1]);
    let pixels = (pixels * seeds).remainder(251) * present.to_kind(Kind::Int64).view([n, 1, 1, 1]);
    batch.images = Some(Images::new(pixels.to_kind(Kind::Uint8), present).unwrap());
    batch.domains = Some(of_rows([0, 2, -1, 1, 2]));
    batch.features.insert(Mfan::NODE.into(), of_rows([3, 0, -1, 4, 2]).to_kind(Kind::Float).unsqueeze(1));
    batch
}

fn double() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

fn logits(model: &BoxedModel, batch: &FieldBatch) -> Tensor {
    tch::no_grad(|| model.forward(batch, Mode::Eval).unwrap().logits)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn batch_mates_and_padding_do_not_change_results() {
    let _generator = crate::generator();
    let encoder = tiny_encoder();
    for source in [WORDS, TextSource::Encoder(&encoder)] {
        for name in MODELS {
            let vars = double();
            let model = build(&vars, name, &source, Modalities::Both);
            let together = logits(&model, &batch(&[0, 1, 2, 3, 4], 8));
            assert_eq!(together.size(), [5, 3], "{name}");
            assert_eq!(together, logits(&model, &batch(&[0, 1, 2, 3, 4], 8)), "{name}: not deterministic");
            assert_close(name, &logits(&model, &batch(&[0, 1, 2, 3, 4], 20)), &together, 1e-12, 1.0);
            for (row, text) in TEXTS.iter().enumerate() {
                let alone = logits(&model, &batch(&[row], text.len().max(1)));
                assert_close(name, &alone.get(0), &together.get(row as i64), 1e-12, 1.0);
            }
        }
    }
}

#[test]
fn training_lowers_the_loss_and_reaches_the_vectors_of_missing_modalities() {
    let _generator = crate::generator();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &WORDS, Modalities::Both);
        let batch = batch(&[0, 1, 2, 3, 4], 8);
        let loss = |mode| model.forward(&batch, mode).unwrap().loss.unwrap();
        let first = loss(Mode::Train).total;
        first.backward();
        let variables = vars.variables();
        let missing = variables.iter().filter(|(name, _)| name.ends_with(".embedding"));
        let mut n_missing = 0;
        for (parameter, variable) in missing {
            assert!(variable.grad().abs().max().double_value(&[]) > 0.0, "{name}: {parameter}");
            n_missing += 1;
        }
        assert!(n_missing >= 2, "{name}");
        let mut optimizer = tch::nn::Adam::default().build(&vars, 0.01).unwrap();
        for _ in 0..40 {
            optimizer.backward_step(&loss(Mode::Train).total);
        }
        let (first, last) = (first.double_value(&[]), loss(Mode::Train).total.double_value(&[]));
        assert!(last < 0.5 * first, "{name}: {first} {last}");
    }
}

#[test]
fn a_batch_of_one_post_is_trained() {
    let _generator = crate::generator();
    for name in MODELS {
        let vars = double();
        let model = build(&vars, name, &WORDS, Modalities::Both);
        for row in 0..5 {
            let total = model.forward(&batch(&[row], 8), Mode::Train).unwrap().loss.unwrap().total;
            total.backward();
            assert!(total.double_value(&[]).is_finite(), "{name}");
        }
    }
}

#[test]
fn ablations_read_one_modality() {
    let _generator = crate::generator();
    let with_other_texts = || FieldBatch { words: batch(&[1, 0], 8).words, ..batch(&[0, 1], 8) };
    let with_other_images = || FieldBatch { images: batch(&[1, 0], 8).images, ..batch(&[0, 1], 8) };
    for name in MODELS {
        for (modalities, reads_text, reads_image) in [
            (Modalities::Both, true, true),
            (Modalities::Text, true, false),
            (Modalities::Image, false, true),
        ] {
            let vars = double();
            let model = build(&vars, name, &WORDS, modalities);
            let result = logits(&model, &batch(&[0, 1], 8));
            let text = difference(&logits(&model, &with_other_texts()), &result);
            let image = difference(&logits(&model, &with_other_images()), &result);
            assert_eq!((text > 1e-9, image > 1e-9), (reads_text, reads_image), "{name} {modalities:?}");
            let has = |part: &str| vars.variables().keys().any(|parameter| parameter.contains(part));
            assert_eq!(has("word_embedding"), reads_text, "{name}");
            assert_eq!(has("image_encoder"), reads_image, "{name}");
        }
    }
}

#[test]
fn hmcan_reads_levels_of_frozen_and_trained_encoders() {
    let _generator = crate::generator();
    let encoder = tiny_encoder();
    let source = TextSource::Encoder(&encoder);
    let hidden_size = |config: &HmcanConfig, source: &TextSource<'_>| {
        let vars = double();
        let model = Hmcan::new(&vars.root(), config, source, None, 2).unwrap();
        let batch = batch(&[0, 1], 8);
        let total = model.forward(&batch, Mode::Train).unwrap().loss.unwrap().total;
        total.backward();
        let variables = vars.variables();
        let query = "bert.encoder.layer.0.attention.self.query.weight";
        let is_trained = variables.get(query).is_some_and(|weight| weight.grad().defined());
        assert_eq!(is_trained, config.train_encoder);
        variables["classifier.0.weight"].size()[1]
    };
    // Each level has two means of 8 values.
    assert_eq!(hidden_size(&hmcan(), &source), 48);
    assert_eq!(hidden_size(&HmcanConfig { train_encoder: true, ..hmcan() }, &source), 48);
    assert_eq!(hidden_size(&HmcanConfig { n_levels: 1, ..hmcan() }, &source), 16);
    assert_eq!(hidden_size(&HmcanConfig { n_levels: 9, ..hmcan() }, &source), 64);
    assert_eq!(hidden_size(&hmcan(), &WORDS), 12);
}

// In FaKnow, only the last layer of a transformer has an effect.
#[test]
fn all_layers_of_hmcan_are_trained_unless_faithful() {
    let _generator = crate::generator();
    for faithful in [false, true] {
        let vars = double();
        let config = HmcanConfig { faithful, ..hmcan() };
        let model = Hmcan::new(&vars.root(), &config, &WORDS, None, 2).unwrap();
        let batch = FieldBatch { labels: Some(Tensor::from_slice(&[0i64, 1])), ..batch(&[0, 1], 8) };
        model.forward(&batch, Mode::Train).unwrap().loss.unwrap().total.backward();
        let variables = vars.variables();
        let weight = |layer: usize| {
            let name =
                format!("contextual_transformer1.transformer1.encoder_layers.{layer}.attention.W_v.weight");
            variables[&name].grad()
        };
        assert!(weight(1).defined());
        assert_eq!(weight(0).defined(), !faithful);
        let keys = if faithful { 2 * 6 } else { 6 };
        assert_eq!(weight(1).size(), [keys, 6]);
    }
}

#[test]
fn mfan_aligns_texts_and_nodes_of_posts_that_have_both() {
    let _generator = crate::generator();
    for name in ["mfan-users", "mfan-graph"] {
        let vars = double();
        let model = build(&vars, name, &WORDS, Modalities::Both);
        let loss = |rows: &[usize]| {
            let Loss { total, parts } = model.forward(&batch(rows, 8), Mode::Eval).unwrap().loss.unwrap();
            let parts: Vec<f64> = parts.iter().map(|(_, part)| part.double_value(&[])).collect();
            assert!((total.double_value(&[]) - parts[0] - 0.72 * parts[1]).abs() < 1e-12);
            parts[1]
        };
        // The third post has no node, the fifth no text.
        assert_eq!((loss(&[2]), loss(&[4])), (0.0, 0.0), "{name}");
        let (first, second) = (loss(&[0]), loss(&[1]));
        assert!(first > 0.0 && (loss(&[0, 1, 2, 4]) - (first + second) / 2.0).abs() < 1e-12, "{name}");
    }
}

#[test]
fn posts_of_unknown_users_share_a_vector_that_is_trained_by_dropout() {
    let _generator = crate::generator();
    let vars = double();
    let config = MfanConfig { node_dropout: 0.5, ..mfan() };
    let model = Mfan::new(&vars.root(), &config, &WORDS, None, MfanNodes::Users(3), 2).unwrap();
    let labeled = |rows: &[usize]| {
        let labels = Tensor::zeros([rows.len() as i64], (Kind::Int64, Device::Cpu));
        FieldBatch { labels: Some(labels), ..batch(rows, 8) }
    };
    tch::manual_seed(1);
    model.forward(&labeled(&[0, 1, 3, 0, 1, 3, 0, 1]), Mode::Train).unwrap().loss.unwrap().total.backward();
    let missing = vars.variables().remove("missing_node.embedding").unwrap();
    assert!(missing.grad().abs().max().double_value(&[]) > 0.0);
    let error = model.forward(&FieldBatch { domains: None, ..labeled(&[0]) }, Mode::Eval).unwrap_err();
    assert!(error.to_string().contains("domains"), "{error}");
    let graph = build(&double(), "mfan-graph", &WORDS, Modalities::Both);
    let mut batch = batch(&[0], 8);
    batch.features.insert(Mfan::NODE.into(), Tensor::from_slice(&[5f32]).unsqueeze(1));
    let error = graph.forward(&batch, Mode::Eval).unwrap_err().to_string();
    assert_eq!(error, "MFAN: batch: expected feature `node` from -1 to 4, got 5");
}

#[test]
fn word_vectors_of_one_text_give_its_logits() {
    let _generator = crate::generator();
    let encoder = tiny_encoder();
    for source in [WORDS, TextSource::Encoder(&encoder)] {
        for name in MODELS {
            let vars = double();
            let model = build(&vars, name, &source, Modalities::Both);
            let batch = batch(&[0], 9);
            let of_text = model.embedding_model_of(&batch).unwrap();
            let ids = &batch.words.as_ref().unwrap().ids;
            let vectors = of_text.vectors(ids).unwrap().repeat([2, 1, 1]);
            let ours = tch::no_grad(|| of_text.logits(&vectors).unwrap());
            assert_eq!(ours.size(), [2, 3], "{name}");
            assert_close(name, &ours.get(1), &logits(&model, &batch).get(0), 1e-12, 1.0);
        }
    }
    // Logits of a post without words do not depend on word vectors.
    for name in MODELS {
        let (vars, batch) = (double(), batch(&[4], 6));
        let model = build(&vars, name, &WORDS, Modalities::Both);
        let of_text = model.embedding_model_of(&batch).unwrap();
        let contributions = integrated_gradients(of_text.as_ref(), batch.words.as_ref().unwrap(), 1).unwrap();
        assert_eq!((contributions.words.len(), contributions.residual()), (0, 0.0), "{name}");
    }
    let images = build(&double(), "mcan", &WORDS, Modalities::Image);
    assert!(images.embedding_model_of(&batch(&[0], 8)).is_none());
}

#[test]
fn new_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = double();
    let check = |result: faknow_model::Result<()>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let image = PretrainedImageEncoder::small();
    let new_mcan = |config| Mcan::new(&vars.root(), &config, &WORDS, Some(&image), 2).map(drop);
    check(
        new_mcan(McanConfig { n_heads: 3, ..mcan() }),
        "MCAN: `n_heads`: expected a divisor of `model_size`, 8, of at most 8, got 3",
    );
    check(
        new_mcan(McanConfig { n_heads: 4, faithful: true, ..mcan() }),
        "MCAN: `n_heads`: expected a divisor of `model_size`, 8, of at most 2, got 4",
    );
    check(
        new_mcan(McanConfig { dct_kernel_sizes: vec![3], ..mcan() }),
        "DCT branch: `dct_kernel_sizes`: expected as many kernel sizes as channels, 2, at least 1, got 1",
    );
    check(
        new_mcan(McanConfig { dct_branch2_channels: vec![3], ..mcan() }),
        "DCT branch: `dct_branch2_channels`: expected 2 channels, got 1",
    );
    check(
        new_mcan(McanConfig { feature_dropout: 1.0, ..mcan() }),
        "MCAN: `feature_dropout`: expected from 0 to below 1, got 1",
    );
    let new_hmcan = |config| Hmcan::new(&vars.root(), &config, &WORDS, None, 2).map(drop);
    check(new_hmcan(HmcanConfig { alpha: 1.5, ..hmcan() }), "HMCAN: `alpha`: expected from 0 to 1, got 1.5");
    check(
        new_hmcan(HmcanConfig { key_size: -1, ..hmcan() }),
        "HMCAN: `key_size`: expected at least 0, got -1",
    );
    check(
        new_hmcan(HmcanConfig { modalities: Modalities::Image, ..hmcan() }),
        "HMCAN: `modalities`: expected `both` or `text` without an image encoder, got `image`",
    );
    let new_mfan = |config| Mfan::new(&vars.root(), &config, &WORDS, None, MfanNodes::None, 2).map(drop);
    check(
        new_mfan(MfanConfig { kernel_sizes: vec![], ..mfan() }),
        "MFAN: `kernel_sizes`: expected at least one size, got none",
    );
    check(
        new_mfan(MfanConfig { alignment_weight: -1.0, ..mfan() }),
        "MFAN: `alignment_weight`: expected a number of at least 0, got -1",
    );
    check(
        Mfan::new(&vars.root(), &mfan(), &WORDS, None, MfanNodes::Users(0), 2).map(drop),
        "MFAN: `n_users`: expected at least 1, got 0",
    );
}
