//! Splits and cross-validation folds.

mod folds;
mod lsh;
mod split;

pub use folds::{Fold, Folds};
pub use lsh::{LshOptions, lsh_selection};
pub use split::{DEFAULT_RATIOS, k_fold, random_split, stratified_k_fold, stratified_split};
