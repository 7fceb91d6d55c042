//! Each limit: requests within it pass, requests beyond it get an error that names it.

use std::io::{Read, Write};
use std::time::Duration;

use faknow_serve::{Error, ServeConfig, Server};
use serde_json::json;

use crate::support::{Response, TestServer, detectors, echo, post};

const SHORT_TIMEOUT: Duration = Duration::from_millis(300);

fn limited() -> ServeConfig {
    ServeConfig {
        max_body: 2000,
        max_chars: 100,
        max_explain_chars: 50,
        max_texts: 4,
        ..ServeConfig::default()
    }
}

#[test]
fn limits_bodies_texts_and_lists() {
    let server = TestServer::start(echo(), limited());
    let text = "ä".repeat(100);
    assert_eq!(server.predict(&json!({ "text": text })).ok().json()["label"], text);
    let part = "`text`: expected at most 100 characters, got 101";
    server.predict(&json!({ "text": "ä".repeat(101) })).assert_error(422, "text_too_long", part);
    let part = "`texts[1]`: expected at most 100 characters, got more";
    server.predict(&json!({ "texts": ["a", "b".repeat(500)] })).assert_error(422, "text_too_long", part);
    server.predict(&json!({ "texts": ["a", "b", "c", "d"] })).ok();
    let part = "`texts`: expected 1 to 4 texts, got 5";
    server.predict(&json!({ "texts": ["a", "b", "c", "d", "e"] })).assert_error(422, "too_many_texts", part);
    server.predict(&json!({ "texts": [] })).assert_error(
        422,
        "no_texts",
        "`texts`: expected 1 to 4 texts, got 0",
    );

    let body = |n: usize| format!("{{\"text\": \"a\"{}}}", " ".repeat(n - 13));
    assert_eq!(body(2000).len(), 2000);
    server.post(body(2000).as_bytes()).ok();
    let part = "request body: expected at most 2000 bytes";
    server.post(body(2001).as_bytes()).assert_error(413, "body_too_large", part);
    // Chunked, without a content length.
    let mut chunked = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(format!("1000\r\n{}\r\n0\r\n\r\n", " ".repeat(4096)).as_bytes());
    server.raw(&chunked).assert_error(413, "body_too_large", part);
}

#[test]
fn explanations_have_separate_limits() {
    let (detector, _) = detectors();
    let server = TestServer::start(Box::new(detector), limited());
    let request = |text: String| server.predict(&json!({ "text": text, "explain": true }));
    request("rain ".repeat(10)).ok();
    let part = "`text`: expected at most 50 characters with `explain`, got 55";
    request("rain ".repeat(11)).assert_error(422, "text_too_long", part);
    let several = server.predict(&json!({ "texts": ["a", "b"], "explain": true }));
    several.assert_error(
        422,
        "invalid_request",
        "`explain`: expected a single text or tree to explain, got several",
    );
    // A predictor without explanations.
    let server = TestServer::start(echo(), limited());
    let response = server.predict(&json!({ "text": "a", "explain": true }));
    response.assert_error(422, "invalid_request", "no explanations");
}

#[test]
fn disconnects_slow_senders() {
    let server =
        TestServer::start(echo(), ServeConfig { read_timeout: SHORT_TIMEOUT, ..ServeConfig::default() });
    // Nothing at all; an incomplete head; a head that is sent line by line without end.
    for head in ["", "GET /healthz HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    }
    let mut stream = server.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let started = std::time::Instant::now();
    while stream.write_all(b"x: y\r\n").is_ok() && started.elapsed() < crate::support::TIMEOUT {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(started.elapsed() < crate::support::TIMEOUT, "the connection stays open");
    // A body that is not sent.
    let head = "POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    server.raw(head.as_bytes()).assert_error(
        408,
        "body_too_slow",
        "request body not received within 0.3 seconds",
    );
    // A connection that is idle after a response.
    let mut stream = server.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(Response::read(stream).status, 200, "and the connection is closed");
    server.get("/healthz").ok();
}

#[test]
fn disconnects_clients_that_do_not_read() {
    let config = ServeConfig { read_timeout: SHORT_TIMEOUT, max_connections: 1, ..ServeConfig::default() };
    let server = TestServer::start(echo(), config);
    let mut stream = server.connect();
    // The responses are never read, until the buffers are full.
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000);
    let _ = stream.write_all(&request);
    // It holds the only available connection.
    server.get("/healthz").ok();
}

#[test]
fn connections_beyond_the_limit_wait() {
    let config = ServeConfig { max_connections: 2, read_timeout: SHORT_TIMEOUT, ..ServeConfig::default() };
    let server = TestServer::start(echo(), config);
    let idle: Vec<_> = (0..6).map(|_| server.connect()).collect();
    server.predict(&json!({ "text": "last" })).ok();
    drop(idle);
}

#[test]
fn limits_request_heads() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let head = |more: String| format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    assert_eq!(server.raw(head("x: y\r\n".repeat(50)).as_bytes()).status, 200);
    assert_eq!(server.raw(head("x: y\r\n".repeat(200)).as_bytes()).status, 431);
    let long = server.raw(head(format!("x: {}\r\n", "y".repeat(100_000))).as_bytes());
    assert!([431, 0].contains(&long.status), "{}", long.head);
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "y".repeat(10_000));
    server.raw(path.as_bytes()).assert_error(
        404,
        "not_found",
        &format!("unknown path `/{}`", "y".repeat(79)),
    );
    server.get("/healthz").ok();
}

#[test]
fn requires_json_content_type() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let request = |header: &str| {
        let request = post(b"{\"text\": \"a\"}");
        let request = String::from_utf8(request).unwrap();
        server.raw(request.replace("content-type: application/json\r\n", header).as_bytes())
    };
    for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        request(&format!("content-type: {good}\r\n")).ok();
    }
    let check = |header: &str, part: &str| request(header).assert_error(415, "unsupported_media_type", part);
    check("", "expected the header `content-type: application/json`, got none");
    check("content-type: text/plain\r\n", "got `text/plain`");
    check(
        "content-type: application/x-www-form-urlencoded\r\n",
        "expected the content type `application/json`",
    );
    check("content-type: application/json; charset=latin1\r\n", "in UTF-8");
    check("content-type: application/json; charset=utf-8; charset=utf-16\r\n", "in UTF-8");
    check(
        "content-type: application/json\r\ncontent-type: text/plain\r\n",
        "expected one header `content-type`, got 2",
    );
    let json_with = |header: &str| format!("content-type: application/json\r\n{header}\r\n");
    let encoding = "content-encoding";
    for headers in ["gzip", "identity, gzip", &format!("identity\r\n{encoding}: gzip")] {
        check(&json_with(&format!("{encoding}: {headers}")), "got the content encoding `gzip`");
    }
    request(&json_with(&format!("{encoding}: identity"))).ok();
    let head =
        "POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let chunks = "d\r\n{\"text\": \"a\"}\r\n0\r\n\r\n";
    let send = |encoding: &str| {
        server.raw(format!("{head}transfer-encoding: {encoding}\r\n\r\n{chunks}").as_bytes())
    };
    send("chunked").ok();
    let part = "expected an uncompressed body, got the transfer encoding `gzip`";
    send("gzip, chunked").assert_error(415, "unsupported_media_type", part);
}

#[test]
fn rejects_invalid_settings_and_ports_in_use() {
    let default = ServeConfig { port: 0, ..ServeConfig::default() };
    let check = |config: ServeConfig, expected: &str| {
        let error = Server::bind(config).unwrap_err();
        assert!(error.is_input() && matches!(error, Error::Setting { .. }));
        assert_eq!(error.to_string(), expected);
    };
    check(ServeConfig { batch_size: 0, ..default.clone() }, "`batch_size`: expected at least 1, got 0");
    check(
        ServeConfig { timeout: Duration::ZERO, ..default.clone() },
        "`timeout`: expected more than 0 seconds, got 0",
    );
    check(
        ServeConfig { queue: 63, ..default.clone() },
        "`queue`: expected at least `max_texts` (64), got 63",
    );
    assert!(Server::bind(ServeConfig { max_connections: usize::MAX, ..default.clone() }).is_err());
    let first = Server::bind(default.clone()).unwrap();
    let error = Server::bind(ServeConfig { port: first.address().port(), ..default.clone() }).unwrap_err();
    assert!(error.is_input());
    let expected = format!("cannot listen on {}: ", first.address());
    assert!(
        error.to_string().starts_with(&expected) && error.to_string().contains("another program"),
        "{error}"
    );
    let unavailable = ServeConfig { host: [203, 0, 113, 1].into(), ..default };
    assert!(matches!(Server::bind(unavailable).unwrap_err(), Error::Bind { .. }));
}
