//! Early stopping by the settings of a config.

use faknow_callbacks::EarlyStopping;

use crate::config::EarlyStoppingConfig;

/// Returns the callback of these settings; `monitor` is its value if it differs from that of the run.
pub(super) fn early_stopping(settings: &EarlyStoppingConfig, monitor: Option<String>) -> EarlyStopping {
    let mut stopping = EarlyStopping::new(settings.patience)
        .min_delta(settings.min_delta)
        .start_from_epoch(settings.start_from_epoch);
    if let Some(threshold) = settings.stopping_threshold {
        stopping = stopping.stopping_threshold(threshold);
    }
    if let Some(threshold) = settings.divergence_threshold {
        stopping = stopping.divergence_threshold(threshold);
    }
    match monitor {
        Some(name) => stopping.monitor(name),
        None => stopping,
    }
}
