//! Encoders: equality with the library transformers, independence of batch mates, weights in directories.

use std::path::{Path, PathBuf};

use faknow_data::text::Subwords;
use faknow_model::encoder::{
    Encoder, EncoderConfig, LoraConfig, LoraTarget, Pooling, Precision, read_weights,
};
use faknow_model::layers::with_sparse_gradients;
use faknow_model::{Mode, Result, weights};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters};

/// The files of `make_encoders.py`.
const CASES: [&str; 6] = ["bert", "roberta", "distilbert", "deberta_v3", "deberta_v2", "modernbert"];

/// The cases whose hidden states of padding are compared too.
const EQUAL_PADDING: [&str; 3] = ["bert", "roberta", "distilbert"];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders")
}

fn read(name: &str) -> (EncoderConfig, Tensors) {
    let config = std::fs::read_to_string(dir().join(format!("{name}.json"))).unwrap();
    let tensors = weights::read(&dir().join(format!("{name}.safetensors"))).unwrap();
    (EncoderConfig::from_json(&config).unwrap(), tensors)
}

fn build(name: &str, kind: Kind) -> (VarStore, Encoder, Tensors) {
    let (config, tensors) = read(name);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let encoder = Encoder::new(&vars.root(), &config).unwrap();
    load_parameters(&vars, &tensors);
    (vars, encoder, tensors)
}

fn subwords(tensors: &Tensors) -> Subwords {
    Subwords::new(tensors["in.ids"].shallow_clone(), tensors["in.lengths"].shallow_clone()).unwrap()
}

/// Sets hidden states of padding to 0.
fn without_padding(states: &Tensor, texts: &Subwords) -> Tensor {
    states * texts.mask().unwrap().unsqueeze(2)
}

#[test]
fn encoders_equal_transformers() {
    let _generator = crate::generator();
    for name in CASES {
        for (kind, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-5)] {
            let (vars, encoder, tensors) = build(name, kind);
            let texts = subwords(&tensors);
            let last = encoder.forward(&texts, Mode::Eval).unwrap();
            let expected = without_padding(&tensors["out.last"], &texts);
            assert_close(&format!("{name} last"), &last, &expected, tolerance, 1.0);
            let padded = encoder.forward_padded(&texts, Mode::Eval).unwrap();
            let unpadded = without_padding(&padded, &texts);
            assert_close(&format!("{name} padded"), &unpadded, &expected, tolerance, 1.0);
            if EQUAL_PADDING.contains(&name) {
                assert_close(&format!("{name} padding"), &padded, &tensors["out.last"], tolerance, 1.0);
            }
            for (i, state) in encoder.hidden_states(&texts, Mode::Eval).unwrap().iter().enumerate() {
                let expected = without_padding(&tensors[&format!("out.hidden.{i}")], &texts);
                assert_close(&format!("{name} hidden state {i}"), state, &expected, tolerance, 1.0);
            }
            if let Some(expected) = tensors.get("out.pooled") {
                let first = encoder.encode(&texts, Mode::Eval).unwrap().pool(Pooling::Cls).unwrap();
                assert_close(
                    &format!("{name} pooled"),
                    &encoder.pool(&first).unwrap(),
                    expected,
                    tolerance,
                    1.0,
                );
            }
            let loss = last.square().sum(kind);
            assert_close(&format!("{name} loss"), &loss, &tensors["loss.total_loss"], tolerance, 1.0);
            loss.backward();
            let gradients: Vec<(&str, &Tensor)> =
                tensors.iter().filter_map(|(key, t)| Some((key.strip_prefix("grad.")?, t))).collect();
            assert!(!gradients.is_empty());
            let largest = gradients.iter().map(|(_, t)| t.abs().max().double_value(&[])).fold(0.0, f64::max);
            for (parameter, expected) in gradients {
                let gradient = vars.variables()[parameter].grad();
                let floor = if kind == Kind::Float { 1e-2 * largest } else { 1e-3 * largest };
                assert_close(
                    &format!("{name} grad.{parameter}"),
                    &gradient,
                    expected,
                    10.0 * tolerance,
                    floor,
                );
            }
        }
    }
}

#[test]
fn batch_mates_and_padding_do_not_change_a_text() {
    let _generator = crate::generator();
    for name in CASES {
        let (_vars, encoder, tensors) = build(name, Kind::Double);
        let texts = subwords(&tensors);
        let together = encoder.encode(&texts, Mode::Eval).unwrap();
        let poolings = [Pooling::Cls, Pooling::Mean, Pooling::Max];
        let pooled = poolings.map(|pooling| together.pool(pooling).unwrap());
        for (i, length) in Vec::<i64>::try_from(&texts.lengths).unwrap().into_iter().enumerate() {
            let text = texts.ids.narrow(0, i as i64, 1);
            // The ids of padding do not matter.
            let ids =
                Tensor::cat(&[text.narrow(1, 0, length), Tensor::full([1, 4], 5, tch::kind::INT64_CPU)], 1);
            let alone = Subwords::new(ids, Tensor::from_slice(&[length])).unwrap();
            let alone = encoder.encode(&alone, Mode::Eval).unwrap();
            let alone = poolings.map(|pooling| alone.pool(pooling).unwrap());
            for (pooled, alone) in pooled.iter().zip(&alone) {
                assert_close(
                    &format!("{name} text {i}"),
                    &alone.select(0, 0),
                    &pooled.select(0, i as i64),
                    1e-12,
                    1.0,
                );
            }
        }
    }
}

#[test]
fn sparse_gradients_of_words_equal_dense_ones() {
    let _generator = crate::generator();
    let gradient = |is_sparse: bool| {
        let (vars, encoder, tensors) = build("bert", Kind::Double);
        let loss = || encoder.forward(&subwords(&tensors), Mode::Eval).unwrap().square().sum(Kind::Double);
        let loss = if is_sparse { with_sparse_gradients(loss) } else { loss() };
        loss.backward();
        vars.variables()["embeddings.word_embeddings.weight"].grad()
    };
    let (sparse, dense) = (gradient(true), gradient(false));
    assert!(sparse.is_sparse() && !dense.is_sparse());
    assert_close("gradient", &sparse.to_dense(None, false), &dense, 1e-12, 1.0);
}

#[test]
fn dropout_is_drawn_in_training_only() {
    let _generator = crate::generator();
    tch::manual_seed(1);
    let (_vars, encoder, tensors) = build("bert", Kind::Double);
    let run = |mode| encoder.forward(&subwords(&tensors), mode).unwrap();
    assert_eq!(run(Mode::Eval), run(Mode::Eval));
    assert_ne!(run(Mode::Train), run(Mode::Train));
    tch::manual_seed(2);
    let first = run(Mode::Train);
    tch::manual_seed(2);
    assert_eq!(run(Mode::Train), first);
}

#[test]
fn batches_that_do_not_fit_are_rejected() {
    let _generator = crate::generator();
    let (_vars, encoder, _) = build("roberta", Kind::Float);
    let run = |ids: Tensor, lengths: &[i64]| {
        let texts = Subwords::new(ids, Tensor::from_slice(lengths))?;
        encoder.forward(&texts, Mode::Eval)
    };
    let error = |result: Result<Tensor>| result.unwrap_err().to_string();
    let ids = |dims: [i64; 2]| Tensor::ones(dims, tch::kind::INT64_CPU);
    assert!(run(ids([1, 17]), &[17]).is_ok());
    assert!(error(run(ids([1, 18]), &[18])).contains("expected texts of at most 17 tokens, got 18"));
    assert!(run(ids([1, 18]), &[4]).is_ok());
    assert!(error(run(ids([1, 3]), &[4])).contains("expected texts of at most 3 tokens, got 4"));
    assert!(error(run(ids([1, 0]), &[0])).contains("at least one column"));
    assert!(error(run(ids([1, 3]) * 41, &[3])).contains("expected token ids 0..=40, got 41..=41"));
    // A text without tokens counts as one of padding.
    assert_eq!(run(ids([2, 3]), &[0, 1]).unwrap().size(), [2, 3, 18]);
    let (_, distilbert, _) = build("distilbert", Kind::Float);
    assert!(
        error(distilbert.pool(&Tensor::zeros([1, 18], tch::kind::FLOAT_CPU)))
            .contains("an encoder with a pooler")
    );
}

/// Returns renamed and converted parameters of the case `bert`, as files of Hugging Face have them.
fn parameters(rename: impl Fn(&str) -> String, kind: Kind) -> Tensors {
    let (_, tensors) = read("bert");
    let parameters = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix("param.")?, t)));
    parameters.map(|(name, tensor)| (rename(name), tensor.to_kind(kind))).collect()
}

#[test]
fn weights_are_read_from_directories() {
    let _generator = crate::generator();
    let (config, tensors) = read("bert");
    let (_vars, expected, _) = build("bert", Kind::Float);
    let expected = expected.forward(&subwords(&tensors), Mode::Eval).unwrap();
    let check = |write: &dyn Fn(&Path), tolerance: f64| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let vars = VarStore::new(Device::Cpu);
        let encoder = Encoder::from_dir(&(vars.root() / "bert"), &config, dir.path()).unwrap();
        assert!(vars.variables().contains_key("bert.encoder.layer.0.output.LayerNorm.weight"));
        let output = encoder.forward(&subwords(&tensors), Mode::Eval).unwrap();
        assert_close("output", &output, &expected.to_kind(Kind::Double), tolerance, 1.0);
    };
    let save = |tensors: &Tensors, path: PathBuf| weights::save_tensors(tensors, &path).unwrap();
    let plain = parameters(str::to_owned, Kind::Float);
    check(&|dir| save(&plain, dir.join("model.safetensors")), 0.0);
    let mut with_head = parameters(
        |name| {
            let name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            format!("bert.{name}")
        },
        Kind::Float,
    );
    with_head.insert("cls.predictions.bias".to_owned(), Tensor::zeros([41], tch::kind::FLOAT_CPU));
    check(&|dir| save(&with_head, dir.join("model.safetensors")), 0.0);
    check(&|dir| save(&parameters(str::to_owned, Kind::Half), dir.join("model.safetensors")), 0.02);
    check(&|dir| save(&parameters(str::to_owned, Kind::BFloat16), dir.join("model.safetensors")), 0.2);
    // A file of PyTorch is recognized by its content; `pytorch.rs` tests its format.
    check(&|dir| save(&plain, dir.join("pytorch_model.bin")), 0.0);
    let sharded = |dir: &Path| {
        let (mut shards, mut index) = ([Tensors::new(), Tensors::new()], serde_json::Map::new());
        for (i, (name, tensor)) in plain.iter().enumerate() {
            shards[i % 2].insert(name.clone(), tensor.shallow_clone());
            index.insert(name.clone(), format!("part-{}.safetensors", i % 2).into());
        }
        for (i, shard) in shards.iter().enumerate() {
            save(shard, dir.join(format!("part-{i}.safetensors")));
        }
        let index = serde_json::json!({ "weight_map": index });
        std::fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
    };
    check(&sharded, 0.0);
}

#[test]
fn errors_of_directories_name_tensors_and_the_directory() {
    let (config, _) = read("bert");
    let dir = tempfile::tempdir().unwrap();
    let error = || {
        let vars = VarStore::new(Device::Cpu);
        Encoder::from_dir(&vars.root(), &config, dir.path()).unwrap_err().to_string()
    };
    let check = |expected: &[&str]| {
        let error = error();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        expected.iter().for_each(|part| assert!(error.contains(part), "{error}"));
    };
    check(&["expected the directory of a Hugging Face model, with one of `model.safetensors`"]);
    let mut tensors = parameters(str::to_owned, Kind::Float);
    drop(tensors.remove("encoder.layer.1.output.dense.bias"));
    drop(tensors.insert("pooler.dense.bias".to_owned(), Tensor::zeros([3], tch::kind::FLOAT_CPU)));
    let path = dir.path().join("model.safetensors");
    weights::save_tensors(&tensors, &path).unwrap();
    check(&[
        "missing `encoder.layer.1.output.dense.bias` [18]",
        "`pooler.dense.bias`: expected [18], got [3]",
    ]);
    drop(tensors.remove("embeddings.word_embeddings.weight"));
    weights::save_tensors(&tensors, &path).unwrap();
    check(&["expected a tensor `embeddings.word_embeddings.weight`"]);
    std::fs::remove_file(&path).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index, "{}").unwrap();
    check(&["expected a table `weight_map`"]);
    std::fs::write(&index, r#"{"weight_map": {"a": "../secret"}}"#).unwrap();
    check(&["expected names of files in the same directory, got `../secret`"]);
}

/// Returns the directory of MiniLM, in `$FAKNOW_CACHE_DIR/encoders` or `~/.cache/faknow/encoders`.
fn minilm() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/faknow"));
    let cache = std::env::var_os("FAKNOW_CACHE_DIR").map(PathBuf::from).or_else(home)?;
    let dir = cache.join("encoders/minilm");
    dir.join("config.json").exists().then_some(dir)
}

#[test]
fn minilm_equals_transformers() {
    let Some(minilm) = minilm() else {
        crate::skip::check("minilm").unwrap();
        println!("SKIPPED: MiniLM is missing, install it with: cargo xtask encoder minilm");
        return;
    };
    let tensors = weights::read(&dir().join("minilm.safetensors")).unwrap();
    let vars = VarStore::new(Device::Cpu);
    let config = EncoderConfig::read(&minilm).unwrap();
    let encoder = Encoder::from_dir(&vars.root(), &config, &minilm).unwrap();
    assert_eq!(
        encoder.parameters().len(),
        read_weights(&minilm).unwrap().len() - 1,
        "position ids are ignored"
    );
    let hidden = encoder.encode(&subwords(&tensors), Mode::Eval).unwrap();
    assert_close(
        "mean",
        &hidden.pool(Pooling::Mean).unwrap(),
        &tensors["out.mean"].to_kind(Kind::Double),
        1e-5,
        1.0,
    );
    assert_close(
        "first",
        &hidden.pool(Pooling::Cls).unwrap(),
        &tensors["out.first"].to_kind(Kind::Double),
        1e-5,
        1.0,
    );
}

#[test]
fn adapters_start_without_effect_and_merge_into_the_weights() {
    let _generator = crate::generator();
    let (mut base_vars, encoder, tensors) = build("bert", Kind::Double);
    let texts = subwords(&tensors);
    let expected = encoder.forward(&texts, Mode::Eval).unwrap();
    base_vars.freeze();
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let targets = vec![LoraTarget::Query, LoraTarget::Intermediate, LoraTarget::Output];
    let config = LoraConfig { rank: 3, alpha: 7.0, targets, ..LoraConfig::default() };
    let adapted = encoder.with_adapters(&(vars.root() / "encoder"), &config).unwrap();
    assert_eq!(vars.len(), 2 * 2 * 3, "two layers, three targets, two matrices");
    assert_eq!(adapted.forward(&texts, Mode::Eval).unwrap(), expected);
    adapted.forward(&texts, Mode::Train).unwrap().square().sum(Kind::Double).backward();
    for (name, variable) in vars.variables() {
        assert!(variable.grad().defined() && name.starts_with("encoder.encoder.layer."), "{name}");
        tch::no_grad(|| variable.shallow_clone().copy_(&Tensor::randn_like(&variable)));
    }
    assert!(base_vars.variables().values().all(|variable| !variable.grad().defined()));
    let output = adapted.forward(&texts, Mode::Eval).unwrap();
    assert!((&output - &expected).abs().max().double_value(&[]) > 0.1);
    let merged = adapted.merged().unwrap();
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let merged = Encoder::from_tensors(&vars.root(), encoder.config(), &merged, Path::new("merged")).unwrap();
    assert_close("merged", &merged.forward(&texts, Mode::Eval).unwrap(), &output, 1e-12, 1.0);
    // The base is unchanged.
    assert_eq!(encoder.forward(&texts, Mode::Eval).unwrap(), expected);
    let error = |config: LoraConfig| encoder.with_adapters(&vars.root(), &config).unwrap_err().to_string();
    assert!(
        error(LoraConfig { rank: 0, ..LoraConfig::default() }).contains("`lora_rank`: expected at least 1")
    );
    assert!(error(LoraConfig { targets: vec![], ..LoraConfig::default() }).contains("`lora_targets`"));
}

#[test]
fn products_in_bfloat16_are_close_to_single_precision() {
    let _generator = crate::generator();
    let run = |precision: Precision| {
        let (config, tensors) = read("bert");
        let vars = VarStore::new(Device::Cpu);
        let encoder = Encoder::new(&vars.root(), &EncoderConfig { precision, ..config }).unwrap();
        load_parameters(&vars, &tensors);
        let hidden = encoder.forward(&subwords(&tensors), Mode::Eval).unwrap();
        hidden.square().sum(Kind::Float).backward();
        let gradient = vars.variables()["encoder.layer.0.attention.self.value.weight"].grad();
        assert_eq!((hidden.kind(), gradient.kind()), (Kind::Float, Kind::Float));
        [hidden.detach(), gradient].map(|tensor| tensor.to_kind(Kind::Double))
    };
    for (single, half) in run(Precision::F32).iter().zip(run(Precision::Bf16)) {
        let difference = (single - half).abs().max().double_value(&[]) / single.abs().max().double_value(&[]);
        assert!(difference > 1e-4 && difference < 0.05, "{difference}");
    }
}

#[test]
fn rows_with_and_without_padding_have_the_same_losses_and_gradients() {
    let _generator = crate::generator();
    for name in CASES {
        let run = |is_packed: bool| {
            let (vars, encoder, tensors) = build(name, Kind::Double);
            let texts = subwords(&tensors);
            let hidden = match is_packed {
                true => encoder.forward(&texts, Mode::Eval).unwrap(),
                false => encoder.forward_padded(&texts, Mode::Eval).unwrap(),
            };
            let loss = without_padding(&hidden, &texts).square().sum(Kind::Double);
            loss.backward();
            let gradients = encoder.parameters().iter().map(|(name, tensor)| (name.clone(), tensor.grad()));
            (loss.double_value(&[]), gradients.collect::<Vec<_>>(), vars)
        };
        let ((packed, gradients, _vars), (padded, expected, _padded_vars)) = (run(true), run(false));
        assert!((packed - padded).abs() < 1e-10 * padded, "{name}: {packed} {padded}");
        for ((parameter, gradient), (_, expected)) in gradients.iter().zip(&expected) {
            assert_eq!(gradient.defined(), expected.defined(), "{name} {parameter}");
            if gradient.defined() {
                assert_close(&format!("{name} {parameter}"), gradient, expected, 1e-10, 1.0);
            }
        }
    }
}
