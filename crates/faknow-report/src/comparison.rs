//! Comparison of several runs: metrics, different settings, overlaid curves, significance tests.

use faknow_metrics::{Difference, McNemar, Predictions, mcnemar, paired_bootstrap};
use maud::{Markup, html};

use crate::chart::{Chart, Line, N_COLORS};
use crate::curves::series;
use crate::format::{duration, p_value, score};
use crate::scores::{TestResult, n_resamples};
use crate::{Result, Run};

/// Test metrics of the comparison table.
const COMPARED: [&str; 6] = ["accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss", "ece_15"];
/// Metrics whose differences get a confidence interval.
const DIFFERENCES: [&str; 2] = ["accuracy", "f1_macro"];

/// A run compared with the best one.
struct Pair {
    name: String,
    test: McNemar,
    /// The p-value, adjusted for the number of comparisons.
    adjusted_p_value: f64,
    differences: Vec<Difference>,
}

pub(crate) fn render(runs: &[Run], names: &[String], tests: &[Option<TestResult<'_>>]) -> Result<Markup> {
    Ok(html! {
        section #comparison {
            h2 { "Comparison" }
            (metrics_table(runs, names, tests))
            div.charts {
                (overlay(runs, names, "valid/loss", "Validation loss").render())
                (overlay(runs, names, "valid/accuracy", "Validation accuracy").render())
                (overlay(runs, names, "valid/f1", "Validation F1").render())
            }
            (significance(names, tests)?)
            (settings(runs, names))
        }
    })
}

fn metrics_table(runs: &[Run], names: &[String], tests: &[Option<TestResult<'_>>]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            thead { tr {
                th { "run" } th { "model" } th.n { "seed" } th.n { "best epoch" } th.n { "time" }
                @for metric in COMPARED { th.n { "test " (metric) } }
            } }
            tbody {
                @for ((run, name), tested) in runs.iter().zip(names).zip(tests) {
                    @let summary = run.summary.clone().unwrap_or_default();
                    tr {
                        th { (name) } td { (summary.model) } td.n { (summary.seed) }
                        td.n { @if let Some(best) = &summary.best { (best.epoch) " of " (summary.n_epochs) } @else { "–" } }
                        td.n { (duration(summary.seconds)) }
                        @for metric in COMPARED {
                            td.n { @match tested.iter().flat_map(|tested| &tested.intervals).find(|interval| interval.name == metric) {
                                Some(interval) => {
                                    (score(Some(interval.value))) br;
                                    span.small { (format!("{:.3} to {:.3}", interval.low, interval.high)) }
                                }
                                None => { "–" }
                            } }
                        }
                    }
                }
            }
        } }
    }
}

fn overlay(runs: &[Run], names: &[String], key: &str, title: &str) -> Chart {
    let named = runs.iter().zip(names).enumerate();
    let lines = named.map(|(color, (run, name))| {
        let line: Line = series(run, key, name, color);
        // Dashes distinguish lines once all colors are in use.
        if color >= N_COLORS { line.dashed() } else { line }
    });
    Chart {
        title: title.into(),
        x: "epoch",
        y: "value",
        lines: lines.collect(),
        is_integer_x: true,
        ..Chart::default()
    }
}

/// Compares each run with the one of the highest accuracy, if both were tested on the same samples.
fn significance(names: &[String], tests: &[Option<TestResult<'_>>]) -> Result<Markup> {
    let tested: Vec<(&String, &Predictions)> = names
        .iter()
        .zip(tests)
        .filter_map(|(name, tested)| Some((name, &tested.as_ref()?.predictions)))
        .collect();
    let Some(&(best, of_best)) = tested.iter().reduce(|best, other| {
        if other.1.confusion().n_correct() > best.1.confusion().n_correct() { other } else { best }
    }) else {
        return Ok(html! {});
    };
    let (mut pairs, mut others) = (Vec::new(), Vec::new());
    for &(name, predictions) in tested.iter().filter(|(name, _)| *name != best) {
        let Ok(test) = mcnemar(predictions, of_best) else {
            others.push(name.as_str());
            continue;
        };
        let differences = DIFFERENCES
            .iter()
            .map(|metric| paired_bootstrap(predictions, of_best, metric, n_resamples(of_best), 0));
        let differences =
            differences.filter_map(|difference| difference.transpose()).collect::<Result<_, _>>()?;
        pairs.push(Pair { name: name.clone(), test, adjusted_p_value: test.p_value, differences });
    }
    adjust(&mut pairs);
    Ok(html! {
        h3 { "Significance" }
        @if !others.is_empty() {
            p.note { "Not compared, because their test samples differ from those of “" (best) "”: " (others.join(", ")) "." }
        }
        @if !pairs.is_empty() {
            p { "“" (best) "” has the highest test accuracy. Paired comparison of each other run with it:" }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th { "run" } th.n { "correct only here" } th.n { "correct only in best run" } th.n { "McNemar p" } th.n { "adjusted p" }
                    @for metric in DIFFERENCES { th.n { (metric) " difference to best" } }
                } }
                tbody {
                    @for pair in &pairs {
                        tr {
                            th { (pair.name) } td.n { (pair.test.only_first) } td.n { (pair.test.only_second) }
                            td.n { (p_value(pair.test.p_value)) } td.n { (p_value(pair.adjusted_p_value)) }
                            @for difference in &pair.differences {
                                td.n {
                                    (format!("{:.4}", difference.value)) br;
                                    span.small { (format!("{:.3} to {:.3}", difference.low, difference.high)) }
                                }
                            }
                        }
                    }
                }
            } }
            p.small {
                "Two-sided exact McNemar test, p-values adjusted with Holm's method. Differences with 95 % confidence intervals from a paired bootstrap. "
                "The best run was selected on these same samples, which biases the comparison in its favor. The test covers sampling of the test set, not other seeds."
            }
        }
    })
}

/// Adjusts p-values with Holm's method: the smallest times the number of tests, the next times one less, and so on, never decreasing.
fn adjust(pairs: &mut [Pair]) {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| pairs[a].test.p_value.total_cmp(&pairs[b].test.p_value));
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(((pairs.len() - rank) as f64 * pairs[index].test.p_value).min(1.0));
        pairs[index].adjusted_p_value = largest;
    }
}

/// Renders the settings in which the runs differ.
fn settings(runs: &[Run], names: &[String]) -> Markup {
    let all: Vec<Vec<(String, String)>> = runs.iter().map(Run::settings).collect();
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in all.iter().flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let value = |settings: &[(String, String)], key: &str| {
        settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let differs = |key: &&&String| {
        let first = all.first().and_then(|settings| value(settings, key));
        all.iter().any(|settings| value(settings, key) != first)
    };
    let keys: Vec<&&String> = keys.iter().filter(differs).collect();
    html! {
        h3 { "Different settings" }
        @if keys.is_empty() {
            p { "None." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "setting" } @for name in names { th { (name) } } } }
                tbody {
                    @for key in keys {
                        tr { th { code { (key) } } @for settings in &all { td { (value(settings, key).unwrap_or_else(|| "–".into())) } } }
                    }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusts_p_values_with_holm() {
        let pair = |p_value: f64| Pair {
            name: String::new(),
            test: McNemar { only_first: 0, only_second: 0, p_value },
            adjusted_p_value: 0.0,
            differences: Vec::new(),
        };
        let mut pairs = [pair(0.04), pair(0.01), pair(0.03), pair(0.9)];
        adjust(&mut pairs);
        let adjusted: Vec<f64> = pairs.iter().map(|pair| pair.adjusted_p_value).collect();
        for (got, expected) in adjusted.iter().zip([0.09, 0.04, 0.09, 0.9]) {
            assert!((got - expected).abs() < 1e-12, "{adjusted:?}");
        }
    }
}
