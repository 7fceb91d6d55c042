//! Files saved by PyTorch: bit-exact values, rejected formats and corrupted files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_data::Rng;
use faknow_model::{Error, TextCnn, TextCnnConfig, weights};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

use crate::pickles::{archive, read};

type Tensors = BTreeMap<String, Tensor>;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pytorch").join(name)
}

/// Asserts bit-exact equality: NaN equals itself and 0 differs from -0.
fn assert_same(what: &str, ours: &Tensors, theirs: &Tensors) {
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "{what}");
    for (name, a) in ours {
        let b = &theirs[name];
        assert_eq!((a.kind(), a.size()), (b.kind(), b.size()), "{what}: {name}");
        assert!(bits(a) == bits(b), "{what}: {name}: {a} {b}");
    }
}

fn bits(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

#[test]
fn reads_pytorch_files_bit_exactly() {
    let _generator = crate::generator();
    let check = |name: &str, safetensors: &str| {
        let ours = weights::read(&path(name)).unwrap();
        assert_same(name, &ours, &weights::read(&path(safetensors)).unwrap());
        ours
    };
    let kinds = check("kinds.pt", "kinds.safetensors");
    assert_eq!(kinds.len(), 14);
    assert_eq!(kinds["text:ünï"], Tensor::from_slice(&[(1_i64 << 62) + 1, -(1 << 62)]));
    for (name, values) in [("bfloat16", 2.25), ("bool", 1.0), ("int8", 2.0), ("float64", 2.25)] {
        assert_eq!(kinds[name].to_kind(Kind::Double).double_value(&[1, 0]), values, "{name}");
    }
    let views = check("views.pt", "views.safetensors");
    assert_eq!(views["transposed"].double_value(&[5, 2]), 17.0);
    assert_eq!(
        views["every_second"],
        Tensor::from_slice(&[1.0_f32, 3.0, 5.0, 13.0, 15.0, 17.0]).view([2, 3])
    );
    for protocol in 2..=5 {
        check(&format!("protocol_{protocol}.pt"), "plain.safetensors");
    }
    check("deflated.pt", "plain.safetensors");
    check("big_endian.pt", "plain.safetensors");
    check("parameters.pt", "parameters.safetensors");
    check("textcnn.pt", "textcnn.safetensors");
    check("normed.pt", "normed.safetensors");
    check("wrapped.pt", "wrapped.safetensors");
    check("legacy.pt", "plain.safetensors");
    check("legacy_views.pt", "views.safetensors");
    check("legacy_wrapped.pt", "wrapped.safetensors");
    check("legacy_first.pt", "parameters.safetensors");
}

// Tensors that share memory in the file must not share it after reading.
#[test]
fn tensors_do_not_share_memory() {
    let _generator = crate::generator();
    let views = weights::read(&path("views.pt")).unwrap();
    let mut addresses: Vec<usize> =
        views.values().filter(|t| t.numel() > 0).map(|t| t.data_ptr() as usize).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 8);
    assert!(views.values().all(Tensor::is_contiguous));
}

#[test]
fn loads_faknows_textcnn_with_and_without_the_data_parallel_prefix() {
    let _generator = crate::generator();
    let config =
        TextCnnConfig { embedding_size: 4, n_filters: 2, kernel_sizes: vec![2, 3], ..Default::default() };
    let check = |file: &str, kind: Kind, expected: &str| {
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(kind);
        let _model = TextCnn::new(&vars.root(), &config, 10, 2).unwrap();
        let report = weights::load_partial(&vars, &path(file)).unwrap();
        assert_eq!(report.to_string(), expected);
        for (name, theirs) in weights::read(&path("textcnn.safetensors")).unwrap() {
            assert_eq!(vars.variables()[&name], theirs.to_kind(kind), "{file}: {name}");
        }
    };
    check("textcnn.pt", Kind::Float, "7 of 7 weights loaded");
    check("textcnn.pt", Kind::Double, "7 of 7 weights loaded, 7 converted from Float to Double");
    check(
        "parallel.pt",
        Kind::Float,
        "7 of 7 weights loaded, prefix `module.` removed from the names of the file",
    );

    let vars = VarStore::new(Device::Cpu);
    let _model = TextCnn::new(&vars.root(), &config, 10, 2).unwrap();
    weights::load(&vars, &path("textcnn.pt")).unwrap();
    let error = weights::load(&vars, &path("parallel.pt")).unwrap_err().to_string();
    assert!(error.contains("missing `classifier.1.bias` [2]; "), "{error}");
    assert!(error.contains("unexpected `module.word_embedding.weight`"), "{error}");
}

#[test]
fn errors_of_other_files_name_the_remedy() {
    let _generator = crate::generator();
    let check = |name: &str, expected: &[&str]| {
        let error = weights::read(&path(name)).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(name) && expected.iter().all(|part| error.contains(part)), "{error}");
    };
    check("hostile.pt", &["unsupported global `posix.system`", "nothing is executed", "model.state_dict()"]);
    check("module.pt", &["unsupported global `torch.nn.modules.linear.Linear`", "model.state_dict()"]);
    check("script.pt", &["unsupported TorchScript program", "torch.jit.load(FILE).state_dict()"]);
    check("pickle.pt", &["unsupported bare pickle", "model.state_dict()"]);
}

/// Returns the entries of a PyTorch file.
fn entries(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(std::fs::File::open(path(name)).unwrap()).unwrap();
    let n = zip.len();
    let read = |index| {
        let mut entry = zip.by_index(index).unwrap();
        let name = entry.name().unwrap().split_once('/').unwrap().1.to_owned();
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        (name, bytes)
    };
    (0..n).map(read).collect()
}

// Checksums detect any change to the tensors.
#[test]
fn corrupted_files_are_rejected_or_read_unchanged() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(1);
    let (mut n_rejected, mut n_read) = (0, 0);
    for name in ["protocol_2.pt", "deflated.pt", "big_endian.pt", "views.pt"] {
        let original = std::fs::read(path(name)).unwrap();
        let expected = weights::read(&path(name)).unwrap();
        for round in 0..750 {
            let mut bytes = original.clone();
            match round % 3 {
                0 => bytes[rng.below(original.len())] ^= 1 << rng.below(8),
                1 => bytes.truncate(rng.below(original.len())),
                _ => {
                    let (source, target) = (rng.below(original.len()), rng.below(original.len()));
                    let n = 1 + rng.below(64.min(original.len() - source.max(target)));
                    bytes.copy_within(source..source + n, target);
                }
            }
            match read(&bytes, dir.path()) {
                Ok(tensors) => {
                    assert_same(name, &tensors, &expected);
                    n_read += 1;
                }
                Err(_) => n_rejected += 1,
            }
        }
    }
    assert!(n_rejected > 2000 && n_read > 50, "{n_rejected} rejected, {n_read} read");
}

// The format before PyTorch 1.6 has no checksums: changed values cannot be detected, truncation can.
#[test]
fn corrupted_legacy_files_do_not_panic_and_truncated_ones_are_rejected() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(5);
    for name in ["legacy.pt", "legacy_views.pt", "legacy_wrapped.pt", "legacy_first.pt"] {
        let original = std::fs::read(path(name)).unwrap();
        for length in 0..original.len() {
            assert!(read(&original[..length], dir.path()).is_err(), "{name}: {length} bytes");
        }
        let longer = [&original[..], &[0]].concat();
        assert!(read(&longer, dir.path()).unwrap_err().contains("expected the end of the file"), "{name}");
        for _ in 0..750 {
            let mut bytes = original.clone();
            bytes[rng.below(original.len())] = rng.below(256) as u8;
            drop(read(&bytes, dir.path()));
        }
    }
}

#[test]
fn errors_of_legacy_files_name_what_is_wrong() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let original = std::fs::read(path("legacy.pt")).unwrap();
    let find = |part: &[u8]| original.windows(part.len()).position(|window| window == part).unwrap();
    let check = |position: usize, value: u8, expected: &str| {
        let mut bytes = original.clone();
        bytes[position] = value;
        let error = read(&bytes, dir.path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(18, 0xea, "version of the format: expected 1001, got Integer(1002)");
    check(
        find(b"little_endianq") + 15,
        0x89,
        "unsupported byte order: expected a file of a little-endian machine",
    );
    check(find(b"FloatStorage"), b'G', "unsupported global `torch.GloatStorage`");
    // The last storage is of two floats, after their number.
    let n = original.len();
    check(n - 16, 3, "expected 2 values, got 3");
    let error = read(&original[..n - 1], dir.path()).unwrap_err();
    assert!(error.contains("expected 8 bytes, got 7; the file is truncated"), "{error}");
}

// The checksums are valid, so the pickle is read: it must result in an error or in tensors, never in a panic.
#[test]
fn corrupted_pickles_do_not_panic() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(2);
    let (mut n_rejected, mut n_read) = (0, 0);
    for name in ["protocol_2.pt", "protocol_5.pt", "views.pt", "normed.pt"] {
        let entries = entries(name);
        let (_, pickle) = entries.iter().find(|(name, _)| name == "data.pkl").unwrap();
        for _ in 0..750 {
            let mut changed = pickle.clone();
            for _ in 0..1 + rng.below(2) {
                let index = rng.below(changed.len());
                match rng.below(3) {
                    0 => changed[index] = rng.below(256) as u8,
                    1 => drop(changed.remove(index)),
                    _ => changed.insert(index, changed[rng.below(changed.len())]),
                }
            }
            let entries: Vec<(&str, &[u8])> = entries
                .iter()
                .map(|(name, bytes)| (name.as_str(), if name == "data.pkl" { &changed } else { &bytes[..] }))
                .collect();
            match read(&archive(&entries, CompressionMethod::Stored), dir.path()) {
                Ok(_) => n_read += 1,
                Err(_) => n_rejected += 1,
            }
        }
    }
    assert!(n_rejected > 1000 && n_read > 50, "{n_rejected} rejected, {n_read} read");
}

#[test]
fn errors_of_invalid_archives_name_the_entry() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let entries = entries("protocol_2.pt");
    // Replaces or removes one entry.
    let check = |entry: &str, bytes: Option<&[u8]>, expected: &str| {
        let others = entries.iter().filter(|(name, _)| name != entry);
        let mut changed: Vec<(&str, &[u8])> =
            others.map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        changed.extend(bytes.map(|bytes| (entry, bytes)));
        let error = read(&archive(&changed, CompressionMethod::Stored), dir.path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("data.pkl", None, "zip archive: expected one entry `data.pkl`, got 0");
    check("copy/data.pkl", Some(b""), "zip archive: expected one entry `data.pkl`, got 2");
    check("data/1", None, "entry `archive/data/1`: ");
    check("data/1", Some(&[0; 9]), "entry `archive/data/1`: expected 8 bytes, got 9");
    check("byteorder", Some(b"middle"), "entry `byteorder`: expected `little` or `big`");
    check("data.pkl", Some(b"\x80\x02cos\nsystem\n."), "unsupported global `os.system`");
    check("data.pkl", Some(b"\x80\x02]."), "expected a state dict");
}
