//! `faknow serve`; the responses are tested in `faknow-serve`.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use faknow::trainer::{STOP_SIGNALS, StopSignal};
use serde_json::{Value, json};

use crate::server_process::{ServerProcess, post, read_response};
use crate::support::{CommandOutput, Sandbox, signal};

#[cfg(unix)]
#[test]
fn serves_the_predictions_of_predict_until_a_signal() {
    let sandbox = Sandbox::trained();
    let texts = ["Shocking rain", "officials vote on the bridge", "\u{0}"];
    let predictions = texts.map(|text| {
        let input = json!({ "text": text }).to_string();
        let predict = ["predict", "run", "--input", "-", "--text", "text"];
        let expected = sandbox.faknow_with_stdin(&predict, &input).json();
        let renamed = |(name, value): (&String, &Value)| (name.replace("predicted_", ""), value.clone());
        let fields = expected.as_object().unwrap().iter().filter(|(name, _)| *name != "text");
        Value::Object(fields.map(renamed).collect())
    });
    for StopSignal { name, .. } in STOP_SIGNALS {
        let server = ServerProcess::start(&sandbox, "run", &["--max-chars", "50"]);
        for (text, expected) in texts.iter().zip(predictions.clone()) {
            assert_eq!(server.request(&post(&json!({ "text": text }))), (200, expected), "{text}");
        }
        assert_eq!(server.request(&post(&json!({ "text": "x".repeat(51) }))).0, 422);
        let model = server.request("GET /v1/model HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").1;
        assert_eq!(model["run"], "run");
        // A request that is completed after the signal gets a response.
        let request = post(&json!({ "texts": texts }));
        let mut stream = server.connect();
        stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
        // A response to a later request shows that its connection was accepted; its head is read soon after, also on busy cores.
        assert_eq!(server.request(&post(&json!({ "text": "rain" }))).0, 200);
        std::thread::sleep(Duration::from_millis(300));
        signal(&server.child, name);
        while TcpStream::connect(&server.address).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        stream.write_all(&request.as_bytes()[request.len() - 1..]).unwrap();
        assert_eq!(read_response(stream).1["predictions"].as_array().unwrap().len(), 3);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains(&format!("stopped by SIG{name}")), "{stderr}");
        assert!(stderr.contains("path=\"/v1/predict\" status=200") && stderr.contains("texts=1"), "{stderr}");
        assert!(!stderr.contains("Shocking") && !stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn reports_startup_errors_in_one_line() {
    let sandbox = Sandbox::trained();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let message = format!("cannot listen on 127.0.0.1:{port}: ");
    sandbox.check_error(
        &["serve", "run", "--port", &port],
        &[&message, "another program uses this port", "`--port`"],
    );
    let check = |args: &[&str], part: &str| {
        let done: CommandOutput = sandbox.faknow(&[&["serve", "run", "--port", "0"], args].concat());
        done.assert_error(&[part]);
        assert_eq!(done.stdout, "");
    };
    check(&["--queue", "3"], "`queue`: expected at least `max_texts` (64), got 3");
    check(&["--batch-size", "0"], "`batch_size`: expected at least 1, got 0");
    check(&["--timeout", "0"], "expected a number of seconds above 0");
    check(&["--timeout", "NaN"], "expected a number of seconds above 0");
    check(&["--read-timeout", "1e30"], "expected a number of seconds above 0");
    check(&["--host", "everywhere"], "--host");
    check(&["--device", "abacus"], "abacus");
    sandbox.check_error(&["serve", "nowhere", "--port", "0"], &["nowhere", "no such directory"]);
    sandbox.check_error(&["serve"], &["RUN_DIR"]);
}

#[test]
fn serve_page_has_the_defaults_of_the_program() {
    let page = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        fs::read_to_string(&path).ok()
    };
    let Some(page) = page("serve.md") else {
        crate::skip::check("docs").unwrap();
        println!("SKIPPED: docs/serve.md does not exist");
        return;
    };
    let help = Sandbox::new().faknow(&["serve", "-h"]).ok();
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
    assert_eq!(n_options, 14, "{help}");
}
