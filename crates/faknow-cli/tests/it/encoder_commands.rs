//! Every command with a pretrained encoder, frozen and trained, and several processes on one cache.

use serde_json::{Value, json};

use crate::server_process::{ServerProcess, post};
use crate::support::Sandbox;
use crate::tiny_encoder::{feature_files, tiny_encoder};

const TRAINING: [&str; 13] = [
    "encoder",
    "--train",
    "train.csv",
    "--valid",
    "valid.csv",
    "--text",
    "tweet",
    "--encoder",
    "tiny",
    "--epochs",
    "1",
    "--set",
    "text.max_length=64",
];

/// Commands that read the options of a training, with a key of their results.
const TRAINING_COMMANDS: [(&[&str], &str); 6] = [
    (&["summary"], "n_weights"),
    (&["lr-find", "--steps", "10"], "points"),
    (&["batch-size", "--max", "16"], "trials"),
    (&["cv", "--folds", "2", "--out", "cv"], "metrics"),
    (&["search", "--grid", "optimizer.lr=0.01,0.001", "--out", "search"], "best"),
    (&["train", "--test", "test.csv", "--out", "run"], "test"),
];

/// Commands that use the trained detector, with a part of their output.
const DETECTOR_COMMANDS: [(&[&str], &str); 4] = [
    (&["summary", "run"], "classifier"),
    (&["test", "run", "--data", "test.csv", "--json"], "accuracy"),
    (&["predict", "run", "--input", "test.csv", "--explain"], "\"[CLS]\""),
    (&["tokens", "run", "--input", "test.csv"], "{\"tokens\":[2,"),
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    tiny_encoder(&sandbox.path(""));
    sandbox
}

#[test]
fn every_command_works_with_a_frozen_and_a_trained_encoder() {
    for tuning in ["frozen", "full"] {
        let sandbox = sandbox();
        let tuned = format!("model.tuning={tuning}");
        let settings = ["--set", &tuned, "--set", "text.cache=cache", "--json"];
        for (command, key) in TRAINING_COMMANDS {
            let args = [&command[..1], &TRAINING, &settings, &command[1..]].concat();
            let result = sandbox.faknow(&args).json();
            assert!(!result[key].is_null(), "{tuning}: {command:?}: {result}");
        }
        // All commands share what the first one computed: each distinct text once.
        let files = feature_files(&sandbox.path("cache"));
        let n_texts =
            ["train.csv", "valid.csv", "test.csv"].map(|name| sandbox.read(name).lines().count() - 1);
        match tuning {
            "frozen" => {
                let n_encoded: u64 = files.values().sum();
                assert!(n_encoded > 50 && n_encoded <= n_texts.iter().sum::<usize>() as u64, "{files:?}");
            }
            _ => assert!(files.is_empty(), "{files:?}"),
        }
        for (command, part) in DETECTOR_COMMANDS {
            let output = sandbox.faknow(command).ok();
            assert!(output.contains(part), "{tuning}: {command:?}: {output}");
        }
        // A batch of texts of very different lengths.
        let texts: Vec<String> = (0..8).map(|n| "shocking rain ".repeat(1 + n % 4 * 20)).collect();
        let lines: String = texts.iter().map(|text| json!({ "text": text }).to_string() + "\n").collect();
        let predict = ["predict", "run", "--input", "-", "--text", "text"];
        let expected = sandbox.faknow_with_stdin(&predict, &lines).json_lines();
        let server = ServerProcess::start(&sandbox, "run", &[]);
        let (status, response) = server.request(&post(&json!({ "texts": texts })));
        assert_eq!(status, 200, "{tuning}: {response}");
        for (index, expected) in expected.iter().enumerate() {
            let score = |scores: &Value| scores["fake"].as_f64().unwrap();
            let got = score(&response["predictions"][index]["scores"]);
            assert!((got - score(&expected["scores"])).abs() < 1e-6, "{tuning}: text {index}");
        }
    }
}

#[test]
fn two_processes_on_one_cache_train_the_same_detector() {
    let sandbox = sandbox();
    let train = |out: &'static str, cache: &'static str| {
        let settings = ["--set", "model.tuning=frozen", "--set", cache, "--threads", "1", "--out", out];
        sandbox.command(&[&["train"][..], &TRAINING, &settings].concat()).spawn().unwrap()
    };
    let processes = ["one", "two", "three"].map(|out| train(out, "text.cache=cache"));
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(train("alone", "text.cache=other").wait().unwrap().success());
    let weights = |run: &str| {
        std::fs::read(sandbox.path(&format!("{run}/checkpoints/last/model.safetensors"))).unwrap()
    };
    for run in ["one", "two", "three"] {
        assert!(weights(run) == weights("alone"), "{run}");
    }
    let names = |cache: &str| -> Vec<_> {
        let files = feature_files(&sandbox.path(cache)).into_keys();
        files.map(|file| file.file_name().unwrap().to_owned()).collect()
    };
    // Processes that encode the same texts write the same files.
    assert_eq!(names("cache"), names("other"));
}
