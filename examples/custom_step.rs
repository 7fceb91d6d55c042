//! A custom training step: R-Drop, which makes the predictions of two passes with different dropout masks agree.
//!
//! A step gets the model, the batch and the optimizer; the trainer does the rest (epochs, clipping, validation, callbacks).
//! This step wraps another one, which runs during the warmup. Built-in steps are `Supervised`, `Adversarial` and
//! `TwoOptimizers`, among others.
//!
//! `cargo run -p faknow-examples --bin custom_step`

use anyhow::ensure;
use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;
use faknow::trainer::Result;

/// R-Drop (Liang et al., *Regularized Dropout for Neural Networks*, NeurIPS 2021): each batch passes through the model
/// twice with different dropout masks. The loss is the sum of both losses plus `alpha` times the symmetric Kullback-Leibler
/// divergence between the predicted class probabilities.
struct RDrop<S> {
    /// Runs the first `warmup_steps` steps.
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
        // The trainer seeds libtorch's generator for each step, so the dropout masks are reproducible.
        let pass = |optimizer: &Optimizer| -> Result<(Tensor, Tensor)> {
            let output = model.forward(batch, Mode::Train)?;
            let loss = context.check_loss(output.loss, optimizer)?.total;
            Ok((loss, output.logits.f_log_softmax(-1, None::<Kind>)?))
        };
        let (first, p) = pass(optimizer)?;
        let (second, q) = pass(optimizer)?;
        let supervised = first.f_add(&second)?;
        let kl = p.f_exp()?.f_sub(&q.f_exp()?)?.f_mul(&p.f_sub(&q)?)?; // both directions
        let kl = kl.f_sum(p.kind())?.f_div_scalar(2.0 * batch.n_samples() as f64)?;
        let total = supervised.f_add(&kl.f_mul_scalar(self.alpha)?)?;
        optimizer.backward_step(&total)?; // clears gradients, backpropagates, clips, updates
        Ok(Loss { total, parts: vec![("supervised", supervised), ("kl", kl)] }.into())
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

    // With R-Drop after the first epoch, and with the plain sum of both losses.
    let mut final_kl = Vec::new();
    for alpha in [4.0, 0.0] {
        let (model, vars) = seeded_model(1, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?;
        let max_norm = 0.5;
        let warmup_steps = train.n_batches() as u64;
        let mut trainer = Trainer::builder(model, vars)
            .optimizer(OptimizerConfig::adam(3e-3))
            .clip(Clip::Norm(max_norm))
            .step(RDrop { inner: Supervised::default(), warmup_steps, alpha })
            .max_epochs(4)
            .build()?;
        let report = trainer.fit(&train, Some(&valid))?;

        println!("alpha {alpha}\nepoch  supervised      kl  norm before clipping  accuracy");
        for record in &report.history.epochs {
            let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
            let [supervised, kl] = ["train/loss/supervised", "train/loss/kl"].map(value);
            let norm = record.grad_norm.unwrap_or(f64::NAN);
            println!(
                "{:>5}  {supervised:>10.4}  {kl:>6.4}  {norm:>20.4}  {:.4}",
                record.epoch,
                value("valid/accuracy")
            );
            ensure!((record.epoch == 1) == kl.is_nan(), "the inner step must run in the first epoch only");
        }
        let is_clipped = report.history.epochs.iter().any(|record| record.grad_norm > Some(max_norm));
        ensure!(is_clipped, "no gradient was clipped");
        let last = report.history.last().and_then(|record| record.get("train/loss/kl")?.value());
        final_kl.extend(last);
        let best = report.best.as_ref().map(|best| best.value);
        ensure!(best > Some(0.75), "the validation accuracy is too low");
    }
    let [with, without] = final_kl[..] else { anyhow::bail!("a run did not log `train/loss/kl`") };
    println!("final divergence: {with:.4} with R-Drop, {without:.4} without");
    ensure!(with < without, "R-Drop did not reduce the divergence");
    Ok(())
}
