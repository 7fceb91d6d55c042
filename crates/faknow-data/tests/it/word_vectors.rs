//! Loading of word2vec and GloVe files.

use faknow_data::text::load_vectors;
use tch::{Kind, Tensor};

use crate::support::{Dir, vocab};

/// Returns a binary word2vec file; some writers end each vector with a line feed.
fn binary(vectors: &[(&str, [f32; 2])], line_feed: bool) -> Vec<u8> {
    let mut bytes = format!("{} 2\n", vectors.len()).into_bytes();
    for (word, values) in vectors {
        bytes.extend_from_slice(format!("{word} ").as_bytes());
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes.extend_from_slice(if line_feed { b"\n" } else { b"" });
    }
    bytes
}

#[test]
fn word_vectors_are_read_from_all_formats() {
    let dir = Dir::new();
    let vocab = vocab("cat cat cat dog dog ox");
    let expected = [("cat", [1.0, -2.0]), ("bird", [9.0, 9.0]), ("dog", [0.5, 0.25])];
    let text = "cat 1 -2.0\nbird 9 9\ndog 5e-1 .25\n";
    for (name, content) in [
        ("glove.txt", text.as_bytes().to_vec()),
        ("glove-crlf.txt", text.replace('\n', "\r\n").into_bytes()),
        ("glove-tabs.txt", text.replace(' ', "\t").into_bytes()),
        ("word2vec.txt", format!("3 2\n{}", text.replace('\n', " \n")).into_bytes()),
        ("a.bin", binary(&expected, true)),
        ("b.bin", binary(&expected, false)),
        ("twice.txt", format!("{text}cat 7 7\n<pad> 3 3\n\u{fffd} 1 1\n").into_bytes()),
        ("blanks.txt", format!("{text}. . 1 1\nat a@b.c 1 1\n").into_bytes()),
        ("bytes.txt", [text.as_bytes(), b"\xff\xfe 1 1\n"].concat()),
    ] {
        let path = dir.file(name, content);
        for dim in [None, Some(2)] {
            let vectors = load_vectors(&path, &vocab, dim, 7).unwrap();
            assert_eq!((vectors.n_found, vectors.n_missing), (2, 2), "{name}");
            assert_eq!(vectors.to_tensor().unwrap().size(), [5, 2], "{name}");
            assert_eq!(vectors.n_repeated, usize::from(name == "twice.txt"), "{name}");
            let row = |id: usize| vectors.values[2 * id..][..2].to_vec();
            assert_eq!((row(0), row(2), row(3)), (vec![0.0; 2], vec![1.0, -2.0], vec![0.5, 0.25]), "{name}");
            assert!(
                row(1) != row(4) && row(1) != row(0),
                "{name}: words without a vector have different random ones"
            );
        }
    }
}

#[test]
fn formats_are_recognized_by_content_and_may_be_compressed() {
    let dir = Dir::new();
    let vocab = vocab("cat cat dog");
    let text = b"2 2\ncat 1 2\n\xd1\x87\xd1\x82\xd0\xbe 3 4\n".to_vec();
    let gz = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let binary = binary(&[("cat", [1.0, 2.0]), ("bird", [0.5, 0.5])], false);
    for (name, content) in [
        ("text.bin", text.clone()),
        ("binary.txt", binary.clone()),
        ("text.gz", gz(&text)),
        ("binary", gz(&binary)),
        ("text.zst", zstd::encode_all(&text[..], 1).unwrap()),
        ("bom.vec", [b"\xef\xbb\xbf", &text[..]].concat()),
    ] {
        let vectors = load_vectors(dir.file(name, content), &vocab, None, 0).unwrap();
        assert_eq!(vectors.values[4..6], [1.0, 2.0], "{name}");
    }
    let check = |content: &[u8], expected: &str| {
        let message = dir.message(load_vectors(dir.file("v", content), &vocab, None, 0));
        assert!(message.contains(expected), "{message}");
    };
    check(b"PK\x03\x04....", "got a zip archive; extract it first");
    check(b"\x80\x04\x95", "got a Python pickle, which may run code");
    check(b"<!DOCTYPE html>", "got an HTML page");
    check(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run `git lfs pull`");
    check(b"some text\nof another kind\n", "line 1: expected a number, got `text`");
    check(&gz(&text)[..20], "gzip data");
    check(&[b"cat ".to_vec(), vec![b'1'; 1 << 20]].concat(), "in less than 1048576 bytes, got a longer line");
}

#[test]
fn missing_vectors_are_seeded_with_the_same_standard_deviation() {
    let dir = Dir::new();
    let words: Vec<String> = (0..2000).map(|i| format!("w{i}")).collect();
    let vocab = vocab(&words.join(" "));
    let file: String = (0..10).map(|i| format!("w{i} {} -0.5 0.5 {}\n", i % 2, 1 - i % 2)).collect();
    let path = dir.file("v.txt", file);
    let load = |seed| load_vectors(&path, &vocab, None, seed).unwrap();
    let (first, again, other) = (load(1), load(1), load(2));
    assert_eq!(first, again);
    assert_ne!(first.values, other.values);
    assert_eq!((first.n_found, first.n_missing), (10, 1991));
    let missing = (0..vocab.len() as i64)
        .filter(|&id| vocab.word(id as u32).is_some_and(|w| w == "<unk>" || w.len() > 2));
    let missing =
        first.to_tensor().unwrap().index_select(0, &Tensor::from_slice(&missing.collect::<Vec<_>>()));
    let (mean, std) = (missing.mean(Kind::Double).double_value(&[]), missing.std(true).double_value(&[]));
    // The values are -0.5, 0, 0.5 and 1 with equal frequency, with a mean of 0.25.
    let expected = (2.0 * 0.25 * 0.75_f64.powi(2) + 2.0 * 0.25 * 0.25_f64.powi(2)).sqrt();
    assert!(mean.abs() < 0.02 && (std - expected).abs() < 0.02, "{mean} {std} {expected}");
}

#[test]
fn rejects_invalid_word_vectors() {
    let dir = Dir::new();
    let vocab = vocab("cat dog");
    let check = |name: &str, content: &[u8], dim, expected: &str| {
        let path = dir.file(name, content);
        assert_eq!(dir.message(load_vectors(path, &vocab, dim, 0)), format!("{name}: {expected}"));
    };
    let no_vectors =
        "no word of the vocabulary has a vector in this file: do language, case and tokenizer match?";
    check("v.txt", b"", None, "expected a word and its values per line, got an empty file");
    check("v.txt", b"cat 1 2\ndog 1\n", None, "line 2: expected a word and 2 values, got 1 values");
    check("v.txt", b"cat 1 2\nbird 1 2 3\n", None, "line 2: expected a word and 2 values, got 3 values");
    check("v.txt", b"cat 1 2\ndog 1 x\n", None, "line 2: expected a number, got `x`");
    check("v.txt", b"cat 1 2\ndog 1 nan\n", None, "line 2: expected finite numbers, got `NaN`");
    check(
        "v.txt",
        b"cat 1 2\n\ndog 1 2\n",
        None,
        "line 2: expected a word and its values, got an empty line",
    );
    check("v.txt", b"cat 1 2\n", Some(3), "line 1: expected vectors of 3 values, got 2");
    check("v.txt", b"2 3\ncat 1 2\n", None, "line 2: expected a word and 3 values, got 2 values");
    check("v.txt", b"2 2\ncat 1 2\n", None, "expected 2 vectors, got 1: the file is truncated");
    check("v.txt", b"cat\n", None, "line 1: expected a word and 1 to 4096 values, got 0 values");
    check("v.txt", b"Cat 1 2\n", None, no_vectors);
    let good = binary(&[("cat", [1.0, 2.0]), ("dog", [1.0, 2.0])], true);
    check("v.bin", &good[..good.len() - 3], None, "expected 2 vectors, got 1: the file is truncated");
    check("v.bin", &good[..20], None, "expected 2 vectors, got 1: the file is truncated");
    check("v.bin", &good[..4], None, "expected 2 vectors, got 0: the file is truncated");
    check("v.bin", &good, Some(5), "line 1: expected vectors of 5 values, got 2");
    check(
        "v.bin",
        &binary(&[("cat", [1.0, f32::INFINITY])], false),
        None,
        "line 1: expected finite numbers, got `inf`",
    );
    check(
        "v.bin",
        b"1 99999999999\n",
        None,
        "line 1: expected a word and 1 to 4096 values, got 99999999999 values",
    );
    let endless = [&binary(&[("cat", [1.0, 2.0]), ("", [1.0, 2.0])], false)[..16], &[b'a'; 70_000]].concat();
    check("v.bin", &endless, None, "line 2: expected a word, got 65536 bytes without a space");
}
