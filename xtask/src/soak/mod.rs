//! `cargo xtask soak`: random trainings that are killed, signaled, stopped by a full disk and resumed, compared with
//! uninterrupted ones.

mod case;
mod compare;
mod disk;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::setup;
use crate::workspace::Workspace;
use case::{Case, Random};
use disk::SmallDisk;

const HELP: &str = "\
Trains tiny models of texts and trees with random settings. Each run is killed, signaled or stopped by a full disk at random
moments, and resumed with other settings that are free to change, until it ends; some are extended by more epochs. Weights,
predictions and history must equal those of an uninterrupted run byte by byte. The last line counts what happened. After a
difference the exit code is 1, the directory is retained, and the seed to repeat the run is printed (moments are not repeated).
Full disks need root, for a small file system in memory.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Minutes after which no run is started
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Seed of the settings and events [default: from the clock]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of the first run, to repeat one
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Run for 20 seconds
    #[arg(long)]
    quick: bool,
    /// Program to run [default: `faknow`, built from this workspace]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Signals that end a run so that it can be resumed.
const SIGNALS: &[&str] = &["INT", "TERM", "HUP", "USR1", "USR2", "XCPU"];

/// Maximum number of events of a run, after which it is left alone.
const MAX_EVENTS: usize = 8;

/// Maximum duration of a command, beyond which it hangs.
const MAX_SECONDS: u64 = 120;

/// What happened.
#[derive(Default)]
struct Counts {
    runs: usize,
    kills: usize,
    signals: usize,
    full_disks: usize,
    resumes: usize,
    changes: usize,
    extensions: usize,
    differences: usize,
    lost: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, kills, signals, full_disks, resumes, changes, extensions, differences, lost } = self;
        write!(
            f,
            "{runs} runs, {kills} kills, {signals} signals, {full_disks} full disks, {resumes} resumes, {changes} changed \
             settings, {extensions} extended runs: {differences} differences, {lost} lost runs"
        )
    }
}

/// Runs cases until the time is up. Returns an error after a difference or a lost run.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<()> {
    let program = match &args.program {
        Some(program) => fs::canonicalize(program).with_context(|| program.display().to_string())?,
        None => {
            setup::ensure(workspace)?;
            workspace.cargo("build --quiet -p faknow-cli").run()?;
            workspace.target_dir()?.join("debug/faknow")
        }
    };
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let seed = args.seed.unwrap_or(clock);
    let seconds = if args.quick { 20 } else { 60 * args.minutes };
    println!("seed {seed}, {seconds} s");
    let start = Instant::now();
    let temp = tempfile::tempdir()?;
    case::write_data(temp.path())?;
    let disk = SmallDisk::mount(&temp.path().join("disk"))?;
    let mut soak = Soak { program, dir: temp.path().to_path_buf(), disk, counts: Counts::default() };
    let mut number = args.first;
    while start.elapsed() < Duration::from_secs(seconds) {
        let problem = match soak.case(Random::new(seed, number)) {
            Ok(differences) if differences.is_empty() => None,
            Ok(differences) => {
                soak.counts.differences += 1;
                Some(format!("other results: {}", differences.join(", ")))
            }
            Err(error) => {
                soak.counts.lost += 1;
                Some(format!("lost: {error:#}"))
            }
        };
        soak.counts.runs += 1;
        if let Some(problem) = problem {
            let retained = temp.keep();
            println!("run {number}: {problem}");
            println!(
                "retained in {}; repeat with --seed {seed} --first {number}",
                soak.preserve(&retained)?.display()
            );
            bail!("{}", soak.counts);
        }
        soak.clean()?;
        number += 1;
    }
    println!("{}", soak.counts);
    Ok(())
}

struct Soak {
    program: PathBuf,
    dir: PathBuf,
    disk: Option<SmallDisk>,
    counts: Counts,
}

/// How a command ended.
enum Ended {
    Finished,
    Stopped,
}

impl Soak {
    /// Runs a case; returns the names of the files that differ.
    fn case(&mut self, mut random: Random) -> Result<Vec<String>> {
        let case = Case::new(&mut random, self.disk.is_some());
        let (expected, run) = (self.dir.join("expected"), self.run_dir(&case));
        let started = Instant::now();
        let train = |run: &Path, epochs: usize| {
            let run = run.display().to_string();
            let more = ["--epochs".to_owned(), epochs.to_string(), "--out".to_owned(), run];
            case.train.iter().cloned().chain(more).collect::<Vec<String>>()
        };
        let reference = self.command(&train(&expected, case.epochs)).output()?;
        if !reference.status.success() {
            bail!("the uninterrupted run failed: {}", describe(&case.train, &reference));
        }
        let duration = started.elapsed();
        let mut epochs = case.first_epochs;
        let mut n_events = 0;
        loop {
            let args = if run.join("config.toml").exists() {
                self.counts.resumes += 1;
                let mut args: Vec<String> =
                    ["resume".into(), run.display().to_string(), "--json".into()].into();
                let free = case.free_settings(&mut random);
                self.counts.changes += free.len();
                args.extend(free.into_iter().flat_map(|setting| ["--set".to_owned(), setting.to_owned()]));
                args.extend(["--epochs".to_owned(), epochs.to_string()]);
                args
            } else {
                // Killed before it wrote its settings.
                let _ = fs::remove_dir_all(&run);
                train(&run, epochs)
            };
            let is_left_alone = n_events >= MAX_EVENTS;
            n_events += 1;
            match self.command_with_event(&args, &case, &mut random, duration, is_left_alone)? {
                Ended::Stopped => {}
                Ended::Finished if epochs < case.epochs => {
                    epochs = case.epochs;
                    self.counts.extensions += 1;
                }
                Ended::Finished => break,
            }
        }
        self.check_usable(&run)?;
        compare::differences(&expected, &run)
    }

    /// Runs a command, to which something happens at a random moment.
    fn command_with_event(
        &mut self,
        args: &[String],
        case: &Case,
        random: &mut Random,
        duration: Duration,
        is_left_alone: bool,
    ) -> Result<Ended> {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let moment = duration.mul_f64(random.below(1000) as f64 / 1000.0);
        let started = Instant::now();
        while started.elapsed() < moment && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_running = child.try_wait()?.is_none();
        let mut is_full = false;
        let mut is_killed = false;
        if is_running && !is_left_alone {
            let id = child.id().to_string();
            let signal = |name: &&str| Command::new("kill").args([&format!("-{name}"), &id]).output();
            match random.below(10) {
                0..=3 => {
                    child.kill()?;
                    (is_killed, self.counts.kills) = (true, self.counts.kills + 1);
                }
                7..=9 if case.is_on_small_disk => {
                    if let Some(disk) = &self.disk {
                        disk.fill()?;
                        (is_full, self.counts.full_disks) = (true, self.counts.full_disks + 1);
                    }
                }
                _ => {
                    signal(random.pick(SIGNALS))?;
                    self.counts.signals += 1;
                }
            }
        }
        while child.try_wait()?.is_none() {
            if started.elapsed() > Duration::from_secs(MAX_SECONDS) {
                child.kill()?;
                bail!("`faknow {}` did not end within {MAX_SECONDS} s", args.join(" "));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output()?;
        if is_full && let Some(disk) = &self.disk {
            disk.free()?;
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_clean = !stderr.contains("panicked") && !stderr.contains("internal error");
        match output.status.code() {
            Some(0) => Ok(Ended::Finished),
            // By a signal, before the program handled it.
            None if is_running => Ok(Ended::Stopped),
            Some(130) if is_running && !is_killed && !is_full && is_clean => Ok(Ended::Stopped),
            Some(1 | 2) if is_full && is_clean => Ok(Ended::Stopped),
            _ => bail!("{}", describe(args, &output)),
        }
    }

    /// Checks that the finished run can be used for prediction and reports.
    fn check_usable(&self, run: &Path) -> Result<()> {
        let run = run.display().to_string();
        for args in [["summary", &run, "--quiet"], ["report", &run, "--quiet"]] {
            let output = self.command(&args).output()?;
            if !output.status.success() {
                bail!("{}", describe(&args.map(str::to_owned), &output));
            }
        }
        Ok(())
    }

    fn command(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.dir).env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
        command
    }

    fn run_dir(&self, case: &Case) -> PathBuf {
        match &self.disk {
            Some(disk) if case.is_on_small_disk => disk.path.join("run"),
            _ => self.dir.join("run"),
        }
    }

    /// Removes the directories of a case.
    fn clean(&self) -> Result<()> {
        let on_disk = self.disk.iter().map(|disk| disk.path.join("run"));
        for dir in [self.dir.join("expected"), self.dir.join("run")].into_iter().chain(on_disk) {
            if dir.exists() {
                fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
            }
        }
        Ok(())
    }

    /// Copies the run from the small disk, which ends with this process.
    fn preserve(&self, retained: &Path) -> Result<PathBuf> {
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.path.join("run").exists()) {
            Command::new("cp").arg("-r").arg(disk.path.join("run")).arg(retained.join("run")).output()?;
        }
        Ok(retained.to_path_buf())
    }
}

fn describe(args: &[String], output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let end: Vec<&str> = stderr.lines().rev().take(3).collect();
    let end: Vec<&str> = end.into_iter().rev().collect();
    format!("`faknow {}` ended with {}: {}", args.join(" "), output.status, end.join(" / "))
}
