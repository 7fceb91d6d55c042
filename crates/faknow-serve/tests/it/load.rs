//! Many requests at once: batches, overload, models that fail, and the end in good order.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faknow_serve::ServeConfig;
use serde_json::json;

use crate::support::{Answer, Door, Fake, Running, detectors, post, texts};

/// Asks for each text at once, each over a connection of its own.
fn ask_all(server: &Running, texts: &[String]) -> Vec<Answer> {
    let ask = |text: &String| server.predict(&json!({ "text": text }));
    std::thread::scope(|scope| {
        let threads: Vec<_> = texts.iter().map(|text| scope.spawn(move || ask(text))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("text {i}")).collect()
}

/// A judge that waits at a door, with the sizes of its batches.
fn waiting(door: &Door) -> (Box<dyn faknow_serve::Predictor>, Arc<Mutex<Vec<usize>>>) {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (door, seen) = (door.clone(), Arc::clone(&sizes));
    let judge = Fake(move |texts: &[&str]| {
        seen.lock().unwrap().push(texts.len());
        door.pass();
        Ok(())
    });
    (Box::new(judge), sizes)
}

#[test]
fn requests_that_wait_are_judged_together_and_each_gets_its_own_answer() {
    let door = Door::default();
    let (judge, sizes) = waiting(&door);
    let server = Running::start(judge, ServeConfig { batch_size: 16, ..ServeConfig::default() });
    let texts = numbered(41);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.predict(&json!({ "text": "first" })).ok().json());
        door.until_reached();
        let others = scope.spawn(|| ask_all(&server, &texts));
        server.until_metric("faknow_queued_texts", 41.0);
        door.open();
        assert_eq!(first.join().unwrap()["label"], "first");
        for (text, answer) in texts.iter().zip(others.join().unwrap()) {
            assert_eq!(answer.ok().json()["label"], **text);
        }
    });
    assert_eq!(*sizes.lock().unwrap(), [1, 16, 16, 9]);
    assert_eq!(server.metric("faknow_batch_texts_count"), 4.0);
}

#[test]
fn requests_of_several_texts_are_never_cut() {
    let door = Door::default();
    let (judge, sizes) = waiting(&door);
    let config = ServeConfig { batch_size: 4, max_texts: 6, ..ServeConfig::default() };
    let server = Running::start(judge, config);
    std::thread::scope(|scope| {
        scope.spawn(|| server.predict(&json!({ "text": "first" })).ok());
        door.until_reached();
        let ask = |n: usize| {
            let texts = numbered(n);
            let answer = server.predict(&json!({ "texts": texts })).ok().json();
            let labels =
                answer["predictions"].as_array().unwrap().iter().map(|it| it["label"].as_str().unwrap());
            assert!(labels.eq(texts.iter().map(String::as_str)));
        };
        let mut waiting = 0;
        for n in [3, 2, 6, 1] {
            scope.spawn(move || ask(n));
            waiting += n;
            server.until_metric("faknow_queued_texts", waiting as f64);
        }
        door.open();
    });
    assert_eq!(*sizes.lock().unwrap(), [1, 3, 2, 6, 1], "in their order");
}

#[test]
fn concurrent_judgments_are_those_of_the_detector() {
    let (served, detector) = detectors();
    let server = Running::of(served);
    let texts = texts(60);
    let answers = ask_all(&server, &texts);
    for (text, answer) in texts.iter().zip(answers) {
        let (answer, expected) = (answer.ok().json(), &detector.predict(&[text]).unwrap()[0]);
        assert_eq!(answer["label"], expected.label.as_str());
        // A text's last bits may depend on those that it was judged with.
        assert!((answer["score"].as_f64().unwrap() - expected.score).abs() < 1e-6, "{text}");
    }
}

#[test]
fn a_full_queue_refuses_and_loses_nothing_that_it_took() {
    let door = Door::default();
    let (judge, _) = waiting(&door);
    let server = Running::start(
        judge,
        ServeConfig { queue: 8, max_texts: 8, batch_size: 4, ..ServeConfig::default() },
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.predict(&json!({ "text": "first" })));
        door.until_reached();
        let taken = scope.spawn(|| ask_all(&server, &numbered(8)));
        server.until_metric("faknow_queued_texts", 8.0);
        for answer in ask_all(&server, &numbered(10)) {
            answer.refused(429, "queue_full", "8 texts wait already: try again in a second");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        // Those who watch it are answered all the same.
        server.get("/healthz").ok();
        server.get("/readyz").ok();
        door.open();
        first.join().unwrap().ok();
        taken.join().unwrap().into_iter().for_each(|answer| drop(answer.ok()));
    });
    server.predict(&json!({ "text": "later" })).ok();
}

#[test]
fn under_overload_every_request_is_judged_or_refused() {
    let judge = Fake(|_: &[&str]| {
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
    let server = Running::start(Box::new(judge), config);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for _ in 0..5 {
        for answer in ask_all(&server, &numbered(100)) {
            *statuses.entry(answer.status).or_default() += 1;
        }
    }
    println!("{statuses:?}");
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains_key(&200), "{statuses:?}");
    assert_eq!(statuses.values().sum::<usize>(), 500);
}

#[test]
fn who_waits_too_long_is_told_and_not_judged() {
    let door = Door::default();
    let judged = Arc::new(Mutex::new(Vec::new()));
    let (at, seen) = (door.clone(), Arc::clone(&judged));
    let judge = Fake(move |texts: &[&str]| {
        seen.lock().unwrap().extend(texts.iter().map(|text| (*text).to_owned()));
        at.pass();
        Ok(())
    });
    let config = ServeConfig { timeout: Duration::from_millis(300), ..ServeConfig::default() };
    let server = Running::start(Box::new(judge), config);
    let part = "no answer within 0.3 seconds: try again";
    server.predict(&json!({ "text": "begun" })).refused(503, "timeout", part);
    let answer = server.predict(&json!({ "text": "waited" }));
    answer.refused(503, "timeout", part);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // One whose client goes away.
    let mut stream = server.connect();
    stream.write_all(&post(br#"{"text": "gone"}"#)).unwrap();
    server.until_metric("faknow_queued_texts", 2.0);
    drop(stream);
    server.until_metric("faknow_connections", 1.0);
    door.open();
    server.predict(&json!({ "text": "later" })).ok();
    assert_eq!(*judged.lock().unwrap(), ["begun", "later"]);
    server.until_metric("faknow_queued_texts", 0.0);
}

#[test]
fn a_model_that_fails_or_panics_is_survived() {
    let judge = Fake(|texts: &[&str]| match texts[0] {
        "panic" => panic!("by intention"),
        "fail" => Err(faknow::Error::io("weights", std::io::Error::other("by intention"))),
        "wrong" => Err(faknow::data::Error::Dataset("that is no text".into()).into()),
        _ => Ok(()),
    });
    let server = Running::of(judge);
    for _ in 0..3 {
        for text in ["panic", "fail", "not a number"] {
            let answer = server.predict(&json!({ "text": text }));
            answer.refused(500, "model_failed", "the model failed; see the log of the server");
        }
        server.predict(&json!({ "text": "wrong" })).refused(422, "invalid_request", "that is no text");
        assert_eq!(server.predict(&json!({ "text": "fine" })).ok().json()["label"], "fine");
    }
    server.get("/readyz").ok();
    assert_eq!(server.metric("faknow_predictions_total"), 3.0);
}

#[test]
fn one_wrong_request_does_not_spoil_those_beside_it() {
    let door = Door::default();
    let at = door.clone();
    let judge = Fake(move |texts: &[&str]| {
        at.pass();
        match texts.contains(&"wrong") {
            true => Err(faknow::data::Error::Dataset("that is no text".into()).into()),
            false => Ok(()),
        }
    });
    let server = Running::of(judge);
    std::thread::scope(|scope| {
        scope.spawn(|| server.predict(&json!({ "text": "first" })).ok());
        door.until_reached();
        let texts: Vec<String> = ["a", "wrong", "b", "c"].map(str::to_owned).into();
        let answers = scope.spawn({
            let server = &server;
            move || ask_all(server, &texts)
        });
        server.until_metric("faknow_queued_texts", 4.0);
        door.open();
        let statuses: Vec<u16> = answers.join().unwrap().iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 422, 200, 200]);
    });
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let door = Door::default();
    let (judge, _) = waiting(&door);
    let mut server = Running::start(judge, ServeConfig::default());
    let n_answered = AtomicUsize::new(0);
    // Idle connections are closed, not waited for.
    let mut idle = server.connect();
    idle.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let texts = numbered(20);
    std::thread::scope(|scope| {
        for text in &texts {
            let (server, n_answered) = (&server, &n_answered);
            scope.spawn(move || {
                assert_eq!(server.predict(&json!({ "text": text })).ok().json()["label"], **text);
                n_answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        door.until_reached();
        // The first batch is begun, with as many as there were.
        let begun = server.metric("faknow_batch_texts_sum");
        server.until_metric("faknow_queued_texts", 20.0 - begun);
        server.stop.request();
        // No new connections: some wait at the closed door, none is answered.
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(server.address).is_ok() {
            assert!(started.elapsed() < crate::support::PATIENCE, "it still listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        door.open();
    });
    assert_eq!(n_answered.load(Ordering::SeqCst), 20);
    server.join();
    assert_eq!(Answer::read(idle).status, 200);
}
