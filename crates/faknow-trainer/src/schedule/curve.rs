//! Schedules that are a function of the step number: all but the plateau.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Result, Schedule, ScheduleError, Unit, check};

/// The rate after `t` units of a group whose base rate is `base_lr`: `curve(t, base_lr)`.
///
/// A function of `t` alone needs no state but `t`, so it resumes exactly; PyTorch's recursive formulas differ from it
/// by rounding only.
pub(super) type Curve = Arc<dyn Fn(u64, f64) -> f64 + Send + Sync>;

/// A curve and how far the run has come along it.
pub(super) struct CurveSchedule {
    name: &'static str,
    unit: Unit,
    base_lrs: Vec<f64>,
    curve: Curve,
    t: u64,
    rates: Vec<f64>,
}

impl CurveSchedule {
    pub(super) fn new(name: &'static str, unit: Unit, base_lrs: &[f64], curve: Curve) -> Result<Self> {
        check::base_lrs(name, base_lrs)?;
        let mut schedule = Self { name, unit, base_lrs: base_lrs.to_vec(), curve, t: 0, rates: Vec::new() };
        schedule.go_to(0)?;
        Ok(schedule)
    }

    fn go_to(&mut self, t: u64) -> Result<()> {
        let rates = self.base_lrs.iter().map(|&base_lr| (self.curve)(t, base_lr)).collect();
        self.rates = check::rates(self.name, self.unit, t, rates)?;
        self.t = t;
        Ok(())
    }
}

impl Schedule for CurveSchedule {
    fn unit(&self) -> Unit {
        self.unit
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.rates.clone()
    }

    fn step(&mut self, _metric: Option<f64>) -> Result<()> {
        self.go_to(self.t.saturating_add(1))
    }

    fn state(&self) -> Value {
        json!({ "name": self.name, "t": self.t })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct State {
            t: u64,
        }
        let State { t } = read_state(self.name, state)?;
        self.go_to(t)
    }
}

/// Reads a state after making sure that it is the schedule's own.
pub(super) fn read_state<S: for<'de> Deserialize<'de>>(name: &str, state: &Value) -> Result<S> {
    let error = |message| ScheduleError::State { schedule: name.to_owned(), message };
    let mut fields =
        state.as_object().cloned().ok_or_else(|| error(format!("expected an object, got {state}")))?;
    match fields.remove("name") {
        Some(Value::String(of)) if of == name => {}
        Some(of) => return Err(error(format!("expected that of `{name}`, got that of {of}"))),
        None => return Err(error(format!("expected the key `name` with `{name}`, got none"))),
    }
    serde_json::from_value(Value::Object(fields)).map_err(|e| error(e.to_string()))
}

/// The length that a schedule is made for: as given, or that of the run. Says so if the two differ, for a schedule
/// made for steps but counted in epochs leaves the model untrained without any other sign.
pub(super) fn planned(name: &str, total_steps: Option<u64>, span: u64) -> u64 {
    let total = total_steps.unwrap_or(span);
    if total != span {
        tracing::warn!(
            total_steps = total,
            span,
            "schedule `{name}`: made for another length than the run has"
        );
    }
    total
}
