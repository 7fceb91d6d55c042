//! A disk that is full during or after the training: results are not lost, and the run is completed when there is space again.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use faknow::callbacks::{Callback, Callbacks, FitEnd, Flow, HookResult, Run};
use faknow::metrics::EpochRecord;
use faknow::train::{ResumeOptions, resume};
use faknow::trainer::RunDir;
use faknow::{Detector, Error, train};

use crate::support::{Bench, csv, posts};

/// A small file system, which is unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at `path`; `None` without the permission.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&path).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(path)),
            _ => {
                crate::skip::check("mount").unwrap();
                println!("SKIPPED: mounting a small disk requires root");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Fills the disk after an epoch or, with 0, at the end of the fit.
struct Fill {
    after_epoch: usize,
    file: PathBuf,
}

impl Fill {
    fn fill(&self) {
        let mut file = File::create(&self.file).unwrap();
        let (mut size, block) = (1 << 16, vec![1; 1 << 16]);
        while size > 0 {
            if file.write_all(&block[..size]).is_err() {
                size /= 2;
            }
        }
    }
}

impl Callback for Fill {
    fn on_epoch_end(&mut self, _: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        if record.epoch == self.after_epoch {
            self.fill();
        }
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, _: &mut Run, result: FitEnd<'_>) -> HookResult {
        if self.after_epoch == 0 && result.is_ok() {
            self.fill();
        }
        Ok(())
    }
}

fn read(run: &Path, name: &str) -> String {
    fs::read_to_string(run.join(name)).unwrap()
}

#[test]
fn full_disk_loses_neither_results_nor_the_run() {
    faknow::tch::set_num_threads(1);
    let mut bench = Bench::new(&posts(40));
    for name in ["valid.csv", "test.csv"] {
        bench.write(name, csv(&posts(14)));
    }
    bench.config.data.valid = Some(bench.path("valid.csv").into());
    bench.config.data.test = Some(bench.path("test.csv").into());
    let expected = bench.train("expected", &["trainer.epochs=4"]);
    let Some(disk) = SmallDisk::mount(bench.path("disk")) else { return };
    let config = bench.config.set("trainer.epochs=4").unwrap();
    for after_epoch in [1, 3, 0] {
        let run = disk.0.join(format!("run-{after_epoch}"));
        let mut callbacks = Callbacks::default();
        callbacks.push(Fill { after_epoch, file: disk.filler() });
        let error = train(&config, || RunDir::create(&run), callbacks).unwrap_err();
        assert!(!error.is_input(), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("`faknow resume {}`", run.display())), "{message}");
        assert!(message.contains("No space left") && message.contains("run-"), "{message}");
        let Error::NotFinished { outcome, .. } = error else { panic!("{error}") };
        assert_eq!(outcome.is_some(), after_epoch == 0, "{message}");
        if let Some(outcome) = outcome {
            assert_eq!(
                outcome.test.unwrap().evaluation.predictions,
                expected.test.as_ref().unwrap().evaluation.predictions
            );
            assert_eq!(outcome.fit.history.epochs.len(), 4);
        }
        fs::remove_file(disk.filler()).unwrap();
        resume(&run, &ResumeOptions::default(), Callbacks::default()).unwrap();
        for name in ["predictions/test.csv", "predictions/valid.csv", "calibration.json", "mistakes.json"] {
            assert_eq!(read(&run, name), read(&bench.path("expected"), name), "{after_epoch}: {name}");
        }
        faknow::report::Run::read(&run).unwrap();
        Detector::load(&run, faknow::tch::Device::Cpu).unwrap();
        fs::remove_dir_all(&run).unwrap();
    }
}
