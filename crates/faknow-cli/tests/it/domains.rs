//! Models and results that depend on the domain of a post.

use serde_json::Value;

use crate::support::Sandbox;

/// Settings with which a model of domains trains in a moment.
const TINY: [&str; 8] = [
    "--set",
    "model.n_filters=4",
    "--set",
    "model.embedding_size=8",
    "--set",
    "model.kernel_sizes=[1, 2]",
    "--set",
    "model.hidden_sizes=[8]",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.faknow(&["data", "example", "posts", "--posts", "120"]).ok();
    sandbox
}

fn train(sandbox: &Sandbox, model: &str, out: &str, more: &[&str]) -> Value {
    let data: &[&str] = match model {
        "endef" => &["--train", "posts/social/train.jsonl", "--entities", "entities"],
        _ => &["--train", "posts/train.csv", "--valid", "posts/valid.csv", "--test", "posts/test.csv"],
    };
    let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
    let args = [&["train", model, "--json", "--out", out][..], epochs, data, &TINY, more].concat();
    sandbox.faknow(&args).json()
}

#[test]
fn test_has_results_per_domain() {
    let sandbox = sandbox();
    for model in ["mdfend", "m3fend", "endef", "textcnn"] {
        let result = match model {
            "textcnn" => {
                let data = ["--train", "posts/train.csv", "--test", "posts/test.csv", "--domain", "domain"];
                let args =
                    ["train", model, "--json", "--out", model, "--epochs", "1", "--set", "model.n_filters=4"];
                sandbox.faknow(&[&args[..], &data].concat()).json()
            }
            _ => train(&sandbox, model, model, &[]),
        };
        let test = &result["test"];
        let domains = test["domains"].as_object().unwrap_or_else(|| panic!("{model}: {test}"));
        let n: u64 = domains.values().map(|domain| domain["n"].as_u64().unwrap()).sum();
        assert_eq!(n + test["n_without_known_domain"].as_u64().unwrap(), test["n_samples"], "{model}");
        for (name, domain) in domains {
            assert!(domain["accuracy"].is_number() && domain["f1_macro"].is_number(), "{model} {name}");
        }
        // The overall accuracy is the mean over the domains, weighted by their size.
        if test["n_without_known_domain"] == 0 {
            let correct =
                |domain: &Value| domain["n"].as_f64().unwrap() * domain["accuracy"].as_f64().unwrap();
            let accuracy = domains.values().map(correct).sum::<f64>() / n as f64;
            assert!((accuracy - test["accuracy"].as_f64().unwrap()).abs() < 1e-9, "{model}");
        }
        let report = sandbox.read(&format!("{model}/report.html"));
        assert!(report.contains("By domain") && report.contains("politics"), "{model}");
    }
    // The same on a separate file, with a table.
    let again = sandbox.faknow(&["test", "mdfend", "--data", "posts/test.csv", "--json"]).json();
    let table = sandbox.faknow(&["test", "mdfend", "--data", "posts/test.csv"]).ok();
    assert!(table.contains("domain ") && table.contains("politics"), "{table}");
    assert!(again["test"]["domains"]["politics"]["n"].as_u64().is_some_and(|n| n > 0));
}

#[test]
fn domain_of_a_record_changes_its_prediction_and_may_be_missing_or_unknown() {
    let sandbox = sandbox();
    train(&sandbox, "mdfend", "run", &["--epochs", "4", "--set", "optimizer.lr=0.01"]);
    let score = |record: &str| -> f64 {
        let output = sandbox.faknow_with_stdin(&["predict", "run", "--input", "-"], record).json_lines();
        output[0]["scores"]["fake"].as_f64().unwrap()
    };
    let text = "the figures are still preliminary, sources say";
    let of = |domain: &str| score(&format!("{{\"text\": \"{text}\", \"domain\": {domain}}}\n"));
    let (politics, health, unknown) = (of("\"politics\""), of("\"health\""), of("\"sports\""));
    assert!(politics != health && politics != unknown);
    assert_eq!(unknown, score(&format!("{{\"text\": \"{text}\"}}\n")));
    assert_eq!(unknown, of("null"));
}

#[test]
fn runs_with_a_memory_resume_to_the_same_weights() {
    let sandbox = sandbox();
    for model in ["m3fend", "endef", "mdfend"] {
        let (uninterrupted, parts) = (format!("{model}-uninterrupted"), format!("{model}-parts"));
        train(&sandbox, model, &uninterrupted, &["--epochs", "3"]);
        train(&sandbox, model, &parts, &["--epochs", "1"]);
        sandbox.faknow(&["resume", &parts, "--epochs", "3"]).ok();
        let weights = |run: &str| {
            std::fs::read(sandbox.path(&format!("{run}/checkpoints/last/model.safetensors"))).unwrap()
        };
        assert_eq!(weights(&uninterrupted), weights(&parts), "{model}");
    }
}

#[test]
fn models_that_need_domains_or_entities_say_so() {
    let sandbox = Sandbox::new();
    let train = |model: &'static str| ["train", model, "--train", "train.csv", "--text", "tweet"];
    sandbox.check_error(&train("mdfend"), &["`data.domain`", "`mdfend` needs"]);
    sandbox.check_error(&train("endef"), &["`endef` reads entities"]);
    sandbox.write(
        "empty.csv",
        "text,label,topic\nrain,real,\nstorm,fake,\nvote,real,\nsun,fake,\nice,real,\nfog,fake,\n",
    );
    let args = [
        "train",
        "m3fend",
        "--train",
        "empty.csv",
        "--domain",
        "topic",
        "--set",
        "data.split=[1.0, 0.0, 0.0]",
    ];
    sandbox.check_error(&args, &["no training record has one in `topic`"]);
}

#[test]
fn cross_validation_search_and_export_work_with_domains() {
    let sandbox = sandbox();
    let data = ["--train", "posts/train.csv", "--epochs", "1"];
    let cv = [&["cv", "m3fend", "--folds", "2", "--out", "cv"][..], &data, &TINY].concat();
    sandbox.faknow(&cv).ok();
}
