//! Small files of posts, and fast runs on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faknow::callbacks::Callbacks;
use faknow::model::weights;
use faknow::tch::Tensor;
use faknow::train::Outcome;
use faknow::trainer::{RunDir, WEIGHTS_FILE};
use faknow::{Config, train};
use tempfile::TempDir;

/// A temporary directory, and the config of a small run on its files.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) config: Config,
}

impl Bench {
    /// Creates a bench with these posts in `train.csv`.
    pub(crate) fn new(posts: &[(String, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = [
            "device=cpu",
            "threads=1",
            "model.embedding_size=8",
            "model.n_filters=4",
            "trainer.epochs=2",
            "loader.batch_size=10",
            "loader.workers=0",
        ];
        let mut config = Config::default().set_all(&settings).unwrap();
        config.data.train = Some(dir.path().join("train.csv").into());
        let bench = Self { dir, config };
        bench.write("train.csv", csv(posts));
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Trains in the directory `run` with additional settings.
    pub(crate) fn train(&self, run: &str, settings: &[&str]) -> Outcome {
        self.try_train(run, settings).unwrap()
    }

    pub(crate) fn try_train(&self, run: &str, settings: &[&str]) -> faknow::Result<Outcome> {
        let config = self.config.set_all(settings)?;
        train(&config, || RunDir::create(self.path(run)), Callbacks::default())
    }

    /// Returns the words of a run's vocabulary, without padding and the unknown word.
    pub(crate) fn words(&self, run: &str) -> Vec<String> {
        let vocab = faknow::data::text::Vocab::load(self.path(run).join("vocab.txt")).unwrap();
        (2..vocab.len() as u32).map(|id| vocab.word(id).unwrap().to_owned()).collect()
    }

    /// Returns the weights after the last epoch of a run.
    pub(crate) fn last_weights(&self, run: &str) -> BTreeMap<String, Tensor> {
        weights::read(&checkpoint(&self.path(run), "last")).unwrap()
    }
}

pub(crate) fn checkpoint(run: &Path, name: &str) -> PathBuf {
    run.join("checkpoints").join(name).join(WEIGHTS_FILE)
}

/// Returns posts with alternating labels real and fake. Each has a word of its class and a unique word.
pub(crate) fn posts(n: usize) -> Vec<(String, &'static str)> {
    const SHARED: [&str; 6] = ["rain", "mayor", "storm", "market", "bridge", "vote"];
    let post = |index: usize| {
        let (class_word, label) =
            if index.is_multiple_of(2) { ("officials", "real") } else { ("shocking", "fake") };
        let shared = (0..3 + index % 4).map(|word| SHARED[(index * 7 + word * 5) % SHARED.len()]);
        (format!("{} {class_word} only{index}", shared.collect::<Vec<_>>().join(" ")), label)
    };
    (0..n).map(post).collect()
}

pub(crate) fn csv(posts: &[(String, &str)]) -> String {
    let rows: String = posts.iter().map(|(text, label)| format!("{text},{label}\n")).collect();
    format!("text,label\n{rows}")
}

/// Returns the largest difference between two tensors.
pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Returns the values of a column of a CSV file.
pub(crate) fn column(table: &Path, name: &str) -> Vec<String> {
    let table = std::fs::read_to_string(table).unwrap();
    let mut lines = table.lines().map(|line| line.split(','));
    let column = lines.next().unwrap().position(|column| column == name).unwrap();
    lines.map(|mut row| row.nth(column).unwrap().to_owned()).collect()
}

/// Returns the files below a directory, relative to it.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let (mut names, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => names.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    names.sort();
    names
}
