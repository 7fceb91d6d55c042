//! Edge cases: no panics, a reason for every undefined value, and invariants of the metrics.

use faknow_metrics::{ClassificationReport, Metrics, PrCurve, Predictions, RocCurve, Score, metric_names};

/// A linear congruential generator, for reproducible failures.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Returns predictions with many ties: the probabilities of a sample are counts of four draws.
fn random(n_samples: usize, n_classes: usize, n_present: usize, seed: u64) -> Predictions {
    let mut random = Random(seed);
    let labels = (0..n_samples).map(|_| random.below(n_present)).collect();
    let mut scores = Vec::with_capacity(n_samples * n_classes);
    for _ in 0..n_samples {
        let mut row = vec![0.0; n_classes];
        for _ in 0..4 {
            row[random.below(n_classes)] += 0.25;
        }
        scores.extend(row);
    }
    Predictions::new(n_classes, labels, scores).unwrap()
}

fn names(n_classes: usize) -> Vec<String> {
    (0..n_classes).map(|class| format!("class {class}")).collect()
}

#[test]
fn edge_cases_do_not_panic_and_undefined_values_have_reasons() {
    for n_classes in [2, 3, 50] {
        for n_samples in [0, 1, 2, 7, 200] {
            for n_present in [1, 2, n_classes] {
                let predictions =
                    random(n_samples, n_classes, n_present, 7 * n_samples as u64 + n_present as u64);
                let report = ClassificationReport::new(&predictions, &names(n_classes)).unwrap();
                let what = format!("{n_classes} classes, {n_present} present, {n_samples} samples");
                assert_eq!(report.scores().len(), metric_names().len(), "{what}");
                for (name, score) in report.scores().iter() {
                    let is_valid = match score {
                        Score::Defined(value) => value.is_finite(),
                        Score::Undefined { reason, convention } => {
                            !reason.is_empty() && convention.is_none_or(f64::is_finite)
                        }
                    };
                    assert!(is_valid, "{what}: {name} is {score:?}");
                    assert!(n_samples > 0 || score.value().is_none(), "{what}: {name} is {score:?}");
                }
                assert!(report.to_string().contains("confusion matrix"), "{what}");
                let json = serde_json::to_value(&report).unwrap();
                assert_eq!(json["confusion_matrix"].as_array().unwrap().len(), n_classes, "{what}");
                for class in 0..n_classes {
                    let (support, n) = (report.classes()[class].support, n_samples as u64);
                    assert_eq!(report.roc_curve(class).is_ok(), support > 0 && support < n, "{what}");
                    assert_eq!(report.pr_curve(class).is_ok(), support > 0, "{what}");
                }
                assert_eq!(report.reliability_bins(15).unwrap().len(), 15, "{what}");
            }
        }
    }
}

#[test]
fn invariants_hold_for_random_predictions() {
    for seed in 0..50 {
        let n_classes = [2, 3, 5][seed as usize % 3];
        let predictions = random(100, n_classes, n_classes, seed);
        let scores = Metrics::all().compute(&predictions).unwrap();
        let value = |name: &str| scores.value(name).unwrap_or_else(|| panic!("seed {seed}: no {name}"));
        let equal =
            |a: f64, b: f64, what: &str| assert!((a - b).abs() < 1e-12, "seed {seed}: {what}: {a} {b}");

        for name in ["precision_micro", "recall_micro", "f1_micro", "recall_weighted"] {
            equal(value(name), value("accuracy"), name);
        }
        equal(value("recall_macro"), value("balanced_accuracy"), "recall_macro");
        let unit = ["accuracy", "f1_macro", "roc_auc", "average_precision", "ece_15"];
        assert!(unit.iter().all(|name| (0.0..=1.0).contains(&value(name))), "seed {seed}");
        assert!((-1.0..=1.0).contains(&value("mcc")) && value("cohen_kappa") <= 1.0, "seed {seed}");
        if n_classes == 2 {
            equal(value("brier_multiclass"), 2.0 * value("brier_binary"), "brier");
            equal(value("auc_hard"), value("balanced_accuracy"), "auc_hard");
        }
    }
}

#[test]
fn ranking_metrics_are_invariant_to_order_and_monotone_transforms() {
    for seed in 0..20 {
        let original = random(60, 3, 3, seed);
        // Samples reversed, scores as logarithms: not probabilities, but the same ranking.
        let labels: Vec<usize> = original.labels().iter().rev().copied().collect();
        let rows = (0..original.n_samples()).rev().map(|i| original.row(i));
        let scores = rows.flat_map(|row| row.iter().map(|p| (p + 0.5).ln() * 10.0)).collect();
        let transformed = Predictions::new(3, labels, scores).unwrap();
        let compute = |p: &Predictions| {
            Metrics::from_names(&["auc", "accuracy", "mcc", "pr_auc"]).unwrap().compute(p).unwrap()
        };
        let (a, b) = (compute(&original), compute(&transformed));
        for (name, score) in a.iter() {
            let (a, b) = (score.value().unwrap(), b.value(name).unwrap());
            assert!((a - b).abs() < 1e-12, "seed {seed}: {name}: {a} {b}");
        }
        assert_eq!(
            Metrics::from_names(&["log_loss"]).unwrap().compute(&transformed).unwrap().value("log_loss"),
            None
        );
    }
}

#[test]
fn roc_auc_is_1_for_perfect_and_0_for_reversed_rankings() {
    let roc_auc = |positive: &[f64]| {
        let labels = vec![0, 0, 1, 1];
        let scores = positive.iter().flat_map(|p| [1.0 - p, *p]).collect();
        let p = Predictions::new(2, labels, scores).unwrap();
        Metrics::from_names(&["roc_auc"]).unwrap().compute(&p).unwrap().value("roc_auc")
    };
    assert_eq!(roc_auc(&[0.1, 0.2, 0.3, 0.4]), Some(1.0));
    assert_eq!(roc_auc(&[0.4, 0.3, 0.2, 0.1]), Some(0.0));
    assert_eq!(roc_auc(&[0.3, 0.3, 0.3, 0.3]), Some(0.5));
    assert_eq!(roc_auc(&[0.1, 0.3, 0.3, 0.4]), Some(0.875));
}

#[test]
fn computes_all_metrics_of_a_million_samples() {
    let predictions = random(1_000_000, 3, 3, 1);
    let scores = Metrics::all().compute(&predictions).unwrap();
    assert_eq!(scores.get("roc_auc").map(Score::is_defined), Some(true));
    // Four draws over three classes: few distinct scores, so short curves.
    assert!(RocCurve::for_class(&predictions, 0).unwrap().thresholds.len() <= 6);
    assert!(PrCurve::for_class(&predictions, 0).unwrap().thresholds.len() <= 6);
    assert!((scores.value("roc_auc").unwrap() - 0.5).abs() < 0.01);
}
