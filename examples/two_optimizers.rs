//! Two losses with separate optimizers, as in CAFE, in a run that resumes bit-exactly after a crash.
//!
//! For each batch, one optimizer trains a matching module to recognize whether a headline and a body belong together; the
//! other one then trains the detector on the classes. `TwoOptimizers` does both and saves the state of the additional
//! optimizer in every checkpoint.
//!
//! `cargo run -p faknow-examples --bin two_optimizers`

use anyhow::ensure;
use faknow::callbacks::{Interval, on_batch_end};
use faknow::data::Rng;
use faknow::model::layers::Linear;
use faknow::model::{Result, loss};
use faknow::prelude::*;
use faknow::trainer::CheckpointPolicy;

/// Features of headlines and bodies. The headline of a fake does not match its body.
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

/// Pairs of headline and body features; every second one is a fake.
struct News(Vec<[[f32; SIZE]; 2]>);

impl News {
    /// Creates `n` pairs. The body of a real post has the features of its headline in reverse; that of a fake is random.
    fn new(n: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut draw = || std::array::from_fn(|_| (2.0 * rng.uniform() - 1.0) as f32);
        let pair = |index: usize| {
            let (headline, random): ([f32; SIZE], [f32; SIZE]) = (draw(), draw());
            let reversed = std::array::from_fn(|i| headline[SIZE - 1 - i]);
            [headline, if index.is_multiple_of(2) { reversed } else { random }]
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
        let features = |part: usize| {
            let values: Vec<f32> = indices.iter().flat_map(|&index| self.0[index][part]).collect();
            Tensor::from_slice(&values).view([indices.len() as i64, SIZE as i64])
        };
        let labels: Vec<i64> = indices.iter().map(|index| (index % 2) as i64).collect();
        Ok(Pairs { headlines: features(0), bodies: features(1), labels: Tensor::from_slice(&labels) })
    }
}

/// Projects headlines and bodies into a shared space, and classifies by their cosine similarity.
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

    /// Returns the cosine similarity of each headline and its body: `[n]`.
    fn similarity(&self, headlines: &Tensor, bodies: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.headline.forward(headlines)?, self.body.forward(bodies)?);
        Ok(Tensor::f_cosine_similarity(&a, &b, 1, 1e-8)?)
    }

    /// Returns the matching loss of the real posts: a headline matches its body but not that of the next post. `None` if there
    /// are fewer than two real posts.
    fn matching_loss(&self, batch: &Pairs) -> Result<Option<Tensor>> {
        let real = batch.labels.f_eq(0)?.f_nonzero()?.f_squeeze_dim(1)?;
        if real.size()[0] < 2 {
            return Ok(None);
        }
        let headlines = batch.headlines.f_index_select(0, &real)?;
        let bodies = batch.bodies.f_index_select(0, &real)?;
        let matching = self.similarity(&headlines, &bodies)?;
        let mismatched = self.similarity(&headlines, &bodies.f_roll([1], [0])?)?;
        let mismatch_loss = mismatched.f_relu()?.f_mean(Kind::Float)?;
        Ok(Some(matching.f_neg()?.f_add_scalar(1.0)?.f_mean(Kind::Float)?.f_add(&mismatch_loss)?))
    }
}

impl Model for Matching {
    type Batch = Pairs;

    fn forward(&self, batch: &Pairs, _: Mode) -> Result<Output> {
        let similarity = self.similarity(&batch.headlines, &batch.bodies)?;
        loss::classify(self.classifier.forward(&similarity.f_unsqueeze(1)?)?, batch)
    }
}

/// Returns a trainer with both optimizers for a run directory.
fn trainer(dir: RunDir) -> anyhow::Result<faknow::trainer::TrainerBuilder<Matching>> {
    let (model, vars) = seeded_model(1, Device::Cpu, Matching::new)?;
    let patterns = ["matching.*".into()];
    let optimizer =
        Optimizer::for_parameters(OptimizerConfig::adam(0.02), &vars, Clip::Norm(1.0), &patterns)?;
    let step = TwoOptimizers::new("matching", optimizer, |model: &Matching, batch: &Pairs| {
        model.matching_loss(batch)
    });
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

    let mut uninterrupted = trainer(RunDir::create(temp.join("uninterrupted"))?)?.build()?;
    let report = uninterrupted.fit(&train, Some(&valid))?;
    println!("epoch  matching  classes  accuracy");
    for record in &report.history.epochs {
        let value = |key: &str| record.get(key).and_then(Score::value).unwrap_or(f64::NAN);
        let [matching, classes, accuracy] =
            ["train/loss/matching", "train/loss", "valid/accuracy"].map(value);
        println!("{:>5}  {matching:>8.4}  {classes:>7.4}  {accuracy:>8.4}", record.epoch);
    }
    ensure!(report.best.as_ref().map(|best| best.value) > Some(0.85), "the validation accuracy is too low");

    // The same run crashes in its third epoch and resumes with the state of both optimizers.
    let crash =
        on_batch_end(|run, _| if run.step() == 47 { panic!("simulated crash") } else { Ok(Flow::Continue) });
    std::panic::set_hook(Box::new(|_| {})); // do not print the intended panic
    let dir = temp.join("crashed");
    let crashed = trainer(RunDir::create(&dir)?)?.callback(crash).build()?.fit(&train, Some(&valid));
    println!("crashed: {}", crashed.err().map_or_else(String::new, |error| error.to_string()));
    let mut resumed = trainer(RunDir::open(&dir)?)?.build()?;
    let resumed_report = resumed.resume(&train, Some(&valid))?;

    ensure!(
        resumed_report.history.epochs.len() == report.history.epochs.len(),
        "the numbers of epochs differ"
    );
    for (name, weight) in uninterrupted.run().vars.variables() {
        ensure!(
            weight == resumed.run().vars.variables()[&name],
            "{name}: the resumed run ended with other weights"
        );
    }
    println!("resumed: all weights equal those of the uninterrupted run");
    std::fs::remove_dir_all(&temp)?;
    Ok(())
}
