//! Everything of [`faknow_data`], and data sets as a config describes them.

pub(crate) mod corpus;
mod guess;
pub(crate) mod inputs;
pub(crate) mod text_cache;
pub(crate) mod text_corpus;
pub(crate) mod tree_corpus;

pub use faknow_data::*;
pub use guess::{GuessedColumns, guess_columns, guess_data, guess_language};
