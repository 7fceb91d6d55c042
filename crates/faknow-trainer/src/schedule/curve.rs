//! Schedules that are a function of the number of units: all but the plateau.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Result, Schedule, ScheduleError, Unit, check};

/// The learning rate after `t` units of a parameter group with the base learning rate `base_lr`: `curve(t, base_lr)`.
///
/// The only state is `t`, so a curve resumes exactly; PyTorch's recursive formulas differ from it only by rounding.
pub(super) type Curve = Arc<dyn Fn(u64, f64) -> f64 + Send + Sync>;

/// A curve with the number of units so far.
pub(super) struct CurveSchedule {
    name: &'static str,
    unit: Unit,
    base_lrs: Vec<f64>,
    curve: Curve,
    t: u64,
    learning_rates: Vec<f64>,
}

impl CurveSchedule {
    pub(super) fn new(name: &'static str, unit: Unit, base_lrs: &[f64], curve: Curve) -> Result<Self> {
        check::base_lrs(name, base_lrs)?;
        let mut schedule =
            Self { name, unit, base_lrs: base_lrs.to_vec(), curve, t: 0, learning_rates: Vec::new() };
        schedule.set_t(0)?;
        Ok(schedule)
    }

    fn set_t(&mut self, t: u64) -> Result<()> {
        let learning_rates = self.base_lrs.iter().map(|&base_lr| (self.curve)(t, base_lr)).collect();
        self.learning_rates = check::learning_rates(self.name, self.unit, t, learning_rates)?;
        self.t = t;
        Ok(())
    }
}

impl Schedule for CurveSchedule {
    fn unit(&self) -> Unit {
        self.unit
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.learning_rates.clone()
    }

    fn step(&mut self, _metric: Option<f64>) -> Result<()> {
        self.set_t(self.t.saturating_add(1))
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
        self.set_t(t)
    }
}

/// Deserializes a state, and checks that it is one of this schedule.
pub(super) fn read_state<S: for<'de> Deserialize<'de>>(name: &str, state: &Value) -> Result<S> {
    let error = |message| ScheduleError::State { schedule: name.to_owned(), message };
    let mut fields =
        state.as_object().cloned().ok_or_else(|| error(format!("expected an object, got {state}")))?;
    match fields.remove("name") {
        Some(Value::String(saved)) if saved == name => {}
        Some(saved) => return Err(error(format!("name: expected \"{name}\", got {saved}"))),
        None => return Err(error(format!("name: expected \"{name}\", got nothing"))),
    }
    serde_json::from_value(Value::Object(fields)).map_err(|e| error(e.to_string()))
}
