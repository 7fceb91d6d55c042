//! Config files: lossless serialization, unknown keys.

use std::io::ErrorKind;

use faknow::Config;

use crate::support::{Bench, posts};

/// Every setting, with a value that differs from its default.
const EVERYTHING: &str = r#"
seed = 7
device = "cpu"
threads = 3

[data]
train = "a.csv"
valid = "b.csv"
test = "c.csv"
text = "tweet"
label = "verdict"
trees = "trees.txt"
labels = "labels.txt"
train_ids = "train.txt"
valid_ids = "valid.txt"
test_ids = "test.txt"
upfd = "raw"
feature = "bert"
split_by_event = true
domain = "topic"
classes = ["true", "false", "mixed"]
values = { false = ["0", "hoax"], mixed = ["2"] }
format = "tsv"
encoding = "windows-1252"
delimiter = ";"
drop_classes = ["satire"]
skip_broken = "1%"
header = false
quotes = false
split = [0.6, 0.2, 0.2]

[text]
language = "zh"
tokenizer = "characters"
lowercase = false
punctuation = true
normalize_urls = false
normalize_mentions = true
normalize_unicode = false
stop_words = "stop.txt"
max_length = 100
min_count = 2
max_vocab = 5000
vectors = "words.vec"
memory = 64
cache = "tokens"

[loader]
batch_size = 8
max_tokens = 0
eval_batch_size = 16
buckets = 0
drop_last = true
balanced = true
workers = 4

[model]
name = "textcnn"
embedding_size = 50
kernel_sizes = [2, 3]
freeze_embedding = true

[loss]
name = "focal"
gamma = 1.5
label_smoothing = 0.1
class_weights = [1.0, 2.0, 3.0]

[adversarial]
name = "pgd"
pattern = "*_embedding.weight"
epsilon = 2.0
alpha = 0.5
steps = 4

[optimizer]
name = "rmsprop"
lr = 0.1
alpha = 0.9
eps = 1e-6
weight_decay = 0.01
momentum = 0.5
centered = true

[schedule]
name = "sequential"
milestones = [3]

[[schedule.schedules]]
name = "linear"
start_factor = 0.1
end_factor = 1.0
total_iters = 3

[[schedule.schedules]]
name = "cosine"
t_max = 10
eta_min = 0.001

[[optimizer.groups]]
pattern = "word_embedding.*"
lr = 0.01
weight_decay = 0.0

[average]
name = "swa"
start = "2 epochs"
every = "50 steps"

[checkpoint]
every = "5 steps"
keep = 2
best = 3
monitors = ["loss", "f1"]
background = true

[trainer]
epochs = 9
max_steps = 100
max_time = "7200 seconds"
accumulate = 2
clip_norm = 1.5
on_non_finite = "roll_back"
validate_every = "0.5 epochs"
sanity_batches = 0
monitor = "f1_macro"
restore_best = false
metrics = ["f1_macro", "roc_auc"]
train_metrics = ["f1"]
limit_batches = 7
overfit_batches = 3
fast_dev_run = true

[early_stopping]
enabled = false
patience = 2
min_delta = 0.01
stopping_threshold = 0.1
divergence_threshold = 2.5
start_from_epoch = 3
monitor = "loss"

[[freeze]]
pattern = "word_embedding.*"
until = "2 epochs"

[[freeze]]
pattern = "*.bias"
"#;

#[test]
fn config_with_every_setting_survives_serialization() {
    let read = |text: &str| Config::from_table(text.parse().unwrap()).unwrap();
    let config = read(EVERYTHING);
    assert_eq!(read(&config.to_table().unwrap().to_string()), config);
    assert_eq!(read(&toml::to_string(&config).unwrap()), config);
    assert_eq!(serde_json::from_value::<Config>(serde_json::to_value(&config).unwrap()).unwrap(), config);
    // All keys are written with the values that were read.
    let table = EVERYTHING.parse::<toml::Table>().unwrap();
    let written = config.to_table().unwrap();
    for (name, value) in &table {
        assert_eq!(written.get(name), Some(value), "{name}");
    }
}

#[test]
fn rejects_unknown_keys_in_every_table() {
    for table in [
        "",
        "data.",
        "text.",
        "loader.",
        "model.",
        "loss.",
        "optimizer.",
        "trainer.",
        "early_stopping.",
        "checkpoint.",
    ] {
        let key = format!("{table}no_such_key");
        let bench = Bench::new(&posts(20));
        let error = match bench.config.set(&format!("{key}=1")) {
            Ok(config) => config.validate().unwrap_err(),
            Err(error) => error,
        };
        assert!(error.is_input());
        let error = error.to_string();
        assert!(
            error.starts_with(&format!("`{key}`: unknown field")) && error.contains("expected one of"),
            "{error}"
        );
    }
}

#[test]
fn run_directory_has_the_config_of_the_run() {
    let bench = Bench::new(&posts(40));
    let config = bench.config.set_all(&["schedule.name=cosine", "data.values.fake=['hoax']"]).unwrap();
    bench.train("run", &["schedule.name=cosine", "data.values.fake=['hoax']"]);
    let mut saved = Config::from_file(&bench.path("run/config.toml")).unwrap();
    let hyperparameters = std::mem::take(&mut saved.model.hyperparameters);
    assert_eq!(hyperparameters["n_filters"].as_integer(), Some(4));
    assert_eq!(hyperparameters["dropout"].as_float(), Some(0.5), "defaults are saved too");
    saved.model.hyperparameters = config.model.hyperparameters.clone();
    assert_eq!(saved, config.recognize().unwrap().config, "what is recognized is saved too");
}

#[test]
fn io_errors_of_paths_are_input_errors() {
    let io = |kind: ErrorKind| faknow::Error::io("x", kind.into());
    for kind in
        [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::IsADirectory, ErrorKind::InvalidData]
    {
        assert!(io(kind).is_input(), "{kind}");
    }
    for kind in [ErrorKind::StorageFull, ErrorKind::Interrupted, ErrorKind::Other] {
        assert!(!io(kind).is_input(), "{kind}");
    }
}
