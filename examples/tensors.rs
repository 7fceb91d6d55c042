//! A model on plain tensors: no texts, no files, a network of three layers. `cargo run -p faknow-examples --bin tensors`

use anyhow::Context;
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
    seed_model(1);
    let x = Tensor::f_randn([800, 2], (Kind::Float, Device::Cpu))?;
    let y = x.f_prod_dim_int(1, false, Kind::Float)?.f_gt(0.0)?.f_to_kind(Kind::Int64)?; // no line separates them
    let folds = Folds::stratified(4).split(&TensorDataset::new(x, y)?.into())?;
    let (train, valid) = folds.into_iter().next().context("four folds")?;

    let vars = nn::VarStore::new(Device::Cpu);
    let linear = |name, n_in, n_out| nn::linear(vars.root() / name, n_in, n_out, Default::default());
    let mlp = nn::seq().add(linear("hidden", 2, 32)).add_fn(Tensor::relu).add(linear("output", 32, 2));
    let mut trainer = Trainer::builder(Mlp(mlp), vars).optimizer(OptimizerConfig::adam(0.01)).build()?;
    let train = DataLoader::builder(train).batch_size(32).shuffle(1).build()?;
    let report = trainer.fit(&train, Some(&DataLoader::builder(valid).build()?))?;
    let accuracy = report.best.context("it was validated")?.value;
    anyhow::ensure!(accuracy > 0.9, "it learned too little: {accuracy}");
    Ok(())
}
