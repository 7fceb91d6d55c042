//! Files that cannot be used: one clear line with the file, the record, the field and what is accepted.

use std::fs;

use crate::support::{Bench, csv, jsonl, posts};

/// Training and testing refuse a file of this content.
fn check(bench: &Bench, name: &str, content: impl AsRef<[u8]>, parts: &[&str]) {
    bench.write(name, content);
    let parts = &[&[name], parts].concat();
    bench.train_refuses(&["--train", name], parts);
    bench.refuses(&["test", "run", "--data", name], parts);
}

#[test]
fn empty_files() {
    let bench = Bench::trained();
    check(&bench, "empty.csv", "", &["the file is empty"]);
    check(&bench, "empty.json", "", &["the file is empty"]);
    check(&bench, "blank.jsonl", "\n\n", &["empty"]);
    check(&bench, "none.json", "[]", &["the JSON array is empty"]);
    check(&bench, "header.csv", "id,tweet,label\n", &["expected records after the header"]);
    for name in ["empty.csv", "header.csv"] {
        bench.train_refuses(&["--valid", name], &[name]);
        bench.train_refuses(&["--valid", "valid.csv", "--test", name], &[name]);
        bench.refuses(&["predict", "run", "--input", name], &[name]);
        bench.refuses(&["data", "inspect", name], &[name]);
    }
    bench.faknow_reading(&["predict", "run", "--input", "-"], "").refused(&["standard input", "empty"]);
}

#[test]
fn missing_files() {
    let bench = Bench::trained();
    let parts = ["none.csv", "No such file"];
    for option in ["--train", "--valid", "--test"] {
        bench.train_refuses(&[option, "none.csv"], &parts);
    }
    bench.refuses(&["test", "run", "--data", "none.csv"], &parts);
    bench.refuses(&["predict", "run", "--input", "none.csv"], &parts);
    bench.refuses(&["data", "inspect", "none.csv"], &parts);
    bench.train_refuses(&["--set", "text.stop_words=none.csv"], &parts);
    bench.train_refuses(&["--set", "text.vectors=none.csv"], &parts);
    bench.refuses(&["demo", "--data", "none"], &["none", "No such file"]);
    let output = ["predict", "run", "--input", "test.csv", "--output", "none/out.jsonl"];
    bench.refuses(&output, &["none/out.jsonl", "No such file"]);
    fs::create_dir(bench.path("directory.csv")).unwrap();
    bench.train_refuses(&["--train", "directory.csv"], &["directory.csv", "directory"]);
}

#[test]
fn columns_and_endings_that_are_not_there() {
    let bench = Bench::trained();
    check(
        &bench,
        "other.csv",
        "id,Tweet,label\n1,rain,real\n",
        &["no such column `tweet`", "did you mean `Tweet`"],
    );
    check(
        &bench,
        "other.jsonl",
        "{\"text\": \"rain\", \"label\": 1}\n",
        &["no such column `tweet`", "`text`, `label`"],
    );
    bench.train_refuses(
        &["--label", "verdict"],
        &["train.csv", "no such column `verdict`", "`id`, `tweet`, `label`"],
    );
    bench.train_refuses(&["--set", "data.domain=topic"], &["train.csv", "no such column `topic`"]);
    bench.refuses(
        &["predict", "run", "--input", "test.csv", "--text", "body"],
        &["test.csv", "`body`", "`tweet`"],
    );
    bench.refuses(&["data", "inspect", "test.csv", "--text", "body"], &["test.csv", "`body`", "`tweet`"]);
    check(&bench, "posts.xlsx", "PK", &["`.xlsx`", ".jsonl", ".csv"]);
}

#[test]
fn labels_that_mean_no_class() {
    let bench = Bench::trained();
    let unknown = csv(10, 1) + "10,rain,hoax\n";
    check(
        &bench,
        "hoax.csv",
        unknown,
        &["record 11", "field `label`", "unknown label `hoax`", "`real`, `fake`"],
    );
    check(&bench, "number.csv", csv(10, 1) + "10,rain,2\n", &["record 11", "unknown label `2`", "0 to 1"]);
    check(&bench, "blank.csv", csv(10, 1) + "10,rain,\n", &["record 11", "field `label`"]);
}

#[test]
fn a_class_without_a_training_record() {
    let bench = Bench::new();
    let one = csv(40, 1).replace(",fake", ",real");
    bench.write("one.csv", &one);
    let parts = ["one.csv", "training", "no record of class `fake`"];
    bench.train_refuses(&["--train", "one.csv"], &parts);
    bench.train_refuses(&["--train", "one.csv", "--valid", "valid.csv"], &parts);
    let classes = ["--classes", "real,fake,unsure,satire"];
    bench.train_refuses(&classes, &["train.csv", "no records of classes `unsure`, `satire`"]);
    // A validation part may lack a class; that training ends well is all there is to ask.
    bench.train(&["--valid", "one.csv", "--out", "run"]);
}

#[test]
fn broken_records_are_named_by_their_number() {
    let bench = Bench::trained();
    let lines = jsonl(&posts(1_000, 1)).replace("\"text\"", "\"tweet\"");
    let broken = lines.clone() + "{\"tweet\": \"rain\", \"label\" 1}\n" + &lines;
    check(&bench, "broken.jsonl", broken, &["record 1001", "invalid JSON at line 1001, column"]);
    let array = format!("[{}", lines.trim_end().replace('\n', ",\n"));
    check(&bench, "truncated.json", array + ",\n{\"tweet\": \"ra", &["record 1001", "truncated"]);
    check(
        &bench,
        "null.jsonl",
        lines.clone() + "{\"tweet\": null, \"label\": 1}\n",
        &["record 1001", "`tweet`", "null"],
    );
    check(&bench, "fields.csv", csv(1_000, 1) + "a,b\n", &["record 1001", "expected 3 fields", "got 2"]);
    check(&bench, "quote.csv", csv(3, 1) + "3,\"rain,real\n", &["record 4", "quote"]);
}

#[test]
fn other_encodings() {
    let bench = Bench::trained();
    check(&bench, "latin.csv", b"id,tweet,label\n1,caf\xe9,real\n", &["not UTF-8", "byte 20", "iconv"]);
    let utf16: Vec<u8> = "\u{feff}id,tweet,label\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&bench, "wide.csv", utf16, &["UTF-16"]);
    let later = [csv(500, 1).as_bytes(), b"500,\xb0\xa1\xb0\xa2,real\n"].concat();
    check(&bench, "gbk.csv", later, &["not UTF-8", "line 502"]);
}

#[test]
fn nothing_to_train_on() {
    let bench = Bench::new();
    let all = ["--set", "loader.batch_size=1000", "--set", "loader.drop_last=true"];
    bench.train_refuses(&all, &["train.csv", "expected at least 1000 samples", "drop_last", "got 56"]);
    bench.train_refuses(
        &["--set", "text.min_count=1000"],
        &["train.csv", "vocabulary is empty", "1000 times"],
    );
    bench.write("two.csv", "id,tweet,label\n1,rain,real\n2,storm,fake\n");
    bench.train(&["--train", "two.csv", "--text", "tweet", "--out", "run"]);
}

#[test]
fn word_vectors_that_do_not_fit() {
    let bench = Bench::new();
    let check = |content: &str, parts: &[&str]| {
        bench.write("words.vec", content);
        bench.train_refuses(&["--set", "text.vectors=words.vec"], &[&["words.vec"], parts].concat());
    };
    check("", &["expected a word and its values"]);
    check("rain 1 2\nstorm 1\n", &["line 2", "expected a word and 2 values"]);
    check("rain 1 x\n", &["line 1", "expected a number, got `x`"]);
    check("snow 1 2\n", &["no word of the vocabulary"]);
    check("5 2\nrain 1 2\n", &["expected 5 vectors, got 1", "truncated"]);
}

#[test]
fn dirs_that_are_no_run() {
    let bench = Bench::trained();
    let both = |run: &str, parts: &[&str]| {
        bench.refuses(&["test", run, "--data", "test.csv"], parts);
        bench.refuses(&["predict", run, "--input", "test.csv"], parts);
    };
    both("none", &["none", "not a run directory", "no such directory"]);
    both("test.csv", &["test.csv", "not a run directory"]);
    both(".", &["not a run directory", "`config.toml` is not there"]);
    both("run/checkpoints", &["not a run directory", "`config.toml`"]);
    for device in ["tpu", "cuda:99"] {
        bench
            .refuses(&["predict", "run", "--input", "test.csv", "--device", device], &["`--device`", device]);
    }
}

#[test]
fn run_dirs_that_are_damaged() {
    let bench = Bench::trained();
    let damage = |name: &str, content: Option<&[u8]>, parts: &[&str]| {
        let path = bench.path("run").join(name);
        let before = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        bench.refuses(&["predict", "run", "--input", "test.csv"], &[&["run"], parts].concat());
        fs::write(&path, before).unwrap();
    };
    let weights = "checkpoints/best/model.safetensors";
    let whole = fs::read(bench.path("run").join(weights)).unwrap();
    damage(weights, Some(b""), &[weights]);
    damage(weights, Some(b"no weights at all"), &[weights]);
    damage(weights, Some(&whole[..whole.len() / 2]), &[weights]);
    damage("vocab.txt", Some(b""), &["vocab.txt"]);
    damage("vocab.txt", Some(b"rain\n"), &["vocab.txt"]);
    damage("vocab.txt", None, &["not a run directory", "`vocab.txt` is not there"]);
    damage("classes.json", Some(b"[\"real\"]"), &["classes.json", "corrupted"]);
    damage("classes.json", Some(b"[\"a\", \"b\", \"c\"]"), &[weights, "do not fit", "classifier"]);
    damage("tokenizer.json", Some(b"{"), &["tokenizer.json", "corrupted"]);
    damage("config.toml", Some(b"[model]\nname = 'bert'\n"), &["`model.name`", "bert"]);
    damage("config.toml", Some(b"[model"), &["config.toml", "line 1"]);
    bench.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    fs::remove_dir_all(bench.path("run/checkpoints")).unwrap();
    bench.refuses(&["predict", "run", "--input", "test.csv"], &["not a run directory", "no weights"]);
}

#[test]
fn a_vocabulary_of_another_run_is_refused() {
    let bench = Bench::trained();
    let words = bench.read("run/vocab.txt");
    let fewer: Vec<&str> = words.lines().collect();
    bench.write("run/vocab.txt", fewer[..fewer.len() - 1].join("\n") + "\n");
    let parts = ["do not fit", "word_embedding"];
    bench.refuses(&["predict", "run", "--input", "test.csv"], &parts);
}
