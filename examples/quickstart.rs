//! The shortest whole path, as in the README: posts, loaders, a model, training with early stopping, test, prediction.
//!
//! `cargo run -p faknow-examples --bin quickstart`

use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;

fn main() -> anyhow::Result<()> {
    // Made-up posts; `RecordReader` gives the same from JSON, JSON lines, CSV and TSV files.
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = TextDataset::build(posts(2_000, 1)?, &tokenizer, &VocabOptions::default())?;
    let encode = |posts| TextDataset::from_records(posts, &tokenizer, &vocab, &[]);

    let config = TextCnnConfig { embedding_size: 64, n_filters: 32, ..TextCnnConfig::default() };
    let loader = |data: TextDataset| DataLoader::builder(data.with_margin(config.margin())).batch_size(32);
    let train = loader(train).shuffle(1).build()?;
    let valid = loader(encode(posts(400, 2)?.collect::<Vec<_>>())?).build()?;
    let test = loader(encode(posts(400, 3)?.collect())?).build()?;

    seed_model(1);
    let vars = nn::VarStore::new(Device::cuda_if_available());
    let model = TextCnn::new(&vars.root(), &config, vocab.len(), 2)?;
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::adam(1e-3))
        .max_epochs(20)
        .callback(EarlyStopping::new(3))
        .callback(Progress::auto())
        .build()?;
    let report = trainer.fit(&train, Some(&valid))?;
    println!("{}; best: {:?}", report.ended, report.best);

    let evaluation = trainer.test(&test)?;
    println!("test: {}", evaluation.scores);
    assert!(evaluation.scores.value("accuracy") > Some(0.75));

    let new = vec![Ok(Record::new("The mayor was abducted by aliens. Share this now!!!"))];
    println!("real, fake: {:.3?}", trainer.predict(&loader(encode(new)?).build()?)?);
    Ok(())
}
