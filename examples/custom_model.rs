//! A custom model: averaged word vectors as in fastText, trained with two losses, one for the class and one for the domain.
//!
//! A model implements `forward`. The named parts of its loss appear in the history, the logs and TensorBoard.
//!
//! `cargo run -p faknow-examples --bin custom_model`

use anyhow::ensure;
use faknow::data::synth::{SynthOptions, domains, records};
use faknow::data::text::PADDING;
use faknow::model::layers::{Embedding, Linear};
use faknow::model::{Result, loss};
use faknow::prelude::*;
use faknow::tch::Reduction;

/// The mean word vector of a text, and a linear layer that predicts the class (Joulin et al., 2017); a second one predicts
/// the domain, so that the vectors also encode the topic.
struct AveragedWords {
    embedding: Embedding,
    class: Linear,
    domain: Linear,
    /// Weight of the domain loss.
    domain_weight: f64,
}

impl AveragedWords {
    fn new(path: &nn::Path<'_>, vocab_size: usize, n_classes: usize, n_domains: usize) -> Result<Self> {
        let size = 32;
        Ok(Self {
            embedding: Embedding::random(&(path / "embedding"), vocab_size as i64, size)?,
            class: Linear::new(&(path / "class"), size, n_classes as i64)?,
            domain: Linear::new(&(path / "domain"), size, n_domains as i64)?,
            domain_weight: 0.2,
        })
    }

    /// Returns the mean word vector of each text, without padding: `[n, size]`.
    fn text_vectors(&self, batch: &FieldBatch) -> Result<Tensor> {
        let words = self.embedding.forward(&batch.words()?.ids)?; // [n, len, size]
        let is_word = batch.words()?.ids.f_ne(i64::from(PADDING))?.f_unsqueeze(-1)?; // [n, len, 1]
        let sum = words.f_mul(&is_word)?.f_sum_dim_intlist([1].as_slice(), false, words.kind())?;
        Ok(sum.f_div(&batch.words()?.lengths.f_clamp_min(1)?.f_unsqueeze(-1)?)?)
    }
}

impl Model for AveragedWords {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        let texts = self.text_vectors(batch)?;
        let logits = self.class.forward(&texts)?;
        // Batches for prediction have no labels, so there is no loss.
        let Some(labels) = &batch.labels else { return Ok(Output { logits, loss: None }) };
        let class = loss::cross_entropy(&logits, labels)?;
        let mut total = class.shallow_clone();
        let mut parts = vec![("class", class)];
        if let Some(domains) = &batch.domains {
            // -1 stands for a domain absent from the training data; it is ignored in the sum.
            let logits = self.domain.forward(&texts)?;
            let sum = logits.f_cross_entropy_loss::<Tensor>(domains, None, Reduction::Sum, -1, 0.0)?;
            let domain = sum.f_div_scalar(batch.n_samples() as f64)?;
            total = total.f_add(&domain.f_mul_scalar(self.domain_weight)?)?;
            parts.push(("domain", domain));
        }
        Ok(Output { logits, loss: Some(Loss { total, parts }) })
    }
}

fn main() -> anyhow::Result<()> {
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = FieldDataset::build(posts(1_000, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = FieldDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, train.domains())?;
    let n_domains = train.domains().len();
    let train = DataLoader::builder(train).batch_size(32).shuffle(1).build()?;
    let valid = DataLoader::builder(valid).batch_size(100).build()?;

    let (model, vars) =
        seeded_model(1, Device::Cpu, |path| AveragedWords::new(path, vocab.len(), 2, n_domains))?;
    let mut trainer =
        Trainer::builder(model, vars).optimizer(OptimizerConfig::adam(0.02)).max_epochs(5).build()?;
    let report = trainer.fit(&train, Some(&valid))?;

    println!("epoch  loss    class   domain  accuracy");
    for record in &report.history.epochs {
        let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
        let [loss, class, domain] =
            ["loss", "loss/class", "loss/domain"].map(|name| value(&format!("train/{name}")));
        println!("{:>5}  {loss:.4}  {class:.4}  {domain:.4}  {:.4}", record.epoch, value("valid/accuracy"));
        // The total is the weighted sum that `forward` computes.
        ensure!((loss - class - 0.2 * domain).abs() < 1e-5, "the loss parts do not add up to the total");
    }
    let last = |key: &str| report.history.series(key).ok()?.last().and_then(|(_, value)| *value);
    ensure!(n_domains == domains().count(), "a domain is missing from the training data");
    ensure!(
        last("valid/accuracy").is_some_and(|accuracy| accuracy > 0.75),
        "the validation accuracy is too low"
    );
    ensure!(last("valid/loss/domain").is_some_and(|loss| loss < 0.5), "the domain loss is too high");
    Ok(())
}
