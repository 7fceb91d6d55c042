//! Time profile of a run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds spent in each phase of a fit, including the time before an interruption.
///
/// CUDA operations are asynchronous: their time is attributed to the phase in which the loop next waits for the device.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Waiting for training batches.
    pub data: f64,
    /// Moving batches to the device.
    pub transfer: f64,
    /// Forward passes of training, and all other work of the training step.
    pub forward: f64,
    /// Backward passes.
    pub backward: f64,
    /// Gradient norms, clipping, updates.
    pub optimizer: f64,
    /// Callbacks.
    pub callbacks: f64,
    /// Validation.
    pub validation: f64,
    /// Writing checkpoints.
    pub checkpoints: f64,
}

impl Profile {
    /// Returns the names and seconds of the phases, in their order of execution.
    pub fn phases(&self) -> [(&'static str, f64); 8] {
        [
            ("data", self.data),
            ("transfer", self.transfer),
            ("forward", self.forward),
            ("backward", self.backward),
            ("optimizer", self.optimizer),
            ("callbacks", self.callbacks),
            ("validation", self.validation),
            ("checkpoints", self.checkpoints),
        ]
    }

    /// Returns the total seconds of all phases.
    pub fn total(&self) -> f64 {
        self.phases().iter().map(|(_, seconds)| seconds).sum()
    }

    /// Adds the time of a training step that took `step` in total.
    pub(crate) fn add_step(&mut self, step: Duration, backward: Duration, optimizer: Duration) {
        self.forward += step.saturating_sub(backward + optimizer).as_secs_f64();
        self.backward += backward.as_secs_f64();
        self.optimizer += optimizer.as_secs_f64();
    }
}

/// One line per phase: name, seconds and share.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        for (number, (name, seconds)) in self.phases().into_iter().enumerate() {
            let share = if total > 0.0 { 100.0 * seconds / total } else { 0.0 };
            let end = if number == 7 { "" } else { "\n" };
            write!(f, "{name:<12} {seconds:>9.2} s {share:>5.1} %{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_time_is_the_remainder_of_a_step() {
        let mut profile = Profile::default();
        let ms = Duration::from_millis;
        profile.add_step(ms(100), ms(50), ms(20));
        assert_eq!((profile.forward, profile.backward, profile.optimizer), (0.03, 0.05, 0.02));
        assert_eq!(profile.total(), 0.1);
        let text = profile.to_string();
        assert!(text.contains("forward           0.03 s  30.0 %"), "{text}");
        assert_eq!(text.lines().count(), profile.phases().len());
    }
}
