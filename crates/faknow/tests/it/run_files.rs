//! Corrupted run directories: every file, missing, empty, truncated or changed, in every command that could read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faknow::Detector;
use faknow::callbacks::Callbacks;
use faknow::detector::SamplePrediction;
use faknow::report::{CHECKSUMS, Run, render};
use faknow::tch::Device;
use faknow::train::{Effect, RUN_FILES, ResumeOptions, RunFile, resume};

use crate::support::{Bench, csv, files, posts};

/// Kinds of corruption of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Missing,
    Empty,
    Half,
    Flipped,
}

const KINDS: [Kind; 4] = [Kind::Missing, Kind::Empty, Kind::Half, Kind::Flipped];

fn apply(kind: Kind, path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    match kind {
        Kind::Missing => return fs::remove_file(path).unwrap(),
        Kind::Empty => bytes.clear(),
        Kind::Half => bytes.truncate(middle),
        Kind::Flipped => bytes[middle] ^= 1,
    }
    fs::write(path, bytes).unwrap();
}

fn trained() -> Bench {
    let mut bench = Bench::new(&posts(40));
    for (name, n) in [("valid.csv", 12), ("test.csv", 14)] {
        bench.write(name, csv(&posts(n)));
    }
    bench.config.data.valid = Some(bench.path("valid.csv").into());
    bench.config.data.test = Some(bench.path("test.csv").into());
    bench.train("run", &[]);
    bench
}

/// Copies the run, with one corrupted file.
fn corrupted(bench: &Bench, file: &str, kind: Kind) -> PathBuf {
    let (from, to) = (bench.path("run"), bench.path("corrupted"));
    if to.exists() {
        fs::remove_dir_all(&to).unwrap();
    }
    for name in files(&from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    apply(kind, &to.join(file));
    to
}

/// Calls `read` for all files and kinds of corruption, and compares its results with that of the intact run.
fn check<T: PartialEq + std::fmt::Debug>(
    bench: &Bench,
    command: &str,
    effect: impl Fn(&RunFile) -> Effect,
    read: impl Fn(&Path) -> Result<T, String>,
    expected: &T,
) {
    for name in files(&bench.path("run")) {
        let file = RunFile::of(&name).unwrap_or_else(|| panic!("RUN_FILES has no row for `{name}`"));
        if fs::metadata(bench.path("run").join(&name)).unwrap().len() == 0 {
            continue;
        }
        for kind in KINDS {
            let what = format!("{command} with {name}: {kind:?}");
            let run = corrupted(bench, &name, kind);
            // Documented: without checksums, as in runs of earlier versions, nothing is compared.
            let is_optional = name == CHECKSUMS || name.ends_with("best/manifest.json");
            match (effect(file), read(&run)) {
                (Effect::Error, Err(message)) => {
                    let base = name.rsplit('/').next().unwrap();
                    assert!(message.contains(base), "{what}: {message}");
                    let remedies = ["copy", "resume", "delete", "newest valid checkpoint"];
                    assert!(remedies.iter().any(|it| message.contains(it)), "{what}: {message}");
                }
                (Effect::Error, Ok(result)) if kind == Kind::Missing && is_optional => {
                    assert_eq!(result, *expected, "{what}");
                }
                (Effect::NotRead | Effect::Rewritten, Ok(result)) => assert_eq!(result, *expected, "{what}"),
                (expected, got) => panic!("{what}: expected {expected:?}, got {got:?}"),
            }
        }
    }
}

fn predict(run: &Path) -> Result<Vec<SamplePrediction>, String> {
    let texts: Vec<String> = posts(6).into_iter().map(|(text, _)| text).collect();
    let detector = Detector::load(run, Device::Cpu);
    let predictions = detector.and_then(|detector| detector.predict(&texts));
    predictions.map_err(|error| {
        assert!(error.is_input(), "{error}");
        error.to_string()
    })
}

#[test]
fn detectors_of_corrupted_runs_are_rejected_or_unaffected() {
    let bench = trained();
    let expected = predict(&bench.path("run")).unwrap();
    check(&bench, "predict", |file| file.detector, predict, &expected);
}

#[test]
fn reports_of_corrupted_runs_are_rejected_or_unaffected() {
    let bench = trained();
    let report = |run: &Path| {
        let run = Run::read(run).map_err(|error| error.to_string())?;
        // The name of the directory is in the report.
        Ok(render(&[Run { name: "run".into(), path: "run".into(), ..run }]).unwrap())
    };
    check(&bench, "report", |file| file.report, report, &report(&bench.path("run")).unwrap());
    // In comparisons too, the corrupted run is named.
    let run = corrupted(&bench, "predictions/test.csv", Kind::Half);
    let runs = [bench.path("run"), run].iter().map(|run| Run::read(run)).collect::<Result<Vec<_>, _>>();
    assert!(runs.unwrap_err().to_string().contains("corrupted/predictions/test.csv"));
}

/// Returns the results of a run without times.
fn results(run: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let names =
        ["classes.json", "config.toml", "predictions/test.csv", "predictions/valid.csv", "calibration.json"];
    for name in names.iter().chain(&["vocab.txt", "mistakes.json", "baseline.json"]) {
        all.insert((*name).to_owned(), fs::read_to_string(run.join(name)).unwrap());
    }
    let history = fs::read_to_string(run.join("history.jsonl")).unwrap();
    let records = history.lines().filter(|line| line.contains("\"type\":\"epoch\""));
    all.insert("epochs".into(), records.collect::<Vec<_>>().join("\n"));
    all.insert("predictions".into(), format!("{:?}", predict(run)));
    all.insert(
        "report".into(),
        Run::read(run).map_or_else(|e| e.to_string(), |run| run.epochs.len().to_string()),
    );
    all
}

#[test]
fn corrupted_runs_are_rejected_or_resumed_to_the_same_results() {
    faknow::tch::set_num_threads(1);
    let bench = trained();
    let resumed = |run: &Path| {
        let outcome = resume(run, &ResumeOptions::default(), Callbacks::default());
        outcome.map(|_| results(run)).map_err(|error| {
            assert!(error.is_input(), "{error}");
            error.to_string()
        })
    };
    let expected = results(&bench.path("run"));
    check(&bench, "resume", |file| file.resume, resumed, &expected);
}

#[test]
fn runs_without_best_weights_are_rejected_until_they_are_resumed() {
    let bench = trained();
    let run = bench.path("run");
    let expected = predict(&run).unwrap();
    fs::remove_dir_all(run.join("checkpoints/best")).unwrap();
    let error = predict(&run).unwrap_err();
    assert!(error.contains("checkpoints/best: the checkpoint with the best weights is missing"), "{error}");
    assert!(error.contains(&format!("`faknow resume {}`", run.display())), "{error}");
    resume(&run, &ResumeOptions::default(), Callbacks::default()).unwrap();
    assert_eq!(predict(&run).unwrap(), expected);
    // Without validation there is no best epoch.
    bench.train("last", &["data.split=[1.0, 0.0, 0.0]", "trainer.restore_best=false"]);
    predict(&bench.path("last")).unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let error = resume(&run, &ResumeOptions::default(), Callbacks::default()).unwrap_err().to_string();
    assert!(error.contains("checkpoints: the checkpoints of the run are missing"), "{error}");
}

#[test]
fn runs_of_earlier_versions_without_checksums_still_load() {
    let bench = trained();
    let run = bench.path("run");
    let expected = (predict(&run).unwrap(), results(&run));
    fs::remove_file(run.join(CHECKSUMS)).unwrap();
    assert_eq!((predict(&run).unwrap(), results(&run)), expected);
    // The classes are also in the config.
    let classes = bench.read("run/classes.json");
    bench.write("run/classes.json", "[\"fake\", \"real\"]");
    let error = predict(&run).unwrap_err();
    assert!(
        error.contains("classes.json: expected the classes [\"real\", \"fake\"], as in `config.toml`"),
        "{error}"
    );
    bench.write("run/classes.json", classes);
    // A saved detector has checksums, but no manifest.
    let detector = Detector::load(&run, Device::Cpu).unwrap();
    let saved = bench.path("saved");
    detector.save(&saved).unwrap();
    assert_eq!(predict(&saved).unwrap(), expected.0);
    apply(Kind::Flipped, &saved.join("checkpoints/best/model.safetensors"));
    assert!(predict(&saved).unwrap_err().contains("model.safetensors: the file is corrupted: checksum"));
}

#[test]
fn initial_weights_of_a_checkpoint_are_verified() {
    let bench = trained();
    let weights = bench.path("run/checkpoints/best/model.safetensors");
    let setting = format!("model.weights={}", weights.display());
    bench.train("tuned", &[&setting]);
    apply(Kind::Flipped, &weights);
    let error = bench.try_train("rejected", &[&setting]).unwrap_err();
    let message = error.to_string();
    assert!(error.is_input() && message.starts_with("`model.weights`: "), "{message}");
    assert!(message.contains("model.safetensors") && message.contains("checksum"), "{message}");
    assert!(!bench.path("rejected").exists());
}

#[test]
fn corrupted_caches_of_tokens_are_written_again() {
    let bench = trained();
    let cache = bench.path("cache");
    let setting = format!("text.cache={}", cache.display());
    let run = |name: &str| {
        bench.train(name, &[&setting]);
        results(&bench.path(name)).remove("predictions/valid.csv").unwrap()
    };
    let expected = run("first");
    let dir = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let names = files(&dir);
    assert_eq!(names.len(), 9, "{names:?}");
    for (index, name) in names.iter().enumerate() {
        for kind in KINDS {
            apply(kind, &dir.join(name));
            assert_eq!(run(&format!("{index}-{kind:?}")), expected, "{name}: {kind:?}");
            assert_eq!(files(&dir), names, "{name}: {kind:?}");
        }
    }
}

#[test]
fn documentation_has_all_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let Ok(page) = fs::read_to_string(&path) else {
        crate::skip::check("docs").unwrap();
        return println!("SKIPPED: {} does not exist", path.display());
    };
    let effect = |effect| match effect {
        Effect::NotRead => "–",
        Effect::Error => "error",
        _ => "written again",
    };
    let row = |file: &RunFile| {
        let effects = [file.detector, file.report, file.resume].map(effect).join(" | ");
        format!("| `{}` | {} | {} | {effects} |\n", file.path, file.content, file.check)
    };
    let table: String = RUN_FILES.iter().map(row).collect();
    assert!(page.contains(&table), "docs/cli.md must contain\n{table}");
}
