//! Helpers shared by several tests.

use std::fs;
use std::path::PathBuf;

use faknow_data::Result;
use faknow_data::text::{Vocab, VocabBuilder, VocabOptions};
use tempfile::TempDir;

pub(crate) fn vocab(words: &str) -> Vocab {
    vocab_of(words, &VocabOptions::default()).unwrap()
}

pub(crate) fn vocab_of(words: &str, options: &VocabOptions) -> Result<Vocab> {
    let mut builder = VocabBuilder::new();
    words.split(' ').filter(|word| !word.is_empty()).for_each(|word| builder.add(word));
    builder.build(options)
}

/// A temporary directory.
pub(crate) struct Dir(pub(crate) TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Returns the message of an error, without the directory.
    pub(crate) fn message<T>(&self, result: Result<T>) -> String {
        let message = result.err().expect("an error").to_string();
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}
