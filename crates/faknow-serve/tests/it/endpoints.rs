//! Each endpoint; predictions equal those of the detector.

use std::collections::BTreeSet;

use faknow::data::graph::TreeJsonReader;
use faknow::detector::Sample;
use faknow_serve::ServeConfig;
use serde_json::{Value, json};

use crate::support::{TestServer, detectors, echo, texts, tree, tree_detectors};

fn openapi(server: &TestServer) -> Value {
    server.get("/openapi.json").ok().json()
}

/// Asserts that a response has exactly the keys of its schema.
fn check_schema(document: &Value, name: &str, response: &Value) {
    let schema = &document["components"]["schemas"][name];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        (keys(response), &schema["additionalProperties"]),
        (keys(&schema["properties"]), &json!(false)),
        "{name}"
    );
    let required: BTreeSet<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    assert_eq!(required, keys(response), "{name}");
}

#[test]
fn predicts_texts_as_the_detector_does() {
    let (served, detector) = detectors();
    let server = TestServer::with(served);
    let document = openapi(&server);
    let unknown = ["unknown words", "🙂 \u{0} nul", "ein Bär", "", " \u{200b}"].map(str::to_owned);
    let request = [&texts(12)[..], &unknown[..]].concat();
    for text in &request {
        let expected = serde_json::to_value(&detector.predict(&[text]).unwrap()[0]).unwrap();
        let response = server.predict(&json!({ "text": text })).ok().json();
        assert_eq!(response, expected, "{text}: expected identical scores");
        let schema = if response["label"].is_null() { "NoPrediction" } else { "Prediction" };
        check_schema(&document, schema, &response);
    }
    let expected = serde_json::to_value(detector.predict(&request).unwrap()).unwrap();
    let response = server.predict(&json!({ "texts": request })).ok().json();
    assert_eq!(response["predictions"], expected, "expected identical scores, in order");
    check_schema(&document, "Predictions", &response);
    // A list of one text gets a list.
    assert!(server.predict(&json!({ "texts": ["rain"] })).ok().json()["predictions"][0].is_object());
    assert_eq!(server.metric("faknow_predictions_total"), (2 * request.len() + 1) as f64);
    assert_eq!(server.metric("faknow_unknown_texts_total"), (2 * unknown.len()) as f64);
    let expected = json!({
        "label": null, "score": null, "scores": null, "known_tokens": 0, "reason": "no known tokens",
    });
    let explained = server.predict(&json!({ "text": "привет", "explain": true })).ok().json();
    assert_eq!(explained, expected, "nothing to explain");
}

#[test]
fn texts_may_have_domains() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let label = |body: &Value| server.predict(body).ok().json()["label"].clone();
    assert_eq!(label(&json!({ "text": "rain", "domain": "health" })), "rain (health)");
    assert_eq!(label(&json!({ "text": "rain", "domain": null })), "rain");
    let texts = json!({ "texts": ["rain", { "text": "sun", "domain": "science" }, { "text": "ice" }] });
    let response = server.predict(&texts).ok().json();
    let labels =
        response["predictions"].as_array().unwrap().iter().map(|prediction| prediction["label"].clone());
    assert_eq!(labels.collect::<Vec<_>>(), ["rain", "sun (science)", "ice"]);
    let check = |body: Value, part: &str| {
        server.predict(&body).assert_error(422, "invalid_request", part);
    };
    check(json!({ "texts": ["rain"], "domain": "health" }), "`domain`: expected with the field `text`");
    check(json!({ "texts": ["rain"], "comments": ["no"] }), "`comments`: expected with the field `text`");
    check(
        json!({ "texts": ["rain"], "features": { "emotions": [1] } }),
        "`features`: expected with the field `text`",
    );
    check(json!({ "texts": [{ "domain": "health" }] }), "missing field `text`");
    check(json!({ "texts": [{ "text": "a", "topic": "health" }] }), "unknown field `topic`");
    let long = json!({ "text": "rain", "domain": "a".repeat(201) });
    server.predict(&long).assert_error(422, "text_too_long", "`domain`: expected at most 200 characters");
}

#[test]
fn explains_words_as_the_detector_does() {
    let (served, detector) = detectors();
    let server = TestServer::with(served);
    let text = "Shocking: the mayor … in the RAIN";
    let response = server.predict(&json!({ "text": text, "explain": true })).ok().json();
    let expected = serde_json::to_value(&detector.explain(&[text]).unwrap()[0]).unwrap();
    assert_eq!(response, expected);
    let document = openapi(&server);
    check_schema(&document, "TextExplanation", &response);
    check_schema(&document, "Attribution", &response["parts"][0]);
    assert_eq!(response["parts"][0]["name"], "shocking");
    let plain = server.predict(&json!({ "text": text, "explain": false })).ok().json();
    assert_eq!(plain["score"], response["score"]);
    let several = server.predict(&json!({ "texts": ["rain"], "explain": true }));
    assert!(several.ok().json()["predictions"][0]["parts"].is_array());
}

#[test]
fn predicts_and_explains_trees_as_the_detector_does() {
    let (served, detector) = tree_detectors();
    let server = TestServer::with(served);
    let lines: String = (0..6).map(|id| tree(id).to_string() + "\n").collect();
    let reader = TreeJsonReader::from_reader(Box::new(lines.as_bytes()), "lines", None);
    let raw = reader.collect::<Result<Vec<_>, _>>().unwrap();
    let trees: Vec<Sample> = raw.into_iter().map(Sample::Tree).collect();
    let expected = serde_json::to_value(detector.predict_samples(&trees).unwrap()).unwrap();
    let request: Vec<Value> = (0..6).map(tree).collect();
    let response = server.predict(&json!({ "trees": request })).ok().json();
    assert_eq!(response["predictions"], expected);

    let response = server.predict(&json!({ "tree": tree(3), "explain": true })).ok().json();
    let expected = serde_json::to_value(&detector.explain_samples(&trees[3..4]).unwrap()[0]).unwrap();
    assert_eq!(response["nodes"], expected["nodes"]);
    assert_eq!((&response["nodes"][0]["id"], &response["nodes"][1]["id"]), (&json!("a"), &json!("b")));
    let document = openapi(&server);
    check_schema(&document, "TreeExplanation", &response);
    check_schema(&document, "NodeAttribution", &response["nodes"][0]);

    let check_error =
        |body: Value, part: &str| server.predict(&body).assert_error(422, "invalid_request", part);
    check_error(
        json!({ "text": "rain" }),
        "this detector takes trees as input: expected exactly one of the fields `tree` and `trees`",
    );
    check_error(json!({ "tree": [] }), "`tree`: expected a JSON object");
    check_error(json!({ "trees": [tree(1), { "nodes": [] }] }), "`trees[1]`: tree `1`: field `nodes`");
    let twice = json!({ "nodes": [{ "id": 1, "text": "" }, { "id": 1, "parent": 1, "text": "" }] });
    check_error(json!({ "tree": twice }), "duplicate node `1`");
    let cycle =
        json!({ "nodes": [{ "id": 1, "parent": 2, "text": "" }, { "id": 2, "parent": 1, "text": "" }] });
    check_error(json!({ "tree": cycle }), "tree `1`");
    let features = json!({ "nodes": [{ "id": 1, "features": { "7": 1 } }] });
    check_error(json!({ "tree": features }), "expected texts at its nodes, got features");
    assert_eq!(server.get("/v1/model").ok().json()["reads"], "trees");
}

#[test]
fn reports_model_and_state() {
    let (served, _) = detectors();
    let server = TestServer::with(served);
    let model = server.get("/v1/model").ok().json();
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({
        "run": "first", "model": "textcnn", "classes": ["real", "fake"], "reads": "texts", "version": version,
    });
    assert_eq!(model, expected);
    let document = openapi(&server);
    check_schema(&document, "Model", &model);
    assert_eq!(document["info"]["version"], version);
    for (path, status) in [("/healthz", "alive"), ("/readyz", "ready")] {
        let response = server.get(path).ok();
        assert_eq!(response.json(), json!({ "status": status }));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    let head = server.raw(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn openapi_document_has_every_route_and_status() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let document = openapi(&server);
    let paths = document["paths"].as_object().unwrap();
    let source = include_str!("../../src/app.rs");
    let routes: BTreeSet<&str> =
        source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next()).collect();
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), routes);
    for (path, operations) in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let response = server.raw(request.as_bytes());
            if operations[method.to_lowercase()].is_object() {
                assert!(![404, 405].contains(&response.status), "{method} {path}");
            } else {
                let expected = operations.as_object().unwrap().keys().next().unwrap().to_uppercase();
                response.assert_error(
                    405,
                    "method_not_allowed",
                    &format!("`{path}`: expected {expected}, got {method}"),
                );
                assert!(
                    response.header("allow").unwrap().contains(&expected.to_lowercase()),
                    "{}",
                    response.head
                );
            }
        }
    }
    // Every error status in the source is in the document.
    let documented = paths["/v1/predict"]["post"]["responses"].as_object().unwrap();
    let names = [
        ("BAD_REQUEST", "400"),
        ("REQUEST_TIMEOUT", "408"),
        ("PAYLOAD_TOO_LARGE", "413"),
        ("UNSUPPORTED_MEDIA_TYPE", "415"),
        ("UNPROCESSABLE_ENTITY", "422"),
        ("TOO_MANY_REQUESTS", "429"),
        ("INTERNAL_SERVER_ERROR", "500"),
        ("SERVICE_UNAVAILABLE", "503"),
    ];
    for source in [
        include_str!("../../src/body.rs"),
        include_str!("../../src/request.rs"),
        include_str!("../../src/predict.rs"),
    ] {
        for name in source.split("StatusCode::").skip(1) {
            let name: String = name.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            let status = names.iter().find(|(known, _)| *known == name).map(|(_, status)| *status);
            assert!(
                name == "OK" || name.is_empty() || documented.contains_key(status.unwrap_or("unknown")),
                "{name}"
            );
        }
    }
    server.get("/nowhere?x=1").assert_error(
        404,
        "not_found",
        "unknown path `/nowhere`; see GET /openapi.json",
    );
    server.get("/healthz/").assert_error(404, "not_found", "`/healthz/`");
}

#[test]
fn page_is_self_contained() {
    let server = TestServer::start(echo(), ServeConfig::default());
    let response = server.get("/").ok();
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let policy = response.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(response.body).unwrap();
    for external in ["http:", "https:", "src=", "url(", "@import", "innerHTML"] {
        assert!(!page.contains(external), "{external}");
    }
    for part in [
        "<label for=\"text\"",
        "lang=\"en\"",
        "width=device-width",
        "prefers-color-scheme: dark",
        "role=\"alert\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn counts_requests_by_route_and_status() {
    let server = TestServer::start(echo(), ServeConfig::default());
    server.predict(&json!({ "texts": ["a", "b", "c"] })).ok();
    server.predict(&json!({ "text": 1 }));
    for path in ["/a", "/b", "/c"] {
        assert_eq!(server.get(path).status, 404);
    }
    let response = server.get("/metrics").ok();
    assert_eq!(
        response.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(response.body).unwrap();
    for line in [
        "faknow_http_requests_total{path=\"/v1/predict\",status=\"200\"} 1",
        "faknow_http_requests_total{path=\"/v1/predict\",status=\"422\"} 1",
        "faknow_http_requests_total{path=\"other\",status=\"404\"} 3",
        "faknow_http_request_duration_seconds_count{path=\"/v1/predict\"} 2",
        "faknow_batch_texts_bucket{le=\"4.0\"} 1",
        "faknow_predictions_total 3",
        "faknow_queued_texts 0",
        "# TYPE faknow_batch_texts histogram",
    ] {
        assert!(text.lines().any(|it| it == line), "{text}\nlacks {line}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(server.metric("faknow_connections") >= 1.0);
}
