//! The example of README.md: trains a TextCNN with early stopping, tests it and classifies a new post.
//!
//! `cargo run -p faknow-examples --bin quickstart`

use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;

fn main() -> anyhow::Result<()> {
    // Synthetic posts; a `RecordReader` reads JSON, JSON lines, CSV and TSV files.
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = FieldDataset::build(posts(1_500, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = FieldDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, &[])?;
    let test = FieldDataset::from_records(posts(300, 3)?, &tokenizer, &vocab, &[])?;

    let config = TextCnnConfig { embedding_size: 64, n_filters: 32, ..TextCnnConfig::default() };
    let loader = |data: FieldDataset| {
        DataLoader::builder(data.with_extra_padding(config.extra_padding())).batch_size(32)
    };
    let (train, valid) = (loader(train).shuffle(1).build()?, loader(valid).build()?);

    let mut trainer =
        Trainer::seeded(1, Device::cuda_if_available(), |path| TextCnn::new(path, &config, vocab.len(), 2))?
            .optimizer(OptimizerConfig::adam(2e-3))
            .max_epochs(20)
            .callback(EarlyStopping::new(2))
            .callback(Progress::auto())
            .build()?;
    let report = trainer.fit(&train, Some(&valid))?;
    let test = trainer.test(&loader(test).build()?)?.scores;
    println!("{} epochs; test: {test}", report.history.epochs.len());

    let post = Record::new("Breaking: the mayor was abducted by aliens. Share this now!!!");
    let post = FieldDataset::from_records([Ok(post)], &tokenizer, &vocab, &[])?;
    let predictions = trainer.classify(&loader(post).build()?, &["real", "fake"], &Decision::default())?;
    println!("{}: {:.3}", predictions[0].label, predictions[0].score);
    anyhow::ensure!(test.value("accuracy") > Some(0.75), "the accuracy is too low");
    Ok(())
}
