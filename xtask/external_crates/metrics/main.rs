//! A program outside the workspace that uses `faknow-metrics` alone: no libtorch, no other crate of the project.

use faknow_metrics::{ClassificationReport, Metrics, Predictions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Four posts, two classes: the true class of each, and a score for each class.
    let labels = vec![0, 1, 1, 0];
    let scores = vec![0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.7, 0.3];
    let predictions = Predictions::new(2, labels, scores)?;

    let values = Metrics::default().compute(&predictions)?;
    assert_eq!(values.value("accuracy"), Some(0.75));
    assert_eq!(values.value("recall"), Some(0.5));

    println!("{}", ClassificationReport::new(&predictions, &["real".into(), "fake".into()])?);
    println!("external metrics: good");
    Ok(())
}
