//! Trains a two-layer network on plain tensors, without texts or files.
//!
//! `cargo run -p faknow-examples --bin tensors`

use faknow::model::loss;
use faknow::prelude::*;

struct Mlp(nn::Sequential);

impl Model for Mlp {
    type Batch = (Tensor, Option<Tensor>);

    fn forward(&self, batch: &Self::Batch, mode: Mode) -> faknow::model::Result<Output> {
        loss::classify(batch.0.apply_t(&self.0, mode.is_train()), batch)
    }
}

fn main() -> anyhow::Result<()> {
    let x = faknow::trainer::with_seed(1, 0, || Tensor::f_randn([800, 2], (Kind::Float, Device::Cpu)))?;
    let y = x.f_prod_dim_int(1, false, Kind::Float)?.f_gt(0.0)?.f_to_kind(Kind::Int64)?; // XOR-like: not linearly separable
    let (train, valid) = Folds::stratified(4).split(&TensorDataset::new(x, y)?.into())?.swap_remove(0);

    let mut trainer = Trainer::seeded(1, Device::Cpu, |path| {
        let linear = |name, n_in, n_out| nn::linear(path / name, n_in, n_out, Default::default());
        anyhow::Ok(Mlp(nn::seq().add(linear("in", 2, 32)).add_fn(Tensor::relu).add(linear("out", 32, 2))))
    })?
    .optimizer(OptimizerConfig::adam(0.01))
    .build()?;
    let valid = DataLoader::builder(valid).build()?;
    let report = trainer.fit(&DataLoader::builder(train).shuffle(1).build()?, Some(&valid))?;
    let accuracy = report.best.map_or(0.0, |best| best.value);
    anyhow::ensure!(accuracy > 0.9, "validation accuracy: expected more than 0.9, got {accuracy}");
    Ok(())
}
