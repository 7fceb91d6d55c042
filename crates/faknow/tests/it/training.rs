//! What the settings of a run do to the training.

use std::sync::{Arc, Mutex};

use faknow::callbacks::{Callback, Callbacks, Flow, HookResult, Phase, Run};
use faknow::metrics::{EpochRecord, Evaluation};
use faknow::models::Registry;
use faknow::tch::{Kind, Tensor};
use faknow::train;
use faknow::trainer::{FinalWeights, RunDir};

use crate::support::{Bench, column, distance, posts};

/// All of the file is for training, and nothing but the learning rate moves the weights.
const PLAIN: [&str; 4] = ["data.split=[1, 0, 0]", "optimizer.name=sgd", "optimizer.lr=1", "trainer.epochs=1"];

fn largest_step(bench: &Bench, run: &str, settings: &[&str]) -> (f64, f64) {
    bench.train(run, &[&PLAIN[..], settings].concat());
    let still = format!("{run}-still");
    bench.train(&still, &[&PLAIN[..], settings, &["optimizer.lr=0"]].concat());
    let (before, after) = (bench.last_weights(&still), bench.last_weights(run));
    let steps: Vec<Tensor> = before.iter().map(|(name, tensor)| &after[name] - tensor).collect();
    let largest = steps.iter().map(|step| step.abs().max().double_value(&[])).fold(0.0, f64::max);
    let norm = steps.iter().map(|step| step.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
    (largest, norm)
}

#[test]
fn gradients_are_clipped_by_norm_or_by_value() {
    // One batch, so one step of SGD with a rate of 1: the weights move by just the clipped gradient.
    let bench = Bench::new(&posts(40));
    let one = "loader.batch_size=40";
    let (largest, norm) = largest_step(&bench, "free", &[one]);
    assert!(norm > 0.01 && largest > 0.001, "{largest} {norm}");
    let (_, clipped) = largest_step(&bench, "norm", &[one, "trainer.clip_norm=0.001"]);
    assert!((clipped - 0.001).abs() < 1e-5, "{clipped}");
    let (clipped, _) = largest_step(&bench, "value", &[one, "trainer.clip_value=0.0001"]);
    assert!((clipped - 0.0001).abs() < 1e-6, "{clipped}");
    let (_, same) = largest_step(&bench, "loose", &[one, "trainer.clip_norm=1000"]);
    assert_eq!(same, norm, "a bound that is not reached changes nothing");
    let reported = |run: &str| {
        column(&bench.path(&format!("{run}/metrics.csv")), "grad_norm")[0].parse::<f64>().unwrap()
    };
    assert!((reported("free") - norm).abs() < 1e-4);
    assert_eq!(reported("norm"), reported("free"), "what is reported is the norm before clipping");
}

#[test]
fn drop_last_leaves_out_the_batch_that_is_not_full() {
    let bench = Bench::new(&posts(45));
    let steps = |run: &str, drop: &str| {
        let outcome = bench.train(run, &["data.split=[1, 0, 0]", "loader.batch_size=10", drop]);
        let last = outcome.fit.history.epochs.last().unwrap();
        (last.step, last.samples)
    };
    assert_eq!(steps("all", "loader.drop_last=false"), (10, 90));
    assert_eq!(steps("full", "loader.drop_last=true"), (8, 80));
}

#[test]
fn balanced_draws_help_a_rare_class() {
    let bench = Bench::new(&few_fakes());
    let recall = |run: &str, balanced: &str| {
        let settings = [
            "data.split=[0.5, 0.25, 0.25]",
            "trainer.epochs=4",
            "optimizer.lr=0.01",
            "trainer.restore_best=false",
        ];
        let outcome = bench.train(run, &[&settings[..], &[balanced]].concat());
        let samples = outcome.fit.history.epochs[0].samples;
        assert_eq!(samples, 55, "an epoch has as many draws as samples");
        outcome.valid.unwrap().1.scores().value("recall").unwrap()
    };
    let (as_they_are, balanced) =
        (recall("plain", "loader.balanced=false"), recall("balanced", "loader.balanced=true"));
    assert!(as_they_are < 0.2 && balanced > 0.8, "{as_they_are} {balanced}");
}

/// Two hundred posts, of which few are fake.
fn few_fakes() -> Vec<(String, &'static str)> {
    let rare = posts(200).into_iter().enumerate().filter(|(i, (_, label))| *label == "real" || i % 20 == 1);
    rare.map(|(_, post)| post).collect()
}

#[test]
fn balanced_class_weights_are_those_of_the_training_labels_and_help_a_rare_class() {
    let bench = Bench::new(&few_fakes());
    let train = |run: &str, loss: &[&str]| {
        let settings = ["data.split=[0.5, 0.25, 0.25]", "trainer.epochs=6", "optimizer.lr=0.02"];
        let outcome = bench.train(run, &[&settings[..], &["trainer.restore_best=false"], loss].concat());
        outcome.valid.unwrap().1.scores().value("recall").unwrap()
    };
    let (plain, balanced) = (train("plain", &[]), train("balanced", &["loss.class_weights=balanced"]));
    assert!(plain < 0.2 && balanced > 0.8, "{plain} {balanced}");
    // Half of 100 and half of 10: 50 and 5 of 55.
    train("given", &[&format!("loss.class_weights=[{}, {}]", 55.0 / (2.0 * 50.0), 55.0 / (2.0 * 5.0))]);
    assert_eq!(bench.last_weights("balanced"), bench.last_weights("given"));
}

#[test]
fn word_vectors_are_trained_under_attack() {
    let bench = Bench::new(&posts(40));
    let outcome = bench.train("run", &["adversarial.name=pgd", "loss.label_smoothing=0.1"]);
    for record in &outcome.fit.history.epochs {
        let value = |name: &str| record.train.value(name).unwrap();
        let (clean, adversarial) = (value("loss/clean"), value("loss/adversarial"));
        assert!(adversarial > clean && (value("loss") - clean - adversarial).abs() < 1e-6, "{record:?}");
    }
    let refused = |settings: &[&str]| {
        let error = bench.try_train("refused", settings).unwrap_err();
        assert!(error.is_input() && !bench.path("refused").exists());
        let message = error.to_string();
        let expected = "`adversarial.pattern`: expected a pattern that matches a trainable parameter";
        assert!(message.starts_with(expected), "{message}");
    };
    refused(&["adversarial={ name = 'fgm', pattern = 'bert.*' }"]);
    refused(&["adversarial.name=pgd", "model.freeze_embedding=true"]);
}

#[test]
fn pretrained_vectors_are_the_first_weights_and_stay_if_frozen() {
    let bench = Bench::new(&posts(40));
    let vectors = bench.write("words.vec", "3 3\nrain 1 2 3\nshocking -1 0 0.5\nabsent 9 9 9\n");
    let vectors = format!("text.vectors='{}'", vectors.display());
    let row = |run: &str, word: &str| {
        let place = bench.words(run).iter().position(|w| w == word).unwrap() as i64 + 2;
        bench.last_weights(run)["word_embedding.weight"].get(place)
    };
    let expected = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]);
    bench.train("frozen", &[&vectors, "model.freeze_embedding=true", "optimizer.lr=0.1"]);
    assert_eq!(row("frozen", "rain"), expected);
    assert_eq!(row("frozen", "shocking"), Tensor::from_slice(&[-1.0_f32, 0.0, 0.5]));
    bench.train("free", &[&vectors, "optimizer.lr=0.1"]);
    assert!(distance(&row("free", "rain"), &expected) > 0.01, "free vectors are trained");
    // The size of the vectors is the model's, whatever was set, and the saved detector needs the file no more.
    let config = faknow::Config::from_file(&bench.path("frozen/config.toml")).unwrap();
    assert_eq!(config.model.hyperparameters["embedding_size"].as_integer(), Some(3));
    std::fs::remove_file(bench.path("words.vec")).unwrap();
    let detector = faknow::Detector::load(&bench.path("frozen"), faknow::tch::Device::Cpu).unwrap();
    assert_eq!(detector.predict(&["rain and storm"]).unwrap().len(), 1);
}

#[test]
fn the_best_epoch_is_the_detectors_and_its_scores_are_those_of_that_epoch() {
    let bench = Bench::new(&posts(80));
    let settings = ["trainer.epochs=6", "trainer.monitor=loss", "optimizer.lr=0.1"];
    let outcome = bench.train("best", &settings);
    let best = outcome.fit.best.as_ref().unwrap();
    assert_eq!(outcome.fit.weights, FinalWeights::Best);
    let losses: Vec<f64> =
        outcome.fit.history.epochs.iter().map(|r| r.valid.as_ref().unwrap().value("loss").unwrap()).collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!((best.value, losses[best.epoch - 1]), (lowest, lowest), "{losses:?}");
    let (evaluation, report) = outcome.valid.as_ref().unwrap();
    let record = outcome.fit.history.epochs[best.epoch - 1].valid.as_ref().unwrap();
    assert_eq!(evaluation.scores.value("loss"), record.value("loss"));
    for name in ["accuracy", "f1_macro", "roc_auc", "log_loss"] {
        assert_eq!(report.scores().value(name), record.value(name), "{name}");
    }
    let last = bench.train("last", &[&settings[..], &["trainer.restore_best=false"]].concat());
    assert_eq!(last.fit.weights, FinalWeights::Last);
    let record = last.fit.history.epochs.last().unwrap().valid.as_ref().unwrap();
    assert_eq!(last.valid.unwrap().0.scores.value("loss"), record.value("loss"));
}

#[test]
fn early_stopping_may_watch_another_value_than_the_best_epoch() {
    let bench = Bench::new(&posts(40));
    let settings = ["trainer.epochs=20", "optimizer.lr=0", "early_stopping.patience=3", "trainer.monitor=f1"];
    let outcome = bench.train("run", &[&settings[..], &["early_stopping.monitor=log_loss"]].concat());
    assert_eq!(outcome.fit.history.epochs.len(), 4);
    assert_eq!(outcome.fit.stop_reason.to_string(), "log_loss did not improve in 3 validations");
    assert_eq!(outcome.fit.best.unwrap().monitor, "f1");
}

#[test]
fn weights_are_frozen_by_name_for_as_long_as_is_said() {
    let bench = Bench::new(&posts(40));
    let moved = |run: &str, settings: &[&str]| -> Vec<String> {
        bench.train(run, &[&PLAIN[..], &["trainer.epochs=2"], settings].concat());
        let still = bench.last_weights("still");
        let after = bench.last_weights(run).into_iter().filter(|(name, weight)| *weight != still[name]);
        after.map(|(name, _)| name).collect()
    };
    bench.train("still", &[&PLAIN[..], &["optimizer.lr=0"]].concat());
    let all: Vec<String> = bench.last_weights("still").into_keys().collect();
    assert_eq!(moved("free", &[]), all);
    let classifier = ["classifier.1.bias", "classifier.1.weight"];
    let frozen = "freeze=[{ pattern = 'text_ccn_layer.*', until = '1 epoch' }, { pattern = 'word_*' }]";
    assert_eq!(moved("one-epoch", &[frozen, "trainer.epochs=1"]), classifier);
    let without_words: Vec<_> = all.iter().filter(|name| *name != "word_embedding.weight").cloned().collect();
    assert_eq!(moved("two-epochs", &[frozen]), without_words);

    let wrong = "freeze=[{ pattern = 'word_embeddings.*' }]";
    let error = bench.try_train("wrong", &[wrong]).unwrap_err();
    assert!(error.is_input() && !bench.path("wrong").exists(), "{error:?}");
    let error = error.to_string();
    assert!(
        error.starts_with("`freeze.pattern`: expected a pattern that matches a weight (classifier.1.bias, "),
        "{error}"
    );
    assert!(error.ends_with("word_embedding.weight), got `word_embeddings.*`"), "{error}");
}

#[test]
fn a_run_that_is_good_enough_or_hopeless_ends_at_once() {
    let bench = Bench::new(&posts(40));
    let ended = |run: &str, settings: &[&str]| {
        let outcome = bench.train(run, &[&["trainer.epochs=5", "trainer.monitor=loss"], settings].concat());
        (outcome.fit.history.epochs.len(), outcome.fit.stop_reason.code())
    };
    assert_eq!(ended("good", &["early_stopping.stopping_threshold=100"]), (1, "reached"));
    assert_eq!(ended("bad", &["early_stopping.divergence_threshold=0"]), (1, "diverged"));
    let late = ["early_stopping.divergence_threshold=0", "early_stopping.start_from_epoch=4"];
    assert_eq!(ended("late", &late), (4, "diverged"));
}

/// Notes what it is told.
struct Notes(Arc<Mutex<Vec<String>>>);

impl Callback for Notes {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        self.0.lock().unwrap().push(format!("start {}", run.hyperparameters()["model.n_filters"]));
        Ok(())
    }

    fn on_epoch_end(&mut self, _: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        self.0.lock().unwrap().push(format!("epoch {}", record.epoch));
        Ok(Flow::Continue)
    }

    fn on_evaluation_end(&mut self, _: &mut Run, phase: Phase, test: &Evaluation) -> HookResult<Flow> {
        if phase == Phase::Test {
            self.0.lock().unwrap().push(format!("test {}", test.predictions.n_samples()));
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn callbacks_of_ones_own_see_the_run_with_all_its_settings() {
    let bench = Bench::new(&posts(40));
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut callbacks = Callbacks::default();
    callbacks.push(Notes(Arc::clone(&told)));
    train(&bench.config, || RunDir::create(bench.path("run")), callbacks).unwrap();
    assert_eq!(*told.lock().unwrap(), ["start 4", "epoch 1", "epoch 2", "test 8"]);
}

#[test]
fn every_model_trains_with_its_defaults() {
    let bench = Bench::new(&posts(20));
    // Those of trees are trained in `trees.rs`.
    for model in Registry::builtin().models().into_iter().filter(|model| model.fields.words.is_some()) {
        let mut config = bench.config.clone();
        config.model.name = model.name.to_owned();
        config.model.hyperparameters = model.hyperparameters;
        config.trainer.epochs = 1;
        let outcome =
            train(&config, || RunDir::create(bench.path(model.name)), Callbacks::default()).unwrap();
        assert_eq!(outcome.fit.history.epochs.len(), 1, "{}", model.name);
    }
}
