//! Malformed and hostile requests: the server reports an error or closes the connection, and keeps running.

use std::io::Write;
use std::net::Shutdown;

use faknow_serve::ServeConfig;
use serde_json::json;

use crate::support::{Response, TestServer, detectors, echo};

fn nested(depth: usize, open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn reports_position_of_invalid_json() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let check = |body: &[u8], status, code: &str, part: &str| {
        server.post(body).assert_error(status, code, part);
    };
    check(b"", 400, "empty_body", "expected a JSON object as the body, got nothing");
    check(b" \r\n\t", 400, "empty_body", "got nothing");
    check(b"rain", 400, "invalid_json", "expected value at line 1 column 1");
    check(b"{\"text\": \"rain\"", 400, "invalid_json", "EOF while parsing an object at line 1 column 15");
    check(b"{\"text\": rain}", 400, "invalid_json", "line 1 column 10");
    check(b"{'text': 'rain'}", 400, "invalid_json", "key must be a string at line 1 column 2");
    check(b"{\"text\": \"a\"} {}", 400, "invalid_json", "trailing characters at line 1 column 15");
    check(b"{\"text\": \"a\nb\"}", 400, "invalid_json", "control character");
    check(b"\xef\xbb\xbf{\"text\": \"a\"}", 400, "invalid_json", "line 1 column 1");
    check(b"text=rain", 400, "invalid_json", "expected a JSON object");
    check(b"{\"text\": \"\xff\xfe\"}", 400, "invalid_utf8", "at position 10");
    check(b"{\"text\": \"\xed\xa0\x80\"}", 400, "invalid_utf8", "at position 10");
    check(b"\x1f\x8b\x08\x00\x00", 400, "invalid_utf8", "expected UTF-8");
    check(
        br#"{"text": "\ud800"}"#,
        400,
        "invalid_json",
        "\\ud800 to \\udfff are surrogates and must come in pairs",
    );
    check(br#"{"text": "\udc00 b"}"#, 400, "invalid_json", "must come in pairs");
    check(b"{\"text\": 1e999}", 400, "invalid_json", "number out of range");
    check(br#"{"text": "\x"}"#, 400, "invalid_json", "invalid escape");
    let deep = nested(100_000, "[", "]");
    check(deep.as_bytes(), 422, "invalid_request", "expected a JSON object as the body");
    check(nested(100_000, "{\"text\":", "}").as_bytes(), 422, "invalid_request", "`text`: invalid type: map");
    check(format!("{{\"tree\": {deep}}}").as_bytes(), 400, "invalid_json", "recursion limit exceeded");
    check(format!("{{\"text\": {deep}}}").as_bytes(), 422, "invalid_request", "invalid type: sequence");
    check(&b"[".repeat(500_000), 400, "invalid_json", "EOF while parsing a list");
}

#[test]
fn reports_field_of_unexpected_json() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let check =
        |body: &str, part: &str| server.post(body.as_bytes()).assert_error(422, "invalid_request", part);
    check("[]", "expected a JSON object as the body, got another value");
    check("[\"rain\"]", "got another value");
    check("null", "got another value");
    check("17", "got another value");
    check("\"rain\"", "got another value");
    let exactly_one =
        "this detector takes texts as input: expected exactly one of the fields `text` and `texts`";
    check("{}", exactly_one);
    check("{\"explain\": true}", exactly_one);
    check("{\"text\": null}", "`text`: invalid type: null, expected a string");
    check("{\"text\": \"a\", \"texts\": null}", "`texts`: invalid type: null, expected a sequence");
    check("{\"text\": \"a\", \"tree\": {\"id\": 1, \"id\": 2}}", "`tree`: duplicate field `id`");
    check("{\"text\": \"a\", \"texts\": [\"b\"]}", exactly_one);
    check("{\"tree\": {}}", exactly_one);
    check("{\"text\": 17}", "`text`: invalid type: integer `17`, expected a string");
    check("{\"text\": [\"a\"]}", "`text`: invalid type: sequence, expected a string");
    check("{\"text\": {\"a\": 1}}", "`text`: invalid type: map, expected a string");
    check("{\"text\": true}", "`text`: invalid type: boolean");
    check("{\"texts\": \"a\"}", "`texts`: invalid type: string \"a\", expected a sequence");
    check("{\"texts\": [\"a\", null]}", "`texts[1]`: invalid type: null, expected a string");
    check("{\"text\": \"a\", \"explain\": 1}", "`explain`: invalid type: integer `1`, expected a boolean");
    check("{\"text\": \"a\", \"explain\": \"yes\"}", "`explain`: invalid type: string");
    check("{\"txt\": \"a\"}", "unknown field `txt`, expected one of `text`, `texts`");
    check("{\"text\": \"a\", \"text\": \"b\"}", "duplicate field `text`");
    // Messages quote what they are about, but not megabytes of it.
    let long = "k".repeat(100_000);
    for body in [json!({ &long: "a" }), json!({ "texts": long }), json!({ "text": "a", "explain": long })] {
        let response = server.predict(&body);
        response.assert_error(422, "invalid_request", "kkk…kkk");
        response.assert_error(422, "invalid_request", "at line 1 column");
        assert!(response.body.len() < 1000, "{} bytes", response.body.len());
    }
}

#[test]
fn predicts_unusual_texts() {
    let (served, detector) = detectors();
    let server = TestServer::with(served);
    let texts = [
        "\u{0}".to_owned(),
        "rain\u{0}shocking".into(),
        "\u{feff}rain".into(),
        "\u{202e}niar".into(),
        "e\u{301}".repeat(2000),
        "👩‍👩‍👧‍👦".repeat(500),
        "\u{1}\u{7f}\u{85}\u{2028}x".into(),
        "a".repeat(10_000),
        "a ".repeat(5000),
        "<script>alert(1)</script>".into(),
        "\u{10ffff}\u{fffd}".into(),
        "İ ſ ß ﬀ".into(),
    ];
    for text in &texts {
        let expected = serde_json::to_value(&detector.predict(&[text]).unwrap()[0]).unwrap();
        assert_eq!(server.predict(&json!({ "text": text })).ok().json(), expected, "{text:?}");
        let explanation = server.predict(&json!({ "text": text, "explain": true }));
        assert!([200, 422].contains(&explanation.status), "{text:?}: {}", explanation.json());
    }
    // As escapes, a pair of surrogates is a character.
    let pair = server.post(br#"{"text": "\ud83d\ude00 rain \u0000"}"#).ok().json();
    assert_eq!(pair, serde_json::to_value(&detector.predict(&["😀 rain \u{0}"]).unwrap()[0]).unwrap());
}

#[test]
fn invalid_http_closes_only_its_connection() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let status = |bytes: &[u8]| {
        let mut stream = server.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        Response::read(stream).status
    };
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice();
    for bytes in [tls, b"\r\n\r\n\r\n\r\n", b"hello\r\n\r\n", b"GET\r\n\r\n", &[0; 5000], &[255; 5000]] {
        assert!([0, 400].contains(&status(bytes)), "{:?}", &bytes[..5]);
    }
    let get = |rest: &str| {
        status(format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{rest}\r\n").as_bytes())
    };
    assert_eq!(get("no colon\r\n"), 400);
    assert_eq!(get("content-length: -1\r\n"), 400);
    assert_eq!(get("content-length: 1\r\ncontent-length: 2\r\n"), 400);
    assert!([0, 400].contains(&status(b"GET /healthz HTTP/9.9\r\n\r\n")));
    assert!([0, 400].contains(&status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")));
    assert!([0, 400].contains(&status(b"GET /healthz\x00 HTTP/1.1\r\nhost: x\r\n\r\n")));
    assert!([0, 200].contains(&get("x: \u{e4}\r\n")));
    // Content-Length together with chunked encoding: request smuggling.
    let smuggled = "POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\
                    transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!([0, 400].contains(&status(smuggled.as_bytes())));
    server.get("/healthz").ok();
}

#[test]
fn rejects_huge_bodies() {
    let server = TestServer::start(echo(), ServeConfig::default());
    // Within the drain limit: the client gets to read the response.
    server.post(&vec![b' '; 10 << 20]).assert_error(413, "body_too_large", "at most 1048576 bytes");
    // Beyond the drain limit: the connection is closed.
    let mut stream = server.connect();
    let head = "POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let block = vec![b' '; 1 << 20];
    let n_blocks = (0..1000).take_while(|_| stream.write_all(&block).is_ok()).count();
    assert!(n_blocks < 200, "the server read {n_blocks} MiB");
    server.get("/healthz").ok();
}

#[test]
fn survives_broken_connections() {
    let (served, _) = detectors();
    let read_timeout = std::time::Duration::from_millis(500);
    let config = ServeConfig { max_connections: 64, read_timeout, ..ServeConfig::default() };
    let server = TestServer::start(Box::new(served), config);
    let request = crate::support::post(br#"{"text": "rain"}"#);
    // Closed or half closed after each byte; a complete request may get a response or not.
    for end in 0..request.len() {
        let mut stream = server.connect();
        stream.write_all(&request[..end]).unwrap();
        if end % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
            assert!([0, 400].contains(&Response::read(stream).status), "{end}");
        }
    }
    let many: Vec<_> = (0..300).map(|_| server.connect()).collect();
    drop(many);
    for _ in 0..50 {
        let mut stream = server.connect();
        stream.write_all(&request).unwrap();
        drop(stream);
    }
    server.predict(&json!({ "text": "rain" })).ok();
    server.wait_for_metric("faknow_queued_texts", 0.0);
}
