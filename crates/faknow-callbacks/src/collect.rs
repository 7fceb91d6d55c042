//! Where logged values go: into the epoch, the record or the evaluation that they belong to, under names that are free.

use faknow_metrics::{Score, Scores};

use crate::{Error, Phase, Result, Run};

/// Logged values of the present epoch, as they stand.
pub(crate) fn set_in_epoch(run: &mut Run) -> Result<()> {
    for (name, value) in std::mem::take(&mut run.pending) {
        check_train_name(run, &name)?;
        run.progress_mut().logged.set(&name, value);
    }
    Ok(())
}

/// Logged values of the epoch that was just recorded.
pub(crate) fn add_to_record(run: &mut Run) -> Result<()> {
    for (name, value) in std::mem::take(&mut run.pending) {
        check_train_name(run, &name)?;
        let Some(record) = run.progress_mut().history.epochs.last_mut() else { continue };
        check_free(&record.train, &name)?;
        record.train.insert(name, value);
    }
    Ok(())
}

pub(crate) fn add_to_evaluation(
    run: &mut Run,
    phase: Phase,
    scores: &mut Scores,
    name: String,
    score: impl Into<Score>,
) -> Result<()> {
    check_free(scores, &name)?;
    let score = score.into();
    if phase == Phase::Valid
        && let Some(valid) = run.record_mut().and_then(|record| record.valid.as_mut())
    {
        valid.insert(name.clone(), score.clone());
    }
    scores.insert(name, score);
    Ok(())
}

fn check_free(scores: &Scores, name: &str) -> Result<()> {
    match scores.get(name) {
        None => Ok(()),
        Some(_) => Err(Error::LogName {
            name: name.to_owned(),
            expected: "a name that no metric and no other logged value has".to_owned(),
        }),
    }
}

pub(crate) fn check_train_name(run: &Run, name: &str) -> Result<()> {
    if run.setup().train_metrics.iter().any(|metric| metric.name == name) {
        let expected = "another name than that of a training metric".to_owned();
        return Err(Error::LogName { name: name.to_owned(), expected });
    }
    check_name(name)
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let expected = match name.split('/').next().unwrap_or_default().trim() {
        "" => "a name",
        "loss" => "another name than `loss` and `loss/…`, which are those of the loss and its parts",
        "train" | "valid" | "test" => "a name without the phase, which is added",
        _ => return Ok(()),
    };
    Err(Error::LogName { name: name.to_owned(), expected: expected.to_owned() })
}
