//! `cargo xtask openapi`: compares the OpenAPI document of a running server with its responses, by Schemathesis.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;
use xshell::{Shell, cmd};

use crate::program::{Program, Server};
use crate::setup::cache::{self, Cache};
use crate::setup::python::Python;
use crate::setup::wheels::run_pip;
use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{process, required};

/// The version of Schemathesis.
const VERSION: &str = "4.32.5";

/// Limits of the servers that differ from the defaults, since the document states those of the server.
const LIMITS: [&str; 8] =
    ["--max-chars", "500", "--max-explain-chars", "100", "--max-texts", "4", "--max-explain-nodes", "5"];

/// A trained detector, and the checks that do not apply to it.
struct Case {
    name: &'static str,
    excluded: &'static [&'static str],
}

const CASES: [Case; 2] = [
    Case { name: "texts", excluded: &[] },
    // A schema cannot express that the nodes form a tree: most valid bodies are rejected.
    Case { name: "trees", excluded: &["--exclude-checks", "positive_data_acceptance"] },
];

/// Compares the documents of two servers with their responses: one takes texts, the other trees.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let (python, schemathesis) = match schemathesis(&workspace.sh) {
        Ok(installed) => installed,
        Err(error) => {
            required::skip("schemathesis", &format!("cannot install Schemathesis: {error:#}"))?;
            return Ok(Summary::default());
        }
    };
    let faknow = Program::build(workspace)?;
    faknow.run("demo --epochs 1 --out texts --quiet")?;
    faknow.sh.write_file("trees.jsonl", trees())?;
    faknow
        .run("train upfd-gcn --train trees.jsonl --classes calm,shocking --epochs 1 --out trees --quiet")?;
    let mut summary = Summary::default();
    for Case { name, excluded } in CASES {
        let server = faknow.serve_run(name, &LIMITS)?;
        let outcome = compare(&faknow.sh, &python, &schemathesis, &server, excluded);
        server.shut_down()?;
        if outcome.is_ok() {
            println!("  {name}: the document and the responses agree");
        }
        summary.add(Summary::of_check(&format!("openapi, {name}"), outcome));
    }
    Ok(summary)
}

/// Runs Schemathesis with a fixed seed, in the directory of the program, where it may write.
fn compare(
    sh: &Shell,
    python: &Python,
    schemathesis: &PathBuf,
    server: &Server,
    excluded: &[&str],
) -> Result<()> {
    let (program, address) = (&python.program, &server.address);
    let run = cmd!(
        sh,
        "{program} -m schemathesis.cli run http://{address}/openapi.json --checks all {excluded...}"
    );
    let run = run.args([
        "--seed",
        "1",
        "--max-examples",
        "100",
        "--continue-on-failure",
        "--request-timeout",
        "20",
    ]);
    let run = run.env("PYTHONPATH", schemathesis).env("NO_PROXY", "127.0.0.1").env("COLUMNS", "200");
    process::capture(run.env("NO_COLOR", "1")).map(drop)
}

/// Returns Python and the directory with Schemathesis in the cache, where it is installed first.
fn schemathesis(sh: &Shell) -> Result<(Python, PathBuf)> {
    let python = Python::with_pip(sh)?;
    let program = &python.program;
    let tag = cmd!(sh, "{program} -c 'import sys; print(sys.implementation.cache_tag)'").quiet().read()?;
    let place = cache::directory().join(format!("schemathesis-{VERSION}-{tag}"));
    if !cache::is_published(&place) {
        let cache = Cache::lock()?;
        let work = cache.work_dir()?;
        println!("installing Schemathesis {VERSION} in the cache");
        let made = sh.create_dir(work.path().join("site"))?;
        let pip = python.pip("install").args(["--quiet", "--no-warn-script-location", "--target"]).arg(&made);
        run_pip(pip.arg(format!("schemathesis=={VERSION}")), "Schemathesis")?;
        cache::publish(work.path(), &made, &place).context("cannot move Schemathesis to its place")?;
    }
    Ok((python, place))
}

/// Returns the lines of a file with trees of two posts, of two classes.
fn trees() -> String {
    let tree = |index: usize| {
        let class = ["calm", "shocking"][index % 2];
        let nodes = json!([
            { "id": "a", "text": format!("{class} news") },
            { "id": "b", "parent": "a", "text": class },
        ]);
        format!("{}\n", json!({ "id": index, "label": class, "nodes": nodes }))
    };
    (0..40).map(tree).collect()
}
