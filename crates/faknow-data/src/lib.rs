//! Records, texts, vocabularies and deterministic batches for fake-news detectors.

mod batch;
mod bounds;
mod column;
pub mod common;
mod dataset;
pub mod emotion;
mod error;
mod fields;
mod fingerprint;
pub mod graph;
pub mod image;
mod input;
mod inspect;
mod loader;
pub mod memory;
mod prepare;
pub mod raw;
mod recognize;
mod records;
mod rng;
pub mod synth;
pub mod text;
mod text_file;

pub use batch::Batch;
pub use dataset::{Dataset, Subset, TensorDataset};
pub use error::{Error, Result};
pub use fields::{FieldBatch, FieldDataset, NodeFeatureKind, Standardization, TokenCounts, TokenKind};
pub use fingerprint::Fingerprint;
pub use input::{Content, Input, is_stream};
pub use inspect::{
    DuplicatePair, FileOverlap, ImageCounts, Inspection, LengthStats, NEAR_DUPLICATE_THRESHOLD, Overlap,
    Problem, ProblemKind, Severity, ValueCount, inspect, overlap,
};
pub use loader::{DataLoader, DataLoaderBuilder, Loader, Sampling};
pub use prepare::{
    DEFAULT_RATIOS, Fold, Folds, LshOptions, k_fold, lsh_selection, random_split, stratified_k_fold,
    stratified_split,
};
pub use recognize::{
    Assumption, ColumnChoice, Confidence, KnownLayout, LabelMeaning, Recognition, RecognizedClasses,
    recognize, recognize_classes,
};
pub use records::{
    Classes, ColumnMap, Delimiter, Encoding, EncodingCandidate, Format, LeftOut, MISSING_VALUES, RawLabel,
    ReadOptions, Record, RecordReader, SkipBroken, TEXT_SEPARATOR, TextColumns, UnknownLabel,
    encoding_candidates, is_missing, read_all, read_columns,
};
pub use rng::{Rng, WeightedIndex, derive_seed};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
