//! One thread for predictions and explanations: neither starves the other, and a failing sample fails alone.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use faknow::detector::{Explanation, Sample, SamplePrediction, TextExplanation};
use faknow_serve::{ModelInfo, Predictor, ServeConfig};
use serde_json::json;

use crate::support::{Fake, Gate, TIMEOUT, TestServer, echo, post, tree, tree_detectors};

/// A predictor whose explanation has parts: a closure is called after each, and returns whether it was the last.
struct InParts<F> {
    predictor: Box<dyn Predictor>,
    is_last: F,
    n_abandoned: Arc<AtomicUsize>,
}

impl<F: Fn() -> bool + Send> Predictor for InParts<F> {
    fn info(&self) -> ModelInfo {
        self.predictor.info()
    }

    fn predict(&self, samples: &[Sample]) -> faknow::Result<Vec<SamplePrediction>> {
        self.predictor.predict(samples)
    }

    fn explain(
        &self,
        sample: &Sample,
        proceed: &mut dyn FnMut() -> bool,
    ) -> faknow::Result<Option<Explanation>> {
        while !(self.is_last)() {
            if !proceed() {
                self.n_abandoned.fetch_add(1, SeqCst);
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let prediction = self.predict(std::slice::from_ref(sample))?.remove(0);
        let (parts, baseline, residual) = Default::default();
        let ngrams = Vec::new();
        Ok(Some(Explanation::Text(TextExplanation { prediction, parts, ngrams, baseline, residual })))
    }
}

/// A server whose explanations end when `finish` is set.
struct Endless {
    server: TestServer,
    finish: Arc<AtomicBool>,
    n_parts: Arc<AtomicUsize>,
    n_abandoned: Arc<AtomicUsize>,
}

impl Endless {
    fn start(config: ServeConfig) -> Self {
        let (finish, n_parts, n_abandoned): (Arc<AtomicBool>, Arc<AtomicUsize>, Arc<_>) = Default::default();
        let (is_finished, parts) = (Arc::clone(&finish), Arc::clone(&n_parts));
        let is_last = move || {
            parts.fetch_add(1, SeqCst);
            is_finished.load(SeqCst)
        };
        let predictor = InParts { predictor: echo(), is_last, n_abandoned: Arc::clone(&n_abandoned) };
        Self { server: TestServer::start(Box::new(predictor), config), finish, n_parts, n_abandoned }
    }

    /// Waits until an explanation has started.
    fn wait_for_start(&self) {
        wait_until_positive(&self.n_parts);
    }
}

fn wait_until_positive(count: &AtomicUsize) {
    let started = std::time::Instant::now();
    while count.load(SeqCst) == 0 {
        assert!(started.elapsed() < TIMEOUT);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn explain(server: &TestServer) -> crate::support::Response {
    server.predict(&json!({ "text": "why", "explain": true }))
}

#[test]
fn predictions_do_not_wait_for_the_end_of_an_explanation() {
    let endless = Endless::start(ServeConfig::default());
    let server = &endless.server;
    std::thread::scope(|scope| {
        let explanation = scope.spawn(|| explain(server));
        endless.wait_for_start();
        for n in 0..20 {
            let text = format!("text {n}");
            assert_eq!(server.predict(&json!({ "text": text })).ok().json()["label"], text);
        }
        assert!(!explanation.is_finished());
        endless.finish.store(true, SeqCst);
        assert_eq!(explanation.join().unwrap().ok().json()["label"], "why");
    });
    assert_eq!(server.metric("faknow_explanations_total"), 1.0);
    assert_eq!(server.metric("faknow_predictions_total"), 21.0);
    // The batches of predictions only.
    assert_eq!(server.metric("faknow_batch_texts_sum"), 20.0);
}

#[test]
fn explanations_finish_under_a_constant_load_of_predictions() {
    let (n_parts, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let is_last = move || n_parts.fetch_add(1, SeqCst) == 30;
    let predictor = InParts { predictor: echo(), is_last, n_abandoned: Arc::default() };
    let server = TestServer::start(Box::new(predictor), ServeConfig::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    server.predict(&json!({ "text": "rain" })).ok();
                }
            });
        }
        let explanation = explain(&server);
        done.store(true, SeqCst);
        assert_eq!(explanation.ok().json()["label"], "why");
    });
}

#[test]
fn explanations_have_a_separate_queue() {
    let endless = Endless::start(ServeConfig { explain_queue: 1, ..ServeConfig::default() });
    let server = &endless.server;
    std::thread::scope(|scope| {
        let started = scope.spawn(|| explain(server));
        endless.wait_for_start();
        let queued = scope.spawn(|| explain(server));
        server.wait_for_metric("faknow_queued_explanations", 1.0);
        let part = "the queue is full: at most 1 explanations may wait; try again in a second";
        explain(server).assert_error(429, "queue_full", part);
        server.predict(&json!({ "texts": vec!["rain"; 64] })).ok();
        endless.finish.store(true, SeqCst);
        started.join().unwrap().ok();
        queued.join().unwrap().ok();
    });
    server.wait_for_metric("faknow_queued_explanations", 0.0);
}

#[test]
fn abandons_explanations_without_a_client() {
    let endless = Endless::start(ServeConfig::default());
    let mut stream = endless.server.connect();
    stream.write_all(&post(br#"{"text": "why", "explain": true}"#)).unwrap();
    endless.wait_for_start();
    drop(stream);
    wait_until_positive(&endless.n_abandoned);
    endless.server.predict(&json!({ "text": "rain" })).ok();

    let config = ServeConfig { timeout: Duration::from_millis(500), ..ServeConfig::default() };
    let endless = Endless::start(config);
    explain(&endless.server).assert_error(503, "timeout", "no prediction within 0.5 seconds");
    endless.server.predict(&json!({ "text": "rain" })).ok();
    assert_eq!(endless.server.metric("faknow_explanations_total"), 0.0);
}

#[test]
fn a_failing_sample_fails_alone() {
    // The failures of a predictor, with the status and code of the sample that causes them.
    let failures: [(&str, u16, &str, &str); 5] = [
        ("fail", 500, "model_failed", "the model failed; see the server log"),
        ("panic", 500, "model_failed", "the model failed; see the server log"),
        ("not a number", 500, "model_failed", "the model failed; see the server log"),
        ("torch", 500, "model_failed", "the model failed; see the server log"),
        ("invalid", 422, "invalid_request", "not a text"),
    ];
    for (bad, status, code, message) in failures {
        let gate = Gate::default();
        let inner_gate = gate.clone();
        let predictor = Fake(move |texts: &[&str]| {
            inner_gate.wait();
            match bad {
                _ if !texts.contains(&bad) => Ok(()),
                "fail" => Err(faknow::Error::io("weights", std::io::Error::other("intentional"))),
                "invalid" => Err(faknow::data::Error::Dataset("not a text".into()).into()),
                "panic" => panic!("intentional"),
                "torch" => {
                    let matrix = faknow::tch::Tensor::zeros([2, 3], faknow::tch::kind::FLOAT_CPU);
                    drop(matrix.matmul(&matrix));
                    Ok(())
                }
                _ => Ok(()),
            }
        });
        let server = TestServer::with(predictor);
        let requests = [
            json!({ "text": "a" }),
            json!({ "texts": ["b", "c"] }),
            json!({ "text": bad }),
            json!({ "texts": ["d", "e", bad, "f"] }),
            json!({ "texts": ["g"] }),
        ];
        let responses: Vec<_> = std::thread::scope(|scope| {
            let first = scope.spawn(|| server.predict(&json!({ "text": "first" })).ok());
            gate.wait_for_arrival();
            let threads = requests.each_ref().map(|request| scope.spawn(|| server.predict(request)));
            server.wait_for_metric("faknow_queued_texts", 9.0);
            gate.open();
            first.join().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let [a, bc, alone, listed, g] = &responses[..] else { panic!("five responses") };
        assert_eq!(a.json()["label"], "a", "{bad}");
        let labels = |index: usize| bc.json()["predictions"][index]["label"].clone();
        assert_eq!((labels(0), labels(1)), (json!("b"), json!("c")), "{bad}");
        assert_eq!(g.json()["predictions"][0]["label"], "g", "{bad}");
        alone.assert_error(status, code, message);
        listed.assert_error(status, code, &format!("`texts[2]`: {message}"));
        let n_failed = if status == 500 { 2.0 } else { 0.0 };
        assert_eq!(server.metric("faknow_failed_texts_total"), n_failed, "{bad}");
    }
}

#[test]
fn explanations_of_trees_have_a_size_limit() {
    let (detector, _) = tree_detectors();
    let config = ServeConfig { max_explain_nodes: 2, ..ServeConfig::default() };
    let server = TestServer::start(Box::new(detector), config);
    let mut large = tree(0);
    let more = json!({ "id": "c", "parent": "b", "text": "calm" });
    large["nodes"].as_array_mut().unwrap().push(more);
    server.predict(&json!({ "tree": large })).ok();
    server.predict(&json!({ "tree": tree(0), "explain": true })).ok();
    let part = "expected at most 2 nodes with `explain`, got 3";
    let check = |body| server.predict(&body).assert_error(422, "tree_too_large", part);
    check(json!({ "tree": large, "explain": true }));
    check(json!({ "trees": [large], "explain": true }));
}
