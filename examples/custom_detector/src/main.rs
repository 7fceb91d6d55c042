//! A custom model with every command of the `faknow` program: `custom-detector train sum-of-words --train posts.csv`, then
//! `resume`, `cv`, `search`, `predict`, `serve`, `export`, `report`, …

use std::process::ExitCode;

use faknow::data::FieldBatch;
use faknow::data::text::PADDING;
use faknow::model::layers::{Embedding, Linear};
use faknow::model::{EmbeddingModel, Mode, Model, Output, Result, loss};
use faknow::models::{BoxedModel, Fields, ModelSpec, Registry, Shape};
use faknow::tch::{Tensor, nn::Path};
use serde::{Deserialize, Serialize};

/// The sum of the word vectors, and a linear layer.
struct SumOfWords {
    embedding: Embedding,
    classifier: Linear,
}

impl Model for SumOfWords {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        loss::classify(self.logits(&self.vectors(&batch.words()?.ids)?)?, batch)
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        Some(self)
    }
}

/// Logits in two steps, which explanations and exports need.
impl EmbeddingModel for SumOfWords {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        let is_word = ids.f_ne(i64::from(PADDING))?.f_unsqueeze(-1)?; // [n, len, 1]
        Ok(self.embedding.forward(ids)?.f_mul(&is_word)?) // [n, len, size]
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&vectors.f_sum_dim_intlist([1].as_slice(), false, vectors.kind())?)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SumOfWordsConfig {
    /// Size of the word vectors, `model.embedding_size` in a config.
    embedding_size: i64,
}

impl Default for SumOfWordsConfig {
    fn default() -> Self {
        Self { embedding_size: 16 }
    }
}

struct SumOfWordsSpec;

impl ModelSpec for SumOfWordsSpec {
    const NAME: &'static str = "sum-of-words";
    const TITLE: &'static str = "sum of the word vectors, linear layer";
    const PAPER: &'static str = "an example";
    type Config = SumOfWordsConfig;

    fn reads(_: &SumOfWordsConfig) -> Fields {
        Fields::words()
    }

    fn build(path: &Path<'_>, config: &SumOfWordsConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let SumOfWordsConfig { embedding_size: size } = *config;
        let embedding = Embedding::random(&(path / "embedding"), shape.vocab_size as i64, size)?;
        let classifier = Linear::new(&(path / "classifier"), size, shape.n_classes as i64)?;
        Ok(Box::new(SumOfWords { embedding, classifier }))
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::builtin();
    match registry.register::<SumOfWordsSpec>() {
        Ok(()) => faknow_cli::main_with(registry),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
