//! Handwritten PyTorch archives: checkpoints that contain a state dict, and malicious files.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use faknow_model::{Error, weights};
use tch::Tensor;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Creates an archive as `torch.save` does.
pub(crate) fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Reads weights from bytes; returns the reason of an error.
pub(crate) fn read(bytes: &[u8], dir: &Path) -> Result<BTreeMap<String, Tensor>, String> {
    let path = dir.join("model.pt");
    std::fs::write(&path, bytes).unwrap();
    weights::read(&path).map_err(|error| match error {
        Error::Unreadable { reason, .. } => reason,
        other => panic!("{other:?}"),
    })
}

/// Returns the opcodes of a string.
fn string(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

/// Returns the opcodes of a dict.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [string(key), value.clone()].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

/// Returns the opcodes of a vector of `n` values in storage `key` of `n_stored` values.
fn vector(kind: &str, key: &str, n_stored: i32, n: i32, stride: u8) -> Vec<u8> {
    let integer = |n: i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
        &string("storage"),
        format!("ctorch\n{kind}Storage\n").as_bytes(),
        &string(key),
        &string("cpu"),
        &integer(n_stored),
        b"tQK\x00",
        &integer(n),
        b"\x85K",
        &[stride],
        b"\x85\x89NtR",
    ]
    .concat()
}

fn floats(key: &str, n: i32) -> Vec<u8> {
    vector("Float", key, n, n, 1)
}

fn save(root: Vec<u8>, storages: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let pickle = [b"\x80\x02".as_slice(), &root, b"."].concat();
    archive(&[&[("data.pkl", &pickle[..])], storages].concat(), method)
}

const STORED: CompressionMethod = CompressionMethod::Stored;

#[test]
fn finds_the_state_dict_of_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let one = 1.5_f32.to_le_bytes();
    let storages = [("data/0", &one[..]), ("data/1", &one)];
    let names = |root: Vec<u8>| {
        read(&save(root, &storages, STORED), dir.path())
            .map(|tensors| tensors.into_keys().collect::<Vec<_>>())
    };
    let weights = || dict(&[("w", floats("0", 1))]);
    let epoch = || ("epoch", b"K\x03".to_vec());
    assert_eq!(names(weights()).unwrap(), ["w"]);
    assert_eq!(
        names(dict(&[("w", floats("0", 1)), epoch()])).unwrap(),
        ["w"],
        "other values are not ignored"
    );
    for key in ["state_dict", "model_state_dict", "model"] {
        let best = ("best", floats("1", 1));
        assert_eq!(names(dict(&[epoch(), (key, weights()), best])).unwrap(), ["w"], "{key}");
    }
    assert_eq!(names(dict(&[("model", dict(&[epoch()])), ("state_dict", weights())])).unwrap(), ["w"]);
    assert_eq!(names(dict(&[])).unwrap(), [""; 0]);

    let check = |root: Vec<u8>, expected: &str| {
        let error = names(root).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(dict(&[("model", weights()), ("state_dict", weights())]), "both `state_dict` and `model`");
    check(
        dict(&[epoch(), ("net", weights())]),
        "expected tensors at the top level or under one of `state_dict`, `model_state_dict`, `model`, got the keys \
         `epoch`, `net`",
    );
    check(b"]".to_vec(), "expected a state dict");
    check(floats("0", 1), "expected a state dict");
}

#[test]
fn rejects_storages_that_differ_from_the_pickle() {
    let dir = tempfile::tempdir().unwrap();
    let check = |root: Vec<u8>, storages: &[(&str, &[u8])], expected: &str| {
        let error = read(&save(root, storages, STORED), dir.path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let w = |value: Vec<u8>| dict(&[("w", value)]);
    check(w(floats("0", 2)), &[], "entry `archive/data/0`: specified file not found in archive");
    check(w(floats("0", 2)), &[("data/0", &[0; 7])], "entry `archive/data/0`: expected 8 bytes, got 7");
    check(w(floats("0", 2)), &[("data/0", &[0; 9])], "entry `archive/data/0`: expected 8 bytes, got 9");
    check(
        w(vector("Bool", "0", 2, 2, 1)),
        &[("data/0", &[1, 2])],
        "`w`: expected bytes 0 and 1 for booleans",
    );
    check(
        dict(&[("a", floats("0", 2)), ("b", vector("Int", "0", 2, 2, 1))]),
        &[("data/0", &[0; 8])],
        "tensor `b`: expected the type and size of its storage in other tensors",
    );
}

#[test]
fn small_files_cannot_allocate_much_memory() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: Vec<u8>, expected: &str| {
        assert!(bytes.len() < 1 << 18, "{} bytes", bytes.len());
        let error = read(&bytes, dir.path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    // One value, repeated two billion times.
    let root = dict(&[("w", vector("Float", "0", 1, i32::MAX, 0))]);
    check(save(root, &[("data/0", &[0; 4])], STORED), "got 8589934588 up to `w`");
    // Zeros compress by a factor of a thousand.
    let zeros = vec![0; 1 << 25];
    let root = dict(&[("a", floats("0", 1 << 23))]);
    let deflated = CompressionMethod::Deflated;
    check(save(root, &[("data/0", &zeros)], deflated), "got 33554432 up to `a`");
    let root = dict(&[("a", vector("Float", "0", 1 << 23, 1, 1))]);
    check(save(root, &[("data/0", &zeros)], deflated), "decompresses to at most 64 times its size");
    check(archive(&[("data.pkl", &zeros)], deflated), "`archive/data.pkl`: expected at most 16777216 bytes");
    // An empty tensor is valid.
    let root = dict(&[("w", vector("Float", "0", 0, 0, 1))]);
    assert_eq!(read(&save(root, &[("data/0", &[])], STORED), dir.path()).unwrap()["w"].size(), [0]);
}
