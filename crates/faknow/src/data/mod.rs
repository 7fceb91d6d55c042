//! All items of [`faknow_data`], and the datasets of a config.

pub(crate) mod corpus;
pub(crate) mod encoders;
pub(crate) mod files;
mod guess;
pub(crate) mod left_out;
pub(crate) mod records;
pub(crate) mod source;
pub(crate) mod text_cache;
mod tree_inspection;
pub(crate) mod trees;

pub use faknow_data::*;
pub use guess::{GuessedColumns, guess_columns, guess_data, guess_language};
pub use tree_inspection::{TreeInspection, contains_trees, inspect_trees};
