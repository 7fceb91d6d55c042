//! The records of files that are left out: broken ones, and those with dropped labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use faknow_data::{Classes, LeftOut, RawLabel};

use crate::{Error, Result};

/// The records that are left out of each file that was read to its end; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOutRecords(Arc<Mutex<BTreeMap<PathBuf, LeftOut>>>);

impl LeftOutRecords {
    /// Creates the records of these files, as of a cache.
    pub(crate) fn new(files: BTreeMap<PathBuf, LeftOut>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    /// Adds the records of a file; a file that is read several times counts once.
    pub(crate) fn add(&self, path: &Path, left_out: &LeftOut) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.to_owned(), left_out.clone());
    }

    /// Returns the records of each file.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, LeftOut> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns one line about dropped labels, and one per file with broken records.
    pub(crate) fn lines(&self) -> Vec<String> {
        let files = self.files();
        let dropped: Vec<String> =
            dropped(&files).into_iter().map(|(label, n)| format!("{n} {label}")).collect();
        let dropped = (!dropped.is_empty()).then(|| format!("left out: {}", dropped.join(", ")));
        let broken = files.iter().filter(|(_, left_out)| left_out.n_broken > 0).map(|(path, left_out)| {
            let LeftOut { n_broken, n_records, .. } = left_out;
            let problems = left_out.first_problems();
            format!("skipped: {n_broken} of {n_records} records of {} are broken: {problems}", path.display())
        });
        dropped.into_iter().chain(broken).collect()
    }

    /// Checks that each of these labels was found, so that a misspelled one is not overlooked.
    ///
    /// # Errors
    /// No record has one of the labels.
    pub(crate) fn check_dropped(&self, labels: &[String]) -> Result<()> {
        let files = self.files();
        let dropped = dropped(&files);
        let is_found = |label: &&String| dropped.iter().any(|(other, n)| other == *label && *n > 0);
        match labels.iter().find(|label| !is_found(label)) {
            Some(label) => {
                let message = format!("expected labels of records, got `{label}`, which no record has");
                Err(Error::config("data.drop_classes", message))
            }
            None => Ok(()),
        }
    }
}

/// Returns the number of dropped records per label.
fn dropped(files: &BTreeMap<PathBuf, LeftOut>) -> Vec<(String, usize)> {
    let mut sums: Vec<(String, usize)> = Vec::new();
    for (label, n) in files.values().flat_map(|left_out| &left_out.dropped) {
        match sums.iter_mut().find(|(other, _)| other == label) {
            Some((_, sum)) => *sum += n,
            None => sums.push((label.clone(), *n)),
        }
    }
    sums
}

/// Checks that no class is dropped.
///
/// # Errors
/// One of the labels is blank, or a label of a class.
pub(crate) fn check_drop_classes(labels: &[String], classes: &Classes) -> Result<()> {
    for label in labels {
        let problem = match classes.parse(&RawLabel::Text(label)) {
            _ if label.trim().is_empty() => "a blank one".to_owned(),
            Ok(class) => {
                format!("`{label}`, a label of the class `{}`", classes.name(class).unwrap_or_default())
            }
            Err(_) => continue,
        };
        let message = format!("expected labels that belong to no class, got {problem}");
        return Err(Error::config("data.drop_classes", message));
    }
    Ok(())
}
