//! The effects of settings on training.

use std::sync::{Arc, Mutex};

use faknow::callbacks::{Callback, Callbacks, Flow, HookResult, Phase, Run};
use faknow::detector::DetectorEvaluation;
use faknow::metrics::{EpochRecord, Evaluation};
use faknow::models::Registry;
use faknow::tch::{Kind, Tensor};
use faknow::train;
use faknow::trainer::{FinalWeights, RunDir};

use crate::support::{Bench, column, distance, posts};

/// Settings with all records for training and plain SGD.
const PLAIN: [&str; 4] = ["data.split=[1, 0, 0]", "optimizer.name=sgd", "optimizer.lr=1", "trainer.epochs=1"];

/// Returns the largest change of a weight and the norm of all changes.
fn largest_step(bench: &Bench, run: &str, settings: &[&str]) -> (f64, f64) {
    bench.train(run, &[&PLAIN[..], settings].concat());
    let initial = format!("{run}-initial");
    bench.train(&initial, &[&PLAIN[..], settings, &["optimizer.lr=0"]].concat());
    let (before, after) = (bench.last_weights(&initial), bench.last_weights(run));
    let steps: Vec<Tensor> = before.iter().map(|(name, tensor)| &after[name] - tensor).collect();
    let largest = steps.iter().map(|step| step.abs().max().double_value(&[])).fold(0.0, f64::max);
    let norm = steps.iter().map(|step| step.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
    (largest, norm)
}

#[test]
fn clips_gradients_by_norm_or_value() {
    // One step of SGD with a learning rate of 1: the change of the weights is the clipped gradient.
    let bench = Bench::new(&posts(40));
    let one = "loader.batch_size=40";
    let (largest, norm) = largest_step(&bench, "free", &[one]);
    assert!(norm > 0.01 && largest > 0.001, "{largest} {norm}");
    let (_, clipped) = largest_step(&bench, "norm", &[one, "trainer.clip_norm=0.001"]);
    assert!((clipped - 0.001).abs() < 1e-5, "{clipped}");
    let (clipped, _) = largest_step(&bench, "value", &[one, "trainer.clip_value=0.0001"]);
    assert!((clipped - 0.0001).abs() < 1e-6, "{clipped}");
    let (_, same) = largest_step(&bench, "loose", &[one, "trainer.clip_norm=1000"]);
    assert_eq!(same, norm, "no effect below the maximum norm");
    let reported = |run: &str| {
        column(&bench.path(&format!("{run}/metrics.csv")), "grad_norm")[0].parse::<f64>().unwrap()
    };
    assert!((reported("free") - norm).abs() < 1e-4);
    assert_eq!(reported("norm"), reported("free"), "the reported norm is before clipping");
}

#[test]
fn drop_last_drops_the_incomplete_batch() {
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
fn balanced_sampling_helps_a_rare_class() {
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
        assert_eq!(samples, 55, "an epoch draws as many samples as there are");
        outcome.valid.unwrap().report.scores().value("recall").unwrap()
    };
    let (plain, balanced) =
        (recall("plain", "loader.balanced=false"), recall("balanced", "loader.balanced=true"));
    assert!(plain < 0.2 && balanced > 0.8, "{plain} {balanced}");
}

/// Returns posts of which few are fake.
fn few_fakes() -> Vec<(String, &'static str)> {
    let rare = posts(200).into_iter().enumerate().filter(|(i, (_, label))| *label == "real" || i % 20 == 1);
    rare.map(|(_, post)| post).collect()
}

#[test]
fn balanced_class_weights_follow_training_labels_and_help_a_rare_class() {
    let bench = Bench::new(&few_fakes());
    let train = |run: &str, loss: &[&str]| {
        let settings = ["data.split=[0.5, 0.25, 0.25]", "trainer.epochs=6", "optimizer.lr=0.02"];
        let outcome = bench.train(run, &[&settings[..], &["trainer.restore_best=false"], loss].concat());
        outcome.valid.unwrap().report.scores().value("recall").unwrap()
    };
    let (plain, balanced) = (train("plain", &[]), train("balanced", &["loss.class_weights=balanced"]));
    assert!(plain < 0.2 && balanced > 0.8, "{plain} {balanced}");
    // 50 and 5 of 55 training records: half of 100 real and 10 fake ones.
    train("given", &[&format!("loss.class_weights=[{}, {}]", 55.0 / (2.0 * 50.0), 55.0 / (2.0 * 5.0))]);
    assert_eq!(bench.last_weights("balanced"), bench.last_weights("given"));
}

#[test]
fn adversarial_training_attacks_word_vectors() {
    let bench = Bench::new(&posts(40));
    let outcome = bench.train("run", &["adversarial.name=pgd", "loss.label_smoothing=0.1"]);
    for record in &outcome.fit.history.epochs {
        let value = |name: &str| record.train.value(name).unwrap();
        let (clean, adversarial) = (value("loss/clean"), value("loss/adversarial"));
        assert!(adversarial > clean && (value("loss") - clean - adversarial).abs() < 1e-6, "{record:?}");
    }
    let check_error = |settings: &[&str]| {
        let error = bench.try_train("rejected", settings).unwrap_err();
        assert!(error.is_input() && !bench.path("rejected").exists());
        let message = error.to_string();
        let expected = "`adversarial.pattern`: expected a pattern that matches a trainable parameter";
        assert!(message.starts_with(expected), "{message}");
    };
    check_error(&["adversarial={ name = 'fgm', pattern = 'bert.*' }"]);
    check_error(&["adversarial.name=pgd", "model.freeze_embedding=true"]);
}

#[test]
fn pretrained_vectors_are_initial_weights_and_constant_if_frozen() {
    let bench = Bench::new(&posts(40));
    let vectors = bench.write("words.vec", "3 3\nrain 1 2 3\nshocking -1 0 0.5\nabsent 9 9 9\n");
    let vectors = format!("text.vectors='{}'", vectors.display());
    let row = |run: &str, word: &str| {
        let row = bench.words(run).iter().position(|w| w == word).unwrap() as i64 + 2;
        bench.last_weights(run)["word_embedding.weight"].get(row)
    };
    let expected = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]);
    bench.train("frozen", &[&vectors, "model.freeze_embedding=true", "optimizer.lr=0.1"]);
    assert_eq!(row("frozen", "rain"), expected);
    assert_eq!(row("frozen", "shocking"), Tensor::from_slice(&[-1.0_f32, 0.0, 0.5]));
    bench.train("free", &[&vectors, "optimizer.lr=0.1"]);
    assert!(distance(&row("free", "rain"), &expected) > 0.01, "vectors are trained unless frozen");
    // The vectors determine the embedding size, and the detector does not require their file.
    let config = faknow::Config::from_file(&bench.path("frozen/config.toml")).unwrap();
    assert_eq!(config.model.hyperparameters["embedding_size"].as_integer(), Some(3));
    std::fs::remove_file(bench.path("words.vec")).unwrap();
    let detector = faknow::Detector::load(&bench.path("frozen"), faknow::tch::Device::Cpu).unwrap();
    assert_eq!(detector.predict(&["rain and storm"]).unwrap().len(), 1);
}

#[test]
fn detector_has_weights_and_scores_of_best_epoch() {
    let bench = Bench::new(&posts(80));
    let settings = ["trainer.epochs=6", "trainer.monitor=loss", "optimizer.lr=0.1"];
    let outcome = bench.train("best", &settings);
    let best = outcome.fit.best.as_ref().unwrap();
    assert_eq!(outcome.fit.weights, FinalWeights::Best);
    let losses: Vec<f64> =
        outcome.fit.history.epochs.iter().map(|r| r.valid.as_ref().unwrap().value("loss").unwrap()).collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!((best.value, losses[best.epoch - 1]), (lowest, lowest), "{losses:?}");
    let DetectorEvaluation { evaluation, report, .. } = outcome.valid.as_ref().unwrap();
    let record = outcome.fit.history.epochs[best.epoch - 1].valid.as_ref().unwrap();
    assert_eq!(evaluation.scores.value("loss"), record.value("loss"));
    for name in ["accuracy", "f1_macro", "roc_auc", "log_loss"] {
        assert_eq!(report.scores().value(name), record.value(name), "{name}");
    }
    let last = bench.train("last", &[&settings[..], &["trainer.restore_best=false"]].concat());
    assert_eq!(last.fit.weights, FinalWeights::Last);
    let record = last.fit.history.epochs.last().unwrap().valid.as_ref().unwrap();
    assert_eq!(last.valid.unwrap().evaluation.scores.value("loss"), record.value("loss"));
}

#[test]
fn early_stopping_can_monitor_another_value() {
    let bench = Bench::new(&posts(40));
    let settings = ["trainer.epochs=20", "optimizer.lr=0", "early_stopping.patience=3", "trainer.monitor=f1"];
    let outcome = bench.train("run", &[&settings[..], &["early_stopping.monitor=log_loss"]].concat());
    assert_eq!(outcome.fit.history.epochs.len(), 4);
    assert_eq!(outcome.fit.stop_reason.to_string(), "log_loss did not improve in 3 validations");
    assert_eq!(outcome.fit.best.unwrap().monitor, "f1");
}

#[test]
fn freezes_weights_by_name_until_the_interval() {
    let bench = Bench::new(&posts(40));
    let changed = |run: &str, settings: &[&str]| -> Vec<String> {
        bench.train(run, &[&PLAIN[..], &["trainer.epochs=2"], settings].concat());
        let initial = bench.last_weights("initial");
        let after = bench.last_weights(run).into_iter().filter(|(name, weight)| *weight != initial[name]);
        after.map(|(name, _)| name).collect()
    };
    bench.train("initial", &[&PLAIN[..], &["optimizer.lr=0"]].concat());
    let all: Vec<String> = bench.last_weights("initial").into_keys().collect();
    assert_eq!(changed("free", &[]), all);
    let classifier = ["classifier.1.bias", "classifier.1.weight"];
    let frozen = "freeze=[{ pattern = 'text_ccn_layer.*', until = '1 epoch' }, { pattern = 'word_*' }]";
    assert_eq!(changed("one-epoch", &[frozen, "trainer.epochs=1"]), classifier);
    let without_words: Vec<_> = all.iter().filter(|name| *name != "word_embedding.weight").cloned().collect();
    assert_eq!(changed("two-epochs", &[frozen]), without_words);

    let invalid = "freeze=[{ pattern = 'word_embeddings.*' }]";
    let error = bench.try_train("rejected", &[invalid]).unwrap_err();
    assert!(error.is_input() && !bench.path("rejected").exists(), "{error:?}");
    let error = error.to_string();
    assert!(
        error.starts_with("`freeze.pattern`: expected a pattern that matches a weight (classifier.1.bias, "),
        "{error}"
    );
    assert!(error.ends_with("word_embedding.weight), got `word_embeddings.*`"), "{error}");
}

#[test]
fn thresholds_stop_the_run_immediately() {
    let bench = Bench::new(&posts(40));
    let stop = |run: &str, settings: &[&str]| {
        let outcome = bench.train(run, &[&["trainer.epochs=5", "trainer.monitor=loss"], settings].concat());
        (outcome.fit.history.epochs.len(), outcome.fit.stop_reason.code())
    };
    assert_eq!(stop("good", &["early_stopping.stopping_threshold=100"]), (1, "reached"));
    assert_eq!(stop("bad", &["early_stopping.divergence_threshold=0"]), (1, "diverged"));
    let late = ["early_stopping.divergence_threshold=0", "early_stopping.start_from_epoch=4"];
    assert_eq!(stop("late", &late), (4, "diverged"));
}

/// Records the calls of its hooks.
struct CallLog(Arc<Mutex<Vec<String>>>);

impl Callback for CallLog {
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
fn custom_callbacks_receive_the_run_with_all_settings() {
    let bench = Bench::new(&posts(40));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut callbacks = Callbacks::default();
    callbacks.push(CallLog(Arc::clone(&calls)));
    train(&bench.config, || RunDir::create(bench.path("run")), callbacks).unwrap();
    assert_eq!(*calls.lock().unwrap(), ["start 4", "epoch 1", "epoch 2", "test 8"]);
}

#[test]
fn every_model_trains_with_its_defaults() {
    let bench = Bench::new(&posts(20));
    let row = |(index, (text, label)): (usize, (String, &str))| {
        format!("{text},{label},{},{index} 1,name{index}\n", ["a", "b"][index / 2 % 2])
    };
    let rows: String = posts(20).into_iter().enumerate().map(row).collect();
    let file = bench.write("all.csv", format!("text,label,domain,emotions,entities\n{rows}"));
    // Tree models are trained in `trees.rs`.
    for model in Registry::builtin().models().into_iter().filter(|model| model.fields.words.is_some()) {
        let mut config = bench.config.clone();
        config.model.name = model.name.to_owned();
        config.model.hyperparameters = model.hyperparameters;
        config.trainer.epochs = 1;
        config.data.train = Some(file.clone().into());
        let fields = &model.fields;
        let mut settings = vec!["data.text=text"];
        settings.extend(fields.domains.as_ref().map(|_| "data.domain=domain"));
        settings
            .extend(fields.features.iter().any(|it| it.is_required).then_some("data.features=['emotions']"));
        let texts: Vec<String> =
            fields.texts.iter().map(|text| format!("data.{}=entities", text.name)).collect();
        settings.extend(texts.iter().map(String::as_str));
        // Their configs in examples/configs train with images.
        settings.extend(fields.images.as_ref().map(|_| "model.modalities=text"));
        let config = config.set_all(&settings).unwrap();
        let outcome =
            train(&config, || RunDir::create(bench.path(model.name)), Callbacks::default()).unwrap();
        assert_eq!(outcome.fit.history.epochs.len(), 1, "{}", model.name);
    }
}
