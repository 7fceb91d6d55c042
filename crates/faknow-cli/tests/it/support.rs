//! A directory with posts in it, and the program run there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A model that trains in milliseconds.
pub(crate) const TINY: [&str; 4] = ["--set", "model.embedding_size=8", "--set", "model.n_filters=4"];

/// Posts of real and fake in turn.
pub(crate) fn posts(n: usize, seed: u64) -> Vec<(String, &'static str)> {
    posts_of(&["real", "fake"], n, seed)
}

/// Posts of up to four classes in turn; each has a word of its own among those that all share.
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

/// Posts as CSV with the columns `id`, `tweet`, `label`.
pub(crate) fn csv(n: usize, seed: u64) -> String {
    let rows = posts(n, seed).into_iter().enumerate();
    let rows: String = rows.map(|(id, (text, label))| format!("{id},{text},{label}\n")).collect();
    format!("id,tweet,label\n{rows}")
}

/// Posts as JSON lines with `id`, `text`, `label`.
pub(crate) fn jsonl(posts: &[(String, &str)]) -> String {
    let line = |(id, (text, label))| json!({ "id": id, "text": text, "label": label }).to_string() + "\n";
    posts.iter().map(|(text, label)| (text, label)).enumerate().map(line).collect()
}

/// A directory of its own for each test, with `train.csv`, `valid.csv` and `test.csv`.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        for (name, n, seed) in [("train.csv", 80, 1), ("valid.csv", 20, 2), ("test.csv", 24, 3)] {
            bench.write(name, csv(n, seed));
        }
        bench
    }

    /// With a detector in the directory `run`, trained for two epochs.
    pub(crate) fn trained() -> Self {
        let bench = Self::new();
        bench.train(&["--valid", "valid.csv", "--out", "run"]);
        bench
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
    pub(crate) fn faknow(&self, args: &[&str]) -> Done {
        self.faknow_reading(args, "")
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn faknow_reading(&self, args: &[&str], input: &str) -> Done {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Done::new(args, &output)
    }

    /// The program, ready to run in the directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faknow"));
        command.args(args).current_dir(self.dir.path());
        // The models are so small that threads would only wait for each other.
        command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Trains a tiny model on `train.csv` for two epochs (`more` may say otherwise) and answers the JSON line.
    pub(crate) fn train(&self, more: &[&str]) -> Value {
        let train = ["--train", "train.csv", "--text", "tweet"];
        let train: &[&str] =
            if more.contains(&"--train") || more.contains(&"--config") { &[] } else { &train };
        let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
        let args = [&["train", "textcnn", "--json"][..], train, epochs, &TINY, more].concat();
        self.faknow(&args).json()
    }

    /// The program refuses: exit code 2 and one line that holds all of `parts`.
    pub(crate) fn refuses(&self, args: &[&str], parts: &[&str]) {
        self.faknow(args).refused(parts);
    }

    /// Training refuses, and leaves no run directory behind.
    pub(crate) fn train_refuses(&self, more: &[&str], parts: &[&str]) {
        let train: &[&str] = if more.contains(&"--train") { &[] } else { &["--train", "train.csv"] };
        let args =
            [&["train", "textcnn", "--text", "tweet", "--out", "refused"][..], train, &TINY, more].concat();
        self.refuses(&args, parts);
        assert!(!self.path("refused").exists(), "{args:?} made a run directory");
    }
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Done {
    args: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn new(args: &[&str], output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            args: args.join(" "),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// It went well; answers standard output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.args, self.stderr);
        self.stdout
    }

    /// It went well; answers the last line of standard output as JSON.
    pub(crate) fn json(self) -> Value {
        let stdout = self.ok();
        serde_json::from_str(stdout.lines().last().expect("a line of output")).expect("JSON")
    }

    /// It went well; answers every line of standard output as JSON.
    pub(crate) fn json_lines(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Exit code 2; what is said of it is one line that holds all of `parts`.
    pub(crate) fn refused(&self, parts: &[&str]) {
        let said = self.said();
        assert_eq!(self.code, Some(2), "{}\n{}", self.args, self.stderr);
        let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
        assert!(missing.is_empty(), "{}\n{said}\nlacks {missing:?}", self.args);
    }

    /// The one line that begins with `error:`, the last of standard error. Before it stand at most the lines of a
    /// log, no panic and no backtrace.
    pub(crate) fn said(&self) -> &str {
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

/// The names of all files below a directory, in order.
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

/// The keys of a JSON object.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}
