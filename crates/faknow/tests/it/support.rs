//! Small files of posts, and runs on them that take a moment.

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

/// A directory of its own, and the config of a tiny run on the files in it.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) config: Config,
}

impl Bench {
    /// With `train.csv` of these posts.
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
        config.data.train = Some(dir.path().join("train.csv"));
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

    /// Trains into the directory `run` with these settings besides.
    pub(crate) fn train(&self, run: &str, settings: &[&str]) -> Outcome {
        self.try_train(run, settings).unwrap()
    }

    pub(crate) fn try_train(&self, run: &str, settings: &[&str]) -> faknow::Result<Outcome> {
        let config = self.config.set_all(settings)?;
        train(&config, || RunDir::create(self.path(run)), Callbacks::default())
    }

    /// The words of a run's vocabulary, special ones left out.
    pub(crate) fn words(&self, run: &str) -> Vec<String> {
        let vocab = faknow::data::text::Vocab::load(self.path(run).join("vocab.txt")).unwrap();
        (2..vocab.len() as u32).map(|id| vocab.word(id).unwrap().to_owned()).collect()
    }

    /// The weights after the last epoch of a run.
    pub(crate) fn last_weights(&self, run: &str) -> BTreeMap<String, Tensor> {
        weights::read(&checkpoint(&self.path(run), "last")).unwrap()
    }
}

pub(crate) fn checkpoint(run: &Path, name: &str) -> PathBuf {
    run.join("checkpoints").join(name).join(WEIGHTS_FILE)
}

/// Posts of real and fake in turn, each with one word of its class and one that only it has.
pub(crate) fn posts(n: usize) -> Vec<(String, &'static str)> {
    const SHARED: [&str; 6] = ["rain", "mayor", "storm", "market", "bridge", "vote"];
    let post = |index: usize| {
        let (own, label) = if index.is_multiple_of(2) { ("officials", "real") } else { ("shocking", "fake") };
        let shared = (0..3 + index % 4).map(|place| SHARED[(index * 7 + place * 5) % SHARED.len()]);
        (format!("{} {own} only{index}", shared.collect::<Vec<_>>().join(" ")), label)
    };
    (0..n).map(post).collect()
}

pub(crate) fn csv(posts: &[(String, &str)]) -> String {
    let rows: String = posts.iter().map(|(text, label)| format!("{text},{label}\n")).collect();
    format!("text,label\n{rows}")
}

/// The largest difference between two tensors.
pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// The values of a column of a table of numbers, below its header.
pub(crate) fn column(table: &Path, name: &str) -> Vec<String> {
    let table = std::fs::read_to_string(table).unwrap();
    let mut lines = table.lines().map(|line| line.split(','));
    let column = lines.next().unwrap().position(|column| column == name).unwrap();
    lines.map(|mut row| row.nth(column).unwrap().to_owned()).collect()
}
