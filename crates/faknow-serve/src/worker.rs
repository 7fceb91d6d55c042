//! The thread that owns the model: predicts all waiting requests as one batch, and explains in between.
//!
//! Predictions take milliseconds and explanations up to seconds, so the two alternate: between the parts of an explanation,
//! all predictions are processed that wait at that moment. A prediction waits for one part at most, and an explanation makes
//! progress under any load.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use faknow::data::common::panic_message;
use faknow::detector::{Sample, SamplePrediction};
use tokio::sync::{mpsc, oneshot};

use crate::Predictor;
use crate::metrics::Metrics;
use crate::queue::{Failure, Job, Output, Reply};
use crate::request::client_message;

pub(crate) struct Worker {
    model: Model,
    backlog: Backlog,
}

impl Worker {
    pub(crate) fn new(
        predictor: Box<dyn Predictor>,
        waiting: mpsc::UnboundedReceiver<Job>,
        batch_size: usize,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let model = Model { predictor, metrics: Arc::clone(metrics) };
        let (predictions, explanations) = Default::default();
        Self { model, backlog: Backlog { waiting, predictions, explanations, batch_size } }
    }

    /// Processes requests until the queue is closed and empty.
    pub(crate) fn run(&mut self) {
        let Self { model, backlog } = self;
        while backlog.wait() {
            backlog.predict_waiting(model);
            if let Some(job) = backlog.explanations.pop_front() {
                model.explain(job, || backlog.predict_waiting(model));
            }
        }
    }
}

/// The requests that wait, in the order of their arrival.
struct Backlog {
    waiting: mpsc::UnboundedReceiver<Job>,
    predictions: VecDeque<Job>,
    explanations: VecDeque<Job>,
    batch_size: usize,
}

impl Backlog {
    /// Waits for a request; returns whether there is one.
    fn wait(&mut self) -> bool {
        if self.predictions.is_empty() && self.explanations.is_empty() {
            match self.waiting.blocking_recv() {
                Some(job) => self.sort(job),
                None => return false,
            }
        }
        true
    }

    fn sort(&mut self, job: Job) {
        let queue = if job.explain { &mut self.explanations } else { &mut self.predictions };
        queue.push_back(job);
    }

    fn receive(&mut self) {
        while let Ok(job) = self.waiting.try_recv() {
            self.sort(job);
        }
    }

    /// Processes the predictions that wait now, and those that arrive meanwhile if they fit into the same batches.
    fn predict_waiting(&mut self, model: &Model) {
        self.receive();
        let mut n_left = self.predictions.len();
        while n_left > 0 {
            let n_before = self.predictions.len();
            let batch = self.next_batch();
            n_left = n_left.saturating_sub(n_before - self.predictions.len());
            model.predict_batch(batch);
            self.receive();
        }
    }

    /// Removes the predictions of a batch from the queue: as many requests as fit, without those of clients that disconnected.
    fn next_batch(&mut self) -> Vec<Job> {
        let (mut n, mut batch) = (0, Vec::new());
        while let Some(job) = self.predictions.pop_front() {
            if job.reply.is_closed() {
                continue;
            }
            // A request is not split: one that is larger than a batch is a batch by itself.
            if n > 0 && n + job.samples.len() > self.batch_size {
                self.predictions.push_front(job);
                break;
            }
            n += job.samples.len();
            batch.push(job);
        }
        batch
    }
}

struct Model {
    predictor: Box<dyn Predictor>,
    metrics: Arc<Metrics>,
}

impl Model {
    fn predict_batch(&self, batch: Vec<Job>) {
        let (mut samples, mut clients) = (Vec::new(), Vec::new());
        for job in batch {
            let start = samples.len();
            samples.extend(job.samples);
            clients.push(Client { range: start..samples.len(), reply: job.reply });
            drop(job.permit);
        }
        if samples.is_empty() {
            return;
        }
        self.metrics.batch_texts.observe(samples.len() as f64);
        let mut results = self.predict(&samples);
        // In reverse, so that each client's results are at the end.
        for client in clients.into_iter().rev() {
            let own = results.split_off(client.range.start);
            let indexed = own.into_iter().enumerate().map(|(index, result)| result.map_err(|it| (index, it)));
            client.send(indexed.collect());
        }
    }

    /// Returns the result of each sample. If the model fails on several, it gets them in halves, down to the single sample that
    /// it fails on.
    fn predict(&self, samples: &[Sample]) -> Vec<Result<Output, Failure>> {
        let predictions = catch_failure(|| self.predictor.predict(samples))
            .and_then(|predictions| check(&predictions, samples.len()).map(|()| predictions));
        match predictions {
            Ok(predictions) => {
                self.count(&predictions);
                predictions.into_iter().map(|it| Ok(Output::Prediction(it))).collect()
            }
            Err(problem) if samples.len() > 1 => {
                tracing::debug!("{problem}; the batch of {} is predicted in halves", samples.len());
                let (first, second) = samples.split_at(samples.len() / 2);
                let mut results = self.predict(first);
                results.extend(self.predict(second));
                results
            }
            Err(problem) => vec![Err(self.report(problem))],
        }
    }

    /// Explains the samples of a request; calls `meanwhile` between the parts of the work.
    fn explain(&self, job: Job, mut meanwhile: impl FnMut()) {
        let Job { samples, reply, permit, .. } = job;
        drop(permit);
        let mut outputs = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            if reply.is_closed() {
                return;
            }
            let mut proceed = || {
                meanwhile();
                !reply.is_closed()
            };
            let explanation = catch_failure(|| self.predictor.explain(sample, &mut proceed));
            let explanation = explanation.and_then(|explanation| {
                explanation.iter().try_for_each(|it| check(std::slice::from_ref(it.prediction()), 1))?;
                Ok(explanation)
            });
            match explanation {
                Ok(Some(explanation)) => {
                    self.count(std::slice::from_ref(explanation.prediction()));
                    outputs.push(Output::Explanation(explanation));
                }
                // The client disconnected.
                Ok(None) => return,
                Err(problem) => {
                    let _ = reply.send(Err((index, self.report(problem))));
                    return;
                }
            }
        }
        self.metrics.explanations.inc_by(outputs.len() as u64);
        let _ = reply.send(Ok(outputs));
    }

    fn count(&self, predictions: &[SamplePrediction]) {
        let n_unknown = predictions.iter().filter(|prediction| prediction.outcome.is_err()).count();
        self.metrics.predictions.inc_by(predictions.len() as u64);
        self.metrics.unknown_texts.inc_by(n_unknown as u64);
    }

    /// Logs and counts a failure of the model; returns the reason for the client.
    fn report(&self, problem: Problem) -> Failure {
        match problem {
            Problem::Input(message) => Failure::Input(message),
            Problem::Model(message) => {
                tracing::error!("{message}");
                self.metrics.failed_texts.inc();
                Failure::Model
            }
        }
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

/// Reason why a call of the model has no result.
enum Problem {
    /// The model does not take a sample; the message is for the client.
    Input(String),
    /// The model failed; the message is for the log.
    Model(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Input(message) | Self::Model(message)) = self;
        f.write_str(message)
    }
}

/// Checks that there is a prediction per sample, with finite scores.
fn check(predictions: &[SamplePrediction], n: usize) -> Result<(), Problem> {
    let got = predictions.len();
    if got != n {
        return Err(Problem::Model(format!("the model returned {got} predictions for {n} texts")));
    }
    let mut scores = predictions.iter().filter_map(SamplePrediction::prediction).flat_map(|it| &it.scores);
    match scores.find(|(_, score)| !score.is_finite()) {
        Some((class, score)) => {
            Err(Problem::Model(format!("the model returned the score {score} for class `{class}`")))
        }
        None => Ok(()),
    }
}

/// Calls the predictor and turns its errors and panics into a [`Problem`].
fn catch_failure<T>(call: impl FnOnce() -> faknow::Result<T>) -> Result<T, Problem> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(faknow::Error::Data(error))) => Err(Problem::Input(client_message(&error))),
        Ok(Err(error @ faknow::Error::Config { .. })) => Err(Problem::Input(error.to_string())),
        Ok(Err(error)) => Err(Problem::Model(format!("the model failed: {error}"))),
        Err(panic) => Err(Problem::Model(format!("the model panicked: {}", panic_message(&*panic)))),
    }
}
