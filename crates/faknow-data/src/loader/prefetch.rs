//! Prefetching of batches in threads, without a change of their order.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::sampler::EpochOrder;
use crate::common::panic_message;
use crate::{Dataset, Error, Result};

/// The data needed to assemble any batch of an epoch.
#[derive(Debug)]
pub(crate) struct BatchAssembler<D> {
    pub(crate) dataset: Arc<D>,
    pub(crate) order: EpochOrder,
    pub(crate) epoch: usize,
}

impl<D: Dataset> BatchAssembler<D> {
    /// Assembles a batch; a panic of the dataset becomes an error.
    pub(crate) fn assemble(&self, batch: usize) -> Result<D::Batch> {
        let indices = self.order.indices(batch);
        // The dataset is only read; a panic leaves only the batch incomplete, which is dropped.
        catch_unwind(AssertUnwindSafe(|| self.dataset.batch(&indices))).unwrap_or_else(|panic| {
            Err(Error::Panic { epoch: self.epoch, batch, message: panic_message(&*panic) })
        })
    }
}

/// An iterator over the batches of an epoch, which worker threads prefetch.
///
/// Worker `w` of `n` sends batches `w`, `w + n`, `w + 2n`, … to a bounded channel, and batches are received from the
/// channels in turn. So no sorting is needed, and the channels bound memory use.
pub(crate) struct PrefetchedBatches<B> {
    workers: Vec<Worker<B>>,
    epoch: usize,
    /// Indices of the remaining batches.
    batches: Range<usize>,
    /// Number of batches returned so far.
    n_returned: usize,
}

struct Worker<B> {
    /// `None` after the iterator is dropped, which stops the thread.
    batches: Option<Receiver<Result<B>>>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Send + 'static> PrefetchedBatches<B> {
    /// Starts at most `workers` threads that together prefetch at most `depth` batches; both at least 1.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn start<D: Dataset<Batch = B> + 'static>(
        assembler: &Arc<BatchAssembler<D>>,
        batches: Range<usize>,
        workers: usize,
        depth: usize,
    ) -> io::Result<Self> {
        let n_batches = batches.len();
        let n_workers = workers.min(depth).min(n_batches).max(1);
        // Each worker holds one batch besides those in its channel.
        let capacity = (depth / n_workers - 1).min(n_batches);
        let start_worker = |w: usize| {
            let (sender, receiver) = sync_channel(capacity);
            let assembler = Arc::clone(assembler);
            let worker_batches = batches.clone().skip(w).step_by(n_workers);
            let thread = Builder::new().name(format!("batches-{w}"));
            let thread = thread.spawn(move || send_batches(&assembler, worker_batches, &sender))?;
            Ok(Worker { batches: Some(receiver), thread: Some(thread) })
        };
        let workers = (0..n_workers).map(start_worker).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { workers, epoch: assembler.epoch, batches, n_returned: 0 })
    }
}

impl<B> Iterator for PrefetchedBatches<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let worker = self.n_returned % self.workers.len();
        self.n_returned += 1;
        let received = self.workers[worker].batches.as_ref().and_then(|batches| batches.recv().ok());
        // A worker ends after its last batch; if one stops earlier, the epoch must not end silently.
        Some(received.unwrap_or_else(|| {
            Err(Error::Panic { epoch: self.epoch, batch, message: "its thread stopped".to_owned() })
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl<B> Drop for PrefetchedBatches<B> {
    /// Stops the threads, which at most finish their current batch.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.batches = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // Panics are caught during assembly; others cannot be reported from a destructor.
                let _ = thread.join();
            }
        }
    }
}

fn send_batches<D: Dataset>(
    assembler: &BatchAssembler<D>,
    batches: impl Iterator<Item = usize>,
    sender: &SyncSender<Result<D::Batch>>,
) {
    for batch in batches {
        if sender.send(assembler.assemble(batch)).is_err() {
            return; // the receiver was dropped
        }
    }
}
