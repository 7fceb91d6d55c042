//! Separate logs of runs that share a process.

use std::sync::Barrier;
use std::sync::{Arc, Mutex};

use faknow_callbacks::{
    Callbacks, CsvLog, Flow, LevelFilter, ProgressWriter, Run, RunLog, RunOwner, console_subscriber,
    on_epoch_end,
};
use tracing::Level;

use crate::common;

/// A writer into a shared buffer.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logging_callbacks(name: &'static str, barrier: Option<Arc<Barrier>>) -> Callbacks {
    let mut callbacks = Callbacks::default();
    callbacks.push(RunLog::new());
    callbacks.push(CsvLog::new());
    callbacks.push(on_epoch_end(move |run, _| {
        if let Some(barrier) = &barrier {
            barrier.wait();
        }
        tracing::warn!(epoch = run.epoch(), run_name = name, "odd gradient in {name}");
        tracing::debug!("too much detail");
        Ok(Flow::Continue)
    }));
    callbacks
}

fn count(run: &Run, what: &str) -> usize {
    common::text(run, "run.log").matches(what).count()
}

#[test]
fn concurrent_runs_have_separate_files() {
    let console = Shared::default();
    let subscriber = console_subscriber(LevelFilter::WARN, &ProgressWriter::plain(console.clone()));
    let dispatch = tracing::Dispatch::new(subscriber);
    let barrier = Arc::new(Barrier::new(2));
    let runs: Vec<(RunOwner, tempfile::TempDir)> = std::thread::scope(|scope| {
        let threads: Vec<_> = ["apple", "berry"]
            .map(|name| {
                let (dispatch, barrier) = (dispatch.clone(), Arc::clone(&barrier));
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        let dir = tempfile::tempdir().unwrap();
                        let mut run = common::run(dir.path());
                        run.setup_mut().name = name.to_owned();
                        let mut callbacks = logging_callbacks(name, Some(barrier));
                        common::fit(&mut run, &mut callbacks, &[Some(0.5); 5]).unwrap();
                        tracing::warn!("after the run");
                        (run, dir)
                    })
                })
            })
            .into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for ((run, _dir), (own, other)) in runs.iter().zip([("apple", "berry"), ("berry", "apple")]) {
        let log = common::text(run, "run.log");
        assert_eq!(count(run, &format!("WARN odd gradient in {own} epoch=")), 5, "{log}");
        assert_eq!(count(run, other), 0, "{log}");
        assert_eq!(count(run, "after the run") + count(run, "too much detail"), 0, "{log}");
        assert_eq!(count(run, "INFO epoch="), 5, "{log}");
        assert_eq!(count(run, "best so far"), 1, "{log}");
    }
    let console = console.text();
    assert_eq!(console.matches("odd gradient").count(), 10, "{console}");
    assert_eq!(console.matches("after the run").count(), 2, "{console}");
    assert!(!console.contains('\u{1b}'), "colors without a terminal: {console}");
}

#[test]
fn second_fit_with_same_callback_does_not_duplicate_lines() {
    let console = Shared::default();
    let subscriber = console_subscriber(LevelFilter::INFO, &ProgressWriter::plain(console.clone()));
    let (first_dir, second_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, mut second) = (common::run(first_dir.path()), common::run(second_dir.path()));
    (first.setup_mut().name, second.setup_mut().name) = ("first".to_owned(), "second".to_owned());
    tracing::subscriber::with_default(subscriber, || {
        let mut callbacks = logging_callbacks("it", None);
        common::fit(&mut first, &mut callbacks, &[Some(0.5); 2]).unwrap();
        common::fit(&mut second, &mut callbacks, &[Some(0.5); 3]).unwrap();
        // A later test appends to the file of the first run.
        common::test(&mut first, &mut callbacks).unwrap();
    });
    for (run, epochs, tests) in [(&first, 2, 1), (&second, 3, 0)] {
        let log = common::text(run, "run.log");
        assert_eq!(count(run, "odd gradient"), epochs, "{log}");
        assert_eq!(count(run, "INFO epoch="), epochs, "{log}");
        assert_eq!(count(run, "INFO test "), tests, "{log}");
        assert_eq!(common::text(run, "metrics.csv").lines().count(), 1 + epochs);
    }
    // The console names the path of the existing file.
    for (run, dir) in [(&first, &first_dir), (&second, &second_dir)] {
        let path = dir.path().join("run.log");
        assert!(path.is_file());
        let line = format!("logging run {} to {}\n", run.name(), path.display());
        assert!(console.text().contains(&line), "{}", console.text());
    }
}

#[test]
fn console_filters_by_level_and_crate() {
    let check = |level: LevelFilter, shown: &[&str]| {
        let console = Shared::default();
        let subscriber = console_subscriber(level, &ProgressWriter::plain(console.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for target in [true, false] {
                macro_rules! log {
                    ($level:expr, $text:literal) => {
                        match target {
                            true => tracing::event!(target: "faknow_trainer", $level, "own {}", $text),
                            false => tracing::event!(target: "other", $level, "other {}", $text),
                        }
                    };
                }
                log!(Level::ERROR, "error");
                log!(Level::INFO, "info");
                log!(Level::DEBUG, "debug");
            }
        });
        let text = console.text();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert_eq!(lines, shown, "{level}");
    };
    check(LevelFilter::OFF, &[]);
    check(LevelFilter::WARN, &["ERROR own error", "ERROR other error"]);
    let info = ["ERROR own error", "INFO own info", "ERROR other error", "INFO other info"];
    check(LevelFilter::INFO, &info);
    let debug = [info[0], info[1], "DEBUG own debug", info[2], info[3]];
    check(LevelFilter::DEBUG, &debug);
}
