//! A training step of one's own: adversarial training of the word vectors by the fast gradient method.
//!
//! A step gets the model, the batch and the optimizer; all else (epochs, clipping, validation, callbacks) stays the
//! trainer's. This one wraps another step, which takes the first updates.
//!
//! `cargo run -p faknow-examples --bin custom_step`

use anyhow::ensure;
use faknow::callbacks::{Error, on_batch_end};
use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;
use faknow::tch::no_grad;
use faknow::trainer::Result;

/// The fast gradient method on word vectors (Miyato et al., 2017; here on the table, without normalising it): each
/// update comes from the gradients of the batch itself and of the batch with all word vectors moved a step of length
/// `epsilon` to where the loss grows fastest.
struct FastGradient<S> {
    /// Takes the first updates, when gradients say little yet.
    inner: S,
    warmup_steps: u64,
    epsilon: f64,
    /// Name of the table of word vectors among the parameters.
    embedding: &'static str,
}

impl<M: Model, S: TrainStep<M>> TrainStep<M> for FastGradient<S> {
    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        at: StepContext,
    ) -> Result<Loss> {
        if at.step < self.warmup_steps {
            return self.inner.step(model, batch, optimizer, at);
        }
        let loss_of_batch = |optimizer: &Optimizer| -> Result<Tensor> {
            let output = model.forward(batch, Mode::Train).map_err(|error| at.model_error(error))?;
            Ok(at.check_loss(output.loss, optimizer)?.total)
        };
        optimizer.zero_grad();
        let clean = loss_of_batch(optimizer)?;
        clean.f_backward()?;

        let named = optimizer.parameters().find(|(name, _)| *name == self.embedding);
        let Some(mut vectors) = named.map(|(_, vectors)| vectors.shallow_clone()) else {
            return Err(at.error(format!("no parameter `{}` is trained", self.embedding)));
        };
        let before = vectors.copy();
        no_grad(|| {
            let gradient = vectors.grad();
            let length = gradient.f_norm()?.f_add_scalar(1e-12)?;
            vectors.f_add_(&gradient.f_div(&length)?.f_mul_scalar(self.epsilon)?).map(drop)
        })?;
        let adversarial = loss_of_batch(optimizer)?;
        adversarial.f_backward()?; // onto the gradients that are there already
        no_grad(|| vectors.f_copy_(&before))?; // exactly: adding and subtracting would round

        optimizer.step()?; // measures and clips the sum of both gradients, as any step does
        let total = clean.f_add(&adversarial)?;
        Ok(Loss { total, parts: vec![("clean", clean), ("adversarial", adversarial)] })
    }
}

fn main() -> anyhow::Result<()> {
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = TextDataset::build(posts(600, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = TextDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, &[])?;
    let config = TextCnnConfig { embedding_size: 32, n_filters: 16, ..TextCnnConfig::default() };
    let train = DataLoader::builder(train.with_margin(config.margin())).batch_size(30).shuffle(1).build()?;
    let valid = DataLoader::builder(valid.with_margin(config.margin())).batch_size(100).build()?;

    seed_model(1);
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), &config, vocab.len(), 2)?;
    let largest = 0.5;
    let warmup_steps = train.n_batches() as u64; // the first epoch
    let step =
        FastGradient { inner: Supervised, warmup_steps, epsilon: 1.0, embedding: "word_embedding.weight" };
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::adam(3e-3))
        .clip(Clip::Norm(largest))
        .step(step)
        .max_epochs(5)
        // The gradients as the update saw them: none may be longer than the limit, in whatever step.
        .callback(on_batch_end(move |run, _| {
            let norms: Vec<Tensor> = run.vars.trainable_variables().iter().map(|v| v.grad().norm()).collect();
            let norm = Tensor::stack(&norms, 0).norm().double_value(&[]);
            if norm <= largest + 1e-4 {
                return Ok(Flow::Continue);
            }
            let message = format!("the gradients of step {} have the norm {norm}, above {largest}", run.step);
            Err(Error::Custom { callback: "check".into(), message })
        }))
        .build()?;
    let report = trainer.fit(&train, Some(&valid))?;

    println!("epoch  clean   adversarial  norm before clipping  accuracy");
    for record in &report.history.epochs {
        let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
        let [clean, adversarial] = ["train/loss/clean", "train/loss/adversarial"].map(value);
        let norm = record.grad_norm.unwrap_or(f64::NAN);
        println!(
            "{:>5}  {clean:.4}  {adversarial:>11.4}  {norm:>20.4}  {:.4}",
            record.epoch,
            value("valid/accuracy")
        );
        let is_warmup = record.epoch == 1;
        ensure!(is_warmup == clean.is_nan(), "the inner step takes the first epoch, and no other");
        ensure!(is_warmup || adversarial > clean, "a step to where the loss grows must raise it");
    }
    let clipped = report.history.epochs.iter().any(|record| record.grad_norm > Some(largest));
    ensure!(clipped, "nothing needed clipping, so nothing was shown");
    let best = report.best.as_ref().map(|best| best.value);
    ensure!(best > Some(0.75), "it did not learn");
    Ok(())
}
