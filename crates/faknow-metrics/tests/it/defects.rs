//! Regression tests for FaKnow's defects in metrics (numbered as in docs/parity.md).

use faknow_metrics::{Direction, Metrics, Predictions, Score, metric_by_name, metric_fn};

/// Creates two-class predictions from the scores of class 1.
fn binary(labels: &[usize], scores: &[f64]) -> Predictions {
    let rows = scores.iter().flat_map(|score| [1.0 - score, *score]).collect();
    Predictions::new(2, labels.to_vec(), rows).unwrap()
}

fn value(name: &str, predictions: &Predictions) -> Option<f64> {
    metric_by_name(name).unwrap().compute(predictions).unwrap().value()
}

#[test]
fn defect_02_auc_is_computed_from_scores() {
    // Ranked perfectly, although one score of class 1 is below 0.5.
    let predictions = binary(&[0, 0, 1, 1], &[0.1, 0.2, 0.4, 0.9]);
    assert_eq!(value("auc", &predictions), Some(1.0));
    assert_eq!(value("roc_auc", &predictions), Some(1.0));
    // FaKnow's value has a separate name.
    assert_eq!(value("auc_hard", &predictions), Some(0.75));
}

#[test]
fn defect_03_default_metrics_work_for_any_number_of_classes() {
    for n_classes in [2, 3, 4, 7] {
        // All correct except the last sample, which is predicted as class 0.
        let labels: Vec<usize> = (0..2 * n_classes).map(|i| i % n_classes).collect();
        let mut predicted = labels.clone();
        predicted[2 * n_classes - 1] = 0;
        let one_hot =
            predicted.iter().flat_map(|p| (0..n_classes).map(move |c| f64::from(u8::from(c == *p))));
        let predictions = Predictions::new(n_classes, labels, one_hot.collect()).unwrap();
        let scores = Metrics::default().compute(&predictions).unwrap();
        let n = n_classes as f64;
        let (precision, recall, f1) = match n_classes {
            2 => (1.0, 0.5, 2.0 / 3.0),
            _ => ((n - 1.0 + 2.0 / 3.0) / n, (n - 0.5) / n, (n - 2.0 + 0.8 + 2.0 / 3.0) / n),
        };
        let expected =
            [("accuracy", 1.0 - 0.5 / n), ("precision", precision), ("recall", recall), ("f1", f1)];
        for (name, expected) in expected {
            let got = scores.value(name).unwrap();
            assert!(
                (got - expected).abs() < 1e-12,
                "{n_classes} classes: {name}: got {got}, expected {expected}"
            );
        }
    }
}

#[test]
fn defect_04_auc_of_one_class_is_undefined_with_a_reason() {
    for (label, reason) in [(0, "class 1 does not occur in the labels"), (1, "all labels are of class 1")] {
        let predictions = binary(&[label; 3], &[0.1, 0.6, 0.9]);
        let auc = metric_by_name("auc").unwrap().compute(&predictions).unwrap();
        assert_eq!(auc, Score::undefined(reason));
        // Without a value it can be neither the best nor part of a mean; the other metrics have values.
        let scores = Metrics::all().compute(&predictions).unwrap();
        assert_eq!(scores.value("roc_auc"), None);
        assert!(scores.value("accuracy").is_some());
    }
}

#[test]
fn defect_34_closures_need_unique_names() {
    let (low, high) = (0.25, 0.75);
    let count_above = |threshold: f64| {
        move |p: &Predictions| p.scores().iter().skip(1).step_by(2).filter(|s| **s > threshold).count() as f64
    };
    let low_metric = || metric_fn("above_low", Direction::Maximize, count_above(low));
    let metrics = Metrics::empty().with(low_metric()).unwrap();
    let metrics = metrics.with(metric_fn("above_high", Direction::Maximize, count_above(high))).unwrap();
    let scores = metrics.compute(&binary(&[0, 1, 1], &[0.1, 0.6, 0.9])).unwrap();
    assert_eq!((scores.value("above_low"), scores.value("above_high")), (Some(2.0), Some(1.0)));
    let error = metrics.with(low_metric()).unwrap_err().to_string();
    assert_eq!(error, "duplicate metric name `above_low`: expected a unique name for each metric");
}
