//! Archives made by hand: checkpoints around a state dict, and what a hostile file could try.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use faknow_model::{Error, weights};
use tch::Tensor;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive of these entries as `torch.save` makes them.
pub(crate) fn archive(entries: &[(&str, &[u8])], packed: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(packed);
    for (name, bytes) in entries {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// What `read` makes of these bytes.
pub(crate) fn read(bytes: &[u8], dir: &Path) -> Result<BTreeMap<String, Tensor>, String> {
    let path = dir.join("model.pt");
    std::fs::write(&path, bytes).unwrap();
    weights::read(&path).map_err(|error| match error {
        Error::Unreadable { reason, .. } => reason,
        other => panic!("{other:?}"),
    })
}

/// The instructions for a text.
fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

/// The instructions for a dict.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

/// The instructions for a vector of `n` values, all of which are the `n_stored` ones of storage `key` if `stride` is 1,
/// or the first one if it is 0.
fn vector(kind: &str, key: &str, n_stored: i32, n: i32, stride: u8) -> Vec<u8> {
    let number = |n: i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
        &text("storage"),
        format!("ctorch\n{kind}Storage\n").as_bytes(),
        &text(key),
        &text("cpu"),
        &number(n_stored),
        b"tQK\x00",
        &number(n),
        b"\x85K",
        &[stride],
        b"\x85\x89NtR",
    ]
    .concat()
}

fn floats(key: &str, n: i32) -> Vec<u8> {
    vector("Float", key, n, n, 1)
}

fn save(root: Vec<u8>, storages: &[(&str, &[u8])], packed: CompressionMethod) -> Vec<u8> {
    let pickle = [b"\x80\x02".as_slice(), &root, b"."].concat();
    archive(&[&[("data.pkl", &pickle[..])], storages].concat(), packed)
}

const STORED: CompressionMethod = CompressionMethod::Stored;

#[test]
fn the_state_dict_of_a_checkpoint_is_found_under_the_usual_keys() {
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
        "what is no tensor is passed over"
    );
    for key in ["state_dict", "model_state_dict", "model"] {
        let best = ("best", floats("1", 1));
        assert_eq!(names(dict(&[epoch(), (key, weights()), best])).unwrap(), ["w"], "{key}");
    }
    assert_eq!(names(dict(&[("model", dict(&[epoch()])), ("state_dict", weights())])).unwrap(), ["w"]);
    assert_eq!(names(dict(&[])).unwrap(), [""; 0]);

    let check = |root: Vec<u8>, says: &str| {
        let error = names(root).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    check(dict(&[("model", weights()), ("state_dict", weights())]), "both `state_dict` and `model`");
    check(
        dict(&[epoch(), ("net", weights())]),
        "no tensors by name, neither at its top (`epoch`, `net`) nor under one of `state_dict`, `model_state_dict`, \
         `model`",
    );
    check(b"]".to_vec(), "holds no state dict");
    check(floats("0", 1), "holds no state dict");
}

#[test]
fn storages_must_be_what_the_pickle_says() {
    let dir = tempfile::tempdir().unwrap();
    let check = |root: Vec<u8>, storages: &[(&str, &[u8])], says: &str| {
        let error = read(&save(root, storages, STORED), dir.path()).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    let w = |value: Vec<u8>| dict(&[("w", value)]);
    check(w(floats("0", 2)), &[], "its entry `archive/data/0`: specified file not found in archive");
    check(w(floats("0", 2)), &[("data/0", &[0; 7])], "its entry `archive/data/0`: expected 8 bytes, got 7");
    check(w(floats("0", 2)), &[("data/0", &[0; 9])], "its entry `archive/data/0`: expected 8 bytes, got 9");
    check(
        w(vector("Bool", "0", 2, 2, 1)),
        &[("data/0", &[1, 2])],
        "`w`: holds bytes that are neither true nor false",
    );
    check(
        dict(&[("a", floats("0", 2)), ("b", vector("Int", "0", 2, 2, 1))]),
        &[("data/0", &[0; 8])],
        "tensor `b`: is of another type than one that shares its values",
    );
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: Vec<u8>, says: &str| {
        assert!(bytes.len() < 1 << 18, "{} bytes", bytes.len());
        let error = read(&bytes, dir.path()).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    // One value, seen two thousand million times.
    let root = dict(&[("w", vector("Float", "0", 1, i32::MAX, 0))]);
    check(save(root, &[("data/0", &[0; 4])], STORED), "far more bytes than the file, 8589934588 by `w`");
    // Zeros are packed a thousand times smaller.
    let zeros = vec![0; 1 << 25];
    let root = dict(&[("a", floats("0", 1 << 23))]);
    let packed = CompressionMethod::Deflated;
    check(save(root, &[("data/0", &zeros)], packed), "far more bytes than the file, 33554432 by `a`");
    let root = dict(&[("a", vector("Float", "0", 1 << 23, 1, 1))]);
    check(save(root, &[("data/0", &zeros)], packed), "would unpack to more than 64 times its size");
    check(archive(&[("data.pkl", &zeros)], packed), "`archive/data.pkl`: expected at most 16777216 bytes");
    // A tensor of no values may have any other size.
    let root = dict(&[("w", vector("Float", "0", 0, 0, 1))]);
    assert_eq!(read(&save(root, &[("data/0", &[])], STORED), dir.path()).unwrap()["w"].size(), [0]);
}
