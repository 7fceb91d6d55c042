//! The files of a tiny encoder; also part of the tests of the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faknow::model::encoder::{Encoder, EncoderConfig};
use faknow::model::weights;
use faknow::tch::nn::VarStore;
use faknow::tch::{Device, Tensor};

/// Creates the directory of an encoder of two layers.
pub(crate) fn tiny_encoder(dir: &Path) -> PathBuf {
    let dir = dir.join("tiny");
    fs::create_dir_all(&dir).unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let words = ["rain", "mayor", "storm", "market", "bridge", "vote", "shock", "##ing", "officials", "only"];
    let digits = (0..10).flat_map(|digit| [format!("{digit}"), format!("##{digit}")]);
    let vocab: Vec<String> = special.into_iter().chain(words.map(str::to_owned)).chain(digits).collect();
    fs::write(dir.join("vocab.txt"), vocab.join("\n") + "\n").unwrap();
    fs::write(dir.join("tokenizer_config.json"), r#"{"do_lower_case": true, "model_max_length": 64}"#)
        .unwrap();
    let config = format!(
        r#"{{"model_type": "bert", "vocab_size": {}, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 16, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0}}"#,
        vocab.len()
    );
    fs::write(dir.join("config.json"), &config).unwrap();
    let vars = VarStore::new(Device::Cpu);
    let encoder = Encoder::new(&vars.root(), &EncoderConfig::from_json(&config).unwrap()).unwrap();
    let tensors: BTreeMap<String, Tensor> =
        encoder.parameters().iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    weights::save_tensors(&tensors, &dir.join("model.safetensors")).unwrap();
    dir
}

/// Returns the names of the files with the output of a frozen encoder below `dir`, with the number of texts of each.
pub(crate) fn feature_files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = entries(&dir.join("features")).flat_map(|dir| entries(&dir).collect::<Vec<_>>());
    // The number of texts is the first of the last five numbers.
    let n_texts = |file: &Path| {
        let content = fs::read(file).unwrap();
        u64::from_le_bytes(content[content.len() - 40..content.len() - 32].try_into().unwrap())
    };
    files.map(|file| (file.clone(), n_texts(&file))).collect()
}
