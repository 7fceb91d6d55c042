//! Files that PyTorch itself wrote: their values to the bit, what is refused and why, and what damage does.

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

/// Equality to the bit, so that NaN equals itself and 0 is not -0.
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
fn what_pytorch_saves_is_read_to_the_bit() {
    let check = |name: &str, twin: &str| {
        let ours = weights::read(&path(name)).unwrap();
        assert_same(name, &ours, &weights::read(&path(twin)).unwrap());
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
}

/// Tensors that share memory in the file do not share it here: who changes one changes no other.
#[test]
fn each_tensor_has_memory_of_its_own() {
    let views = weights::read(&path("views.pt")).unwrap();
    let mut places: Vec<usize> =
        views.values().filter(|t| t.numel() > 0).map(|t| t.data_ptr() as usize).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 8);
    assert!(views.values().all(Tensor::is_contiguous));
}

#[test]
fn faknows_textcnn_is_loaded_with_and_without_the_prefix_of_data_parallel() {
    let config =
        TextCnnConfig { embedding_size: 4, n_filters: 2, kernel_sizes: vec![2, 3], ..Default::default() };
    let check = |file: &str, kind: Kind, says: &str| {
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(kind);
        let _model = TextCnn::new(&vars.root(), &config, 10, 2).unwrap();
        let report = weights::load_partial(&vars, &path(file)).unwrap();
        assert_eq!(report.to_string(), says);
        for (name, theirs) in weights::read(&path("textcnn.safetensors")).unwrap() {
            assert_eq!(vars.variables()[&name], theirs.to_kind(kind), "{file}: {name}");
        }
    };
    check("textcnn.pt", Kind::Float, "7 of 7 weights loaded");
    check("textcnn.pt", Kind::Double, "7 of 7 weights loaded, 7 converted from Float to Double");
    check("parallel.pt", Kind::Float, "7 of 7 weights loaded, whose names begin with `module.` in the file");

    let vars = VarStore::new(Device::Cpu);
    let _model = TextCnn::new(&vars.root(), &config, 10, 2).unwrap();
    weights::load(&vars, &path("textcnn.pt")).unwrap();
    let error = weights::load(&vars, &path("parallel.pt")).unwrap_err().to_string();
    assert!(error.contains("missing `classifier.1.bias` [2]; "), "{error}");
    assert!(error.contains("unexpected `module.word_embedding.weight`"), "{error}");
}

#[test]
fn what_is_no_state_dict_is_refused_with_what_to_do() {
    let check = |name: &str, says: &[&str]| {
        let error = weights::read(&path(name)).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(name) && says.iter().all(|part| error.contains(part)), "{error}");
    };
    check(
        "hostile.pt",
        &["refused: it asks for `posix.system`", "nothing is executed", "model.state_dict()"],
    );
    check("module.pt", &["refused: it asks for `torch.nn.modules.linear.Linear`", "model.state_dict()"]);
    check("legacy.pt", &["refused: the format of PyTorch before 1.6", "torch.save(torch.load(FILE"]);
    check("script.pt", &["refused: a TorchScript program", "torch.jit.load(FILE).state_dict()"]);
    check("pickle.pt", &["refused: a bare pickle", "model.state_dict()"]);
}

/// The entries of one of PyTorch's files.
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

/// Whatever happens to the bytes of a file, what is still read are its own tensors: the checksums tell.
#[test]
fn thousands_of_damaged_files_are_refused_or_read_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(1);
    let (mut n_refused, mut n_read) = (0, 0);
    for name in ["protocol_2.pt", "deflated.pt", "big_endian.pt", "views.pt"] {
        let whole = std::fs::read(path(name)).unwrap();
        let expected = weights::read(&path(name)).unwrap();
        for round in 0..750 {
            let mut bytes = whole.clone();
            match round % 3 {
                0 => bytes[rng.below(whole.len())] ^= 1 << rng.below(8),
                1 => bytes.truncate(rng.below(whole.len())),
                _ => {
                    let (from, to) = (rng.below(whole.len()), rng.below(whole.len()));
                    let n = 1 + rng.below(64.min(whole.len() - from.max(to)));
                    bytes.copy_within(from..from + n, to);
                }
            }
            match read(&bytes, dir.path()) {
                Ok(tensors) => {
                    assert_same(name, &tensors, &expected);
                    n_read += 1;
                }
                Err(_) => n_refused += 1,
            }
        }
    }
    assert!(n_refused > 2000 && n_read > 50, "{n_refused} refused, {n_read} read");
}

/// The checksums are right, the pickle is not: an error or tensors within their storages, never a panic.
#[test]
fn thousands_of_damaged_pickles_are_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(2);
    let (mut n_refused, mut n_read) = (0, 0);
    for name in ["protocol_2.pt", "protocol_5.pt", "views.pt", "normed.pt"] {
        let entries = entries(name);
        let (_, pickle) = entries.iter().find(|(name, _)| name == "data.pkl").unwrap();
        for _ in 0..750 {
            let mut changed = pickle.clone();
            for _ in 0..1 + rng.below(2) {
                let place = rng.below(changed.len());
                match rng.below(3) {
                    0 => changed[place] = rng.below(256) as u8,
                    1 => drop(changed.remove(place)),
                    _ => changed.insert(place, changed[rng.below(changed.len())]),
                }
            }
            let entries: Vec<(&str, &[u8])> = entries
                .iter()
                .map(|(name, bytes)| (name.as_str(), if name == "data.pkl" { &changed } else { &bytes[..] }))
                .collect();
            match read(&archive(&entries, CompressionMethod::Stored), dir.path()) {
                Ok(_) => n_read += 1,
                Err(_) => n_refused += 1,
            }
        }
    }
    assert!(n_refused > 1000 && n_read > 50, "{n_refused} refused, {n_read} read");
}

#[test]
fn an_archive_that_is_not_as_it_should_be_is_named_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let entries = entries("protocol_2.pt");
    // One entry has other bytes, or is left out.
    let check = |entry: &str, bytes: Option<&[u8]>, says: &str| {
        let others = entries.iter().filter(|(name, _)| name != entry);
        let mut changed: Vec<(&str, &[u8])> =
            others.map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        changed.extend(bytes.map(|bytes| (entry, bytes)));
        let error = read(&archive(&changed, CompressionMethod::Stored), dir.path()).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    check("data.pkl", None, "a zip archive with 0 entries `data.pkl`, where torch.save writes one");
    check("copy/data.pkl", Some(b""), "a zip archive with 2 entries `data.pkl`");
    check("data/1", None, "its entry `archive/data/1`: ");
    check("data/1", Some(&[0; 9]), "its entry `archive/data/1`: expected 8 bytes, got 9");
    check("byteorder", Some(b"middle"), "its entry `byteorder` is neither `little` nor `big`");
    check("data.pkl", Some(b"\x80\x02cos\nsystem\n."), "refused: it asks for `os.system`");
    check("data.pkl", Some(b"\x80\x02]."), "holds no state dict");
}
