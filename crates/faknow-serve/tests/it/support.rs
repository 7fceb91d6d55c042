//! Detectors that train quickly, fake predictors, and a raw HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use faknow::callbacks::Callbacks;
use faknow::detector::{Explanation, Sample, SamplePrediction};
use faknow::tch::Device;
use faknow::trainer::{Interrupt, RunDir};
use faknow::{Config, Detector, Prediction, train};
use faknow_serve::{InputKind, ModelInfo, Predictor, ServeConfig, Server};
use serde_json::{Value, json};

/// Timeout of every wait in the tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns texts of the classes real and fake, alternating.
pub(crate) fn texts(n: usize) -> Vec<String> {
    const SHARED: [&str; 6] = ["rain", "mayor", "storm", "market", "bridge", "vote"];
    let text = |index: usize| {
        let keyword = ["officials", "shocking"][index % 2];
        let shared = (0..3 + index % 4).map(|word| SHARED[(index * 7 + word * 5) % SHARED.len()]);
        format!("{} {keyword}", shared.collect::<Vec<_>>().join(" "))
    };
    (0..n).map(text).collect()
}

fn train_detector(file: &str, content: &str, settings: &[&str]) -> (tempfile::TempDir, Detector) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    std::fs::write(&path, content).unwrap();
    let common = ["device=cpu", "threads=1", "trainer.epochs=2", "loader.batch_size=10", "loader.workers=0"];
    let mut config = Config::default().set_all(&[&common, settings].concat()).unwrap();
    config.data.train = Some(path.into());
    let run = dir.path().join("run");
    train(&config, || RunDir::create(&run), Callbacks::default()).unwrap();
    let detector = Detector::load(&run, Device::Cpu).unwrap();
    (dir, detector)
}

/// Trains a text detector and loads it twice, as a server takes ownership of one.
pub(crate) fn detectors() -> (Detector, Detector) {
    let rows: String = texts(40)
        .iter()
        .enumerate()
        .map(|(i, text)| format!("{text},{}\n", ["real", "fake"][i % 2]))
        .collect();
    let settings = ["model.embedding_size=8", "model.n_filters=4"];
    let (dir, detector) = train_detector("train.csv", &format!("text,label\n{rows}"), &settings);
    (detector, Detector::load(&dir.path().join("run"), Device::Cpu).unwrap())
}

/// Returns a tree of two posts as JSON.
pub(crate) fn tree(id: usize) -> Value {
    let word = ["calm", "shocking"][id % 2];
    let nodes = json!([
        { "id": "a", "text": format!("{word} news") },
        { "id": "b", "parent": "a", "text": word },
    ]);
    json!({ "id": id, "label": (["true", "false"][id % 2]), "nodes": nodes })
}

/// Trains a tree detector and loads it twice.
pub(crate) fn tree_detectors() -> (Detector, Detector) {
    let lines: String = (0..40).map(|id| tree(id).to_string() + "\n").collect();
    let settings = ["model.name=upfd-gcn", "data.classes=[\"true\", \"false\"]"];
    let (dir, detector) = train_detector("train.jsonl", &lines, &settings);
    (detector, Detector::load(&dir.path().join("run"), Device::Cpu).unwrap())
}

/// A predictor that calls a closure with the batch and then returns each text, with its domain if it has one, as its label.
pub(crate) struct Fake<F>(pub(crate) F);

impl<F: Fn(&[&str]) -> faknow::Result<()> + Send> Predictor for Fake<F> {
    fn info(&self) -> ModelInfo {
        ModelInfo { model: "fake".into(), classes: vec!["any".into()], input: InputKind::Texts }
    }

    fn predict(&self, samples: &[Sample]) -> faknow::Result<Vec<SamplePrediction>> {
        let text = |sample: &Sample| match sample {
            Sample::Text(text) => text.clone(),
            Sample::Record(record) => {
                format!("{} ({})", record.text, record.domain.as_deref().unwrap_or("no domain"))
            }
            other => panic!("not a text: {other:?}"),
        };
        let texts: Vec<String> = samples.iter().map(text).collect();
        (self.0)(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let echo = |text: String| {
            let score = if text == "not a number" { f64::NAN } else { 1.0 };
            let prediction = Prediction { label: text, score, scores: vec![("any".into(), score)] };
            SamplePrediction { outcome: Ok(prediction), known_tokens: 1, n_tokens: 1, lacks_domain: false }
        };
        Ok(texts.into_iter().map(echo).collect())
    }

    fn explain(
        &self,
        _sample: &Sample,
        _proceed: &mut dyn FnMut() -> bool,
    ) -> faknow::Result<Option<Explanation>> {
        Err(faknow::Error::config("", "no explanations"))
    }
}

/// Creates a predictor that only returns each text as its label.
pub(crate) fn echo() -> Box<dyn Predictor> {
    Box::new(Fake(|_: &[&str]| Ok(())))
}

/// A gate at which a predictor waits until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_open: bool,
    n_waiting: usize,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().is_open = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open.
    pub(crate) fn wait(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.n_waiting += 1;
        self.0.1.notify_all();
        let _open = self.0.1.wait_timeout_while(state, TIMEOUT, |state| !state.is_open).unwrap();
    }

    /// Waits until a predictor waits at the gate.
    pub(crate) fn wait_for_arrival(&self) {
        let state = self.0.0.lock().unwrap();
        let (_state, wait) =
            self.0.1.wait_timeout_while(state, TIMEOUT, |state| state.n_waiting == 0).unwrap();
        assert!(!wait.timed_out(), "no predictor arrived at the gate");
    }
}

/// A running server; dropping it shuts the server down.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Interrupt,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start(predictor: Box<dyn Predictor>, config: ServeConfig) -> Self {
        let server = Server::bind(ServeConfig { port: 0, ..config }).unwrap();
        let (address, stop) = (server.address(), Interrupt::default());
        let stop_signal = stop.clone();
        let thread = std::thread::spawn(move || server.run("first", predictor, &stop_signal).unwrap());
        Self { address, stop, thread: Some(thread) }
    }

    pub(crate) fn with(predictor: impl Predictor + 'static) -> Self {
        Self::start(Box::new(predictor), ServeConfig::default())
    }

    /// Waits until the server has ended.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a graceful shutdown");
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
    }

    /// Sends a prediction request with this JSON.
    pub(crate) fn predict(&self, body: &Value) -> Response {
        self.post(body.to_string().as_bytes())
    }

    /// Sends a prediction request with this body and the content type JSON.
    pub(crate) fn post(&self, body: &[u8]) -> Response {
        self.raw(&post(body))
    }

    /// Sends raw bytes and reads the response.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        Response::read(stream)
    }

    /// Returns the value of a metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").body).unwrap();
        let values = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has this value.
    pub(crate) fn wait_for_metric(&self, name: &str, value: f64) {
        let started = std::time::Instant::now();
        while self.metric(name) != value {
            assert!(started.elapsed() < TIMEOUT, "{name}: expected {value}, got {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.request();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

/// Returns a prediction request with this body and the content type JSON.
pub(crate) fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A response of the server.
#[derive(Debug)]
pub(crate) struct Response {
    /// Status code; 0 if the connection was closed without a response.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // The client sees what arrived before the connection broke.
        let _ = stream.read_to_end(&mut bytes);
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |index| index + 4);
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes[end..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Asserts the status 200.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}{text}", self.head))
    }

    /// Asserts an error response with this status and code, and a message that contains `part`.
    pub(crate) fn assert_error(&self, status: u16, code: &str, part: &str) {
        let body = self.json();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((self.status, body["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert!(message.contains(part) && !message.contains('\n'), "{message}\nlacks {part}");
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}
