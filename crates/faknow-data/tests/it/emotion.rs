//! Emotion lexicons and the features computed from them.

use faknow_data::emotion::{EmotionExtractor, EmotionLexicons, LEXICON_FILES};
use faknow_data::text::TokenizerConfig;

use crate::support::Dir;

/// Writes and reads a made-up lexicon.
fn lexicons(dir: &Dir) -> EmotionLexicons {
    dir.file("categories.tsv", "# a comment\nterrible\tfear\t4\nterrible\tanger\nheart warming\tjoy\t2\n");
    dir.file("sentiment.tsv", "good\t1.5\nbad\t-2\n");
    dir.file("negations.tsv", "not\nnever ever\t3\n");
    dir.file("degrees.tsv", "very\t2\nslightly\t0.5\t1\n");
    dir.file("emoticons.tsv", ":)\thappy\n:))\thappy\n😡\tangry\n");
    dir.file("pronouns.tsv", "i\tfirst\nyou\tsecond\n");
    let (lexicons, missing) = EmotionLexicons::read(dir.0.path()).unwrap();
    assert_eq!(missing, [""; 0]);
    lexicons
}

fn extractor(lexicons: &EmotionLexicons) -> EmotionExtractor {
    EmotionExtractor::new(lexicons, &TokenizerConfig::default()).unwrap()
}

#[test]
fn features_of_a_text_follow_the_lexicons() {
    let dir = Dir::new();
    let extractor = extractor(&lexicons(&dir));
    let names = extractor.names();
    let check = |text: &str, expected: &[(&str, f64)]| {
        let features = extractor.features(text);
        assert_eq!(features.len(), names.len());
        for (name, value) in names.iter().zip(&features) {
            let expected = expected.iter().find(|(other, _)| other == name).map_or(0.0, |(_, value)| *value);
            assert!((value - expected).abs() < 1e-12, "{text}: {name}: {value}, expected {expected}");
        }
    };
    check("terrible", &[("emotion fear", 4.0), ("emotion anger", 1.0)]);
    // Case of words does not matter to the lexicons; phrases have several tokens.
    let upper = ("uppercase letters", 1.0 / 12.0);
    check("Heart warming", &[("emotion joy", 1.0), upper]);
    check("a heart", &[]);
    // Modifiers multiply, within their scopes of 2 tokens, or as given.
    check("very bad", &[("sentiment", -2.0), ("negative words", 0.5), ("degree adverbs", 0.5)]);
    check(
        "not a very bad",
        &[("sentiment", -1.0), ("negative words", 0.25), ("degree adverbs", 0.25), ("negations", 0.25)],
    );
    check("not good", &[("sentiment", -0.75), ("negative words", 0.5), ("negations", 0.5)]);
    check(
        "slightly a good",
        &[("sentiment", 0.5), ("positive words", 1.0 / 3.0), ("degree adverbs", 1.0 / 3.0)],
    );
    let never = [("sentiment", -0.3), ("negative words", 0.2), ("negations", 0.2)];
    check("never ever a b good", &never);
    // The longest emoticon counts, also next to words; ")" is punctuation.
    check(
        "i :)) 😡",
        &[
            ("emoticons happy", 1.0),
            ("emoticons angry", 1.0),
            ("pronouns first", 1.0),
            ("other punctuation", 0.6),
        ],
    );
    check(
        "what?! 1...",
        &[
            ("question marks", 0.1),
            ("exclamation marks", 0.1),
            ("digits", 0.1),
            ("ellipses", 0.2),
            ("other punctuation", 0.1),
        ],
    );
    for empty in ["", " \n"] {
        check(empty, &[]);
    }
}

#[test]
fn dual_emotion_compares_a_post_with_its_comments() {
    let dir = Dir::new();
    let extractor = extractor(&lexicons(&dir));
    let index = extractor.names().iter().position(|name| name == "sentiment").unwrap();
    let dual = extractor.extract("good", &["bad", "good", "fine"]);
    let n = extractor.names().len();
    let (mean, max) = (dual.comments_mean[index], dual.comments_max[index]);
    assert_eq!((dual.publisher[index], mean, max), (1.5, -0.5 / 3.0, 1.5));
    assert_eq!((dual.gap()[index], dual.gap()[n + index]), (1.5 + 0.5 / 3.0, 0.0));
    assert_eq!(dual.to_vec(), [dual.publisher.clone(), dual.social(), dual.gap()].concat());
    let alone = extractor.extract("good", &[""; 0]);
    assert_eq!(alone.social(), vec![0.0; 2 * n]);
    assert_eq!(alone.gap(), [alone.publisher.clone(), alone.publisher.clone()].concat());
}

#[test]
fn missing_files_give_no_features_and_invalid_lines_are_named() {
    let dir = Dir::new();
    let none = dir.message(EmotionLexicons::read(dir.0.path()));
    assert!(none.contains("expected a directory with emotion lexicons (`categories.tsv`, "), "{none}");
    dir.file("sentiment.tsv", "good\t1\n");
    let (lexicons, missing) = EmotionLexicons::read(dir.0.path()).unwrap();
    let others: Vec<&str> =
        LEXICON_FILES.iter().map(|file| file.name).filter(|it| *it != "sentiment.tsv").collect();
    assert_eq!(missing, others);
    assert_eq!(extractor(&lexicons).names().len(), 11);
    let check = |content: &str, expected: &str| {
        dir.file("sentiment.tsv", content);
        assert_eq!(dir.message(EmotionLexicons::read(dir.0.path())), format!("sentiment.tsv: {expected}"));
    };
    check("good\t1\nbad\n", "line 2: expected 2 values separated by tabs, got `bad`");
    check("\ngood\tx\n", "line 2: expected a number as value 2, got `x`");
    check("good\tinf\n", "line 1: expected a number as value 2, got `inf`");
    dir.file("sentiment.tsv", "");
    dir.file("negations.tsv", "not\t0\n");
    let scope = dir.message(EmotionLexicons::read(dir.0.path()));
    assert_eq!(
        scope,
        "negations.tsv: line 1: expected a number of tokens of at least 1 as the scope, got `0`"
    );
}
