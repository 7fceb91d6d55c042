//! A custom model with every command of the `faknow` program: `cargo run -- train sum-of-words --train posts.csv`, then
//! `resume`, `cv`, `search`, `predict`, `serve`, `export`, `report`, …

mod sum_of_words;

use faknow::model::Result;
use faknow::models::{BoxedModel, Fields, ModelSpec, Registry, Shape};
use faknow::tch::nn::Path;
use serde::{Deserialize, Serialize};

/// Hyperparameters: the `[model]` section of a config.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    embedding_size: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { embedding_size: 16 }
    }
}

struct SumOfWordsSpec;

impl ModelSpec for SumOfWordsSpec {
    const NAME: &'static str = "sum-of-words";
    const TITLE: &'static str = "sum of word vectors, linear layer";
    const PAPER: &'static str = "an example";
    type Config = Config;

    fn fields(_: &Config) -> Fields {
        Fields::words()
    }

    fn build(path: &Path<'_>, config: &Config, shape: &Shape<'_>) -> Result<BoxedModel> {
        let size = config.embedding_size;
        Ok(Box::new(sum_of_words::SumOfWords::new(path, size, shape.vocab_size, shape.n_classes)?))
    }
}

fn main() -> faknow::Result<std::process::ExitCode> {
    let mut registry = Registry::builtin();
    registry.register::<SumOfWordsSpec>()?;
    Ok(faknow_cli::main_with(registry))
}
