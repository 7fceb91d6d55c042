//! The format of numbers, durations and results on the terminal and in the log.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use faknow_metrics::{EpochRecord, Evaluation, Score, Scores};

use crate::{Run, StopReason};

/// Formats a duration: `35 ms`, `12.3 s`, `2m 05s`, `1h 00m 00s`, `2d 03h 00m 00s`; `?` if it is negative or not finite.
///
/// ```
/// use faknow_callbacks::format_duration;
///
/// assert_eq!(format_duration(3600.0), "1h 00m 00s");
/// assert_eq!(format_duration(12.34), "12.3 s");
/// ```
pub fn format_duration(seconds: f64) -> String {
    if !(seconds.is_finite() && seconds >= 0.0) {
        return "?".to_owned();
    }
    let seconds = seconds.abs(); // an empty sum of floats is -0
    // From each limit on, the shorter format would round up to the next unit.
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let total = seconds.round() as u64;
    let (days, hours, minutes, seconds) = (total / 86400, total / 3600 % 24, total / 60 % 60, total % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m {seconds:02}s"),
        (0, _) => format!("{hours}h {minutes:02}m {seconds:02}s"),
        _ => format!("{days}d {hours:02}h {minutes:02}m {seconds:02}s"),
    }
}

/// Formats a time in UTC with a precision of one second: `2026-11-22 12:00:00Z`.
pub fn format_utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // The Gregorian calendar repeats every 400 years (146,097 days). In years that start in March the leap day is the
    // last day, so the day of the year determines the month.
    let days = seconds / 86400 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Formats a result with four decimals, or in scientific notation if it is very small or large.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// Formats an integer with thousands separators: `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Maximum number of scores on a line; of more, only the losses, the [`MAIN_METRICS`] and the monitor are shown.
const MAX_SHOWN: usize = 10;
const MAIN_METRICS: [&str; 4] = ["accuracy", "precision", "recall", "f1"];

/// Formats names and values: `loss=0.4321 accuracy=0.9300`. Undefined values are shown with the
/// reason, also those with a substitute.
///
/// Of more than [`MAX_SHOWN`] scores, only the most important ones and `monitor` are shown.
fn scores(scores: &Scores, monitor: Option<&str>) -> String {
    let is_shown = |name: &str| {
        scores.len() <= MAX_SHOWN
            || name.starts_with("loss")
            || MAIN_METRICS.contains(&name)
            || monitor == Some(name)
    };
    let format = |(name, score): (&str, &Score)| match (defined(score), score.value()) {
        (Some(value), _) => format!("{name}={}", number(value)),
        (None, Some(substitute)) => {
            format!("{name}={} (undefined: {})", number(substitute), score.reason().unwrap_or("NaN"))
        }
        (None, None) => format!("{name}=undefined ({})", score.reason().unwrap_or("NaN")),
    };
    scores.iter().filter(|(name, _)| is_shown(name)).map(format).collect::<Vec<_>>().join(" ")
}

/// Returns the value of a score, `None` if it is undefined, even if it has a substitute value.
pub(crate) fn defined(score: &Score) -> Option<f64> {
    score.value().filter(|_| score.is_defined())
}

/// Formats the results of an epoch: `epoch=3/20  train loss=…  valid loss=… f1=…  lr=0.001  12.3 s …`.
pub(crate) fn epoch_line(run: &Run, record: &EpochRecord) -> String {
    let mut line =
        format!("epoch={}/{}  train {}", record.epoch, run.max_epochs(), scores(&record.train, None));
    if let Some(valid) = &record.valid {
        let monitor = run.monitor().map(|monitor| monitor.name.as_str());
        let _ = write!(line, "  valid {}", scores(valid, monitor));
    }
    let learning_rates: Vec<String> = record.learning_rates.iter().map(|&lr| learning_rate(lr)).collect();
    if !learning_rates.is_empty() {
        let _ = write!(line, "  lr={}", learning_rates.join(","));
    }
    if let Some(norm) = record.grad_norm {
        let _ = write!(line, " grad_norm={}", number(norm));
    }
    let _ = write!(line, "  {}", format_duration(record.train_seconds + record.valid_seconds));
    let previous_samples =
        run.history().epochs.iter().rev().find(|r| r.epoch < record.epoch).map_or(0, |r| r.samples);
    if let Some(speed) = speed(record.samples.saturating_sub(previous_samples), record.train_seconds) {
        let _ = write!(line, " ({speed})");
    }
    line
}

/// Formats the stop reason and the best epoch of a run.
pub(crate) fn end_line(run: &Run, reason: &StopReason) -> String {
    let seconds: f64 = run.history().epochs.iter().map(|r| r.train_seconds + r.valid_seconds).sum();
    let n_epochs = run.history().epochs.len();
    let plural = if n_epochs == 1 { "" } else { "s" };
    let mut line =
        format!("training ended after {n_epochs} epoch{plural} ({}): {reason}", format_duration(seconds));
    if let Some(best) = run.best() {
        let _ = write!(line, "; best epoch {}: {}={}", best.epoch, best.monitor, number(best.value));
    }
    line
}

/// Formats the scores and the duration of a test.
pub(crate) fn test_line(evaluation: &Evaluation) -> String {
    format!("test {}  {}", scores(&evaluation.scores, None), format_duration(evaluation.seconds))
}

/// Formats the throughput in samples per second; `None` if one of the arguments is 0.
pub(crate) fn speed(samples: u64, seconds: f64) -> Option<String> {
    (samples > 0 && seconds > 0.0).then(|| format!("{} samples/s", count((samples as f64 / seconds) as u64)))
}

/// Returns whether the epoch of the record is the best so far.
pub(crate) fn is_best(run: &Run, record: &EpochRecord) -> bool {
    run.best().is_some_and(|best| best.epoch == record.epoch)
}

fn learning_rate(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1e-4 {
        // Six significant digits turn 0.00030000000000000003 into 0.0003.
        let digits = if value == 0.0 { 0 } else { (5 - value.abs().log10().floor() as i32).max(0) as usize };
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations() {
        let check =
            |seconds: f64, expected: &str| assert_eq!(format_duration(seconds), expected, "{seconds}");
        check(0.0, "0 ms");
        check(-0.0, "0 ms");
        check(0.0354, "35 ms");
        check(0.9996, "1.0 s");
        check(12.34, "12.3 s");
        check(59.96, "1m 00s");
        check(125.0, "2m 05s");
        check(3599.6, "1h 00m 00s");
        // Full hours, of which a remainder alone would be "0s" and "5s".
        check(3600.0, "1h 00m 00s");
        check(3605.0, "1h 00m 05s");
        check(7200.0, "2h 00m 00s");
        check(86400.0, "1d 00h 00m 00s");
        check(2.0 * 86400.0 + 3.0 * 3600.0 + 62.0, "2d 03h 01m 02s");
        check(f64::NAN, "?");
        check(f64::INFINITY, "?");
        check(-1.0, "?");
    }

    #[test]
    fn utc_times() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(format_utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01 00:00:00Z");
        check(951_782_399, "2000-02-28 23:59:59Z");
        check(951_782_400, "2000-02-29 00:00:00Z");
        check(951_868_800, "2000-03-01 00:00:00Z");
        check(1_709_164_800, "2024-02-29 00:00:00Z");
        check(1_767_225_599, "2025-12-31 23:59:59Z");
        check(1_795_348_800, "2026-11-22 12:00:00Z");
        check(4_107_542_400, "2100-03-01 00:00:00Z");
    }

    #[test]
    fn numbers() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0.0000");
        check(0.93, "0.9300");
        check(-0.25, "-0.2500");
        check(0.001, "0.0010");
        check(0.00012345, "1.234e-4");
        check(2e6, "2.000e6");
        check(f64::NAN, "NaN");
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let learning_rates = [0.0, 0.001, 0.00030000000000000003, 0.1, 1.0, 20.0, 1e-5].map(learning_rate);
        assert_eq!(learning_rates, ["0", "0.001", "0.0003", "0.1", "1", "20", "1.000e-5"]);
    }
}
