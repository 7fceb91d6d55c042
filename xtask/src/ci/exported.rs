//! `cargo xtask exported`: the scores of an exported detector in C++ and Python, computed by the documentation's own code.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xshell::cmd;

use crate::bench::python_with_torch;
use crate::program::Program;
use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{process, required, setup};

const TEXTS: [&str; 4] = [
    "shocking secret the mayor does not want you to know",
    "officials confirm the bridge reopens on monday",
    "unheardofword",
    "the city council voted on the budget after a long debate and published the minutes",
];

/// The largest allowed difference of scores: sums in another order, in single precision.
const TOLERANCE: f64 = 1e-5;

/// What is added to the documents' code to print what it computed.
const PRINT_SCORES: &str = "print(json.dumps(scores.tolist()))";
const PRINT_CALIBRATED: &str = "
temperature = json.load(open('run/calibration.json'))['decision']['temperature']
print(json.dumps((scores.double().log() / temperature).softmax(-1).tolist()))";

/// Compares the scores in C++ and in Python with those of `faknow predict`.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let libtorch = setup::libtorch(workspace)?;
    let faknow = Program::build(workspace)?;
    faknow.run("demo --out run")?;
    faknow.run("export run --out exported")?;
    let records: String = TEXTS.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    fs::write(faknow.path("texts.jsonl"), records)?;
    let tokens = faknow.run("tokens run --input texts.jsonl")?;
    fs::write(faknow.path("tokens.jsonl"), &tokens)?;
    let predicted = faknow.run("predict run --input texts.jsonl --on-empty predict")?;
    let ours: Vec<Vec<f64>> = predicted.lines().map(scores_of).collect::<Result<_>>()?;
    ensure!(ours.len() == TEXTS.len(), "`faknow predict` wrote {} lines", ours.len());
    let document = fs::read_to_string(workspace.root.join("docs/export.md"))?;
    let mut summary = Summary::default();
    let mut count = |what: &str, theirs: Result<Vec<Vec<f64>>>| {
        let difference = theirs.and_then(|theirs| largest_difference(&ours, &theirs));
        summary.add(Summary::of_check(
            what,
            difference.map(|it| println!("{what}: scores differ by at most {it:.1e}")),
        ));
    };
    count("C++", in_cpp(&faknow, &document, &libtorch, &tokens));
    match python_with_torch(&workspace.sh) {
        Some(python) => {
            let part = |heading: &str| {
                document
                    .split_once(heading)
                    .with_context(|| format!("docs/export.md has no heading `{heading}`"))
            };
            let exported = part("\n## The linear model\n")?.0;
            let weights = part("\n## Weights in Python\n")?.1;
            count("Python, TorchScript", in_python(&faknow, &python, exported, PRINT_SCORES));
            count("Python, weights", in_python(&faknow, &python, weights, PRINT_CALIBRATED));
        }
        None => required::skip("python", "no Python with PyTorch and safetensors (FAKNOW_PYTHON names one)")?,
    }
    Ok(summary)
}

fn in_cpp(faknow: &Program, document: &str, libtorch: &Path, tokens: &str) -> Result<Vec<Vec<f64>>> {
    let build: Vec<&str> = document
        .lines()
        .skip_while(|line| !line.starts_with("c++ "))
        .take_while(|line| *line != "```")
        .collect();
    let build = build.join("\n");
    let source =
        build.split_whitespace().find(|word| word.ends_with(".cpp")).context("no C++ file is compiled")?;
    fs::write(faknow.path(source), code(document, "cpp"))?;
    process::capture(cmd!(faknow.sh, "sh -e -c {build}").env("LIBTORCH", libtorch))?;
    let program = faknow.path(source.trim_end_matches(".cpp"));
    let scores = |line: &str| -> Result<Vec<f64>> {
        let tokens: Value = serde_json::from_str(line)?;
        let tokens = tokens["tokens"].as_array().into_iter().flatten().map(Value::to_string);
        let output = process::capture(faknow.sh.cmd(&program).arg("exported/model.pt").args(tokens))?;
        output.lines().map(|line| Ok(line.parse()?)).collect()
    };
    tokens.lines().map(scores).collect()
}

fn in_python(faknow: &Program, python: &str, document: &str, suffix: &str) -> Result<Vec<Vec<f64>>> {
    fs::write(faknow.path("document.py"), code(document, "python") + suffix + "\n")?;
    let output = process::capture(cmd!(faknow.sh, "{python} document.py"))
        .context("the Python code of docs/export.md failed")?;
    Ok(serde_json::from_str(output.lines().last().unwrap_or_default())?)
}

/// Returns all code of a language in a document, in its order.
fn code(document: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = document.split(&fence).skip(1);
    blocks.filter_map(|rest| rest.split("```\n").next()).collect()
}

fn scores_of(line: &str) -> Result<Vec<f64>> {
    let prediction: Value = serde_json::from_str(line)?;
    let scores = prediction["scores"].as_object().context("a prediction has no scores")?;
    Ok(scores.values().filter_map(Value::as_f64).collect())
}

fn largest_difference(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} texts were classified, not {}", theirs.len(), ours.len());
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    let largest = pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max);
    ensure!(largest < TOLERANCE, "scores differ by {largest}:\nours {ours:?}\ntheirs {theirs:?}");
    Ok(largest)
}
