//! Cross entropy and focal loss compared with their formula.

use faknow_model::{Criterion, loss};
use tch::{Kind, Tensor};

const LOGITS: [[f64; 3]; 4] = [[0.5, -1.0, 2.0], [3.0, 0.1, -0.4], [-0.2, 0.0, 0.3], [1.0, 1.0, -2.0]];
const LABELS: [i64; 4] = [2, 0, 1, 2];

fn criterion(json: &str) -> Criterion {
    let criterion: Criterion = serde_json::from_str(json).unwrap();
    criterion.validate().unwrap();
    criterion
}

fn logits(start: usize, end: usize) -> Tensor {
    Tensor::from_slice2(&LOGITS[start..end])
}

/// Computes the formula of the documentation.
fn expected_loss(w: [f64; 3], s: f64, gamma: f64) -> f64 {
    let (mut losses, mut weights) = (0.0, 0.0);
    for (row, label) in LOGITS.iter().zip(LABELS) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        for (c, z) in row.iter().enumerate() {
            let p = z.exp() / sum;
            let q = if c as i64 == label { 1.0 - s } else { 0.0 } + s / 3.0;
            losses -= q * w[c] * (1.0 - p).powf(gamma) * p.ln();
        }
        weights += w[label as usize];
    }
    losses / weights
}

#[test]
fn loss_equals_the_formula() {
    let _generator = crate::generator();
    let check = |json: &str, expected: f64| {
        let got = criterion(json).loss(&logits(0, 4), &Tensor::from_slice(&LABELS)).unwrap();
        assert!((got.double_value(&[]) - expected).abs() < 1e-14, "{json}: {got:?}, expected {expected}");
        let single = logits(0, 4).to_kind(Kind::Float);
        let got = criterion(json).loss(&single, &Tensor::from_slice(&LABELS)).unwrap();
        assert_eq!(got.kind(), Kind::Float);
        assert!((got.double_value(&[]) - expected).abs() < 1e-6, "{json} in f32: {got:?}");
    };
    let equal = [1.0; 3];
    let w = [0.5, 2.0, 3.0];
    check("{}", expected_loss(equal, 0.0, 0.0));
    check(r#"{"label_smoothing": 0.2}"#, expected_loss(equal, 0.2, 0.0));
    check(r#"{"class_weights": [0.5, 2, 3]}"#, expected_loss(w, 0.0, 0.0));
    check(r#"{"class_weights": [0.5, 2, 3], "label_smoothing": 0.2}"#, expected_loss(w, 0.2, 0.0));
    check(r#"{"name": "focal"}"#, expected_loss(equal, 0.0, 2.0));
    check(r#"{"name": "focal", "gamma": 0}"#, expected_loss(equal, 0.0, 0.0));
    check(r#"{"name": "focal", "gamma": 0.5, "class_weights": [0.5, 2, 3]}"#, expected_loss(w, 0.0, 0.5));
    let all = r#"{"name": "focal", "gamma": 3, "class_weights": [0.5, 2, 3], "label_smoothing": 0.1}"#;
    check(all, expected_loss(w, 0.1, 3.0));
    assert_ne!(expected_loss(w, 0.2, 0.0), expected_loss(w, 0.0, 0.0));
}

#[test]
fn sums_of_parts_add_up_to_the_loss() {
    let _generator = crate::generator();
    for json in [
        r#"{"class_weights": [0.5, 2, 3], "label_smoothing": 0.2}"#,
        r#"{"name": "focal", "class_weights": [0.5, 2, 3]}"#,
        r#"{"label_smoothing": 0.2}"#,
    ] {
        let criterion = criterion(json);
        let expected = criterion.loss(&logits(0, 4), &Tensor::from_slice(&LABELS)).unwrap().double_value(&[]);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (start, end) in [(0, 3), (3, 4)] {
            let labels = Tensor::from_slice(&LABELS[start..end]);
            sum += criterion.sum(&logits(start, end), &labels).unwrap().double_value(&[]);
            weight += criterion.total_weight(&labels).unwrap();
        }
        assert!((sum / weight - expected).abs() < 1e-14, "{json}: {} {expected}", sum / weight);
    }
}

#[test]
fn with_class_counts_balances_weights() {
    let _generator = crate::generator();
    let balanced = criterion(r#"{"class_weights": "balanced"}"#).with_class_counts(&[1, 1, 2]).unwrap();
    assert_eq!(balanced.explicit_weights().unwrap(), Some(&[4.0 / 3.0, 4.0 / 3.0, 4.0 / 6.0][..]));
    let explicit = criterion(r#"{"class_weights": [0.5, 2, 3]}"#);
    assert_eq!(explicit.clone().with_class_counts(&[1, 1, 2]).unwrap(), explicit, "explicit weights changed");
    // All classes have the same total weight: the loss is the mean of the mean losses of the classes.
    let loss = balanced.loss(&logits(0, 4), &Tensor::from_slice(&LABELS)).unwrap().double_value(&[]);
    let row_loss = |row: usize| {
        let label = Tensor::from_slice(&LABELS[row..=row]);
        loss::cross_entropy(&logits(row, row + 1), &label).unwrap().double_value(&[])
    };
    let expected = (row_loss(1) + row_loss(2) + (row_loss(0) + row_loss(3)) / 2.0) / 3.0;
    assert!((loss - expected).abs() < 1e-14, "{loss} {expected}");
}

#[test]
fn focal_loss_has_finite_gradients_for_certain_predictions() {
    let _generator = crate::generator();
    for (gamma, logit) in [(0.0, 200.0), (0.5, 200.0), (2.0, 200.0), (2.0, -200.0)] {
        for kind in [Kind::Double, Kind::Float] {
            let logits = Tensor::from_slice(&[logit, 0.0]).view([1, 2]).to_kind(kind).set_requires_grad(true);
            let focal = criterion(&format!(r#"{{"name": "focal", "gamma": {gamma}}}"#));
            let loss = focal.loss(&logits, &Tensor::from_slice(&[0i64])).unwrap();
            loss.backward();
            let gradient = Vec::<f64>::try_from(logits.grad().view([2])).unwrap();
            // Certain and correct: no loss; certain and wrong: the loss of cross entropy.
            let expected = if logit > 0.0 { [0.0, 0.0, 0.0] } else { [200.0, -1.0, 1.0] };
            let got = [loss.double_value(&[]), gradient[0], gradient[1]];
            let is_close = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12);
            assert!(is_close, "gamma {gamma}, {logit} {kind:?}: {got:?}");
        }
    }
}
