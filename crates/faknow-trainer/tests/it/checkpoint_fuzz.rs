//! Ten thousand corrupted checkpoints: none panics, and none is taken for something else than what was written.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faknow_data::Rng;
use faknow_trainer::checkpoint::{CheckpointError, CheckpointStore};
use serde_json::Value;
use twox_hash::XxHash3_128;

use crate::checkpoint::{same, small};

/// The bytes of a checkpoint's files; `None` is a file that is not there.
type Files = BTreeMap<String, Option<Vec<u8>>>;

fn files(dir: &Path) -> Files {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), Some(fs::read(entry.path()).unwrap())))
        .collect()
}

/// Writes the files that differ from those that are there.
fn put(dir: &Path, there: &Files, files: &Files) {
    for (name, bytes) in files.iter().filter(|(name, bytes)| there.get(*name) != Some(*bytes)) {
        match bytes {
            Some(bytes) => fs::write(dir.join(name), bytes).unwrap(),
            None => drop(fs::remove_file(dir.join(name))),
        }
    }
}

fn random_bytes(rng: &mut Rng, n: usize) -> Vec<u8> {
    (0..n).map(|_| rng.next_u64() as u8).collect()
}

/// Damages a checkpoint in one of many ways; `other` is another checkpoint of the same kind.
fn damage(files: &mut Files, other: &Files, rng: &mut Rng) -> &'static str {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = names[rng.below(names.len())].clone();
    let second = names[rng.below(names.len())].clone();
    let Some(mut bytes) = files[&name].clone().filter(|bytes| !bytes.is_empty()) else {
        files.insert(name, Some(random_bytes(rng, 40)));
        return "made up";
    };
    let (at, len) = (rng.below(bytes.len()), bytes.len());
    let end = at + rng.below(len - at + 1);
    let way = match rng.below(13) {
        0..3 => {
            bytes[at] ^= 1 << rng.below(8);
            "bit flipped"
        }
        3 => {
            bytes.truncate(at);
            "truncated"
        }
        4 => {
            let n = 1 + rng.below(50);
            bytes.extend(random_bytes(rng, n));
            "appended"
        }
        5 => {
            let swapped = files.insert(second, Some(bytes)).flatten();
            files.insert(name, swapped);
            return "swapped";
        }
        6 => {
            files.insert(name, None);
            return "deleted";
        }
        7 => {
            bytes = other[&name].clone().unwrap();
            "of another checkpoint"
        }
        8 => {
            bytes = random_bytes(rng, len);
            "random"
        }
        9 => {
            bytes[at..end].fill(0);
            "zeroed"
        }
        10 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
            "repeated"
        }
        11 => {
            bytes.drain(at..end);
            "cut out"
        }
        _ => {
            let digits: Vec<usize> = (0..len).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[rng.below(digits.len())]] = b'0' + rng.below(10) as u8;
            }
            "digit edited"
        }
    };
    files.insert(name, Some(bytes));
    way
}

fn kind_of(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::Incomplete { .. } => "incomplete",
        CheckpointError::Corrupted { .. } => "corrupted",
        CheckpointError::Foreign { .. } => "foreign",
        error => panic!("{error:?}"),
    }
}

#[test]
fn ten_thousand_damaged_checkpoints_are_all_refused() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = CheckpointStore::new(dir.path());
    let original = small(11);
    for (name, id) in [("good", 5), ("other", 12), ("last", 11)] {
        store.save(name, &small(id)).unwrap();
    }
    let (whole, other) = (files(&store.path("last")), files(&store.path("other")));
    store.remove("other").unwrap();
    let size: usize = whole.values().flatten().map(Vec::len).sum();
    assert!((1_500..3_500).contains(&size), "{size} bytes");

    let mut there = whole.clone();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut rng = Rng::new(20_260);
    for _ in 0..10_000 {
        let mut files = whole.clone();
        let mut ways = vec![damage(&mut files, &other, &mut rng)];
        while rng.chance(0.2) {
            ways.push(damage(&mut files, &other, &mut rng));
        }
        put(&store.path("last"), &there, &files);
        there = files;
        let result = store.read("last");
        let outcome = if there == whole {
            assert!(same(&result.unwrap(), &original), "{ways:?} changed nothing");
            store.verify("last").unwrap();
            "unchanged"
        } else if there == other {
            unreachable!("a few steps do not replace every file")
        } else {
            let Err(error) = result else { panic!("{ways:?} was accepted") };
            store.verify("last").unwrap_err();
            assert_eq!(error.fallback().map(|good| good.name.as_str()), Some("good"), "{ways:?}: {error}");
            assert!(error.to_string().contains("checkpoints/last"), "{error}");
            kind_of(&error)
        };
        *counts.entry((if ways.len() > 1 { "several" } else { ways[0] }, outcome)).or_default() += 1;
    }
    println!("{counts:?}");
    let seen =
        |outcome: &str| counts.iter().filter(|((_, o), _)| *o == outcome).map(|(_, n)| n).sum::<usize>();
    assert!(seen("corrupted") > 5_000 && seen("incomplete") > 500 && seen("foreign") > 0, "{counts:?}");
    assert!(seen("unchanged") < 1_500, "{counts:?}");
    put(&store.path("last"), &there, &whole);
    assert!(same(&store.read("last").unwrap(), &original));
}

/// Whoever knows the format can make a manifest that fits; even then nothing may panic.
fn seal(manifest: &Value) -> String {
    let mut manifest = manifest.clone();
    manifest.as_object_mut().unwrap().remove("checksum");
    let json = serde_json::to_string_pretty(&manifest).unwrap();
    let body = json.strip_suffix("\n}").unwrap();
    format!("{body},\n  \"checksum\": \"{:032x}\"\n}}\n", XxHash3_128::oneshot(body.as_bytes()))
}

fn manifest_of(files: &Files) -> Value {
    serde_json::from_slice(files["manifest.json"].as_ref().unwrap()).unwrap()
}

#[test]
fn forged_checkpoints_with_fitting_checksums_never_panic() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = CheckpointStore::new(dir.path());
    store.save("last", &small(11)).unwrap();
    let whole = files(&store.path("last"));
    let mut there = whole.clone();
    let (mut accepted, mut refused) = (0, 0);
    let mut rng = Rng::new(31);
    for _ in 0..3_000 {
        let mut files = whole.clone();
        let name = ["model.safetensors", "state.json"][rng.below(2)];
        let bytes = files.get_mut(name).unwrap().as_mut().unwrap();
        let head = bytes.len().min(if rng.chance(0.5) { 12 } else { 160 });
        for _ in 0..=rng.below(3) {
            let at = rng.below(head);
            bytes[at] =
                if rng.chance(0.5) { b"0123456789[]{},:\"-eEF"[rng.below(21)] } else { rng.next_u64() as u8 };
        }
        let mut manifest = manifest_of(&whole);
        manifest["files"][name]["xxh3_128"] = format!("{:032x}", XxHash3_128::oneshot(bytes)).into();
        files.insert("manifest.json".into(), Some(seal(&manifest).into_bytes()));
        put(&store.path("last"), &there, &files);
        there = files;
        store.verify("last").unwrap();
        match store.read("last") {
            Ok(_) => accepted += 1,
            Err(CheckpointError::Corrupted { file, .. }) if file == name => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(accepted > 10 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn manifests_that_fit_but_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    store.save("good", &small(3)).unwrap();
    store.save("last", &small(11)).unwrap();
    let path = store.path("last").join("manifest.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::write(&path, seal(&whole)).unwrap();
    store.read("last").unwrap();
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 11] = [
        (
            |m| {
                m["version"] = 3.into();
                m["program"] = "faknow 7.1".into();
                m["info"] = "all is new".into();
            },
            "expected format version 2, got 3, written by faknow 7.1; use that version of faknow",
        ),
        (
            |m| {
                m["version"] = 1.into();
                m["program"] = "faknow 0.0.9".into();
            },
            "expected format version 2, got 1, written by faknow 0.0.9; resume with that version of faknow",
        ),
        (|m| m["version"] = 0.into(), "manifest.json: version: expected a number from 1, got 0"),
        (|m| m["version"] = "2".into(), "manifest.json: version: expected a number from 1, got \"2\""),
        (|m| m["format"] = "other-checkpoint".into(), "its manifest.json has another format"),
        (|m| m["info"]["step"] = (-1).into(), "manifest.json: invalid value: integer `-1`"),
        (|m| m["info"]["value"] = "good".into(), "manifest.json: "),
        (
            |m| drop(m["files"].as_object_mut().unwrap().remove("state.json")),
            "manifest.json: files: state.json is missing",
        ),
        (
            |m| m["files"]["../../etc/passwd"] = m["files"]["state.json"].clone(),
            "files: expected state.json and <group>.safetensors, got \"../../etc/passwd\"",
        ),
        (
            |m| m["files"]["x.safetensors"] = m["files"]["state.json"].clone(),
            "is incomplete: x.safetensors is missing",
        ),
        (
            |m| m["files"]["model.safetensors"]["bytes"] = u64::MAX.into(),
            "model.safetensors: expected 18446744073709551615 bytes, got ",
        ),
    ];
    for (edit, expected) in cases {
        let mut manifest = whole.clone();
        edit(&mut manifest);
        fs::write(&path, seal(&manifest)).unwrap();
        let error = store.read("last").unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.ends_with("; the newest valid checkpoint is `good` (epoch 3, step 3)"), "{message}");
        if let CheckpointError::Newer { version: 3, known: 2, .. } = error {
            // It is not overwritten by an older program.
            assert!(matches!(store.save("last", &small(4)), Err(CheckpointError::Newer { .. })));
        }
    }
    fs::write(&path, "x".repeat(2 << 20)).unwrap();
    let error = store.read("last").unwrap_err().to_string();
    assert!(error.contains("manifest.json: expected at most 1048576 bytes, got 2097152"), "{error}");
}
