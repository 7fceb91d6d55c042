//! Each endpoint, and judgments that are those of the detector.

use std::collections::BTreeSet;

use faknow::data::graph::TreeJsonReader;
use faknow::detector::Sample;
use faknow_serve::ServeConfig;
use serde_json::{Value, json};

use crate::support::{Running, detectors, echo, texts, tree, tree_detectors};

fn openapi(server: &Running) -> Value {
    server.get("/openapi.json").ok().json()
}

/// The keys of an answer are those that the document has for it.
fn check_schema(document: &Value, name: &str, answer: &Value) {
    let schema = &document["components"]["schemas"][name];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(answer), keys(&schema["properties"]), "{name}");
    let required: BTreeSet<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    assert_eq!(required, keys(answer), "{name}");
}

#[test]
fn texts_are_judged_as_by_the_detector() {
    let (served, detector) = detectors();
    let server = Running::of(served);
    let document = openapi(&server);
    let asked = [texts(12), vec!["unheard of".into(), "🙂 \u{0} nul".into(), "ein Bär".into()]].concat();
    for text in &asked {
        let expected = serde_json::to_value(&detector.predict(&[text]).unwrap()[0]).unwrap();
        let answer = server.predict(&json!({ "text": text })).ok().json();
        assert_eq!(answer, expected, "{text}: to the bit");
        check_schema(&document, "Prediction", &answer);
    }
    let expected = serde_json::to_value(detector.predict(&asked).unwrap()).unwrap();
    let answer = server.predict(&json!({ "texts": asked })).ok().json();
    assert_eq!(answer["predictions"], expected, "in their order, to the bit");
    check_schema(&document, "Predictions", &answer);
    // A list of one is a list.
    assert!(server.predict(&json!({ "texts": ["rain"] })).ok().json()["predictions"][0].is_object());
    assert_eq!(server.metric("faknow_predictions_total"), (2 * asked.len() + 1) as f64);
}

#[test]
fn words_are_explained_as_by_the_detector() {
    let (served, detector) = detectors();
    let server = Running::of(served);
    let text = "Shocking: the mayor … in the RAIN";
    let answer = server.predict(&json!({ "text": text, "explain": true })).ok().json();
    let expected = serde_json::to_value(&detector.explain(&[text]).unwrap()[0]).unwrap();
    assert_eq!(answer, expected);
    let document = openapi(&server);
    check_schema(&document, "TextExplanation", &answer);
    check_schema(&document, "Attribution", &answer["parts"][0]);
    assert_eq!(answer["parts"][0]["name"], "shocking");
    let plain = server.predict(&json!({ "text": text, "explain": false })).ok().json();
    assert_eq!(plain["score"], answer["score"]);
    let several = server.predict(&json!({ "texts": ["rain"], "explain": true }));
    assert!(several.ok().json()["predictions"][0]["parts"].is_array());
}

#[test]
fn trees_are_judged_and_explained_as_by_the_detector() {
    let (served, detector) = tree_detectors();
    let server = Running::of(served);
    let lines: String = (0..6).map(|id| tree(id).to_string() + "\n").collect();
    let reader = TreeJsonReader::from_reader(Box::new(lines.as_bytes()), "lines", None);
    let raw = reader.collect::<Result<Vec<_>, _>>().unwrap();
    let trees: Vec<Sample> = raw.into_iter().map(Sample::Tree).collect();
    let expected = serde_json::to_value(detector.predict_samples(&trees).unwrap()).unwrap();
    let asked: Vec<Value> = (0..6).map(tree).collect();
    let answer = server.predict(&json!({ "trees": asked })).ok().json();
    assert_eq!(answer["predictions"], expected);

    let answer = server.predict(&json!({ "tree": tree(3), "explain": true })).ok().json();
    let explained = serde_json::to_value(&detector.explain_samples(&trees[3..4]).unwrap()[0]).unwrap();
    assert_eq!(answer["nodes"], explained["nodes"]);
    assert_eq!((&answer["nodes"][0]["id"], &answer["nodes"][1]["id"]), (&json!("a"), &json!("b")));
    let document = openapi(&server);
    check_schema(&document, "TreeExplanation", &answer);
    check_schema(&document, "NodeAttribution", &answer["nodes"][0]);

    let refused = |body: Value, part: &str| server.predict(&body).refused(422, "invalid_request", part);
    refused(
        json!({ "text": "rain" }),
        "this detector takes trees as input: expected one of the fields `tree` and `trees`",
    );
    refused(json!({ "tree": [] }), "`tree`: expected a JSON object");
    refused(json!({ "trees": [tree(1), { "nodes": [] }] }), "`trees[1]`: tree `1`: field `nodes`");
    let twice = json!({ "nodes": [{ "id": 1, "text": "" }, { "id": 1, "parent": 1, "text": "" }] });
    refused(json!({ "tree": twice }), "node `1` comes twice");
    let circle =
        json!({ "nodes": [{ "id": 1, "parent": 2, "text": "" }, { "id": 2, "parent": 1, "text": "" }] });
    refused(json!({ "tree": circle }), "tree `1`");
    let features = json!({ "nodes": [{ "id": 1, "features": { "7": 1 } }] });
    refused(json!({ "tree": features }), "expected texts at its nodes, got features");
    assert_eq!(server.get("/v1/model").ok().json()["reads"], "trees");
}

#[test]
fn the_model_and_the_state_of_the_server_are_told() {
    let (served, _) = detectors();
    let server = Running::of(served);
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
        let answer = server.get(path).ok();
        assert_eq!(answer.json(), json!({ "status": status }));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let head = server.raw(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_document_has_every_route_and_every_status() {
    let server = Running::start(echo(), ServeConfig::default());
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
            let answer = server.raw(request.as_bytes());
            if operations[method.to_lowercase()].is_object() {
                assert!(![404, 405].contains(&answer.status), "{method} {path}");
            } else {
                let expected = operations.as_object().unwrap().keys().next().unwrap().to_uppercase();
                answer.refused(
                    405,
                    "method_not_allowed",
                    &format!("`{path}` takes {expected}, got {method}"),
                );
                assert!(
                    answer.header("allow").unwrap().contains(&expected.to_lowercase()),
                    "{}",
                    answer.head
                );
            }
        }
    }
    // Every status that the source can refuse a judgment with is in the document.
    let told = paths["/v1/predict"]["post"]["responses"].as_object().unwrap();
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
                name == "OK" || name.is_empty() || told.contains_key(status.unwrap_or("unknown")),
                "{name}"
            );
        }
    }
    server.get("/nowhere?x=1").refused(404, "not_found", "no `/nowhere` here; see GET /openapi.json");
    server.get("/healthz/").refused(404, "not_found", "`/healthz/`");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let server = Running::start(echo(), ServeConfig::default());
    let answer = server.get("/").ok();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(answer.body).unwrap();
    for outside in ["http:", "https:", "src=", "url(", "@import", "innerHTML"] {
        assert!(!page.contains(outside), "{outside}");
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
fn answers_are_counted_by_route_and_status() {
    let server = Running::start(echo(), ServeConfig::default());
    server.predict(&json!({ "texts": ["a", "b", "c"] })).ok();
    server.predict(&json!({ "text": 1 }));
    for path in ["/a", "/b", "/c"] {
        assert_eq!(server.get(path).status, 404);
    }
    let answer = server.get("/metrics").ok();
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).unwrap();
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
