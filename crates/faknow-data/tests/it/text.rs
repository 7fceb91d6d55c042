//! Tokenizers, stop words and vocabularies.

use std::fs;
use std::time::{Duration, Instant};

use faknow_data::text::{
    PADDING, Tokenizer, TokenizerConfig, TokenizerKind, UNKNOWN, Vocab, VocabBuilder, VocabOptions,
    stop_words,
};

use crate::support::{Dir, vocab, vocab_of};

/// Returns the settings of a tokenizer of words in texts as they are.
fn config(kind: TokenizerKind) -> TokenizerConfig {
    TokenizerConfig { kind, punctuation: false, normalize_unicode: false, ..TokenizerConfig::default() }
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
    let jieba = || TokenizerConfig { punctuation: false, ..TokenizerConfig::for_language("zh").unwrap() };
    let text = "【谣言】网友称：5G基站会传播病毒，专家辟谣！http://t.cn/RUnzfKG但仍有人相信T恤";
    let expected = [
        "谣言", "网友", "称", "5g", "基站", "会", "传播", "病毒", "专家", "辟谣", "<url>", "但", "仍",
        "有人", "相信", "t恤",
    ];
    check(jieba(), text, &expected);
    check(TokenizerConfig::for_language("zh").unwrap(), "好 吗？\n", &["好", "吗", "?"]);
    check(jieba(), " \n　，。", &[]);
    let stop_words = vec!["我".to_owned(), "的".to_owned()];
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

#[test]
fn alphanumeric_runs_match_python() {
    // The expected values are those of Python's `re.findall(r"\w+", text.lower())`.
    let runs = || TokenizerConfig { normalize_urls: false, ..config(TokenizerKind::Alphanumeric) };
    check(runs(), "can't_stop #COVID-19 3.5", &["can", "t_stop", "covid", "19", "3", "5"]);
    check(runs(), "https://t.co/aB1 ½²", &["https", "t", "co", "ab1", "½²"]);
    check(runs(), "हिन्दी", &["हिन", "दी"]); // Python returns ह, न, द
    check(runs(), "_ a __", &["_", "a", "__"]);
    check(runs(), "谣言，he said", &["谣言", "he", "said"]);
    check(TokenizerConfig { punctuation: true, ..runs() }, "a, b!?", &["a", ",", "b", "!", "?"]);
}

const KINDS: [TokenizerKind; 4] =
    [TokenizerKind::Words, TokenizerKind::Jieba, TokenizerKind::Characters, TokenizerKind::Alphanumeric];

#[test]
fn tokenizes_unusual_texts() {
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
        for (punctuation, normalize_unicode) in [(false, false), (true, false), (false, true), (true, true)] {
            let config = TokenizerConfig { punctuation, normalize_unicode, ..config(kind) };
            let tokenizer = Tokenizer::new(config).unwrap();
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
fn unicode_is_normalized_unless_a_saved_tokenizer_does_not() {
    let normalized = |kind| TokenizerConfig { normalize_unicode: true, ..config(kind) };
    let words = || normalized(TokenizerKind::Words);
    check(words(), "vi\u{200b}rus VI\u{ad}RUS ｖｉｒｕｓ vi\u{200d}rus", &["virus"; 4]);
    check(config(TokenizerKind::Words), "ｖｉｒｕｓ", &["ｖｉｒｕｓ"]);
    check(words(), "ﬁnance cafe\u{301} ３．５ http://x.org/a，b", &["finance", "café", "3.5", "<url>", "b"]);
    check(words(), "don\u{b4}t می\u{200c}خواهم", &["don", "t", "می\u{200c}خواهم"]);
    let all = TokenizerConfig { punctuation: true, ..normalized(TokenizerKind::Characters) };
    check(all, "👩\u{200d}👧！\u{b4}", &["👩\u{200d}👧", "!", "\u{301}"]);
    check(normalized(TokenizerKind::Jieba), "我们在北\u{200b}京，喝茶。", &["我们", "在", "北京", "喝茶"]);
    check(TokenizerConfig { stop_words: vec!["ＴＨＥ".into()], ..words() }, "the ﬁsh ｔｈｅ", &["fish"]);
    for kind in KINDS {
        let (on, off) = (Tokenizer::new(normalized(kind)).unwrap(), Tokenizer::new(config(kind)).unwrap());
        let ascii = "The U.S. can't wait: 3.5 %! http://x.org/a";
        assert_eq!(on.tokens(ascii), off.tokens(ascii));
    }
    assert!(TokenizerConfig::default().normalize_unicode && TokenizerConfig::default().punctuation);
    let saved: TokenizerConfig = serde_json::from_str(r#"{"kind": "words", "lowercase": true}"#).unwrap();
    assert!(!saved.normalize_unicode);
}

#[test]
fn tokenizes_a_megabyte_in_reasonable_time() {
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
            assert!(
                time < Duration::from_secs(20),
                "{kind:?}: expected at most 20 s, got {time:?} for {n} tokens of {head}…"
            );
        }
        config.max_length = Some(5);
        assert!(Tokenizer::new(config).unwrap().tokens(&texts[1]).len() == 5);
    }
}

#[test]
fn validates_and_serializes_settings() {
    let error = TokenizerConfig::for_language("de").unwrap_err().to_string();
    assert_eq!(error, "language: expected `en` or `zh`, got `de`");
    let error =
        Tokenizer::new(TokenizerConfig { max_length: Some(0), ..TokenizerConfig::default() }).unwrap_err();
    assert_eq!(error.to_string(), "tokenizer.max_length: expected at least 1, got 0");

    let config = TokenizerConfig { max_length: Some(255), ..TokenizerConfig::for_language("zh").unwrap() };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<TokenizerConfig>(&json).unwrap(), config);
    let saved = TokenizerConfig { normalize_unicode: false, ..TokenizerConfig::default() };
    assert_eq!(serde_json::from_str::<TokenizerConfig>("{}").unwrap(), saved);
    assert!(serde_json::from_str::<TokenizerConfig>(r#"{"lower": true}"#).is_err());
    assert!(serde_json::from_str::<VocabOptions>(r#"{"min_cout": 2}"#).is_err());
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
fn rejects_empty_and_invalid_vocabularies() {
    let check = |words: &str, min_count, max_size, expected: &str| {
        let error = vocab_of(words, &VocabOptions { min_count, max_size }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("", 1, None, "the vocabulary is empty: the texts contain no words");
    check("a b a", 3, None, "the vocabulary is empty: none of 2 distinct words occurs at least 3 times");
    check("a", 1, Some(2), "vocab.max_size: expected at least 3 (two ids are special), got 2");
    check("a b\nc", 1, None, "expected words that are not empty and contain no whitespace, got \"b\\nc\"");
}

#[test]
fn merged_counts_result_in_the_same_vocabulary() {
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let texts = ["one two two", "three two one", "", "four one"];
    let mut single = VocabBuilder::new();
    texts.iter().for_each(|text| single.add_text(&tokenizer, text));
    let mut merged = VocabBuilder::new();
    for text in texts.iter().rev() {
        let mut part = VocabBuilder::new();
        part.add_text(&tokenizer, text);
        merged.merge(&part);
    }
    let result = |builder: &VocabBuilder| {
        let vocab = builder.build(&VocabOptions::default()).unwrap();
        (vocab.words().map(str::to_owned).collect::<Vec<_>>(), vocab.fingerprint())
    };
    assert_eq!(result(&single), result(&merged));
    assert_eq!(single.n_words(), 4);
}

#[test]
fn vocabularies_round_trip_through_a_file() {
    let dir = Dir::new();
    let vocab = vocab("b a 中文 b e\u{301} can't <url>");
    let path = dir.file("vocab.txt", "");
    vocab.save(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "<pad>\n<unk>\nb\n<url>\na\ncan't\ne\u{301}\n中文\n");
    for content in
        [fs::read_to_string(&path).unwrap(), fs::read_to_string(&path).unwrap().replace('\n', "\r\n")]
    {
        let loaded = Vocab::load(dir.file("copy.txt", content)).unwrap();
        assert_eq!(loaded.words().collect::<Vec<_>>(), vocab.words().collect::<Vec<_>>());
        assert_eq!(loaded.fingerprint(), vocab.fingerprint());
        assert_eq!(loaded.id("中文"), vocab.id("中文"));
    }
}

#[test]
fn rejects_invalid_vocabulary_files() {
    let dir = Dir::new();
    let check = |content: &[u8], expected: &str| {
        let path = dir.file("v.txt", content);
        assert_eq!(dir.message(Vocab::load(path)), expected);
    };
    check(b"", "v.txt: expected the lines `<pad>` and `<unk>` at the start, got a shorter file");
    check(b"<pad>\n", "v.txt: expected the lines `<pad>` and `<unk>` at the start, got a shorter file");
    check(b"the\nof\n", "v.txt: line 1: expected `<pad>`, got `the`: the file is not a vocabulary");
    check(b"<pad>\nof\n", "v.txt: line 2: expected `<unk>`, got `of`: the file is not a vocabulary");
    check(b"<pad>\n<unk>\na\nb\na\n", "v.txt: line 5: duplicate word `a`, first on line 3");
    check(b"<pad>\n<unk>\n<pad>\n", "v.txt: line 3: duplicate word `<pad>`, first on line 1");
    check(b"<pad>\n<unk>\n\na\n", "v.txt: line 3: expected a word without whitespace, got ``");
    check(b"<pad>\n<unk>\na b\n", "v.txt: line 3: expected a word without whitespace, got `a b`");
    check(b"<pad>\n<unk>\n\xff\n", "v.txt: line 3: expected UTF-8 text");
    let missing = dir.0.path().join("none.txt");
    assert!(dir.message(Vocab::load(missing)).starts_with("none.txt: "));
    assert!(vocab("a").save(dir.0.path().join("no/directory")).is_err());
}

#[test]
fn reads_stop_words_from_a_file() {
    let dir = Dir::new();
    let words = stop_words::read(dir.file("s.txt", "\u{feff}the\r\n\n of \n")).unwrap();
    assert_eq!(words, ["the", "of"]);
    assert_eq!(
        dir.message(stop_words::read(dir.file("s.txt", "\n\n"))),
        "s.txt: expected one stop word per line, got none"
    );
    assert_eq!(dir.message(stop_words::read(dir.file("s.txt", b"\xff"))), "s.txt: expected UTF-8 text");
}
