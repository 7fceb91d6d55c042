//! What nobody should send. The server says what is wrong, or closes the connection, and goes on.

use std::io::Write;
use std::net::Shutdown;

use faknow_serve::ServeConfig;
use serde_json::json;

use crate::support::{Answer, Running, detectors, echo};

fn json_of(depth: usize, open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn broken_json_is_told_with_its_place() {
    let server = Running::start(echo(), ServeConfig::default());
    let refused = |body: &[u8], status, code: &str, part: &str| {
        server.post(body).refused(status, code, part);
    };
    refused(b"", 400, "empty_body", "expected a JSON object as the body, got nothing");
    refused(b" \r\n\t", 400, "empty_body", "got nothing");
    refused(b"rain", 400, "invalid_json", "expected value at line 1 column 1");
    refused(b"{\"text\": \"rain\"", 400, "invalid_json", "EOF while parsing an object at line 1 column 15");
    refused(b"{\"text\": rain}", 400, "invalid_json", "line 1 column 10");
    refused(b"{'text': 'rain'}", 400, "invalid_json", "key must be a string at line 1 column 2");
    refused(b"{\"text\": \"a\"} {}", 400, "invalid_json", "trailing characters at line 1 column 15");
    refused(b"{\"text\": \"a\nb\"}", 400, "invalid_json", "control character");
    refused(b"\xef\xbb\xbf{\"text\": \"a\"}", 400, "invalid_json", "line 1 column 1");
    refused(b"text=rain", 400, "invalid_json", "expected a JSON object");
    refused(b"{\"text\": \"\xff\xfe\"}", 400, "invalid_utf8", "at byte 10");
    refused(b"{\"text\": \"\xed\xa0\x80\"}", 400, "invalid_utf8", "at byte 10");
    refused(b"\x1f\x8b\x08\x00\x00", 400, "invalid_utf8", "expected UTF-8");
    refused(br#"{"text": "\ud800"}"#, 400, "invalid_json", "\\ud800 to \\udfff come in pairs alone");
    refused(br#"{"text": "\udc00 b"}"#, 400, "invalid_json", "come in pairs alone");
    refused(b"{\"text\": 1e999}", 400, "invalid_json", "number out of range");
    refused(br#"{"text": "\x"}"#, 400, "invalid_json", "invalid escape");
    let deep = json_of(100_000, "[", "]");
    refused(deep.as_bytes(), 422, "invalid_request", "expected a JSON object as the body");
    refused(
        json_of(100_000, "{\"text\":", "}").as_bytes(),
        422,
        "invalid_request",
        "`text`: invalid type: map",
    );
    refused(format!("{{\"tree\": {deep}}}").as_bytes(), 400, "invalid_json", "recursion limit exceeded");
    refused(format!("{{\"text\": {deep}}}").as_bytes(), 422, "invalid_request", "invalid type: sequence");
    refused(&b"[".repeat(500_000), 400, "invalid_json", "EOF while parsing a list");
}

#[test]
fn json_of_another_form_is_told_with_its_field() {
    let server = Running::start(echo(), ServeConfig::default());
    let refused = |body: &str, part: &str| server.post(body.as_bytes()).refused(422, "invalid_request", part);
    refused("[]", "expected a JSON object as the body, got another value");
    refused("[\"rain\"]", "got another value");
    refused("null", "got another value");
    refused("17", "got another value");
    refused("\"rain\"", "got another value");
    let one =
        "this detector takes texts as input: expected one of the fields `text` and `texts`, and only one";
    refused("{}", one);
    refused("{\"explain\": true}", one);
    refused("{\"text\": null}", one);
    refused("{\"text\": \"a\", \"texts\": [\"b\"]}", one);
    refused("{\"tree\": {}}", one);
    refused("{\"text\": 17}", "`text`: invalid type: integer `17`, expected a string");
    refused("{\"text\": [\"a\"]}", "`text`: invalid type: sequence, expected a string");
    refused("{\"text\": {\"a\": 1}}", "`text`: invalid type: map, expected a string");
    refused("{\"text\": true}", "`text`: invalid type: boolean");
    refused("{\"texts\": \"a\"}", "`texts`: invalid type: string \"a\", expected a sequence");
    refused("{\"texts\": [\"a\", null]}", "`texts[1]`: invalid type: null, expected a string");
    refused("{\"text\": \"a\", \"explain\": 1}", "`explain`: invalid type: integer `1`, expected a boolean");
    refused("{\"text\": \"a\", \"explain\": \"yes\"}", "`explain`: invalid type: string");
    refused("{\"txt\": \"a\"}", "unknown field `txt`, expected one of `text`, `texts`");
    refused("{\"text\": \"a\", \"text\": \"b\"}", "duplicate field `text`");
    let blank = "`text`: expected a text with at least one character that is not blank";
    for text in ["", " ", "\\n\\t", "\\u00a0"] {
        server.post(format!("{{\"text\": \"{text}\"}}").as_bytes()).refused(422, "empty_text", blank);
    }
    server.predict(&json!({ "texts": ["a", ""] })).refused(422, "empty_text", "`texts[1]`");
}

#[test]
fn odd_texts_are_judged_all_the_same() {
    let (served, detector) = detectors();
    let server = Running::of(served);
    let odd = [
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
    for text in &odd {
        let expected = serde_json::to_value(&detector.predict(&[text]).unwrap()[0]).unwrap();
        assert_eq!(server.predict(&json!({ "text": text })).ok().json(), expected, "{text:?}");
        let explained = server.predict(&json!({ "text": text, "explain": true }));
        assert!([200, 422].contains(&explained.status), "{text:?}: {}", explained.json());
    }
    // As escapes, a pair of surrogates is a character.
    let pair = server.post(br#"{"text": "\ud83d\ude00 rain \u0000"}"#).ok().json();
    assert_eq!(pair, serde_json::to_value(&detector.predict(&["😀 rain \u{0}"]).unwrap()[0]).unwrap());
}

#[test]
fn what_is_no_http_closes_its_connection_alone() {
    let server = Running::start(echo(), ServeConfig::default());
    let said = |bytes: &[u8]| {
        let mut stream = server.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        Answer::read(stream).status
    };
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice();
    for bytes in [tls, b"\r\n\r\n\r\n\r\n", b"hello\r\n\r\n", b"GET\r\n\r\n", &[0; 5000], &[255; 5000]] {
        assert!([0, 400].contains(&said(bytes)), "{:?}", &bytes[..5]);
    }
    let get = |rest: &str| {
        said(format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{rest}\r\n").as_bytes())
    };
    assert_eq!(get("no colon\r\n"), 400);
    assert_eq!(get("content-length: -1\r\n"), 400);
    assert_eq!(get("content-length: 1\r\ncontent-length: 2\r\n"), 400);
    assert!([0, 400].contains(&said(b"GET /healthz HTTP/9.9\r\n\r\n")));
    assert!([0, 400].contains(&said(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")));
    assert!([0, 400].contains(&said(b"GET /healthz\x00 HTTP/1.1\r\nhost: x\r\n\r\n")));
    assert!([0, 200].contains(&get("x: \u{e4}\r\n")));
    // A length and chunks at once are how requests are smuggled past a proxy.
    let smuggled = "POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\
                    transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!([0, 400].contains(&said(smuggled.as_bytes())));
    server.get("/healthz").ok();
}

#[test]
fn a_huge_body_is_neither_kept_nor_waited_for() {
    let server = Running::start(echo(), ServeConfig::default());
    // As much as is thrown away: the client comes to read the answer.
    server.post(&vec![b' '; 10 << 20]).refused(413, "body_too_large", "at most 1048576 bytes");
    // More than that, promised and sent without end: cut off, whatever the client sees of it.
    let mut stream = server.connect();
    let head = "POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let block = vec![b' '; 1 << 20];
    let n_blocks = (0..1000).take_while(|_| stream.write_all(&block).is_ok()).count();
    assert!(n_blocks < 200, "{n_blocks} MiB were taken");
    server.get("/healthz").ok();
}

#[test]
fn connections_that_break_off_hurt_nobody() {
    let (served, _) = detectors();
    let read_timeout = std::time::Duration::from_millis(500);
    let config = ServeConfig { max_connections: 64, read_timeout, ..ServeConfig::default() };
    let server = Running::start(Box::new(served), config);
    let request = crate::support::post(br#"{"text": "rain"}"#);
    // At each byte, closed or half closed; a request that has come as a whole may be answered or not.
    for end in 0..request.len() {
        let mut stream = server.connect();
        stream.write_all(&request[..end]).unwrap();
        if end % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
            assert!([0, 400].contains(&Answer::read(stream).status), "{end}");
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
    server.until_metric("faknow_queued_texts", 0.0);
}
