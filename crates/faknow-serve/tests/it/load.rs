//! Concurrent requests: batches, overload, failing models, graceful shutdown.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faknow_serve::ServeConfig;
use serde_json::json;

use crate::support::{Fake, Gate, Response, TestServer, detectors, post, texts};

/// Sends a request per text concurrently, each over a separate connection.
fn predict_all(server: &TestServer, texts: &[String]) -> Vec<Response> {
    let predict = |text: &String| server.predict(&json!({ "text": text }));
    std::thread::scope(|scope| {
        let threads: Vec<_> = texts.iter().map(|text| scope.spawn(move || predict(text))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("text {i}")).collect()
}

/// Creates a predictor that waits at a gate, and the list of its batch sizes.
fn gated(gate: &Gate) -> (Box<dyn faknow_serve::Predictor>, Arc<Mutex<Vec<usize>>>) {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (gate, batches) = (gate.clone(), Arc::clone(&sizes));
    let predictor = Fake(move |texts: &[&str]| {
        batches.lock().unwrap().push(texts.len());
        gate.wait();
        Ok(())
    });
    (Box::new(predictor), sizes)
}

#[test]
fn batches_waiting_requests_and_returns_each_its_prediction() {
    let gate = Gate::default();
    let (predictor, sizes) = gated(&gate);
    let server = TestServer::start(predictor, ServeConfig { batch_size: 16, ..ServeConfig::default() });
    let texts = numbered(41);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.predict(&json!({ "text": "first" })).ok().json());
        gate.wait_for_arrival();
        let others = scope.spawn(|| predict_all(&server, &texts));
        server.wait_for_metric("faknow_queued_texts", 41.0);
        gate.open();
        assert_eq!(first.join().unwrap()["label"], "first");
        for (text, response) in texts.iter().zip(others.join().unwrap()) {
            assert_eq!(response.ok().json()["label"], **text);
        }
    });
    assert_eq!(*sizes.lock().unwrap(), [1, 16, 16, 9]);
    assert_eq!(server.metric("faknow_batch_texts_count"), 4.0);
}

#[test]
fn never_splits_a_request() {
    let gate = Gate::default();
    let (predictor, sizes) = gated(&gate);
    let config = ServeConfig { batch_size: 4, max_texts: 6, ..ServeConfig::default() };
    let server = TestServer::start(predictor, config);
    std::thread::scope(|scope| {
        scope.spawn(|| server.predict(&json!({ "text": "first" })).ok());
        gate.wait_for_arrival();
        let request = |n: usize| {
            let texts = numbered(n);
            let response = server.predict(&json!({ "texts": texts })).ok().json();
            let labels =
                response["predictions"].as_array().unwrap().iter().map(|it| it["label"].as_str().unwrap());
            assert!(labels.eq(texts.iter().map(String::as_str)));
        };
        let mut waiting = 0;
        for n in [3, 2, 6, 1] {
            scope.spawn(move || request(n));
            waiting += n;
            server.wait_for_metric("faknow_queued_texts", waiting as f64);
        }
        gate.open();
    });
    assert_eq!(*sizes.lock().unwrap(), [1, 3, 2, 6, 1], "expected the order of arrival");
}

#[test]
fn concurrent_predictions_equal_those_of_the_detector() {
    let (served, detector) = detectors();
    let server = TestServer::with(served);
    let texts = texts(60);
    let responses = predict_all(&server, &texts);
    for (text, response) in texts.iter().zip(responses) {
        let (response, expected) = (response.ok().json(), &detector.predict(&[text]).unwrap()[0]);
        assert_eq!(response["label"], expected.label().unwrap());
        // The last bits of a score may depend on the other texts of the batch.
        assert!((response["score"].as_f64().unwrap() - expected.score().unwrap()).abs() < 1e-6, "{text}");
    }
}

#[test]
fn full_queue_rejects_requests_and_loses_none() {
    let gate = Gate::default();
    let (predictor, _) = gated(&gate);
    let server = TestServer::start(
        predictor,
        ServeConfig { queue: 8, max_texts: 8, batch_size: 4, ..ServeConfig::default() },
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.predict(&json!({ "text": "first" })));
        gate.wait_for_arrival();
        let queued = scope.spawn(|| predict_all(&server, &numbered(8)));
        server.wait_for_metric("faknow_queued_texts", 8.0);
        for response in predict_all(&server, &numbered(10)) {
            response.assert_error(
                429,
                "queue_full",
                "the queue is full: at most 8 texts may wait; try again in a second",
            );
            assert_eq!(response.header("retry-after"), Some("1"));
        }
        // Health checks still work.
        server.get("/healthz").ok();
        server.get("/readyz").ok();
        gate.open();
        first.join().unwrap().ok();
        queued.join().unwrap().into_iter().for_each(|response| drop(response.ok()));
    });
    server.predict(&json!({ "text": "later" })).ok();
}

#[test]
fn overload_predicts_or_rejects_every_request() {
    let predictor = Fake(|_: &[&str]| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    });
    let config = ServeConfig {
        queue: 4,
        max_texts: 4,
        batch_size: 2,
        timeout: Duration::from_millis(200),
        max_connections: 64,
        ..ServeConfig::default()
    };
    let server = TestServer::start(Box::new(predictor), config);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for _ in 0..5 {
        for response in predict_all(&server, &numbered(100)) {
            *statuses.entry(response.status).or_default() += 1;
        }
    }
    println!("{statuses:?}");
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains_key(&200), "{statuses:?}");
    assert_eq!(statuses.values().sum::<usize>(), 500);
}

#[test]
fn requests_that_time_out_are_not_predicted() {
    let gate = Gate::default();
    let predicted = Arc::new(Mutex::new(Vec::new()));
    let (inner_gate, seen) = (gate.clone(), Arc::clone(&predicted));
    let predictor = Fake(move |texts: &[&str]| {
        seen.lock().unwrap().extend(texts.iter().map(|text| (*text).to_owned()));
        inner_gate.wait();
        Ok(())
    });
    let config = ServeConfig { timeout: Duration::from_millis(300), ..ServeConfig::default() };
    let server = TestServer::start(Box::new(predictor), config);
    let part = "no prediction within 0.3 seconds; try again";
    server.predict(&json!({ "text": "started" })).assert_error(503, "timeout", part);
    let response = server.predict(&json!({ "text": "waiting" }));
    response.assert_error(503, "timeout", part);
    assert_eq!(response.header("retry-after"), Some("1"));
    // A client that disconnects.
    let mut stream = server.connect();
    stream.write_all(&post(br#"{"text": "disconnected"}"#)).unwrap();
    server.wait_for_metric("faknow_queued_texts", 2.0);
    drop(stream);
    server.wait_for_metric("faknow_connections", 1.0);
    gate.open();
    server.predict(&json!({ "text": "later" })).ok();
    assert_eq!(*predicted.lock().unwrap(), ["started", "later"]);
    server.wait_for_metric("faknow_queued_texts", 0.0);
}

#[test]
fn survives_failing_and_panicking_models() {
    let predictor = Fake(|texts: &[&str]| match texts[0] {
        "panic" => panic!("intentional"),
        "fail" => Err(faknow::Error::io("weights", std::io::Error::other("intentional"))),
        "invalid" => Err(faknow::data::Error::Dataset("not a text".into()).into()),
        _ => Ok(()),
    });
    let server = TestServer::with(predictor);
    for _ in 0..3 {
        for text in ["panic", "fail", "not a number"] {
            let response = server.predict(&json!({ "text": text }));
            response.assert_error(500, "model_failed", "the model failed; see the server log");
        }
        server.predict(&json!({ "text": "invalid" })).assert_error(422, "invalid_request", "not a text");
        assert_eq!(server.predict(&json!({ "text": "fine" })).ok().json()["label"], "fine");
    }
    server.get("/readyz").ok();
    assert_eq!(server.metric("faknow_predictions_total"), 3.0);
}

#[test]
fn shutdown_finishes_accepted_requests() {
    let gate = Gate::default();
    let (predictor, _) = gated(&gate);
    let mut server = TestServer::start(predictor, ServeConfig::default());
    let n_finished = AtomicUsize::new(0);
    // Idle connections are closed, not waited for.
    let mut idle = server.connect();
    idle.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let texts = numbered(20);
    std::thread::scope(|scope| {
        for text in &texts {
            let (server, n_finished) = (&server, &n_finished);
            scope.spawn(move || {
                assert_eq!(server.predict(&json!({ "text": text })).ok().json()["label"], **text);
                n_finished.fetch_add(1, Ordering::SeqCst);
            });
        }
        gate.wait_for_arrival();
        // The first batch has started with the requests that had arrived.
        let n_started = server.metric("faknow_batch_texts_sum");
        server.wait_for_metric("faknow_queued_texts", 20.0 - n_started);
        server.stop.request();
        // No new connections are accepted.
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(server.address).is_ok() {
            assert!(started.elapsed() < crate::support::TIMEOUT, "the server still listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        gate.open();
    });
    assert_eq!(n_finished.load(Ordering::SeqCst), 20);
    server.join();
    assert_eq!(Response::read(idle).status, 200);
}
