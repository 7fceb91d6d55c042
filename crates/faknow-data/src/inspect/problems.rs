//! What counts tell of a file as a whole, and what to do about each problem.

use std::collections::HashMap;

use super::collect::{Label, MAX_LABEL_VALUES, N_LISTED};
use crate::inspect::{Problem, ProblemKind, ValueCount};

/// How many times as frequent as another a class or a domain may be.
const IMBALANCE: usize = 10;
/// Share of one class from which a domain has nearly no other.
const ONE_SIDED: f64 = 0.95;
/// Records of a domain below which its classes say nothing.
const LEAST_OF_A_DOMAIN: usize = 20;

/// A problem of a whole file.
fn problem(kind: ProblemKind, message: String) -> Problem {
    Problem { kind, n_records: 0, first: Vec::new(), message, advice: advice(kind) }
}

/// What to do about a problem.
pub(super) fn advice(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unreadable | ProblemKind::BrokenRecords => "fix or delete these records",
        ProblemKind::NoText => "delete these records, or name another column with --text",
        ProblemKind::NoLabel => "label or delete these records; predicting needs no labels",
        ProblemKind::UnknownLabels => {
            "name their values with the classes: --classes 'real=true|1,fake=false|0'"
        }
        ProblemKind::EmptyClass => "leave the class out of --classes, or add records of it",
        ProblemKind::ConflictingLabels => "decide on one label for each text",
        ProblemKind::Duplicates => "keep one of each before the file is split",
        ProblemKind::EmptyTexts => "delete them: the model sees nothing of them",
        ProblemKind::Imbalance => {
            "set trainer.monitor=f1_macro, and loss.class_weights=balanced or loader.balanced=true"
        }
        ProblemKind::OneSidedDomains => {
            "test on domains that training does not have: the model may learn the domain in place of the news"
        }
        ProblemKind::DomainImbalance => {
            "look at the results by domain in the report: the mean is that of the largest"
        }
        ProblemKind::ManyLabels => "name the column of labels with --label",
        ProblemKind::LongTexts => "texts are cut after text.max_length words; raise it if the end matters",
        ProblemKind::HtmlEscapes => "replace them by the characters that they stand for",
    }
}

/// What the domains tell of the classes; each is its records by class.
pub(super) fn domain_problems(domains: &HashMap<String, HashMap<Label, usize>>) -> Vec<Problem> {
    let sizes: Vec<(&String, usize, usize)> = domains
        .iter()
        .map(|(name, classes)| (name, classes.values().sum(), classes.values().copied().max().unwrap_or(0)))
        .collect();
    let mut one_sided: Vec<&(&String, usize, usize)> = sizes
        .iter()
        .filter(|(_, size, largest)| {
            *size >= LEAST_OF_A_DOMAIN && *largest as f64 >= ONE_SIDED * *size as f64
        })
        .collect();
    one_sided.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut problems = Vec::new();
    if !one_sided.is_empty() && sizes.len() > 1 {
        let names: Vec<&str> = one_sided.iter().take(N_LISTED).map(|(name, ..)| name.as_str()).collect();
        let more = if one_sided.len() > names.len() { ", …" } else { "" };
        let message = format!(
            "{} of {} domains have nearly one class alone: `{}`{more}",
            one_sided.len(),
            sizes.len(),
            names.join("`, `")
        );
        problems.push(problem(ProblemKind::OneSidedDomains, message));
    }
    if let (Some(most), Some(least)) =
        (sizes.iter().max_by_key(|domain| domain.1), sizes.iter().min_by_key(|domain| domain.1))
        && most.1 > IMBALANCE * least.1
    {
        let message = format!("domain `{}` is over {IMBALANCE} times as frequent as the smallest", most.0);
        problems.push(problem(ProblemKind::DomainImbalance, message));
    }
    problems
}

/// What the sizes of the classes tell.
pub(super) fn class_problems(classes: &[ValueCount]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = classes
        .iter()
        .filter(|class| class.n_records == 0)
        .map(|class| problem(ProblemKind::EmptyClass, format!("no record is of class `{}`", class.value)))
        .collect();
    if let [only] = classes {
        problems.push(problem(ProblemKind::EmptyClass, format!("all labels are `{}`", only.value)));
    }
    let sizes = || classes.iter().filter(|class| class.n_records > 0);
    if let (Some(most), Some(least)) =
        (sizes().max_by_key(|c| c.n_records), sizes().min_by_key(|c| c.n_records))
        && most.n_records > IMBALANCE * least.n_records
        && classes.len() < MAX_LABEL_VALUES
    {
        let message = format!(
            "`{}` is over {IMBALANCE} times as frequent as `{}`: accuracy will mislead, look at macro-F1",
            most.value, least.value
        );
        problems.push(problem(ProblemKind::Imbalance, message));
    }
    problems
}
