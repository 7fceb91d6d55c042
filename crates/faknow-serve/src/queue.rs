//! Requests wait in a bounded queue; one thread takes whatever waits and predicts it as one batch.

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

/// The response for a sample.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Plain(Prediction),
    Explanation(Explanation),
}

/// Why there are no predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The samples are not what the model reads; the message is for the client.
    Input(String),
    /// The model failed.
    Model,
}

pub(crate) type Reply = std::result::Result<Vec<Answer>, Failure>;

/// Why a request cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotQueued {
    Full,
    /// The thread has ended.
    Closed,
}

/// The end of the queue where requests come in. When all are dropped, the rest is processed and the thread ends.
pub(crate) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    /// Counts the samples that may still come in.
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// A request that waits. Its client has gone away, or has had its answer, if `reply` is closed.
struct Job {
    samples: Vec<Sample>,
    explain: bool,
    reply: oneshot::Sender<Reply>,
    permit: QueuePermit,
}

/// The room that a job takes in the queue, until it is taken out.
struct QueuePermit {
    n: usize,
    metrics: Arc<Metrics>,
    _room: OwnedSemaphorePermit,
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.metrics.queued.dec_by(self.n as i64);
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
        let room = Arc::new(Semaphore::new(config.queue));
        let metrics = Arc::clone(metrics);
        let mut worker = Worker {
            predictor,
            waiting,
            next: None,
            batch_size: config.batch_size,
            metrics: Arc::clone(&metrics),
        };
        let thread = std::thread::Builder::new().name("inference".into());
        let thread = thread.spawn(move || worker.work()).map_err(|source| Error::Start { source })?;
        Ok((Self { jobs, room, metrics }, thread))
    }

    /// Puts a request at the end of the queue. Dropping the receiver removes it again, unless it has started.
    pub(crate) fn push(
        &self,
        request: PredictRequest,
    ) -> std::result::Result<oneshot::Receiver<Reply>, NotQueued> {
        let n = request.samples.len();
        let permits = u32::try_from(n).map_err(|_| NotQueued::Full)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| NotQueued::Full)?;
        self.metrics.queued.inc_by(n as i64);
        let permit = QueuePermit { n, metrics: Arc::clone(&self.metrics), _room: room };
        let (reply, answer) = oneshot::channel();
        let job = Job { samples: request.samples, explain: request.explain, reply, permit };
        self.jobs.send(job).map_err(|_| NotQueued::Closed)?;
        Ok(answer)
    }

    /// Whether the worker runs.
    pub(crate) fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }
}

struct Worker {
    predictor: Box<dyn Predictor>,
    waiting: mpsc::UnboundedReceiver<Job>,
    /// Was taken, and did not fit into the batch before.
    next: Option<Job>,
    batch_size: usize,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn work(&mut self) {
        while let Some(batch) = self.next_batch() {
            self.predict_batch(batch);
        }
    }

    /// Waits for a request and takes those after it that wait too, as far as they fit. An explanation comes alone,
    /// since it takes much longer.
    fn next_batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.next.take() {
            Some(job) => job,
            None => self.waiting.blocking_recv()?,
        };
        let (mut n, alone) = (first.samples.len(), first.explain);
        let mut batch = vec![first];
        while !alone && n < self.batch_size {
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
        // The first, and one that had to wait for this batch, may have been given up by now.
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
            clients.into_iter().for_each(|client| client.answer(reply.clone()));
        } else {
            self.predict(&samples, clients);
        }
    }

    fn explain(&self, samples: &[Sample]) -> Reply {
        let explained: Vec<Explanation> =
            guarded(|| samples.iter().map(|sample| self.predictor.explain(sample)).collect())?;
        self.checked(explained.iter().map(Explanation::prediction), samples.len())?;
        Ok(explained.into_iter().map(Answer::Explanation).collect())
    }

    fn predict(&self, samples: &[Sample], clients: Vec<Client>) {
        match self.predictions(samples) {
            Ok(mut answers) => {
                // From the last to the first, each takes its own from the end.
                for client in clients.into_iter().rev() {
                    let own = answers.split_off(client.range.start);
                    client.answer(Ok(own));
                }
            }
            // One request is wrong; the others must not suffer for it.
            Err(Failure::Input(_)) if clients.len() > 1 => {
                for client in clients {
                    let reply = self.predictions(&samples[client.range.clone()]);
                    client.answer(reply);
                }
            }
            Err(failure) => clients.into_iter().for_each(|client| client.answer(Err(failure.clone()))),
        }
    }

    fn predictions(&self, samples: &[Sample]) -> Reply {
        let predictions = guarded(|| self.predictor.predict(samples))?;
        self.checked(predictions.iter(), samples.len())?;
        Ok(predictions.into_iter().map(Answer::Plain).collect())
    }

    /// A predictor must return a prediction per sample, with finite scores.
    fn checked<'a>(
        &self,
        predictions: impl ExactSizeIterator<Item = &'a Prediction>,
        n: usize,
    ) -> std::result::Result<(), Failure> {
        let got = predictions.len();
        if got != n {
            tracing::error!("the model answered {got} of {n} texts");
            return Err(Failure::Model);
        }
        let mut scores = predictions.flat_map(|prediction| &prediction.scores);
        if let Some((class, score)) = scores.find(|(_, score)| !score.is_finite()) {
            tracing::error!("the model answered {score} for class `{class}`");
            return Err(Failure::Model);
        }
        self.metrics.texts.inc_by(n as u64);
        Ok(())
    }
}

/// Who waits for a part of a batch.
struct Client {
    range: Range<usize>,
    reply: oneshot::Sender<Reply>,
}

impl Client {
    fn answer(self, reply: Reply) {
        // One that has gone away is no failure.
        let _ = self.reply.send(reply);
    }
}

/// Calls the predictor; the thread survives its errors and panics.
fn guarded<T>(call: impl FnOnce() -> faknow::Result<T>) -> std::result::Result<T, Failure> {
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
