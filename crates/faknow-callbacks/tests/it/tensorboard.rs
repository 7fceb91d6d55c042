//! TensorBoard event files, read by a test reader and by TensorBoard itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect;
use faknow_callbacks::{Callback, FitStart, Flow, Scalar, TensorBoard, read_scalars};
use faknow_metrics::Score;
use protobuf::Message;
use tensorboard_proto::api::Status;
use tensorboard_proto::event::Event;
use tensorboard_proto::plugin_hparams::HParamsPluginData;
use tensorboard_rs::masked_crc32c::masked_crc32c;

use crate::common;

/// Points by tag: (x, value).
type Curves = BTreeMap<String, Vec<(i64, f32)>>;

/// Writes the events of a run of two epochs and a test, resumed after the first epoch, and returns their directory.
fn write_run(dir: &Path) -> PathBuf {
    let mut run = common::run(dir);
    common::fit(&mut run, &mut common::one(TensorBoard::new().log_every(2)), &[Some(0.6)]).unwrap();
    let mut resumed = common::one(TensorBoard::new().log_every(2));
    run.learning_rates = vec![0.5, 0.25];
    common::fit(&mut run, &mut resumed, &[None]).unwrap();
    common::test(&mut run, &mut resumed).unwrap();
    dir.join("tensorboard")
}

#[test]
fn writes_tags_steps_and_values() {
    let temp = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for (tag, points) in curves(&write_run(temp.path())) {
        lines += &format!("{tag} {points:?}\n");
    }
    expect![[r#"
        Best/accuracy [(1, 0.9), (1, 0.9)]
        Best/f1 [(1, 0.6), (1, 0.6)]
        Best/loss [(1, 0.5), (1, 0.5)]
        Step/loss [(2, 0.5), (4, 0.25)]
        Test/f1 [(2, 0.75)]
        Test/loss [(2, 0.3)]
        Train/class [(1, 0.25), (2, 0.25)]
        Train/grad_norm [(1, 2.5), (2, 2.5)]
        Train/learning_rate [(1, 0.001)]
        Train/learning_rate/0 [(2, 0.5)]
        Train/learning_rate/1 [(2, 0.25)]
        Train/loss [(1, 1.0), (2, 0.5)]
        Validation/accuracy [(1, 0.9), (2, 0.9)]
        Validation/f1 [(1, 0.6)]
        Validation/loss [(1, 0.5), (2, 0.5)]
    "#]]
    .assert_eq(&lines);
}

#[test]
fn tensorboard_reads_the_same_values() {
    const READ: &str = r"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}
tags = events.Tags()
plugins = ['hparams', 'pr_curves', 'text', 'custom_scalars']
others = {plugin: sorted(events.summary_metadata and
    [tag for tag, data in events.summary_metadata.items() if data.plugin_data.plugin_name == plugin]) for plugin in plugins}
others.update(images=sorted(tags['images']), histograms=sorted(tags['histograms']))
print(json.dumps([scalars, others]))
";
    let has_reader = Command::new("python3").args(["-c", "import tensorboard"]).output();
    if !has_reader.is_ok_and(|output| output.status.success()) {
        crate::skip::check("tensorboard").unwrap();
        println!("SKIPPED: python3 with the package tensorboard is not available");
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = write_run(temp.path());
    let output = Command::new("python3").args(["-c", READ]).arg(&dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (theirs, _): (Curves, BTreeMap<String, Vec<String>>) =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs, curves(&dir));
    let temp = tempfile::tempdir().unwrap();
    let dir = write_run_with_predictions(temp.path());
    let output = Command::new("python3").args(["-c", READ]).arg(&dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, read): (Curves, BTreeMap<String, Vec<String>>) = serde_json::from_slice(&output.stdout).unwrap();
    let tags = |kind: &str| read[kind].join(" ");
    assert_eq!(tags("pr_curves"), "Test/pr_curve/fake Validation/pr_curve/fake");
    assert_eq!(tags("images"), "Test/confusion Validation/confusion");
    assert_eq!(tags("histograms"), "Gradients/weight Weights/weight");
    assert_eq!(
        (tags("text").as_str(), tags("custom_scalars").as_str()),
        ("Settings", "custom_scalars__config__")
    );
}

#[test]
fn writes_settings_and_end_status_for_hparams() {
    let temp = tempfile::tempdir().unwrap();
    let dir = write_run(temp.path());
    let mut summaries = Vec::new();
    for path in fs::read_dir(dir).unwrap() {
        for event in events(&fs::read(path.unwrap().path()).unwrap()) {
            for value in event.get_summary().get_value() {
                let plugin = value.get_metadata().get_plugin_data();
                if plugin.get_plugin_name() == "hparams" {
                    let data = HParamsPluginData::parse_from_bytes(plugin.get_content()).unwrap();
                    let lr = data.get_session_start_info().get_hparams().get("optimizer.lr");
                    let lr = lr.map(|lr| lr.get_number_value());
                    summaries.push((
                        value.get_tag().to_owned(),
                        lr,
                        data.get_session_end_info().get_status(),
                    ));
                }
            }
        }
    }
    summaries.sort_by(|a, b| a.0.cmp(&b.0));
    let end = ("_hparams_/session_end_info".to_owned(), None, Status::STATUS_SUCCESS);
    let start = ("_hparams_/session_start_info".to_owned(), Some(0.001), Status::STATUS_UNKNOWN);
    assert_eq!(summaries, [end.clone(), end, start.clone(), start]);
}

// Epoch 2 is repeated: its points and those of the test are dropped, those of epoch 1 are retained.
#[test]
fn resumed_run_has_each_point_once() {
    let temp = tempfile::tempdir().unwrap();
    let dir = write_run(temp.path());
    let mut run = common::run(temp.path());
    let progress = run.progress_mut();
    (progress.epoch, progress.step, progress.samples) = (1, 2, 16);
    run.progress_mut().history.epochs = {
        let mut first = common::run(&temp.path().join("first"));
        common::fit(&mut first, &mut common::one(TensorBoard::new()), &[Some(0.6)]).unwrap();
        first.history().epochs.clone()
    };
    let mut board = common::one(TensorBoard::new().log_every(2));
    run.setup_mut().start = FitStart::Resumed;
    board.on_fit_start(&mut run).unwrap();
    let after: Vec<_> = curves(&dir).into_iter().map(|(tag, points)| (tag, points.len())).collect();
    assert!(after.iter().all(|(_, n)| *n == 1), "{after:?}");
    assert!(!after.iter().any(|(tag, _)| tag.starts_with("Test/")), "{after:?}");
    let read: Vec<_> = read_scalars(&dir).unwrap();
    assert_eq!(read.len(), after.len());
    assert!(read.contains(&Scalar { tag: "Validation/f1".into(), x: 1, value: 0.6 }), "{read:?}");
    // A truncated record is ignored; a corrupted one is an error that names the file.
    let path =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).max_by_key(|p| p.metadata().unwrap().len());
    let (path, bytes) = path.map(|p| (p.clone(), fs::read(p).unwrap())).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let truncated = read_scalars(&dir).unwrap();
    assert_eq!(truncated, read[..truncated.len()]);
    assert!((1..=read.len()).contains(&truncated.len()), "{truncated:?}");
    let mut corrupted = bytes.clone();
    corrupted[bytes.len() - 8] ^= 1;
    fs::write(&path, corrupted).unwrap();
    let error = read_scalars(&dir).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()) && error.contains("checksum"), "{error}");
}

/// Returns the tag, step and kind of all values that are not scalars.
fn other_values(dir: &Path) -> Vec<(String, i64, String)> {
    let mut others = Vec::new();
    for path in fs::read_dir(dir).unwrap() {
        for event in events(&fs::read(path.unwrap().path()).unwrap()) {
            for value in event.get_summary().get_value().iter().filter(|value| !value.has_simple_value()) {
                let kind = match (value.has_image(), value.has_histo()) {
                    (true, _) => "image",
                    (_, true) => "histogram",
                    _ => value.get_metadata().get_plugin_data().get_plugin_name(),
                };
                others.push((value.get_tag().to_owned(), event.get_step(), kind.to_owned()));
            }
        }
    }
    others.sort();
    others
}

/// Writes the events of a run with class names and a weight, validated after each of two epochs and tested.
fn write_run_with_predictions(dir: &Path) -> PathBuf {
    let mut run = common::run(dir);
    run.setup_mut().hyperparameters.insert("data.classes".into(), serde_json::json!(["real", "fake"]));
    let weight = run.vars.root().zeros("weight", &[2, 3]);
    (&weight * 2.0).sum(tch::Kind::Float).backward();
    let mut board = common::one(TensorBoard::new().histograms_every(2));
    common::fit(&mut run, &mut board, &[Some(0.5), Some(0.6)]).unwrap();
    common::test(&mut run, &mut board).unwrap();
    dir.join("tensorboard")
}

#[test]
fn writes_pr_curves_images_histograms_and_texts() {
    let temp = tempfile::tempdir().unwrap();
    let dir = write_run_with_predictions(temp.path());
    let mut lines = String::new();
    for (tag, step, kind) in other_values(&dir) {
        lines += &format!("{tag} {step} {kind}\n");
    }
    expect![[r#"
        Gradients/weight 2 histogram
        Settings 0 text
        Test/confusion 2 image
        Test/pr_curve/fake 2 pr_curves
        Validation/confusion 1 image
        Validation/confusion 2 image
        Validation/pr_curve/fake 1 pr_curves
        Validation/pr_curve/fake 2 pr_curves
        Weights/weight 2 histogram
        _hparams_/session_end_info 2 hparams
        _hparams_/session_start_info 0 hparams
        custom_scalars__config__ 0 custom_scalars
    "#]]
    .assert_eq(&lines);
}

// A killed process loses no events that a hook wrote before.
#[test]
fn epoch_is_written_when_it_ends() {
    let temp = tempfile::tempdir().unwrap();
    let mut run = common::run(temp.path());
    let mut board = common::one(TensorBoard::new());
    common::fit(&mut run, &mut board, &[Some(0.6)]).unwrap();
    assert_eq!(curves(&temp.path().join("tensorboard"))["Validation/f1"], [(1, 0.6)]);
    drop(board);
}

#[test]
fn writers_of_the_same_second_have_separate_files() {
    let temp = tempfile::tempdir().unwrap();
    let mut run = common::run(temp.path());
    let mut boards: Vec<TensorBoard> = (0..5).map(|_| TensorBoard::new()).collect();
    for board in &mut boards {
        board.on_fit_start(&mut run).unwrap();
    }
    assert_eq!(fs::read_dir(temp.path().join("tensorboard")).unwrap().count(), 5);
}

#[test]
fn retains_full_names_on_collision_and_omits_undefined_values() {
    let temp = tempfile::tempdir().unwrap();
    let mut run = common::run(temp.path());
    let mut board = TensorBoard::new();
    common::fit(&mut run, &mut common::one(TensorBoard::with_dir(temp.path().join("unused"))), &[Some(0.5)])
        .unwrap();
    let mut record = run.history().epochs[0].clone();
    record.train = [
        ("loss", Score::Defined(f64::NAN)),
        ("loss/loss", Score::from(1.0)),
        ("loss/class", Score::from(2.0)),
        ("precision", Score::undefined_or("never predicted", 0.0)),
    ]
    .into_iter()
    .collect();
    (record.valid, record.grad_norm) = (None, None);
    assert_eq!(board.on_epoch_end(&mut run, &record).unwrap(), Flow::Continue);
    let curves = curves(&temp.path().join("tensorboard"));
    let tags: Vec<&str> = curves.keys().map(String::as_str).collect();
    assert_eq!(tags, ["Train/class", "Train/learning_rate", "Train/loss", "Train/loss/loss"]);
    assert!(curves["Train/loss"][0].1.is_nan());
}

/// Reads all event files of a directory in the order of their names, as TensorBoard does, and checks every checksum.
fn curves(dir: &Path) -> Curves {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut curves = Curves::new();
    for path in paths {
        assert!(path.display().to_string().contains("tfevents"));
        let events = events(&fs::read(path).unwrap());
        assert_eq!(events[0].get_file_version(), "brain.Event:2");
        for event in &events[1..] {
            assert!(event.get_wall_time() > 1.7e9);
            for value in event.get_summary().get_value() {
                // Other values are not scalars.
                if !value.has_simple_value() {
                    assert!(value.has_metadata() || value.has_image() || value.has_histo(), "{value:?}");
                    continue;
                }
                let points = curves.entry(value.get_tag().to_owned()).or_default();
                points.push((event.get_step(), value.get_simple_value()));
            }
        }
    }
    curves
}

/// Returns the events of a TFRecord file: length, checksum of the length, bytes, checksum of the bytes.
fn events(mut file: &[u8]) -> Vec<Event> {
    fn take<'a>(file: &mut &'a [u8], n: usize) -> &'a [u8] {
        file.split_off(..n).expect("a complete record")
    }
    fn take_checksum(file: &mut &[u8]) -> u32 {
        u32::from_le_bytes(take(file, 4).try_into().unwrap())
    }
    let mut events = Vec::new();
    while !file.is_empty() {
        let length = take(&mut file, 8);
        assert_eq!(take_checksum(&mut file), masked_crc32c(length));
        let bytes = take(&mut file, u64::from_le_bytes(length.try_into().unwrap()) as usize);
        assert_eq!(take_checksum(&mut file), masked_crc32c(bytes));
        events.push(Event::parse_from_bytes(bytes).unwrap());
    }
    events
}
