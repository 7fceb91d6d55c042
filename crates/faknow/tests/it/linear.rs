//! The model `linear`: prediction from its files, exact explanations, resuming.

use faknow::callbacks::Callbacks;
use faknow::tch::Device;
use faknow::train::{ResumeOptions, resume};
use faknow::{Config, Detector};

use crate::support::{Bench, posts};

/// Returns a bench that trains `linear`.
fn bench(settings: &[&str]) -> Bench {
    let mut bench = Bench::new(&posts(40));
    let data = bench.config.data.clone();
    bench.config = Config::for_model("linear").unwrap();
    bench.config.data = data;
    let settings = [&["device=cpu", "threads=1", "trainer.epochs=4"], settings].concat();
    bench.config = bench.config.set_all(&settings).unwrap();
    bench
}

#[test]
fn explanations_are_exact() {
    for loss in ["squared_hinge", "logistic"] {
        let bench = bench(&[&format!("model.loss={loss}")]);
        bench.train("run", &[]);
        let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
        let text = &posts(1)[0].0;
        let explanation = detector.explain(&[text.repeat(2)]).unwrap().remove(0);
        let parts: f64 = explanation.parts.iter().map(|part| part.contribution).sum();
        let ngrams: f64 = explanation.ngrams.iter().map(|ngram| ngram.contribution).sum();
        assert!((parts - ngrams).abs() < 1e-9, "{parts}, {ngrams}");
        assert!(explanation.residual.unwrap().abs() < 1e-5, "{explanation:?}");
        assert!(ngrams > 0.01, "the words support the label: {explanation:?}");
        let word = explanation.ngrams.iter().find(|ngram| !ngram.name.contains(' ')).unwrap();
        assert_eq!(explanation.parts[word.positions[0]].name, word.name);
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let bench = bench(&[]);
    bench.train("complete", &[]);
    bench.train("resumed", &["trainer.epochs=2"]);
    let set = vec!["trainer.epochs=4".to_owned()];
    resume(&bench.path("resumed"), &ResumeOptions { set, ..ResumeOptions::default() }, Callbacks::default())
        .unwrap();
    let (complete, resumed) = (bench.last_weights("complete"), bench.last_weights("resumed"));
    assert_eq!(complete.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    for (name, tensor) in &complete {
        assert_eq!(tensor, &resumed[name], "{name}");
        assert!(tensor.abs().sum(None).double_value(&[]) > 0.0, "{name} is trained");
    }
}

#[test]
fn hyperparameters_out_of_range_are_rejected_by_name() {
    let bench = bench(&[]);
    for (setting, expected) in [
        ("model.c=0", "`model.c`"),
        ("model.min_df=0", "`model.min_df`"),
        ("model.loss=hinge", "`model.loss`"),
        ("loss.name=cross_entropy", "`loss.name`"),
    ] {
        let error = bench.try_train("run", &[setting]).unwrap_err().to_string();
        assert!(error.contains(expected), "{setting}: {error}");
    }
}

#[test]
fn averages_of_weights_have_an_effect() {
    let bench = bench(&["loader.batch_size=8"]);
    bench.train("plain", &[]);
    let plain = bench.last_weights("plain");
    for (name, average) in
        [("ema", "{ name = 'ema', decay = 0.5 }"), ("swa", "{ name = 'swa', start = '1 epoch' }")]
    {
        bench.train(name, &[&format!("average={average}")]);
        assert_ne!(bench.last_weights(name)["weight"], plain["weight"], "{name}");
    }
}
