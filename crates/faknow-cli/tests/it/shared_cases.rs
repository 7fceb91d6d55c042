//! Files that went wrong, in `../shared/cases/files`: each row is a command with its exit code and parts of its output.

use std::path::{Path, PathBuf};

use crate::skip;
use crate::support::Sandbox;

/// A command on a file, and what a user must see.
struct Case {
    /// Arguments; `@` is the directory of the files.
    command: &'static str,
    code: i32,
    /// Parts of standard output and standard error together.
    parts: &'static [&'static str],
}

const fn case(command: &'static str, code: i32, parts: &'static [&'static str]) -> Case {
    Case { command, code, parts }
}

const CASES: &[Case] = &[
    case("data inspect @/label-meaning/WELFake_like.csv", 0, &["real=0,fake=1", "real=1,fake=0"]),
    case("train textcnn --train @/label-meaning/WELFake_like.csv", 0, &["real=0,fake=1", "real=1,fake=0"]),
    case(
        "predict run --input @/nothing-to-read/emp.csv --text text",
        0,
        &["\"predicted_label\":null", "known_tokens"],
    ),
    case("data inspect @/encodings/e_8859_2_cz.csv", 2, &["--encoding iso-8859-2", "Šokující"]),
    case("data inspect @/encodings/e_sjis.csv", 2, &["--encoding shift_jis", "衝撃"]),
    case("train textcnn --train @/encodings/e_8859_2_cz.csv --encoding iso-8859-2", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_big5.csv --encoding big5", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_cp1251_ru.csv --encoding windows-1251", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_cp1252_de.csv --encoding windows-1252", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_euckr.csv --encoding euc-kr", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_gbk.csv --encoding gbk --language zh", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/e_sjis.csv --encoding shift_jis", 0, &["accuracy"]),
    case("train textcnn --train @/encodings/excel_unicode.tsv", 0, &["accuracy"]),
    case("data inspect @/merged-rows/merge.tsv", 0, &["4 records", "--no-quotes"]),
    case(
        "predict run --input @/predict-columns/plain.csv --text text",
        0,
        &["\"label\":\"0\"", "predicted_label"],
    ),
    case("data inspect @/inspect/col_claim_verdict.csv", 0, &["--text claim --label verdict"]),
    case(
        "data inspect @/inspect/col_tweet_text_annotation.csv",
        0,
        &["--text tweet_text --label annotation"],
    ),
    case("data inspect @/inspect/columns.json", 2, &["orient=\"records\""]),
    case("data inspect @/inspect/html404.csv", 2, &["HTML page"]),
    case("data inspect @/inspect/noheader.csv", 0, &["--text 1 --label 2", "--no-header"]),
    case("data inspect @/inspect/semicolon.csv", 0, &["--delimiter ';'"]),
    case("data inspect @/inspect/sepline.csv", 0, &["faknow train textcnn"]),
    case("data inspect @/inspect/shifted.csv", 1, &["`X1`, `X2`"]),
    case("data inspect @/inspect/t3.jsonl", 0, &["faknow train bigcn --train"]),
    case("train bigcn --trees @/sizes/huge.txt --labels @/sizes/hugel.txt", 2, &["line 2", "4000000000"]),
    case(
        "train bigcn --trees @/trees/ts.txt --labels @/trees/ls_missing.txt",
        0,
        &["3 of 60 trees have no label"],
    ),
    case("train bigcn --trees @/trees/ts.txt --labels @/trees/ls.txt --test x", 2, &["--test-ids"]),
    case("train gcn --train @/trees/ev.jsonl --split-by-event", 0, &["accuracy"]),
    case("train bigcn --trees @/trees/ts_bom.txt --labels @/trees/ls.txt", 0, &["accuracy"]),
    case("data inspect @/messages/esc.csv", 1, &["u{1b}"]),
    case("train textcnn --train @/messages/cr_only.csv", 0, &["accuracy"]),
    case("train textcnn --train @/remedies/bom_inner.csv", 0, &["accuracy"]),
    case("train textcnn --train @/remedies/bom_inner.csv --text text", 2, &["U+FEFF"]),
    case("train textcnn --train @/remedies/lab_12.csv", 0, &["real=1,fake=2"]),
    case("train textcnn --train @/remedies/lab_truefalse.csv", 0, &["real=true,fake=false"]),
    case("data inspect @/remedies/liar.tsv", 0, &["--text 3 --label 2", "--no-header", "--no-quotes"]),
    case("train textcnn --train @/remedies/nan.jsonl", 2, &["`NaN` is not JSON"]),
    case("train textcnn --train @/remedies/surrogate.jsonl", 2, &["record 5", "lone surrogate"]),
    case("train textcnn --train @/remedies/surrogate.jsonl --skip-broken 2%", 0, &["accuracy"]),
    case("train textcnn --train @/remedies/tiny2.csv", 2, &["--valid", "--test"]),
    case("train textcnn --train @/wanted/x.csv.gz", 0, &["accuracy"]),
    case("train textcnn --train @/wanted/x.csv.zst", 0, &["accuracy"]),
    case("train textcnn --train @/wanted/x.xlsx", 0, &["accuracy"]),
    case("train textcnn --train @/wanted/x.parquet", 0, &["accuracy"]),
    case("train textcnn --train @/wanted/nested.jsonl", 0, &["accuracy"]),
    case("train textcnn --train @/wanted/kaggle_train.csv --text title,text", 0, &["accuracy"]),
    case(
        "train textcnn --train real=@/wanted/fnn_politifact_real.csv,fake=@/wanted/fnn_politifact_fake.csv --text title",
        0,
        &["accuracy"],
    ),
    case(
        "train textcnn --train @/wanted/fnc.csv --text content --label type --drop-classes satire --skip-broken 20%",
        0,
        &["12 satire", "accuracy"],
    ),
    case("train textcnn --train train.csv --set text.vectors=@/wanted/v_fasttext.bin", 2, &["fastText"]),
    case("data prepare @/wanted/acl --out acl.jsonl", 0, &["12, the largest"]),
    case("data prepare @/wanted/pheme --out pheme.jsonl", 0, &["ferguson"]),
];

fn files() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let files = std::env::var_os("FAKNOW_SHARED").map_or(default, PathBuf::from).join("cases/files");
    if files.is_dir() {
        return Some(files);
    }
    skip::check("cases").unwrap();
    eprintln!(
        "SKIPPED: shared_cases needs the files that went wrong; {} is not a directory",
        files.display()
    );
    None
}

#[test]
fn files_that_went_wrong_work_or_name_the_remedy() {
    let Some(files) = files() else { return };
    let files = files.display().to_string();
    let sandbox = Sandbox::trained();
    let mut failures = Vec::new();
    for (number, Case { command, code, parts }) in CASES.iter().enumerate() {
        let command = command.replace('@', &files);
        let out = format!("case-{number}");
        let mut args: Vec<&str> = command.split_whitespace().collect();
        if args[0] == "train" {
            args.extend(["--epochs", "1", "--out", &out]);
        }
        let output = sandbox.faknow(&args);
        let text = format!("{}{}", output.stdout, output.stderr);
        let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
        let is_safe = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
        if output.code != Some(*code) || !missing.is_empty() || !is_safe {
            failures.push(format!(
                "faknow {command}\nexit code {:?}, expected {code}; missing {missing:?}; safe: {is_safe}\n{text}",
                output.code
            ));
        }
        if *code == 2 {
            output.error_line();
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}
