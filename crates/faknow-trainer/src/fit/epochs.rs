//! The loop: epochs of training and validation, and the end.

use std::path::Path;
use std::time::Instant;

use faknow_callbacks::{Flow, Interval, Phase, RUN_TARGET, StopReason, Timestamp};
use faknow_data::Loader;
use faknow_metrics::{EpochRecord, Evaluation, Score};
use faknow_model::Model;

use crate::error::{Location, phase_name, setting};
use crate::fit::guard::guarded;
use crate::fit::non_finite::MAX_SKIPS;
use crate::fit::updates::Update;
use crate::schedule::Unit;
use crate::step::non_finite;
use crate::{Error, FinalWeights, FitReport, NonFinite, Result, Trainer};

/// How the training pass of an epoch ended.
enum Passed {
    /// With the last batch, or with the one at which the run was told to end.
    Whole,
    /// Someone asked for the end; `last` is saved.
    Interrupted,
    /// The run stands at an earlier checkpoint.
    RolledBack,
}

impl<M: Model> Trainer<M> {
    pub(crate) fn epochs(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<StopReason> {
        loop {
            if !self.at.open {
                if self.run.epoch() >= self.run.max_epochs() {
                    return Ok(StopReason::Completed);
                }
                self.open_epoch()?;
            }
            match self.train_epoch(train, valid)? {
                Passed::Whole => {}
                Passed::Interrupted => return Ok(StopReason::Interrupted),
                Passed::RolledBack => continue,
            }
            if let Some(reason) = self.close_epoch(valid)? {
                return Ok(reason);
            }
        }
    }

    /// Puts the best weights, or their average, into the model if so asked.
    pub(crate) fn final_weights(&mut self, ended: &StopReason) -> Result<FinalWeights> {
        let mut weights = FinalWeights::Last;
        if *ended != StopReason::Interrupted {
            if self.settings.restore_best && self.best.restore(&self.run.vars, self.store.as_ref())? {
                weights = FinalWeights::Best;
            } else if let Some(average) = &self.average {
                average.use_it()?;
                weights = FinalWeights::Average;
            }
        }
        Ok(weights)
    }

    pub(crate) fn report(&self, ended: StopReason, weights: FinalWeights, start: Instant) -> FitReport {
        tracing::info!(target: RUN_TARGET, "time by phase:\n{}", self.profile);
        FitReport {
            ended,
            best: self.run.best().cloned(),
            weights,
            history: self.run.history().clone(),
            run_dir: self.run.dir().map(Path::to_path_buf),
            seconds: start.elapsed().as_secs_f64(),
            profile: self.profile,
        }
    }

    fn open_epoch(&mut self) -> Result<()> {
        self.run.progress_mut().epoch += 1;
        self.run.progress_mut().batch = 0;
        let told = self.callbacks.on_epoch_start(&mut self.run);
        if told.is_err() {
            // Not begun: a resumed run tells of it again.
            self.run.progress_mut().epoch -= 1;
            self.run.progress_mut().batch = self.run.n_batches();
        }
        told?;
        self.at.next(&self.run.learning_rates);
        Ok(())
    }

    fn train_epoch(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<Passed> {
        let (epoch, done) = (self.run.epoch(), self.run.batch());
        if done > 0 {
            // The run was cut off here before it had done what was due.
            self.after_update(Ok(Flow::Continue), valid)?;
        }
        if self.at.stopping.is_some() {
            return Ok(Passed::Whole);
        }
        let mut batches = guarded(
            done + 1,
            move |batch| Location::training(epoch, batch),
            || train.batches(epoch - 1, done),
        )?;
        loop {
            let start = Instant::now();
            let window = batches.by_ref().take(self.settings.accumulate).collect::<Result<Vec<_>>>()?;
            if window.is_empty() {
                break;
            }
            self.profile.data += start.elapsed().as_secs_f64();
            if self.run.step() == 0 {
                tracing::debug!("the first batch is there");
            }
            let before = self.run.timestamp();
            let n_batches = window.len();
            let told = match self.update(window) {
                Ok(update) => self.commit(update, &before)?,
                Err(error) => match self.go_on_after(error)? {
                    true => return Ok(Passed::RolledBack),
                    false => {
                        self.run.progress_mut().batch += n_batches;
                        Ok(Flow::Continue)
                    }
                },
            };
            self.at.seconds += start.elapsed().as_secs_f64();
            self.after_update(told, valid)?;
            if self.settings.interrupt.is_requested() {
                self.save_out_of_turn()?;
                return Ok(Passed::Interrupted);
            }
            if self.at.stopping.is_some() {
                break;
            }
        }
        if self.run.batch() == 0 {
            return Err(Error::EmptyLoader {
                phase: phase_name(Phase::Train),
                hint: "it announced batches and gave none",
            });
        }
        Ok(Passed::Whole)
    }

    /// Takes gradients from the batches of a window and updates the weights once.
    fn update(&mut self, window: Vec<(Location, M::Batch)>) -> Result<Update> {
        self.told(|trainer| Ok(trainer.callbacks.on_batch_start(&mut trainer.run)?))?;
        // After the callbacks, so that the rates they set apply to this update.
        self.take_learning_rates()?;
        self.exact = false;
        let reads_loss = self.settings.on_non_finite != NonFinite::Stop;
        self.update_once(window, self.run.step(), reads_loss)
    }

    /// Counts an update, averages, tells the callbacks (with the rates of this very step), and steps the schedule.
    ///
    /// What the callbacks answer is given back rather than returned early: the books are closed first.
    fn commit(&mut self, update: Update, before: &Timestamp) -> Result<Result<Flow>> {
        for (loss, n) in &update.losses {
            self.at.sums.add(loss, *n)?;
        }
        if let Some(norm) = self.optimizer.grad_norm() {
            self.at.norms.add(norm)?;
        }
        self.at.n_skips = 0;
        self.run.progress_mut().batch += update.losses.len();
        self.run.progress_mut().step += 1;
        self.run.progress_mut().samples += update.n_samples as u64;
        self.run.progress_mut().seconds = self.at.run_seconds();
        let now = self.run.timestamp();
        if let Some(average) = &mut self.average {
            average.update(before, &now)?;
        }
        let end = update.end(self.optimizer.grad_norm())?;
        let told = self.told(|trainer| Ok(trainer.callbacks.on_batch_end(&mut trainer.run, &end)?));
        self.step_schedule(Unit::Step, None)?;
        self.exact = true;
        Ok(told)
    }

    /// What is due after an update: a validation inside the epoch, the end of the run, a checkpoint.
    fn after_update(&mut self, told: Result<Flow>, valid: Option<&dyn Loader<M::Batch>>) -> Result<()> {
        if let Flow::Stop(reason) = told? {
            self.at.stopping = Some(reason);
        }
        let now = self.run.timestamp();
        if self.at.stopping.is_none() {
            self.at.stopping = self.settings.limit_reached(&now);
        }
        if self.run.batch() >= self.run.n_batches() || self.at.stopping.is_some() {
            return Ok(());
        }
        let due = |every: Interval| every.is_due(&self.at.validated_at, &now);
        let improved = match valid.filter(|_| self.settings.validate_every.is_some_and(due)) {
            Some(valid) => self.validate_inside(valid)?,
            None => false,
        };
        // One that is interrupted may have left the validation out.
        let in_turn = !self.settings.interrupt.is_requested();
        if improved || (in_turn && self.settings.checkpoints.every.is_due(&self.at.saved_at, &now)) {
            self.save_last(improved, None)?;
        }
        Ok(())
    }

    /// Whether the run goes on after a failed update: `Ok(true)` if it was rolled back, `Ok(false)` if the update is
    /// skipped.
    fn go_on_after(&mut self, error: Error) -> Result<bool> {
        // A step that updated nothing has changed nothing, and neither has a callback before it.
        self.exact |= !self.optimizer.updated() && self.step.is_unchanged()?;
        let non_finite = matches!(error, Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. });
        match self.settings.on_non_finite {
            NonFinite::Skip if non_finite && self.exact && self.at.n_skips < MAX_SKIPS => {
                self.at.n_skips += 1;
                self.run.progress_mut().skipped += 1;
                tracing::warn!("{error}; the update is skipped, {} in all", self.run.skipped());
                self.optimizer.zero_grad();
                Ok(false)
            }
            NonFinite::RollBack if non_finite => self.roll_back(error).map(|()| true),
            _ => Err(error),
        }
    }

    /// Gives the optimizer the run's rates, which the schedule or a callback may have changed.
    fn take_learning_rates(&mut self) -> Result<()> {
        let rates = &self.run.learning_rates;
        let n_groups = self.optimizer.learning_rates().len();
        if rates.len() != n_groups {
            return Err(setting(
                "learning_rates of the run",
                &format!("{n_groups}, one a group"),
                rates.len(),
            ));
        }
        if let Some(rate) = rates.iter().find(|rate| !(rate.is_finite() && **rate >= 0.0)) {
            return Err(setting("learning_rates of the run", "numbers of at least 0", rate));
        }
        self.optimizer.set_learning_rates(rates);
        Ok(())
    }

    /// Ends an epoch: validates if it is time, records, judges, steps schedules, tells, saves. Answers why the run
    /// ends, if it does.
    fn close_epoch(&mut self, valid: Option<&dyn Loader<M::Batch>>) -> Result<Option<StopReason>> {
        let is_last = self.at.stopping.is_some() || self.run.epoch() >= self.run.max_epochs();
        let mut record = self.record()?;
        let mut evaluation = None;
        if let Some(valid) = valid.filter(|_| is_last || self.validates_after_epoch()) {
            evaluation = match self.validate(valid, &mut record) {
                Err(Error::Interrupted) => {
                    self.save_out_of_turn()?;
                    return Ok(Some(StopReason::Interrupted));
                }
                done => Some(done?),
            };
        }
        self.run.progress_mut().history.epochs.push(record.clone());
        self.run.progress_mut().logged.clear();
        let improved = self.judge(&record)?;
        self.step_schedule(Unit::Epoch, None)?;
        let mut reason = self.at.stopping.take();
        self.at.open = false;
        let mut failed = None;
        let mut hear = |told: Result<Flow>| match told {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop(why)) => drop(reason.get_or_insert(why)),
            Err(error) => drop(failed.get_or_insert(error)),
        };
        if let Some(evaluation) = &mut evaluation {
            self.step_schedule(Unit::Validation, Some(&record))?;
            hear(self.evaluated(evaluation));
        }
        hear(self.told(|trainer| Ok(trainer.callbacks.on_epoch_end(&mut trainer.run)?)));
        if reason.is_none() && self.run.epoch() >= self.run.max_epochs() {
            reason = Some(StopReason::Completed);
        }
        let interrupted = reason.is_none() && self.settings.interrupt.is_requested();
        let due = self.settings.checkpoints.every.is_due(&self.at.saved_at, &self.run.timestamp());
        if due || improved || interrupted || reason.is_some() {
            self.save_last(improved, reason.as_ref())?;
        }
        match failed {
            Some(error) => Err(error),
            None if interrupted => Ok(Some(StopReason::Interrupted)),
            None => Ok(reason),
        }
    }

    /// Validates between two updates of an epoch; answers whether it was the best so far.
    fn validate_inside(&mut self, valid: &dyn Loader<M::Batch>) -> Result<bool> {
        let mut record = self.record()?;
        let mut evaluation = match self.validate(valid, &mut record) {
            // The update before it is done; the loop sees the request too.
            Err(Error::Interrupted) => return Ok(false),
            done => done?,
        };
        self.run.progress_mut().history.inside.push(record.clone());
        let improved = self.judge(&record)?;
        self.step_schedule(Unit::Validation, Some(&record))?;
        if let Flow::Stop(reason) = self.evaluated(&mut evaluation)? {
            self.at.stopping = Some(reason);
        }
        Ok(improved)
    }

    /// Validates the weights, or their average, into `record`.
    fn validate(&mut self, valid: &dyn Loader<M::Batch>, record: &mut EpochRecord) -> Result<Evaluation> {
        let start = Instant::now();
        self.callbacks.on_evaluation_start(&mut self.run, Phase::Valid)?;
        if let Some(average) = &mut self.average {
            average.swap()?;
        }
        let evaluation = self.evaluate(valid, Phase::Valid);
        // Back, however it ended: training goes on with the weights themselves.
        if let Some(average) = &mut self.average {
            average.swap()?;
        }
        let evaluation = evaluation?;
        self.profile.validation += start.elapsed().as_secs_f64();
        record.valid_seconds = evaluation.seconds;
        record.valid = Some(evaluation.scores.clone());
        if let Some(monitor) = self.run.monitor() {
            monitor.require(record)?;
        }
        self.at.validated_at = self.run.timestamp();
        Ok(evaluation)
    }

    /// Notifies the callbacks of a validation that is in the history.
    fn evaluated(&mut self, evaluation: &mut Evaluation) -> Result<Flow> {
        self.told(|trainer| {
            Ok(trainer.callbacks.on_evaluation_end(&mut trainer.run, Phase::Valid, evaluation)?)
        })
    }

    /// Whether an epoch that is not the last is followed by a validation.
    fn validates_after_epoch(&self) -> bool {
        match self.settings.validate_every {
            None => true,
            Some(every) => every.is_due(&self.at.validated_at, &self.run.timestamp()),
        }
    }

    /// The epoch so far. On a device its losses are read, and found finite or not, only now.
    fn record(&self) -> Result<EpochRecord> {
        let mut train = self.at.sums.means()?;
        self.run.progress().logged.write_to(&mut train);
        let location = Location::training(self.run.epoch(), self.run.batch());
        if self.at.sums.is_empty() && self.at.n_skips > 0 {
            train.insert("loss", Score::undefined("every update of the epoch was skipped"));
        }
        match train.value("loss") {
            Some(loss) if loss.is_finite() => {}
            None if train.get("loss").is_some() => {}
            loss => return Err(non_finite(location, loss.unwrap_or(f64::NAN), Vec::new(), &self.optimizer)),
        }
        Ok(EpochRecord {
            epoch: self.run.epoch(),
            step: self.run.step(),
            samples: self.run.samples(),
            train,
            valid: None,
            learning_rates: self.at.learning_rates.clone(),
            grad_norm: self.at.norms.mean()?,
            train_seconds: self.at.seconds,
            valid_seconds: 0.0,
        })
    }

    /// Steps the schedule if this is its unit, and takes over its rates; `validation` is the latest.
    fn step_schedule(&mut self, unit: Unit, validation: Option<&EpochRecord>) -> Result<()> {
        let monitored = match (self.run.monitor(), validation) {
            (Some(monitor), Some(record)) => monitor.value(record),
            _ => None,
        };
        match &mut self.schedule {
            Some(schedule) if schedule.unit() == unit => schedule.step(monitored)?,
            _ => return Ok(()),
        }
        self.apply_schedule();
        Ok(())
    }

    /// Takes over the schedule's rates.
    pub(crate) fn apply_schedule(&mut self) {
        if let Some(schedule) = &self.schedule {
            let rates = schedule.learning_rates();
            self.run.learning_rates = rates.into_iter().map(|rate| rate * self.rate_factor).collect();
        }
    }

    /// Does what callbacks do, and takes the time.
    fn told<T>(&mut self, tell: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let told = tell(self);
        self.profile.callbacks += start.elapsed().as_secs_f64();
        told
    }
}
