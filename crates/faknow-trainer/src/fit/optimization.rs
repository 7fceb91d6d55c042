//! The optimizer, its learning rates, and the weight average.

use faknow_callbacks::{Run, State};
use faknow_metrics::EpochRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::part::{Checkpointable, from_state, to_state};
use crate::error::setting;
use crate::fit::averages::WeightAverage;
use crate::fit::layout::Layout;
use crate::fit::length::TimeEstimate;
use crate::schedule::{BuildSchedule, Schedule, TrainingLength, Unit};
use crate::{Optimizer, Result};

/// The optimizer, its learning rates, and the weight average.
pub(crate) struct Optimization {
    pub(crate) optimizer: Optimizer,
    pub(crate) learning_rates: LearningRates,
    pub(crate) average: Option<WeightAverage>,
}

/// The learning rates, which the schedule and rollbacks change.
pub(crate) struct LearningRates {
    pub(crate) build_schedule: Option<Box<dyn BuildSchedule>>,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    /// Factor on every learning rate, below 1 after a rollback.
    pub(crate) factor: f64,
    pub(crate) layout: Option<Layout>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedLearningRates {
    pub(crate) factor: f64,
    pub(crate) schedule: Option<Value>,
    /// Number of updates for which the schedule is laid out.
    #[serde(default)]
    pub(crate) n_steps: Option<u64>,
    #[serde(default)]
    pub(crate) estimate: Option<TimeEstimate>,
}

impl Optimization {
    pub(crate) fn new(
        optimizer: Optimizer,
        build_schedule: Option<Box<dyn BuildSchedule>>,
        average: Option<WeightAverage>,
    ) -> Self {
        let learning_rates = LearningRates { build_schedule, schedule: None, factor: 1.0, layout: None };
        Self { optimizer, learning_rates, average }
    }

    /// Builds the schedule for a fit of this length; in a further fit of a run, it continues from its state. Returns the
    /// learning rates at the start of the run.
    pub(crate) fn start(
        &mut self,
        length: TrainingLength,
        time_limit: Option<f64>,
        is_continued: bool,
    ) -> Result<Option<Vec<f64>>> {
        let rates = &mut self.learning_rates;
        let former = is_continued.then(|| rates.saved());
        let base_rates = self.optimizer.base_learning_rates().to_vec();
        rates.layout = Some(Layout::new(base_rates.clone(), length, time_limit));
        rates.schedule = rates.build()?;
        match former {
            Some(former) => rates.restore_saved(former).map(|()| None),
            None => Ok(rates.scheduled().or_else(|| Some(rates.scaled(base_rates)))),
        }
    }

    /// Applies settings of the optimizer and the schedule that differ from those of the restored checkpoint: sets the weight
    /// decay of each group, and returns the learning rates at the current position of the schedule.
    pub(crate) fn apply_settings(&mut self) -> Result<Vec<f64>> {
        self.optimizer.apply_weight_decays()?;
        let rates = &self.learning_rates;
        Ok(rates.scheduled().unwrap_or_else(|| rates.scaled(self.optimizer.base_learning_rates().to_vec())))
    }

    /// Sets the learning rates of the optimizer to those of the run, which the schedule or a callback may have changed.
    pub(crate) fn set_learning_rates(&mut self, rates: &[f64]) -> Result<()> {
        let n_groups = self.optimizer.learning_rates().len();
        if rates.len() != n_groups {
            let expected = format!("{n_groups}, one per parameter group");
            return Err(setting("learning_rates of the run", &expected, rates.len()));
        }
        if let Some(rate) = rates.iter().find(|rate| !(rate.is_finite() && **rate >= 0.0)) {
            return Err(setting("learning_rates of the run", "numbers of at least 0", rate));
        }
        self.optimizer.set_learning_rates(rates);
        Ok(())
    }
}

impl LearningRates {
    /// Steps the schedule if this is its unit; returns the resulting learning rates.
    pub(crate) fn step(&mut self, unit: Unit, monitored: Option<f64>) -> Result<Option<Vec<f64>>> {
        match &mut self.schedule {
            Some(schedule) if schedule.unit() == unit => schedule.step(monitored)?,
            _ => return Ok(None),
        }
        Ok(self.scheduled())
    }

    /// Multiplies all learning rates by `factor` from now on; returns the total factor relative to the settings.
    pub(crate) fn lower(&mut self, factor: f64) -> f64 {
        self.factor *= factor;
        self.factor
    }

    /// Moves a schedule that was just built to the current position of the run, as if it had been there from the start.
    pub(crate) fn replay(&mut self, run: &Run) -> Result<()> {
        let Some(schedule) = &mut self.schedule else { return Ok(()) };
        let history = run.history();
        match schedule.unit() {
            Unit::Step => (0..run.step()).try_for_each(|_| schedule.step(None))?,
            Unit::Epoch => history.epochs.iter().try_for_each(|_| schedule.step(None))?,
            Unit::Validation => {
                let records = history.in_order().into_iter().map(|(record, _)| record);
                let mut records = records.filter(|record| record.valid.is_some());
                let value = |record: &EpochRecord| run.monitor().and_then(|monitor| monitor.value(record));
                records.try_for_each(|record| schedule.step(value(record)))?;
            }
        }
        Ok(())
    }

    /// Restores everything but the state of the schedule.
    pub(crate) fn restore_without_schedule(&mut self, state: &State) -> Result<()> {
        let saved: SavedLearningRates = from_state("learning rates", state)?;
        self.restore_saved(SavedLearningRates { schedule: None, ..saved })
    }

    pub(crate) fn scheduled(&self) -> Option<Vec<f64>> {
        self.schedule.as_ref().map(|schedule| self.scaled(schedule.learning_rates()))
    }

    pub(crate) fn scaled(&self, rates: Vec<f64>) -> Vec<f64> {
        rates.into_iter().map(|rate| rate * self.factor).collect()
    }
}

impl Checkpointable for LearningRates {
    fn state(&self) -> Result<State> {
        to_state("learning rates", &self.saved())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.restore_saved(from_state("learning rates", state)?)
    }
}
