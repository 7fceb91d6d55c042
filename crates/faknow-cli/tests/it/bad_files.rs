//! Invalid files: one error line with file, record, field and expected content.

use std::fs;

use crate::support::{Sandbox, csv, jsonl, posts};

/// Asserts that training and testing report an error for a file with this content.
fn check(sandbox: &Sandbox, name: &str, content: impl AsRef<[u8]>, parts: &[&str]) {
    sandbox.write(name, content);
    let parts = &[&[name], parts].concat();
    sandbox.check_train_error(&["--train", name, "--classes", "real,fake"], parts);
    sandbox.check_error(&["test", "run", "--data", name], parts);
}

#[test]
fn rejects_empty_files() {
    let sandbox = Sandbox::trained();
    check(&sandbox, "empty.csv", "", &["the file is empty"]);
    check(&sandbox, "empty.json", "", &["the file is empty"]);
    check(&sandbox, "blank.jsonl", "\n\n", &["empty"]);
    check(&sandbox, "none.json", "[]", &["the JSON array is empty"]);
    check(&sandbox, "header.csv", "id,tweet,label\n", &["expected records after the header, got none"]);
    for name in ["empty.csv", "header.csv"] {
        sandbox.check_train_error(&["--valid", name], &[name]);
        sandbox.check_train_error(&["--valid", "valid.csv", "--test", name], &[name]);
        sandbox.check_error(&["predict", "run", "--input", name], &[name]);
        sandbox.check_error(&["data", "inspect", name], &[name]);
    }
    sandbox
        .faknow_with_stdin(&["predict", "run", "--input", "-"], "")
        .assert_error(&["standard input", "empty"]);
}

#[test]
fn rejects_missing_files() {
    let sandbox = Sandbox::trained();
    let parts = ["none.csv", "No such file"];
    for option in ["--train", "--valid", "--test"] {
        sandbox.check_train_error(&[option, "none.csv"], &parts);
    }
    sandbox.check_error(&["test", "run", "--data", "none.csv"], &parts);
    sandbox.check_error(&["predict", "run", "--input", "none.csv"], &parts);
    sandbox.check_error(&["data", "inspect", "none.csv"], &parts);
    sandbox.check_train_error(&["--set", "text.stop_words=none.csv"], &parts);
    sandbox.check_train_error(&["--set", "text.vectors=none.csv"], &parts);
    sandbox.check_error(&["demo", "--data", "none"], &["none", "No such file"]);
    let output = ["predict", "run", "--input", "test.csv", "--output", "none/out.jsonl"];
    sandbox.check_error(&output, &["`--output`", "the directory `none` does not exist"]);
    fs::create_dir(sandbox.path("directory.csv")).unwrap();
    sandbox.check_train_error(&["--train", "directory.csv"], &["directory.csv", "directory"]);
}

#[test]
fn rejects_unknown_columns_and_extensions() {
    let sandbox = Sandbox::trained();
    check(
        &sandbox,
        "other.csv",
        "id,Tweet,label\n1,rain,real\n",
        &["no such column `tweet`", "did you mean `Tweet`"],
    );
    check(
        &sandbox,
        "other.jsonl",
        "{\"text\": \"rain\", \"label\": 1}\n",
        &["no such column `tweet`", "`text`, `label`"],
    );
    sandbox.check_train_error(
        &["--label", "verdict"],
        &["train.csv", "no such column `verdict`", "`id`, `tweet`, `label`", "`--label COLUMN`"],
    );
    sandbox.check_train_error(&["--set", "data.domain=topic"], &["train.csv", "no such column `topic`"]);
    sandbox.check_error(
        &["predict", "run", "--input", "test.csv", "--text", "body"],
        &["test.csv", "`body`", "`tweet`", "`--text COLUMN`"],
    );
    sandbox
        .check_error(&["data", "inspect", "test.csv", "--text", "body"], &["test.csv", "`body`", "`tweet`"]);
    sandbox.check_error(
        &["predict", "run", "--input", "other.csv"],
        &["no such column `tweet`", "the column is that of the training", "`--text COLUMN`"],
    );
    check(&sandbox, "posts.xlsx", "PK", &["posts.xlsx"]);
}

#[test]
fn rejects_unknown_labels() {
    let sandbox = Sandbox::trained();
    let unknown = csv(10, 1) + "10,rain,hoax\n";
    check(
        &sandbox,
        "hoax.csv",
        unknown,
        &["record 11", "field `label`", "unknown label `hoax`", "`real`, `fake`"],
    );
    sandbox.check_train_error(
        &["--train", "hoax.csv", "--classes", "real,fake"],
        &["name the classes with `--classes A,B`"],
    );
    let recognized =
        sandbox.faknow(&["train", "--train", "hoax.csv", "--out", "recognized", "--epochs", "1"]);
    assert!(recognized.stderr.contains("fewer than 3 records are classes too: `hoax` (1)"), "{recognized:?}");
    check(&sandbox, "number.csv", csv(10, 1) + "10,rain,2\n", &["record 11", "unknown label `2`", "0 to 1"]);
    check(&sandbox, "blank.csv", csv(10, 1) + "10,rain,\n", &["record 11", "field `label`"]);
}

#[test]
fn rejects_classes_without_training_records() {
    let sandbox = Sandbox::new();
    let one = csv(40, 1).replace(",fake", ",real");
    sandbox.write("one.csv", &one);
    let parts = ["one.csv", "training", "no record of class `fake`"];
    let given = ["--train", "one.csv", "--classes", "real,fake"];
    sandbox.check_train_error(&given, &parts);
    sandbox.check_train_error(&[&given[..], &["--valid", "valid.csv"]].concat(), &parts);
    sandbox.check_train_error(&["--train", "one.csv"], &["one.csv", "at least 2 classes, got only `real`"]);
    let classes = ["--classes", "real,fake,unsure,satire"];
    sandbox.check_train_error(&classes, &["train.csv", "no records of classes `unsure`, `satire`"]);
    // Validation data may lack a class.
    sandbox.train(&["--valid", "one.csv", "--out", "run"]);
}

#[test]
fn names_the_number_of_broken_records() {
    let sandbox = Sandbox::trained();
    let lines = jsonl(&posts(1_000, 1)).replace("\"text\"", "\"tweet\"");
    let broken = lines.clone() + "{\"tweet\": \"rain\", \"label\" 1}\n" + &lines;
    check(&sandbox, "broken.jsonl", broken, &["record 1001", "invalid JSON at line 1001, column"]);
    let array = format!("[{}", lines.trim_end().replace('\n', ",\n"));
    check(&sandbox, "truncated.json", array + ",\n{\"tweet\": \"ra", &["record 1001", "truncated"]);
    // A test counts missing texts.
    sandbox.write("null.jsonl", lines.clone() + "{\"tweet\": null, \"label\": 1}\n");
    sandbox.check_train_error(&["--train", "null.jsonl"], &["null.jsonl", "record 1001", "`tweet`", "null"]);
    check(&sandbox, "fields.csv", csv(1_000, 1) + "a,b\n", &["record 1001", "expected 3 fields", "got 2"]);
    sandbox.write("quote.csv", csv(3, 1) + "3,\"rain,real\n");
    let inspected = sandbox.faknow(&["data", "inspect", "quote.csv"]);
    assert!(
        inspected.stdout.contains("4 records") && inspected.stdout.contains("--no-quotes"),
        "{inspected:?}"
    );
}

#[test]
fn rejects_other_encodings() {
    let sandbox = Sandbox::trained();
    check(
        &sandbox,
        "latin.csv",
        b"id,tweet,label\n1,caf\xe9,real\n",
        &["got the byte 0xE9 at byte 20", "--encoding windows-1252"],
    );
    let utf16: Vec<u8> = "\u{feff}id,tweet,label\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&sandbox, "wide.csv", utf16, &["expected records after the header, got none"]);
    let later = [csv(500, 1).as_bytes(), b"500,\xb0\xa1\xb0\xa2,real\n"].concat();
    check(&sandbox, "gbk.csv", later, &["expected UTF-8", "line 502"]);
}

#[test]
fn rejects_empty_training_data() {
    let sandbox = Sandbox::new();
    let all = ["--set", "loader.batch_size=1000", "--set", "loader.drop_last=true"];
    sandbox.check_train_error(&all, &["train.csv", "at least 1000 samples", "drop_last", "got 56"]);
    sandbox.check_train_error(
        &["--set", "text.min_count=1000"],
        &["train.csv", "vocabulary is empty", "1000 times"],
    );
    sandbox.write("two.csv", "id,tweet,label\n1,rain,real\n2,storm,fake\n");
    let args = ["--train", "two.csv"];
    sandbox
        .check_train_error(&args, &["`data.split`", "validation record", "`--valid FILE`", "`--test FILE`"]);
    sandbox.train(&[
        "--train",
        "two.csv",
        "--text",
        "tweet",
        "--set",
        "data.split=[1.0,0.0,0.0]",
        "--out",
        "run",
    ]);
}

#[test]
fn rejects_invalid_word_vectors() {
    let sandbox = Sandbox::new();
    let check = |content: &str, parts: &[&str]| {
        sandbox.write("words.vec", content);
        sandbox.check_train_error(&["--set", "text.vectors=words.vec"], &[&["words.vec"], parts].concat());
    };
    check("", &["expected a word and its values"]);
    check("rain 1 2\nstorm 1\n", &["line 2", "expected a word and 2 values"]);
    check("rain 1 x\n", &["line 1", "expected a number, got `x`"]);
    check("snow 1 2\n", &["no word of the vocabulary"]);
    check("5 2\nrain 1 2\n", &["expected 5 vectors, got 1", "truncated"]);
}

#[test]
fn rejects_directories_that_are_not_runs() {
    let sandbox = Sandbox::trained();
    let both = |run: &str, parts: &[&str]| {
        sandbox.check_error(&["test", run, "--data", "test.csv"], parts);
        sandbox.check_error(&["predict", run, "--input", "test.csv"], parts);
    };
    both("test.csv", &["not a run directory", "expected a directory, got a file"]);
    both("none", &["none", "not a run directory", "no such directory"]);
    both("test.csv", &["test.csv", "not a run directory"]);
    both(".", &["not a run directory", "missing `config.toml`; did you mean `./run`?"]);
    both("run/checkpoints", &["not a run directory", "`config.toml`"]);
    for device in ["tpu", "cuda:99"] {
        sandbox.check_error(
            &["predict", "run", "--input", "test.csv", "--device", device],
            &["`--device`", device],
        );
    }
}

#[test]
fn rejects_corrupted_run_directories() {
    let sandbox = Sandbox::trained();
    let corrupt = |name: &str, content: Option<&[u8]>, parts: &[&str]| {
        let path = sandbox.path("run").join(name);
        let before = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let predict = ["predict", "run", "--input", "test.csv"];
        // The checksum is compared first; without it, as in runs of earlier versions, the content is checked.
        let checksums = sandbox.path("run/checksums.json");
        sandbox.check_error(&predict, &["run", name.rsplit('/').next().unwrap()]);
        fs::rename(&checksums, sandbox.path("checksums")).unwrap();
        sandbox.check_error(&predict, &[&["run"], parts].concat());
        fs::rename(sandbox.path("checksums"), &checksums).unwrap();
        fs::write(&path, before).unwrap();
    };
    let weights = "checkpoints/best/model.safetensors";
    let bytes = fs::read(sandbox.path("run").join(weights)).unwrap();
    corrupt(weights, Some(b""), &[weights]);
    corrupt(weights, Some(b"no weights at all"), &[weights]);
    corrupt(weights, Some(&bytes[..bytes.len() / 2]), &[weights]);
    corrupt("vocab.txt", Some(b""), &["vocab.txt"]);
    corrupt("vocab.txt", Some(b"rain\n"), &["vocab.txt"]);
    corrupt("vocab.txt", None, &["not a run directory", "missing `vocab.txt`"]);
    corrupt("classes.json", Some(b"[\"real\"]"), &["classes.json", "corrupted"]);
    corrupt(
        "classes.json",
        Some(b"[\"a\", \"b\", \"c\"]"),
        &["classes.json", "as in `config.toml`", "\"c\""],
    );
    corrupt("tokenizer.json", Some(b"{"), &["tokenizer.json", "corrupted"]);
    corrupt("config.toml", Some(b"[model]\nname = 'bert'\n"), &["`model.name`", "bert"]);
    corrupt("config.toml", Some(b"[model"), &["config.toml", "line 1"]);
    sandbox.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    fs::remove_dir_all(sandbox.path("run/checkpoints")).unwrap();
    sandbox.check_error(&["predict", "run", "--input", "test.csv"], &["not a run directory", "no weights"]);
}

#[test]
fn rejects_weights_with_a_changed_byte() {
    let sandbox = Sandbox::trained();
    let name = "run/checkpoints/best/model.safetensors";
    let intact = fs::read(sandbox.path(name)).unwrap();
    // The file may be linked to that of another checkpoint, which stays intact here.
    fs::remove_file(sandbox.path(name)).unwrap();
    let commands: [&[&str]; 5] = [
        &["predict", "run", "--input", "test.csv"],
        &["test", "run", "--data", "test.csv"],
        &["export", "run", "--out", "exported"],
        &["serve", "run", "--port", "0"],
        &["tokens", "run", "--input", "test.csv"],
    ];
    let parts = [
        name,
        "the file is corrupted: checksum: expected ",
        "copy the run directory again, or delete `run/checkpoints/best` and resume the run from `last`",
    ];
    for position in [0, intact.len() / 2, intact.len() - 1] {
        let mut bytes = intact.clone();
        bytes[position] ^= 1;
        sandbox.write(name, bytes);
        commands.iter().for_each(|command| sandbox.check_error(command, &parts));
        assert!(!sandbox.path("exported").exists());
    }
    fs::remove_dir_all(sandbox.path("run/checkpoints/best")).unwrap();
    sandbox.faknow(&["resume", "run", "--from", "last"]).ok();
    sandbox.faknow(commands[0]).ok();
}

#[test]
fn rejects_truncated_predictions() {
    let sandbox = Sandbox::new();
    sandbox.train(&["--valid", "valid.csv", "--test", "test.csv", "--out", "run"]);
    let report = ["report", "run", "--out", "report.html"];
    for name in ["run/predictions/test.csv", "run/predictions/valid.csv"] {
        let intact = sandbox.read(name);
        let line_end = intact.match_indices('\n').nth(10).unwrap().0 + 1;
        for length in [0, 1, intact.len() / 2, line_end, intact.len() - 1] {
            sandbox.write(name, &intact[..length]);
            sandbox
                .check_error(&report, &[name, "the file is corrupted: expected ", "copy the run directory"]);
            assert!(!sandbox.path("report.html").exists());
        }
        sandbox.write(name, intact.replacen("fake", "real", 1));
        sandbox.check_error(&report, &[name, "the file is corrupted: checksum: expected "]);
        sandbox.write(name, intact);
    }
    sandbox.faknow(&report).ok();
    // Earlier versions wrote no checksums.
    fs::remove_file(sandbox.path("run/checksums.json")).unwrap();
    sandbox.faknow(&report).ok();
}

#[test]
fn rejects_vocabulary_of_another_run() {
    let sandbox = Sandbox::trained();
    let words = sandbox.read("run/vocab.txt");
    let fewer: Vec<&str> = words.lines().collect();
    sandbox.write("run/vocab.txt", fewer[..fewer.len() - 1].join("\n") + "\n");
    let predict = ["predict", "run", "--input", "test.csv"];
    sandbox.check_error(&predict, &["vocab.txt: the file is corrupted: expected "]);
    fs::remove_file(sandbox.path("run/checksums.json")).unwrap();
    sandbox.check_error(&predict, &["do not fit", "word_embedding"]);
}
