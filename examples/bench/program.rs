//! The program `faknow` as its users run it, beside Python programs that do the same: in turn, each in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Row, middle};

/// Threads of either side.
const THREADS: &str = "2";

/// What is run.
pub(crate) struct Programs {
    /// The program `faknow`.
    pub(crate) faknow: PathBuf,
    /// The shared directory: `data/` with the data sets, `bench/` with the careful Python programs.
    pub(crate) shared: PathBuf,
    /// A Python that has PyTorch, if there is one.
    pub(crate) python: Option<PathBuf>,
    /// Pairs of runs of each comparison.
    pub(crate) n_pairs: usize,
}

/// One figure of ours beside the same of somebody else.
pub(crate) struct Comparison {
    pub(crate) what: String,
    pub(crate) peer: String,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// Median of the ratios of the pairs.
    pub(crate) ratio: f64,
    pub(crate) unit: &'static str,
}

/// What a run of a program was like.
struct Ran {
    output: String,
    seconds: f64,
    /// When the log said that the first batch is there.
    first_batch: Option<f64>,
    peak_mib: f64,
}

impl Programs {
    /// Everything that the program is measured by alone.
    pub(crate) fn alone(&self, rows: &mut Vec<Row>) -> Result<()> {
        let start = median(self.n_pairs * 3, || Ok(self.faknow(&["--version".into()])?.seconds))?;
        rows.push(("start and end of the program (loading libtorch)".into(), start, "s"));
        let train = self.textcnn(&self.covid(), 1);
        let first =
            median(self.n_pairs, || self.faknow(&train)?.first_batch.context("no first batch is logged"))?;
        rows.push(("from the start to the first batch, covid".into(), first, "s"));
        let run = self.scratch("run");
        let text = self.scratch("one.jsonl");
        std::fs::write(&text, "{\"tweet\": \"Aliens endorse the mayor\"}\n")?;
        let predict = ["predict", &run, "--input", &text, "--quiet"].map(String::from);
        let one = median(self.n_pairs * 3, || Ok(self.faknow(&predict)?.seconds))?;
        rows.push(("judging one text, from the start of the program to its end".into(), one, "s"));
        let weibo21 = median(self.n_pairs, || self.epoch(&self.textcnn(&self.weibo21(), 2)))?;
        rows.push(("training epoch of TextCNN, weibo21".into(), weibo21, "s"));
        Ok(())
    }

    /// Everything that others do too.
    pub(crate) fn beside_peers(&self) -> Result<Vec<Comparison>> {
        let Some(python) = &self.python else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let textcnn = self.shared.join("bench/torch_textcnn.py").to_string_lossy().into_owned();
        let covid = self.data("covid");
        let peers = [
            ("PyTorch, padded to 255 as FaKnow does", ["raw", "fixed", "default"]),
            ("Lightning", ["lightning", "dynamic", "default"]),
            ("PyTorch, padded to the batch", ["raw", "dynamic", "default"]),
            ("PyTorch, padded to the batch, fused Adam", ["raw", "dynamic", "fused"]),
        ];
        for (peer, mode) in peers {
            let args = [[textcnn.as_str(), &covid, "1"], mode].concat();
            let args: Vec<String> = args.into_iter().map(String::from).collect();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let other = run(python, &args)?;
                let answer = json(&other.output)?;
                theirs.push([number(&answer, "epoch_s")?, number(&answer, "rss_mb")?]);
                let ran = self.faknow(&self.textcnn(&self.covid(), 1))?;
                ours.push([smallest_epoch(&ran)?, ran.peak_mib]);
            }
            for (at, what, unit) in
                [(0, "training epoch of TextCNN, covid", "s"), (1, "peak memory of it", "MiB")]
            {
                found.push(compared(what, peer, unit, &ours, &theirs, at));
            }
        }
        self.beside_scripts(python, &mut found)?;
        self.beside_trees(python, &mut found)?;
        Ok(found)
    }

    /// Loading and judging, beside the small programs in this directory.
    fn beside_scripts(&self, python: &Path, found: &mut Vec<Comparison>) -> Result<()> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let script = |name: &str| here.join(name).to_string_lossy().into_owned();
        for (set, tokenizer) in [("covid", "alphanumeric"), ("weibo21", "jieba")] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let other = run(python, &[script("load.py"), self.data(set), set.to_owned()])?;
                theirs.push([number(&json(&other.output)?, "seconds")?]);
                ours.push([crate::load::seconds(Path::new(&self.data(set)), set)?]);
            }
            let what = format!("reading {set} and cutting it into words ({tokenizer})");
            found.push(compared(&what, "Python", "s", &ours, &theirs, 0));
        }
        let many = self.scratch("many.jsonl");
        crate::load::write_many(Path::new(&self.data("covid")), Path::new(&many))?;
        let (run_dir, judged) = (self.scratch("run"), self.scratch("judged.jsonl"));
        self.faknow(&self.textcnn(&self.covid(), 1))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.n_pairs {
            let other = run(python, &[script("predict.py"), run_dir.clone(), many.clone(), judged.clone()])?;
            let (answer, n) = (json(&other.output)?, crate::load::N_MANY as f64);
            theirs.push([n / number(&answer, "seconds")?, other.seconds]);
            let args =
                ["predict", &run_dir, "--input", &many, "--output", &judged, "--quiet"].map(String::from);
            let whole = self.faknow(&args)?.seconds;
            let start = self.faknow(&["--version".into()])?.seconds;
            ours.push([n / (whole - start), whole]);
        }
        let what = format!("judging {} posts from a file into another", crate::load::N_MANY);
        let rate = compared(&what, "PyTorch, batches of 256 by length", "posts/s", &ours, &theirs, 0);
        found.push(rate);
        found.push(compared(&(what + ", with start and imports"), "PyTorch", "s", &ours, &theirs, 1));
        Ok(())
    }

    fn beside_trees(&self, python: &Path, found: &mut Vec<Comparison>) -> Result<()> {
        let peer = self.shared.join("bench/pyg_trees.py").to_string_lossy().into_owned();
        let check = Command::new(python)
            .args(["-c", "import torch_geometric, sklearn"])
            .stderr(Stdio::null())
            .status()?;
        if !check.success() {
            println!("no PyTorch Geometric or scikit-learn: trees are not compared");
            return Ok(());
        }
        for (ours_name, theirs_name) in [("bigcn", "bigcn"), ("gcnfn", "gcnfn"), ("graphsage", "sage")] {
            let args = [&peer, &self.data("twitter16"), "0", "3", theirs_name, THREADS].map(String::from);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs {
                let answer = json(&run(python, &args)?.output)?;
                theirs.push([number(&answer, "epoch_s")?, number(&answer, "rss_mb")?]);
                let ran = self.faknow(&self.trees(ours_name, 8))?;
                ours.push([smallest_epoch(&ran)?, ran.peak_mib]);
            }
            let what = format!("training epoch of {ours_name}, Twitter16");
            found.push(compared(&what, "PyTorch Geometric", "s", &ours, &theirs, 0));
            found.push(compared("peak memory of it", "PyTorch Geometric", "MiB", &ours, &theirs, 1));
        }
        Ok(())
    }

    fn data(&self, set: &str) -> String {
        self.shared.join("data").join(set).to_string_lossy().into_owned()
    }

    fn scratch(&self, name: &str) -> String {
        let dir = std::env::temp_dir().join(format!("faknow-bench-{}", std::process::id()));
        let _ = std::fs::create_dir_all(&dir);
        dir.join(name).to_string_lossy().into_owned()
    }

    fn covid(&self) -> Vec<String> {
        self.parts("covid", "csv", &["--text", "tweet"])
    }

    fn weibo21(&self) -> Vec<String> {
        self.parts("weibo21", "jsonl", &["--language", "zh"])
    }

    fn parts(&self, set: &str, ending: &str, more: &[&str]) -> Vec<String> {
        let dir = self.data(set);
        let part = |name: &str| [format!("--{name}"), format!("{dir}/{name}.{ending}")];
        let classes = ["--classes", "real,fake"];
        ["train", "valid", "test"]
            .iter()
            .flat_map(|name| part(name))
            .chain(classes.iter().chain(more).map(|a| (*a).to_owned()))
            .collect()
    }

    fn textcnn(&self, data: &[String], n_epochs: usize) -> Vec<String> {
        self.training("textcnn", data, n_epochs)
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

    fn training(&self, model: &str, data: &[String], n_epochs: usize) -> Vec<String> {
        let run = self.scratch("run");
        let own =
            ["--epochs", &n_epochs.to_string(), "--threads", THREADS, "--out", &run, "--json", "--verbose"]
                .map(String::from);
        ["train".to_owned(), model.to_owned()].into_iter().chain(data.iter().cloned()).chain(own).collect()
    }

    fn epoch(&self, args: &[String]) -> Result<f64> {
        smallest_epoch(&self.faknow(args)?)
    }

    fn faknow(&self, args: &[String]) -> Result<Ran> {
        if args.first().is_some_and(|command| command == "train") {
            let _ = std::fs::remove_dir_all(self.scratch("run"));
        }
        run(&self.faknow, args)
    }

    /// Removes what the runs have left.
    pub(crate) fn clean_up(&self) {
        let dir = self.scratch("");
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// Runs a program to its end, and looks at its log and its memory meanwhile.
fn run(program: &Path, args: &[String]) -> Result<Ran> {
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
            if line.contains("the first batch is there") {
                first_batch.get_or_insert(start.elapsed().as_secs_f64());
            }
            lines += &line;
            lines.push('\n');
        }
        (first_batch, lines)
    });
    let answer = std::thread::spawn(move || {
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
    let output = answer.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    let (first_batch, lines) = log.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    ensure!(status.success(), "{} {}: {status}\n{lines}", program.display(), args.join(" "));
    Ok(Ran { output, seconds, first_batch, peak_mib })
}

/// The last line of an output as JSON.
fn json(output: &str) -> Result<Value> {
    let line = output.lines().last().context("the program wrote nothing")?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no number `{key}` in {value}"))
}

fn smallest_epoch(ran: &Ran) -> Result<f64> {
    let answer = json(&ran.output)?;
    let Some(seconds) = answer["epoch_seconds"].as_array() else { bail!("no `epoch_seconds` in {answer}") };
    seconds.iter().filter_map(Value::as_f64).min_by(f64::total_cmp).context("no epoch")
}

fn compared<const N: usize>(
    what: &str,
    peer: &str,
    unit: &'static str,
    ours: &[[f64; N]],
    theirs: &[[f64; N]],
    at: usize,
) -> Comparison {
    let column = |all: &[[f64; N]]| middle(&mut all.iter().map(|row| row[at]).collect::<Vec<_>>());
    let more_is_better = unit.ends_with("/s");
    let ratio = |(ours, theirs): (&[f64; N], &[f64; N])| match more_is_better {
        true => ours[at] / theirs[at],
        false => theirs[at] / ours[at],
    };
    let ratio = middle(&mut ours.iter().zip(theirs).map(ratio).collect::<Vec<_>>());
    let (ours, theirs) = (column(ours), column(theirs));
    // Long before the others are measured.
    println!("{what}: {peer} {theirs:.3} {unit}, ours {ours:.3} {unit}, {ratio:.2} times as good");
    Comparison { what: what.to_owned(), peer: peer.to_owned(), ours, theirs, ratio, unit }
}

fn median(n: usize, mut measured: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut values = (0..n).map(|_| measured()).collect::<Result<Vec<f64>>>()?;
    Ok(middle(&mut values))
}
