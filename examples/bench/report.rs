//! The results as text, Markdown tables and JSON.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::Row;
use crate::optimizers::StepTime;
use crate::program::Comparison;

const START: &str = "<!-- figures of cargo xtask bench -->";
const END: &str = "<!-- end of the figures -->";

/// All results of the benchmark.
pub(crate) struct Report {
    /// Machine and data.
    pub(crate) machine: String,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) rows: Vec<Row>,
    pub(crate) optimizer_steps: Vec<StepTime>,
}

impl Report {
    /// Prints the measurements of this project; comparisons are printed when they are measured.
    pub(crate) fn print(&self) {
        println!("\n{}\n", self.machine);
        for (name, value, unit) in &self.rows {
            println!("{name:<64} {value:>14.3} {unit}");
        }
        println!(
            "\n{:<64} {:>14} {:>14} {:>14}",
            "time of an optimizer step, ms", "faknow", "libtorch", "ratio"
        );
        for StepTime { optimizer, weights, is_clipped, ms, libtorch_ms, ratio } in &self.optimizer_steps {
            let clipping = if *is_clipped { ", with clipping" } else { "" };
            let name = format!("{optimizer}, {weights}{clipping}");
            println!("{name:<64} {ms:>14.3} {libtorch_ms:>14.3} {ratio:>14.3}");
        }
    }

    /// Writes the results as JSON.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let comparison = |c: &Comparison| json!({ "what": c.what, "peer": c.peer, "unit": c.unit, "peer_value": c.peer_value, "value": c.value, "ratio": c.ratio, "range": c.range });
        let row = |(what, value, unit): &Row| json!({ "what": what, "value": value, "unit": unit });
        let step_time = |step: &StepTime| json!({ "optimizer": step.optimizer, "weights": step.weights, "clipping": step.is_clipped, "libtorch_ms": step.libtorch_ms, "ms": step.ms, "ratio": step.ratio });
        let all = json!({
            "machine": self.machine,
            "comparisons": self.comparisons.iter().map(comparison).collect::<Vec<Value>>(),
            "measurements": self.rows.iter().map(row).collect::<Vec<Value>>(),
            "optimizer_steps": self.optimizer_steps.iter().map(step_time).collect::<Vec<Value>>(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| path.display().to_string())
    }

    /// Replaces the tables between the two marker lines of a Markdown file.
    pub(crate) fn write_markdown(&self, path: &Path) -> Result<()> {
        let context = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(context)?;
        let (before, rest) = text
            .split_once(START)
            .with_context(|| format!("{}: expected a line `{START}`", path.display()))?;
        let (_, after) = rest
            .split_once(END)
            .with_context(|| format!("{}: expected a line `{END}` after `{START}`", path.display()))?;
        std::fs::write(path, format!("{before}{START}\n\n{}\n{END}{after}", self.markdown()?))
            .with_context(context)
    }

    fn markdown(&self) -> Result<String> {
        let mut text = format!("{}.\n\n", self.machine);
        if !self.comparisons.is_empty() {
            text += &comparison_table(&self.comparisons)?;
            text += "\n";
        }
        text += "| what | value |\n|---|---|\n";
        for (what, value, unit) in &self.rows {
            let unit = if *unit == "ratio" { "" } else { unit };
            writeln!(text, "| {what} | {} |", format!("{} {unit}", short(*value)).trim_end())?;
        }
        text += "\nTime of an optimizer step, relative to libtorch's optimizer (less is faster):\n\n";
        text += &self.optimizer_table();
        Ok(text)
    }

    /// Returns the ratios with one row per optimizer and one column per layout of the weights.
    fn optimizer_table(&self) -> String {
        let mut rows: Vec<(&str, Vec<&StepTime>)> = Vec::new();
        for step in &self.optimizer_steps {
            match rows.iter_mut().find(|(optimizer, _)| *optimizer == step.optimizer) {
                Some((_, steps)) => steps.push(step),
                None => rows.push((step.optimizer, vec![step])),
            }
        }
        let columns = rows.first().map_or(&[][..], |(_, steps)| steps);
        let title =
            |step: &&StepTime| if step.is_clipped { "with clipping".into() } else { step.weights.clone() };
        let titles: Vec<String> = columns.iter().map(title).collect();
        let mut text =
            format!("| optimizer | {} |\n|{}\n", titles.join(" | "), "---|".repeat(1 + titles.len()));
        for (optimizer, steps) in rows {
            let ratios: Vec<String> = steps.iter().map(|step| short(step.ratio)).collect();
            text += &format!("| {optimizer} | {} |\n", ratios.join(" | "));
        }
        text
    }
}

/// Prints comparisons as a Markdown table.
pub(crate) fn print_comparisons(comparisons: &[Comparison]) -> Result<()> {
    print!("\n{}", comparison_table(comparisons)?);
    Ok(())
}

/// Returns comparisons as a Markdown table: medians, and the median, smallest and largest ratio.
fn comparison_table(comparisons: &[Comparison]) -> Result<String> {
    let mut text = "| what | compared with | other | faknow | ratio |\n|---|---|---|---|---|\n".to_owned();
    for Comparison { what, peer, value, peer_value, ratio, range, unit } in comparisons {
        let [min, max] = range;
        writeln!(
            text,
            "| {what} | {peer} | {} {unit} | {} {unit} | **{ratio:.1}** ({min:.1}-{max:.1}) |",
            short(*peer_value),
            short(*value)
        )?;
    }
    Ok(text)
}

/// Formats a value with three significant digits, without rounding its integer part.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", digits.clamp(0, 6) as usize)
}
