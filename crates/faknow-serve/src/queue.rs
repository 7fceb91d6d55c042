//! The bounded queue of requests, and the thread that predicts all waiting requests as one batch.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use faknow::Prediction;
use faknow::data::common::panic_message;
use faknow::detector::{Explanation, Sample};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::metrics::Metrics;
use crate::request::{PredictRequest, client_message};
use crate::{Error, Predictor, Result, ServeConfig};

/// Result for a sample.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Output {
    Prediction(Prediction),
    Explanation(Explanation),
}

/// Reason why a request has no predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The model does not take these samples; the message is for the client.
    Input(String),
    /// The model failed.
    Model,
}

pub(crate) type Reply = std::result::Result<Vec<Output>, Failure>;

/// Reason why a request was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueError {
    Full,
    /// The thread has ended.
    Closed,
}

/// The sending end of the queue. When it is dropped, the thread processes the remaining requests and ends.
pub(crate) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    /// One permit per free place for a sample.
    capacity: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// A queued request. If `reply` is closed, the client has disconnected or has timed out.
struct Job {
    samples: Vec<Sample>,
    explain: bool,
    reply: oneshot::Sender<Reply>,
    permit: QueuePermit,
}

/// The places of a job in the queue, until a batch takes it.
struct QueuePermit {
    n: usize,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.metrics.queued_texts.dec_by(self.n as i64);
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
        let capacity = Arc::new(Semaphore::new(config.queue));
        let metrics = Arc::clone(metrics);
        let mut worker = Worker {
            predictor,
            waiting,
            next: None,
            batch_size: config.batch_size,
            metrics: Arc::clone(&metrics),
        };
        let thread = std::thread::Builder::new().name("inference".into());
        let thread = thread.spawn(move || worker.run()).map_err(|source| Error::Start { source })?;
        Ok((Self { jobs, capacity, metrics }, thread))
    }

    /// Appends a request to the queue. Dropping the receiver removes it, unless its batch has started.
    pub(crate) fn push(
        &self,
        request: PredictRequest,
    ) -> std::result::Result<oneshot::Receiver<Reply>, QueueError> {
        let n = request.samples.len();
        let permits = u32::try_from(n).map_err(|_| QueueError::Full)?;
        let permit =
            Arc::clone(&self.capacity).try_acquire_many_owned(permits).map_err(|_| QueueError::Full)?;
        self.metrics.queued_texts.inc_by(n as i64);
        let permit = QueuePermit { n, metrics: Arc::clone(&self.metrics), _permit: permit };
        let (reply, receiver) = oneshot::channel();
        let job = Job { samples: request.samples, explain: request.explain, reply, permit };
        self.jobs.send(job).map_err(|_| QueueError::Closed)?;
        Ok(receiver)
    }

    /// Returns whether the worker is running.
    pub(crate) fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }
}

struct Worker {
    predictor: Box<dyn Predictor>,
    waiting: mpsc::UnboundedReceiver<Job>,
    /// A job that did not fit into the previous batch.
    next: Option<Job>,
    batch_size: usize,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn run(&mut self) {
        while let Some(batch) = self.next_batch() {
            self.predict_batch(batch);
        }
    }

    /// Waits for a request and adds the waiting requests after it that fit into the batch. An explanation gets a separate
    /// batch, since it takes much longer.
    fn next_batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.next.take() {
            Some(job) => job,
            None => self.waiting.blocking_recv()?,
        };
        let (mut n, is_explanation) = (first.samples.len(), first.explain);
        let mut batch = vec![first];
        while !is_explanation && n < self.batch_size {
            let Ok(job) = self.waiting.try_recv() else { break };
            if job.reply.is_closed() {
                continue;
            }
            if job.explain || n + job.samples.len() > self.batch_size {
                self.next = Some(job);
                break;
            }
            n += job.samples.len();
            batch.push(job);
        }
        Some(batch)
    }

    fn predict_batch(&self, mut batch: Vec<Job>) {
        // The clients of the first job, and of one left over from the previous batch, may have disconnected.
        batch.retain(|job| !job.reply.is_closed());
        let (mut samples, mut clients, mut explain) = (Vec::new(), Vec::new(), false);
        for job in batch {
            let start = samples.len();
            samples.extend(job.samples);
            clients.push(Client { range: start..samples.len(), reply: job.reply });
            explain |= job.explain;
            drop(job.permit);
        }
        if samples.is_empty() {
            return;
        }
        self.metrics.batch_texts.observe(samples.len() as f64);
        if explain {
            let reply = self.explain(&samples);
            clients.into_iter().for_each(|client| client.send(reply.clone()));
        } else {
            self.predict(&samples, clients);
        }
    }

    fn explain(&self, samples: &[Sample]) -> Reply {
        let explanations: Vec<Explanation> =
            catch_failure(|| samples.iter().map(|sample| self.predictor.explain(sample)).collect())?;
        self.check(explanations.iter().map(Explanation::prediction), samples.len())?;
        Ok(explanations.into_iter().map(Output::Explanation).collect())
    }

    fn predict(&self, samples: &[Sample], clients: Vec<Client>) {
        match self.predictions(samples) {
            Ok(mut outputs) => {
                // In reverse, so that each client's outputs are at the end.
                for client in clients.into_iter().rev() {
                    let own = outputs.split_off(client.range.start);
                    client.send(Ok(own));
                }
            }
            // One request is invalid; the others are predicted separately.
            Err(Failure::Input(_)) if clients.len() > 1 => {
                for client in clients {
                    let reply = self.predictions(&samples[client.range.clone()]);
                    client.send(reply);
                }
            }
            Err(failure) => clients.into_iter().for_each(|client| client.send(Err(failure.clone()))),
        }
    }

    fn predictions(&self, samples: &[Sample]) -> Reply {
        let predictions = catch_failure(|| self.predictor.predict(samples))?;
        self.check(predictions.iter(), samples.len())?;
        Ok(predictions.into_iter().map(Output::Prediction).collect())
    }

    /// Checks that there is a prediction per sample, with finite scores.
    fn check<'a>(
        &self,
        predictions: impl ExactSizeIterator<Item = &'a Prediction>,
        n: usize,
    ) -> std::result::Result<(), Failure> {
        let got = predictions.len();
        if got != n {
            tracing::error!("the model returned {got} predictions for {n} texts");
            return Err(Failure::Model);
        }
        let mut scores = predictions.flat_map(|prediction| &prediction.scores);
        if let Some((class, score)) = scores.find(|(_, score)| !score.is_finite()) {
            tracing::error!("the model returned the score {score} for class `{class}`");
            return Err(Failure::Model);
        }
        self.metrics.predictions.inc_by(n as u64);
        Ok(())
    }
}

/// The client of a part of a batch.
struct Client {
    range: Range<usize>,
    reply: oneshot::Sender<Reply>,
}

impl Client {
    fn send(self, reply: Reply) {
        // The client may have disconnected.
        let _ = self.reply.send(reply);
    }
}

/// Calls the predictor and turns its errors and panics into a [`Failure`].
fn catch_failure<T>(call: impl FnOnce() -> faknow::Result<T>) -> std::result::Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(faknow::Error::Data(error))) => Err(Failure::Input(client_message(&error))),
        Ok(Err(error @ faknow::Error::Config { .. })) => Err(Failure::Input(error.to_string())),
        Ok(Err(error)) => {
            tracing::error!("the model failed: {error}");
            Err(Failure::Model)
        }
        Err(panic) => {
            tracing::error!("the model panicked: {}", panic_message(&*panic));
            Err(Failure::Model)
        }
    }
}
