//! Every model of text, images or articles has a config under `examples/configs/`, which trains and tests on the files of
//! `faknow data example`.

use std::fs;
use std::path::{Path, PathBuf};

use faknow::models::Registry;

use crate::support::Sandbox;

/// Models without a config, and why.
const WITHOUT_CONFIG: [(&str, &str); 14] = [
    ("textcnn", "needs no settings: the first example of `faknow train`"),
    ("linear", "needs no settings, and is trained next to every other model of texts"),
    ("gcn", TREES),
    ("graphsage", TREES),
    ("gat", TREES),
    ("gcnfn", TREES),
    ("upfd-gcn", TREES),
    ("upfd-sage", TREES),
    ("upfd-gat", TREES),
    ("upfd-gcnfn", TREES),
    ("bigcn", TREES),
    ("ebgcn", TREES),
    ("gnncl", TREES),
    ("trustrd", TREES),
];
const TREES: &str = "needs no settings: `faknow train` has an example with trees, for every model of trees";

fn configs() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
    let mut configs: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    configs.sort();
    configs
}

fn name(config: &Path) -> &str {
    config.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn every_example_config_trains() {
    let sandbox = Sandbox::new();
    sandbox.faknow(&["data", "example", "posts", "--posts", "200"]).ok();
    for config in configs() {
        let name = name(&config);
        let path = config.canonicalize().unwrap();
        let result = sandbox
            .faknow(&["train", path.to_str().unwrap(), "--out", &format!("runs/{name}"), "--json"])
            .json();
        assert_eq!(result["ended"], "completed", "{name}");
        assert!(result["test"]["n_samples"].as_u64().is_some_and(|n| n > 0), "{name}: {result}");
    }
}

#[test]
fn each_modality_alone_trains_on_the_same_posts() {
    let sandbox = Sandbox::new();
    sandbox.faknow(&["data", "example", "posts", "--posts", "100"]).ok();
    let config = configs().into_iter().find(|config| name(config) == "spotfake").unwrap();
    let config = config.canonicalize().unwrap();
    let n_tested = ["both", "text", "image"].map(|modalities| {
        let setting = format!("model.modalities={modalities}");
        let out = format!("runs/{modalities}");
        let args = ["train", config.to_str().unwrap(), "--epochs", "1", "--out", &out, "--json"];
        let result = sandbox.faknow(&[args.as_slice(), &["--set", &setting]].concat()).json();
        result["test"]["n_samples"].as_u64().unwrap()
    });
    assert!(n_tested[0] > 0 && n_tested.iter().all(|n| *n == n_tested[0]), "{n_tested:?}");
}

#[test]
fn every_model_has_an_example_config_or_needs_none() {
    let configs = configs();
    let mut covered: Vec<&str> = configs.iter().map(|config| name(config)).collect();
    covered.extend(WITHOUT_CONFIG.map(|(name, _)| name));
    covered.sort_unstable();
    let infos = Registry::builtin().models();
    let mut models: Vec<&str> = infos.iter().map(|info| info.name).collect();
    models.sort_unstable();
    assert_eq!(covered, models);
}
