//! The run directory: its content after a fit, invalid paths, exclusive use by one run.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use faknow_callbacks::{
    Callback, Flow, LevelFilter, ProgressWriter, Run, SavedCheckpoint, console_subscriber, on_epoch_end,
};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{Error, OptimizerConfig, RunDir, WEIGHTS_FILE};
use serde_json::{Map, Value, json};

use crate::isolated::is_isolated;
use crate::toy::{self, EpochWeights, Fault, Toy, train_data, trainer_with_scores, valid_data, weights};

/// Returns the relative paths of all files below a directory; event files without their timestamp.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            paths.extend(files(&entry.path()).into_iter().map(|path| format!("{name}/{path}")));
        } else {
            paths.insert(if name.starts_with("events.out.tfevents.") { "events".into() } else { name });
        }
    }
    paths
}

fn text(dir: &RunDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect(name)
}

fn lines(dir: &RunDir) -> Vec<Value> {
    text(dir, "history.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn defect_41_a_run_leaves_a_full_record() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let epochs = EpochWeights::default();
    let hyperparameters: Map<String, Value> = [("model.name".to_owned(), json!("toy"))].into_iter().collect();
    let builder =
        trainer_with_scores(&[0.5, 0.7, 0.6]).run_dir(dir.clone()).hyperparameters(hyperparameters).seed(5);
    let mut trainer = builder.callback(epochs.clone()).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(report.run_dir.as_deref(), Some(dir.path()));
    let expected = [
        ".lock",
        "checkpoints/best/manifest.json",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/state.json",
        "checkpoints/last/manifest.json",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/state.json",
        "checkpoints/previous/manifest.json",
        "checkpoints/previous/model.safetensors",
        "checkpoints/previous/state.json",
        "history.jsonl",
        "metrics.csv",
        "run.log",
        "tensorboard/events",
    ];
    assert_eq!(files(dir.path()), expected.map(str::to_owned).into());

    let store = CheckpointStore::new(dir.path());
    let check = |name: &str, epoch: usize, value: f64, stop_reason: Option<&str>| {
        assert_eq!(toy::load_weights(&store.path(name).join(WEIGHTS_FILE)), epochs.after(epoch));
        let info = store.verify(name).unwrap();
        assert_eq!(
            (info.epoch, info.batch, info.step, info.samples),
            (epoch, 0, 3 * epoch as u64, 7 * epoch as u64)
        );
        assert_eq!(
            (info.monitor.as_deref(), info.value, info.stop_reason.as_deref()),
            (Some("score"), Some(value), stop_reason)
        );
    };
    check("best", 2, 0.7, None);
    check("last", 3, 0.6, Some("completed"));
    check("previous", 2, 0.7, None);

    let log = text(&dir, "run.log");
    let settings = [
        "optimizer.name = \"sgd\"",
        "optimizer.lr = 0.1",
        "trainer.epochs = 3",
        "seed = 5",
        "model.name = \"toy\"",
    ];
    for part in
        [&settings[..], &["epoch=2/3", "best epoch 2: score=0.7000", "valid loss=", "lr=0.1", "grad_norm="]]
            .concat()
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    let csv = text(&dir, "metrics.csv");
    let mut rows = csv.lines();
    assert_eq!(
        rows.next(),
        Some("epoch,step,train/loss,train/accuracy,valid/loss,valid/score,lr,grad_norm,seconds")
    );
    assert_eq!(rows.filter(|row| row.contains(",0.1,")).count(), 3, "{csv}");
    let lines = lines(&dir);
    let epochs = of_type(&lines, "epoch");
    assert_eq!(epochs.len(), 3);
    for (line, record) in epochs.iter().zip(&report.history.epochs) {
        assert_eq!(line["train"]["loss"].as_f64(), record.train.value("loss"));
        assert_eq!(line["valid"]["score"].as_f64(), record.valid.as_ref().unwrap().value("score"));
    }
    assert_eq!(of_type(&lines, "end")[0]["reason"], "completed");
}

#[test]
fn defect_30_results_of_a_test_are_logged_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let mut trainer = toy::trainer().run_dir(dir.clone()).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let test = trainer.test(&valid_data()).unwrap();
    let loss = test.scores.value("loss").unwrap();
    assert!(text(&dir, "run.log").contains(&format!("test loss={loss:.4} accuracy=")));
    let csv = text(&dir, "test_metrics.csv");
    assert!(csv.starts_with("epoch,step,test/loss,test/accuracy,"), "{csv}");
    assert!(csv.contains(&format!(",{loss},")), "{csv}");
    assert_eq!(of_type(&lines(&dir), "test")[0]["scores"]["loss"], loss);
    let events = fs::read_dir(dir.path().join("tensorboard")).unwrap().next().unwrap().unwrap();
    let events = fs::read(events.path()).unwrap();
    for tag in ["Train/loss", "Validation/accuracy", "Test/accuracy"] {
        assert!(events.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
    }
}

#[test]
fn defect_24_failed_run_keeps_its_results() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let epochs = EpochWeights::default();
    // The eighth training batch is the second of epoch 3.
    let builder =
        toy::trainer_for(Toy::with_training_fault(8, Fault::Panic)).max_epochs(9).run_dir(dir.clone());
    let mut trainer = builder.monitor("loss").callback(epochs.clone()).build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err().to_string();

    let saved = |name: &str| toy::load_weights(&dir.path().join("checkpoints").join(name).join(WEIGHTS_FILE));
    assert_eq!(saved("best"), epochs.after(2));
    assert_eq!(saved("last"), weights(&trainer.run().vars));
    assert_ne!(saved("last"), saved("best"), "one batch of epoch 3 was completed");
    let info = CheckpointStore::new(dir.path()).verify("last").unwrap();
    assert_eq!((info.epoch, info.batch, info.step, info.stop_reason), (3, 1, 7, None));
    let lines = lines(&dir);
    assert_eq!(of_type(&lines, "epoch").len(), 2);
    assert_eq!(of_type(&lines, "error")[0]["message"], error);
    assert_eq!(text(&dir, "metrics.csv").lines().count(), 1 + 2);
    let log = text(&dir, "run.log");
    assert!(log.trim_end().ends_with(&format!("ERROR {error}")), "{log}");
}

#[test]
fn defect_23_weights_are_written_atomically_and_loaded_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let best = dir.path().join("checkpoints/best");
    let n_checks = Arc::new(AtomicUsize::new(0));
    let check_best = CheckBest { dir: best.clone(), n_checks: Arc::clone(&n_checks) };
    let mut trainer =
        trainer_with_scores(&[0.1, 0.2, 0.3]).run_dir(dir.clone()).callback(check_best).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(n_checks.load(Ordering::SeqCst), 3);
    // f64 weights can be loaded into an f32 model, whose kind does not change.
    let (_model, mut vars) = Toy::new();
    vars.float();
    faknow_model::weights::load(&vars, &best.join(WEIGHTS_FILE)).unwrap();
    assert!(vars.variables().values().all(|t| t.kind() == tch::Kind::Float));
    for (name, values) in weights(&vars) {
        let exact = &weights(&trainer.run().vars)[&name];
        assert!(values.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
    }
}

/// A callback that checks that `best` can be loaded whenever it is written, and has no temporary files.
struct CheckBest {
    dir: PathBuf,
    n_checks: Arc<AtomicUsize>,
}

impl Callback for CheckBest {
    fn on_checkpoint(&mut self, run: &mut Run, saved: &SavedCheckpoint) -> faknow_callbacks::HookResult {
        if saved.name == "best" {
            assert_eq!(saved.path, self.dir);
            assert_eq!(toy::load_weights(&self.dir.join(WEIGHTS_FILE)), weights(&run.vars));
            let expected = ["manifest.json", "state.json", WEIGHTS_FILE];
            assert_eq!(files(&self.dir), expected.map(str::to_owned).into());
            self.n_checks.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn defect_22_a_bare_name_is_a_path() {
    let dir = tempfile::tempdir().unwrap();
    if is_isolated("run_dir::defect_22_a_bare_name_is_a_path", dir.path()) {
        let dir = RunDir::create("run").unwrap();
        let mut trainer = toy::trainer().run_dir(dir).build().unwrap();
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        faknow_model::weights::save(&trainer.run().vars, Path::new("m.safetensors")).unwrap();
        return;
    }
    let files = files(dir.path());
    for file in ["m.safetensors", "run/checkpoints/best/model.safetensors", "run/run.log"] {
        assert!(files.contains(file), "{files:?}");
    }
}

#[test]
fn a_run_dir_holds_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let mut trainer = trainer_with_scores(&[0.5, 0.4]).run_dir(dir.clone()).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let root = dir.path().to_path_buf();
    let read = |name: &str| fs::read(root.join(name)).unwrap();
    let unchanged = [
        "checkpoints/best/model.safetensors",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/state.json",
        "metrics.csv",
    ];
    let before = unchanged.map(read);
    drop(trainer);
    let path = dir.path().to_path_buf();
    drop(dir);
    let dir = RunDir::open(&path).unwrap();
    let error = RunDir::open(&path).unwrap_err().to_string();
    assert!(error.contains(&format!("process {} (", std::process::id())), "{error}");
    assert!(error.ends_with(" is using it; wait for it, or stop it"), "{error}");
    let mut trainer = trainer_with_scores(&[0.5, 0.4]).run_dir(dir.clone()).build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    assert!(matches!(error, Error::RunDir { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("it already contains a run; resume it, or choose another directory"),
        "{error}"
    );
    assert_eq!(unchanged.map(read), before);

    let error = RunDir::create(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("it already contains a run; resume it, or choose another directory"), "{error}");
}

#[test]
fn create_rejects_paths_that_are_not_directories() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("run"), file.join("a/b")] {
        let error = RunDir::create(&path).unwrap_err();
        assert!(matches!(error, Error::RunDir { .. }), "{error:?}");
        assert!(
            error.to_string().starts_with(&format!("run directory {}: cannot", path.display())),
            "{error}"
        );
        assert!(RunDir::unique(&path, "toy").is_err());
    }
}

#[cfg(unix)]
#[test]
fn create_rejects_dirs_without_write_permission() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        crate::skip::check("permissions").unwrap();
        println!("SKIPPED: this user (root?) may write into directories without permission");
        return;
    }
    for path in [locked.clone(), locked.join("run")] {
        let error = RunDir::create(&path).unwrap_err().to_string();
        assert!(error.contains("cannot") && error.to_lowercase().contains("permission"), "{error}");
    }
}

#[test]
fn removed_run_dir_ends_run_with_typed_error() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let path = dir.path().to_path_buf();
    let remove_dir = on_epoch_end(move |_, _| {
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "not a directory").unwrap();
        Ok(Flow::Continue)
    });
    let mut trainer = trainer_with_scores(&[0.1, 0.2]).run_dir(dir).callback(remove_dir).build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error:?}");
}

#[test]
fn concurrent_trainers_write_only_to_their_own_dirs() {
    let dir = tempfile::tempdir().unwrap();
    let subscriber = console_subscriber(LevelFilter::ERROR, &ProgressWriter::plain(std::io::sink()));
    let dispatch = tracing::Dispatch::new(subscriber);
    let barrier = Arc::new(Barrier::new(2));
    let rates = [("apple", 0.25), ("berry", 0.5)];
    let dirs = std::thread::scope(|scope| {
        let threads = rates.map(|(name, rate)| {
            let dir = RunDir::create(dir.path().join(name)).unwrap();
            let (dispatch, barrier) = (dispatch.clone(), Arc::clone(&barrier));
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    // Both trainers are in the same epoch at the same time.
                    let log = on_epoch_end(move |_, _| {
                        barrier.wait();
                        tracing::warn!("message of {name}");
                        Ok(Flow::Continue)
                    });
                    let builder = trainer_with_scores(&[0.1, 0.3, 0.2]).optimizer(OptimizerConfig::sgd(rate));
                    let mut trainer = builder.run_dir(dir.clone()).callback(log).build().unwrap();
                    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
                    dir
                })
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(files(dirs[0].path()), files(dirs[1].path()));
    for (i, (name, rate)) in rates.iter().enumerate() {
        let (other_name, other_rate) = rates[1 - i];
        let log = text(&dirs[i], "run.log");
        assert_eq!(log.matches(&format!("message of {name}")).count(), 3, "{log}");
        assert_eq!(log.matches(&format!("message of {other_name}")).count(), 0, "{log}");
        assert_eq!(log.matches("INFO epoch=").count(), 3, "{log}");
        let csv = text(&dirs[i], "metrics.csv");
        assert_eq!(csv.matches(&format!(",{rate},")).count(), 3, "{csv}");
        assert_eq!(csv.matches(&format!(",{other_rate},")).count(), 0, "{csv}");
        assert_eq!(of_type(&lines(&dirs[i]), "epoch").len(), 3);
    }
    let saved = |dir: &RunDir| toy::load_weights(&dir.path().join("checkpoints/last").join(WEIGHTS_FILE));
    assert_ne!(saved(&dirs[0]), saved(&dirs[1]));
}
