//! Every error that users can solve with an option names this option.

use crate::support::{Sandbox, TINY};

/// Files, a command, and what its error message contains: the cause and the remedy.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], &'static [&'static str]);

const TRAIN: &[&str] = &["train", "textcnn", "--out", "new", "--epochs", "1", "--train"];

/// Errors of training; the command is [`TRAIN`] with these arguments.
const OF_TRAINING: &[Case] = &[
    (&[], &["trian.csv"], &["trian.csv", "did you mean `train.csv`?"]),
    (&[], &["train.tsv"], &["did you mean `train.csv`?"]),
    (&[], &["posts/train.csv"], &["the directory `posts` does not exist"]),
    (&[], &["."], &["expected a file, got a directory", "`./train.csv`"]),
    (&[("x.xyz", "a")], &["x.xyz"], &["unknown file extension", "`--format"]),
    (
        &[("nan.jsonl", "{\"text\": \"a\", \"label\": 0, \"score\": }\n")],
        &["nan.jsonl"],
        &["record 1", "line 1, column 36", "expected value, got `}`"],
    ),
    (
        &[("pandas.jsonl", "{\"text\": \"a\", \"label\": 0, \"score\": NaN}\n")],
        &["pandas.jsonl"],
        &["record 1", "`NaN` is not JSON", "json.dump", "to_json", "--skip-broken"],
    ),
    (
        &[("python.jsonl", "{'text': 'a', 'label': None}\n")],
        &["python.jsonl"],
        &["single quotes are not JSON", "`json.dump`"],
    ),
    (
        &[("half.jsonl", "{\"text\": \"lone \\ud83d tweet\", \"label\": \"real\"}\n")],
        &["half.jsonl"],
        &["record 1", "lone surrogate `\\ud83d`", "half of an emoji"],
    ),
    (
        &[("bom.csv", "id,\u{feff}text,label\u{200b}\n1,a,real\n2,b,fake\n")],
        &["bom.csv", "--text", "text", "--label", "labels"],
        &["`label\\u{200b}`"],
    ),
    (
        &[("tiny.csv", "text,label\na b c,real\nd e f,fake\n")],
        &["tiny.csv"],
        &["`data.split`", "at least one validation record", "10 % of 2 records", "--valid", "--test"],
    ),
    (
        &[("quote.csv", "text,label\n\"a,real\nb,fake\n")],
        &["quote.csv", "--set", "data.quotes=true"],
        &["unclosed quote", "`--no-quotes`"],
    ),
    (&[("head.csv", "text,label\n")], &["head.csv"], &["after the header", "`--no-header`"]),
    (
        &[("labels.csv", "text,label\na,yes\nb,no\n")],
        &["labels.csv", "--classes", "real,fake"],
        &["`yes`", "`--classes A,B`"],
    ),
    (&[], &["train.csv", "--text", "body"], &["no such column `body`", "`--text COLUMN`"]),
    (&[], &["train.csv", "--text", "tweet", "--set", "optimizer.name=adamm"], &["did you mean `adam`?"]),
    (&[], &["train.csv", "--text", "tweet", "--device", "gpu"], &["`--device`", "did you mean `cuda`?"]),
    (
        &[],
        &["train.csv", "--text", "tweet", "--language", "english"],
        &["`--language`", "did you mean `en`?"],
    ),
    (&[], &["train.csv", "--text", "tweet", "--format", "ndjsn"], &["`--format`", "expected", "json"]),
    (
        &[],
        &["train.csv", "--text", "tweet", "--set", "optimizer.lr=1e30"],
        &["loss is", "--set optimizer.lr="],
    ),
    (
        &[],
        &["train.csv", "--text", "tweet", "--set", "loader.batch_size=500", "--set", "loader.drop_last=true"],
        &["500", "--set loader.drop_last=false"],
    ),
];

/// Errors of other commands, which have a trained detector in `run`.
const OTHERS: &[Case] = &[
    (&[], &["train", "posts.csv"], &["unknown model `posts.csv`", "did you mean `--train posts.csv`?"]),
    (&[], &["train", "BERT", "--train", "train.csv"], &["unknown model `BERT`", "textcnn, ", "trustrd"]),
    (&[], &["models", "text-cn"], &["did you mean `textcnn`?"]),
    (&[], &["predict", "run", "--input", "tset.csv"], &["did you mean `test.csv`?"]),
    (
        &[],
        &["predict", "run", "test.csv"],
        &["unexpected argument `test.csv` of `faknow predict`", "did you mean `--input test.csv`?"],
    ),
    (
        &[],
        &["predict", "run", "--input", "test.csv", "--epochs", "3"],
        &["`--epochs`", "an option of `faknow train`"],
    ),
    (&[], &["predict", "run", "--input", "test.csv", "--text", "body"], &["`body`", "`--text COLUMN`"]),
    (&[], &["train", "--lr", "0.01"], &["`--lr`", "did you mean `--set optimizer.lr=0.01`?"]),
    (&[], &["fit", "--lr", "0.01"], &["`fit`", "did you mean `faknow train`?"]),
    (
        &[],
        &["train", "--train", "train.csv", "--text", "tweet", "--out", "run"],
        &["`faknow resume run`", "`--out`"],
    ),
];

#[test]
fn errors_name_the_cause_and_the_option_that_helps() {
    let sandbox = Sandbox::trained();
    let training =
        OF_TRAINING.iter().map(|(files, args, parts)| (files, [TRAIN, args, &TINY].concat(), parts));
    let others = OTHERS.iter().map(|(files, args, parts)| (files, args.to_vec(), parts));
    for (files, args, parts) in training.chain(others) {
        files.iter().for_each(|(name, content)| sandbox.write(name, content));
        let output = sandbox.faknow(&args);
        let line = output.error_line();
        let missing: Vec<_> = parts.iter().filter(|part| !line.contains(**part)).collect();
        assert!(missing.is_empty(), "{args:?}\n{line}\nlacks {missing:?}");
        let _ = std::fs::remove_dir_all(sandbox.path("new"));
    }
}

#[test]
fn names_are_accepted_in_any_case() {
    let sandbox = Sandbox::new();
    sandbox.train(&[
        "--set",
        "model.name=TextCNN",
        "--device",
        "CPU",
        "--language",
        "EN",
        "--format",
        "CSV",
        "--out",
        "a",
    ]);
    assert!(sandbox.read("a/config.toml").contains("name = \"textcnn\""));
    assert_eq!(sandbox.faknow(&["models", "Bi-GCN"]).ok(), sandbox.faknow(&["models", "bigcn"]).ok());
}
