//! The tools before a training: learning rate, batch size, summary; and what of it a run tells.

use serde_json::{Value, json};

use crate::support::{Bench, TINY, files, keys};

/// The options that all of them share.
const DATA: [&str; 4] = ["--train", "train.csv", "--text", "tweet"];

/// Runs a tool on `train.csv`, and asserts that it leaves nothing behind but files of these names.
fn tool(bench: &Bench, command: &str, more: &[&str], left: &[&str]) -> String {
    let before = files(&bench.path(""));
    let shown = bench.faknow(&[&[command, "textcnn"][..], &DATA, &TINY, more].concat()).ok();
    let new: Vec<String> = files(&bench.path("")).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new, left, "{command}");
    shown
}

fn json_of(shown: &str) -> Value {
    serde_json::from_str(shown.lines().last().unwrap()).unwrap()
}

#[test]
fn lr_find_tells_and_draws_how_the_loss_goes() {
    let bench = Bench::new();
    let args = ["--min", "1e-4", "--max", "1", "--steps", "40", "--out", "rates.svg"];
    let shown = tool(&bench, "lr-find", &args, &["rates.svg"]);
    for part in ["tried       1.0e-4 to ", "ended       ", "suggestion  ", "picture     rates.svg"] {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let picture = bench.read("rates.svg");
    assert!(picture.starts_with("<svg") && picture.contains("learning rate"), "{picture}");
    let json =
        |more: &[&str]| json_of(&tool(&bench, "lr-find", &[&args[..6], &["--json"], more].concat(), &[]));
    let found = json(&[]);
    assert_eq!(keys(&found), ["suggestion", "steepest", "ended", "points"]);
    assert_eq!(keys(&found["points"][0]), ["rate", "loss", "smoothed"]);
    assert_eq!(found["points"][0]["rate"], json!(1e-4));
    // The loss of a classifier of two classes that knows nothing.
    assert!((found["points"][0]["loss"].as_f64().unwrap() - std::f64::consts::LN_2).abs() < 0.2, "{found}");
    assert_eq!(json(&[]), found, "the same seed");
    assert_ne!(json(&["--seed", "1"])["points"], found["points"], "another seed");
    let suggestion = found["suggestion"].as_f64().unwrap();
    assert!(
        (1e-4..0.1).contains(&suggestion) && shown.contains(&format!("optimizer.lr={suggestion:.1e}")),
        "{shown}"
    );
}

#[test]
fn batch_size_tells_speed_and_memory_of_each_size() {
    let bench = Bench::new();
    let args = ["--min", "4", "--max", "16", "--steps", "1"];
    let shown = tool(&bench, "batch-size", &args, &[]);
    for part in
        ["batch size     samples/s  peak memory\n         4  ", "ended       ", "--set loader.batch_size="]
    {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let found = json_of(&tool(&bench, "batch-size", &[&args[..], &["--json"]].concat(), &[]));
    assert_eq!(keys(&found), ["suggestion", "ended", "trials"]);
    let sizes: Vec<u64> =
        found["trials"].as_array().unwrap().iter().map(|t| t["batch_size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [4, 8, 16][..sizes.len()]);
    assert!(sizes.contains(&found["suggestion"].as_u64().unwrap()), "{found}");
    // Of 56 training texts no batch can have more.
    let more = ["--min", "100", "--steps", "1", "--json"];
    let found = json_of(&tool(&bench, "batch-size", &more, &[]));
    assert_eq!((&found["suggestion"], &found["ended"]["reason"]), (&json!(56), &json!("largest")));
    if cfg!(target_os = "linux") {
        let little = ["--memory-limit", "0.001", "--min", "4", "--steps", "1", "--json"];
        let found = json_of(&tool(&bench, "batch-size", &little, &[]));
        assert_eq!(
            (&found["ended"]["reason"], &found["ended"]["batch_size"]),
            (&json!("memory_limit"), &json!(16))
        );
    }
}

#[test]
fn summary_shows_the_parameters_of_a_model_to_be_and_of_a_detector() {
    let bench = Bench::trained();
    let shown = tool(&bench, "summary", &[], &[]);
    // Twelve words and ten numbers of special meaning or none; three kernels of 4 filters.
    for part in ["word_embedding", "  weight", "f32", "trainable", "memory: ", "optimizer"] {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let found = json_of(&tool(&bench, "summary", &["--json"], &[]));
    assert_eq!(keys(&found), ["n_weights", "n_trainable", "memory", "parameters"]);
    let n = found["n_weights"].as_u64().unwrap();
    assert_eq!((&found["n_trainable"], &found["memory"]["weights"]), (&json!(n), &json!(4 * n)));
    assert_eq!(found["memory"]["optimizer"], json!(8 * n), "Adam keeps two tensors of each");
    let frozen = ["--json", "--set", "model.freeze_embedding=true", "--set", "optimizer.name=sgd"];
    let frozen = json_of(&tool(&bench, "summary", &frozen, &[]));
    let of_embedding = found["parameters"].as_array().unwrap().iter();
    let of_embedding =
        of_embedding.filter(|p| p["name"] == "word_embedding.weight").map(|p| p["n_weights"].as_u64());
    assert_eq!(frozen["n_trainable"].as_u64(), of_embedding.sum::<Option<u64>>().map(|words| n - words));
    assert_eq!(frozen["memory"]["optimizer"], json!(0));
    // A trained detector is one of the same parameters.
    assert_eq!(bench.faknow(&["summary", "run"]).ok(), shown);
}

#[test]
fn a_run_tells_of_its_model_and_of_where_the_time_went() {
    let bench = Bench::trained();
    let shown = bench.faknow(&["summary", "run"]).ok();
    let (log, report) = (bench.read("run/run.log"), bench.read("run/report.html"));
    assert!(report.contains(&format!("<pre>{}</pre>", shown.trim_end())), "{report}");
    assert!(report.contains("<h3>Time</h3>") && report.contains("<th>data</th>"), "{report}");
    let model = log.find("INFO model:\n").unwrap();
    let (epoch, profile) = (log.find("epoch=1/2").unwrap(), log.find("INFO time by phase:\n").unwrap());
    assert!(model < epoch && epoch < profile, "{log}");
    for part in ["    word_embedding", "    memory: ", "    data  ", "    optimizer  ", "    checkpoints  "] {
        assert!(log.contains(part), "{log}\nlacks {part}");
    }
    // A terminal has no room for the tables.
    let train = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", "other"];
    let done = bench.faknow(&[&train[..], &TINY].concat());
    assert!(!done.stderr.contains("memory: ") && !done.stderr.contains("time by phase"), "{}", done.stderr);
}

#[test]
fn what_is_wrong_is_named() {
    let bench = Bench::new();
    let check = |command: &str, more: &[&str], parts: &[&str]| {
        bench.refuses(&[&[command, "textcnn"][..], &DATA, &TINY, more].concat(), parts);
    };
    check("lr-find", &["--min", "0"], &["`min`: expected a learning rate above 0, got 0"]);
    check("lr-find", &["--min", "2", "--max", "1"], &["`max`", "above `min`, 2, got 1"]);
    check("lr-find", &["--steps", "1"], &["`steps`: expected at least 10, got 1"]);
    check("lr-find", &["--out", "no/rates.svg", "--steps", "10"], &["no/rates.svg"]);
    check("lr-find", &["--set", "optimizer.lr=-1"], &["`optimizer.lr`"]);
    check("batch-size", &["--min", "0"], &["`min`: expected at least 1, got 0"]);
    check("batch-size", &["--max", "4"], &["`max`: expected at least `min`, 8, got 4"]);
    check("batch-size", &["--memory-limit", "-1"], &["--memory-limit", "GiB above 0"]);
    check("summary", &["--set", "model.name=bert"], &["unknown model `bert`"]);
    bench.refuses(&["summary", "textcnn"], &["no training file"]);
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.refuses(&["summary", "empty"], &["empty", "not a run directory"]);
}
