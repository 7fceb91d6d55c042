//! Settings from files and arguments: precedence, and reproducing a run from its config file.

use serde_json::Value;

use crate::support::{Sandbox, TINY, keys};

const TOML: &str = "\
seed = 5

[data]
train = \"train.csv\"
valid = \"valid.csv\"
test = \"test.csv\"
text = \"tweet\"

[model]
name = \"textcnn\"
embedding_size = 8
n_filters = 4

[optimizer]
name = \"sgd\"
lr = 0.1
momentum = 0.9

[schedule]
name = \"step\"
step_size = 1
gamma = 0.5

[trainer]
epochs = 3
clip_norm = 1.0
";

/// Returns a line of the run's `config.toml`.
fn setting(sandbox: &Sandbox, run: &str, key: &str) -> String {
    let config = sandbox.read(&format!("{run}/config.toml"));
    let line = config.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {config}")).to_owned()
}

/// Returns a summary without times and directory name.
fn comparable(mut summary: Value) -> Value {
    summary["run"].take();
    summary["epoch_seconds"].take();
    summary
}

#[test]
fn config_file_works_as_argument_and_as_option() {
    let sandbox = Sandbox::new();
    sandbox.write("my.toml", TOML);
    let first = sandbox.faknow(&["train", "my.toml", "--out", "a", "--json"]).json();
    assert_eq!((&first["epochs"], first["test"]["n_samples"].as_u64()), (&3.into(), Some(24)));
    let second = sandbox.faknow(&["train", "textcnn", "--config", "my.toml", "--out", "b", "--json"]).json();
    assert_eq!(comparable(first.clone()), comparable(second));
    let rates: Vec<f64> = sandbox
        .read("a/history.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["learning_rates"][0].as_f64())
        .collect();
    assert_eq!(rates, [0.1, 0.05, 0.025], "the schedule is applied");
    // The config file of a run has all settings, so it reproduces the run.
    let again = sandbox.faknow(&["train", "a/config.toml", "--out", "c", "--json"]).json();
    assert_eq!(comparable(again), comparable(first));
    assert_eq!(sandbox.read("a/config.toml"), sandbox.read("c/config.toml"));
}

#[test]
fn options_override_the_file_and_set_overrides_options() {
    let sandbox = Sandbox::new();
    sandbox.write("my.toml", TOML);
    let args =
        ["train", "my.toml", "--out", "a", "--epochs", "2", "--seed", "8", "--test", "valid.csv", "--json"];
    let summary = sandbox.faknow(&args).json();
    assert_eq!((&summary["epochs"], summary["test"]["n_samples"].as_u64()), (&2.into(), Some(20)));
    assert_eq!(
        (setting(&sandbox, "a", "seed"), setting(&sandbox, "a", "epochs")),
        ("seed = 8".into(), "epochs = 2".into())
    );
    let set = ["--set", "trainer.epochs=9", "--set", "trainer.epochs=1", "--set", "optimizer.lr=0.25"];
    sandbox.faknow(&[&["train", "my.toml", "--out", "b", "--epochs", "2"][..], &set].concat()).ok();
    assert_eq!(
        (setting(&sandbox, "b", "epochs"), setting(&sandbox, "b", "lr")),
        ("epochs = 1".into(), "lr = 0.25".into())
    );
    assert_eq!(setting(&sandbox, "b", "momentum"), "momentum = 0.9", "other settings are those of the file");
}

#[test]
fn optimizer_and_schedule_settings_have_any_order() {
    let sandbox = Sandbox::new();
    let set = ["optimizer.momentum=0.5", "optimizer.name=sgd", "schedule.step_size=2", "schedule.name=step"];
    let set: Vec<&str> = set.iter().flat_map(|assignment| ["--set", assignment]).collect();
    sandbox.train(&[&set[..], &["--out", "run"]].concat());
    assert_eq!(setting(&sandbox, "run", "momentum"), "momentum = 0.5");
    assert_eq!(setting(&sandbox, "run", "step_size"), "step_size = 2");
}

#[test]
fn trains_from_faknow_yaml() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "textcnn.yaml",
        "# FaKnow's keys\ntrain_path: train.csv\nvalidate_path: valid.csv\ntest_path: test.csv\nlanguage: en\n\
         num_epochs: 3\nlr: 0.01\nbatch_size: 16\nmax_len: 20\nfilter_num: 4\nkernel_sizes: [1, 2, 3]\ndropout: 0.1\n\
         activate_func: leaky_relu\nmetrics: [accuracy, auc]\ndevice: cpu\nword_vectors:\nstop_words: ~\n",
    );
    let args = ["train", "textcnn.yaml", "--text", "tweet", "--out", "run", "--json", TINY[0], TINY[1]];
    let summary = sandbox.faknow(&args).json();
    assert_eq!((&summary["epochs"], summary["ended"].as_str()), (&3.into(), Some("completed")));
    for (key, line) in [
        ("batch_size", "batch_size = 16"),
        ("max_length", "max_length = 20"),
        ("n_filters", "n_filters = 4"),
        ("kernel_sizes", "kernel_sizes = [1, 2, 3]"),
        ("activation", "activation = \"leaky_relu\""),
        ("device", "device = \"cpu\""),
    ] {
        assert_eq!(setting(&sandbox, "run", key), line);
    }
    let history = sandbox.read("run/history.jsonl");
    let epoch: Value =
        serde_json::from_str(history.lines().find(|line| line.contains("\"epoch\"")).unwrap()).unwrap();
    assert_eq!(keys(&epoch["valid"]), ["loss", "accuracy", "roc_auc"], "expected the configured metrics");
}

#[test]
fn any_metric_name_can_be_monitored() {
    let sandbox = Sandbox::new();
    for (index, (monitor, name)) in
        [("AUC", "roc_auc"), ("loss", "loss"), ("kappa", "cohen_kappa")].iter().enumerate()
    {
        let out = format!("run{index}");
        let (metrics, monitor) = ("trainer.metrics=['f1']", format!("trainer.monitor={monitor}"));
        sandbox.train(&["--set", metrics, "--set", &monitor, "--out", &out]);
        let history = sandbox.read(&format!("{out}/history.jsonl"));
        assert!(history.contains(&format!("\"monitor\":\"{name}\"")), "{history}");
    }
}
