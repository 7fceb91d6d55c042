//! `faknow serve`: the program around the server. What it answers is tested beside the crate that does.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, Done};

/// The program as it serves; it is killed with this, should a test fail before its end.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut child = bench.command(&[&["serve", "run", "--port", "0"], args].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("where it listens").to_owned();
        Self { child, address }
    }

    fn ask(&self, request: &str) -> (u16, Value) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(stream)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends the signal, and answers how the program ended.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[cfg(unix)]
#[test]
fn the_program_serves_what_predict_says_until_a_signal() {
    let bench = Bench::trained();
    let texts = ["Shocking rain", "officials vote on the bridge", "\u{0}"];
    for signal in ["-INT", "-TERM"] {
        let served = Served::start(&bench, &["--max-chars", "50"]);
        for text in texts {
            let input = json!({ "text": text }).to_string();
            let predict = ["predict", "run", "--input", "-", "--text", "text"];
            let mut expected = bench.faknow_reading(&predict, &input).json();
            expected.as_object_mut().unwrap().remove("text");
            assert_eq!(served.ask(&post(&json!({ "text": text }))), (200, expected), "{text}");
        }
        assert_eq!(served.ask(&post(&json!({ "text": "x".repeat(51) }))).0, 422);
        let model = served.ask("GET /v1/model HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").1;
        assert_eq!(model["run"], "run");
        // A request whose end comes after the signal is answered.
        let request = post(&json!({ "texts": texts }));
        let mut stream = served.connect();
        stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
        // Its head was read, or this would not be answered.
        assert_eq!(served.ask(&post(&json!({ "text": "rain" }))).0, 200);
        served.signal(signal);
        while TcpStream::connect(&served.address).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        stream.write_all(&request.as_bytes()[request.len() - 1..]).unwrap();
        assert_eq!(answer(stream).1["predictions"].as_array().unwrap().len(), 3);
        let (code, stderr) = served.end("-0");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("path=\"/v1/predict\" status=200") && stderr.contains("texts=1"), "{stderr}");
        assert!(!stderr.contains("Shocking") && !stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_in_a_line() {
    let bench = Bench::trained();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = format!("cannot listen on 127.0.0.1:{port}: ");
    bench.refuses(&["serve", "run", "--port", &port], &[&said, "another program listens there, port 0"]);
    let refuses = |args: &[&str], part: &str| {
        let done: Done = bench.faknow(&[&["serve", "run", "--port", "0"], args].concat());
        done.refused(&[part]);
        assert_eq!(done.stdout, "");
    };
    refuses(&["--queue", "3"], "`queue`: expected at least `max_texts`, which is 64, got 3");
    refuses(&["--batch-size", "0"], "`batch_size`: expected at least 1, got 0");
    refuses(&["--timeout", "0"], "expected a number of seconds above 0");
    refuses(&["--timeout", "NaN"], "expected a number of seconds above 0");
    refuses(&["--read-timeout", "1e30"], "expected a number of seconds above 0");
    refuses(&["--host", "everywhere"], "--host");
    refuses(&["--device", "abacus"], "abacus");
    bench.refuses(&["serve", "nowhere", "--port", "0"], &["nowhere", "no such directory"]);
    bench.refuses(&["serve"], &["RUN_DIR"]);
}

#[test]
fn serve_page_has_the_defaults_of_the_program() {
    let page = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        fs::read_to_string(&path).ok()
    };
    let Some(page) = page("serve.md") else {
        println!("SKIPPED: docs/serve.md does not exist");
        return;
    };
    let help = Bench::new().faknow(&["serve", "-h"]).ok();
    let mut n_options = 0;
    for line in help.lines().filter(|line| line.contains("[default: ")) {
        let option = line.split("--").nth(1).unwrap().split(' ').next().unwrap();
        let default = line.split("[default: ").nth(1).unwrap().split(']').next().unwrap();
        let row = page.lines().find(|row| row.starts_with(&format!("| `--{option} ")));
        let row = row.unwrap_or_else(|| panic!("docs/serve.md has no row for --{option}"));
        let documented = row.split(" | ").nth(1).unwrap().trim_matches('`').replace(',', "");
        assert_eq!(documented, default, "docs/serve.md: --{option}");
        n_options += 1;
    }
    assert_eq!(n_options, 12, "{help}");
}
