//! `cargo xtask bench --serve`: a real server under the load of a real client, `wrk`: speed, overload, and memory in the long run.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::process::{self, Usage};
use crate::program::Program;
use crate::served::Served;
use crate::workspace::Workspace;

/// Seconds of each measurement but the last.
const SECONDS: u64 = 10;

/// Asks for texts in turn, over and over, and tells the result in one line.
const SCRIPT: &str = r#"
local texts = {
  "The mayor opened the new bridge on Monday, officials said.",
  "Shocking: doctors hide this one fruit from you! Share before it is deleted!!!",
  "Storm warnings were lifted after a night of heavy rain in the north of the country.",
  "Aliens endorse the mayor, secret documents reveal what nobody may know about the vote",
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

/// Runs `cargo xtask bench --serve`.
pub fn run(workspace: &mut Workspace, args: &[&String]) -> Result<()> {
    let soak = seconds_of_soak(args)?;
    if !process::exists("wrk") {
        println!(
            "SKIPPED: there is no `wrk` to make requests with; `apt-get install wrk` or `brew install wrk`"
        );
        return Ok(());
    }
    Bench { faknow: Program::build(workspace)? }.run(soak)
}

fn seconds_of_soak(args: &[&String]) -> Result<u64> {
    match args {
        [] => Ok(60),
        [flag, seconds] if *flag == "--soak" => {
            let seconds = seconds.parse().ok().filter(|seconds| *seconds >= 2);
            Ok(seconds.ok_or_else(|| Usage("--soak takes a number of seconds, at least 2".into()))?)
        }
        _ => Err(Usage("bench --serve takes only --soak SECONDS".into()).into()),
    }
}

struct Bench {
    faknow: Program,
}

/// What a client saw.
struct Load {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Connections that broke or gave no answer.
    n_errors: u64,
}

impl Bench {
    fn run(&self, soak: u64) -> Result<()> {
        fs::write(self.faknow.folder().join("requests.lua"), SCRIPT)?;
        eprintln!("Training a detector with the settings of `faknow demo`, for one epoch.");
        self.faknow.run(&["demo", "--epochs", "1", "--out", "run", "--quiet"])?;

        let server = self.serve(&[])?;
        println!("| connections | requests/s | p50 ms | p99 ms | texts a batch |\n|---|---|---|---|---|");
        for n_connections in [1, 8, 32, 128] {
            let before = server.metrics()?;
            let load = self.load(&server, n_connections, SECONDS)?;
            let after = server.metrics()?;
            let grown = |name| sum(&after, name) - sum(&before, name);
            let batch = grown("faknow_batch_texts_sum") / grown("faknow_batch_texts_count");
            let Load { per_second, p50_ms, p99_ms, n_errors } = load;
            println!("| {n_connections} | {per_second:.0} | {p50_ms:.1} | {p99_ms:.1} | {batch:.1} |");
            ensure!(n_errors == 0, "{n_errors} requests had no answer");
        }
        server.end()?;

        // Far more at once than may wait.
        let tight = ["--queue", "64", "--timeout", "1"];
        let server = self.serve(&tight)?;
        let load = self.load(&server, 400, SECONDS)?;
        println!(
            "\noverload, 400 connections, `faknow serve {}`: {}",
            tight.join(" "),
            statuses(&server.metrics()?)
        );
        println!("connections that broke or had no answer: {}", load.n_errors);
        server.end()?;

        let server = self.serve(&[])?;
        // What is made at the first requests, as the threads of libtorch, is no growth.
        self.load(&server, 32, 2)?;
        let mut memory = vec![server.resident()?];
        for _ in 0..2 {
            self.load(&server, 32, soak / 2)?;
            memory.push(server.resident()?);
        }
        let memory: Vec<String> = memory.iter().map(|mib| format!("{mib:.1}")).collect();
        println!("\nsoak of {soak} s, 32 connections: {}", statuses(&server.metrics()?));
        println!("resident memory at its start, middle and end: {} MiB", memory.join(", "));
        server.end()
    }

    fn serve(&self, args: &[&str]) -> Result<Served> {
        Served::start(&self.faknow, "run", args)
    }

    fn load(&self, server: &Served, n_connections: usize, seconds: u64) -> Result<Load> {
        let threads = n_connections.min(2).to_string();
        let mut wrk = Command::new("wrk");
        wrk.args(["-t", &threads, "-c", &n_connections.to_string(), "-d", &format!("{seconds}s")]);
        wrk.arg("-s")
            .arg(self.faknow.folder().join("requests.lua"))
            .arg(format!("http://{}", server.address));
        let output = process::run_quietly(&mut wrk, Duration::from_secs(seconds + 60))?;
        let numbers = output.lines().find_map(|line| line.strip_prefix("result "));
        let numbers: Vec<f64> =
            numbers.into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
        let [n, duration, p50, p99, n_errors] = numbers[..] else { bail!("wrk told no result:\n{output}") };
        Ok(Load {
            per_second: n / duration * 1e6,
            p50_ms: p50 / 1e3,
            p99_ms: p99 / 1e3,
            n_errors: n_errors as u64,
        })
    }
}

/// A metric, summed over its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum()
}

/// How many judgements were answered with which status.
fn statuses(metrics: &str) -> String {
    let lines = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("faknow_http_requests_total{path=\"/v1/predict\",status=\"")?;
        rest.split_once("\"} ")
    });
    let mut statuses: Vec<String> = lines.map(|(status, n)| format!("{status}: {n}")).collect();
    statuses.sort();
    statuses.join(", ")
}
