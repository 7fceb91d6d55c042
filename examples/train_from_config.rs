//! From a config file to predictions: trains, tests and saves a detector, then loads it and classifies texts.
//!
//! The `faknow` program does the same. Unknown settings in a config are errors that name the key.
//!
//! `cargo run -p faknow-examples --bin train_from_config`

use std::path::Path;
use std::{env, fs, process};

use anyhow::{Context as _, ensure};
use faknow::data::synth::{self, SynthOptions};
use faknow::prelude::*;
use faknow::train;

const CONFIG: &str = r#"
seed = 7
device = "cpu"

[data]
classes = ["real", "fake"]

[text]
min_count = 2

[loader]
batch_size = 25

[model]
name = "textcnn"
embedding_size = 32
n_filters = 16

[optimizer]
name = "adam"
lr = 0.003

[schedule]
name = "warmup_linear"
warmup_ratio = 0.1

[trainer]
epochs = 5
clip_norm = 1.0
monitor = "f1"

[early_stopping]
patience = 2
"#;

fn main() -> anyhow::Result<()> {
    let dir = env::temp_dir().join(format!("faknow-train-from-config-{}", process::id()));
    let result = train_and_use(&dir);
    fs::remove_dir_all(&dir).context("cannot remove the temporary directory")?;
    result
}

fn train_and_use(dir: &Path) -> anyhow::Result<()> {
    let [training, valid, test] =
        synth::write_jsonl(dir, &SynthOptions { n_samples: 800, ..SynthOptions::default() })?;
    let file = dir.join("textcnn.toml");
    fs::write(&file, CONFIG)?;

    // A config is plain data: read it from a file, change it with dotted keys as `--set` does, or set its fields.
    let mut config = Config::from_file(&file)?.set("trainer.epochs=4")?;
    config.data.train = Some(training.into());
    config.data.valid = Some(valid.into());
    config.data.test = Some(test.into());
    let unknown =
        Config::default().set("optimizer.learning_rate=0.1").err().context("an unknown key was accepted")?;
    println!("rejected: {unknown}");

    let outcome = train(&config, || RunDir::create(dir.join("run")), Callbacks::default())?;
    let tested = outcome.test.as_ref().context("the run has no test results")?;
    println!("{}\n\n{}", outcome.fit.stop_reason, tested.report);

    // A run directory contains everything that prediction needs and can be moved.
    let moved_run = dir.join("moved");
    fs::rename(&outcome.run, &moved_run)?;
    let detector = Detector::load(&moved_run, Device::Cpu)?;
    let texts =
        ["The figures are still preliminary, officials said.", "Share this now!!! They hide the truth!"];
    let predictions = detector.predict(&texts)?;
    for (text, prediction) in texts.iter().zip(&predictions) {
        println!("{prediction}, {} known tokens  {text}", prediction.known_tokens);
    }

    // The loaded detector is the one that was tested: same weights, vocabulary and scores.
    let reloaded = detector.test(dir.join("test.jsonl"), &config.data)?;
    ensure!(
        reloaded.evaluation.scores == tested.evaluation.scores,
        "the scores of the loaded detector differ"
    );
    ensure!(tested.evaluation.scores.value("accuracy") > Some(0.7), "the test accuracy is too low");
    ensure!(
        predictions[0].label() == Some("real") && predictions[1].label() == Some("fake"),
        "an obvious text is misclassified"
    );
    Ok(())
}
