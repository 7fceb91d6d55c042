//! Checkpoints that are written on another thread while the run continues: one at a time, and one that waits.

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

/// A save with all that it needs: nothing of it changes while the run continues.
#[derive(Debug)]
pub(crate) struct Save {
    pub(crate) store: CheckpointStore,
    pub(crate) policy: CheckpointPolicy,
    pub(crate) retention: Retention,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) names: SavedNames,
}

/// The saves of a run that are not on the disk yet.
#[derive(Debug, Default)]
pub(crate) struct Background {
    writing: Option<Writing>,
    waiting: Option<Box<Save>>,
}

impl Background {
    /// Starts a save, or has it wait for the one that is being written.
    pub(crate) fn push(&mut self, save: Save) -> Result<()> {
        self.waiting = Some(Box::new(save));
        if self.writing.is_some() { Ok(()) } else { self.start_waiting() }
    }

    /// Returns which checkpoint waits.
    pub(crate) fn waiting(&self) -> Option<CheckpointId> {
        self.waiting.as_ref().map(|save| save.checkpoint.info.id())
    }

    /// Whether there is any save.
    pub(crate) fn is_busy(&self) -> bool {
        self.writing.is_some() || self.waiting.is_some()
    }

    /// Whether a save has been written since it was started.
    pub(crate) fn has_written(&self) -> bool {
        self.writing.as_ref().is_some_and(Writing::has_ended)
    }

    /// Waits for the save that is being written, if there is one. The one that waits is not started: until callbacks have
    /// been notified, the names hold what was written.
    pub(crate) fn finish_writing(&mut self) -> Result<SavedNames> {
        self.writing.take().map_or(Ok(&[]), Writing::finish)
    }

    /// Starts the save that waits, if there is one.
    pub(crate) fn start_waiting(&mut self) -> Result<()> {
        if let Some(save) = self.waiting.take() {
            self.writing = Some(Writing::start(*save)?);
        }
        Ok(())
    }
}

/// A save that is being written. Dropping it waits until it has ended, so that nothing writes into a run directory that is
/// given up.
#[derive(Debug)]
struct Writing {
    thread: Option<JoinHandle<Result<()>>>,
    names: SavedNames,
}

impl Writing {
    /// Starts to write. What is logged meanwhile belongs to the run of the current thread.
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

    fn has_ended(&self) -> bool {
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
        // A fit leaves none behind: nobody is waiting for this one's result.
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the run could not be saved: {error}");
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
    fn a_save_that_waits_is_replaced_and_started_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let step = || CheckpointStore::new(dir.path()).verify(LAST).unwrap().step;
        let mut background = Background::default();
        (1..=3).for_each(|number| background.push(save(dir.path(), number)).unwrap());
        assert_eq!(background.waiting().map(|id| id.step), Some(3));
        assert_eq!((background.finish_writing().unwrap(), step()), (&[LAST][..], 1));
        assert!(background.is_busy() && !background.has_written());
        background.start_waiting().unwrap();
        assert_eq!((background.finish_writing().unwrap(), step()), (&[LAST][..], 3));
        assert!(!background.is_busy());
        background.push(save(dir.path(), 4)).unwrap();
        drop(background);
        assert_eq!(step(), 4);
    }

    #[test]
    fn an_error_of_writing_is_that_of_the_save() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("checkpoints"), "in the way").unwrap();
        let mut background = Background::default();
        background.push(save(dir.path(), 1)).unwrap();
        let error = background.finish_writing().unwrap_err();
        assert!(matches!(error, Error::Checkpoint(CheckpointError::Io { .. })), "{error}");
        assert!(!background.is_busy());
    }
}
