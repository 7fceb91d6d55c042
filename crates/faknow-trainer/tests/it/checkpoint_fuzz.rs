//! Ten thousand corrupted checkpoints: reading never panics, and never returns other data than was written.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faknow_data::Rng;
use faknow_trainer::checkpoint::{CheckpointError, CheckpointStore};
use serde_json::Value;
use twox_hash::XxHash3_128;

use crate::checkpoint::{is_equal, small_checkpoint};

/// The contents of the files of a checkpoint; `None` is a missing file.
type Files = BTreeMap<String, Option<Vec<u8>>>;

fn files(dir: &Path) -> Files {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), Some(fs::read(entry.path()).unwrap())))
        .collect()
}

/// Writes the files that differ from those on disk.
fn write_changes(dir: &Path, on_disk: &Files, files: &Files) {
    for (name, bytes) in files.iter().filter(|(name, bytes)| on_disk.get(*name) != Some(*bytes)) {
        match bytes {
            Some(bytes) => fs::write(dir.join(name), bytes).unwrap(),
            None => drop(fs::remove_file(dir.join(name))),
        }
    }
}

fn random_bytes(rng: &mut Rng, n: usize) -> Vec<u8> {
    (0..n).map(|_| rng.next_u64() as u8).collect()
}

/// Corrupts a checkpoint in one of many kinds; `other` is another checkpoint with the same files.
fn corrupt(files: &mut Files, other: &Files, rng: &mut Rng) -> &'static str {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = names[rng.below(names.len())].clone();
    let second = names[rng.below(names.len())].clone();
    let Some(mut bytes) = files[&name].clone().filter(|bytes| !bytes.is_empty()) else {
        files.insert(name, Some(random_bytes(rng, 40)));
        return "created";
    };
    let (start, len) = (rng.below(bytes.len()), bytes.len());
    let end = start + rng.below(len - start + 1);
    let kind = match rng.below(13) {
        0..3 => {
            bytes[start] ^= 1 << rng.below(8);
            "bit flipped"
        }
        3 => {
            bytes.truncate(start);
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
            bytes[start..end].fill(0);
            "zeroed"
        }
        10 => {
            let part = bytes[start..end].to_vec();
            bytes.splice(start..start, part);
            "repeated"
        }
        11 => {
            bytes.drain(start..end);
            "removed"
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
    kind
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
fn rejects_ten_thousand_corrupted_checkpoints() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = CheckpointStore::new(dir.path());
    let original = small_checkpoint(11);
    for (name, id) in [("good", 5), ("other", 12), ("last", 11)] {
        store.save(name, &small_checkpoint(id)).unwrap();
    }
    let (intact, other) = (files(&store.path("last")), files(&store.path("other")));
    store.remove("other").unwrap();
    let size: usize = intact.values().flatten().map(Vec::len).sum();
    assert!((1_500..3_500).contains(&size), "{size} bytes");

    let mut on_disk = intact.clone();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut rng = Rng::new(20_260);
    for _ in 0..10_000 {
        let mut files = intact.clone();
        let mut kinds = vec![corrupt(&mut files, &other, &mut rng)];
        while rng.chance(0.2) {
            kinds.push(corrupt(&mut files, &other, &mut rng));
        }
        write_changes(&store.path("last"), &on_disk, &files);
        on_disk = files;
        let result = store.read("last");
        let outcome = if on_disk == intact {
            assert!(is_equal(&result.unwrap(), &original), "{kinds:?} changed nothing");
            store.verify("last").unwrap();
            "unchanged"
        } else if on_disk == other {
            unreachable!("a few corruptions do not replace every file")
        } else {
            let Err(error) = result else { panic!("{kinds:?} was accepted") };
            store.verify("last").unwrap_err();
            assert_eq!(
                error.fallback().map(|fallback| fallback.name.as_str()),
                Some("good"),
                "{kinds:?}: {error}"
            );
            assert!(error.to_string().contains("checkpoints/last"), "{error}");
            kind_of(&error)
        };
        *counts.entry((if kinds.len() > 1 { "several" } else { kinds[0] }, outcome)).or_default() += 1;
    }
    println!("{counts:?}");
    let count =
        |outcome: &str| counts.iter().filter(|((_, o), _)| *o == outcome).map(|(_, n)| n).sum::<usize>();
    assert!(count("corrupted") > 5_000 && count("incomplete") > 500 && count("foreign") > 0, "{counts:?}");
    assert!(count("unchanged") < 1_500, "{counts:?}");
    write_changes(&store.path("last"), &on_disk, &intact);
    assert!(is_equal(&store.read("last").unwrap(), &original));
}

/// Returns a manifest with a valid checksum: even forged files must not cause a panic.
fn with_checksum(manifest: &Value) -> String {
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
fn forged_checkpoints_with_valid_checksums_never_panic() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = CheckpointStore::new(dir.path());
    store.save("last", &small_checkpoint(11)).unwrap();
    let intact = files(&store.path("last"));
    let mut on_disk = intact.clone();
    let (mut n_accepted, mut n_rejected) = (0, 0);
    let mut rng = Rng::new(31);
    for _ in 0..3_000 {
        let mut files = intact.clone();
        let name = ["model.safetensors", "state.json"][rng.below(2)];
        let bytes = files.get_mut(name).unwrap().as_mut().unwrap();
        let head = bytes.len().min(if rng.chance(0.5) { 12 } else { 160 });
        for _ in 0..=rng.below(3) {
            let index = rng.below(head);
            bytes[index] =
                if rng.chance(0.5) { b"0123456789[]{},:\"-eEF"[rng.below(21)] } else { rng.next_u64() as u8 };
        }
        let mut manifest = manifest_of(&intact);
        manifest["files"][name]["xxh3_128"] = format!("{:032x}", XxHash3_128::oneshot(bytes)).into();
        files.insert("manifest.json".into(), Some(with_checksum(&manifest).into_bytes()));
        write_changes(&store.path("last"), &on_disk, &files);
        on_disk = files;
        store.verify("last").unwrap();
        match store.read("last") {
            Ok(_) => n_accepted += 1,
            Err(CheckpointError::Corrupted { file, .. }) if file == name => n_rejected += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(n_accepted > 10 && n_rejected > 1_000, "{n_accepted} accepted, {n_rejected} rejected");
}

#[test]
fn rejects_invalid_manifests_with_valid_checksums() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    store.save("good", &small_checkpoint(3)).unwrap();
    store.save("last", &small_checkpoint(11)).unwrap();
    let path = store.path("last").join("manifest.json");
    let intact: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::write(&path, with_checksum(&intact)).unwrap();
    store.read("last").unwrap();
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 11] = [
        (
            |m| {
                m["version"] = 4.into();
                m["program"] = "faknow 7.1".into();
                m["info"] = "all is new".into();
            },
            "expected format version 3, got 4, written by faknow 7.1; use that version of faknow",
        ),
        (
            |m| {
                m["version"] = 1.into();
                m["program"] = "faknow 0.0.9".into();
            },
            "expected format version 3, got 1, written by faknow 0.0.9; resume with that version of faknow",
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
        let mut manifest = intact.clone();
        edit(&mut manifest);
        fs::write(&path, with_checksum(&manifest)).unwrap();
        let error = store.read("last").unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.ends_with("; the newest valid checkpoint is `good` (epoch 3, step 3)"), "{message}");
        if let CheckpointError::Newer { version: 4, known: 3, .. } = error {
            // An older program does not overwrite it.
            assert!(matches!(store.save("last", &small_checkpoint(4)), Err(CheckpointError::Newer { .. })));
        }
    }
    fs::write(&path, "x".repeat(2 << 20)).unwrap();
    let error = store.read("last").unwrap_err().to_string();
    assert!(error.contains("manifest.json: expected at most 1048576 bytes, got 2097152"), "{error}");
}
