//! What the view shows of a run.

use faknow::callbacks::{Run, format_duration};
use faknow::metrics::EpochRecord;

/// Losses of batches that are kept; beyond, every second one goes.
const MOST_LOSSES: usize = 1000;

/// What the view shows of a run.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) title: String,
    pub(super) epoch: usize,
    pub(super) max_epochs: usize,
    pub(super) batch: usize,
    pub(super) n_batches: usize,
    pub(super) seconds: f64,
    pub(super) learning_rate: f64,
    /// Losses of batches by epochs done.
    pub(super) batch_losses: Vec<(f64, f64)>,
    pub(super) train_losses: Vec<(f64, f64)>,
    pub(super) valid_losses: Vec<(f64, f64)>,
    /// Name and values of what the run is judged by.
    pub(super) monitor: Option<(String, Vec<(f64, f64)>)>,
    pub(super) best: Option<String>,
    /// Batches of the validation that are done, and how many there are.
    pub(super) validating: Option<(usize, usize)>,
    pub(super) stopping: bool,
}

impl State {
    pub(super) fn look_at(&mut self, run: &Run) {
        self.title = run.name().to_owned();
        (self.epoch, self.max_epochs) = (run.epoch(), run.max_epochs());
        (self.batch, self.n_batches) = (run.batch(), run.n_batches());
        self.seconds = run.seconds();
        self.learning_rate = run.learning_rates.first().copied().unwrap_or_default();
        let of = |value: &dyn Fn(&EpochRecord) -> Option<f64>| {
            let points = run.history().epochs.iter();
            let points = points.filter_map(|record| Some((record.epoch as f64, value(record)?)));
            points.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>()
        };
        self.train_losses = of(&|record| record.train.value("loss"));
        self.valid_losses = of(&|record| record.valid.as_ref()?.value("loss"));
        self.monitor = run
            .monitor()
            .filter(|monitor| monitor.name != "loss")
            .map(|monitor| (monitor.name.clone(), of(&|record| monitor.value(record))));
        self.best =
            run.best().map(|best| format!("{} {:.4} in epoch {}", best.monitor, best.value, best.epoch));
    }

    pub(super) fn add_loss(&mut self, run: &Run, loss: f64) {
        if loss.is_finite() {
            self.batch_losses.push((run.timestamp().epochs, loss));
        }
        if self.batch_losses.len() > MOST_LOSSES {
            let mut keep = false;
            self.batch_losses.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// What was noted of steps that are void.
    pub(super) fn forget(&mut self) {
        self.batch_losses.clear();
    }

    /// Share of the whole run that is done, if it takes all of its epochs.
    pub(super) fn done(&self) -> f64 {
        let epochs = self.epoch.saturating_sub(1) as f64 + self.batch as f64 / self.n_batches.max(1) as f64;
        (epochs / self.max_epochs.max(1) as f64).clamp(0.0, 1.0)
    }

    /// Time that is left, if all epochs are done as fast.
    pub(super) fn left(&self) -> String {
        match self.done() {
            done if done > 0.0 => format_duration(self.seconds * (1.0 - done) / done),
            _ => "?".to_owned(),
        }
    }
}
