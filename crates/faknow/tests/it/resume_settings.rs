//! Every setting, changed when a run is resumed: it takes effect, or it is refused by name and nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use faknow::data::synth::{CascadeOptions, write_td_rvnn};
use faknow::models::Registry;
use faknow::settings::reference;
use faknow::train::{ResumeOptions, RunContext};
use faknow::trainer::{ChangeKind, ResumePolicy, RunDir};
use faknow::{Config, resume, train};
use tempfile::TempDir;

use crate::support::{column, posts};

/// How an accepted change can be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    /// The weights after the second epoch differ from those without the change.
    Weights,
    /// The results of validation or the number of epochs differ.
    History,
    /// This file of the run differs or is new.
    File(&'static str),
    /// Nothing but `config.toml`: a resource, a path, or a rule that does not apply to this short run.
    Config,
    /// The value is refused, even if it is allowed: it does not fit the data or the weights. The error has this text.
    Unfit(&'static str),
}
use Effect::{Config as ConfigOnly, File, History, Unfit, Weights};

/// A setting: key, settings of the run at its start, settings on resume.
type Case = (&'static str, &'static str, &'static str, Effect);

/// Settings are separated by `; `; `DIR` is the directory of the files.
const GENERAL: &[Case] = &[
    ("seed", "", "seed=7", ConfigOnly),
    ("device", "", "device=auto", ConfigOnly),
    ("threads", "threads=0", "threads=1", ConfigOnly),
    ("data.train", "", "data.train=DIR/moved.csv", ConfigOnly),
    ("data.valid", "", "data.valid=DIR/moved-valid.csv", ConfigOnly),
    ("data.test", "", "data.test=DIR/train.csv", File("predictions/test.csv")),
    ("data.text", "", "data.text=body", Weights),
    ("data.label", "", "data.label=flag", Weights),
    ("data.domain", "", "data.domain=topic", File("predictions/test.csv")),
    ("data.classes", "", "data.classes=[\"fake\", \"real\"]", ConfigOnly),
    ("data.values", "", "data.values.fake=[\"hoax\"]; data.train=DIR/hoax.csv", ConfigOnly),
    ("data.format", "", "data.format=csv", ConfigOnly),
    ("data.header", "", "data.header=false", Unfit("no such column `text`")),
    ("data.quotes", "", "data.quotes=false", ConfigOnly),
    ("data.split", NO_FILES, "data.split=[0.5, 0.25, 0.25]", Weights),
    ("data.fold", "data.test=none; data.fold=1 of 3", "data.fold=2 of 3", Weights),
    ("text.language", "", "text.language=zh", ConfigOnly),
    ("text.tokenizer", "", "text.tokenizer=characters", ConfigOnly),
    ("text.lowercase", "", "text.lowercase=false", ConfigOnly),
    ("text.punctuation", "", "text.punctuation=true", ConfigOnly),
    ("text.normalize_urls", "", "text.normalize_urls=false", ConfigOnly),
    ("text.normalize_mentions", "", "text.normalize_mentions=true", ConfigOnly),
    ("text.stop_words", "", "text.stop_words=DIR/stop.txt", ConfigOnly),
    ("text.max_length", "", "text.max_length=5", ConfigOnly),
    ("text.min_count", "", "text.min_count=2", ConfigOnly),
    ("text.max_vocab", "", "text.max_vocab=9", ConfigOnly),
    ("text.vectors", "", "text.vectors=DIR/vectors.txt", ConfigOnly),
    ("text.memory", "", "text.memory=1", ConfigOnly),
    ("text.cache", "", "text.cache=DIR/cache", ConfigOnly),
    ("loader.batch_size", "", "loader.batch_size=6", Weights),
    ("loader.eval_batch_size", "", "loader.eval_batch_size=3", ConfigOnly),
    ("loader.buckets", "", "loader.buckets=2", Weights),
    ("loader.drop_last", "", "loader.drop_last=true", Weights),
    ("loader.balanced", "", "loader.balanced=true", Weights),
    ("loader.workers", "", "loader.workers=1", ConfigOnly),
    ("model.name", "", "model.name=bigcn", ConfigOnly),
    ("model.weights", "", "model.weights=DIR/weights.safetensors", ConfigOnly),
    ("model.embedding_size", "", "model.embedding_size=9", Unfit("`model.embedding_size` was 8, now 9")),
    ("model.n_filters", "", "model.n_filters=5", Unfit("`model.n_filters` was 4, now 5")),
    ("model.kernel_sizes", "", "model.kernel_sizes=[2]", Unfit("`model.kernel_sizes` was")),
    ("model.activation", "", "model.activation=leaky_relu", Weights),
    ("model.dropout", "", "model.dropout=0.1", Weights),
    ("model.freeze_embedding", "", "model.freeze_embedding=true", Weights),
    ("decision.temperature", "", "decision.temperature=false", File("calibration.json")),
    ("decision.threshold", "", "decision.threshold=0.9", File("calibration.json")),
    (
        "decision.precision",
        "decision.threshold=precision",
        "decision.precision=0.4",
        File("calibration.json"),
    ),
];

const NO_FILES: &str = "data.valid=none; data.test=none; data.split=[0.6, 0.2, 0.2]";

const UPDATES: &[Case] = &[
    ("loss.name", "loss={}", "loss.name=focal", Weights),
    ("loss.gamma", "loss.name=focal", "loss.gamma=0.5", Weights),
    ("loss.label_smoothing", "loss={}", "loss.label_smoothing=0.3", Weights),
    ("loss.class_weights", "loss={}", "loss.class_weights=[1.0, 5.0]", Weights),
    ("adversarial.name", FGM, "adversarial={ name = 'pgd', pattern = 'word*', steps = 2 }", Weights),
    ("adversarial.pattern", FGM, "adversarial.pattern=classifier*", Weights),
    ("adversarial.epsilon", FGM, "adversarial.epsilon=5.0", Weights),
    ("adversarial.alpha", PGD, "adversarial.alpha=3.0", Weights),
    ("adversarial.steps", PGD, "adversarial.steps=1", Weights),
    ("optimizer.name", "", "optimizer.name=adamw", Weights),
    ("optimizer.name", "", "optimizer.name=sgd", Weights),
    ("optimizer.lr", "", "optimizer.lr=0.1", Weights),
    ("optimizer.lr", "schedule.name=plateau", "optimizer.lr=0.1", Weights),
    ("optimizer.weight_decay", "", "optimizer.weight_decay=0.5", Weights),
    ("optimizer.betas", "optimizer.name=adamw", "optimizer.betas=[0.5, 0.9]", Weights),
    ("optimizer.amsgrad", "", "optimizer.amsgrad=true", Weights),
    ("optimizer.eps", "", "optimizer.eps=0.1", Weights),
    ("optimizer.momentum", "optimizer.name=sgd", "optimizer.momentum=0.9", Weights),
    ("optimizer.dampening", MOMENTUM, "optimizer.dampening=0.5", Weights),
    ("optimizer.nesterov", MOMENTUM, "optimizer.nesterov=true", Weights),
    ("optimizer.alpha", "optimizer.name=rmsprop", "optimizer.alpha=0.5", Weights),
    ("optimizer.centered", "optimizer.name=rmsprop", "optimizer.centered=true", Weights),
    ("optimizer.lr_decay", "optimizer.name=adagrad", "optimizer.lr_decay=0.5", Weights),
    (
        "optimizer.initial_accumulator_value",
        "optimizer.name=adagrad",
        "optimizer.initial_accumulator_value=0.5",
        ConfigOnly,
    ),
    ("optimizer.groups", "", "optimizer.groups=[{ pattern = 'classifier*', lr = 0.5 }]", Weights),
    ("average.name", EMA, "average={ name = 'swa', start = '1 step', every = '1 step' }", Weights),
    ("average.decay", EMA, "average.decay=0.1", Weights),
    ("average.start", SWA, "average.start=1 step", Weights),
    ("average.every", SWA, "average.every=1 step", Weights),
    ("freeze.pattern", "freeze=[{ pattern = 'word*' }]", "freeze=[{ pattern = 'classifier*' }]", Weights),
    (
        "freeze.until",
        "freeze=[{ pattern = 'word*' }]",
        "freeze=[{ pattern = 'word*', until = '4 steps' }]",
        Weights,
    ),
];

const FGM: &str = "adversarial={ name = 'fgm', pattern = 'word*' }";
const PGD: &str = "adversarial={ name = 'pgd', pattern = 'word*', steps = 2 }";
const MOMENTUM: &str = "optimizer={ name = 'sgd', lr = 0.1, momentum = 0.9 }";
const EMA: &str = "average={ name = 'ema', decay = 0.9 }";
const SWA: &str = "average={ name = 'swa', start = '4 steps', every = '2 steps' }";

const SCHEDULES: &[Case] = &[
    ("schedule.name", "", "schedule={ name = 'exponential', gamma = 0.1 }", Weights),
    (
        "schedule.name",
        "schedule={ name = 'exponential', gamma = 0.1 }",
        "schedule={ name = 'constant' }",
        Weights,
    ),
    ("schedule.name", "schedule.name=warmup_linear", "schedule={ name = 'plateau' }", Weights),
    (
        "schedule.interval",
        "schedule={ name = 'exponential', gamma = 0.5 }",
        "schedule.interval=step",
        Weights,
    ),
    ("schedule.gamma", "schedule={ name = 'exponential', gamma = 0.5 }", "schedule.gamma=0.1", Weights),
    ("schedule.gamma", "schedule={ name = 'step', step_size = 1 }", "schedule.gamma=0.9", Weights),
    ("schedule.step_size", "schedule={ name = 'step', step_size = 1 }", "schedule.step_size=2", Weights),
    (
        "schedule.milestones",
        "schedule={ name = 'multi_step', milestones = [1] }",
        "schedule.milestones=[2]",
        Weights,
    ),
    ("schedule.milestones", SEQUENTIAL, "schedule.milestones=[2]", Weights),
    (
        "schedule.schedules",
        SEQUENTIAL,
        "schedule.schedules=[{ name = 'constant' }, { name = 'constant_factor', factor = 0.5 }]",
        Weights,
    ),
    ("schedule.factor", "schedule.name=constant_factor", "schedule.factor=0.9", Weights),
    ("schedule.factor", PLATEAU, "schedule.factor=0.9", Weights),
    ("schedule.total_iters", "schedule.name=constant_factor", "schedule.total_iters=1", Weights),
    (
        "schedule.total_iters",
        "schedule={ name = 'polynomial', power = 2.0 }",
        "schedule.total_iters=3",
        Weights,
    ),
    ("schedule.power", "schedule={ name = 'polynomial' }", "schedule.power=3.0", Weights),
    ("schedule.start_factor", "schedule.name=linear", "schedule.start_factor=0.9", Weights),
    ("schedule.end_factor", "schedule.name=linear", "schedule.end_factor=0.1", Weights),
    ("schedule.t_max", "schedule.name=cosine", "schedule.t_max=3", Weights),
    ("schedule.eta_min", "schedule.name=cosine", "schedule.eta_min=0.005", Weights),
    ("schedule.t_0", RESTARTS, "schedule.t_0=3", Weights),
    ("schedule.t_mult", RESTARTS, "schedule.t_mult=3", Weights),
    ("schedule.max_lr", "schedule.name=one_cycle", "schedule.max_lr=0.5", Weights),
    ("schedule.total_steps", "schedule.name=one_cycle", "schedule.total_steps=20", Weights),
    ("schedule.total_steps", "schedule.name=warmup_linear", "schedule.total_steps=9", Weights),
    ("schedule.pct_start", "schedule.name=one_cycle", "schedule.pct_start=0.9", Weights),
    ("schedule.anneal_strategy", "schedule.name=one_cycle", "schedule.anneal_strategy=linear", Weights),
    ("schedule.div_factor", ONE_CYCLE, "schedule.div_factor=3.0", Weights),
    ("schedule.final_div_factor", "schedule.name=one_cycle", "schedule.final_div_factor=2.0", Weights),
    ("schedule.three_phase", "schedule.name=one_cycle", "schedule.three_phase=true", Weights),
    ("schedule.warmup_steps", "schedule.name=warmup_linear", "schedule.warmup_steps=8", Weights),
    ("schedule.warmup_ratio", "schedule.name=warmup_cosine", "schedule.warmup_ratio=0.7", Weights),
    ("schedule.num_cycles", "schedule.name=warmup_cosine", "schedule.num_cycles=1.5", Weights),
    ("schedule.mode", EAGER_PLATEAU, "schedule.mode=max", Weights),
    ("schedule.patience", PLATEAU, "schedule.patience=5", Weights),
    ("schedule.threshold", EAGER_PLATEAU, "schedule.threshold=100.0", Weights),
    ("schedule.threshold_mode", EAGER_PLATEAU, "schedule.threshold_mode=abs", ConfigOnly),
    ("schedule.cooldown", PLATEAU, "schedule.cooldown=5", Weights),
    ("schedule.min_lr", PLATEAU, "schedule.min_lr=0.005", Weights),
    ("schedule.eps", PLATEAU, "schedule.eps=1.0", Weights),
];

const SEQUENTIAL: &str = "schedule={ name = 'sequential', milestones = [1], schedules = [{ name = 'exponential', gamma = 0.1 }, { name = 'constant' }] }";
const RESTARTS: &str = "schedule={ name = 'cosine_warm_restarts', t_0 = 2, interval = 'step' }";
/// The learning rate of the second epoch begins with the rise.
const ONE_CYCLE: &str = "schedule={ name = 'one_cycle', pct_start = 0.9 }";
/// Values that do not improve by 1000: a reduction after every second validation.
const PLATEAU: &str = "trainer.validate_every=1 step; schedule={ name = 'plateau', patience = 0, threshold = 1000.0, threshold_mode = 'abs' }";
const EAGER_PLATEAU: &str = "trainer.validate_every=1 step; trainer.monitor=loss; schedule={ name = 'plateau', patience = 0, threshold = 0.0 }";

const TRAINING: &[Case] = &[
    ("trainer.epochs", "", "trainer.epochs=3", History),
    ("trainer.max_steps", "", "trainer.max_steps=4", History),
    ("trainer.max_time", "", "trainer.max_time=0.001 seconds", History),
    ("trainer.accumulate", "", "trainer.accumulate=2", Weights),
    ("trainer.clip_norm", "", "trainer.clip_norm=0.001", Weights),
    ("trainer.clip_value", "", "trainer.clip_value=0.001", Weights),
    ("trainer.on_non_finite", "", "trainer.on_non_finite=skip", ConfigOnly),
    ("trainer.validate_every", "", "trainer.validate_every=1 step", History),
    ("trainer.sanity_batches", "", "trainer.sanity_batches=0", ConfigOnly),
    ("trainer.monitor", "", "trainer.monitor=loss", File("summary.json")),
    ("trainer.restore_best", "", "trainer.restore_best=false", ConfigOnly),
    ("trainer.metrics", "", "trainer.metrics=[\"accuracy\", \"roc_auc\"]", History),
    ("trainer.train_metrics", "", "trainer.train_metrics=[\"f1\"]", History),
    ("trainer.limit_batches", "", "trainer.limit_batches=2", Weights),
    ("trainer.overfit_batches", "", "trainer.overfit_batches=2", Weights),
    ("trainer.histograms_every", "", "trainer.histograms_every=1", ConfigOnly),
    ("trainer.fast_dev_run", "", "trainer.fast_dev_run=true", ConfigOnly),
    ("early_stopping.enabled", STOPS, "early_stopping.enabled=false", History),
    ("early_stopping.patience", STOPS, "early_stopping.patience=9", History),
    (
        "early_stopping.min_delta",
        "early_stopping.patience=1",
        "early_stopping.min_delta=1000.0; trainer.epochs=5",
        ConfigOnly,
    ),
    ("early_stopping.stopping_threshold", "", "early_stopping.stopping_threshold=0.0", History),
    ("early_stopping.divergence_threshold", "", "early_stopping.divergence_threshold=1.5", History),
    ("early_stopping.start_from_epoch", STOPS, "early_stopping.start_from_epoch=2", History),
    (
        "early_stopping.monitor",
        "early_stopping.stopping_threshold=0.0",
        "early_stopping.monitor=loss",
        History,
    ),
    ("checkpoint.every", "", "checkpoint.every=1 step; checkpoint.keep=1", File("checkpoints/epoch-0002")),
    ("checkpoint.keep", "", "checkpoint.keep=2", File("checkpoints/epoch-0002")),
    ("checkpoint.best", "", "checkpoint.best=2", File("checkpoints/epoch-0001")),
    ("checkpoint.monitors", "", "checkpoint.monitors=[\"loss\"]", File("checkpoints/best-loss")),
    ("checkpoint.background", "", "checkpoint.background=true", ConfigOnly),
];

/// Stops after the first two validations within the first epoch.
const STOPS: &str =
    "trainer.validate_every=1 step; early_stopping.patience=1; early_stopping.min_delta=1000.0";

const TREES: &[Case] = &[
    ("data.trees", "", "data.trees=DIR/moved-trees.txt", ConfigOnly),
    ("data.labels", "", "data.labels=DIR/moved-labels.txt", ConfigOnly),
    ("data.train_ids", "", "data.train_ids=DIR/fewer-ids.txt", Weights),
    ("data.valid_ids", "data.train_ids=DIR/fewer-ids.txt", "data.valid_ids=DIR/valid-ids.txt", Weights),
    ("data.test_ids", "", "data.test_ids=DIR/fewer-ids.txt", Unfit("different ids in all id files")),
    ("data.upfd", "", "data.upfd=DIR", Unfit("data.trees")),
    ("data.feature", "", "data.feature=content", ConfigOnly),
    ("data.weighting", "", "data.weighting=none", ConfigOnly),
    ("data.split_by_event", "data.train_ids=none; data.test_ids=none", "data.split_by_event=true", Weights),
];

/// A directory of files, and runs of one epoch.
struct Bench {
    dir: TempDir,
    config: Config,
    /// The runs by the settings of their start, with the number of epochs, and the content after two epochs.
    runs: BTreeMap<&'static str, (String, Content)>,
}

/// The observable content of a run.
#[derive(Debug, PartialEq)]
struct Content {
    weights: Vec<u8>,
    history: String,
    files: BTreeMap<String, Vec<u8>>,
}

fn read_content(run: &Path) -> Content {
    let weights = fs::read(run.join("checkpoints/last/model.safetensors")).unwrap();
    // Without the columns of durations.
    let names = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let names: Vec<&str> =
        names.lines().next().unwrap().split(',').filter(|name| !name.contains("seconds")).collect();
    let columns = names.iter().map(|name| format!("{name} {:?}\n", column(&run.join("metrics.csv"), name)));
    let lines = fs::read_to_string(run.join("history.jsonl")).unwrap();
    let n_validations = lines.lines().filter(|line| line.contains("\"type\":\"validation\"")).count();
    let history = format!("{}{n_validations} within epochs", columns.collect::<String>());
    Content { weights, history, files: files(run) }
}

/// Returns every file below a directory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    for (name, content) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Bench {
    fn new(config: Config, dir: TempDir) -> Self {
        Self { dir, config, runs: BTreeMap::new() }
    }

    /// Creates files of posts with two text columns, two label columns and a topic.
    fn posts() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rows = |posts: &[(String, &'static str)], label_of: fn(&'static str) -> &'static str| {
            let row = |(index, (text, label)): (usize, &(String, &'static str))| {
                let flag = if index % 3 == 0 { "real" } else { "fake" };
                format!("{text},{},storm {index},{flag},topic{}\n", label_of(label), index % 2)
            };
            let rows: String = posts.iter().enumerate().map(row).collect();
            format!("text,label,body,flag,topic\n{rows}")
        };
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        let all = posts(46);
        let (train, valid, test) = (&all[..26], &all[26..36], &all[36..]);
        write("train.csv", rows(train, |label| label));
        write("moved.csv", rows(train, |label| label));
        write("hoax.csv", rows(train, |label| if label == "fake" { "hoax" } else { label }));
        write("valid.csv", rows(valid, |label| label));
        write("moved-valid.csv", rows(valid, |label| label));
        write("test.csv", rows(test, |label| label));
        write("stop.txt", "rain\n".to_owned());
        write("vectors.txt", "rain 1 2 3 4 5 6 7 8\n".to_owned());
        let settings = [
            "device=cpu",
            "threads=1",
            "model.embedding_size=8",
            "model.n_filters=4",
            "trainer.epochs=1",
            "loader.batch_size=8",
            "loader.workers=0",
            "optimizer.lr=0.01",
            "data.text=text",
            "data.label=label",
            "data.classes=[\"real\", \"fake\"]",
        ];
        let mut config = Config::default().set_all(&settings).unwrap();
        config.data.train = Some(dir.path().join("train.csv"));
        config.data.valid = Some(dir.path().join("valid.csv"));
        config.data.test = Some(dir.path().join("test.csv"));
        Self::new(config, dir)
    }

    fn trees() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options =
            CascadeOptions { n_trees: 60, mean_size: 4.0, n_words: 100, ..CascadeOptions::default() };
        let written = write_td_rvnn(dir.path(), &options).unwrap();
        let copy_lines = |from: &Path, to: &str, skip: usize, n: usize| {
            let text = fs::read_to_string(from).unwrap();
            let lines: Vec<&str> = text.lines().skip(skip).take(n).collect();
            fs::write(dir.path().join(to), lines.join("\n") + "\n").unwrap();
        };
        copy_lines(&written.trees, "moved-trees.txt", 0, usize::MAX);
        copy_lines(&written.labels, "moved-labels.txt", 0, usize::MAX);
        copy_lines(&written.train_ids, "fewer-ids.txt", 0, 30);
        copy_lines(&written.train_ids, "valid-ids.txt", 30, 4);
        let settings =
            ["device=cpu", "threads=1", "trainer.epochs=1", "loader.batch_size=16", "model.hidden_size=4"];
        let mut config = Config::for_model("bigcn").unwrap().set_all(&settings).unwrap();
        config.data.trees = Some(written.trees);
        config.data.labels = Some(written.labels);
        config.data.train_ids = Some(written.train_ids);
        config.data.test_ids = Some(written.test_ids);
        config.data.classes = vec!["true".into(), "false".into()];
        Self::new(config, dir)
    }

    /// Applies settings; `none` removes one.
    fn with(&self, config: &Config, settings: &str) -> faknow::Result<Config> {
        let mut config = config.clone();
        for setting in self.list(settings) {
            match setting.split_once("=none") {
                Some(("data.valid", "")) => config.data.valid = None,
                Some(("data.test", "")) => config.data.test = None,
                Some(("data.train_ids", "")) => config.data.train_ids = None,
                Some(("data.test_ids", "")) => config.data.test_ids = None,
                _ => config = config.set(&setting)?,
            }
        }
        Ok(config)
    }

    fn list(&self, settings: &str) -> Vec<String> {
        let dir = self.dir.path().to_str().unwrap();
        let settings = settings.split("; ").filter(|it| !it.is_empty());
        settings.map(|it| it.replace("DIR", dir)).collect()
    }

    fn resume(&self, run: &str, set: &str, allow: &[ChangeKind]) -> faknow::Result<faknow::train::Outcome> {
        let epochs = if set.contains("trainer.epochs") { "" } else { "trainer.epochs=2" };
        let set = [self.list(epochs), self.list(set)].concat();
        let options = ResumeOptions { set, allow: allow.to_vec(), from: None };
        resume(&self.dir.path().join(run), &options, RunContext::default())
    }

    /// Returns the name of a run of one epoch with these settings, and its content after two epochs.
    fn started(&mut self, settings: &'static str) -> &(String, Content) {
        if !self.runs.contains_key(settings) {
            let name = format!("run-{}", self.runs.len());
            let path = self.dir.path().join(&name);
            let config = self.with(&self.config, settings).unwrap();
            train(&config, || RunDir::create(&path), RunContext::default())
                .unwrap_or_else(|error| panic!("{settings}: {error}"));
            copy(&path, &self.dir.path().join("unchanged"));
            self.resume("unchanged", "", &[]).unwrap_or_else(|error| panic!("{settings}: {error}"));
            let unchanged = read_content(&self.dir.path().join("unchanged"));
            fs::remove_dir_all(self.dir.path().join("unchanged")).unwrap();
            self.runs.insert(settings, (name, unchanged));
        }
        &self.runs[settings]
    }

    fn check(&mut self, case: Case, policy: ResumePolicy) {
        const ALL: [ChangeKind; 3] = [ChangeKind::Data, ChangeKind::Model, ChangeKind::Config];
        let (key, start, change, effect) = case;
        let label = format!("{key}: {start} -> {change}");
        let name = self.started(start).0.clone();
        let started = self.dir.path().join(name);
        let run = self.dir.path().join("resumed");
        copy(&started, &run);
        let before = files(&run);
        let refused = |allow: &[ChangeKind], expected: &[&str]| {
            let error = self.resume("resumed", change, allow).err();
            let error = error.unwrap_or_else(|| panic!("{label}: accepted")).to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{label}: {error}");
            let after = files(&run);
            let names = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
            let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
            let changed: Vec<&String> = changed.collect();
            assert!(changed.is_empty(), "{label}: a refused change has changed {changed:?}");
        };
        let name = format!("`{}", key.strip_prefix("freeze.").map_or(key, |_| "freeze"));
        let allow = match policy {
            ResumePolicy::Refused(remedy) => {
                refused(&ALL, &[&name, remedy]);
                fs::remove_dir_all(&run).unwrap();
                return;
            }
            ResumePolicy::Allow(kind) => {
                // A change of the data is also seen in the samples.
                refused(&[], &[&format!("--allow {kind}")]);
                if effect != Unfit("data.trees") {
                    refused(&[], &[&name]);
                }
                vec![kind]
            }
            ResumePolicy::Free => Vec::new(),
        };
        if let Unfit(text) = effect {
            refused(&allow, &[text]);
            fs::remove_dir_all(&run).unwrap();
            return;
        }
        self.resume("resumed", change, &allow).unwrap_or_else(|error| panic!("{label}: {error}"));
        let config = Config::from_file(&run.join("config.toml")).unwrap();
        let expected = self.with(&Config::from_file(&started.join("config.toml")).unwrap(), change).unwrap();
        let epochs = config.trainer.epochs.to_string();
        assert_eq!(config, expected.set(&format!("trainer.epochs={epochs}")).unwrap(), "{label}");
        let (content, unchanged) = (read_content(&run), &self.runs[start].1);
        let is_visible = match effect {
            Weights => content.weights != unchanged.weights,
            History => content.history != unchanged.history,
            File(name) => {
                let changed = |(path, file): (&String, &Vec<u8>)| {
                    path.starts_with(name) && unchanged.files.get(path) != Some(file)
                };
                content.files.iter().any(changed)
            }
            ConfigOnly | Unfit(_) => true,
        };
        assert!(is_visible, "{label}: no effect ({effect:?})");
        fs::remove_dir_all(&run).unwrap();
    }
}

/// Checks all cases, and reports all that fail.
fn check_all(mut bench: Bench, cases: &[Case]) {
    let tables = reference(&Registry::builtin());
    let mut failures = Vec::new();
    for case in cases {
        let mut settings = tables.iter().flat_map(|table| &table.settings);
        let policy = settings.find(|setting| setting.key == case.0).unwrap().on_resume;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| bench.check(*case, policy))) {
            failures.push(panic.downcast_ref::<String>().cloned().unwrap_or_default());
            let _ = fs::remove_dir_all(bench.dir.path().join("resumed"));
            let _ = fs::remove_dir_all(bench.dir.path().join("unchanged"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn general_settings_take_effect_or_are_refused() {
    check_all(Bench::posts(), GENERAL);
}

#[test]
fn settings_of_updates_take_effect_or_are_refused() {
    check_all(Bench::posts(), UPDATES);
}

#[test]
fn settings_of_schedules_take_effect() {
    check_all(Bench::posts(), SCHEDULES);
}

#[test]
fn settings_of_the_loop_take_effect_or_are_refused() {
    check_all(Bench::posts(), TRAINING);
}

#[test]
fn settings_of_trees_take_effect_or_are_refused() {
    check_all(Bench::trees(), TREES);
}

#[test]
fn every_setting_has_a_case() {
    let cases = [GENERAL, UPDATES, SCHEDULES, TRAINING, TREES].concat();
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.0).collect();
    for setting in reference(&Registry::builtin()).iter().flat_map(|table| &table.settings) {
        // Hyperparameters of other models are settings of the same kind.
        let is_of_other_model = setting.key.starts_with("model.")
            && !setting.variants.is_empty()
            && !setting.variants.contains(&"textcnn");
        if is_of_other_model {
            assert_eq!(setting.on_resume, ResumePolicy::Allow(ChangeKind::Model), "{}", setting.key);
        } else {
            assert!(covered.contains(setting.key.as_str()), "{} has no case", setting.key);
        }
    }
}
