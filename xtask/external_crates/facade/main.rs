//! A program outside the workspace that uses the facade alone: it trains a TextCNN on made-up posts, watches the
//! training with a callback of its own, and tests what it learned.

use faknow::data::synth::{SynthOptions, generate};
use faknow::data::{Record, FieldDataset};
use faknow::prelude::*;

/// Counts the epochs, as a callback of a user's own would.
struct Count;

impl Callback for Count {
    fn on_epoch_end(&mut self, _run: &mut Run, record: &EpochRecord) -> faknow::callbacks::HookResult<Flow> {
        println!("epoch {} is over", record.epoch);
        Ok(Flow::Continue)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let posts = generate(&SynthOptions { n_samples: 1_500, ..SynthOptions::default() })?;
    let records: Vec<Record> = posts
        .into_iter()
        .map(|post| Record { text: post.text, label: Some(post.label), ..Record::default() })
        .collect();
    let (training, rest) = records.split_at(1_000);

    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let config = TextCnnConfig::default();
    let (training, vocab) =
        FieldDataset::build(training.iter().cloned().map(Ok), &tokenizer, &VocabOptions::default())?;
    let rest = FieldDataset::from_records(rest.iter().cloned().map(Ok), &tokenizer, &vocab, &[])?;
    let training =
        DataLoader::builder(training.with_extra_padding(config.extra_padding())).batch_size(64).shuffle(1).build()?;
    let rest = DataLoader::builder(rest.with_extra_padding(config.extra_padding())).batch_size(256).build()?;

    let mut trainer = Trainer::seeded(1, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?
        .optimizer(OptimizerConfig::adam(1e-3))
        .max_epochs(4)
        .callback(Count)
        .build()?;
    let report = trainer.fit(&training, Some(&rest))?;
    let test = trainer.test(&rest)?;
    let accuracy = test.scores.value("accuracy").ok_or("no accuracy")?;
    println!("{}; test accuracy {accuracy:.3}", report.ended);
    if accuracy < 0.65 {
        return Err(format!("it learned nothing: accuracy {accuracy:.3}").into());
    }
    println!("external facade: good");
    Ok(())
}
