//! The data of a run: splits, vocabulary, checks, guessing of files and columns.

use std::collections::BTreeSet;

use faknow::callbacks::Callbacks;
use faknow::config::DataConfig;
use faknow::data::{guess_data, guess_language};
use faknow::detector::DetectorEvaluation;
use faknow::train;

use crate::support::{Bench, csv, posts};

/// Returns the indices of the posts that a run was trained on, by their unique words.
fn training_posts(bench: &Bench, run: &str) -> BTreeSet<usize> {
    bench.words(run).iter().filter_map(|word| word.strip_prefix("only")?.parse().ok()).collect()
}

#[test]
fn split_depends_only_on_the_seed() {
    let bench = Bench::new(&posts(60));
    bench.train("a", &["seed=1"]);
    let split = training_posts(&bench, "a");
    bench.train("b", &["seed=1", "loader.batch_size=7", "optimizer.lr=0.5", "trainer.epochs=1"]);
    assert_eq!(training_posts(&bench, "b"), split);
    bench.train("c", &["seed=2"]);
    assert_ne!(training_posts(&bench, "c"), split);
}

#[test]
fn split_is_stratified_by_class() {
    let uneven: Vec<_> =
        posts(200).into_iter().filter(|(text, label)| *label == "real" || text.contains("rain")).collect();
    let n_fake = uneven.iter().filter(|(_, label)| *label == "fake").count();
    let bench = Bench::new(&uneven);
    let outcome = bench.train("run", &["data.split=[0.5, 0.25, 0.25]", "trainer.epochs=1"]);
    let support = |part: &Option<DetectorEvaluation>| part.as_ref().unwrap().report.confusion().support();
    for support in [support(&outcome.valid), support(&outcome.test)] {
        assert!((support[0] as f64 - 25.0).abs() <= 1.0, "{support:?}");
        assert!((support[1] as f64 - n_fake as f64 / 4.0).abs() <= 1.0, "{support:?} of {n_fake}");
    }
}

#[test]
fn vocabulary_has_only_words_of_the_training_part() {
    let bench = Bench::new(&posts(60));
    let outcome = bench.train("run", &[]);
    let trained = training_posts(&bench, "run");
    assert_eq!(trained.len(), 42, "0.7 of 60");
    let n_test = outcome.test.unwrap().report.confusion().support().iter().sum::<u64>();
    assert_eq!(n_test, 12);
    // Separate validation and test files do not add words either.
    let other = csv(&[("unseen words here".into(), "real"), ("others there".into(), "fake")]);
    let other = bench.write("other.csv", other);
    let config = ["data.valid", "data.test"].map(|key| format!("{key}='{}'", other.display()));
    bench.train("files", &[config[0].as_str(), config[1].as_str()]);
    assert_eq!(training_posts(&bench, "files").len(), 60);
    assert!(!bench.words("files").iter().any(|word| word == "unseen"));
}

#[test]
fn vocabulary_follows_its_settings() {
    let bench = Bench::new(&posts(40));
    let all = "data.split=[1, 0, 0]";
    let words = |run: &str, settings: &[&str]| {
        bench.train(run, &[&[all, "trainer.epochs=1"], settings].concat());
        bench.words(run)
    };
    assert_eq!(words("plain", &[]).len(), 8 + 40);
    assert_eq!(words("often", &["text.min_count=2"]).len(), 8, "words of one post occur once");
    assert_eq!(
        words("few", &["text.max_vocab=5"]).len(),
        3,
        "two token ids are for padding and unknown words"
    );
    let stop = bench.write("stop.txt", "rain\n\n  storm \n");
    let stop = format!("text.stop_words='{}'", stop.display());
    let without = words("stop", &["text.min_count=2", &stop]);
    assert!(
        without.len() == 6 && !without.iter().any(|word| word == "rain" || word == "storm"),
        "{without:?}"
    );
    let short = words("short", &["text.max_length=1"]);
    assert!(
        !short.iter().any(|word| word == "officials"),
        "texts are truncated after the first word: {short:?}"
    );
}

#[test]
fn creates_no_directory_for_invalid_data_or_settings() {
    let bench = Bench::new(&posts(20));
    let one_class = csv(&posts(20)).replace(",fake", ",real");
    let one_class = format!("data.train='{}'", bench.write("one.csv", one_class).display());
    for settings in [
        &["data.text=body"][..],
        &["data.valid='none.csv'"],
        &["trainer.monitor=speed"],
        &["early_stopping.patience=0"],
        &["schedule={ name = 'one_cycle', total_steps = 1 }"],
        &["schedule.name=plateau", "data.split=[1, 0, 0]"],
        &["text.min_count=100"],
        &["loader.drop_last=true", "loader.batch_size=100"],
        &[&one_class],
    ] {
        let config = bench.config.set_all(settings).unwrap();
        let mut is_called = false;
        let run_dir = || {
            is_called = true;
            faknow::trainer::RunDir::create(bench.path("run"))
        };
        let error = train(&config, run_dir, Callbacks::default()).unwrap_err();
        assert!(error.is_input() && !is_called, "{settings:?}: {error}");
        assert!(!bench.path("run").exists());
    }
}

#[test]
fn error_names_class_without_training_records() {
    let bench = Bench::new(&posts(20));
    let error = bench.try_train("run", &["data.classes=['real', 'fake', 'satire']"]).unwrap_err().to_string();
    assert!(error.contains("train.csv: training records: no record of class `satire` among 14"), "{error}");
}

#[test]
fn guesses_language_from_first_texts() {
    let bench = Bench::new(&posts(10));
    for (text, expected) in [
        ("Rain tomorrow, says 中国 radio", "en"),
        ("网传明天下雨 (via Weibo)，专家：不实", "zh"),
        ("123 !?", "en"),
    ] {
        let file = bench.write("train.csv", format!("text,label\n\"{text}\",real\n"));
        let data = DataConfig { train: Some(file.into()), ..DataConfig::default() };
        assert_eq!(guess_language(&data).unwrap(), expected, "{text}");
    }
}

#[test]
fn guesses_files_of_a_directory_and_their_columns() {
    let bench = Bench::new(&posts(10));
    bench.write("train.csv", "id,Tweet,label\n1,rain,hoax\n2,storm,true\n3,vote,satire\n");
    bench.write("dev.csv", "id,Tweet,label\n1,rain,hoax\n");
    bench.write("test.JSONL", "{\"Tweet\": \"rain\", \"label\": \"hoax\"}");
    bench.write("notes.txt", "");
    let data = guess_data(&bench.path("")).unwrap();
    assert_eq!((data.text, data.label), (Some("Tweet".into()), Some("label".into())));
    assert_eq!(data.classes, ["true", "satire", "hoax"], "the negative class comes first");
    assert_eq!(data.train, Some(bench.path("train.csv").into()));
    assert_eq!(
        (data.valid, data.test),
        (Some(bench.path("dev.csv").into()), Some(bench.path("test.JSONL").into()))
    );
    bench.write("train.csv", "text,label\nrain,1\nstorm,0\n");
    assert_eq!(guess_data(&bench.path("")).unwrap().classes, ["0", "1"], "numbers have no assumed meaning");
    bench.write("train.csv", "a,b\n1,2\n");
    let error = guess_data(&bench.path("")).unwrap_err().to_string();
    assert!(error.starts_with("`data.text`: ") && error.contains("the columns are `a`, `b`"), "{error}");
}

/// Returns the recognized settings of a training file.
fn recognized(
    bench: &Bench,
    content: &str,
    settings: &[&str],
) -> faknow::Result<faknow::data::RecognizedConfig> {
    bench.write("train.csv", content);
    bench.config.set_all(settings)?.recognize()
}

#[test]
fn labels_that_are_numbers_or_booleans_keep_their_names() {
    let bench = Bench::new(&posts(10));
    for (values, [first, second]) in
        [(["0", "1"], ["0", "1"]), (["2", "1"], ["1", "2"]), (["True", "False"], ["True", "False"])]
    {
        let rows: String = posts(20)
            .iter()
            .map(|(text, label)| format!("{text},{}\n", values[usize::from(*label == "fake")]))
            .collect();
        let found = recognized(&bench, &format!("text,label\n{rows}"), &[]).unwrap();
        assert_eq!(found.config.data.classes, [first, second]);
        let [notice] = &found.notices[..] else { panic!("{:?}", found.notices) };
        for command in
            [format!("--classes real={first},fake={second}"), format!("--classes real={second},fake={first}")]
        {
            assert!(notice.contains(&command), "{notice}");
        }
        // The names are saved with the run.
        bench.train("run", &["trainer.epochs=1"]);
        let config = bench.read("run/config.toml");
        assert!(config.contains(&format!("classes = [\"{first}\", \"{second}\"]")), "{config}");
        std::fs::remove_dir_all(bench.path("run")).unwrap();
    }
}

#[test]
fn given_settings_are_not_recognized() {
    let bench = Bench::new(&posts(10));
    let content = csv(&posts(20)).replace(",real", ",0").replace(",fake", ",1");
    let found = recognized(&bench, &content, &["data.classes=['real', 'fake']"]).unwrap();
    assert_eq!(found.config.data.classes, ["real", "fake"]);
    assert!(
        found.assumptions.iter().any(|line| line == "classes: 0 -> real, 1 -> fake (given, by position)"),
        "{:?}",
        found.assumptions
    );
    assert_eq!(found.notices, [""; 0]);
    let found = recognized(
        &bench,
        &content,
        &["data.classes=['real', 'fake']", "data.values={ real = ['1'], fake = ['0'] }"],
    );
    let assumptions = found.unwrap().assumptions;
    assert!(
        assumptions.iter().any(|line| line == "classes: 0 -> fake, 1 -> real (given)"),
        "{assumptions:?}"
    );
    let content = "title,content,label\n".to_owned()
        + &posts(20).iter().map(|(text, label)| format!("{text},{text},{label}\n")).collect::<String>();
    let found = recognized(&bench, &content, &["data.text=title"]).unwrap();
    assert_eq!(found.config.data.text, Some("title".into()));
    // The names are of different rank, so that the text is chosen; two texts are not.
    assert_eq!(recognized(&bench, &content, &[]).unwrap().config.data.text, Some("content".into()));
    let content = content.replace("title,content", "body,content");
    let error = recognized(&bench, &content, &[]).unwrap_err().to_string();
    assert!(error.contains("`data.text=body` or `data.text=content`"), "{error}");
}

#[test]
fn layout_is_recognized_and_saved() {
    let bench = Bench::new(&posts(10));
    let rows: String =
        posts(40).iter().enumerate().map(|(i, (text, label))| format!("{i};\"{text};{label}\n")).collect();
    bench.write("train.csv", &rows);
    let outcome = bench.train("run", &["trainer.epochs=1"]);
    let config = bench.read("run/config.toml");
    for line in [
        "text = \"2\"",
        "label = \"3\"",
        "header = false",
        "quotes = false",
        "classes = [\"real\", \"fake\"]",
    ] {
        assert!(config.contains(line), "{line} is missing in:\n{config}");
    }
    // The saved config trains the same detector.
    let again = faknow::Config::from_file(&outcome.run.join("config.toml")).unwrap();
    let again =
        train(&again, || faknow::trainer::RunDir::create(bench.path("again")), Callbacks::default()).unwrap();
    let scores = |outcome: &faknow::train::Outcome| outcome.fit.history.epochs[0].train.clone();
    assert_eq!(scores(&again), scores(&outcome));
}

#[test]
fn column_with_many_values_is_not_a_label() {
    let bench = Bench::new(&posts(10));
    let rows: String = posts(60).iter().enumerate().map(|(i, (text, _))| format!("{text},v{i}\n")).collect();
    let error = recognized(&bench, &format!("text,label\n{rows}"), &[]).unwrap_err().to_string();
    assert!(
        error.contains("column `label`: expected labels, got 60 different values in 60 records"),
        "{error}"
    );
    let error = recognized(&bench, &csv(&posts(20)).replace(",fake", ",real"), &[]).unwrap_err().to_string();
    assert!(error.contains("expected labels of at least 2 classes, got only `real`"), "{error}");
}
