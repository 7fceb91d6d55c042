//! Bitwise comparison of two run directories, except for times.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faknow::callbacks::read_scalars;
use faknow::tch::Kind;
use faknow::trainer::checkpoint::CheckpointStore;
use serde_json::Value;

/// Returns the content of a run directory by name.
pub(crate) fn content(run: &Path) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let store = CheckpointStore::new(run);
    for entry in store.list() {
        // `previous` depends on when the run was interrupted.
        if entry.name == "previous" {
            continue;
        }
        let checkpoint = store.read(&entry.name).unwrap();
        all.insert(format!("{}: state", entry.name), without_times(checkpoint.state));
        for (group, tensors) in &checkpoint.tensors {
            for (name, tensor) in tensors {
                let values = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap();
                let bits: Vec<u64> = values.into_iter().map(f64::to_bits).collect();
                all.insert(format!("{}: {group}/{name}", entry.name), bits.into());
            }
        }
    }
    let text = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    // Without the last column, `seconds`.
    let table = text("metrics.csv");
    let rows: Vec<Value> = table.lines().map(|row| row.rsplit_once(',').unwrap().0.into()).collect();
    all.insert("metrics.csv".into(), rows.into());
    let lines: Vec<Value> = text("history.jsonl")
        .lines()
        .map(|line| without_times(serde_json::from_str(line).expect("complete lines of JSON")))
        .collect();
    all.insert("history.jsonl".into(), lines.into());
    // File names have time and process id; only the points of a curve are comparable.
    let mut curves = BTreeMap::<String, Vec<Value>>::new();
    for point in read_scalars(&run.join("tensorboard")).unwrap() {
        curves.entry(point.tag).or_default().push(serde_json::json!([point.x, point.value.to_bits()]));
    }
    for (tag, mut points) in curves {
        points.sort_by_key(|point| point[0].as_i64());
        all.insert(format!("tensorboard: {tag}"), points.into());
    }
    for name in ["vocab.txt", "tokenizer.json", "classes.json", "config.toml"] {
        all.insert(name.into(), text(name).into());
    }
    all
}

/// Asserts that two runs have the same content.
pub(crate) fn assert_same(one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>, what: &str) {
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other), "{what}");
    for (name, value) in one {
        assert_eq!(value, &other[name], "{what}: {name}");
    }
}

/// Returns a JSON value without durations.
pub(crate) fn without_times(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| {
                    !name.ends_with("seconds") && name != "profile" && name != "validated_at"
                });
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}
