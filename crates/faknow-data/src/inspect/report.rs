//! An inspection as a report for people.

use std::fmt::{self, Display, Formatter};

use crate::inspect::{Inspection, LengthStats, ValueCount};

/// At most so many values of a column are listed.
const N_LISTED: usize = 20;

impl Display for Inspection {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let format = format!("{:?}", self.format).to_uppercase();
        let records = thousands(self.n_records);
        write!(out, "{} ({format}): {records} records", self.path.display())?;
        match self.n_broken {
            0 => writeln!(out)?,
            n_broken => writeln!(out, ", {} broken", thousands(n_broken))?,
        }
        writeln!(out, "columns     {}", self.columns.join(", "))?;
        counts(out, "labels", &self.classes)?;
        counts(out, "domains", &self.domains)?;
        lengths(out, "words", self.words.as_ref())?;
        lengths(out, "characters", self.characters.as_ref())?;
        if self.problems.is_empty() {
            return write!(out, "problems    none found");
        }
        write!(out, "problems")?;
        for problem in &self.problems {
            write!(out, "\n  ")?;
            if problem.n_records > 0 {
                write!(out, "{} × ", thousands(problem.n_records))?;
            }
            write!(out, "{}", problem.message)?;
            if !problem.first.is_empty() {
                let numbers: Vec<String> = problem.first.iter().map(usize::to_string).collect();
                let more = if problem.n_records > numbers.len() { ", …" } else { "" };
                let records = if problem.n_records == 1 { "record" } else { "records" };
                write!(out, " ({records} {}{more})", numbers.join(", "))?;
            }
            write!(out, "\n      to do: {}", problem.advice)?;
        }
        Ok(())
    }
}

fn counts(out: &mut Formatter<'_>, title: &str, counts: &[ValueCount]) -> fmt::Result {
    let total: usize = counts.iter().map(|count| count.n_records).sum();
    let width = counts.iter().take(N_LISTED).map(|count| count.value.chars().count()).max().unwrap_or(0);
    for (index, ValueCount { value, n_records }) in counts.iter().take(N_LISTED).enumerate() {
        let title = if index == 0 { title } else { "" };
        let percent = 100.0 * *n_records as f64 / total.max(1) as f64;
        writeln!(out, "{title:<12}{value:<width$}  {:>10}  {percent:>5.1} %", thousands(*n_records))?;
    }
    if counts.len() > N_LISTED {
        writeln!(out, "{:<12}and {} more", "", thousands(counts.len() - N_LISTED))?;
    }
    Ok(())
}

fn lengths(out: &mut Formatter<'_>, title: &str, lengths: Option<&LengthStats>) -> fmt::Result {
    let Some(LengthStats { min, median, mean, p95, max }) = lengths else { return Ok(()) };
    writeln!(out, "{title:<12}min {min}, median {median}, mean {mean:.1}, 95 % up to {p95}, max {max}")
}

/// `1234567` as `1,234,567`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
