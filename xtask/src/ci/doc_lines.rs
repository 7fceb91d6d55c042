//! The first line of a function's documentation says what it does, in the third person: "Returns the mean".

/// Returns the lines of Rust whose documentation of a function starts otherwise, counted from 1, with their text.
pub fn faults(text: &str) -> Vec<(usize, &str)> {
    let mut faults = Vec::new();
    let mut first: Option<(usize, &str)> = None;
    for (number, line) in (1..).zip(text.lines().map(str::trim_start)) {
        if let Some(doc) = line.strip_prefix("///") {
            first = first.or(Some((number, doc.trim())));
        } else if line.starts_with("#[") {
            // Attributes may come between the documentation and its function.
        } else {
            if let Some((number, doc)) = first.take()
                && is_function(line)
                && !is_third_person(doc)
            {
                faults.push((number, doc));
            }
        }
    }
    faults
}

fn is_function(line: &str) -> bool {
    const BEFORE: &[&str] = &["pub", "const", "async", "unsafe"];
    let mut words = line.split(' ').skip_while(|word| BEFORE.iter().any(|it| word.starts_with(it)));
    words.next() == Some("fn")
}

/// Returns whether a sentence starts with a verb such as "Returns"; hooks may start with "Called".
fn is_third_person(doc: &str) -> bool {
    let word = doc.split(' ').next().unwrap_or_default().trim_end_matches(',');
    let is_verb = word.starts_with(char::is_uppercase) && word.ends_with('s');
    word == "Called" || is_verb && !["This", "As", "Is", "Its", "Has"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_described_by_a_verb() {
        let check = |doc: &str, item: &str, is_fine: bool| {
            let text = format!("    /// {doc}\n    /// More.\n    #[must_use]\n    {item}\n");
            let expected = if is_fine { vec![] } else { vec![(1, doc)] };
            assert_eq!(faults(&text), expected, "{text}");
        };
        check("Returns the mean.", "pub fn mean() -> f64 {", true);
        check("Called after an epoch.", "fn on_epoch_end(&mut self)", true);
        check("The mean.", "pub(crate) const fn mean() -> f64 {", false);
        check("Return the mean.", "fn mean() -> f64 {", false);
        check("This is the mean.", "pub fn mean()", false);
        check("The mean.", "pub mean: f64,", true);
        check("The mean.", "pub struct Mean;", true);
    }
}
