//! One pass over data as progress shows it: its bar, its mean loss, its speed.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use tch::{Kind, Tensor};

use crate::events::read;
use crate::{BatchEnd, Error, Phase, ProgressWriter, Result, Run, format};

/// One training epoch, validation or test.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) phase: Phase,
    pub(crate) title: String,
    pub(crate) n_batches: usize,
    pub(crate) bar: ProgressBar,
    began: Instant,
    began_at: usize,
    /// When the state was last shown.
    pub(crate) shown: Instant,
    n_samples: u64,
    /// Sum over samples, on the device.
    loss: Option<Tensor>,
}

impl Pass {
    /// A pass of which `began_at` batches are done before its time is taken.
    pub(crate) fn begin(
        writer: &ProgressWriter,
        run: &Run,
        phase: Phase,
        began_at: usize,
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
        bar.set_position(began_at as u64);
        let now = Instant::now();
        Ok(Self { phase, title, n_batches, bar, began: now, began_at, shown: now, n_samples: 0, loss: None })
    }

    /// Takes the loss of a batch, without waiting for it.
    pub(crate) fn add(&mut self, batch: &BatchEnd) -> Result<()> {
        let failed = |error| Error::Tensor { what: "loss".to_owned(), error };
        // Cut off from the graph, whatever an own loop hands over: a sum would keep all graphs of the epoch.
        let loss = batch.loss.f_detach().and_then(|loss| loss.f_to_kind(Kind::Float));
        let sum = loss.and_then(|loss| loss.f_mul_scalar(batch.n_samples as f64));
        let sum = match &self.loss {
            Some(before) => sum.and_then(|sum| sum.f_add(before)),
            None => sum,
        };
        self.loss = Some(sum.map_err(failed)?);
        self.n_samples += batch.n_samples as u64;
        Ok(())
    }

    /// Loss, speed and time left; waits for the device.
    pub(crate) fn state(&self, done: usize, now: Instant) -> Result<String> {
        let seconds = now.duration_since(self.began).as_secs_f64();
        let mut parts = Vec::new();
        if let Some(sum) = &self.loss {
            parts.push(format!("loss={}", format::number(read("loss", sum)? / self.n_samples as f64)));
        }
        parts.extend(format::speed(self.n_samples, seconds));
        let done_here = done.saturating_sub(self.began_at);
        if done_here > 0 {
            let left = seconds / done_here as f64 * self.n_batches.saturating_sub(done) as f64;
            parts.push(format!("{} left", format::format_duration(left)));
        }
        Ok(parts.join(" "))
    }
}

pub(crate) fn style(colors: bool) -> ProgressStyle {
    // So short that all else fits next to it on a terminal of 80 columns.
    let bar = if colors { "{bar:14.cyan/blue}" } else { "{bar:14}" };
    ProgressStyle::with_template(&format!("{{prefix}} [{bar}] {{pos}}/{{len}} {{wide_msg}}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
