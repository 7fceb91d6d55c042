//! Batches assembled ahead of need, in threads, without a change of their order.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::sampler::Plan;
use crate::common::panic_message;
use crate::{Dataset, Error, Result};

/// All that it takes to assemble any batch of one epoch.
#[derive(Debug)]
pub(crate) struct Assembly<D> {
    pub(crate) dataset: Arc<D>,
    pub(crate) plan: Plan,
    pub(crate) epoch: usize,
}

impl<D: Dataset> Assembly<D> {
    /// Assembles a batch; a panic of the data set becomes an error, whichever thread this runs in.
    pub(crate) fn assemble(&self, batch: usize) -> Result<D::Batch> {
        let indices = self.plan.indices(batch);
        // The data set is shared and only read; what a panic leaves half done is the batch, which is dropped.
        catch_unwind(AssertUnwindSafe(|| self.dataset.batch(&indices))).unwrap_or_else(|panic| {
            Err(Error::Panic { epoch: self.epoch, batch, message: panic_message(&*panic) })
        })
    }
}

/// The batches of an epoch, some of them assembled before they are asked for.
///
/// Worker `w` of `n` assembles batches `w`, `w + n`, `w + 2n`, … into a bounded channel of its own, and batches are
/// taken from the channels in turn. So the order needs no sorting, and memory is bounded by the channels.
pub(crate) struct Prefetched<B> {
    workers: Vec<Worker<B>>,
    epoch: usize,
    /// Numbers of the batches still to come.
    batches: Range<usize>,
    /// Number of batches taken.
    taken: usize,
}

struct Worker<B> {
    /// `None` once the batches are no longer wanted, which ends the thread.
    batches: Option<Receiver<Result<B>>>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Send + 'static> Prefetched<B> {
    /// Starts at most `workers` threads which together are at most `depth` batches ahead; both at least 1.
    ///
    /// Errors if the system gives no more threads.
    pub(crate) fn start<D: Dataset<Batch = B> + 'static>(
        assembly: &Arc<Assembly<D>>,
        batches: Range<usize>,
        workers: usize,
        depth: usize,
    ) -> io::Result<Self> {
        let left = batches.len();
        let n_workers = workers.min(depth).min(left).max(1);
        // A worker holds one batch in its hands; the others wait in its channel.
        let capacity = (depth / n_workers - 1).min(left);
        let start_worker = |w: usize| {
            let (sender, receiver) = sync_channel(capacity);
            let assembly = Arc::clone(assembly);
            let own = batches.clone().skip(w).step_by(n_workers);
            let thread = Builder::new().name(format!("batches-{w}"));
            let thread = thread.spawn(move || send_batches(&assembly, own, &sender))?;
            Ok(Worker { batches: Some(receiver), thread: Some(thread) })
        };
        let workers = (0..n_workers).map(start_worker).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { workers, epoch: assembly.epoch, batches, taken: 0 })
    }
}

impl<B> Iterator for Prefetched<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let worker = self.taken % self.workers.len();
        self.taken += 1;
        let received = self.workers[worker].batches.as_ref().and_then(|batches| batches.recv().ok());
        // A worker ends only after its last batch; should one be lost, an epoch must not end early without a word.
        Some(received.unwrap_or_else(|| {
            Err(Error::Panic { epoch: self.epoch, batch, message: "its thread ended".to_owned() })
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl<B> Drop for Prefetched<B> {
    /// Ends the threads: each at most finishes the batch that it is at.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.batches = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // Panics are caught where batches are assembled; there is nobody to tell of any other one here.
                let _ = thread.join();
            }
        }
    }
}

fn send_batches<D: Dataset>(
    assembly: &Assembly<D>,
    batches: impl Iterator<Item = usize>,
    sender: &SyncSender<Result<D::Batch>>,
) {
    for batch in batches {
        if sender.send(assembly.assemble(batch)).is_err() {
            return; // nobody waits for batches any more
        }
    }
}
