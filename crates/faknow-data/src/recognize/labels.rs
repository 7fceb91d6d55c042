//! The meaning of label values: which classes a file has, in which order, and what is not known about them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::common::without_invisible;
use crate::records::integer;

/// Labels of posts that are not fake, without punctuation.
const NEGATIVE: &[&str] = &[
    "real",
    "realnews",
    "legit",
    "legitimate",
    "reliable",
    "credible",
    "nonrumor",
    "nonrumour",
    "notrumor",
    "notrumour",
    "nonfake",
    "notfake",
    "nonhoax",
    "nothoax",
    "genuine",
    "authentic",
    "trustworthy",
    "trusted",
    "factual",
    "fact",
    "verified",
    "correct",
    "truthful",
    "nonmisinformation",
    "notmisinformation",
    "supported",
    "supports",
    "真",
    "真实",
    "非谣言",
];
/// Labels of fake posts, without punctuation.
const POSITIVE: &[&str] = &[
    "fake",
    "fakenews",
    "hoax",
    "rumor",
    "rumour",
    "rumors",
    "rumours",
    "unreliable",
    "misinformation",
    "disinformation",
    "conspiracy",
    "fabricated",
    "untrue",
    "deceptive",
    "bogus",
    "misleading",
    "incorrect",
    "refuted",
    "refutes",
    "debunked",
    "假",
    "虚假",
    "谣言",
];
/// Scales, least true value first; spellings of the same value are separated by bars.
const SCALES: &[&[&str]] = &[
    &[
        "pantsfire|pantsonfire",
        "false",
        "barelytrue|mostlyfalse",
        "halftrue|mixture|mixed|partlytrue|partiallytrue",
        "mostlytrue",
        "true",
    ],
    // The order of FaKnow and of the models of rumors.
    &["nonrumor|nonrumour", "false", "true", "unverified"],
];

/// What is known about the meaning of label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelMeaning {
    /// Known words, such as `real` and `fake`, the negative class first.
    Words,
    /// Values of a known scale, such as that of LIAR, the least true value first.
    Scale,
    /// Numbers, whose meaning is not assumed.
    Numbers,
    /// `true` and `false`, which may mean "is true" or "is fake".
    TrueFalse,
    /// Other values, in alphabetical order.
    Unknown,
}

/// The classes that the label values of a file suggest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecognizedClasses {
    /// The names in order; of two classes the second is the positive one.
    pub names: Vec<String>,
    /// Number of records per class.
    pub counts: Vec<usize>,
    /// What is known about their meaning.
    pub meaning: LabelMeaning,
}

impl RecognizedClasses {
    /// Orders the distinct label values of a file, given with their number of records. Values that differ only in case or in
    /// the notation of an integer are the same class.
    pub fn from_values<S: AsRef<str>>(values: impl IntoIterator<Item = (S, usize)>) -> Self {
        let mut merged: BTreeMap<String, (String, usize, usize)> = BTreeMap::new();
        for (value, n) in values {
            let value = canonical(value.as_ref());
            let entry = merged.entry(value.to_lowercase()).or_insert_with(|| (value.clone(), n, 0));
            // The most frequent spelling names the class.
            if n > entry.1 {
                (entry.0, entry.1) = (value, n);
            }
            entry.2 += n;
        }
        let values: Vec<(String, usize)> = merged.into_values().map(|(name, _, n)| (name, n)).collect();
        let (meaning, order) = order(&values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        let (names, counts) = order.into_iter().map(|index| values[index].clone()).unzip();
        Self { names, counts, meaning }
    }

    /// Returns the two ways to give the classes a meaning, as values of `--classes`, if two classes have none.
    pub fn possible_meanings(&self) -> Option<[String; 2]> {
        let [first, second] = &self.names[..] else { return None };
        let is_unknown = matches!(self.meaning, LabelMeaning::Numbers | LabelMeaning::TrueFalse);
        is_unknown.then(|| [format!("real={first},fake={second}"), format!("real={second},fake={first}")])
    }

    /// Returns a notice for labels without a known meaning.
    pub fn notice(&self) -> Option<String> {
        let names = || self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = match self.meaning {
            LabelMeaning::Numbers => format!("the labels are numbers ({}), which have no assumed meaning", names()),
            LabelMeaning::TrueFalse => {
                "the labels `true` and `false` have no assumed meaning: in some files they mean \"is true\", in others \"is fake\"".into()
            }
            LabelMeaning::Unknown if self.names.len() == 2 => {
                format!(
                    "the labels {} are in alphabetical order; the second class is the positive one",
                    names()
                )
            }
            LabelMeaning::Words | LabelMeaning::Scale | LabelMeaning::Unknown => return None,
        };
        let how = match self.possible_meanings() {
            Some([first, second]) => format!("name them with `--classes {first}` or `--classes {second}`"),
            None if self.meaning == LabelMeaning::Unknown => {
                let order: Vec<&str> = self.names.iter().rev().map(String::as_str).collect();
                format!("for the other order, use `--classes {}`", order.join(","))
            }
            None => {
                let named: Vec<String> = self.names.iter().map(|name| format!("NAME={name}")).collect();
                format!("name them with `--classes {}`", named.join(","))
            }
        };
        Some(format!("{what}; {how}"))
    }
}

/// Returns a label value without invisible characters and surrounding blanks; an integer without a fraction of 0.
pub(super) fn canonical(value: &str) -> String {
    let value = without_invisible(value);
    let value = value.trim();
    integer(value).map_or_else(|| value.to_owned(), |number| number.to_string())
}

/// Returns whether all values are known labels: words, values of a scale, or `true` and `false`.
pub(super) fn are_known_labels<'a>(values: impl IntoIterator<Item = &'a String>) -> bool {
    let keys: Vec<String> = values.into_iter().map(|value| key(value)).collect();
    let is_known = |key: &String| {
        let key = key.as_str();
        let in_scale = || SCALES.iter().copied().flatten().any(|step| step.split('|').any(|it| it == key));
        NEGATIVE.contains(&key) || POSITIVE.contains(&key) || in_scale() || key == "satire"
    };
    let n_known = keys.iter().filter(|key| is_known(key)).count();
    // A file may add classes such as `satire` or `other`.
    n_known >= 2 && n_known * 2 > keys.len()
}

fn key(value: &str) -> String {
    value.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Returns the meaning and the order of label values.
fn order(values: &[&str]) -> (LabelMeaning, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.parse().ok()).collect();
    if let Some(numbers) = numbers {
        order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
        return (LabelMeaning::Numbers, order);
    }
    let keys: Vec<String> = values.iter().map(|value| key(value)).collect();
    if values.len() == 2 && ["true", "false"].iter().all(|word| keys.iter().any(|key| key == word)) {
        order.sort_by_key(|&index| keys[index] != "true");
        return (LabelMeaning::TrueFalse, order);
    }
    for scale in SCALES {
        let step = |key: &String| scale.iter().position(|step| step.split('|').any(|it| it == key));
        let steps: Option<Vec<usize>> = keys.iter().map(step).collect();
        if let Some(steps) = steps.filter(|steps| steps.len() > 2) {
            order.sort_by_key(|&index| steps[index]);
            return (LabelMeaning::Scale, order);
        }
    }
    let rank = |index: usize| match keys[index].as_str() {
        key if NEGATIVE.contains(&key) => 0,
        "true" => 1,
        "false" => 3,
        key if POSITIVE.contains(&key) => 4,
        _ => 2,
    };
    order.sort_by(|&a, &b| rank(a).cmp(&rank(b)).then_with(|| values[a].cmp(values[b])));
    let is_known = order.iter().any(|&index| rank(index) != 2);
    (if is_known { LabelMeaning::Words } else { LabelMeaning::Unknown }, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_have_an_order_and_a_meaning() {
        use LabelMeaning::{Numbers, Scale, TrueFalse, Unknown, Words};
        let check = |values: &[&str], names: &[&str], meaning| {
            let found = RecognizedClasses::from_values(values.iter().map(|value| (value, 1)));
            assert_eq!(
                (found.names.iter().map(String::as_str).collect::<Vec<_>>(), found.meaning),
                (names.to_vec(), meaning)
            );
        };
        check(&["fake", "real"], &["real", "fake"], Words);
        check(&["FAKE", "REAL"], &["REAL", "FAKE"], Words);
        check(&["hoax", "legit"], &["legit", "hoax"], Words);
        check(&["rumor", "non-rumor"], &["non-rumor", "rumor"], Words);
        check(&["fake", "true"], &["true", "fake"], Words);
        check(&["false", "real"], &["real", "false"], Words);
        check(&["1", "0"], &["0", "1"], Numbers);
        check(&["1.0", "0.0"], &["0", "1"], Numbers);
        check(&["2", "10", "1"], &["1", "2", "10"], Numbers);
        check(&["False", "True"], &["True", "False"], TrueFalse);
        check(&["b", "a"], &["a", "b"], Unknown);
        check(
            &["barely-true", "false", "half-true", "mostly-true", "pants-fire", "true"],
            &["pants-fire", "false", "barely-true", "half-true", "mostly-true", "true"],
            Scale,
        );
        check(
            &["true", "false", "unverified", "non-rumor"],
            &["non-rumor", "false", "true", "unverified"],
            Scale,
        );
        check(&["satire", "hoax", "true"], &["true", "satire", "hoax"], Words);
    }

    #[test]
    fn spellings_of_a_value_are_one_class_named_by_the_most_frequent() {
        let found = RecognizedClasses::from_values([("fake", 1), ("Fake", 5), ("REAL ", 2), ("real", 1)]);
        assert_eq!((found.names, found.counts), (vec!["REAL".to_owned(), "Fake".into()], vec![3, 6]));
    }

    #[test]
    fn values_without_a_meaning_have_a_notice_with_both_commands() {
        let notice =
            |values: &[&str]| RecognizedClasses::from_values(values.iter().map(|value| (value, 1))).notice();
        let zero_one = notice(&["0", "1"]).unwrap();
        assert!(
            zero_one.contains("--classes real=0,fake=1`") && zero_one.contains("--classes real=1,fake=0`")
        );
        let words = notice(&["true", "false"]).unwrap();
        assert!(words.contains("--classes real=true,fake=false`") && words.contains("real=false,fake=true`"));
        assert!(notice(&["1", "2", "3"]).unwrap().contains("NAME=1,NAME=2,NAME=3"));
        assert_eq!(notice(&["real", "fake"]), None);
    }
}
