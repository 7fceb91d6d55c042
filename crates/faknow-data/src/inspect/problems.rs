//! Problems of an entire file, such as class imbalance.

use std::collections::HashMap;

use super::collect::{Label, MAX_LABEL_VALUES, MAX_LISTED};
use crate::common::{printable_name, printable_names};
use crate::inspect::{Problem, ProblemKind, ValueCount};

/// Ratio of frequencies above which classes or domains are imbalanced.
const MAX_IMBALANCE: usize = 10;
/// Minimum share of the largest class of an imbalanced domain.
const ONE_SIDED_SHARE: f64 = 0.95;
/// Minimum number of records of a domain for its class distribution to be checked.
const MIN_DOMAIN_RECORDS: usize = 20;

/// Returns the problems of the class distribution per domain, given the number of records per domain and class.
pub(super) fn domain_problems(domains: &HashMap<String, HashMap<Label, usize>>) -> Vec<Problem> {
    let sizes: Vec<(&String, usize, usize)> = domains
        .iter()
        .map(|(name, classes)| (name, classes.values().sum(), classes.values().copied().max().unwrap_or(0)))
        .collect();
    let mut one_sided: Vec<&(&String, usize, usize)> = sizes
        .iter()
        .filter(|(_, size, largest)| {
            *size >= MIN_DOMAIN_RECORDS && *largest as f64 >= ONE_SIDED_SHARE * *size as f64
        })
        .collect();
    one_sided.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut problems = Vec::new();
    if !one_sided.is_empty() && sizes.len() > 1 {
        let names: Vec<&str> = one_sided.iter().take(MAX_LISTED).map(|(name, ..)| name.as_str()).collect();
        let more = if one_sided.len() > names.len() { ", …" } else { "" };
        let message = format!(
            "{} of {} domains consist almost entirely of one class: {}{more}",
            one_sided.len(),
            sizes.len(),
            printable_names(names)
        );
        problems.push(Problem::of_file(ProblemKind::OneSidedDomains, message));
    }
    if let (Some(most), Some(least)) =
        (sizes.iter().max_by_key(|domain| domain.1), sizes.iter().min_by_key(|domain| domain.1))
        && most.1 > MAX_IMBALANCE * least.1
    {
        let message = format!(
            "domain `{}` is more than {MAX_IMBALANCE} times as frequent as the smallest domain",
            printable_name(most.0)
        );
        problems.push(Problem::of_file(ProblemKind::DomainImbalance, message));
    }
    problems
}

/// Returns the problems of the overall class distribution.
pub(super) fn class_problems(classes: &[ValueCount]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = classes
        .iter()
        .filter(|class| class.n_records == 0)
        .map(|class| {
            Problem::of_file(
                ProblemKind::EmptyClass,
                format!("no records of class `{}`", printable_name(&class.value)),
            )
        })
        .collect();
    if let [only] = classes {
        problems.push(Problem::of_file(
            ProblemKind::EmptyClass,
            format!("all labels are `{}`", printable_name(&only.value)),
        ));
    }
    let sizes = || classes.iter().filter(|class| class.n_records > 0);
    if let (Some(most), Some(least)) =
        (sizes().max_by_key(|c| c.n_records), sizes().min_by_key(|c| c.n_records))
        && most.n_records > MAX_IMBALANCE * least.n_records
        && classes.len() < MAX_LABEL_VALUES
    {
        let message = format!(
            "`{}` is more than {MAX_IMBALANCE} times as frequent as `{}`: accuracy is misleading, use macro-F1",
            printable_name(&most.value),
            printable_name(&least.value)
        );
        problems.push(Problem::of_file(ProblemKind::Imbalance, message));
    }
    problems
}
