//! PHEME: events with rumors and non-rumors, in the releases with 5 and 9 events.
//!
//! `<event>-all-rnr-threads/{rumours,non-rumours}/<id>/` are [threads](super::threads) with an `annotation.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::sink::Sink;
use super::{RawLabels, files, threads};
use crate::{Error, Result};

/// Directories of an event, and whether their threads are rumors.
const CLASSES: [(&str, bool); 4] =
    [("non-rumours", false), ("non-rumors", false), ("rumours", true), ("rumors", true)];
/// Suffix of the directories of events.
const SUFFIX: &str = "-all-rnr-threads";

pub(super) fn is_form(path: &Path) -> bool {
    !files::search(path, 2, true, &is_event).is_empty()
}

fn is_event(dir: &Path) -> bool {
    CLASSES.iter().any(|(name, _)| dir.join(name).is_dir())
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let mut all: Vec<(PathBuf, String, bool)> = Vec::new();
    for event_dir in files::search(path, 2, false, &is_event) {
        let event_dir_name =
            files::name(&std::path::absolute(&event_dir).unwrap_or_else(|_| event_dir.clone()));
        let event = event_dir_name.strip_suffix(SUFFIX).unwrap_or(&event_dir_name).to_owned();
        for (class, is_rumor) in CLASSES {
            let dir = event_dir.join(class);
            let dirs = if dir.is_dir() { files::dirs(&dir)? } else { Vec::new() };
            all.extend(dirs.into_iter().map(|dir| (dir, event.clone(), is_rumor)));
        }
    }
    all.sort_by_cached_key(|(dir, ..)| files::sort_key(&files::name(dir)));
    for (dir, event, is_rumor) in all {
        let id = files::name(&dir);
        if !threads::is_thread(&dir) {
            sink.leave_out("threads without a source tweet", &id);
            continue;
        }
        let Some(label) = label(&dir, &id, is_rumor, sink)? else { continue };
        let Some(mut thread) = threads::read_thread(&dir, sink)? else { continue };
        thread.label = label.to_owned();
        thread.event = Some(event);
        sink.write(thread)?;
    }
    Ok(())
}

/// Returns the label of a thread; `None`, counted, if its annotation has no valid one.
fn label(dir: &Path, id: &str, is_rumor: bool, sink: &mut Sink<'_>) -> Result<Option<&'static str>> {
    let path = dir.join("annotation.json");
    let annotation = if path.is_file() { sink.read_json(&path)? } else { None };
    if let Some(Value::String(text)) = annotation.as_ref().and_then(|it| it.get("is_rumour")) {
        let says_rumor = match text.as_str() {
            "rumour" | "rumor" => Some(true),
            "nonrumour" | "non-rumour" | "nonrumor" | "non-rumor" => Some(false),
            _ => None,
        };
        if says_rumor.is_some_and(|it| it != is_rumor) {
            sink.adjust("threads whose annotation differs from their directory, which counts", id);
        }
    }
    match (sink.labels(), is_rumor) {
        (_, false) => Ok(Some("non-rumor")),
        (Some(RawLabels::Veracity), true) => {
            let Some(annotation) = annotation else {
                sink.leave_out("rumors without a valid annotation.json", id);
                return Ok(None);
            };
            let label = match veracity(&annotation) {
                Ok(label) => label,
                Err(message) => {
                    sink.skip(Error::file(path, message))?;
                    return Ok(None);
                }
            };
            if label.is_none() {
                sink.leave_out("rumors whose annotation has no or a contradictory veracity", id);
            }
            Ok(label)
        }
        _ => Ok(Some("rumor")),
    }
}

/// Returns the veracity by the rules of the release: `misinformation` means false, `true` means true, neither unverified. A
/// rumor with both, or with `true` only, has none.
fn veracity(annotation: &Value) -> std::result::Result<Option<&'static str>, String> {
    let flag = |name: &str| match annotation.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(value) => {
            match value.as_str().map(str::trim).map_or_else(|| value.to_string(), str::to_owned).as_str() {
                "0" => Ok(Some(false)),
                "1" => Ok(Some(true)),
                _ => Err(format!("field `{name}`: expected 0 or 1, got {value}")),
            }
        }
    };
    Ok(match (flag("misinformation")?, flag("true")?) {
        (Some(false), Some(false) | None) => Some("unverified"),
        (Some(false), Some(true)) => Some("true"),
        (Some(true), Some(false) | None) => Some("false"),
        (Some(true), Some(true)) | (None, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn veracity_follows_the_rules_of_the_release() {
        let check = |annotation: Value, expected: Option<&str>| {
            assert_eq!(veracity(&annotation).unwrap(), expected, "{annotation}");
        };
        check(json!({ "misinformation": 0, "true": 0 }), Some("unverified"));
        check(json!({ "misinformation": 0, "true": "1" }), Some("true"));
        check(json!({ "misinformation": "1", "true": 0 }), Some("false"));
        check(json!({ "misinformation": 1, "true": 1 }), None);
        check(json!({ "misinformation": 0 }), Some("unverified"));
        check(json!({ "misinformation": "1" }), Some("false"));
        check(json!({ "true": 1 }), None);
        check(json!({}), None);
        let error = veracity(&json!({ "misinformation": "maybe" })).unwrap_err();
        assert_eq!(error, "field `misinformation`: expected 0 or 1, got \"maybe\"");
    }
}
