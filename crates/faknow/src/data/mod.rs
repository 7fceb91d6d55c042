//! Everything of [`faknow_data`], and data sets as a config describes them.

pub(crate) mod corpus;
pub(crate) mod encoders;
mod guess;
pub(crate) mod records;
pub(crate) mod source;
pub(crate) mod text_cache;
pub(crate) mod trees;

pub use faknow_data::*;
pub use guess::{GuessedColumns, guess_columns, guess_data, guess_language};
