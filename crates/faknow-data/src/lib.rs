//! Records, texts, vocabularies and deterministic batches for fake-news detectors.

mod batch;
mod dataset;
mod error;
mod fingerprint;
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
pub mod synth;
pub mod text;
mod text_batch;
mod text_dataset;

pub use batch::Batch;
pub use dataset::Dataset;
pub use error::{Error, Result};
pub use inspect::{
    Count, Example, Inspection, Lengths, NEARLY, Overlap, Problem, ProblemKind, Repeated, inspect, overlap,
};
pub use labels::{Classes, RawLabel, UnknownLabel};
pub use loader::{DataLoader, DataLoaderBuilder, Loader, Sampling};
pub use record::{ColumnMap, Format, ReadOptions, Record, RecordReader, read_all, read_columns};
pub use rng::{Rng, WeightedIndex};
pub use split::{DEFAULT_RATIOS, random_split, stratified_k_fold, stratified_split};
pub use text_batch::TextBatch;
pub use text_dataset::{Storage, TextDataset};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
