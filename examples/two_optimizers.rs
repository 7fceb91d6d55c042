//! Two losses with an optimizer each, as CAFE is trained, in a run that goes on bit by bit after it was cut off.
//!
//! A matching module first learns, from each batch, whether a headline and a body belong together; then the detector
//! learns, with an optimizer of its own, from the classes. `TwoOptimizers` does both; what the second optimizer remembers
//! becomes part of every checkpoint.
//!
//! `cargo run -p faknow-examples --bin two_optimizers`

use anyhow::ensure;
use faknow::callbacks::{Interval, on_batch_end};
use faknow::data::Rng;
use faknow::model::layers::Linear;
use faknow::model::{Result, loss};
use faknow::prelude::*;
use faknow::trainer::CheckpointPolicy;

/// Features of headlines and bodies; a fake's headline does not belong to its body.
struct Pairs {
    headlines: Tensor,
    bodies: Tensor,
    labels: Tensor,
}

const SIZE: usize = 8;

impl Batch for Pairs {
    fn n_samples(&self) -> usize {
        self.labels.size()[0] as usize
    }

    fn labels(&self) -> Option<&Tensor> {
        Some(&self.labels)
    }

    fn to_device(&self, device: Device) -> Self {
        let [headlines, bodies, labels] =
            [&self.headlines, &self.bodies, &self.labels].map(|tensor| tensor.to_device(device));
        Self { headlines, bodies, labels }
    }
}

/// The pairs as numbers; every second one is a fake.
struct News(Vec<[[f32; SIZE]; 2]>);

impl News {
    /// A body says what its headline does, turned around; that of a fake says something else.
    fn new(n: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut draw = || std::array::from_fn(|_| (2.0 * rng.uniform() - 1.0) as f32);
        let pair = |index: usize| {
            let (headline, other): ([f32; SIZE], [f32; SIZE]) = (draw(), draw());
            let turned = std::array::from_fn(|place| headline[SIZE - 1 - place]);
            [headline, if index.is_multiple_of(2) { turned } else { other }]
        };
        Self((0..n).map(pair).collect())
    }
}

impl Dataset for News {
    type Batch = Pairs;

    fn n_samples(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, indices: &[usize]) -> faknow::data::Result<Pairs> {
        let features = |which: usize| {
            let values: Vec<f32> = indices.iter().flat_map(|&index| self.0[index][which]).collect();
            Tensor::from_slice(&values).view([indices.len() as i64, SIZE as i64])
        };
        let labels: Vec<i64> = indices.iter().map(|index| (index % 2) as i64).collect();
        Ok(Pairs { headlines: features(0), bodies: features(1), labels: Tensor::from_slice(&labels) })
    }
}

/// Projects headlines and bodies to where they can be compared, and classifies by how alike they are.
struct Matching {
    headline: Linear,
    body: Linear,
    classifier: Linear,
}

impl Matching {
    fn new(path: &nn::Path<'_>) -> Result<Self> {
        let matching = path / "matching";
        Ok(Self {
            headline: Linear::new(&(&matching / "headline"), SIZE as i64, SIZE as i64)?,
            body: Linear::new(&(&matching / "body"), SIZE as i64, SIZE as i64)?,
            classifier: Linear::new(&(path / "classifier"), 1, 2)?,
        })
    }

    /// How alike each headline and its body are, from -1 to 1: `[n]`.
    fn similarity(&self, headlines: &Tensor, bodies: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.headline.forward(headlines)?, self.body.forward(bodies)?);
        Ok(Tensor::f_cosine_similarity(&a, &b, 1, 1e-8)?)
    }

    /// Real posts belong to their bodies, and not to those of the posts after them. `None` without two real posts.
    fn matching_loss(&self, batch: &Pairs) -> Result<Option<Tensor>> {
        let real = batch.labels.f_eq(0)?.f_nonzero()?.f_squeeze_dim(1)?;
        if real.size()[0] < 2 {
            return Ok(None);
        }
        let headlines = batch.headlines.f_index_select(0, &real)?;
        let bodies = batch.bodies.f_index_select(0, &real)?;
        let own = self.similarity(&headlines, &bodies)?;
        let others = self.similarity(&headlines, &bodies.f_roll([1], [0])?)?;
        let apart = others.f_relu()?.f_mean(Kind::Float)?;
        Ok(Some(own.f_neg()?.f_add_scalar(1.0)?.f_mean(Kind::Float)?.f_add(&apart)?))
    }
}

impl Model for Matching {
    type Batch = Pairs;

    fn forward(&self, batch: &Pairs, _: Mode) -> Result<Output> {
        let similarity = self.similarity(&batch.headlines, &batch.bodies)?;
        loss::classify(self.classifier.forward(&similarity.f_unsqueeze(1)?)?, batch)
    }
}

/// A trainer in this directory.
fn trainer(dir: RunDir) -> anyhow::Result<faknow::trainer::TrainerBuilder<Matching>> {
    let (model, vars) = seeded_model(1, Device::Cpu, Matching::new)?;
    let patterns = ["matching.*".into()];
    let own = Optimizer::for_parameters(OptimizerConfig::adam(0.02), &vars, Clip::Norm(1.0), &patterns)?;
    let step =
        TwoOptimizers::new("matching", own, |model: &Matching, batch: &Pairs| model.matching_loss(batch));
    Ok(Trainer::builder(model, vars)
        .step(step)
        .optimizer(OptimizerConfig::adam(0.05))
        .clip(Clip::Norm(0.5))
        .checkpoints(CheckpointPolicy { every: Interval::steps(5), ..CheckpointPolicy::default() })
        .max_epochs(8)
        .run_dir(dir))
}

fn main() -> anyhow::Result<()> {
    let train = DataLoader::builder(News::new(400, 1)).batch_size(20).shuffle(1).build()?;
    let valid = DataLoader::builder(News::new(200, 2)).batch_size(200).build()?;
    let temp = std::env::temp_dir().join(format!("faknow-two-optimizers-{}", std::process::id()));

    let mut whole = trainer(RunDir::create(temp.join("whole"))?)?.build()?;
    let report = whole.fit(&train, Some(&valid))?;
    println!("epoch  matching  classes  accuracy");
    for record in &report.history.epochs {
        let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
        let [matching, classes, accuracy] =
            ["train/loss/matching", "train/loss", "valid/accuracy"].map(value);
        println!("{:>5}  {matching:>8.4}  {classes:>7.4}  {accuracy:>8.4}", record.epoch);
    }
    ensure!(report.best.as_ref().map(|best| best.value) > Some(0.85), "it did not learn");

    // The same run, cut off in its third epoch; it goes on with both optimizers as they were then.
    let cut =
        on_batch_end(|run, _| if run.step() == 47 { panic!("the power fails") } else { Ok(Flow::Continue) });
    std::panic::set_hook(Box::new(|_| {})); // the panic is meant
    let dir = temp.join("cut off");
    let cut_off = trainer(RunDir::create(&dir)?)?.callback(cut).build()?.fit(&train, Some(&valid));
    println!("cut off: {}", cut_off.err().map_or_else(String::new, |error| error.to_string()));
    let mut resumed = trainer(RunDir::open(&dir)?)?.build()?;
    let again = resumed.resume(&train, Some(&valid))?;

    ensure!(again.history.epochs.len() == report.history.epochs.len(), "it did not go on to the end");
    for (name, weight) in whole.run().vars.variables() {
        ensure!(weight == resumed.run().vars.variables()[&name], "{name} is another one after resuming");
    }
    println!("resumed: all weights are those of the run that was not cut off");
    std::fs::remove_dir_all(&temp)?;
    Ok(())
}
