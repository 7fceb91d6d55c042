//! The figures as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::Row;
use crate::program::Comparison;

const BEGIN: &str = "<!-- figures of cargo xtask bench -->";
const END: &str = "<!-- end of the figures -->";

/// All that was measured.
pub(crate) struct Report {
    /// What it was measured on.
    pub(crate) machine: String,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// As JSON.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let comparison = |c: &Comparison| json!({ "what": c.what, "peer": c.peer, "unit": c.unit, "peer_value": c.theirs, "value": c.ours, "ratio": c.ratio });
        let row = |(what, value, unit): &Row| json!({ "what": what, "value": value, "unit": unit });
        let all = json!({
            "machine": self.machine,
            "beside_peers": self.comparisons.iter().map(comparison).collect::<Vec<Value>>(),
            "alone": self.rows.iter().map(row).collect::<Vec<Value>>(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| path.display().to_string())
    }

    /// As a table, in the place that a Markdown file has for it.
    pub(crate) fn write_markdown(&self, path: &Path) -> Result<()> {
        let named = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(named)?;
        let (before, rest) =
            text.split_once(BEGIN).with_context(|| format!("{}: no line `{BEGIN}`", path.display()))?;
        let (_, after) =
            rest.split_once(END).with_context(|| format!("{}: no line `{END}`", path.display()))?;
        std::fs::write(path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown()?))
            .with_context(named)
    }

    fn markdown(&self) -> Result<String> {
        let mut text = format!("{}.\n\n", self.machine);
        if !self.comparisons.is_empty() {
            text += "| what | beside | theirs | ours | ratio |\n|---|---|---|---|---|\n";
            for Comparison { what, peer, ours, theirs, ratio, unit } in &self.comparisons {
                writeln!(
                    text,
                    "| {what} | {peer} | {} {unit} | {} {unit} | **{ratio:.1}** |",
                    short(*theirs),
                    short(*ours)
                )?;
            }
            text += "\n";
        }
        text += "| what | figure |\n|---|---|\n";
        for (what, value, unit) in &self.rows {
            let unit = if *unit == "ratio" { "" } else { unit };
            writeln!(text, "| {what} | {} |", format!("{} {unit}", short(*value)).trim_end())?;
        }
        Ok(text)
    }
}

/// Three digits, and no fewer than there are before the point.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", digits.clamp(0, 6) as usize)
}
