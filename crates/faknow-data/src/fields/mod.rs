//! Samples as sets of named fields: batches and datasets.
//!
//! Each kind of field consists of a type for its tensors in a batch (such as [`Words`](crate::text::Words)), a type for its
//! column of all samples (such as `WordColumn`), a field of [`FieldBatch`], and a field of [`FieldDataset`]'s columns.

mod batch;
mod dataset;
mod domains;
mod encoded_texts;
mod features;
mod from_news;
mod from_records;
mod from_trees;
mod further_texts;
mod images;
mod ngrams;
mod saved;
mod standardization;
mod token_counts;

pub use batch::FieldBatch;
pub use dataset::FieldDataset;
pub use standardization::Standardization;
pub use token_counts::{NodeFeatureKind, TokenCounts, TokenKind};
