//! Every config under `examples/configs/` trains and tests on the files of `faknow data example`.

use std::fs;
use std::path::Path;

use crate::support::Sandbox;

#[test]
fn every_example_config_trains() {
    let sandbox = Sandbox::new();
    sandbox.faknow(&["data", "example", "posts", "--posts", "200"]).ok();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
    let mut configs: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    configs.sort();
    assert!(!configs.is_empty());
    for config in configs {
        let name = config.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = config.canonicalize().unwrap();
        let result = sandbox
            .faknow(&["train", path.to_str().unwrap(), "--out", &format!("runs/{name}"), "--json"])
            .json();
        assert_eq!(result["ended"], "completed", "{name}");
        assert!(result["test"]["n_samples"].as_u64().is_some_and(|n| n > 0), "{name}: {result}");
    }
}
