//! The state of a run that the view shows.

use faknow::callbacks::{Run, format_duration};
use faknow::metrics::EpochRecord;

/// Maximum number of batch losses; beyond it, every second one is dropped.
const MAX_LOSSES: usize = 1000;

/// The state of a run that the view shows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) title: String,
    pub(super) epoch: usize,
    pub(super) max_epochs: usize,
    pub(super) batch: usize,
    pub(super) n_batches: usize,
    pub(super) seconds: f64,
    pub(super) learning_rate: f64,
    /// Losses of batches, by position in epochs.
    pub(super) batch_losses: Vec<(f64, f64)>,
    pub(super) train_losses: Vec<(f64, f64)>,
    pub(super) valid_losses: Vec<(f64, f64)>,
    /// Name and values of the monitored metric.
    pub(super) monitor: Option<(String, Vec<(f64, f64)>)>,
    pub(super) best: Option<String>,
    /// Completed and total batches of the current validation.
    pub(super) validation: Option<(usize, usize)>,
    pub(super) is_stopping: bool,
}

impl State {
    pub(super) fn update(&mut self, run: &Run) {
        self.title = run.name().to_owned();
        (self.epoch, self.max_epochs) = (run.epoch(), run.max_epochs());
        (self.batch, self.n_batches) = (run.batch(), run.n_batches());
        self.seconds = run.seconds();
        self.learning_rate = run.learning_rates.first().copied().unwrap_or_default();
        let series = |value: &dyn Fn(&EpochRecord) -> Option<f64>| {
            let points = run.history().epochs.iter();
            let points = points.filter_map(|record| Some((record.epoch as f64, value(record)?)));
            points.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>()
        };
        self.train_losses = series(&|record| record.train.value("loss"));
        self.valid_losses = series(&|record| record.valid.as_ref()?.value("loss"));
        self.monitor = run
            .monitor()
            .filter(|monitor| monitor.name != "loss")
            .map(|monitor| (monitor.name.clone(), series(&|record| monitor.value(record))));
        self.best =
            run.best().map(|best| format!("{} {:.4} in epoch {}", best.monitor, best.value, best.epoch));
    }

    pub(super) fn add_loss(&mut self, run: &Run, loss: f64) {
        if loss.is_finite() {
            self.batch_losses.push((run.timestamp().epochs, loss));
        }
        if self.batch_losses.len() > MAX_LOSSES {
            let mut keep = false;
            self.batch_losses.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Removes the batch losses, whose steps are repeated.
    pub(super) fn clear_batch_losses(&mut self) {
        self.batch_losses.clear();
    }

    /// Returns the completed fraction of the run, assuming that it takes all epochs.
    pub(super) fn progress(&self) -> f64 {
        let epochs = self.epoch.saturating_sub(1) as f64 + self.batch as f64 / self.n_batches.max(1) as f64;
        (epochs / self.max_epochs.max(1) as f64).clamp(0.0, 1.0)
    }

    /// Returns the estimated remaining time, assuming a constant speed.
    pub(super) fn remaining_time(&self) -> String {
        match self.progress() {
            progress if progress > 0.0 => format_duration(self.seconds * (1.0 - progress) / progress),
            _ => "?".to_owned(),
        }
    }
}
