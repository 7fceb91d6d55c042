//! Fields of records that hold several numbers or texts: JSON arrays, or strings that contain them.

use serde_json::Value;

use super::missing::is_missing;
use crate::common::printable;

/// Returns the numbers of a field: an array of numbers, a single number, or a string of either, or of numbers separated by
/// spaces or commas. `None` if the field is missing, null or blank.
///
/// # Errors
/// An element is not a finite number, or the array is empty.
pub(super) fn numbers_of(value: Option<&Value>) -> Result<Option<Vec<f32>>, String> {
    let numbers = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if is_missing(text) || text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Array(_) | Value::Number(_))) => return numbers_of(Some(&value)),
            _ => {
                let parts =
                    text.split(|c: char| c.is_whitespace() || c == ',').filter(|part| !part.is_empty());
                let number = |part: &str| part.parse().map_err(|_| not_a_number(part));
                parts.map(number).collect::<Result<Vec<f32>, _>>()?
            }
        },
        Some(Value::Number(number)) => vec![number.as_f64().unwrap_or(f64::NAN) as f32],
        Some(Value::Array(items)) => {
            let number = |item: &Value| match item {
                Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN) as f32),
                other => Err(not_a_number(&other.to_string())),
            };
            items.iter().map(number).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(not_a_number(&other.to_string())),
    };
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(index) => {
            Err(format!("expected finite numbers, got {} as number {}", numbers[index], index + 1))
        }
        None if numbers.is_empty() => Err("expected numbers, got an empty array".to_owned()),
        None => Ok(Some(numbers)),
    }
}

fn not_a_number(got: &str) -> String {
    format!("expected an array of numbers, got `{}`", printable(got, 30))
}

/// Returns the texts of a field: an array of strings, of which missing ones are left out, a string that contains such an array,
/// or a single text. Empty if the field is missing, null or blank.
///
/// # Errors
/// An element is not a string.
pub(super) fn texts_of(value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if is_missing(text) || text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => match serde_json::from_str::<Value>(text) {
            Ok(value @ Value::Array(_)) => texts_of(Some(&value)),
            _ => Ok(vec![text.clone()]),
        },
        Some(Value::Array(items)) => {
            let items = items.iter().filter(|item| !item.is_null());
            let text = |item: &Value| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(not_a_text(other)),
            };
            let texts: Vec<String> = items.map(text).collect::<Result<_, _>>()?;
            Ok(texts.into_iter().filter(|text| !text.trim().is_empty()).collect())
        }
        Some(other) => Err(not_a_text(other)),
    }
}

fn not_a_text(got: &Value) -> String {
    format!("expected an array of texts, got `{}`", printable(&got.to_string(), 30))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_arrays_or_strings() {
        let check = |value: Value, expected: Result<Option<Vec<f32>>, &str>| {
            assert_eq!(numbers_of(Some(&value)), expected.map_err(str::to_owned), "{value}");
        };
        check(json!([1, 2.5, -3e2]), Ok(Some(vec![1.0, 2.5, -300.0])));
        check(json!("[1, 2.5]"), Ok(Some(vec![1.0, 2.5])));
        check(json!("1 2.5, 3"), Ok(Some(vec![1.0, 2.5, 3.0])));
        check(json!(0.5), Ok(Some(vec![0.5])));
        for missing in [json!(null), json!(" "), json!("NaN")] {
            check(missing, Ok(None));
        }
        assert_eq!(numbers_of(None), Ok(None));
        check(json!([]), Err("expected numbers, got an empty array"));
        check(json!([1, "x"]), Err("expected an array of numbers, got `\"x\"`"));
        check(json!([1, null]), Err("expected an array of numbers, got `null`"));
        check(json!("1 x"), Err("expected an array of numbers, got `x`"));
        check(json!("1 inf"), Err("expected finite numbers, got inf as number 2"));
        check(json!([1, 1e300]), Err("expected finite numbers, got inf as number 2"));
        check(json!({ "a": 1 }), Err("expected an array of numbers, got `{\"a\":1}`"));
    }

    #[test]
    fn texts_are_arrays_or_a_single_text() {
        let check = |value: Value, expected: Result<&[&str], &str>| {
            let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(texts_of(Some(&value)), expected.map_err(str::to_owned), "{value}");
        };
        check(json!(["a", null, "", "b"]), Ok(&["a", "b"]));
        check(json!("[\"a\", \"b\"]"), Ok(&["a", "b"]));
        check(json!("[a"), Ok(&["[a"]));
        check(json!(null), Ok(&[]));
        check(json!(["a", 3]), Err("expected an array of texts, got `3`"));
        check(json!(3), Err("expected an array of texts, got `3`"));
    }
}
