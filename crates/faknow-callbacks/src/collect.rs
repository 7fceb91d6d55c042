//! Adds logged values to the epoch, record or evaluation that they belong to, and checks their names.

use faknow_metrics::{Score, Scores};

use crate::{Error, Phase, Result, Run};

/// Sets the pending values in the current epoch.
pub(crate) fn set_in_epoch(run: &mut Run) -> Result<()> {
    for (name, value) in std::mem::take(&mut run.pending) {
        check_train_name(run, &name)?;
        run.progress_mut().logged.set(&name, value);
    }
    Ok(())
}

/// Adds the pending values to the record of the last epoch.
pub(crate) fn add_to_record(run: &mut Run) -> Result<()> {
    for (name, value) in std::mem::take(&mut run.pending) {
        check_train_name(run, &name)?;
        let Some(record) = run.progress_mut().history.epochs.last_mut() else { continue };
        check_unused(&record.train, &name)?;
        record.train.insert(name, value);
    }
    Ok(())
}

/// Adds a value to the scores of an evaluation and, for a validation, to the run's newest record.
pub(crate) fn add_to_evaluation(
    run: &mut Run,
    phase: Phase,
    scores: &mut Scores,
    name: String,
    score: impl Into<Score>,
) -> Result<()> {
    check_unused(scores, &name)?;
    let score = score.into();
    if phase == Phase::Valid
        && let Some(valid) = run.record_mut().and_then(|record| record.valid.as_mut())
    {
        valid.insert(name.clone(), score.clone());
    }
    scores.insert(name, score);
    Ok(())
}

fn check_unused(scores: &Scores, name: &str) -> Result<()> {
    match scores.get(name) {
        None => Ok(()),
        Some(_) => Err(Error::LogName {
            name: name.to_owned(),
            expected: "a name that no metric and no other logged value uses".to_owned(),
        }),
    }
}

pub(crate) fn check_train_name(run: &Run, name: &str) -> Result<()> {
    if run.setup().train_metrics.iter().any(|metric| metric.name == name) {
        let expected = "a name that no training metric uses".to_owned();
        return Err(Error::LogName { name: name.to_owned(), expected });
    }
    check_name(name)
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let expected = match name.split('/').next().unwrap_or_default().trim() {
        "" => "a non-empty name",
        "loss" => "a name other than `loss` and `loss/…`, which are reserved for the loss and its parts",
        "train" | "valid" | "test" => "a name without the phase, which is added automatically",
        _ => return Ok(()),
    };
    Err(Error::LogName { name: name.to_owned(), expected: expected.to_owned() })
}
