//! `cargo xtask bench --serve`: a real server under the load of a real client, `wrk`: speed, overload, and memory over time.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};
use xshell::cmd;

use crate::process;
use crate::program::{Program, Server};
use crate::workspace::Workspace;

/// Seconds of each measurement but the last.
const SECONDS: u64 = 10;

/// Requests texts in turn, over and over, and prints the result in one line.
const SCRIPT: &str = r#"
local texts = {
  "The mayor opened the new bridge on Monday, officials said.",
  "Shocking: doctors hide this one fruit from you! Share before it is deleted!!!",
  "Storm warnings were lifted after a night of heavy rain in the north of the country.",
  "Aliens endorse the mayor, secret documents reveal what no one may know about the vote",
  "Markets closed slightly higher as investors waited for the report of the central bank.",
}
local n = 0
function request()
  n = n + 1
  local body = string.format('{"text": "%s %d"}', texts[n % #texts + 1], n % 1000)
  return wrk.format("POST", "/v1/predict", { ["content-type"] = "application/json" }, body)
end
function done(summary, latency)
  io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"#;

/// Measures the server; `soak` is the duration of the memory measurement in seconds. With `explain`, only predictions while
/// explanations are requested.
pub fn run(workspace: &mut Workspace, soak: u64, explain: bool) -> Result<()> {
    if !process::exists(&workspace.sh, "wrk") {
        println!("SKIPPED: no `wrk` to make requests with; `apt-get install wrk` or `brew install wrk`");
        return Ok(());
    }
    let faknow = Program::build(workspace)?;
    faknow.sh.write_file("requests.lua", SCRIPT)?;
    eprintln!("Training a detector with the settings of `faknow demo`, for one epoch.");
    faknow.run("demo --epochs 1 --out demo --quiet")?;

    under_explanations(&faknow)?;
    if explain {
        return Ok(());
    }

    let server = faknow.serve(&[])?;
    println!("\n| connections | requests/s | p50 ms | p99 ms | texts per batch |\n|---|---|---|---|---|");
    for n_connections in [1, 8, 32, 128] {
        let before = server.metrics()?;
        let load = Load::measure(&faknow, &server, n_connections, SECONDS)?;
        let after = server.metrics()?;
        let growth = |name| sum(&after, name) - sum(&before, name);
        let batch = growth("faknow_batch_texts_sum") / growth("faknow_batch_texts_count");
        let Load { per_second, p50_ms, p99_ms, n_errors } = load;
        println!("| {n_connections} | {per_second:.0} | {p50_ms:.1} | {p99_ms:.1} | {batch:.1} |");
        ensure!(n_errors == 0, "{n_errors} requests had no response");
    }
    server.shut_down()?;

    // Far more than the queue admits.
    let tight = ["--queue", "64", "--timeout", "1"];
    let server = faknow.serve(&tight)?;
    let load = Load::measure(&faknow, &server, 400, SECONDS)?;
    let statuses_of_overload = statuses(&server.metrics()?);
    println!("\noverload, 400 connections, `faknow serve {}`: {statuses_of_overload}", tight.join(" "));
    println!("connections that broke or had no response: {}", load.n_errors);
    server.shut_down()?;

    let server = faknow.serve(&[])?;
    // What is allocated at the first requests, as the threads of libtorch, is not growth.
    Load::measure(&faknow, &server, 32, 2)?;
    let mut memory = vec![server.resident()?];
    for _ in 0..2 {
        Load::measure(&faknow, &server, 32, soak / 2)?;
        memory.push(server.resident()?);
    }
    println!("\nsoak of {soak} s, 32 connections: {}", statuses(&server.metrics()?));
    println!(
        "resident memory at its start, middle and end: {:.1}, {:.1}, {:.1} MiB",
        memory[0], memory[1], memory[2]
    );
    server.shut_down()
}

/// Measures predictions while two clients request explanations, one after the other, and without them.
fn under_explanations(faknow: &Program) -> Result<()> {
    let server = faknow.serve(&[])?;
    println!("| explanations of | requests/s | p50 ms | p99 ms | explanations/s |\n|---|---|---|---|---|");
    for (name, n_chars) in [("none", None), ("280 characters", Some(280)), ("2,000 characters", Some(2000))] {
        let before = server.metrics()?;
        let (server, stop) = (&server, &AtomicBool::new(false));
        let load = std::thread::scope(|scope| {
            let client = |n| scope.spawn(move || explain(server, n, stop));
            let clients: Vec<_> = n_chars.into_iter().flat_map(|n| [n; 2]).map(client).collect();
            let load = Load::measure(faknow, server, 8, SECONDS);
            stop.store(true, Ordering::Relaxed);
            let explained: Result<Vec<()>> = clients
                .into_iter()
                .map(|it| it.join().unwrap_or_else(|_| bail!("a client panicked")))
                .collect();
            explained.and(load)
        })?;
        let n =
            sum(&server.metrics()?, "faknow_explanations_total") - sum(&before, "faknow_explanations_total");
        let Load { per_second, p50_ms, p99_ms, n_errors } = load;
        println!("| {name} | {per_second:.0} | {p50_ms:.1} | {p99_ms:.1} | {:.1} |", n / SECONDS as f64);
        ensure!(n_errors == 0, "{n_errors} requests had no response");
    }
    server.shut_down()
}

/// Requests explanations of a text of `n_chars` characters until `stop` is set.
fn explain(server: &Server, n_chars: usize, stop: &AtomicBool) -> Result<()> {
    let text: String = "shocking secret the mayor lied ".chars().cycle().take(n_chars).collect();
    while !stop.load(Ordering::Relaxed) {
        let response = server.post("/v1/predict", &format!(r#"{{"text": "{text}", "explain": true}}"#))?;
        ensure!(response.starts_with("HTTP/1.1 200"), "an explanation failed: {response}");
    }
    Ok(())
}

/// What the client measured.
struct Load {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Connections that broke or got no response.
    n_errors: u64,
}

impl Load {
    fn measure(faknow: &Program, server: &Server, n_connections: usize, seconds: u64) -> Result<Self> {
        let (threads, connections) = (n_connections.min(2).to_string(), n_connections.to_string());
        let (seconds, address) = (seconds.to_string(), &server.address);
        let output = process::capture(cmd!(
            faknow.sh,
            "wrk -t {threads} -c {connections} -d {seconds}s -s requests.lua http://{address}"
        ))?;
        let numbers = output.lines().find_map(|line| line.strip_prefix("result "));
        let numbers: Vec<f64> =
            numbers.into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
        let [n, duration, p50, p99, n_errors] = numbers[..] else {
            bail!("wrk printed no result:\n{output}")
        };
        Ok(Self {
            per_second: n / duration * 1e6,
            p50_ms: p50 / 1e3,
            p99_ms: p99 / 1e3,
            n_errors: n_errors as u64,
        })
    }
}

/// Returns a metric, summed over its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum()
}

/// Returns the number of responses per status.
fn statuses(metrics: &str) -> String {
    let lines = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("faknow_http_requests_total{path=\"/v1/predict\",status=\"")?;
        rest.split_once("\"} ")
    });
    let mut statuses: Vec<String> = lines.map(|(status, n)| format!("{status}: {n}")).collect();
    statuses.sort();
    statuses.join(", ")
}
