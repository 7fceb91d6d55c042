//! Settings from files and arguments: which counts, and that a run's own file trains it again.

use serde_json::Value;

use crate::support::{Bench, TINY, keys};

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

/// A line of the run's `config.toml`.
fn setting(bench: &Bench, run: &str, key: &str) -> String {
    let config = bench.read(&format!("{run}/config.toml"));
    let line = config.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {config}")).to_owned()
}

/// What of a summary does not depend on the clock and the directory's name.
fn facts(mut summary: Value) -> Value {
    summary["run"].take();
    summary["epoch_seconds"].take();
    summary
}

#[test]
fn a_config_file_names_the_model_or_stands_beside_its_name() {
    let bench = Bench::new();
    bench.write("my.toml", TOML);
    let first = bench.faknow(&["train", "my.toml", "--out", "a", "--json"]).json();
    assert_eq!((&first["epochs"], first["test"]["n_samples"].as_u64()), (&3.into(), Some(24)));
    let second = bench.faknow(&["train", "textcnn", "--config", "my.toml", "--out", "b", "--json"]).json();
    assert_eq!(facts(first.clone()), facts(second));
    let rates: Vec<f64> = bench
        .read("a/history.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["learning_rates"][0].as_f64())
        .collect();
    assert_eq!(rates, [0.1, 0.05, 0.025], "the schedule is in force");
    // All that a run was made with stands in its directory, so its file makes it again.
    let again = bench.faknow(&["train", "a/config.toml", "--out", "c", "--json"]).json();
    assert_eq!(facts(again), facts(first));
    assert_eq!(bench.read("a/config.toml"), bench.read("c/config.toml"));
}

#[test]
fn options_count_more_than_the_file_and_set_more_than_options() {
    let bench = Bench::new();
    bench.write("my.toml", TOML);
    let args =
        ["train", "my.toml", "--out", "a", "--epochs", "2", "--seed", "8", "--test", "valid.csv", "--json"];
    let summary = bench.faknow(&args).json();
    assert_eq!((&summary["epochs"], summary["test"]["n_samples"].as_u64()), (&2.into(), Some(20)));
    assert_eq!(
        (setting(&bench, "a", "seed"), setting(&bench, "a", "epochs")),
        ("seed = 8".into(), "epochs = 2".into())
    );
    let set = ["--set", "trainer.epochs=9", "--set", "trainer.epochs=1", "--set", "optimizer.lr=0.25"];
    bench.faknow(&[&["train", "my.toml", "--out", "b", "--epochs", "2"][..], &set].concat()).ok();
    assert_eq!(
        (setting(&bench, "b", "epochs"), setting(&bench, "b", "lr")),
        ("epochs = 1".into(), "lr = 0.25".into())
    );
    assert_eq!(setting(&bench, "b", "momentum"), "momentum = 0.9", "what is not said stays as in the file");
}

#[test]
fn an_optimizer_and_a_schedule_can_be_set_in_any_order() {
    let bench = Bench::new();
    let set = ["optimizer.momentum=0.5", "optimizer.name=sgd", "schedule.step_size=2", "schedule.name=step"];
    let set: Vec<&str> = set.iter().flat_map(|assignment| ["--set", assignment]).collect();
    bench.train(&[&set[..], &["--out", "run"]].concat());
    assert_eq!(setting(&bench, "run", "momentum"), "momentum = 0.5");
    assert_eq!(setting(&bench, "run", "step_size"), "step_size = 2");
}

#[test]
fn faknows_yaml_trains() {
    let bench = Bench::new();
    bench.write(
        "textcnn.yaml",
        "# FaKnow's keys\ntrain_path: train.csv\nvalidate_path: valid.csv\ntest_path: test.csv\nlanguage: en\n\
         num_epochs: 3\nlr: 0.01\nbatch_size: 16\nmax_len: 20\nfilter_num: 4\nkernel_sizes: [1, 2, 3]\ndropout: 0.1\n\
         activate_func: leaky_relu\nmetrics: [accuracy, auc]\ndevice: cpu\nword_vectors:\nstop_words: ~\n",
    );
    let args = ["train", "textcnn.yaml", "--text", "tweet", "--out", "run", "--json", TINY[0], TINY[1]];
    let summary = bench.faknow(&args).json();
    assert_eq!((&summary["epochs"], summary["ended"].as_str()), (&3.into(), Some("completed")));
    for (key, line) in [
        ("batch_size", "batch_size = 16"),
        ("max_length", "max_length = 20"),
        ("n_filters", "n_filters = 4"),
        ("kernel_sizes", "kernel_sizes = [1, 2, 3]"),
        ("activation", "activation = \"leaky_relu\""),
        ("device", "device = \"cpu\""),
    ] {
        assert_eq!(setting(&bench, "run", key), line);
    }
    let history = bench.read("run/history.jsonl");
    let epoch: Value =
        serde_json::from_str(history.lines().find(|line| line.contains("\"epoch\"")).unwrap()).unwrap();
    assert_eq!(keys(&epoch["valid"]), ["loss", "accuracy", "roc_auc"], "the metrics that were asked for");
}

#[test]
fn any_metric_by_any_of_its_names_chooses_the_best_epoch() {
    let bench = Bench::new();
    for (index, (monitor, name)) in
        [("AUC", "roc_auc"), ("loss", "loss"), ("kappa", "cohen_kappa")].iter().enumerate()
    {
        let out = format!("run{index}");
        let (metrics, monitor) = ("trainer.metrics=['f1']", format!("trainer.monitor={monitor}"));
        bench.train(&["--set", metrics, "--set", &monitor, "--out", &out]);
        let history = bench.read(&format!("{out}/history.jsonl"));
        assert!(history.contains(&format!("\"monitor\":\"{name}\"")), "{history}");
    }
}
