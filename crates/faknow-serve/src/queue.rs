//! The bounded queues of requests: predictions and explanations have separate places.

use std::sync::Arc;
use std::thread::JoinHandle;

use faknow::detector::{Explanation, Sample, SamplePrediction};
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::metrics::Metrics;
use crate::request::PredictRequest;
use crate::worker::Worker;
use crate::{Error, Predictor, Result, ServeConfig};

/// Result for a sample.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Output {
    Prediction(SamplePrediction),
    Explanation(Explanation),
}

/// Reason why a sample has no prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The model does not take this sample; the message is for the client.
    Input(String),
    /// The model failed.
    Model,
}

/// The results for all samples of a request, or the index of the first sample without one, with the reason.
pub(crate) type Reply = std::result::Result<Vec<Output>, (usize, Failure)>;

/// Reason why a request was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueError {
    Full,
    /// The thread has ended.
    Closed,
}

/// The sending end of the queues. When it is dropped, the thread processes the remaining requests and ends.
pub(crate) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    predictions: Places,
    explanations: Places,
}

/// The places of a queue, one per sample.
struct Places {
    free: Arc<Semaphore>,
    /// Number of taken places.
    taken: Gauge,
}

/// A queued request. If `reply` is closed, the client has disconnected or has timed out.
pub(crate) struct Job {
    pub(crate) samples: Vec<Sample>,
    pub(crate) explain: bool,
    pub(crate) reply: oneshot::Sender<Reply>,
    pub(crate) permit: QueuePermit,
}

/// The places of a job in its queue, until the thread starts it.
pub(crate) struct QueuePermit {
    n: usize,
    taken: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.taken.dec_by(self.n as i64);
    }
}

impl Places {
    fn new(n: usize, taken: &Gauge) -> Self {
        Self { free: Arc::new(Semaphore::new(n)), taken: taken.clone() }
    }

    /// Takes `n` places, or returns `None` if fewer are free.
    fn take(&self, n: usize) -> Option<QueuePermit> {
        let permits = u32::try_from(n).ok()?;
        let permit = Arc::clone(&self.free).try_acquire_many_owned(permits).ok()?;
        self.taken.inc_by(n as i64);
        Some(QueuePermit { n, taken: self.taken.clone(), _permit: permit })
    }
}

impl Queue {
    /// Starts the thread that owns the predictor.
    pub(crate) fn start(
        predictor: Box<dyn Predictor>,
        config: &ServeConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let mut worker = Worker::new(predictor, waiting, config.batch_size, metrics);
        let thread = std::thread::Builder::new().name("inference".into());
        let thread = thread.spawn(move || worker.run()).map_err(|source| Error::Start { source })?;
        let predictions = Places::new(config.queue, &metrics.queued_texts);
        let explanations = Places::new(config.explain_queue, &metrics.queued_explanations);
        Ok((Self { jobs, predictions, explanations }, thread))
    }

    /// Appends a request to its queue. Dropping the receiver removes it, unless its batch has started.
    pub(crate) fn push(
        &self,
        request: PredictRequest,
    ) -> std::result::Result<oneshot::Receiver<Reply>, QueueError> {
        let PredictRequest { samples, explain, .. } = request;
        let places = if explain { &self.explanations } else { &self.predictions };
        let permit = places.take(samples.len()).ok_or(QueueError::Full)?;
        let (reply, receiver) = oneshot::channel();
        self.jobs.send(Job { samples, explain, reply, permit }).map_err(|_| QueueError::Closed)?;
        Ok(receiver)
    }

    /// Returns whether the worker is running.
    pub(crate) fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }
}
