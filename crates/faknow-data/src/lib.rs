//! Records, texts, vocabularies and deterministic batches for fake-news detectors.

mod batch;
pub mod common;
mod dataset;
mod error;
mod fingerprint;
mod folds;
pub mod graph;
mod inspect;
mod labels;
mod loader;
pub mod memory;
mod prefetch;
mod record;
mod rng;
mod sampler;
mod split;
mod subset;
pub mod synth;
mod tensor_dataset;
pub mod text;
mod text_batch;
mod text_dataset;

pub use batch::Batch;
pub use dataset::Dataset;
pub use error::{Error, Result};
pub use fingerprint::Fingerprint;
pub use folds::{Fold, Folds};
pub use inspect::{
    Count, Example, Inspection, Lengths, NEARLY, Overlap, Problem, ProblemKind, Repeated, inspect, overlap,
};
pub use labels::{Classes, RawLabel, UnknownLabel};
pub use loader::{DataLoader, DataLoaderBuilder, Loader, Sampling};
pub use record::{ColumnMap, Format, ReadOptions, Record, RecordReader, read_all, read_columns};
pub use rng::{Rng, WeightedIndex};
pub use split::{DEFAULT_RATIOS, k_fold, random_split, stratified_k_fold, stratified_split};
pub use subset::Subset;
pub use tensor_dataset::TensorDataset;
pub use text_batch::TextBatch;
pub use text_dataset::{Storage, TextDataset};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
