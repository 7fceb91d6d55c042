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

use crate::resume_cases::{Case, Effect, GENERAL, SCHEDULES, TRAINING, TREES, UPDATES};
use crate::support::{column, posts};

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

/// Returns every file below a directory but the lock, which names the process that held it last.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if !path.ends_with(".lock") {
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
        write("other.csv", rows(&all[20..], |label| label));
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
        config.data.train = Some(dir.path().join("train.csv").into());
        config.data.valid = Some(dir.path().join("valid.csv").into());
        config.data.test = Some(dir.path().join("test.csv").into());
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
        use Effect::{Config as ConfigOnly, File, History, Unfit, Weights};
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
