//! Progress of long steps: a line that rewrites itself on a terminal, now and then a new line elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// The progress of one step, counted in bytes.
pub struct Progress {
    label: String,
    total: Option<u64>,
    started: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// Starts a step; `total` is the number of bytes where it is known.
    pub fn start(label: impl Into<String>, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { label: label.into(), total, started: Instant::now(), shown: None, terminal }
    }

    /// Tells how many bytes are done.
    pub fn update(&mut self, bytes: u64) {
        let pause = if self.terminal { Duration::from_millis(150) } else { Duration::from_secs(5) };
        if self.shown.unwrap_or(self.started).elapsed() < pause {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(&self.label, bytes, self.total, self.started.elapsed());
        if self.terminal {
            eprint!("\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    /// Ends the step with the number of bytes that were done.
    pub fn finish(self, bytes: u64) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        eprintln!("{clear}  {}: {}, {:.1} s", self.label, size(bytes), self.started.elapsed().as_secs_f64());
    }

    /// Ends the step without success: leaves no half line behind.
    pub fn abandon(self) {
        if self.terminal && self.shown.is_some() {
            eprintln!();
        }
    }
}

/// A number of bytes for people: `526.6 MB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

fn line(label: &str, bytes: u64, total: Option<u64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let speed = if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("  {label}: {}, {seconds:.0} s", size(bytes));
    };
    let bytes = bytes.min(total);
    let percent = 100 * bytes / total;
    if speed < 10_000.0 {
        return format!("  {label}: {percent:3} % of {}, {seconds:.0} s", size(total));
    }
    let left = (total - bytes) as f64 / speed;
    format!("  {label}: {percent:3} % of {}, {}/s, {left:.0} s left", size(total), size(speed as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let cases =
            [(0, "0 bytes"), (1_500, "1.5 kB"), (526_605_292, "526.6 MB"), (2_000_000_000, "2.00 GB")];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn lines_say_what_is_known() {
        let check = |bytes, total, seconds, expected: &str| {
            assert_eq!(line("get", bytes, total, Duration::from_secs(seconds)), expected);
        };
        check(50_000_000, Some(100_000_000), 5, "  get:  50 % of 100.0 MB, 10.0 MB/s, 5 s left");
        check(0, Some(100_000_000), 3, "  get:   0 % of 100.0 MB, 3 s");
        check(120_000, Some(100_000), 1, "  get: 100 % of 100.0 kB, 120.0 kB/s, 0 s left");
        check(7_000_000, None, 2, "  get: 7.0 MB, 2 s");
    }
}
