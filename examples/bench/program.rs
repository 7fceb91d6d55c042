//! The `faknow` program compared with equivalent Python programs, run alternately in separate processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Row, median};

/// Number of threads of each program.
const THREADS: &str = "2";

/// The log line of `faknow train --verbose` when the first batch is ready.
const FIRST_BATCH: &str = "the first batch is loaded";

/// The programs to run.
pub(crate) struct Programs {
    /// The `faknow` program.
    pub(crate) faknow: PathBuf,
    /// The shared directory: `data/` with the datasets, `bench/` with the tuned Python programs.
    pub(crate) shared: PathBuf,
    /// A Python with PyTorch, if available.
    pub(crate) python: Option<PathBuf>,
    /// Number of pairs of runs per comparison.
    pub(crate) n_pairs: usize,
}

/// A measurement of `faknow` and of another program.
pub(crate) struct Comparison {
    pub(crate) what: String,
    pub(crate) peer: String,
    pub(crate) value: f64,
    pub(crate) peer_value: f64,
    /// Median of the pairwise ratios; more than 1 means that `faknow` is better.
    pub(crate) ratio: f64,
    /// The smallest and the largest of the pairwise ratios.
    pub(crate) range: [f64; 2],
    pub(crate) unit: &'static str,
}

/// A finished run of a program.
pub(crate) struct Execution {
    pub(crate) stdout: String,
    pub(crate) seconds: f64,
    /// Seconds until the log line [`FIRST_BATCH`].
    pub(crate) first_batch: Option<f64>,
    pub(crate) peak_mib: f64,
}

impl Programs {
    /// Measures the `faknow` program without comparison.
    pub(crate) fn measure(&self, rows: &mut Vec<Row>) -> Result<()> {
        let start = repeat(self.n_pairs * 3, || Ok(self.faknow(&["--version".into()])?.seconds))?;
        rows.push(("startup and exit of the program (loading libtorch)".into(), start, "s"));
        let train = self.textcnn(&self.covid(), 1);
        let first = repeat(self.n_pairs, || {
            self.faknow(&train)?
                .first_batch
                .with_context(|| format!("log of faknow: expected a line `{FIRST_BATCH}`"))
        })?;
        rows.push(("startup to the first batch, covid".into(), first, "s"));
        let run = self.scratch("run");
        let text = self.scratch("one.jsonl");
        std::fs::write(&text, "{\"tweet\": \"Aliens endorse the mayor\"}\n")?;
        let predict = ["predict", &run, "--input", &text, "--quiet"].map(String::from);
        let one = repeat(self.n_pairs * 3, || Ok(self.faknow(&predict)?.seconds))?;
        rows.push(("classifying one text, including startup and exit".into(), one, "s"));
        let weibo21 = repeat(self.n_pairs, || self.epoch(&self.textcnn(&self.weibo21(), 2)))?;
        rows.push(("training epoch of TextCNN, weibo21".into(), weibo21, "s"));
        Ok(())
    }

    /// Compares `faknow` with Python programs; returns nothing without Python.
    pub(crate) fn compare(&self) -> Result<Vec<Comparison>> {
        let Some(python) = &self.python else { return Ok(Vec::new()) };
        let mut comparisons = Vec::new();
        let textcnn = self.shared.join("bench/torch_textcnn.py").to_string_lossy().into_owned();
        let covid = self.data("covid");
        let peers = [
            ("PyTorch, padded to 255 as in FaKnow", ["raw", "fixed", "default"]),
            ("Lightning", ["lightning", "dynamic", "default"]),
            ("PyTorch, padded to the batch", ["raw", "dynamic", "default"]),
            ("PyTorch, padded to the batch, fused Adam", ["raw", "dynamic", "fused"]),
        ];
        for (peer, mode) in peers {
            let args = [[textcnn.as_str(), &covid, "1"], mode].concat();
            let args: Vec<String> = args.into_iter().map(String::from).collect();
            let (mut values, mut peer_values) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let result = json(&run(python, &args)?.stdout)?;
                peer_values.push([number(&result, "epoch_s")?, number(&result, "rss_mb")?]);
                let execution = self.faknow(&self.textcnn(&self.covid(), 1))?;
                values.push([fastest_epoch(&execution)?, execution.peak_mib]);
            }
            for (column, what, unit) in
                [(0, "training epoch of TextCNN, covid", "s"), (1, "its peak memory", "MiB")]
            {
                comparisons.push(comparison(what, peer, unit, &values, &peer_values, column));
            }
        }
        self.compare_scripts(python, &mut comparisons)?;
        self.compare_trees(python, &mut comparisons)?;
        Ok(comparisons)
    }

    /// Compares loading and prediction with the Python programs in this directory.
    fn compare_scripts(&self, python: &Path, comparisons: &mut Vec<Comparison>) -> Result<()> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let script = |name: &str| directory.join(name).to_string_lossy().into_owned();
        for (set, tokenizer) in [("covid", "alphanumeric"), ("weibo21", "jieba")] {
            let (mut values, mut peer_values) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let execution = run(python, &[script("load.py"), self.data(set), set.to_owned()])?;
                peer_values.push([number(&json(&execution.stdout)?, "seconds")?]);
                values.push([crate::load::seconds(Path::new(&self.data(set)), set)?]);
            }
            let what = format!("reading and tokenizing {set} ({tokenizer})");
            comparisons.push(comparison(&what, "Python", "s", &values, &peer_values, 0));
        }
        let posts = self.scratch("posts.jsonl");
        crate::load::write_posts(Path::new(&self.data("covid")), Path::new(&posts))?;
        let (run_dir, predictions) = (self.scratch("run"), self.scratch("predictions.jsonl"));
        self.faknow(&self.textcnn(&self.covid(), 1))?;
        let (mut values, mut peer_values) = (Vec::new(), Vec::new());
        for _ in 0..self.n_pairs {
            let execution =
                run(python, &[script("predict.py"), run_dir.clone(), posts.clone(), predictions.clone()])?;
            let (result, n) = (json(&execution.stdout)?, crate::load::N_POSTS as f64);
            peer_values.push([n / number(&result, "seconds")?, execution.seconds]);
            let args = ["predict", &run_dir, "--input", &posts, "--output", &predictions, "--quiet"]
                .map(String::from);
            let total = self.faknow(&args)?.seconds;
            let startup = self.faknow(&["--version".into()])?.seconds;
            values.push([n / (total - startup), total]);
        }
        let what = format!("classifying {} posts from file to file", crate::load::N_POSTS);
        let peer = "PyTorch, batches of 256 by length";
        comparisons.push(comparison(&what, peer, "posts/s", &values, &peer_values, 0));
        comparisons.push(comparison(
            &(what + ", with startup and imports"),
            "PyTorch",
            "s",
            &values,
            &peer_values,
            1,
        ));
        Ok(())
    }

    /// Compares training on propagation trees with PyTorch Geometric.
    fn compare_trees(&self, python: &Path, comparisons: &mut Vec<Comparison>) -> Result<()> {
        let peer = self.shared.join("bench/pyg_trees.py").to_string_lossy().into_owned();
        let check = Command::new(python)
            .args(["-c", "import torch_geometric, sklearn"])
            .stderr(Stdio::null())
            .status()?;
        if !check.success() {
            println!("PyTorch Geometric or scikit-learn is not installed: skipping the comparison on trees");
            return Ok(());
        }
        for (model, pyg_model) in [("bigcn", "bigcn"), ("gcnfn", "gcnfn"), ("graphsage", "sage")] {
            let args = [&peer, &self.data("twitter16"), "0", "3", pyg_model, THREADS].map(String::from);
            let (mut values, mut peer_values) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let result = json(&run(python, &args)?.stdout)?;
                peer_values.push([number(&result, "epoch_s")?, number(&result, "rss_mb")?]);
                let execution = self.faknow(&self.trees(model, 8))?;
                values.push([fastest_epoch(&execution)?, execution.peak_mib]);
            }
            let what = format!("training epoch of {model}, Twitter16");
            comparisons.push(comparison(&what, "PyTorch Geometric", "s", &values, &peer_values, 0));
            comparisons.push(comparison(
                "its peak memory",
                "PyTorch Geometric",
                "MiB",
                &values,
                &peer_values,
                1,
            ));
        }
        Ok(())
    }

    pub(crate) fn data(&self, set: &str) -> String {
        self.shared.join("data").join(set).to_string_lossy().into_owned()
    }

    pub(crate) fn scratch(&self, name: &str) -> String {
        let dir = std::env::temp_dir().join(format!("faknow-bench-{}", std::process::id()));
        let _ = std::fs::create_dir_all(&dir);
        dir.join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn covid(&self) -> Vec<String> {
        self.parts("covid", "csv", &["--text", "tweet"])
    }

    pub(crate) fn weibo21(&self) -> Vec<String> {
        self.parts("weibo21", "jsonl", &["--language", "zh"])
    }

    pub(crate) fn liar(&self) -> Vec<String> {
        let dir = self.data("liar");
        let part = |name: &str| [format!("--{name}"), format!("{dir}/{name}.tsv")];
        let classes = "pants-fire,false,barely-true,half-true,mostly-true,true";
        let options = ["--no-header", "--no-quotes", "--text", "3", "--label", "2", "--classes", classes];
        ["train", "valid", "test"]
            .iter()
            .flat_map(|name| part(name))
            .chain(options.iter().map(|a| (*a).to_owned()))
            .collect()
    }

    fn parts(&self, set: &str, extension: &str, options: &[&str]) -> Vec<String> {
        let dir = self.data(set);
        let part = |name: &str| [format!("--{name}"), format!("{dir}/{name}.{extension}")];
        let classes = ["--classes", "real,fake"];
        ["train", "valid", "test"]
            .iter()
            .flat_map(|name| part(name))
            .chain(classes.iter().chain(options).map(|a| (*a).to_owned()))
            .collect()
    }

    /// Returns the arguments that train TextCNN on words, which the Python programs read, too.
    fn textcnn(&self, data: &[String], n_epochs: usize) -> Vec<String> {
        let words = ["--set", "text.punctuation=false"].map(String::from);
        self.training("textcnn", data, n_epochs).into_iter().chain(words).collect()
    }

    fn trees(&self, model: &str, n_epochs: usize) -> Vec<String> {
        let dir = self.data("twitter16");
        let data = [
            "--trees",
            &format!("{dir}/data.TD_RvNN.vol_5000.txt"),
            "--labels",
            &format!("{dir}/Twitter16_label_All.txt"),
            "--train-ids",
            &format!("{dir}/folds/fold0.train.txt"),
            "--test-ids",
            &format!("{dir}/folds/fold0.test.txt"),
            "--classes",
            "non-rumor,false,true,unverified",
            "--valid-fraction",
            "0",
        ];
        self.training(model, &data.map(String::from), n_epochs)
    }

    pub(crate) fn training(&self, model: &str, data: &[String], n_epochs: usize) -> Vec<String> {
        let run = self.scratch("run");
        let options =
            ["--epochs", &n_epochs.to_string(), "--threads", THREADS, "--out", &run, "--json", "--verbose"]
                .map(String::from);
        ["train".to_owned(), model.to_owned()]
            .into_iter()
            .chain(data.iter().cloned())
            .chain(options)
            .collect()
    }

    fn epoch(&self, args: &[String]) -> Result<f64> {
        fastest_epoch(&self.faknow(args)?)
    }

    pub(crate) fn faknow(&self, args: &[String]) -> Result<Execution> {
        if args.first().is_some_and(|command| command == "train") {
            let _ = std::fs::remove_dir_all(self.scratch("run"));
        }
        run(&self.faknow, args)
    }

    /// Removes the files of all runs.
    pub(crate) fn clean_up(&self) {
        let dir = self.scratch("");
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// Runs a program to completion while it monitors the log and the memory.
pub(crate) fn run(program: &Path, args: &[String]) -> Result<Execution> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.args(args).env("OMP_NUM_THREADS", THREADS).current_dir(std::env::temp_dir());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{}", program.display()))?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (stdout, stderr) = (child.stdout.take().context("stdout")?, child.stderr.take().context("stderr")?);
    let log = std::thread::spawn(move || {
        let (mut first_batch, mut lines) = (None, String::new());
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains(FIRST_BATCH) {
                first_batch.get_or_insert(start.elapsed().as_secs_f64());
            }
            lines += &line;
            lines.push('\n');
        }
        (first_batch, lines)
    });
    let stdout = std::thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(stdout).read_to_string(&mut text).map(|_| text)
    });
    let mut peak_mib = 0.0f64;
    let status = loop {
        peak_mib = peak_mib.max(crate::peak_memory_mib_in(&status_file));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let stdout = stdout.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    let (first_batch, lines) = log.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    ensure!(status.success(), "{} {}: {status}\n{lines}", program.display(), args.join(" "));
    Ok(Execution { stdout, seconds, first_batch, peak_mib })
}

/// Parses the last line of an output as JSON.
pub(crate) fn json(output: &str) -> Result<Value> {
    let line = output.lines().last().context("the output of the program is empty")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

pub(crate) fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("expected a number `{key}`, got {value}"))
}

pub(crate) fn fastest_epoch(execution: &Execution) -> Result<f64> {
    let result = json(&execution.stdout)?;
    let Some(seconds) = result["epoch_seconds"].as_array() else {
        bail!("expected an array `epoch_seconds`, got {result}")
    };
    seconds.iter().filter_map(Value::as_f64).min_by(f64::total_cmp).context("`epoch_seconds` is empty")
}

pub(crate) fn comparison<const N: usize>(
    what: &str,
    peer: &str,
    unit: &'static str,
    values: &[[f64; N]],
    peer_values: &[[f64; N]],
    column: usize,
) -> Comparison {
    let median_of = |rows: &[[f64; N]]| median(&mut rows.iter().map(|row| row[column]).collect::<Vec<_>>());
    let more_is_better = unit.ends_with("/s");
    let ratio = |(values, peer_values): (&[f64; N], &[f64; N])| match more_is_better {
        true => values[column] / peer_values[column],
        false => peer_values[column] / values[column],
    };
    let mut ratios: Vec<f64> = values.iter().zip(peer_values).map(ratio).collect();
    let ratio = median(&mut ratios);
    let range =
        [ratios.iter().copied().fold(f64::INFINITY, f64::min), ratios.iter().copied().fold(0.0, f64::max)];
    let (value, peer_value) = (median_of(values), median_of(peer_values));
    // Shows progress: the complete report takes long.
    println!("{what}: {peer} {peer_value:.3} {unit}, faknow {value:.3} {unit}, ratio {ratio:.2}");
    Comparison { what: what.to_owned(), peer: peer.to_owned(), value, peer_value, ratio, range, unit }
}

/// Returns the median of `n` measurements.
fn repeat(n: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut values = (0..n).map(|_| measure()).collect::<Result<Vec<f64>>>()?;
    Ok(median(&mut values))
}
