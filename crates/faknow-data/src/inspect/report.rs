//! Formatting of an inspection as a plain-text report.

use std::fmt::{self, Display, Formatter};

use crate::common::{printable_message, printable_name, printable_names, printable_path};
use crate::inspect::{ImageCounts, Inspection, LengthStats, ValueCount};

/// Maximum number of values of a column that are listed.
const MAX_VALUES: usize = 20;

impl Display for Inspection {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let format = format!("{:?}", self.format).to_uppercase();
        let records = with_thousands_separators(self.n_records);
        write!(out, "{} ({format}): {records} records", printable_path(&self.path))?;
        match self.n_broken {
            0 => writeln!(out)?,
            n_broken => writeln!(out, ", {} broken", with_thousands_separators(n_broken))?,
        }
        writeln!(out, "columns     {}", printable_names(&self.columns))?;
        write_counts(out, "labels", &self.classes)?;
        write_counts(out, "domains", &self.domains)?;
        write_lengths(out, "words", self.words.as_ref())?;
        write_lengths(out, "characters", self.characters.as_ref())?;
        if let Some(images) = &self.images {
            let number = with_thousands_separators;
            let ImageCounts { n_both, n_text_only, n_image_only, n_neither, n_missing, n_broken, n_files } =
                *images;
            writeln!(
                out,
                "images      {} present, {} missing, {} broken; {} files",
                number(n_both + n_image_only),
                number(n_missing),
                number(n_broken),
                number(n_files)
            )?;
            writeln!(
                out,
                "posts       {} with text and image, {} with text only, {} with image only, {} with neither",
                number(n_both),
                number(n_text_only),
                number(n_image_only),
                number(n_neither)
            )?;
        }
        if self.problems.is_empty() {
            return write!(out, "problems    none found");
        }
        write!(out, "problems")?;
        for problem in &self.problems {
            write!(out, "\n  {}: ", problem.severity)?;
            if problem.n_records > 0 {
                write!(out, "{} × ", with_thousands_separators(problem.n_records))?;
            }
            write!(out, "{}", printable_message(&problem.message))?;
            if !problem.first.is_empty() {
                let numbers: Vec<String> = problem.first.iter().map(usize::to_string).collect();
                let more = if problem.n_records > numbers.len() { ", …" } else { "" };
                let records = if problem.n_records == 1 { "record" } else { "records" };
                write!(out, " ({records} {}{more})", numbers.join(", "))?;
            }
            write!(out, "\n      help: {}", problem.advice)?;
        }
        Ok(())
    }
}

fn write_counts(out: &mut Formatter<'_>, title: &str, counts: &[ValueCount]) -> fmt::Result {
    let total: usize = counts.iter().map(|count| count.n_records).sum();
    let values: Vec<String> =
        counts.iter().take(MAX_VALUES).map(|count| printable_name(&count.value)).collect();
    let width = values.iter().map(|value| value.chars().count()).max().unwrap_or(0);
    for (index, (value, ValueCount { n_records, .. })) in values.iter().zip(counts).enumerate() {
        let title = if index == 0 { title } else { "" };
        let percent = 100.0 * *n_records as f64 / total.max(1) as f64;
        writeln!(
            out,
            "{title:<12}{value:<width$}  {:>10}  {percent:>5.1} %",
            with_thousands_separators(*n_records)
        )?;
    }
    if counts.len() > MAX_VALUES {
        writeln!(out, "{:<12}and {} more", "", with_thousands_separators(counts.len() - MAX_VALUES))?;
    }
    Ok(())
}

fn write_lengths(out: &mut Formatter<'_>, title: &str, lengths: Option<&LengthStats>) -> fmt::Result {
    let Some(LengthStats { min, median, mean, p95, max }) = lengths else { return Ok(()) };
    writeln!(out, "{title:<12}min {min}, median {median}, mean {mean:.1}, 95th percentile {p95}, max {max}")
}

/// Formats a number with thousands separators: `1,234,567`.
fn with_thousands_separators(number: usize) -> String {
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
