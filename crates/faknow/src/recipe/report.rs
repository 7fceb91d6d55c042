//! A run's report as a page of Markdown.

use std::fmt::Write as _;

use faknow_callbacks::format_duration;
use faknow_metrics::Scores;
use faknow_model::Summary;
use faknow_trainer::Profile;

use super::mistakes::{self, Mistake};
use super::{Config, Outcome};

/// What was trained, how each epoch went, what the test says and where it went wrong, and where the time went.
pub(super) fn markdown(
    config: &Config,
    outcome: &Outcome,
    parameters: &Summary,
    mistakes: &[Mistake],
) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut page, config, outcome, parameters, mistakes);
    page
}

fn render(
    page: &mut String,
    config: &Config,
    outcome: &Outcome,
    parameters: &Summary,
    mistakes: &[Mistake],
) -> std::fmt::Result {
    let fit = &outcome.fit;
    writeln!(page, "# {}\n", outcome.run.file_name().unwrap_or_default().to_string_lossy())?;
    writeln!(page, "- model: {}, classes: {}", config.model.name, config.data.classes.join(", "))?;
    writeln!(page, "- seed: {}", config.seed)?;
    writeln!(
        page,
        "- ended: {} after {} epochs, {}",
        fit.ended,
        fit.history.epochs.len(),
        format_duration(fit.seconds)
    )?;
    match &fit.best {
        Some(best) => writeln!(page, "- best epoch: {} with {} {:.6}", best.epoch, best.monitor, best.value)?,
        None => writeln!(page, "- best epoch: none, since nothing was validated")?,
    }
    writeln!(page, "\n## Epochs\n")?;
    writeln!(page, "| epoch | training loss | validation loss | accuracy | f1 | seconds |")?;
    writeln!(page, "|---|---|---|---|---|---|")?;
    for record in &fit.history.epochs {
        let valid = |name: &str| value(record.valid.as_ref(), name);
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.2} |",
            record.epoch,
            value(Some(&record.train), "loss"),
            valid("loss"),
            valid("accuracy"),
            valid("f1"),
            record.train_seconds
        )?;
    }
    if let Some((evaluation, report)) = &outcome.test {
        writeln!(page, "\n## Test\n")?;
        writeln!(page, "loss {}\n\n```text\n{report}\n```", value(Some(&evaluation.scores), "loss"))?;
    }
    if !mistakes.is_empty() {
        mistakes::render(page, mistakes, &config.data.classes)?;
    }
    render_profile(page, &fit.profile)?;
    writeln!(page, "\n## Model\n\n```text\n{parameters}\n```")?;
    writeln!(page, "\n## Config\n\n```toml\n{}```", toml::to_string(config).unwrap_or_default())
}

/// Where the time of the run went; phases that took none are left out.
fn render_profile(page: &mut String, profile: &Profile) -> std::fmt::Result {
    writeln!(page, "\n## Time\n\n| phase | time | share |\n|---|---|---|")?;
    let total = profile.total().max(f64::MIN_POSITIVE);
    for (name, seconds) in profile.phases().into_iter().filter(|(_, seconds)| *seconds > 0.0) {
        writeln!(page, "| {name} | {} | {:.1} % |", format_duration(seconds), 100.0 * seconds / total)?;
    }
    Ok(())
}

fn value(scores: Option<&Scores>, name: &str) -> String {
    scores.and_then(|s| s.value(name)).map_or_else(|| "-".into(), |v| format!("{v:.4}"))
}
