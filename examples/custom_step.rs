//! A training step of one's own: R-Drop, which makes two passes with different dropout agree.
//!
//! A step gets the model, the batch and the optimizer; all else (epochs, clipping, validation, callbacks) stays the
//! trainer's. This one wraps another step, which takes the first updates. Steps that are there already: `Supervised`,
//! `Adversarial`, `TwoOptimizers`.
//!
//! `cargo run -p faknow-examples --bin custom_step`

use anyhow::ensure;
use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;
use faknow::trainer::Result;

/// R-Drop (Liang et al., *Regularized Dropout for Neural Networks*, NeurIPS 2021): each batch goes through the model
/// twice, each time with other features dropped; to the losses of both passes comes `alpha` times how far their class
/// probabilities are apart, by the Kullback-Leibler divergence in both directions.
struct RDrop<S> {
    /// Takes the first updates.
    inner: S,
    warmup_steps: u64,
    alpha: f64,
}

impl<M: Model, S: TrainStep<M>> TrainStep<M> for RDrop<S> {
    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        if context.step < self.warmup_steps {
            return self.inner.step(model, batch, optimizer, context);
        }
        // The trainer has seeded libtorch's generator for this step, so the noise of both passes is the same in every run.
        let pass = |optimizer: &Optimizer| -> Result<(Tensor, Tensor)> {
            let output = model.forward(batch, Mode::Train)?;
            let loss = context.check_loss(output.loss, optimizer)?.total;
            Ok((loss, output.logits.f_log_softmax(-1, None::<Kind>)?))
        };
        let (first, p) = pass(optimizer)?;
        let (second, q) = pass(optimizer)?;
        let supervised = first.f_add(&second)?;
        let apart = p.f_exp()?.f_sub(&q.f_exp()?)?.f_mul(&p.f_sub(&q)?)?; // both directions together
        let apart = apart.f_sum(p.kind())?.f_div_scalar(2.0 * batch.n_samples() as f64)?;
        let total = supervised.f_add(&apart.f_mul_scalar(self.alpha)?)?;
        optimizer.backward_step(&total)?; // drops old gradients, goes backward, clips, updates
        Ok(Loss { total, parts: vec![("supervised", supervised), ("apart", apart)] }.into())
    }
}

fn main() -> anyhow::Result<()> {
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = FieldDataset::build(posts(600, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = FieldDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, &[])?;
    let config = TextCnnConfig { embedding_size: 32, n_filters: 16, ..TextCnnConfig::default() };
    let train = DataLoader::builder(train.with_extra_padding(config.extra_padding()))
        .batch_size(30)
        .shuffle(1)
        .build()?;
    let valid =
        DataLoader::builder(valid.with_extra_padding(config.extra_padding())).batch_size(100).build()?;

    // Once with R-Drop after the first epoch, once with the plain sum of both losses.
    let mut apart_at_end = Vec::new();
    for alpha in [4.0, 0.0] {
        let (model, vars) = seeded_model(1, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?;
        let largest = 0.5;
        let warmup_steps = train.n_batches() as u64;
        let mut trainer = Trainer::builder(model, vars)
            .optimizer(OptimizerConfig::adam(3e-3))
            .clip(Clip::Norm(largest))
            .step(RDrop { inner: Supervised::default(), warmup_steps, alpha })
            .max_epochs(4)
            .build()?;
        let report = trainer.fit(&train, Some(&valid))?;

        println!("alpha {alpha}\nepoch  supervised   apart  norm before clipping  accuracy");
        for record in &report.history.epochs {
            let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
            let [supervised, apart] = ["train/loss/supervised", "train/loss/apart"].map(value);
            let norm = record.grad_norm.unwrap_or(f64::NAN);
            println!(
                "{:>5}  {supervised:>10.4}  {apart:.4}  {norm:>20.4}  {:.4}",
                record.epoch,
                value("valid/accuracy")
            );
            ensure!(
                (record.epoch == 1) == apart.is_nan(),
                "the inner step takes the first epoch, and no other"
            );
        }
        let clipped = report.history.epochs.iter().any(|record| record.grad_norm > Some(largest));
        ensure!(clipped, "nothing needed clipping, which a step of one's own gets as any does");
        let last = report.history.last().and_then(|record| record.get("train/loss/apart")?.value());
        apart_at_end.extend(last);
        let best = report.best.as_ref().map(|best| best.value);
        ensure!(best > Some(0.75), "it did not learn");
    }
    let [with, without] = apart_at_end[..] else { anyhow::bail!("a run did not record it") };
    println!("apart in the end: {with:.4} with R-Drop, {without:.4} without");
    ensure!(with < without, "the passes agree no better than without");
    Ok(())
}
