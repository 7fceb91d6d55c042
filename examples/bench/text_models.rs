//! The linear model and encoders compared with scikit-learn and Hugging Face's library, run alternately.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::program::{Comparison, Execution, Programs, comparison, fastest_epoch, json, number, run};

/// Number of training batches that Hugging Face's program times.
const N_STEPS: &str = "25";

/// Number of training batches of about 32 texts that are measured.
const N_BATCHES: &str = "60";

impl Programs {
    /// Compares the models of texts besides TextCNN with Python programs, as far as Python has their packages.
    pub(crate) fn compare_text_models(&self, encoder: Option<&Path>) -> Result<Vec<Comparison>> {
        let Some(python) = &self.python else { return Ok(Vec::new()) };
        let mut comparisons = Vec::new();
        if has_packages(python, "sklearn")? {
            self.compare_linear(python, &mut comparisons)?;
        }
        match encoder {
            Some(encoder) if has_packages(python, "transformers")? => {
                self.compare_encoder(python, encoder, &mut comparisons)?;
            }
            Some(_) => {}
            None => println!("no encoder (`cargo xtask encoder minilm` fetches one): nothing is compared"),
        }
        Ok(comparisons)
    }

    /// Compares the linear model, from files to test scores, with scikit-learn, whose imports do not count.
    fn compare_linear(&self, python: &Path, comparisons: &mut Vec<Comparison>) -> Result<()> {
        let peer = self.shared.join("bench/sklearn_linear.py").to_string_lossy().into_owned();
        let root = self.shared.join("data").to_string_lossy().into_owned();
        for (set, data, metric) in [
            ("covid", self.covid(), "accuracy"),
            ("weibo21", self.weibo21(), "f1_macro"),
            ("liar", self.liar(), "accuracy"),
        ] {
            let args = [peer.clone(), root.clone(), set.to_owned()];
            let (mut values, mut peer_values) = (Vec::new(), Vec::new());
            for _ in 0..self.n_pairs.max(3) {
                let result = json(&run(python, &args)?.stdout)?;
                let parts = ["read_s", "fit_s", "predict_s"].map(|part| number(&result, part));
                let seconds: f64 = parts.into_iter().sum::<Result<f64>>()?;
                peer_values.push([seconds, number(&result, "rss_mb")?, number(&result, metric)?]);
                let train = ["train", "linear"].map(String::from).into_iter().chain(data.clone());
                let options = ["--threads", "2", "--out", &self.scratch("run"), "--json", "--quiet"];
                let train: Vec<String> = train.chain(options.map(String::from)).collect();
                let execution = self.faknow(&train)?;
                let startup = self.faknow(&["--version".into()])?.seconds;
                let score = number(&json(&execution.stdout)?["test"], metric)?;
                values.push([execution.seconds - startup, execution.peak_mib, score]);
            }
            let what = format!("training and testing a linear model, {set}");
            comparisons.push(comparison(&what, "scikit-learn", "s", &values, &peer_values, 0));
            comparisons.push(comparison("its peak memory", "scikit-learn", "MiB", &values, &peer_values, 1));
            let what = format!("its test {metric} (the ratio is scikit-learn's by ours)");
            comparisons.push(comparison(&what, "scikit-learn", "", &values, &peer_values, 2));
        }
        Ok(())
    }

    /// Compares fine-tuning, frozen features and prediction of an encoder with Hugging Face's library.
    fn compare_encoder(
        &self,
        python: &Path,
        encoder: &Path,
        comparisons: &mut Vec<Comparison>,
    ) -> Result<()> {
        let peer = self.shared.join("bench/hf_encoder.py").to_string_lossy().into_owned();
        let dir = encoder.to_string_lossy().into_owned();
        let peer = |mode: &str, steps: &str| -> Result<Execution> {
            let args = [&*peer, &*self.data("covid"), &*dir, mode, steps, "2"].map(String::from);
            run(python, &args)
        };
        let train = |options: &[&str]| -> Result<Execution> {
            let options = options.iter().map(|option| (*option).to_owned());
            let data = self.covid().into_iter().chain(["--encoder".to_owned(), dir.clone()]);
            let mut args = self.training("encoder", &data.collect::<Vec<_>>(), 1);
            args.extend(["--set".to_owned(), "text.max_length=128".to_owned()].into_iter().chain(options));
            self.faknow(&args)
        };
        let mut values = [Vec::new(), Vec::new()];
        let mut peer_values = Vec::new();
        let precisions = ["f32", "bf16"];
        for _ in 0..self.n_pairs {
            let execution = peer("finetune", N_STEPS)?;
            let result = json(&execution.stdout)?;
            let start = number(&result, "import_s")? + number(&result, "tokenize_s")?;
            peer_values.push([number(&result, "samples_per_s")?, number(&result, "rss_mb")?, start]);
            for (precision, values) in precisions.iter().zip(&mut values) {
                let batches = format!("trainer.limit_batches={N_BATCHES}");
                let precision = format!("model.precision={precision}");
                let execution = train(&["--set", &batches, "--set", &precision])?;
                let first = execution.first_batch.context("expected a log line about the first batch")?;
                values.push([self.samples_per_second()?, execution.peak_mib, first]);
            }
        }
        for (precision, values) in precisions.iter().zip(&values) {
            let what = format!("fine-tuning MiniLM, covid, {precision}");
            let of_peer = "Hugging Face, f32, fused AdamW";
            comparisons.push(comparison(&what, of_peer, "texts/s", values, &peer_values, 0));
            comparisons.push(comparison("its peak memory", "Hugging Face", "MiB", values, &peer_values, 1));
            let what = "startup to the first batch (imports and tokenization)";
            comparisons.push(comparison(what, "Hugging Face", "s", values, &peer_values, 2));
        }
        let (mut values, mut peer_values) = ([Vec::new(), Vec::new()], Vec::new());
        let mut speedups = Vec::new();
        for _ in 0..self.n_pairs {
            let result = json(&peer("frozen", "0")?.stdout)?;
            peer_values.push([number(&result, "samples_per_s")?, number(&result, "rss_mb")?]);
            let cache = self.scratch("cache");
            let _ = std::fs::remove_dir_all(&cache);
            let cache = format!("text.cache={cache}");
            for (precision, values) in precisions.iter().zip(&mut values) {
                let precision = format!("model.precision={precision}");
                let frozen =
                    ["model.tuning=frozen", &cache, &precision].map(|setting| ["--set", setting]).concat();
                let frozen = [&frozen[..], &["--epochs", "3", "--no-baseline"]].concat();
                // The second run finds the features of all texts in the cache, and differs in nothing else.
                let (first, second) = (train(&frozen)?, train(&frozen)?);
                let seconds = first.seconds - second.seconds;
                values.push([self.n_covid_texts()? / seconds, first.peak_mib]);
                let epoch = fastest_epoch(&second)?;
                speedups.push([(seconds + epoch) / epoch, 0.0]);
            }
        }
        for (precision, values) in precisions.iter().zip(&values) {
            let what = format!("frozen features of MiniLM, covid, {precision}");
            comparisons.push(comparison(&what, "Hugging Face, f32", "texts/s", values, &peer_values, 0));
            comparisons.push(comparison("its peak memory", "Hugging Face", "MiB", values, &peer_values, 1));
        }
        let ones: Vec<[f64; 2]> = speedups.iter().map(|_| [1.0, 0.0]).collect();
        let what = "frozen epoch, with features that are computed first or read from the cache";
        comparisons.push(comparison(what, "computed first", "x/s", &speedups, &ones, 0));
        self.compare_prediction(&peer, comparisons)
    }

    /// Compares the prediction of the test texts by the detector that was trained last.
    fn compare_prediction(
        &self,
        peer: &impl Fn(&str, &str) -> Result<Execution>,
        comparisons: &mut Vec<Comparison>,
    ) -> Result<()> {
        let (run_dir, output) = (self.scratch("run"), self.scratch("predictions.jsonl"));
        let input = format!("{}/test.csv", self.data("covid"));
        let args = ["predict", &run_dir, "--input", &input, "--output", &output, "--quiet"];
        let (mut values, mut peer_values) = (Vec::new(), Vec::new());
        for _ in 0..self.n_pairs {
            let result = json(&peer("predict", "0")?.stdout)?;
            let rate = number(&result, "samples_per_s")?;
            peer_values.push([rate, number(&result, "rss_mb")?]);
            let execution = self.faknow(&args.map(String::from))?;
            let n_texts = std::fs::read_to_string(&output)?.lines().count() as f64;
            values.push([n_texts / execution.seconds, execution.peak_mib]);
        }
        let what = "classifying with MiniLM, file to file, startup included";
        comparisons.push(comparison(
            what,
            "Hugging Face, prediction alone",
            "texts/s",
            &values,
            &peer_values,
            0,
        ));
        comparisons.push(comparison("its peak memory", "Hugging Face", "MiB", &values, &peer_values, 1));
        Ok(())
    }

    /// Returns the number of texts of all parts.
    fn n_covid_texts(&self) -> Result<f64> {
        let parts = ["train", "valid", "test"].map(|part| format!("{}/{part}.csv", self.data("covid")));
        let posts = parts.iter().map(|file| crate::load::n_posts(Path::new(file)));
        posts.sum::<Result<usize>>().map(|n| n as f64)
    }

    /// Returns the speed of the last training epoch, from the history of the run.
    fn samples_per_second(&self) -> Result<f64> {
        let history = std::fs::read_to_string(Path::new(&self.scratch("run")).join("history.jsonl"))?;
        let records = history.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let epoch = records.rev().find(|record| record["type"] == "epoch");
        let epoch = epoch.context("history.jsonl: expected a record of an epoch")?;
        Ok(number(&epoch, "samples")? / number(&epoch, "train_seconds")?)
    }
}

/// Returns whether Python has these packages; says it if not.
fn has_packages(python: &Path, packages: &str) -> Result<bool> {
    let import = format!("import {packages}");
    let status = Command::new(python).args(["-c", &import]).stderr(Stdio::null()).status()?;
    if !status.success() {
        println!("Python has no {packages}: skipping the comparison with it");
    }
    Ok(status.success())
}
