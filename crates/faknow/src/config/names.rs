//! Names as values of settings: accepted in any case, with a suggestion for those of other libraries.

use toml::{Table, Value};

use crate::config::messages::did_you_mean;
use crate::models::Registry;

/// Settings whose values are names of lowercase letters, and which are checked when they are used.
const UNCHECKED: [&str; 2] = ["device", "text.language"];
/// Settings whose values are names of lowercase letters, and which are checked when they are read.
const CHECKED: [&str; 10] = [
    "data.format",
    "data.feature",
    "data.weighting",
    "text.tokenizer",
    "optimizer.name",
    "schedule.name",
    "loss.name",
    "adversarial.name",
    "average.name",
    "trainer.on_non_finite",
];

/// Values, and their names in other programs.
const OTHER_NAMES: [(&str, &[&str]); 10] = [
    ("cuda", &["gpu", "nvidia"]),
    ("en", &["english", "eng", "en-us", "en-gb", "en_us"]),
    ("zh", &["chinese", "cn", "zh-cn", "zh_cn", "jieba"]),
    ("jsonl", &["jsonlines", "json-lines", "ndjson", "ldjson"]),
    ("tsv", &["tab", "txt"]),
    ("adamw", &["adam-w", "adamw_torch", "adamw_hf"]),
    ("rmsprop", &["rms"]),
    ("cross_entropy", &["ce", "crossentropyloss", "crossentropy", "bce", "nll"]),
    ("focal", &["focal_loss", "focalloss"]),
    ("skip", &["ignore", "continue"]),
];

/// Replaces the names of device, language and model in another spelling, such as `TextCNN`.
pub(crate) fn canonicalize(registry: &Registry, table: &mut Table) {
    lowercase(&UNCHECKED, table);
    if let Some(name) = string_of(table, "model.name")
        && let Ok(model) = registry.model(name)
    {
        model.name.clone_into(name);
    }
}

/// Replaces uppercase letters in names; returns whether there are any. Only for a config that is invalid otherwise.
pub(crate) fn in_lowercase(table: &mut Table) -> bool {
    lowercase(&CHECKED, table)
}

fn lowercase(keys: &[&str], table: &mut Table) -> bool {
    let mut is_changed = false;
    for key in keys {
        if let Some(text) = string_of(table, key) {
            let lowercase = text.to_lowercase();
            is_changed |= *text != lowercase;
            *text = lowercase;
        }
    }
    is_changed
}

/// Returns the value of a setting, if it is a string.
fn string_of<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut String> {
    let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
    let table = match parent {
        "" => table,
        parent => table.get_mut(parent)?.as_table_mut()?,
    };
    match table.get_mut(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Returns a suggestion for an unknown value, among those that an error message lists: `` unknown variant `x`, expected one of
/// `a`, `b` ``.
pub(crate) fn similar_value(message: &str) -> String {
    let Some((start, expected)) = message.split_once(", expected ") else { return String::new() };
    let got = start.split('`').nth(1).unwrap_or_default();
    let known: Vec<&str> = expected
        .split([',', ' ', ';'])
        .map(|name| name.trim_matches('`'))
        .filter(|name| !["", "one", "of", "or"].contains(name))
        .collect();
    similar_name(got, &known)
}

/// Returns `; did you mean …?` with the name that is called `got` elsewhere or is spelled similarly.
pub(crate) fn similar_name(got: &str, known: &[&str]) -> String {
    let got = got.to_lowercase();
    let other =
        OTHER_NAMES.iter().find(|(name, others)| known.contains(name) && others.contains(&got.as_str()));
    match other {
        Some((name, _)) => format!("; did you mean `{name}`?"),
        None => did_you_mean(&got, known.iter().copied()),
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn names_are_accepted_in_any_case() {
        let set = |assignment: &str| Config::default().set(assignment).unwrap();
        assert_eq!(set("device=CPU").device, "cpu");
        assert_eq!(set("text.language=EN").text.language, "en");
        assert_eq!(set("optimizer.name=AdamW"), set("optimizer.name=adamw"));
        assert_eq!(set("optimizer.name=SGD").optimizer.name(), "sgd");
        assert_eq!(set("model.name=TextCNN").model.name, "textcnn");
        assert_eq!(set("model.name=Bi-GCN").model.name, "bigcn");
        assert_eq!(set("model.name=upfd_gcn").model.name, "upfd-gcn");
        assert_eq!(set("data.format=CSV"), set("data.format=csv"));
        assert_eq!(Config::for_model("Text-CNN").unwrap(), Config::for_model("textcnn").unwrap());
    }

    #[test]
    fn unknown_names_suggest_those_of_this_program() {
        let check = |assignment: &str, expected: &str| {
            let error =
                Config::default().set(assignment).and_then(|it| it.validate().map(|()| it)).unwrap_err();
            assert!(error.to_string().ends_with(expected), "{error}");
        };
        check("optimizer.name=adma", "did you mean `adam`?");
        check("optimizer.name=rms", "did you mean `rmsprop`?");
        check("schedule={ name = 'cosin' }", "did you mean `cosine`?");
        check("loss.name=crossentropyloss", "did you mean `cross_entropy`?");
        check("text.language=english", "did you mean `en`?");
        check("data.format=ndjson", "did you mean `jsonl`?");
        check("model.name=textcn", "did you mean `textcnn`?");
    }
}
