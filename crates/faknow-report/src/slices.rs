//! Test metrics on subsets of the test samples: by domain and by length.

use std::collections::BTreeMap;

use faknow_metrics::{Averaging, Predictions};
use maud::{Markup, html};

use crate::PredictionTable;
use crate::format::{grouped, percent, score};

/// Maximum number of domains that are shown, largest first.
const MAX_DOMAINS: usize = 30;

pub(crate) fn render(table: &PredictionTable, predictions: &Predictions) -> Markup {
    let domains = by_name(&table.domains, "(none, or not in the training data)");
    let inputs = by_name(&table.inputs, "(unknown)");
    let lengths = by_length(&table.lengths);
    if domains.is_empty() && inputs.is_empty() && lengths.len() < 2 {
        return html! {};
    }
    html! {
        section {
            h3 { "Subsets of the test samples" }
            @if !domains.is_empty() {
                h4 { "By domain" }
                (subset_table("domain", &domains[..domains.len().min(MAX_DOMAINS)], table, predictions))
                @if domains.len() > MAX_DOMAINS { p.small { "and " (domains.len() - MAX_DOMAINS) " smaller domains" } }
            }
            @if !inputs.is_empty() {
                h4 { "By text and image" }
                (subset_table("inputs", &inputs, table, predictions))
            }
            @if lengths.len() > 1 {
                h4 { "By length" }
                (subset_table("tokens or nodes", &lengths, table, predictions))
            }
            p.small { "95 % Wilson intervals. Small subsets have wide intervals, and among many subsets some are low by chance." }
        }
    }
}

/// Returns the rows of each name, most frequent name first; an empty one is replaced.
fn by_name(names: &[String], empty: &str) -> Vec<(String, Vec<usize>)> {
    let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, name) in names.iter().enumerate() {
        let name = if name.is_empty() { empty } else { name };
        parts.entry(name).or_default().push(row);
    }
    let mut parts: Vec<(String, Vec<usize>)> =
        parts.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
    parts.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    parts
}

/// Returns the rows of each quartile of the lengths; equal lengths stay together.
fn by_length(lengths: &[usize]) -> Vec<(String, Vec<usize>)> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| lengths[row]);
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let (mut current, mut length) = (0, None);
    for (rank, &row) in order.iter().enumerate() {
        let quarter = rank * 4 / order.len();
        let differs = length != Some(lengths[row]);
        length = Some(lengths[row]);
        match parts.last_mut() {
            Some(part) if quarter == current || !differs => part.push(row),
            _ => {
                parts.push(vec![row]);
                current = quarter;
            }
        }
    }
    let name = |part: &[usize]| match (part.first(), part.last()) {
        (Some(&first), Some(&last)) if lengths[first] != lengths[last] => {
            format!("{} to {}", lengths[first], lengths[last])
        }
        (Some(&first), _) => lengths[first].to_string(),
        _ => String::new(),
    };
    parts.into_iter().map(|part| (name(&part), part)).collect()
}

fn subset_table(
    what: &str,
    parts: &[(String, Vec<usize>)],
    table: &PredictionTable,
    predictions: &Predictions,
) -> Markup {
    let last = table.classes.last().map_or("", String::as_str);
    html! {
        div.scroll tabindex="0" { table {
            thead { tr {
                th { (what) } th.n { "samples" } th.n { "of “" (last) "”" } th.n { "accuracy" } th.n { "95 % CI" } th.n { "macro F1" } th {}
            } }
            tbody {
                @for (name, rows) in parts {
                    @if let Ok(part) = predictions.select(rows) {
                        @let confusion = part.confusion();
                        @let accuracy = confusion.n_correct() as f64 / part.n_samples().max(1) as f64;
                        @let (low, high) = wilson(confusion.n_correct(), part.n_samples() as u64);
                        @let n_last = confusion.support().last().copied().unwrap_or_default();
                        tr {
                            th { (name) } td.n { (grouped(part.n_samples() as u64)) }
                            td.n { (percent(n_last as f64 / part.n_samples().max(1) as f64)) }
                            td.n { (score(Some(accuracy))) } td.n { (format!("{low:.3} to {high:.3}")) }
                            td.n { (score(confusion.f1(Averaging::MacroPresent).value())) }
                            td.wide { span.bar style=(format!("width:{:.1}%", 100.0 * accuracy)) {} }
                        }
                    }
                }
            }
        } }
    }
}

/// Returns the 95 % confidence interval of a proportion (Wilson 1927).
fn wilson(n_correct: u64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, proportion) = (n as f64, n_correct as f64 / n as f64);
    let middle = (proportion + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (proportion * (1.0 - proportion) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_keep_equal_lengths_together() {
        let names = |lengths: &[usize]| {
            by_length(lengths).into_iter().map(|(name, rows)| (name, rows.len())).collect::<Vec<_>>()
        };
        let part = |name: &str, n: usize| (name.to_owned(), n);
        assert_eq!(
            names(&[4, 1, 3, 2, 8, 7, 6, 5]),
            [part("1 to 2", 2), part("3 to 4", 2), part("5 to 6", 2), part("7 to 8", 2)]
        );
        assert_eq!(names(&[3; 10]), [part("3", 10)]);
        assert_eq!(names(&[1, 1, 1, 1, 1, 2]), [part("1", 5), part("2", 1)]);
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn wilson_matches_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
        let (low, high) = wilson(8, 10);
        assert!((low - 0.490_162).abs() < 1e-5 && (high - 0.943_318).abs() < 1e-5, "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
