//! Contents of the log files, and when they are written.

use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};

use expect_test::{Expect, expect};
use faknow_callbacks::{
    Callback, Callbacks, CsvLog, FitStart, Flow, JsonlLog, Run, RunLog, TensorBoard, on_epoch_end,
};
use serde_json::Value;

use crate::common;

#[test]
fn csv_has_a_row_per_epoch_and_a_column_per_metric() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let mut csv = common::one(CsvLog::new());
    common::fit(&mut run, &mut csv, &[Some(0.6), None]).unwrap();
    run.learning_rates = vec![0.1, 0.2];
    common::fit(&mut run, &mut csv, &[Some(1.0 / 3.0)]).unwrap();
    common::test(&mut run, &mut csv).unwrap();
    expect![[r#"
        epoch,step,train/loss,train/loss/class,valid/loss,valid/accuracy,valid/f1,lr/0,lr/1,lr,grad_norm,seconds
        1,2,1,0.25,0.5,0.9,0.6,,,0.001,2.5,0.02
        2,4,0.5,0.25,0.5,0.9,,,,0.001,2.5,0.02
        3,6,0.3333333333333333,0.25,0.5,0.9,0.3333333333333333,0.1,0.2,,2.5,0.02
    "#]]
    .assert_eq(&common::text(&run, "metrics.csv"));
    expect![[r#"
        epoch,step,test/loss,test/f1,test/roc_auc,seconds
        3,6,0.3,0.75,,0.5
    "#]]
    .assert_eq(&common::text(&run, "test_metrics.csv"));
}

#[test]
fn jsonl_has_a_line_for_every_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let mut jsonl = common::one(JsonlLog::new().log_every(2));
    common::fit(&mut run, &mut jsonl, &[Some(0.6), None]).unwrap();
    common::test(&mut run, &mut jsonl).unwrap();
    jsonl.on_fit_end(&mut run, Err(&io::Error::other("disk \"full\""))).unwrap();
    expect![[r#"
        {"type":"step","epoch":1,"step":2,"loss":0.5,"parts":{"class":0.25},"lr":[0.001],"grad_norm":2.5}
        {"type":"epoch","epoch":1,"step":2,"samples":16,"train":{"loss":1.0,"loss/class":0.25},"valid":{"loss":0.5,"accuracy":0.9,"f1":0.6},"learning_rates":[0.001],"grad_norm":2.5,"train_seconds":0.016,"valid_seconds":0.004}
        {"type":"step","epoch":2,"step":4,"loss":0.25,"parts":{"class":0.125},"lr":[0.001],"grad_norm":2.5}
        {"type":"epoch","epoch":2,"step":4,"samples":32,"train":{"loss":0.5,"loss/class":0.25},"valid":{"loss":0.5,"accuracy":0.9,"f1":null},"learning_rates":[0.001],"grad_norm":2.5,"train_seconds":0.016,"valid_seconds":0.004}
        {"type":"end","reason":"completed","epoch":2,"step":4,"best":{"epoch":1,"step":2,"monitor":"f1","value":0.6}}
        {"type":"test","epoch":2,"step":4,"scores":{"loss":0.3,"f1":0.75,"roc_auc":null},"seconds":0.5}
        {"type":"error","message":"disk \"full\"","epoch":2,"step":4}
    "#]]
    .assert_eq(&common::text(&run, "history.jsonl"));
}

#[test]
fn jsonl_step_lines_follow_log_every() {
    let check = |jsonl: JsonlLog, expected: &[u64]| {
        let dir = tempfile::tempdir().unwrap();
        let mut run = common::run(dir.path());
        common::fit(&mut run, &mut common::one(jsonl), &[Some(0.5); 3]).unwrap();
        assert_eq!(steps_of(&run), expected);
    };
    check(JsonlLog::new(), &[]);
    check(JsonlLog::new().log_every(0), &[]);
    check(JsonlLog::new().log_every(1), &[1, 2, 3, 4, 5, 6]);
    check(JsonlLog::new().log_every(3), &[3, 6]);
}

#[test]
fn run_log_has_settings_epochs_and_tests() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let mut log = common::one(RunLog::new().clock(|| UNIX_EPOCH + Duration::from_secs(1_795_348_800)));
    common::fit(&mut run, &mut log, &[Some(0.6), None]).unwrap();
    assert_eq!(log.get::<RunLog>().unwrap().path(), Some(dir.path().join("run.log").as_path()));
    common::test(&mut run, &mut log).unwrap();
    common::fit(&mut run, &mut log, &[Some(0.7)]).unwrap();
    log.on_fit_end(&mut run, Err(&io::Error::other("two\nlines"))).unwrap();
    expect![[r#"
        2026-11-22 12:00:00Z INFO starting run toy: up to 20 epochs of 2 batches, 0 trainable parameters on Cpu
        2026-11-22 12:00:00Z INFO monitoring f1 (maximize)
        2026-11-22 12:00:00Z INFO optimizer.lr = 0.001
        2026-11-22 12:00:00Z INFO model = "toy"
        2026-11-22 12:00:00Z INFO epoch=1/20  train loss=1.0000 loss/class=0.2500  valid loss=0.5000 accuracy=0.9000 f1=0.6000  lr=0.001 grad_norm=2.5000  20 ms (1,000 samples/s)  best so far
        2026-11-22 12:00:00Z INFO epoch=2/20  train loss=0.5000 loss/class=0.2500  valid loss=0.5000 accuracy=0.9000 f1=undefined (no prediction)  lr=0.001 grad_norm=2.5000  20 ms (1,000 samples/s)
        2026-11-22 12:00:00Z INFO training ended after 2 epochs (40 ms): all epochs done; best epoch 1: f1=0.6000
        2026-11-22 12:00:00Z INFO test loss=0.3000 f1=0.7500 roc_auc=undefined (one class)  500 ms
        2026-11-22 12:00:00Z INFO resuming run toy at step 4: up to 20 epochs of 2 batches, 0 trainable parameters on Cpu
        2026-11-22 12:00:00Z INFO monitoring f1 (maximize)
        2026-11-22 12:00:00Z INFO optimizer.lr = 0.001
        2026-11-22 12:00:00Z INFO model = "toy"
        2026-11-22 12:00:00Z INFO epoch=3/20  train loss=0.3333 loss/class=0.2500  valid loss=0.5000 accuracy=0.9000 f1=0.7000  lr=0.001 grad_norm=2.5000  20 ms (1,000 samples/s)  best so far
        2026-11-22 12:00:00Z INFO training ended after 3 epochs (60 ms): all epochs done; best epoch 3: f1=0.7000
        2026-11-22 12:00:00Z ERROR two
            lines
    "#]]
    .assert_eq(&common::text(&run, "run.log"));
}

// A killed process loses nothing that a hook wrote before.
#[test]
fn each_epoch_is_written_immediately() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let (mut csv, mut jsonl, mut log) = (CsvLog::new(), JsonlLog::new(), RunLog::new());
    common::fit(&mut run, &mut common::one(CsvLog::new()), &[Some(0.5)]).unwrap();
    let record = run.history().epochs[0].clone();
    assert_eq!(csv.on_epoch_end(&mut run, &record).unwrap(), Flow::Continue);
    assert!(common::text(&run, "metrics.csv").ends_with(",0.5,0.001,2.5,0.02\n"));
    assert_eq!(jsonl.on_epoch_end(&mut run, &record).unwrap(), Flow::Continue);
    assert!(common::text(&run, "history.jsonl").ends_with("}\n"));
    assert_eq!(log.on_epoch_end(&mut run, &record).unwrap(), Flow::Continue);
    assert!(common::text(&run, "run.log").ends_with("best so far\n"));
}

// Epoch 3 was recorded, but the checkpoint is that of epoch 2: the run repeats epoch 3, and the files contain it once.
#[test]
fn resumed_run_continues_files_at_step_of_weights() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let callbacks = || {
        let mut all = Callbacks::default();
        all.push(CsvLog::new());
        all.push(JsonlLog::new().log_every(1));
        all
    };
    common::fit(&mut run, &mut callbacks(), &[Some(0.1), Some(0.2), Some(0.3)]).unwrap();
    // A kill left a truncated last line.
    let path = dir.path().join("metrics.csv");
    fs::write(&path, common::text(&run, "metrics.csv") + "4,8,0.2").unwrap();

    let resumed_at = |epoch: usize| {
        let mut resumed = common::run(dir.path());
        let progress = resumed.progress_mut();
        (progress.epoch, progress.step, progress.samples) = (epoch, 2 * epoch as u64, 16 * epoch as u64);
        progress.history.epochs = run.history().epochs[..epoch].to_vec();
        resumed
    };
    let mut resumed = resumed_at(2);
    common::fit(&mut resumed, &mut callbacks(), &[Some(0.4)]).unwrap();
    expect![[r#"
        1 0.1
        2 0.2
        3 0.4"#]]
    .assert_eq(&f1_of_csv(&resumed));
    assert_eq!(common::text(&resumed, "metrics.csv").matches("epoch,step").count(), 1);
    assert_eq!(steps_of(&resumed), [1, 2, 3, 4, 5, 6]);

    // A rollback in the middle of an epoch drops later rows too.
    let mut rolled_back = resumed_at(1);
    rolled_back.setup_mut().start = FitStart::RolledBack;
    callbacks().on_fit_start(&mut rolled_back).unwrap();
    expect!["1 0.1"].assert_eq(&f1_of_csv(&rolled_back));
    assert_eq!(steps_of(&rolled_back), [1, 2]);

    // A new run in the same directory replaces the files of the old one.
    let mut fresh = common::run(dir.path());
    common::fit(&mut fresh, &mut callbacks(), &[Some(0.9)]).unwrap();
    expect!["1 0.9"].assert_eq(&f1_of_csv(&fresh));
    assert_eq!(steps_of(&fresh), [1, 2]);
}

#[test]
fn later_process_writes_test_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    common::fit(&mut run, &mut common::one(CsvLog::new()), &[Some(0.5)]).unwrap();
    let before = common::text(&run, "metrics.csv");
    common::test(&mut run, &mut common::one(CsvLog::new())).unwrap();
    assert_eq!(common::text(&run, "metrics.csv"), before);
    assert_eq!(common::text(&run, "test_metrics.csv").lines().count(), 2);
    common::fit(&mut run, &mut common::one(CsvLog::new()), &[Some(0.5)]).unwrap();
    assert!(!dir.path().join("test_metrics.csv").exists(), "tests of other weights are removed");
}

// The first epoch has no validation, and a callback logs a value in the third.
#[test]
fn new_columns_are_empty_in_earlier_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let mut csv = common::one(CsvLog::new());
    common::fit(&mut run, &mut csv, &[Some(0.5)]).unwrap();
    run.progress_mut().history.epochs[0].valid = None;
    csv.push(on_epoch_end(|run, record| {
        if record.epoch == 3 {
            run.log("reward, mean", 7.0);
        }
        Ok(Flow::Continue)
    }));
    common::fit(&mut run, &mut csv, &[Some(0.5); 3]).unwrap();
    expect![[r#"
        epoch,step,train/loss,train/loss/class,"train/reward, mean",valid/loss,valid/accuracy,valid/f1,lr,grad_norm,seconds
        1,2,1,0.25,,,,,0.001,2.5,0.02
        2,4,0.5,0.25,,0.5,0.9,0.5,0.001,2.5,0.02
        3,6,0.3333333333333333,0.25,7,0.5,0.9,0.5,0.001,2.5,0.02
        4,8,0.25,0.25,,0.5,0.9,0.5,0.001,2.5,0.02
    "#]].assert_eq(&common::text(&run, "metrics.csv"));
}

#[test]
fn files_can_be_outside_the_run_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    run.setup_mut().dir = None;
    let mut callbacks = Callbacks::default();
    callbacks.push(CsvLog::with_path(dir.path().join("a/table.csv")));
    callbacks.push(JsonlLog::with_path(dir.path().join("a/lines.jsonl")));
    callbacks.push(RunLog::with_path(dir.path().join("a/words.log")));
    callbacks.push(TensorBoard::with_dir(dir.path().join("a/curves")));
    common::fit(&mut run, &mut callbacks, &[Some(0.5)]).unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path().join("a"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["curves", "lines.jsonl", "table.csv", "words.log"]);
}

#[test]
fn rejects_missing_or_invalid_directory() {
    fn check(make: fn() -> Box<dyn Callback>, no_dir: Expect) {
        let dir = tempfile::tempdir().unwrap();
        let mut run = common::run(dir.path());
        run.setup_mut().dir = None;
        no_dir.assert_eq(&make().on_fit_start(&mut run).unwrap_err().to_string());

        fs::write(dir.path().join("file"), "").unwrap();
        run.setup_mut().dir = Some(dir.path().join("file"));
        let error = make().on_fit_start(&mut run).unwrap_err().to_string();
        assert!(error.starts_with(&dir.path().join("file").display().to_string()), "{error}");
    }
    check(
        || Box::new(CsvLog::new()),
        expect![
            "metrics.csv: the run has no directory to write to; set a run directory, or a path for this callback"
        ],
    );
    check(
        || Box::new(JsonlLog::new()),
        expect![
            "history.jsonl: the run has no directory to write to; set a run directory, or a path for this callback"
        ],
    );
    check(
        || Box::new(RunLog::new()),
        expect![
            "run.log: the run has no directory to write to; set a run directory, or a path for this callback"
        ],
    );
    check(
        || Box::new(TensorBoard::new()),
        expect![
            "tensorboard: the run has no directory to write to; set a run directory, or a path for this callback"
        ],
    );
}

fn f1_of_csv(run: &Run) -> String {
    let mut reader = csv::Reader::from_path(run.dir().unwrap().join("metrics.csv")).unwrap();
    let column = reader.headers().unwrap().iter().position(|name| name == "valid/f1").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let f1 = rows.iter().map(|row| format!("{} {}", &row[0], &row[column]));
    f1.collect::<Vec<_>>().join("\n")
}

fn steps_of(run: &Run) -> Vec<u64> {
    let lines = common::text(run, "history.jsonl");
    let values = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.filter(|v| v["type"] == "step").map(|v| v["step"].as_u64().unwrap()).collect()
}
