//! A temporary directory with posts, and the program run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A model that trains in milliseconds.
pub(crate) const TINY: [&str; 4] = ["--set", "model.embedding_size=8", "--set", "model.n_filters=4"];

/// Returns posts of the classes real and fake, alternating.
pub(crate) fn posts(n: usize, seed: u64) -> Vec<(String, &'static str)> {
    posts_of(&["real", "fake"], n, seed)
}

/// Returns posts of up to four classes, alternating; each class has one distinctive word among shared ones.
pub(crate) fn posts_of(classes: &[&'static str], n: usize, seed: u64) -> Vec<(String, &'static str)> {
    const SHARED: [&str; 8] = ["rain", "mayor", "storm", "market", "bridge", "doctor", "school", "vote"];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let post = |index: usize| {
        let mut words: Vec<&str> = (0..3 + draw(6)).map(|_| SHARED[draw(SHARED.len())]).collect();
        let class = index % classes.len();
        words.push(["officials", "shocking", "perhaps", "satire"][class]);
        (words.join(" "), classes[class])
    };
    (0..n).map(post).collect()
}

/// Returns posts as CSV with the columns `id`, `tweet`, `label`.
pub(crate) fn csv(n: usize, seed: u64) -> String {
    let rows = posts(n, seed).into_iter().enumerate();
    let rows: String = rows.map(|(id, (text, label))| format!("{id},{text},{label}\n")).collect();
    format!("id,tweet,label\n{rows}")
}

/// Returns posts as JSON lines with `id`, `text`, `label`.
pub(crate) fn jsonl(posts: &[(String, &str)]) -> String {
    let line = |(id, (text, label))| json!({ "id": id, "text": text, "label": label }).to_string() + "\n";
    posts.iter().map(|(text, label)| (text, label)).enumerate().map(line).collect()
}

/// A temporary directory with `train.csv`, `valid.csv` and `test.csv`, separate for each test.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        for (name, n, seed) in [("train.csv", 80, 1), ("valid.csv", 20, 2), ("test.csv", 24, 3)] {
            sandbox.write(name, csv(n, seed));
        }
        sandbox
    }

    /// Creates a sandbox with a detector in the directory `run`, trained for two epochs.
    pub(crate) fn trained() -> Self {
        let sandbox = Self::new();
        sandbox.train(&["--valid", "valid.csv", "--out", "run"]);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program in the directory.
    pub(crate) fn faknow(&self, args: &[&str]) -> CommandOutput {
        self.faknow_with_stdin(args, "")
    }

    /// Runs the program in the directory with this standard input.
    pub(crate) fn faknow_with_stdin(&self, args: &[&str], input: &str) -> CommandOutput {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        CommandOutput::new(args, &output)
    }

    /// Returns the command to run the program in the directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faknow"));
        command.args(args).current_dir(self.dir.path());
        // Threads do not speed up models this small.
        command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Trains a tiny model on `train.csv` for two epochs, unless `more` overrides this, and returns the JSON line.
    pub(crate) fn train(&self, more: &[&str]) -> Value {
        let train = ["--train", "train.csv", "--text", "tweet"];
        let train: &[&str] =
            if more.contains(&"--train") || more.contains(&"--config") { &[] } else { &train };
        let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
        let args = [&["train", "textcnn", "--json"][..], train, epochs, &TINY, more].concat();
        self.faknow(&args).json()
    }

    /// Asserts that the program exits with code 2 and one error line with all of `parts`.
    pub(crate) fn check_error(&self, args: &[&str], parts: &[&str]) {
        self.faknow(args).assert_error(parts);
    }

    /// Asserts the same for training, and that no run directory is left.
    pub(crate) fn check_train_error(&self, more: &[&str], parts: &[&str]) {
        let train: &[&str] = if more.contains(&"--train") { &[] } else { &["--train", "train.csv"] };
        let args =
            [&["train", "textcnn", "--text", "tweet", "--out", "rejected"][..], train, &TINY, more].concat();
        self.check_error(&args, parts);
        assert!(!self.path("rejected").exists(), "{args:?} created a run directory");
    }
}

/// Exit code and output of the program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    args: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    pub(crate) fn new(args: &[&str], output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            args: args.join(" "),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Asserts success and returns standard output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.args, self.stderr);
        self.stdout
    }

    /// Asserts success and returns the last line of standard output as JSON.
    pub(crate) fn json(self) -> Value {
        let stdout = self.ok();
        serde_json::from_str(stdout.lines().last().expect("a line of output")).expect("JSON")
    }

    /// Asserts success and returns all lines of standard output as JSON.
    pub(crate) fn json_lines(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Asserts exit code 2 and one error line with all of `parts`.
    pub(crate) fn assert_error(&self, parts: &[&str]) {
        let line = self.error_line();
        assert_eq!(self.code, Some(2), "{}\n{}", self.args, self.stderr);
        let missing: Vec<_> = parts.iter().filter(|part| !line.contains(**part)).collect();
        assert!(missing.is_empty(), "{}\n{line}\nlacks {missing:?}", self.args);
    }

    /// Returns the only line that starts with `error:`, the last of standard error. Only log lines may precede it, no panic
    /// and no backtrace.
    pub(crate) fn error_line(&self) -> &str {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error:")).count();
        assert_eq!(errors, 1, "{}\n{}", self.args, self.stderr);
        for word in ["panicked", "backtrace", "stack", "frame #", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(word), "{}\n{}", self.args, self.stderr);
        }
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: "), "{}\n{}", self.args, self.stderr);
        last
    }
}

/// Returns the names of all files below a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                names.push(path.strip_prefix(dir).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names
}

/// Waits until a condition holds, at most two minutes.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited two minutes for {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Sends a signal, by its name without `SIG`.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// Returns the keys of a JSON object.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}
