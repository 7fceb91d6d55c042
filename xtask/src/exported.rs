//! `cargo xtask exported`: what Python and C++ make of a detector, by the very code of the documentation.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::python_with_torch;
use crate::process::{self, Usage};
use crate::program::Program;
use crate::setup;
use crate::summary::Summary;
use crate::workspace::Workspace;

const LIMIT: Duration = Duration::from_secs(600);
const TEXTS: [&str; 4] = [
    "shocking secret the mayor does not want you to know",
    "officials confirm the bridge reopens on monday",
    "unheardofword",
    "the city council voted on the budget after a long debate and published the minutes",
];

/// The largest difference of scores that is borne: sums in another order, in single precision.
const TOLERANCE: f64 = 1e-5;

/// Runs `cargo xtask exported`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(Usage("exported takes no arguments".into()).into());
    }
    check(workspace)?.conclude()
}

/// Compares the scores of C++ and of Python with our own.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let libtorch = setup::libtorch(workspace)?;
    let faknow = Program::build(workspace)?;
    let folder = faknow.folder();
    faknow.run(&["demo", "--out", "run"])?;
    faknow.run(&["export", "run", "--out", "exported"])?;
    let records: String =
        TEXTS.iter().map(|text| format!("{}\n", serde_json::json!({ "text": text }))).collect();
    fs::write(folder.join("texts.jsonl"), records)?;
    let tokens = faknow.run(&["tokens", "run", "--input", "texts.jsonl"])?;
    fs::write(folder.join("tokens.jsonl"), &tokens)?;
    let predicted = faknow.run(&["predict", "run", "--input", "texts.jsonl"])?;
    let ours: Vec<Vec<f64>> = predicted.lines().map(scores_of).collect::<Result<_>>()?;
    ensure!(ours.len() == TEXTS.len(), "`faknow predict` wrote {} lines", ours.len());
    let docs = workspace.root.join("docs");
    let mut summary = Summary::default();
    let mut count = |what: &str, outcome: Result<f64>| {
        match &outcome {
            Ok(difference) => println!("{what}: scores differ by at most {difference:.1e}"),
            Err(error) => eprintln!("{what}: {error:#}"),
        }
        summary.add(Summary::of_check(outcome.is_ok()));
    };
    count("C++", in_cpp(&docs, folder, &libtorch, &tokens, &ours));
    match python_with_torch() {
        Some(python) => {
            count("Python, TorchScript", in_python(&python, &docs.join("export.md"), SCORES, folder, &ours));
            count("Python, weights", in_python(&python, &docs.join("python.md"), WEIGHTS, folder, &ours));
        }
        None => println!("SKIPPED in Python: none with PyTorch and safetensors (FAKNOW_PYTHON names one)"),
    }
    Ok(summary)
}

/// What is added to the code of a page, to see what it computed.
const SCORES: &str = "print(json.dumps(scores.tolist()))";
const WEIGHTS: &str = "
temperature = json.load(open('run/calibration.json'))['decision']['temperature']
print(json.dumps((scores.double().log() / temperature).softmax(-1).tolist()))";

fn in_cpp(docs: &Path, folder: &Path, libtorch: &Path, tokens: &str, ours: &[Vec<f64>]) -> Result<f64> {
    let page = fs::read_to_string(docs.join("export.md"))?;
    fs::write(folder.join("judge.cpp"), code(&page, "cpp"))?;
    let build = page.lines().skip_while(|line| !line.starts_with("c++ ")).take_while(|line| *line != "```");
    let build: Vec<&str> = build.collect();
    let mut command = Command::new("sh");
    command.args(["-e", "-c", &build.join("\n")]).current_dir(folder).env("LIBTORCH", libtorch);
    process::run_quietly(&mut command, LIMIT)?;
    let judge = |line: &str| -> Result<Vec<f64>> {
        let tokens: Value = serde_json::from_str(line)?;
        let tokens = tokens["tokens"].as_array().into_iter().flatten().map(Value::to_string);
        let mut command = Command::new(folder.join("judge"));
        command.arg("exported/model.pt").args(tokens).current_dir(folder);
        process::run_quietly(&mut command, LIMIT)?.lines().map(|line| Ok(line.parse()?)).collect()
    };
    largest_difference(ours, &tokens.lines().map(judge).collect::<Result<Vec<_>>>()?)
}

fn in_python(python: &Path, page: &Path, more: &str, folder: &Path, ours: &[Vec<f64>]) -> Result<f64> {
    let program = folder.join("page.py");
    fs::write(&program, code(&fs::read_to_string(page)?, "python") + more + "\n")?;
    let mut command = Command::new(python);
    let text = process::run_quietly(command.arg(program).current_dir(folder), LIMIT)
        .with_context(|| format!("the code of {} fails", page.display()))?;
    let theirs: Vec<Vec<f64>> = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    largest_difference(ours, &theirs)
}

/// All code of a language on a page, in its order.
fn code(page: &str, language: &str) -> String {
    let fence = format!("```{language}");
    let mut code = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```" => inside = false,
            line if line == fence => inside = true,
            line if inside => code = code + line + "\n",
            _ => {}
        }
    }
    code
}

fn scores_of(line: &str) -> Result<Vec<f64>> {
    let judged: Value = serde_json::from_str(line)?;
    let scores = judged["scores"].as_object().context("a prediction has no scores")?;
    Ok(scores.values().filter_map(Value::as_f64).collect())
}

fn largest_difference(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} texts were judged, not {}", theirs.len(), ours.len());
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    let largest = pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max);
    ensure!(largest < TOLERANCE, "scores differ by {largest}:\nours {ours:?}\ntheirs {theirs:?}");
    Ok(largest)
}
