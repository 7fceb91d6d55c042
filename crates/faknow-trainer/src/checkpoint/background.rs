//! Writing checkpoints on a background thread while the run continues: one at a time, with a queue of one.

use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};

use tracing::Span;
use tracing::dispatcher::{get_default, with_default};

use super::error::CheckpointError;
use super::names::LAST;
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Retention};
use super::save::{SavedNames, write_last};
use super::{Checkpoint, CheckpointStore};
use crate::Result;

/// A save with all of its inputs, which do not change while the run continues.
#[derive(Debug)]
pub(crate) struct Save {
    pub(crate) store: CheckpointStore,
    pub(crate) policy: CheckpointPolicy,
    pub(crate) retention: Retention,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) names: SavedNames,
}

/// The unfinished saves of a run.
#[derive(Debug, Default)]
pub(crate) struct Background {
    writing: Option<Writing>,
    queued: Option<Box<Save>>,
}

impl Background {
    /// Starts a save or, if another one is being written, queues it in place of the queued one.
    pub(crate) fn push(&mut self, save: Save) -> Result<()> {
        self.queued = Some(Box::new(save));
        if self.writing.is_some() { Ok(()) } else { self.start_queued() }
    }

    /// Returns the id of the queued checkpoint.
    pub(crate) fn queued(&self) -> Option<CheckpointId> {
        self.queued.as_ref().map(|save| save.checkpoint.info.id())
    }

    /// Returns whether a save is being written or queued.
    pub(crate) fn is_busy(&self) -> bool {
        self.writing.is_some() || self.queued.is_some()
    }

    /// Returns whether the current save is completely written.
    pub(crate) fn has_written(&self) -> bool {
        self.writing.as_ref().is_some_and(Writing::is_finished)
    }

    /// Waits for the current save, if any. The queued one is not started: until callbacks have been notified, the
    /// checkpoints must not be replaced.
    pub(crate) fn finish_writing(&mut self) -> Result<SavedNames> {
        self.writing.take().map_or(Ok(&[]), Writing::finish)
    }

    /// Starts the queued save, if any.
    pub(crate) fn start_queued(&mut self) -> Result<()> {
        if let Some(save) = self.queued.take() {
            self.writing = Some(Writing::start(*save)?);
        }
        Ok(())
    }
}

/// A save that is being written. Dropping it waits until it is finished, so that nothing is written into a run directory
/// that is no longer locked.
#[derive(Debug)]
struct Writing {
    thread: Option<JoinHandle<Result<()>>>,
    names: SavedNames,
}

impl Writing {
    /// Starts the writing thread, which logs to the run of the current thread.
    fn start(save: Save) -> Result<Self> {
        let (span, logs) = (Span::current(), get_default(Clone::clone));
        let (names, path) = (save.names, save.store.path(LAST));
        let write = move || {
            let Save { store, policy, retention, checkpoint, .. } = save;
            with_default(&logs, || span.in_scope(|| write_last(&store, &retention, &policy, &checkpoint)))
        };
        let thread =
            Builder::new().name("checkpoint".into()).spawn(write).map_err(CheckpointError::io(&path))?;
        Ok(Self { thread: Some(thread), names })
    }

    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn finish(mut self) -> Result<SavedNames> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => resume_unwind(panic),
            Some(Ok(result)) => result.map(|()| self.names),
            None => Ok(self.names),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // A fit finishes all saves before it returns: the result of this one is not needed.
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("cannot save the run: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::CheckpointInfo;
    use super::*;
    use crate::Error;

    fn save(dir: &Path, step: u64) -> Save {
        let info = CheckpointInfo { step, ..CheckpointInfo::default() };
        Save {
            store: CheckpointStore::new(dir),
            policy: CheckpointPolicy::default(),
            retention: Retention::default(),
            checkpoint: Checkpoint { info, ..Checkpoint::default() },
            names: &[LAST],
        }
    }

    #[test]
    fn push_replaces_queued_save_and_does_not_start_it() {
        let dir = tempfile::tempdir().unwrap();
        let step = || CheckpointStore::new(dir.path()).verify(LAST).unwrap().step;
        let mut background = Background::default();
        (1..=3).for_each(|number| background.push(save(dir.path(), number)).unwrap());
        assert_eq!(background.queued().map(|id| id.step), Some(3));
        assert_eq!((background.finish_writing().unwrap(), step()), (&[LAST][..], 1));
        assert!(background.is_busy() && !background.has_written());
        background.start_queued().unwrap();
        assert_eq!((background.finish_writing().unwrap(), step()), (&[LAST][..], 3));
        assert!(!background.is_busy());
        background.push(save(dir.path(), 4)).unwrap();
        drop(background);
        assert_eq!(step(), 4);
    }

    #[test]
    fn finish_returns_write_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("checkpoints"), "in the way").unwrap();
        let mut background = Background::default();
        background.push(save(dir.path(), 1)).unwrap();
        let error = background.finish_writing().unwrap_err();
        assert!(matches!(error, Error::Checkpoint(CheckpointError::Io { .. })), "{error}");
        assert!(!background.is_busy());
    }
}
