//! Cross-validation and hyperparameter search.

mod candidates;
mod cross_validation;
mod pause;
mod search;
mod search_method;
mod search_outcome;
mod search_space;
mod state;
mod trial;

pub use cross_validation::{CrossValidation, FoldResult, cross_validate, resume_cross_validation};
pub use search::{resume_search, search};
pub use search_method::SearchMethod;
pub use search_outcome::SearchOutcome;
pub use search_space::SearchSpace;
pub use state::TestScores;
pub use trial::Trial;
