//! The commands `lr-find`, `batch-size` and `summary`, and their results in a run.

use serde_json::{Value, json};

use crate::support::{Sandbox, TINY, files, keys};

/// Options of all three commands.
const DATA: [&str; 4] = ["--train", "train.csv", "--text", "tweet"];

/// Runs a command on `train.csv`, and asserts that it creates exactly the files `expected`.
fn tool(sandbox: &Sandbox, command: &str, more: &[&str], expected: &[&str]) -> String {
    let before = files(&sandbox.path(""));
    let shown = sandbox.faknow(&[&[command, "textcnn"][..], &DATA, &TINY, more].concat()).ok();
    let new: Vec<String> =
        files(&sandbox.path("")).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new, expected, "{command}");
    shown
}

fn json_of(shown: &str) -> Value {
    serde_json::from_str(shown.lines().last().unwrap()).unwrap()
}

#[test]
fn lr_find_prints_and_plots_the_loss() {
    let sandbox = Sandbox::new();
    let args = ["--min", "1e-4", "--max", "1", "--steps", "40", "--out", "rates.svg"];
    let shown = tool(&sandbox, "lr-find", &args, &["rates.svg"]);
    for part in ["tested      1.0e-4 to ", "ended       ", "suggestion  ", "plot        rates.svg"] {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let picture = sandbox.read("rates.svg");
    assert!(picture.starts_with("<svg") && picture.contains("learning rate"), "{picture}");
    let json =
        |more: &[&str]| json_of(&tool(&sandbox, "lr-find", &[&args[..6], &["--json"], more].concat(), &[]));
    let result = json(&[]);
    assert_eq!(keys(&result), ["suggestion", "steepest", "ended", "points"]);
    assert_eq!(keys(&result["points"][0]), ["rate", "loss", "smoothed"]);
    assert_eq!(result["points"][0]["rate"], json!(1e-4));
    // The loss of an untrained classifier of two classes.
    assert!((result["points"][0]["loss"].as_f64().unwrap() - std::f64::consts::LN_2).abs() < 0.2, "{result}");
    assert_eq!(json(&[]), result, "same seed");
    assert_ne!(json(&["--seed", "1"])["points"], result["points"], "different seed");
    let suggestion = result["suggestion"].as_f64().unwrap();
    assert!(
        (1e-4..0.1).contains(&suggestion) && shown.contains(&format!("optimizer.lr={suggestion:.1e}")),
        "{shown}"
    );
}

#[test]
fn lr_find_rejects_a_model_without_learning_rate() {
    let sandbox = Sandbox::new();
    let args = [&["lr-find", "linear"][..], &DATA].concat();
    sandbox.check_error(&args, &["`model.name`", "got `linear`", "needs none", "model.c"]);
}

#[test]
fn batch_size_prints_speed_and_memory() {
    let sandbox = Sandbox::new();
    let args = ["--min", "4", "--max", "16", "--steps", "1"];
    let shown = tool(&sandbox, "batch-size", &args, &[]);
    for part in
        ["batch size     samples/s  peak memory\n         4  ", "ended       ", "--set loader.batch_size="]
    {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let result = json_of(&tool(&sandbox, "batch-size", &[&args[..], &["--json"]].concat(), &[]));
    assert_eq!(keys(&result), ["suggestion", "ended", "trials"]);
    let sizes: Vec<u64> =
        result["trials"].as_array().unwrap().iter().map(|t| t["batch_size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [4, 8, 16][..sizes.len()]);
    assert!(sizes.contains(&result["suggestion"].as_u64().unwrap()), "{result}");
    // The largest batch has all 56 training texts.
    let more = ["--min", "100", "--steps", "1", "--json"];
    let result = json_of(&tool(&sandbox, "batch-size", &more, &[]));
    assert_eq!((&result["suggestion"], &result["ended"]["reason"]), (&json!(56), &json!("largest")));
    if cfg!(target_os = "linux") {
        let little = ["--memory-limit", "0.001", "--min", "4", "--steps", "1", "--json"];
        let result = json_of(&tool(&sandbox, "batch-size", &little, &[]));
        assert_eq!(
            (&result["ended"]["reason"], &result["ended"]["batch_size"]),
            (&json!("memory_limit"), &json!(16))
        );
    }
}

#[test]
fn summary_shows_parameters_of_models_and_detectors() {
    let sandbox = Sandbox::trained();
    let shown = tool(&sandbox, "summary", &[], &[]);
    for part in ["word_embedding", "  weight", "f32", "trainable", "memory: ", "optimizer"] {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let result = json_of(&tool(&sandbox, "summary", &["--json"], &[]));
    assert_eq!(keys(&result), ["n_weights", "n_trainable", "memory", "parameters"]);
    let n = result["n_weights"].as_u64().unwrap();
    assert_eq!((&result["n_trainable"], &result["memory"]["weights"]), (&json!(n), &json!(4 * n)));
    assert_eq!(result["memory"]["optimizer"], json!(8 * n), "Adam has two tensors per parameter");
    let frozen = ["--json", "--set", "model.freeze_embedding=true", "--set", "optimizer.name=sgd"];
    let frozen = json_of(&tool(&sandbox, "summary", &frozen, &[]));
    let of_embedding = result["parameters"].as_array().unwrap().iter();
    let of_embedding =
        of_embedding.filter(|p| p["name"] == "word_embedding.weight").map(|p| p["n_weights"].as_u64());
    assert_eq!(frozen["n_trainable"].as_u64(), of_embedding.sum::<Option<u64>>().map(|words| n - words));
    assert_eq!(frozen["memory"]["optimizer"], json!(0));
    // A trained detector has the same parameters.
    assert_eq!(sandbox.faknow(&["summary", "run"]).ok(), shown);
}

#[test]
fn run_reports_parameters_and_time_by_phase() {
    let sandbox = Sandbox::trained();
    let shown = sandbox.faknow(&["summary", "run"]).ok();
    let (log, report) = (sandbox.read("run/run.log"), sandbox.read("run/report.html"));
    assert!(report.contains(&format!("<pre>{}</pre>", shown.trim_end())), "{report}");
    assert!(report.contains("<h3>Time</h3>") && report.contains("<th>data</th>"), "{report}");
    let model = log.find("INFO model:\n").unwrap();
    let (epoch, profile) = (log.find("epoch=1/2").unwrap(), log.find("INFO time by phase:\n").unwrap());
    assert!(model < epoch && epoch < profile, "{log}");
    for part in ["    word_embedding", "    memory: ", "    data  ", "    optimizer  ", "    checkpoints  "] {
        assert!(log.contains(part), "{log}\nlacks {part}");
    }
    // The tables are not printed to standard error.
    let train = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", "other"];
    let done = sandbox.faknow(&[&train[..], &TINY].concat());
    assert!(!done.stderr.contains("memory: ") && !done.stderr.contains("time by phase"), "{}", done.stderr);
}

#[test]
fn reports_invalid_options() {
    let sandbox = Sandbox::new();
    let check = |command: &str, more: &[&str], parts: &[&str]| {
        sandbox.check_error(&[&[command, "textcnn"][..], &DATA, &TINY, more].concat(), parts);
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
    sandbox.check_error(&["summary", "textcnn"], &["no training file"]);
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.check_error(&["summary", "empty"], &["empty", "not a run directory"]);
}

#[test]
fn export_of_an_encoder_needs_a_model_with_one() {
    let sandbox = Sandbox::trained();
    let args = ["export", "run", "--encoder", "merged"];
    sandbox.check_error(&args, &["`model.name`", "pretrained encoder (`text.encoder`)", "got `textcnn`"]);
    assert!(!sandbox.path("merged").exists());
}
