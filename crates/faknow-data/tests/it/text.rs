//! Tokenizers, vocabularies, word vectors and text data sets.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use faknow_data::text::{
    PADDING, Tokenizer, TokenizerConfig, TokenizerKind, UNKNOWN, Vocab, VocabBuilder, VocabOptions,
    load_vectors, stop_words,
};
use faknow_data::{Batch, Dataset, Record, Result, TextBatch, TextDataset};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

fn config(kind: TokenizerKind) -> TokenizerConfig {
    TokenizerConfig { kind, ..TokenizerConfig::default() }
}

fn check(config: TokenizerConfig, text: &str, expected: &[&str]) {
    let tokens = Tokenizer::new(config.clone()).unwrap().tokens(text);
    assert_eq!(tokens, expected, "{text:?} with {config:?}");
    assert!(tokens.iter().all(|token| !token.is_empty() && !token.contains(char::is_whitespace)));
}

#[test]
fn words() {
    let words = || config(TokenizerKind::Words);
    check(words(), "The U.S. can't wait: 3.5 %!", &["the", "u.s", "can't", "wait", "3.5"]);
    check(words(), "#COVID-19\r\n\tÀ la ÇA", &["covid", "19", "à", "la", "ça"]);
    check(words(), "ΟΔΟΣ Ὀδυσσεύς İstanbul", &["οδος", "ὀδυσσεύς", "i̇stanbul"]);
    check(words(), "see HTTPS://t.co/aB1, @CDC", &["see", "<url>", "cdc"]);
    check(
        TokenizerConfig { normalize_mentions: true, ..words() },
        "see www.a.b @CDC!",
        &["see", "<url>", "<user>"],
    );
    check(TokenizerConfig { normalize_urls: false, ..words() }, "http://t.co/aB1", &["http", "t.co", "ab1"]);
    check(TokenizerConfig { lowercase: false, ..words() }, "NASA Moon", &["NASA", "Moon"]);
    check(
        TokenizerConfig { punctuation: true, ..words() },
        "Wow!! 👩‍🔬\u{200b} ok",
        &["wow", "!", "!", "👩‍🔬", "ok"],
    );
    let stop_words = vec!["The".to_owned(), "<url>".to_owned()];
    check(TokenizerConfig { stop_words, ..words() }, "the THE theme http://x", &["theme"]);
    check(TokenizerConfig { max_length: Some(2), ..words() }, "a b c http://x", &["a", "b"]);
    let stop_words = vec!["a".to_owned()];
    check(TokenizerConfig { max_length: Some(2), stop_words, ..words() }, "a a b a c d", &["b", "c"]);
}

#[test]
fn chinese_words() {
    let jieba = || TokenizerConfig::for_language("zh").unwrap();
    let text = "【谣言】网友称：5G基站会传播病毒，专家辟谣！http://t.cn/RUnzfKG但仍有人相信T恤";
    let expected = [
        "谣言", "网友", "称", "5g", "基站", "会", "传播", "病毒", "专家", "辟谣", "<url>", "但", "仍",
        "有人", "相信", "t恤",
    ];
    check(jieba(), text, &expected);
    check(TokenizerConfig { punctuation: true, ..jieba() }, "好 吗？\n", &["好", "吗", "？"]);
    check(jieba(), " \n　，。", &[]);
    let stop_words = stop_words::CHINESE.iter().map(|word| word.to_string()).collect();
    check(TokenizerConfig { stop_words, ..jieba() }, "我的手机", &["手机"]);
}

#[test]
fn characters() {
    let characters = || config(TokenizerKind::Characters);
    check(characters(), "Ab 中文。", &["a", "b", "中", "文"]);
    check(characters(), "e\u{301}a", &["e\u{301}", "a"]);
    let all = TokenizerConfig { punctuation: true, ..characters() };
    check(all, "👩‍🔬🇩🇪!", &["👩‍🔬", "🇩🇪", "!"]);
}

/// The expected values are those of Python's `re.findall(r"\w+", text.lower())`.
#[test]
fn alphanumeric_runs_are_those_of_python() {
    let runs = || TokenizerConfig { normalize_urls: false, ..config(TokenizerKind::Alphanumeric) };
    check(runs(), "can't_stop #COVID-19 3.5", &["can", "t_stop", "covid", "19", "3", "5"]);
    check(runs(), "https://t.co/aB1 ½²", &["https", "t", "co", "ab1", "½²"]);
    check(runs(), "谣言，he said", &["谣言", "he", "said"]);
    check(TokenizerConfig { punctuation: true, ..runs() }, "a, b!?", &["a", ",", "b", "!", "?"]);
}

const KINDS: [TokenizerKind; 4] =
    [TokenizerKind::Words, TokenizerKind::Jieba, TokenizerKind::Characters, TokenizerKind::Alphanumeric];

#[test]
fn strange_texts_are_cut_without_harm() {
    let texts = [
        "",
        "\0\u{1}\u{feff}\u{200b}",
        "👨‍👩‍👧‍👦👩🏽‍🚀🏴\u{e0067}\u{e0062}\u{e007f}",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
        "\u{202e}مرحبا بالعالم\u{202c} שלום",
        "हिन्दी ไทยภาษา 한국어 日本語カタカナ",
        "a\u{2028}b\u{85}c\u{a0}d\u{3000}e",
        "@ http:// www. @@ <pad> <unk> <url>",
        "\u{301}\u{301}",
    ];
    for kind in KINDS {
        for punctuation in [false, true] {
            let tokenizer = Tokenizer::new(TokenizerConfig { punctuation, ..config(kind) }).unwrap();
            for text in texts {
                let tokens = tokenizer.tokens(text);
                assert!(
                    tokens.iter().all(|token| !token.is_empty() && !token.contains(char::is_whitespace)),
                    "{tokens:?}"
                );
                assert!(tokens.iter().all(|token| token != "<pad>" && token != "<unk>"), "{tokens:?}");
            }
        }
    }
    let words = Tokenizer::new(config(TokenizerKind::Words)).unwrap();
    assert_eq!(words.tokens(texts[4]), ["مرحبا", "بالعالم", "שלום"]);
    assert_eq!(words.tokens("\u{feff}fake\u{200b} \u{202a}news\u{202c}\u{ad}"), ["fake", "news"]);
    assert_eq!(words.tokens(texts[6]), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_text_of_a_megabyte_is_cut_in_reasonable_time() {
    let million = |text: &str| text.repeat(1_000_000 / text.len() + 1);
    let texts = [
        million("a"),
        million("breaking news @you http://x.org/a "),
        million("病毒"),
        million("網龘"),
        million("e\u{301}"),
        million("\u{301}"),
        million("👩‍🔬"),
        million("www."),
        million("@"),
        million("ABC中"),
    ];
    for kind in KINDS {
        let mut config = TokenizerConfig { normalize_mentions: true, punctuation: true, ..config(kind) };
        for text in &texts {
            let start = Instant::now();
            let n = Tokenizer::new(config.clone()).unwrap().tokens(text).len();
            let (time, head) = (start.elapsed(), text.chars().take(9).collect::<String>());
            assert!(time < Duration::from_secs(20), "{kind:?} needs {time:?} for {n} tokens of {head}…");
            eprintln!("{kind:?} {time:?} {n} {head}");
        }
        config.max_length = Some(5);
        assert!(Tokenizer::new(config).unwrap().tokens(&texts[1]).len() == 5);
    }
}

#[test]
fn tokenizer_settings() {
    let error = TokenizerConfig::for_language("de").unwrap_err().to_string();
    assert_eq!(error, "language: expected `en` or `zh`, got `de`");
    let error =
        Tokenizer::new(TokenizerConfig { max_length: Some(0), ..TokenizerConfig::default() }).unwrap_err();
    assert_eq!(error.to_string(), "tokenizer.max_length: expected at least 1, got 0");

    let config = TokenizerConfig { max_length: Some(255), ..TokenizerConfig::for_language("zh").unwrap() };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<TokenizerConfig>(&json).unwrap(), config);
    assert_eq!(serde_json::from_str::<TokenizerConfig>("{}").unwrap(), TokenizerConfig::default());
    assert!(serde_json::from_str::<TokenizerConfig>(r#"{"lower": true}"#).is_err());
    assert!(serde_json::from_str::<VocabOptions>(r#"{"min_cout": 2}"#).is_err());
}

fn vocab(words: &str) -> Vocab {
    vocab_of(words, &VocabOptions::default()).unwrap()
}

fn vocab_of(words: &str, options: &VocabOptions) -> Result<Vocab> {
    let mut builder = VocabBuilder::new();
    words.split(' ').filter(|word| !word.is_empty()).for_each(|word| builder.add(word));
    builder.build(options)
}

#[test]
fn vocabularies_keep_the_most_frequent_words() {
    let check = |words: &str, min_count, max_size, expected: &[&str]| {
        let vocab = vocab_of(words, &VocabOptions { min_count, max_size }).unwrap();
        let words: Vec<&str> = vocab.words().skip(2).collect();
        assert_eq!(words, expected);
        assert_eq!(vocab.len(), expected.len() + 2);
        for (word, id) in expected.iter().zip(2..) {
            assert_eq!((vocab.id(word), vocab.word(id)), (id, Some(*word)));
        }
        assert_eq!((vocab.word(PADDING), vocab.word(UNKNOWN)), (Some("<pad>"), Some("<unk>")));
        assert_eq!((vocab.id("absent"), vocab.word(vocab.len() as u32)), (UNKNOWN, None));
    };
    check("c b a b c c", 1, None, &["c", "b", "a"]);
    check("b a c a b", 1, None, &["a", "b", "c"]);
    check("b a c a b", 2, None, &["a", "b"]);
    check("b a c a b", 1, Some(3), &["a"]);
    check("b a c a b", 0, Some(100), &["a", "b", "c"]);
    check("<pad> <unk> <pad> é", 1, None, &["é"]);
}

#[test]
fn impossible_vocabularies_are_refused() {
    let check = |words: &str, min_count, max_size, expected: &str| {
        let error = vocab_of(words, &VocabOptions { min_count, max_size }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("", 1, None, "the vocabulary is empty: the texts hold no word");
    check("a b a", 3, None, "the vocabulary is empty: none of 2 distinct words occurs 3 times");
    check("a", 1, Some(2), "vocab.max_size: expected at least 3 (two ids are special), got 2");
    check("a b\nc", 1, None, "a word must not be empty or hold white space, got \"b\\nc\"");
}

#[test]
fn counting_in_parts_gives_the_same_vocabulary() {
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let texts = ["one two two", "three two one", "", "four one"];
    let mut whole = VocabBuilder::new();
    texts.iter().for_each(|text| whole.add_text(&tokenizer, text));
    let mut merged = VocabBuilder::new();
    for text in texts.iter().rev() {
        let mut part = VocabBuilder::new();
        part.add_text(&tokenizer, text);
        merged.merge(&part);
    }
    let of = |builder: &VocabBuilder| {
        let vocab = builder.build(&VocabOptions::default()).unwrap();
        (vocab.words().map(str::to_owned).collect::<Vec<_>>(), vocab.fingerprint())
    };
    assert_eq!(of(&whole), of(&merged));
    assert_eq!(whole.n_words(), 4);
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What an error says, without the folder.
    fn message<T>(&self, result: Result<T>) -> String {
        let message = result.err().expect("an error").to_string();
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn vocabularies_survive_a_file() {
    let folder = Folder::new();
    let vocab = vocab("b a 中文 b e\u{301} can't <url>");
    let path = folder.file("vocab.txt", "");
    vocab.save(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "<pad>\n<unk>\nb\n<url>\na\ncan't\ne\u{301}\n中文\n");
    for content in
        [fs::read_to_string(&path).unwrap(), fs::read_to_string(&path).unwrap().replace('\n', "\r\n")]
    {
        let loaded = Vocab::load(folder.file("copy.txt", content)).unwrap();
        assert_eq!(loaded.words().collect::<Vec<_>>(), vocab.words().collect::<Vec<_>>());
        assert_eq!(loaded.fingerprint(), vocab.fingerprint());
        assert_eq!(loaded.id("中文"), vocab.id("中文"));
    }
}

#[test]
fn broken_vocabulary_files_are_refused() {
    let folder = Folder::new();
    let check = |content: &[u8], expected: &str| {
        let path = folder.file("v.txt", content);
        assert_eq!(folder.message(Vocab::load(path)), expected);
    };
    check(b"", "v.txt: expected the lines `<pad>` and `<unk>`, then words");
    check(b"<pad>\n", "v.txt: expected the lines `<pad>` and `<unk>`, then words");
    check(b"the\nof\n", "v.txt: line 1: expected `<pad>`, got `the`: this is no vocabulary");
    check(b"<pad>\nof\n", "v.txt: line 2: expected `<unk>`, got `of`: this is no vocabulary");
    check(b"<pad>\n<unk>\na\nb\na\n", "v.txt: line 5: `a` is there already, in line 3");
    check(b"<pad>\n<unk>\n<pad>\n", "v.txt: line 3: `<pad>` is there already, in line 1");
    check(b"<pad>\n<unk>\n\na\n", "v.txt: line 3: expected a word without white space, got ``");
    check(b"<pad>\n<unk>\na b\n", "v.txt: line 3: expected a word without white space, got `a b`");
    check(b"<pad>\n<unk>\n\xff\n", "v.txt: line 3: expected UTF-8 text");
    let missing = folder.0.path().join("none.txt");
    assert!(folder.message(Vocab::load(missing)).starts_with("none.txt: "));
    assert!(vocab("a").save(folder.0.path().join("no/folder")).is_err());
}

#[test]
fn stop_words_come_from_a_file() {
    let folder = Folder::new();
    let words = stop_words::read(folder.file("s.txt", "\u{feff}the\r\n\n of \n")).unwrap();
    assert_eq!(words, ["the", "of"]);
    assert_eq!(
        folder.message(stop_words::read(folder.file("s.txt", "\n\n"))),
        "s.txt: expected one stop word a line, got none"
    );
    assert_eq!(folder.message(stop_words::read(folder.file("s.txt", b"\xff"))), "s.txt: expected UTF-8 text");
    for list in [stop_words::ENGLISH, stop_words::CHINESE] {
        let distinct: std::collections::HashSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), list.len());
    }
}

/// A binary file of word2vec; some writers end each vector by a line feed.
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
    let folder = Folder::new();
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
        let path = folder.file(name, content);
        for dim in [None, Some(2)] {
            let vectors = load_vectors(&path, &vocab, dim, 7).unwrap();
            assert_eq!((vectors.found, vectors.missing), (2, 2), "{name}");
            assert_eq!((vectors.tensor.size(), vectors.tensor.kind()), (vec![5, 2], Kind::Float), "{name}");
            let row = |id: i64| Vec::<f32>::try_from(vectors.tensor.get(id)).unwrap();
            assert_eq!((row(0), row(2), row(3)), (vec![0.0; 2], vec![1.0, -2.0], vec![0.5, 0.25]), "{name}");
            assert!(row(1) != row(4) && row(1) != row(0), "{name}: words without a vector have the same one");
        }
    }
}

#[test]
fn missing_vectors_are_seeded_and_of_the_same_deviation() {
    let folder = Folder::new();
    let words: Vec<String> = (0..2000).map(|i| format!("w{i}")).collect();
    let vocab = vocab(&words.join(" "));
    let file: String = (0..10).map(|i| format!("w{i} {} -0.5 0.5 {}\n", i % 2, 1 - i % 2)).collect();
    let path = folder.file("v.txt", file);
    let load = |seed| load_vectors(&path, &vocab, None, seed).unwrap();
    let (first, again, other) = (load(1), load(1), load(2));
    assert_eq!(first.tensor, again.tensor);
    assert_ne!(first.tensor, other.tensor);
    assert_eq!((first.found, first.missing), (10, 1991));
    let missing = (0..vocab.len() as i64)
        .filter(|&id| vocab.word(id as u32).is_some_and(|w| w == "<unk>" || w.len() > 2));
    let missing = first.tensor.index_select(0, &Tensor::from_slice(&missing.collect::<Vec<_>>()));
    let (mean, deviation) =
        (missing.mean(Kind::Double).double_value(&[]), missing.std(true).double_value(&[]));
    // A quarter of the values each is -0.5, 0, 0.5 and 1, around a mean of 0.25.
    let expected = (2.0 * 0.25 * 0.75_f64.powi(2) + 2.0 * 0.25 * 0.25_f64.powi(2)).sqrt();
    assert!(mean.abs() < 0.02 && (deviation - expected).abs() < 0.02, "{mean} {deviation} {expected}");
}

#[test]
fn broken_word_vectors_are_refused() {
    let folder = Folder::new();
    let vocab = vocab("cat dog");
    let check = |name: &str, content: &[u8], dim, expected: &str| {
        let path = folder.file(name, content);
        assert_eq!(folder.message(load_vectors(path, &vocab, dim, 0)), format!("{name}: {expected}"));
    };
    let none = "no word of the vocabulary has a vector here: is it of another language, case or tokenizer?";
    check("v.txt", b"", None, "expected a word and its values on each line, got none");
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
    check("v.txt", b"2 2\ncat 1 2\n", None, "expected 2 vectors, got 1: the file is cut off");
    check("v.txt", b"cat\n", None, "line 1: expected a word and 1 to 65536 values, got 0 values");
    check("v.txt", b"Cat 1 2\n", None, none);
    let good = binary(&[("cat", [1.0, 2.0]), ("dog", [1.0, 2.0])], true);
    check("v.bin", b"cat 1 2\n", None, "expected a first line of two numbers: vectors, values of each");
    check("v.bin", &good[..good.len() - 3], None, "expected 2 vectors, got 1: the file is cut off");
    check("v.bin", &good[..20], None, "expected 2 vectors, got 1: the file is cut off");
    check("v.bin", &good[..4], None, "expected 2 vectors, got 0: the file is cut off");
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
        "line 1: expected a word and 1 to 65536 values, got 99999999999 values",
    );
    let endless = [b"1 2\n".as_slice(), &[b'a'; 70_000]].concat();
    check("v.bin", &endless, None, "line 1: expected a word, got 65536 bytes without a blank");
}

fn record(text: &str, label: Option<usize>, domain: Option<&str>) -> Record {
    Record { text: text.to_owned(), label, domain: domain.map(str::to_owned), ..Record::default() }
}

fn records(texts: &[(&str, usize)]) -> Vec<Result<Record>> {
    texts.iter().map(|&(text, label)| Ok(record(text, Some(label), None))).collect()
}

fn build(records: impl IntoIterator<Item = Result<Record>, IntoIter: Send>) -> Result<(TextDataset, Vocab)> {
    TextDataset::build(records, &Tokenizer::new(TokenizerConfig::default())?, &VocabOptions::default())
}

fn ints(tensor: &Tensor) -> Vec<i64> {
    Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn batches_are_padded_to_their_longest_text() {
    let (dataset, _) = build(records(&[("a a a", 0), ("", 1), ("a b", 0), ("a b c a", 1)])).unwrap();
    assert_eq!((dataset.n_samples(), dataset.n_tokens(), dataset.n_unknown()), (4, 9, 0));
    let check = |dataset: &TextDataset, indices: &[usize], expected: &[&[i64]]| {
        let batch = dataset.batch(indices).unwrap();
        let size = [indices.len() as i64, expected.first().map_or(1, |row| row.len() as i64)];
        assert_eq!(batch.tokens.size(), size);
        assert_eq!(ints(&batch.tokens), expected.concat());
        assert_eq!(batch.tokens.kind(), Kind::Int64);
        assert_eq!(batch.indices, indices);
        assert_eq!(batch.n_samples(), indices.len());
        let lengths: Vec<i64> = indices.iter().map(|&i| dataset.length(i) as i64).collect();
        assert_eq!(ints(&batch.lengths), lengths);
        let labels: Vec<i64> =
            indices.iter().filter_map(|&i| dataset.class(i)).map(|class| class as i64).collect();
        assert_eq!(ints(batch.labels().unwrap()), labels);
        assert!(batch.domains.is_none());
    };
    check(&dataset, &[0, 2], &[&[2, 2, 2], &[2, 3, 0]]);
    check(&dataset, &[1], &[&[0]]);
    check(&dataset, &[], &[]);
    check(&dataset, &[1, 1, 2], &[&[0, 0], &[0, 0], &[2, 3]]);
    check(&dataset.clone().with_margin(2), &[2, 1], &[&[2, 3, 0, 0], &[0, 0, 0, 0]]);
    check(&dataset.clone().with_min_length(5), &[2], &[&[2, 3, 0, 0, 0]]);
    check(&dataset.clone().with_margin(4).with_min_length(5), &[2], &[&[2, 3, 0, 0, 0, 0]]);
    assert_eq!(dataset.clone().with_min_length(0).batch(&[1]).unwrap().tokens.size(), [1, 0]);

    let subset = dataset.subset(&[3, 2]).unwrap();
    check(&subset, &[1, 0], &[&[2, 3, 0, 0], &[2, 3, 4, 2]]);
    let again = subset.subset(&[1]).unwrap();
    assert_eq!((again.n_samples(), again.tokens(0), again.class(0)), (1, &[2, 3][..], Some(0)));
    assert_eq!((again.class(1), again.tokens(1).len()), (None, 0));
    let out_of_range = "index 1 is out of range: the data set has 1 samples";
    assert_eq!(again.batch(&[0, 1]).unwrap_err().to_string(), out_of_range);
    assert_eq!(again.subset(&[1]).unwrap_err().to_string(), out_of_range);
}

#[test]
fn one_pass_gives_what_two_passes_give() {
    // More than a chunk, of very different lengths, so that parts and chunks end in all places.
    let texts: Vec<String> = (0..20_000_usize)
        .map(|i| (0..i * 7 % 23).map(|j| format!("w{} ", (i * i + j * 31) % 997)).collect())
        .collect();
    let records =
        || texts.iter().enumerate().map(|(i, text)| Ok(record(text, Some(i % 3), Some(["b", "a"][i % 2]))));
    let config =
        TokenizerConfig { max_length: Some(15), stop_words: vec!["w5".into()], ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::new(config).unwrap();
    let options = VocabOptions { min_count: 200, max_size: Some(300) };

    let (dataset, vocab) = TextDataset::build(records(), &tokenizer, &options).unwrap();
    let mut builder = VocabBuilder::new();
    texts.iter().for_each(|text| builder.add_text(&tokenizer, text));
    let expected = builder.build(&options).unwrap();
    assert_eq!(vocab.words().collect::<Vec<_>>(), expected.words().collect::<Vec<_>>());
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(dataset.tokens(i), expected.encode(&tokenizer, text), "text {i}");
        assert_eq!((dataset.class(i), dataset.domain(i)), (Some(i % 3), Some(1 - i % 2)));
    }
    assert!(dataset.n_unknown() > 0);

    let second = TextDataset::from_records(records(), &tokenizer, &vocab, dataset.domains()).unwrap();
    assert_eq!(second.fingerprint(), dataset.fingerprint());
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (third, vocab_3) =
        one_thread.install(|| TextDataset::build(records(), &tokenizer, &options)).unwrap();
    assert_eq!((third.fingerprint(), vocab_3.fingerprint()), (dataset.fingerprint(), vocab.fingerprint()));
}

#[test]
fn fingerprints_tell_data_sets_apart() {
    let all = [
        records(&[("a b", 0), ("b", 1)]),
        records(&[("a b", 0), ("b", 0)]),
        records(&[("b a", 0), ("b", 1)]),
        records(&[("b", 1), ("a b", 0)]),
        records(&[("a", 0), ("b b", 1)]),
        vec![Ok(record("a b", None, None)), Ok(record("b", None, None))],
        vec![Ok(record("a b", Some(0), Some("x"))), Ok(record("b", Some(1), None))],
        vec![Ok(record("a b", Some(0), Some("y"))), Ok(record("b", Some(1), None))],
    ];
    let n = all.len();
    let distinct: std::collections::HashSet<u64> =
        all.into_iter().map(|records| build(records).unwrap().0.fingerprint()).collect();
    assert_eq!(distinct.len(), n);
    let (dataset, _) = build(records(&[("a b", 0), ("b", 1)])).unwrap();
    assert_eq!(dataset.subset(&[0, 1]).unwrap().fingerprint(), dataset.fingerprint());
    assert_ne!(dataset.subset(&[1, 0]).unwrap().fingerprint(), dataset.fingerprint());
}

#[test]
fn domains_are_numbered_by_their_names() {
    let of = |domains: &[Option<&str>]| {
        domains.iter().map(|domain| Ok(record("a", Some(0), *domain))).collect::<Vec<Result<Record>>>()
    };
    let (dataset, vocab) = build(of(&[Some("10"), None, Some("sport"), Some("2"), Some("art")])).unwrap();
    assert_eq!(dataset.domains(), ["2", "10", "art", "sport"]);
    assert_eq!(ints(&dataset.batch(&[0, 1, 2, 3, 4]).unwrap().domains.unwrap()), [1, -1, 3, 0, 2]);

    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let other = |domains: &[String]| {
        TextDataset::from_records(of(&[Some("sport"), Some("new"), None]), &tokenizer, &vocab, domains)
            .unwrap()
    };
    let test = other(dataset.domains());
    assert_eq!(test.domains(), dataset.domains());
    assert_eq!((test.domain(0), test.domain(1), test.domain(2)), (Some(3), None, None));
    assert_eq!(ints(&test.batch(&[0, 1, 2]).unwrap().domains.unwrap()), [3, -1, -1]);
    assert!(other(&[]).batch(&[0]).unwrap().domains.is_none());
}

#[test]
fn unusable_records_are_refused() {
    let check = |records: Vec<Result<Record>>, expected: &str| {
        assert_eq!(build(records).unwrap_err().to_string(), expected);
    };
    let mixed = |first, second| vec![Ok(record("a", first, None)), Ok(record("b", second, None))];
    check(vec![], "the vocabulary is empty: the texts hold no word");
    check(records(&[("", 0), (" ?", 1)]), "the vocabulary is empty: the texts hold no word");
    check(mixed(Some(0), None), "record 2 has no label, and those before it have one");
    check(mixed(None, Some(0)), "record 2 has a label, and those before it have none");
    let mut broken = records(&[("a", 0); 9000]);
    broken[8500] = Err(faknow_data::Error::Dataset("record 8501 is broken".into()));
    check(broken, "record 8501 is broken");
}

#[test]
fn classes_are_checked() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let check = |labels: &[usize], class_names: &[&str], expected: Option<&str>| {
        let texts: Vec<(&str, usize)> = labels.iter().map(|&label| ("a", label)).collect();
        let (dataset, _) = build(records(&texts)).unwrap();
        let got = dataset.check_classes(&names(class_names)).err().map(|error| error.to_string());
        assert_eq!(got.as_deref(), expected);
    };
    check(&[0, 1, 1], &["real", "fake"], None);
    check(&[1, 1], &["real", "fake"], Some("no record of class `real` among 2"));
    check(&[1], &["a", "b", "c"], Some("no record of classes `a`, `c` among 1"));
    check(&[0, 2], &["real", "fake"], Some("class 2 occurs, but there are 2 classes (real, fake)"));
    let (unlabelled, _) = build([Ok(record("a", None, None))]).unwrap();
    assert!(!unlabelled.is_labelled() && unlabelled.batch(&[0]).unwrap().labels.is_none());
    let error = unlabelled.check_classes(&names(&["real", "fake"])).unwrap_err();
    assert_eq!(error.to_string(), "no record has a label: expected one of real, fake");
    let (dataset, _) = build(records(&[("a", 2), ("b", 0), ("c", 2)])).unwrap();
    assert_eq!(dataset.class_counts(), [1, 0, 2]);
    assert_eq!(dataset.subset(&[1]).unwrap().class_counts(), [1]);
}

#[test]
fn text_batches_of_ones_own_are_checked() {
    let tokens = || Tensor::from_slice2(&[[5_i64, 0, 2, 0], [0, 0, 0, 0]]);
    let batch = TextBatch::new(tokens(), Some(Tensor::from_slice(&[1_i64, 0]))).unwrap();
    assert_eq!(ints(&batch.lengths), [3, 0]);
    assert_eq!((batch.n_samples(), batch.indices.as_slice()), (2, &[0, 1][..]));
    let moved = batch.to_device(Device::Cpu);
    assert_eq!((moved.tokens, moved.labels, moved.indices), (batch.tokens, batch.labels, batch.indices));
    let empty = TextBatch::new(Tensor::zeros([2, 0], (Kind::Int64, Device::Cpu)), None).unwrap();
    assert_eq!(ints(&empty.lengths), [0, 0]);

    let error = TextBatch::new(Tensor::from_slice(&[1_i64]), None).unwrap_err().to_string();
    assert_eq!(error, "tokens: expected i64 [n, len], got Int64 [1]");
    let error = TextBatch::new(tokens(), Some(Tensor::from_slice(&[1_i64]))).unwrap_err().to_string();
    assert_eq!(error, "labels: expected i64 [2], got Int64 [1]");
}
