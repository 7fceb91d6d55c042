//! Number formats of the report.

use faknow_metrics::Score;

/// Formats a value with four decimals, or as a dash.
pub(crate) fn score(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

/// Formats a score, with an asterisk if the value is a convention rather than defined.
pub(crate) fn marked(value: &Score) -> String {
    let is_convention = !value.is_defined() && value.value().is_some();
    let mark = if is_convention { "*" } else { "" };
    format!("{}{mark}", score(value.value()))
}

/// Formats a fraction as a percentage.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// Formats a p-value, with small ones as a bound.
pub(crate) fn p_value(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Formats a number of an axis with few digits: `0.25`, `1.2e-5`, `1500`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&size) {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.1e}").replace(".0e", "e")
    }
}

/// Formats a duration: `0.42 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let rounded = seconds.round() as u64;
    match rounded {
        0..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {} s", rounded / 60, rounded % 60),
        _ => format!("{} h {} min", rounded / 3600, rounded % 3600 / 60),
    }
}

/// Formats an integer in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_numbers() {
        for (value, text) in
            [(0.25, "0.25"), (1.2e-5, "1.2e-5"), (1500.0, "1500"), (1e-3, "0.001"), (0.0, "0")]
        {
            assert_eq!(short(value), text);
        }
        assert_eq!((grouped(1_234_567).as_str(), grouped(12).as_str()), ("1\u{202f}234\u{202f}567", "12"));
        assert_eq!((duration(0.5).as_str(), duration(125.0).as_str()), ("0.50 s", "2 min 5 s"));
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!((p_value(0.00001).as_str(), p_value(0.25).as_str()), ("< 0.0001", "0.2500"));
        assert_eq!(marked(&Score::undefined_or("none", 0.0)), "0.0000*");
        assert_eq!((marked(&Score::undefined("none")).as_str(), percent(0.1234).as_str()), ("–", "12.3 %"));
    }
}
