//! All items of [`faknow_data`], and the datasets of a config.

pub(crate) mod corpus;
pub(crate) mod encoders;
pub(crate) mod features;
pub(crate) mod files;
mod guess;
pub(crate) mod image_encoder;
pub(crate) mod known_tokens;
pub(crate) mod layout;
mod leaks;
pub(crate) mod left_out;
mod news;
mod recognized;
pub(crate) mod records;
mod report;
mod selection;
pub(crate) mod source;
pub(crate) mod subword_encoder;
pub(crate) mod text_cache;
mod train_command;
mod tree_inspection;
pub(crate) mod tree_lines;
pub(crate) mod trees;

pub use faknow_data::*;
pub use guess::{guess_data, guess_language};
pub use recognized::RecognizedConfig;
pub use report::{DataReport, FileReport, inspect_files};
pub use train_command::{prepare_commands, tree_command};
pub use tree_inspection::{TreeInspection, contains_trees, inspect_trees};
