//! Detectors that train in a moment, judges that do what a test wants, and a client that hides nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use faknow::callbacks::Callbacks;
use faknow::detector::{Explanation, Sample};
use faknow::tch::Device;
use faknow::trainer::{Interrupt, RunDir};
use faknow::{Config, Detector, Prediction, train};
use faknow_serve::{InputKind, ModelInfo, Predictor, ServeConfig, Server};
use serde_json::{Value, json};

/// Nothing takes so long, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Texts of real and fake in turn.
pub(crate) fn texts(n: usize) -> Vec<String> {
    const SHARED: [&str; 6] = ["rain", "mayor", "storm", "market", "bridge", "vote"];
    let text = |index: usize| {
        let own = ["officials", "shocking"][index % 2];
        let shared = (0..3 + index % 4).map(|place| SHARED[(index * 7 + place * 5) % SHARED.len()]);
        format!("{} {own}", shared.collect::<Vec<_>>().join(" "))
    };
    (0..n).map(text).collect()
}

fn trained(file: &str, content: &str, settings: &[&str]) -> (tempfile::TempDir, Detector) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    std::fs::write(&path, content).unwrap();
    let common = ["device=cpu", "threads=1", "trainer.epochs=2", "loader.batch_size=10", "loader.workers=0"];
    let mut config = Config::default().set_all(&[&common, settings].concat()).unwrap();
    config.data.train = Some(path);
    let run = dir.path().join("run");
    train(&config, || RunDir::create(&run), Callbacks::default()).unwrap();
    let detector = Detector::load(&run, Device::Cpu).unwrap();
    (dir, detector)
}

/// A detector of texts; two of them loaded from one run, since a server takes its own.
pub(crate) fn detectors() -> (Detector, Detector) {
    let rows: String = texts(40)
        .iter()
        .enumerate()
        .map(|(i, text)| format!("{text},{}\n", ["real", "fake"][i % 2]))
        .collect();
    let settings = ["model.embedding_size=8", "model.n_filters=4"];
    let (dir, detector) = trained("train.csv", &format!("text,label\n{rows}"), &settings);
    (detector, Detector::load(&dir.path().join("run"), Device::Cpu).unwrap())
}

/// A tree of two posts, as JSON has it.
pub(crate) fn tree(id: usize) -> Value {
    let word = ["calm", "shocking"][id % 2];
    let nodes = json!([
        { "id": "a", "text": format!("{word} news") },
        { "id": "b", "parent": "a", "text": word },
    ]);
    json!({ "id": id, "label": (["true", "false"][id % 2]), "nodes": nodes })
}

/// The same for a detector of trees.
pub(crate) fn tree_detectors() -> (Detector, Detector) {
    let lines: String = (0..40).map(|id| tree(id).to_string() + "\n").collect();
    let settings = ["model.name=upfd-gcn", "data.classes=[\"true\", \"false\"]"];
    let (dir, detector) = trained("train.jsonl", &lines, &settings);
    (detector, Detector::load(&dir.path().join("run"), Device::Cpu).unwrap())
}

/// A judge whose label is the text itself, after it did what a test wants with the batch.
pub(crate) struct Fake<F>(pub(crate) F);

impl<F: Fn(&[&str]) -> faknow::Result<()> + Send> Predictor for Fake<F> {
    fn info(&self) -> ModelInfo {
        ModelInfo { model: "fake".into(), classes: vec!["any".into()], input: InputKind::Texts }
    }

    fn predict(&self, samples: &[Sample]) -> faknow::Result<Vec<Prediction>> {
        let text = |sample: &Sample| match sample {
            Sample::Text(text) => text.clone(),
            other => panic!("not a text: {other:?}"),
        };
        let texts: Vec<String> = samples.iter().map(text).collect();
        (self.0)(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let echo = |text: String| {
            let score = if text == "not a number" { f64::NAN } else { 1.0 };
            Prediction { label: text, score, scores: vec![("any".into(), score)] }
        };
        Ok(texts.into_iter().map(echo).collect())
    }

    fn explain(&self, _sample: &Sample) -> faknow::Result<Explanation> {
        Err(faknow::Error::config("", "it has no reasons"))
    }
}

/// A judge that does nothing but echo.
pub(crate) fn echo() -> Box<dyn Predictor> {
    Box::new(Fake(|_: &[&str]| Ok(())))
}

/// A door that a judge waits at until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_open: bool,
    n_waiting: usize,
}

impl Door {
    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().is_open = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub(crate) fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.n_waiting += 1;
        self.0.1.notify_all();
        let _open = self.0.1.wait_timeout_while(state, PATIENCE, |state| !state.is_open).unwrap();
    }

    /// Waits until somebody waits at it.
    pub(crate) fn until_reached(&self) {
        let state = self.0.0.lock().unwrap();
        let (_state, waited) =
            self.0.1.wait_timeout_while(state, PATIENCE, |state| state.n_waiting == 0).unwrap();
        assert!(!waited.timed_out(), "nobody came");
    }
}

/// A server that runs, and ends with this.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Interrupt,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(judge: Box<dyn Predictor>, config: ServeConfig) -> Self {
        let server = Server::bind(ServeConfig { port: 0, ..config }).unwrap();
        let (address, stop) = (server.address(), Interrupt::default());
        let asked = stop.clone();
        let thread = std::thread::spawn(move || server.run("first", judge, &asked).unwrap());
        Self { address, stop, thread: Some(thread) }
    }

    pub(crate) fn of(judge: impl Predictor + 'static) -> Self {
        Self::start(Box::new(judge), ServeConfig::default())
    }

    /// Waits until the server has ended.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a server that ends in good order");
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
    }

    /// Sends JSON to be judged.
    pub(crate) fn predict(&self, body: &Value) -> Answer {
        self.post(body.to_string().as_bytes())
    }

    /// Sends a body that says it is JSON.
    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        self.raw(&post(body))
    }

    /// Sends these bytes, and reads whatever comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        Answer::read(stream)
    }

    /// The value of a metric without labels, or the sum over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").body).unwrap();
        let values = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has this value.
    pub(crate) fn until_metric(&self, name: &str, value: f64) {
        let started = std::time::Instant::now();
        while self.metric(name) != value {
            assert!(started.elapsed() < PATIENCE, "{name} stays {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.request();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

/// A request with this body, which says it is JSON.
pub(crate) fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 if the connection was closed without an answer.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // What came before the connection broke is what the client sees.
        let _ = stream.read_to_end(&mut bytes);
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |place| place + 4);
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes[end..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// It went well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}{}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}{text}", self.head))
    }

    /// It was refused in the form that all refusals have; the message holds `part`.
    pub(crate) fn refused(&self, status: u16, code: &str, part: &str) {
        let answer = self.json();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((self.status, answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
        assert!(message.contains(part) && !message.contains('\n'), "{message}\nlacks {part}");
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}
