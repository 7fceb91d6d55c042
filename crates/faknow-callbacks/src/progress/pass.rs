//! The display of one pass over data: bar, mean loss, throughput.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use tch::{Kind, Tensor};

use crate::events::read_scalar;
use crate::{BatchEnd, Error, Phase, ProgressWriter, Result, Run, format};

/// One training epoch, validation or test.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) phase: Phase,
    pub(crate) title: String,
    pub(crate) n_batches: usize,
    pub(crate) bar: ProgressBar,
    start: Instant,
    /// Number of batches completed before the start.
    start_batch: usize,
    /// Time of the last update of the display.
    pub(crate) last_update: Instant,
    n_samples: u64,
    /// Sum of the loss over samples, on the device.
    loss: Option<Tensor>,
}

impl Pass {
    /// Starts a pass and its timer, with `start_batch` batches already completed.
    pub(crate) fn start(
        writer: &ProgressWriter,
        run: &Run,
        phase: Phase,
        start_batch: usize,
        n_batches: usize,
    ) -> Result<Self> {
        let title = match phase {
            Phase::Train => format!("epoch {}/{}", run.epoch(), run.max_epochs()),
            Phase::Valid => format!("valid {}/{}", run.epoch(), run.max_epochs()),
            Phase::Test => "test".to_owned(),
        };
        let bar = writer.add(ProgressBar::new(n_batches as u64));
        bar.set_style(style(writer.has_colors()));
        bar.set_prefix(title.clone());
        bar.set_position(start_batch as u64);
        let now = Instant::now();
        Ok(Self {
            phase,
            title,
            n_batches,
            bar,
            start: now,
            start_batch,
            last_update: now,
            n_samples: 0,
            loss: None,
        })
    }

    /// Adds the loss of a batch, without synchronizing with the device.
    pub(crate) fn add(&mut self, batch: &BatchEnd) -> Result<()> {
        let tensor_error = |error| Error::tensor("loss", error);
        // Detached, since a sum with gradients would keep the autograd graphs of the entire epoch alive.
        let loss = batch.loss.f_detach().and_then(|loss| loss.f_to_kind(Kind::Float));
        let sum = loss.and_then(|loss| loss.f_mul_scalar(batch.n_samples as f64));
        let sum = match &self.loss {
            Some(previous) => sum.and_then(|sum| sum.f_add(previous)),
            None => sum,
        };
        self.loss = Some(sum.map_err(tensor_error)?);
        self.n_samples += batch.n_samples as u64;
        Ok(())
    }

    /// Formats loss, throughput and remaining time; synchronizes with the device.
    pub(crate) fn message(&self, done: usize, now: Instant) -> Result<String> {
        let seconds = now.duration_since(self.start).as_secs_f64();
        let mut parts = Vec::new();
        if let Some(sum) = &self.loss {
            parts.push(format!("loss={}", format::number(read_scalar("loss", sum)? / self.n_samples as f64)));
        }
        parts.extend(format::speed(self.n_samples, seconds));
        let n_timed = done.saturating_sub(self.start_batch);
        if n_timed > 0 {
            let left = seconds / n_timed as f64 * self.n_batches.saturating_sub(done) as f64;
            parts.push(format!("{} left", format::format_duration(left)));
        }
        Ok(parts.join(" "))
    }
}

pub(crate) fn style(colors: bool) -> ProgressStyle {
    // Short enough for all other parts to fit on a terminal with 80 columns.
    let bar = if colors { "{bar:14.cyan/blue}" } else { "{bar:14}" };
    ProgressStyle::with_template(&format!("{{prefix}} [{bar}] {{pos}}/{{len}} {{wide_msg}}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
