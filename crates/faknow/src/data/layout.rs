//! The options for reading each of several files, whose layout may differ.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use faknow_data::{Assumption, Confidence, KnownLayout, ReadOptions, Recognition, recognize};

use crate::config::DataConfig;

/// The given options for reading files; the rest is recognized per file.
#[derive(Debug, Clone)]
pub(crate) struct LayoutRules {
    /// The options with columns; what is not given has its default.
    pub(crate) options: ReadOptions,
    known: KnownLayout,
    /// The files that are recognized already: a run opens each of them several times.
    recognized: Arc<Mutex<HashMap<PathBuf, Arc<Recognition>>>>,
    /// Header and quotes of files that do not show them.
    usual: (Option<bool>, Option<bool>),
}

impl LayoutRules {
    /// Returns the rules of `data`. What a file does not show is as in `other`.
    pub(crate) fn new(data: &DataConfig, labeled: bool, other: &DataConfig) -> Self {
        let known = KnownLayout {
            format: data.format,
            encoding: data.encoding,
            delimiter: data.delimiter,
            header: data.header,
            quotes: data.quotes,
            text: data.text.clone(),
            label: data.label.clone(),
            domain: data.domain.clone(),
            image: data.image.clone(),
        };
        let (usual, recognized) = ((other.header, other.quotes), Arc::default());
        Self { options: data.read_options(labeled), known, recognized, usual }
    }

    /// Recognizes a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn recognize(&self, file: &Path) -> faknow_data::Result<Arc<Recognition>> {
        let recognized = || self.recognized.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = recognized().get(file) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(recognize(file, &self.known)?);
        recognized().insert(file.to_path_buf(), Arc::clone(&found));
        Ok(found)
    }

    /// Returns the options for reading a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn options_for(&self, file: &Path) -> faknow_data::Result<ReadOptions> {
        let found = self.recognize(file)?;
        let layout = found.read_options();
        let choose = |found: &Option<Assumption<bool>>, usual: Option<bool>, value: bool| match found {
            Some(found) if found.confidence >= Confidence::Certain => value,
            _ => usual.unwrap_or(value),
        };
        Ok(ReadOptions {
            format: layout.format,
            delimiter: layout.delimiter,
            header: choose(&found.header, self.usual.0, layout.header),
            quotes: choose(&found.quotes, self.usual.1, layout.quotes),
            ..self.options.clone()
        })
    }
}

impl DataConfig {
    /// Recognizes the layout and the columns of a file of records that are not given.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn recognize_file(&self, file: &Path) -> crate::Result<Recognition> {
        Ok(recognize(file, &LayoutRules::new(self, true, self).known)?)
    }

    /// Returns the options for reading a file of records; what is not given about its layout is recognized.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_options_for(&self, file: &Path, labeled: bool) -> crate::Result<ReadOptions> {
        Ok(LayoutRules::new(self, labeled, self).options_for(file)?)
    }
}
