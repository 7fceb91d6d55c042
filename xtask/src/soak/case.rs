//! Random cases: a small configuration, its data, and the settings that may change when its run is resumed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// Random numbers, a function of the seed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, case: u64) -> Self {
        Self(seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Returns whether an event of this probability in percent occurs.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A training that is run twice: once without interruptions, and once with them.
pub struct Case {
    /// The arguments of `faknow train` except for the directory and the number of epochs.
    pub train: Vec<String>,
    /// Number of epochs at the end.
    pub epochs: usize,
    /// Number of epochs of the first command: fewer, if the run is extended later.
    pub first_epochs: usize,
    /// Whether it is a model of texts, not of trees.
    is_text: bool,
    /// Whether the interrupted run is on the small disk.
    pub is_on_small_disk: bool,
}

/// Settings that may change in every resumed run without any effect on its results.
const FREE: &[&str] = &[
    "loader.workers=0",
    "loader.workers=2",
    "text.memory=0",
    "text.memory=64",
    "checkpoint.keep=0",
    "checkpoint.keep=3",
    "checkpoint.background=true",
    "checkpoint.background=false",
    "checkpoint.every=\"1 step\"",
    "checkpoint.every=\"3 steps\"",
    "checkpoint.every=\"1 epoch\"",
    "early_stopping.patience=90",
];

impl Case {
    /// Draws a case.
    pub fn new(random: &mut Random, has_small_disk: bool) -> Self {
        let is_text = random.chance(60);
        let model = if is_text { "textcnn" } else { *random.pick(&["upfd-gcn", "upfd-sage", "upfd-gat"]) };
        let files: &[&str] = match is_text {
            true => {
                &["--train", "train.csv", "--valid", "valid.csv", "--test", "test.csv", "--text", "tweet"]
            }
            false => &["--train", "trees.jsonl"],
        };
        let epochs = 2 + random.below(4);
        let is_extended = random.chance(30);
        let mut settings = vec![format!("loader.batch_size={}", 3 + random.below(8))];
        let mut set = |setting: String| settings.push(setting);
        if is_text {
            set("model.embedding_size=8".into());
            set("model.n_filters=4".into());
        }
        set(format!("optimizer.name={}", random.pick(&["adam", "adamw", "sgd", "rmsprop", "adagrad"])));
        set(format!("optimizer.lr={}", random.pick(&["0.01", "0.002"])));
        // Beyond the end, so that the run has the same length in every case.
        set("early_stopping.patience=50".into());
        let options = [
            "trainer.accumulate=2",
            "trainer.clip_norm=1.0",
            "trainer.validate_every=\"5 steps\"",
            "trainer.restore_best=false",
            "average={name=\"ema\", decay=0.9}",
            "checkpoint.best=2",
            "checkpoint.monitors=[\"loss\"]",
            "decision.threshold=f1",
            "loader.workers=1",
            "loader.balanced=true",
            "trainer.monitor=loss",
        ];
        for option in options {
            // The last epoch of a run is always validated, also if the run is extended later.
            let is_excluded = is_extended && option.starts_with("trainer.validate_every");
            if random.chance(20) && !is_excluded {
                set(option.into());
            }
        }
        // Those that depend on the length of the run differ from those of an extended one.
        let schedules: &[&str] = match is_extended {
            true => &["{name=\"plateau\", patience=0}", "{name=\"step\", step_size=2}"],
            false => &["{name=\"plateau\", patience=0}", "{name=\"cosine\"}", "{name=\"warmup_linear\"}"],
        };
        if random.chance(50) {
            set(format!("schedule={}", random.pick(schedules)));
        }
        set(format!("checkpoint.every={}", random.pick(&["\"1 step\"", "\"4 steps\"", "\"1 epoch\""])));
        let mut train: Vec<String> = ["train", model].iter().chain(files).map(ToString::to_string).collect();
        train.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        let seed = random.below(1000).to_string();
        train.extend(["--threads", "1", "--device", "cpu", "--json", "--seed", &seed].map(str::to_owned));
        let first_epochs = if is_extended { 1 + random.below(epochs - 1) } else { epochs };
        Self { train, epochs, first_epochs, is_text, is_on_small_disk: has_small_disk && random.chance(50) }
    }

    /// Returns settings that change in a resumed run.
    pub fn free_settings(&self, random: &mut Random) -> Vec<&'static str> {
        let n = [0, 0, 1, 2][random.below(4)];
        let settings = (0..n).map(|_| *random.pick(FREE));
        settings.filter(|setting| self.is_text || !setting.starts_with("text.")).collect()
    }
}

/// Writes the posts and trees of all cases into a directory.
pub fn write_data(dir: &Path) -> Result<()> {
    const SHARED: [&str; 8] = ["rain", "mayor", "storm", "market", "bridge", "doctor", "school", "vote"];
    let mut random = Random::new(1, 1);
    let mut text = |index: usize| {
        let mut words: Vec<&str> = (0..3 + random.below(6)).map(|_| *random.pick(&SHARED)).collect();
        // Some posts have the word of the other class.
        let class = (index + usize::from(random.chance(15))) % 2;
        words.push(["officials", "shocking"][class]);
        words.join(" ")
    };
    let label = |index: usize| ["real", "fake"][index % 2];
    for (name, n) in [("train.csv", 80), ("valid.csv", 20), ("test.csv", 24)] {
        let mut table = "tweet,label\n".to_owned();
        for index in 0..n {
            writeln!(table, "{},{}", text(index), label(index))?;
        }
        fs::write(dir.join(name), table)?;
    }
    let mut trees = String::new();
    for index in 0..90 {
        let reply = |id: usize, parent: usize, text: String| serde_json::json!({ "id": id.to_string(), "parent": parent.to_string(), "text": text });
        let mut nodes = vec![serde_json::json!({ "id": "0", "text": text(index) })];
        nodes.extend((1..2 + index % 4).map(|id| reply(id, id / 2, text(index))));
        writeln!(
            trees,
            "{}",
            serde_json::json!({ "id": index.to_string(), "label": label(index), "nodes": nodes })
        )?;
    }
    Ok(fs::write(dir.join("trees.jsonl"), trees)?)
}
