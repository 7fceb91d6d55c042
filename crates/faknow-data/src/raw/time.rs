//! Times of posts as seconds.

use serde_json::Value;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the seconds since 1970 of a time as released: a number or digits of seconds (or milliseconds), Twitter's
/// `Sat Aug 09 00:00:00 +0000 2014`, or `2014-08-09T00:00:00.000Z`; `None` if it is something else.
pub(super) fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().and_then(epoch),
        Value::String(text) => text.trim().parse::<f64>().ok().and_then(epoch).or_else(|| date(text.trim())),
        _ => None,
    }
}

/// Returns a time rounded to milliseconds, without artifacts of the division of binary numbers.
pub(super) fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Returns a finite time since 1970; times beyond the year 5000 are in milliseconds.
fn epoch(time: f64) -> Option<f64> {
    time.is_finite().then_some(if time > 1e11 { time / 1000.0 } else { time })
}

fn date(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if let [_, month, day, time, offset, year] = parts[..] {
        let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
        return Some(days(year.parse().ok()?, month, day.parse().ok()?)? + clock(time)? - zone(offset)?);
    }
    let (date, rest) = text.split_once(['T', ' '])?;
    let mut numbers = date.splitn(3, '-').map(|it| it.parse::<i64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let (time, offset) = match rest.rfind(['+', '-']) {
        Some(place) => (&rest[..place], zone(&rest[place..])?),
        None => (rest.trim_end_matches('Z'), 0.0),
    };
    Some(days(year, month, day)? + clock(time)? - offset)
}

/// Returns the seconds from 1970 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<f64> {
    if !(1900..=3000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years start in March here, so that the leap day is the last of a year.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some(days as f64 * 86_400.0)
}

fn clock(text: &str) -> Option<f64> {
    let mut parts = text.splitn(3, ':').map(|it| it.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_valid =
        (0.0..24.0).contains(&hours) && (0.0..60.0).contains(&minutes) && (0.0..61.0).contains(&seconds);
    is_valid.then_some(hours * 3600.0 + minutes * 60.0 + seconds)
}

/// Returns the seconds of an offset from UTC, `+0100` or `+01:00`.
fn zone(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']).replace(':', "");
    let number: i64 = (digits.len() == 4).then(|| digits.parse().ok())??;
    let seconds = (number / 100 * 3600 + number % 100 * 60) as f64;
    Some(if text.starts_with('-') { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_times_as_released() {
        let check = |value: Value, expected: Option<f64>| assert_eq!(seconds(&value), expected, "{value}");
        check(json!("Sat Aug 09 00:00:00 +0000 2014"), Some(1_407_542_400.0));
        check(json!("Sat Aug 09 01:00:01 +0100 2014"), Some(1_407_542_401.0));
        check(json!("Thu Feb 29 12:00:00 +0000 1996"), Some(825_595_200.0));
        check(json!("2014-08-09T00:00:00.500Z"), Some(1_407_542_400.5));
        check(json!("2014-08-09 02:00:00+02:00"), Some(1_407_542_400.0));
        check(json!(1_407_542_400), Some(1_407_542_400.0));
        check(json!("1407542400"), Some(1_407_542_400.0));
        check(json!(1_407_542_400_000_i64), Some(1_407_542_400.0));
        for text in ["", "yesterday", "Sat Foo 09 00:00:00 +0000 2014", "2014-08-09", "2014-13-09T00:00:00Z"]
        {
            check(json!(text), None);
        }
        check(json!(null), None);
        assert_eq!(round(6.7 * 60.0), 402.0);
    }
}
