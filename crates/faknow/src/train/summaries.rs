//! Callbacks that log the summaries of data and model when a fit starts.

use faknow_callbacks::{Callback, FitStart, HookResult, Run};
use faknow_data::text::WordVectors;

use crate::data::corpus::CorpusSummary;

/// Logs the summary of the data at the start of the fit, so that it is also in the log of the run.
pub(super) struct DataSummary(pub(super) CorpusSummary);

impl Callback for DataSummary {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::RolledBack {
            return Ok(());
        }
        self.0.lines.iter().for_each(|line| tracing::info!("{line}"));
        self.0.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(())
    }
}

/// Logs what was assumed about the data, only into the log of the run, since it was shown when the data was read.
pub(super) struct Assumptions(pub(super) Vec<String>);

impl Callback for Assumptions {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::New {
            self.0.iter().for_each(|line| tracing::info!(target: faknow_callbacks::RUN_TARGET, "{line}"));
        }
        Ok(())
    }
}

/// Logs the parameters of the model, only into the log of the run, since the table is long.
pub(super) struct ModelSummary {
    pub(super) n_optimizer_tensors: usize,
}

impl Callback for ModelSummary {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::RolledBack {
            return Ok(());
        }
        let summary = faknow_model::summary(&run.vars).with_optimizer(self.n_optimizer_tensors);
        tracing::info!(target: faknow_callbacks::RUN_TARGET, "model:\n{summary}");
        Ok(())
    }
}

/// Returns a line about the word vectors of a vocabulary.
pub(super) fn describe_vectors(vectors: &WordVectors, n_words: usize) -> String {
    let mut line = format!("word vectors: {} of {n_words} words found", vectors.n_found);
    if vectors.n_from_subwords > 0 {
        line += &format!(", {} more from their character n-grams", vectors.n_from_subwords);
    }
    if vectors.n_repeated > 0 {
        line +=
            &format!("; {} words occur again in the file, their first vector is used", vectors.n_repeated);
    }
    line
}
