//! Samples as sets of named fields: their batches and their data sets.
//!
//! A field is one file with its tensors in a batch (such as [`Words`](crate::text::Words)) and its column of all samples (such
//! as `WordColumn`), one field of [`FieldBatch`], and one of [`FieldDataset`].

mod batch;
mod dataset;
mod domains;
mod features;
mod from_records;
mod from_trees;
mod saved;

pub use batch::FieldBatch;
pub use dataset::FieldDataset;
