//! Continual learning on two events with EWC and GEM, as GNNCL is trained (Han et al., 2020).
//!
//! Different users spread the fake news of the second event. A detector that is fine-tuned on it alone forgets the first
//! event. `Ewc` protects the weights that mattered for the first event; `Gem` stores some of its trees and takes no step that
//! increases their loss.
//!
//! `cargo run -p faknow-examples --bin continual`

use anyhow::{Result, ensure};
use faknow::data::graph::{SparseRows, Tree};
use faknow::data::synth::{CascadeOptions, cascades};
use faknow::data::{Dataset, Rng};
use faknow::data::{FieldBatch, FieldDataset};
use faknow::model::{ConvKind, GraphClassifier, GraphClassifierConfig, weights};
use faknow::prelude::*;
use faknow::trainer::{Ewc, Gem, TrainStep, evaluate};

/// Number of profile features of a node's user, as in UPFD.
const N_FEATURES: usize = 10;

/// Returns the training and test trees of an event. Users who spread fake news differ in three features, which depend on the
/// event.
fn trees(event: usize) -> Result<[FieldDataset; 2]> {
    let options = CascadeOptions {
        n_trees: 400,
        mean_size: 8.0,
        noise: 0.0,
        seed: event as u64,
        ..CascadeOptions::default()
    };
    let mut rng = Rng::new(event as u64);
    let mut add_profiles = |shape: Tree| -> Result<Tree> {
        let class = shape.label().unwrap_or_default();
        let mut rows = SparseRows::new(N_FEATURES);
        for _ in 0..shape.n_nodes() {
            let is_shifted = |feature: usize| class == 1 && feature / 3 == event;
            let value = |feature| rng.uniform() as f32 + if is_shifted(feature) { 0.5 } else { 0.0 };
            rows.push(
                (0..N_FEATURES).map(value).enumerate().map(|(feature, value)| (feature as u32, value)),
            )?;
        }
        Ok(Tree::new(shape.id(), shape.parents().to_vec(), rows)?.with_label(class))
    };
    let all = FieldDataset::from_trees(cascades(&options)?.map(&mut add_profiles).collect::<Result<_>>()?)?;
    Ok([all.subset(&(0..300).collect::<Vec<_>>())?, all.subset(&(300..400).collect::<Vec<_>>())?])
}

/// Trains a detector on `data` for 20 epochs, from the weights file `init` if one is given.
fn train<S: TrainStep<GraphClassifier> + 'static>(
    init: Option<&std::path::Path>,
    data: &FieldDataset,
    step: impl FnOnce(&GraphClassifier, &nn::VarStore) -> Result<S>,
) -> Result<(GraphClassifier, nn::VarStore)> {
    let config = GraphClassifierConfig { hidden_size: 32, ..GraphClassifierConfig::default() };
    let (model, vars) = seeded_model(1, Device::Cpu, |path| {
        GraphClassifier::new(path, ConvKind::Sage, &config, N_FEATURES, 2)
    })?;
    if let Some(file) = init {
        weights::load(&vars, file)?;
    }
    let step = step(&model, &vars)?;
    let loader = DataLoader::builder(data.clone()).batch_size(32).shuffle(1).build()?;
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::adam(0.01))
        .step(step)
        .max_epochs(20)
        .build()?;
    trainer.fit(&loader, None)?;
    Ok(trainer.into_parts())
}

fn main() -> Result<()> {
    let ([first, first_test], [second, second_test]) = (trees(0)?, trees(1)?);
    let accuracies = |model: &GraphClassifier| -> Result<[f64; 2]> {
        let accuracy = |data: &FieldDataset| -> Result<f64> {
            let loader = DataLoader::builder(data.clone()).batch_size(100).build()?;
            let metrics = Metrics::from_names(&["accuracy"])?;
            let evaluation = evaluate(model, &loader, &metrics, Device::Cpu)?;
            Ok(evaluation.scores.value("accuracy").unwrap_or(f64::NAN))
        };
        Ok([accuracy(&first_test)?, accuracy(&second_test)?])
    };
    let report = |name: &str, [a, b]: [f64; 2]| println!("{name:<28} {a:<6.3} {b:.3}");
    println!("{:<28} {:<6} second", "accuracy on event", "first");

    let (model, vars) = train(None, &first, |_, _| Ok(Supervised::default()))?;
    let file = std::env::temp_dir().join(format!("continual-{}.safetensors", std::process::id()));
    weights::save(&vars, &file)?;
    report("after the first event", accuracies(&model)?);

    let (model, _) = train(Some(&file), &second, |_, _| Ok(Supervised::default()))?;
    let finetuned = accuracies(&model)?;
    report("then the second, fine-tuned", finetuned);

    let (model, _) = train(Some(&file), &second, |model, vars| {
        let mut ewc = Ewc::new(100.0)?;
        ewc.consolidate(model, vars, &first)?;
        Ok(ewc)
    })?;
    let with_ewc = accuracies(&model)?;
    report("then the second, with EWC", with_ewc);

    let memory: FieldBatch = first.batch(&(0..40).collect::<Vec<_>>())?;
    let (model, _) = train(Some(&file), &second, |_, _| Ok(Gem::new(vec![memory])?))?;
    let with_gem = accuracies(&model)?;
    report("then the second, with GEM", with_gem);
    std::fs::remove_file(&file)?;
    ensure!(
        with_ewc[0] > finetuned[0] + 0.2 && with_gem[0] > finetuned[0] + 0.2,
        "the first event was forgotten despite EWC or GEM"
    );
    Ok(())
}
