//! The layout of a learning-rate schedule over the length of a run, which a resumed run or a time limit may change.

use tracing::subscriber::{NoSubscriber, with_default};

use crate::Result;
use crate::fit::length::TimeEstimate;
use crate::fit::optimization::{LearningRates, SavedLearningRates};
use crate::schedule::{Schedule, ScheduleUnit, TrainingLength, Unit};

/// Maximum number of steps of a schedule that are computed in advance for a message.
const MAX_PREVIEW: u64 = 1_000_000;

/// The length for which a schedule is laid out.
pub(crate) struct Layout {
    base_rates: Vec<f64>,
    /// The length by the settings.
    length: TrainingLength,
    /// The time limit in seconds.
    time_limit: Option<f64>,
    estimate: Option<TimeEstimate>,
    /// Number of updates for which the schedule was laid out when it was saved.
    former_n_steps: Option<u64>,
}

/// A change of the length of a run.
pub(crate) struct LengthChange {
    /// Number of updates before and after.
    pub(crate) n_steps: [u64; 2],
    /// Learning rates from here on.
    pub(crate) learning_rates: Vec<f64>,
    /// Learning rates of the last update, unless they take too long to compute.
    pub(crate) last: Option<Vec<f64>>,
}

impl Layout {
    pub(crate) fn new(base_rates: Vec<f64>, length: TrainingLength, time_limit: Option<f64>) -> Self {
        Self { base_rates, length, time_limit, estimate: None, former_n_steps: None }
    }

    fn length(&self) -> TrainingLength {
        let limits = self.length.max_steps.into_iter().chain(self.estimate.map(|estimate| estimate.n_steps));
        TrainingLength { max_steps: limits.min(), ..self.length }
    }

    fn n_steps(&self) -> u64 {
        self.length().total(ScheduleUnit::Step)
    }
}

impl LearningRates {
    /// Builds the schedule for the length of the run.
    pub(crate) fn build(&self) -> Result<Option<Box<dyn Schedule>>> {
        let (Some(build), Some(layout)) = (&self.build_schedule, &self.layout) else { return Ok(None) };
        Ok(Some(build.build(&layout.base_rates, &layout.length())?))
    }

    pub(crate) fn saved(&self) -> SavedLearningRates {
        SavedLearningRates {
            factor: self.factor,
            schedule: self.schedule.as_ref().map(|schedule| schedule.state()),
            n_steps: self.layout.as_ref().map(Layout::n_steps),
            estimate: self.layout.as_ref().and_then(|layout| layout.estimate),
        }
    }

    pub(crate) fn restore_saved(&mut self, saved: SavedLearningRates) -> Result<()> {
        self.factor = saved.factor;
        if let Some(layout) = &mut self.layout {
            layout.former_n_steps = saved.n_steps;
            let estimate = layout.time_limit.zip(saved.estimate);
            layout.estimate = estimate.map(|(limit, estimate)| estimate.with_limit(limit));
        }
        self.lay_out_again()?;
        if let (Some(schedule), Some(state)) = (&mut self.schedule, &saved.schedule) {
            schedule.restore(state)?;
        }
        Ok(())
    }

    /// Returns the time limit if it determines the learning rates of a schedule that counts this unit.
    pub(crate) fn time_limit_of(&self, unit: Unit) -> Option<f64> {
        let schedule = self.schedule.as_ref()?;
        let is_affected = schedule.unit() == unit && unit != Unit::Validation && self.depends_on_length();
        self.layout.as_ref()?.time_limit.filter(|_| is_affected)
    }

    pub(crate) fn estimate(&self) -> Option<TimeEstimate> {
        self.layout.as_ref()?.estimate
    }

    /// Sets the length that the time limit allows, and lays the schedule out for it. If this is shorter than the settings say,
    /// and different from before, returns the number of updates by the settings and the new one.
    pub(crate) fn set_estimate(&mut self, estimate: TimeEstimate) -> Result<Option<[u64; 2]>> {
        let Some(layout) = &mut self.layout else { return Ok(None) };
        let before = layout.n_steps();
        layout.estimate = Some(estimate);
        let (now, by_settings) = (layout.n_steps(), layout.length.total(ScheduleUnit::Step));
        if now == before {
            return Ok(None);
        }
        let state = self.schedule.as_ref().map(|schedule| schedule.state());
        self.lay_out_again()?;
        if let (Some(schedule), Some(state)) = (&mut self.schedule, state) {
            schedule.restore(&state)?;
        }
        Ok((now < by_settings).then_some([by_settings, now]))
    }

    /// Returns the learning rates after `n_done` updates and `n_epochs` epochs, if the length of the run has changed. To be
    /// called after [`restore_saved`](Self::restore_saved).
    pub(crate) fn take_length_change(
        &mut self,
        current: &[f64],
        n_done: u64,
        n_epochs: u64,
    ) -> Result<Option<LengthChange>> {
        let depends_on_length = self.depends_on_length();
        let (Some(schedule), Some(layout)) = (&self.schedule, &mut self.layout) else { return Ok(None) };
        let n_steps = layout.n_steps();
        let former = layout.former_n_steps.take().filter(|former| *former != n_steps && n_done < n_steps);
        let Some(former) = former else { return Ok(None) };
        let n_remaining = match schedule.unit() {
            Unit::Step => n_steps - n_done,
            Unit::Epoch => layout.length().total(ScheduleUnit::Epoch).saturating_sub(n_epochs),
            Unit::Validation => return Ok(None),
        };
        let state = schedule.state();
        let scheduled = self.scheduled().filter(|_| depends_on_length);
        let mut last = None;
        if n_remaining <= MAX_PREVIEW
            && let Some(mut preview) = without_messages(|| self.build())?
        {
            preview.restore(&state)?;
            (1..n_remaining).try_for_each(|_| preview.step(None))?;
            last = Some(self.scaled(preview.learning_rates()));
        }
        let learning_rates = scheduled.unwrap_or_else(|| current.to_vec());
        Ok(Some(LengthChange { n_steps: [former, n_steps], learning_rates, last }))
    }

    fn depends_on_length(&self) -> bool {
        self.build_schedule.as_ref().is_some_and(|build| build.depends_on_length())
    }

    /// Builds the schedule again, for an estimated length. If its settings do not fit this length, it stays as it is: the run
    /// does not fail because it is slow.
    fn lay_out_again(&mut self) -> Result<()> {
        if self.estimate().is_none() {
            return Ok(());
        }
        match without_messages(|| self.build()) {
            Ok(schedule) => self.schedule = schedule,
            Err(error) => {
                tracing::warn!("the time limit may end the run within the learning-rate schedule: {error}")
            }
        }
        Ok(())
    }
}

/// Builds a schedule without logging, since its warnings were logged when it was built for the first time.
fn without_messages<T>(build: impl FnOnce() -> T) -> T {
    with_default(NoSubscriber::new(), build)
}
