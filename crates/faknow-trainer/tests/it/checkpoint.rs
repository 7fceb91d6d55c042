//! Checkpoints: bitwise round trips, and errors for corrupted, missing and foreign checkpoints.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use faknow_trainer::checkpoint::{Checkpoint, CheckpointError, CheckpointInfo, CheckpointStore};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Returns a checkpoint of about 2 KB; those of different ids differ in every file.
pub(crate) fn small_checkpoint(id: u64) -> Checkpoint {
    let values = |n: i64| Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37 + id as f64;
    let group = |n: i64, name: &str| BTreeMap::from([(name.to_owned(), values(n)), ("b".into(), values(3))]);
    Checkpoint {
        info: CheckpointInfo {
            branch: 1,
            epoch: 3,
            batch: 7,
            step: id,
            samples: 32 * id,
            monitor: Some("macro_f1".into()),
            value: Some(0.1 + id as f64),
            stop_reason: None,
        },
        state: json!({"stopper": {"best": 0.1 + 0.2, "wait": id}, "history": vec![id; 20]}),
        tensors: [("model".into(), group(120, "fc.weight")), ("optimizer".into(), group(60, "fc.weight.m"))]
            .into(),
    }
}

/// Returns kind, shape and bytes of a tensor, for bitwise comparison.
fn bits(tensor: &Tensor) -> (Kind, Vec<i64>, Vec<u8>) {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.contiguous().f_copy_data_u8(&mut bytes, tensor.numel()).unwrap();
    (tensor.kind(), tensor.size(), bytes)
}

/// Returns whether two checkpoints are bitwise equal.
pub(crate) fn is_equal(a: &Checkpoint, b: &Checkpoint) -> bool {
    let all = |c: &Checkpoint| -> BTreeMap<String, Vec<_>> {
        let group = |t: &BTreeMap<String, Tensor>| t.iter().map(|(n, t)| (n.clone(), bits(t))).collect();
        c.tensors.iter().map(|(name, tensors)| (name.clone(), group(tensors))).collect()
    };
    let text = |c: &Checkpoint| (format!("{:?}", c.info), serde_json::to_string(&c.state).unwrap());
    text(a) == text(b) && all(a) == all(b)
}

fn with_tensors(tensors: Vec<(&str, Tensor)>) -> Checkpoint {
    let group = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    Checkpoint { tensors: [("model".to_owned(), group)].into(), ..Checkpoint::default() }
}

fn store() -> (tempfile::TempDir, CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    (dir, store)
}

#[track_caller]
fn check_round_trip(checkpoint: &Checkpoint) {
    let (_dir, store) = store();
    store.save("last", checkpoint).unwrap();
    assert!(is_equal(&store.read("last").unwrap(), checkpoint));
    assert_eq!(format!("{:?}", store.verify("last").unwrap()), format!("{:?}", checkpoint.info));
    assert_eq!(format!("{:?}", store.read_info("last").unwrap()), format!("{:?}", checkpoint.info));
}

#[test]
fn tensors_of_every_kind_and_shape_round_trip_bitwise() {
    let kinds = [
        Kind::Float,
        Kind::Double,
        Kind::Half,
        Kind::BFloat16,
        Kind::Int64,
        Kind::Int,
        Kind::Int16,
        Kind::Int8,
        Kind::Uint8,
        Kind::Bool,
    ];
    let base = Tensor::arange(24, (Kind::Double, Device::Cpu));
    for kind in kinds {
        let t = base.to_kind(kind);
        check_round_trip(&with_tensors(vec![
            ("plain", t.shallow_clone()),
            ("matrix", t.view([2, 3, 4])),
            ("transposed", t.view([4, 6]).tr()),
            ("strided", t.slice(0, 1, 20, 3)),
            ("expanded", t.narrow(0, 5, 1).expand([7], false)),
            ("scalar", t.get(3)),
            ("empty", t.narrow(0, 0, 0)),
            ("empty.matrix", t.narrow(0, 0, 0).view([0, 5])),
        ]));
    }
    // Payloads and signs of NaN, both zeros, infinities, subnormal numbers.
    let floats = [0x7fc0_0001_u32, 0xffc1_2345, 0x7f80_0001, 0x8000_0000, 0, 0x7f80_0000, 0xff80_0000, 1];
    let doubles = [0x7ff8_0000_0000_0001_u64, 0xfff0_0000_dead_beef, 1 << 63, 0, 1, 0x7ff0_0000_0000_0000];
    let floats = floats.map(f32::from_bits);
    let doubles = doubles.map(f64::from_bits);
    check_round_trip(&with_tensors(vec![
        ("f32", Tensor::from_slice(&floats)),
        ("f64", Tensor::from_slice(&doubles)),
    ]));
    // Larger than the write buffer, and not a multiple of its size.
    let large = Tensor::arange(3 * 131_072 + 5, (Kind::Double, Device::Cpu));
    let scattered = Tensor::arange(1_000 * 700, (Kind::Float, Device::Cpu)).view([1_000, 700]).tr();
    let variable = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    check_round_trip(&with_tensors(vec![("large", large), ("scattered", scattered), ("variable", variable)]));
    check_round_trip(&with_tensors(vec![]));
}

#[test]
fn names_states_and_infos_round_trip() {
    let one = || Tensor::from(1.5);
    let names = ["a.b.c.weight", "", " ", "größe", "权重/注意力", "\"quoted\"\\\n", "a.b.c.weight ", "🦀"];
    check_round_trip(&with_tensors(names.map(|name| (name, one())).into()));
    let groups = ["model", "optimizer", "ema-0.999", "state", "step_1"];
    let groups = groups.map(|group| (group.to_owned(), BTreeMap::from([("x".to_owned(), one())])));
    check_round_trip(&Checkpoint { tensors: groups.into(), ..Checkpoint::default() });
    let mut deep = json!(1);
    for _ in 0..98 {
        deep = json!([deep]);
    }
    let states = [
        Value::Null,
        json!({}),
        json!({"z": 1, "a": [0.1 + 0.2, -0.0, 1e-310, f64::MAX, u64::MAX, i64::MIN], "ö\u{0}\n": "日\"\\"}),
        deep,
    ];
    for state in states {
        check_round_trip(&Checkpoint { state, ..Checkpoint::default() });
    }
    for value in [
        None,
        Some(0.1 + 0.2),
        Some(-0.0),
        Some(3.0),
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(-f64::INFINITY),
    ] {
        let texts = Some("weighted \"f1\"\n\u{7f}".to_owned());
        let info = CheckpointInfo {
            step: u64::MAX,
            samples: 1 << 60,
            monitor: texts.clone(),
            value,
            stop_reason: texts,
            ..CheckpointInfo::default()
        };
        check_round_trip(&Checkpoint { info, ..Checkpoint::default() });
    }
}

#[test]
fn weights_are_standard_safetensors_and_deterministic() {
    let (_dir, store) = store();
    store.save("one", &small_checkpoint(5)).unwrap();
    store.save("two", &small_checkpoint(5)).unwrap();
    for file in ["manifest.json", "state.json", "model.safetensors", "optimizer.safetensors"] {
        let bytes = |name: &str| fs::read(store.path(name).join(file)).unwrap();
        assert_eq!(bytes("one"), bytes("two"), "{file}");
    }
    assert_eq!(fs::read_dir(store.path("one")).unwrap().count(), 4);
    // tch has its own reader.
    let read = Tensor::read_safetensors(store.path("one").join("model.safetensors")).unwrap();
    let read: BTreeMap<String, Tensor> = read.into_iter().collect();
    assert_eq!(read, small_checkpoint(5).tensors["model"]);
    // The header is padded so that the data is aligned, and the widest types come first.
    let mixed = vec![("a", Tensor::from_slice(&[1_i8, 2, 3])), ("b", Tensor::from_slice(&[1.0, 2.0]))];
    store.save("mixed", &with_tensors(mixed)).unwrap();
    let bytes = fs::read(store.path("mixed").join("model.safetensors")).unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(n % 8, 0);
    let header: Value = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    let expected = json!({
        "a": {"dtype": "I8", "shape": [3], "data_offsets": [16, 19]},
        "b": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
    });
    assert_eq!(header, expected);
}

#[test]
fn rejects_unsavable_checkpoints_and_retains_the_old_one() {
    let (_dir, store) = store();
    store.save("last", &small_checkpoint(1)).unwrap();
    let group = |name: &str| Checkpoint {
        tensors: [(name.to_owned(), BTreeMap::new())].into(),
        ..small_checkpoint(2)
    };
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let zeros = || Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
    let cases = [
        (with_tensors(vec![("w", zeros().to_sparse_sparse_dim(2))]), "tensor `w`: expected a dense tensor"),
        (
            with_tensors(vec![("w", zeros().to_kind(Kind::ComplexDouble))]),
            "tensor `w`: expected a kind of safetensors, got ComplexDouble",
        ),
        (with_tensors(vec![("w", Tensor::new())]), "tensor `w`: expected a defined tensor"),
        (with_tensors(vec![("__metadata__", zeros())]), "tensor `__metadata__`: expected another name"),
        (group(""), "group ``: expected a name"),
        (group("../model"), "group `../model`: expected a name"),
        (group(".model"), "group `.model`: expected a name"),
        (
            Checkpoint { state: deep, ..small_checkpoint(2) },
            "state: expected at most 100 levels of nesting, got more",
        ),
    ];
    for (checkpoint, expected) in cases {
        let error = store.save("last", &checkpoint).unwrap_err();
        assert!(matches!(error, CheckpointError::Unsavable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains("checkpoints/last"), "{message}");
        assert!(is_equal(&store.read("last").unwrap(), &small_checkpoint(1)));
        assert_eq!(fs::read_dir(store.path("")).unwrap().count(), 1);
    }
    for name in ["", ".", "..", ".tmp-last", "a/b", "a\\b", "a:b", "tab\t", "x".repeat(101).as_str()] {
        let results = [
            store.save(name, &small_checkpoint(2)),
            store.save_keeping_previous("last", name, &small_checkpoint(2)),
            store.link("last", name),
            store.rename("last", name),
            store.remove(name),
            store.read(name).map(drop),
        ];
        for result in results {
            assert!(matches!(result, Err(CheckpointError::InvalidName { .. })), "{name:?}: {result:?}");
        }
    }
    store.save("größte Güte 1.5 %", &small_checkpoint(3)).unwrap();
    assert_eq!(store.newest_valid("").unwrap().0, "größte Güte 1.5 %");
}

#[test]
fn foreign_files_are_neither_read_nor_overwritten() {
    type Occupy = fn(&Path);
    let manifest = |path: &Path, text: &str| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("manifest.json"), text).unwrap();
    };
    let cases: [(Occupy, &str); 3] = [
        (|path| fs::write(path, "mine").unwrap(), "it is not a directory"),
        (
            |path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("thesis.tex"), "mine").unwrap();
            },
            "it has neither manifest.json nor state.json",
        ),
        (
            |path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("manifest.json"), r#"{"name": "web app"}"#).unwrap();
            },
            "its manifest.json was written by another program",
        ),
    ];
    for (occupy, expected) in cases {
        let (_dir, store) = store();
        store.save("last", &small_checkpoint(4)).unwrap();
        occupy(&store.path("best"));
        let results = [
            store.read("best").map(drop),
            store.verify("best").map(drop),
            store.save("best", &small_checkpoint(5)),
            store.save_keeping_previous("last", "best", &small_checkpoint(5)),
            store.link("last", "best"),
            store.link("best", "last"),
            store.rename("last", "best"),
            store.remove("best"),
        ];
        for result in results {
            let error = result.unwrap_err();
            assert!(matches!(error, CheckpointError::Foreign { .. }), "{error}");
            let message = error.to_string();
            let suffix = "; the newest valid checkpoint is `last` (epoch 3, step 4)";
            assert!(message.contains(expected) && message.ends_with(suffix), "{message}");
        }
        assert!(is_equal(&store.read("last").unwrap(), &small_checkpoint(4)));
        assert_eq!(store.newest_valid("").unwrap().1.step, 4);
    }
    // An empty directory, or one without a manifest, is an incomplete checkpoint and may be replaced.
    let (_dir, store) = store();
    for corrupt in [
        |path: &Path| fs::create_dir_all(path).unwrap(),
        |path: &Path| fs::remove_file(path.join("manifest.json")).unwrap(),
    ] {
        corrupt(&store.path("best"));
        let error = store.read("best").unwrap_err();
        assert!(
            matches!(&error, CheckpointError::Incomplete { file, .. } if file == "manifest.json"),
            "{error}"
        );
        store.save("best", &small_checkpoint(6)).unwrap();
        assert!(is_equal(&store.read("best").unwrap(), &small_checkpoint(6)));
    }
    let (_dir, store) = self::store();
    fs::create_dir_all(store.path("")).unwrap();
    manifest(&store.path("x"), "[1, 2");
    let error = store.read("x").unwrap_err().to_string();
    assert!(error.contains("manifest.json: not valid JSON"), "{error}");
}

#[test]
fn missing_checkpoint_error_names_the_newest_valid_one() {
    let (dir, store) = store();
    let error = store.read("last").unwrap_err();
    assert!(matches!(&error, CheckpointError::Missing { fallback: None, .. }), "{error}");
    assert!(!dir.path().join("checkpoints").exists(), "reading must not create directories");
    store.clean().unwrap();
    assert!(store.list().is_empty() && store.newest_valid("").is_none());
    for (name, id) in [("old", 1), ("good", 2), ("bad", 3)] {
        store.save(name, &small_checkpoint(id)).unwrap();
    }
    fs::write(store.path("bad").join("state.json"), "{}").unwrap();
    let error = store.read("last").unwrap_err();
    assert_eq!(error.fallback().unwrap().name, "good");
    assert!(
        error
            .to_string()
            .ends_with("checkpoints/last; the newest valid checkpoint is `good` (epoch 3, step 2)"),
        "{error}"
    );
    let error = store.read("bad").unwrap_err().to_string();
    assert!(error.contains("checkpoints/bad is corrupted: state.json: expected "), "{error}");
    assert!(error.ends_with("; the newest valid checkpoint is `good` (epoch 3, step 2)"), "{error}");
    // The list reads manifests only; checkpoints without one come last.
    fs::write(store.path("old").join("manifest.json"), "").unwrap();
    let list: Vec<_> =
        store.list().into_iter().map(|entry| (entry.name, entry.info.ok().map(|f| f.step))).collect();
    let expected = [("bad", Some(3)), ("good", Some(2)), ("old", None)];
    assert_eq!(list, expected.map(|(name, step)| (name.to_owned(), step)));
    assert_eq!(store.newest_valid("good"), None);
}

#[test]
fn weights_are_read_only_if_every_byte_is_valid() {
    let (_dir, store) = store();
    store.save("last", &small_checkpoint(1)).unwrap();
    store.save("best", &small_checkpoint(2)).unwrap();
    let dir = store.path("best");
    let weights = store.read_weights("best").unwrap().unwrap();
    assert_eq!(bits(&weights["fc.weight"]), bits(&small_checkpoint(2).tensors["model"]["fc.weight"]));
    // Prediction needs no other file.
    fs::write(dir.join("optimizer.safetensors"), "x").unwrap();
    fs::remove_file(dir.join("state.json")).unwrap();
    assert!(store.read_weights("best").unwrap().is_some());
    for file in ["model.safetensors", "manifest.json"] {
        let intact = fs::read(dir.join(file)).unwrap();
        let flipped = (0..intact.len()).map(|position| {
            let mut bytes = intact.clone();
            bytes[position] ^= 1;
            bytes
        });
        let truncated = [0, 1, intact.len() / 2, intact.len() - 1].map(|n| intact[..n].to_vec());
        for bytes in flipped.chain(truncated).chain([[&intact[..], b"\n"].concat()]) {
            fs::write(dir.join(file), bytes).unwrap();
            let error = store.read_weights("best").unwrap_err();
            assert!(matches!(&error, CheckpointError::Corrupted { file: got, .. } if got == file), "{error}");
            assert_eq!(error.fallback().unwrap().name, "last");
        }
        fs::write(dir.join(file), intact).unwrap();
    }
    // Without a manifest of faknow, there is nothing to compare the weights with.
    fs::write(dir.join("manifest.json"), r#"{"name": "web app"}"#).unwrap();
    assert!(store.read_weights("best").unwrap().is_none());
    fs::remove_file(dir.join("manifest.json")).unwrap();
    assert!(store.read_weights("best").unwrap().is_none());
    assert!(matches!(store.read_weights("none"), Err(CheckpointError::Missing { .. })));
}

#[test]
fn links_share_files_and_are_independent() {
    let (_dir, store) = store();
    store.save("last", &small_checkpoint(1)).unwrap();
    store.link("last", "best").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let inode = |name: &str| fs::metadata(store.path(name).join("model.safetensors")).unwrap().ino();
        assert_eq!(inode("last"), inode("best"));
    }
    store.save_keeping_previous("last", "previous", &small_checkpoint(2)).unwrap();
    store.remove("previous").unwrap();
    assert!(is_equal(&store.read("best").unwrap(), &small_checkpoint(1)));
    assert!(is_equal(&store.read("last").unwrap(), &small_checkpoint(2)));
}

#[test]
fn concurrent_reader_sees_the_old_or_the_new_checkpoint() {
    let (dir, store) = store();
    store.save_keeping_previous("last", "previous", &small_checkpoint(1)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = |name: &'static str| {
            let (done, path) = (&done, dir.path());
            scope.spawn(move || {
                let store = CheckpointStore::new(path);
                let (mut step, mut n) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    let read = store.read(name).unwrap();
                    assert!(read.info.step >= step, "{} after {step}", read.info.step);
                    assert!(
                        is_equal(&read, &small_checkpoint(read.info.step)),
                        "step {}: {:?}",
                        read.info.step,
                        read.state
                    );
                    step = read.info.step;
                    n += 1;
                }
                (step, n)
            })
        };
        let readers = [reader("last"), reader("last")];
        for id in 2..=150 {
            match id % 2 {
                0 => store.save("last", &small_checkpoint(id)).unwrap(),
                _ => store.save_keeping_previous("last", "previous", &small_checkpoint(id)).unwrap(),
            }
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            let (step, n) = reader.join().unwrap();
            assert!(step > 1 && n > 10, "{step} {n}");
        }
    });
}

#[test]
fn directory_creation_error_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    fs::write(dir.path().join("checkpoints"), "in the way").unwrap();
    for result in [store.save("last", &small_checkpoint(1)), store.clean(), store.link("a", "b")] {
        let error = result.unwrap_err();
        assert!(matches!(error, CheckpointError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("checkpoints"), "{error}");
    }
    assert!(matches!(store.read("last"), Err(CheckpointError::Missing { .. })));
    assert_eq!(fs::read_to_string(dir.path().join("checkpoints")).unwrap(), "in the way");
}

/// Saves a checkpoint with a limited file size, as the child process of the next test.
#[test]
fn full_disk_child_process() {
    let Some(dir) = std::env::var_os("FAKNOW_TEST_FULL_DISK") else { return };
    let store = CheckpointStore::new(Path::new(&dir));
    let large = with_tensors(vec![("w", Tensor::zeros([1 << 20], (Kind::Float, Device::Cpu)))]);
    let error = store.save_keeping_previous("last", "previous", &large).unwrap_err();
    let CheckpointError::Io { path, .. } = &error else { panic!("{error:?}") };
    assert!(path.ends_with(".tmp-last/model.safetensors"), "{error}");
    assert!(
        error.to_string().ends_with("; the newest valid checkpoint is `last` (epoch 3, step 1)"),
        "{error}"
    );
    assert_eq!(fs::read_dir(store.path("")).unwrap().count(), 1);
    fs::write(Path::new(&dir).join("error.txt"), error.to_string()).unwrap();
}

/// Simulates a full disk by a limit of 100 KB on the file size, in a child process.
#[cfg(unix)]
#[test]
fn full_disk_is_an_error_and_retains_the_old_checkpoint() {
    let (dir, store) = store();
    store.save("last", &small_checkpoint(1)).unwrap();
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" --exact checkpoint::full_disk_child_process"])
        .arg(std::env::current_exe().unwrap())
        .env("FAKNOW_TEST_FULL_DISK", dir.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let error = fs::read_to_string(dir.path().join("error.txt")).unwrap();
    assert!(error.contains("model.safetensors: "), "{error}");
    assert!(is_equal(&store.read("last").unwrap(), &small_checkpoint(1)));
}
