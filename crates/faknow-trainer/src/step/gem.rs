//! Gradient episodic memory: updates must not raise the loss on stored samples of earlier tasks.

use faknow_data::Batch;
use faknow_model::Model;
use serde_json::{Value, json};
use tch::Device;

use crate::error::setting;
use crate::step::with_part_name;
use crate::{Gradients, Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

/// Trains on a new task without forgetting earlier ones: samples of each are stored, and a gradient that would raise the
/// loss on any of them is projected onto the closest one that does not.
///
/// Lopez-Paz and Ranzato, *Gradient Episodic Memory for Continual Learning*, NIPS 2017, equations 8 to 11 without a
/// margin. The gradient g becomes g + Σ v_k g_k, where g_k are the gradients of the memories and v ≥ 0 minimizes
/// ½ vᵀAv + bᵀv, with A the dot products of the g_k with each other and b those of g with the g_k: then the dot product
/// with each g_k is at least 0. GNNCL (Han et al., 2020) uses it to train on several datasets in sequence.
///
/// Each update takes a pass over every memory. The recorded loss is that of the new task.
///
/// ```
/// use faknow_data::{Dataset, DataLoader};
/// use faknow_data::FieldDataset;
/// use faknow_data::synth::{CascadeOptions, cascades};
/// use faknow_model::{ConvKind, GraphClassifier, GraphClassifierConfig};
/// use faknow_trainer::{Gem, Trainer};
/// use tch::{Device, nn::VarStore};
///
/// let task = |seed| -> Result<FieldDataset, faknow_data::Error> {
///     FieldDataset::from_trees(cascades(&CascadeOptions { n_trees: 20, seed, ..CascadeOptions::default() })?.collect())
/// };
/// let vars = VarStore::new(Device::Cpu);
/// let model = GraphClassifier::new(&vars.root(), ConvKind::Gcn, &GraphClassifierConfig::default(), 2000, 2)?;
/// // The model was trained on the first task, of which eight trees are stored.
/// let step = Gem::new(vec![task(1)?.batch(&[0, 1, 2, 3, 4, 5, 6, 7])?])?;
/// let mut trainer = Trainer::builder(model, vars).step(step).max_epochs(1).build()?;
/// trainer.fit(&DataLoader::builder(task(2)?).batch_size(10).build()?, None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gem<B> {
    memories: Vec<B>,
    /// Device of the memories.
    device: Option<Device>,
    supervised: Supervised,
}

impl<B: Batch> Gem<B> {
    /// Creates the step with a batch of labeled samples from each earlier task.
    ///
    /// # Errors
    /// There are no memories, or one has no labels.
    pub fn new(memories: Vec<B>) -> Result<Self> {
        if memories.is_empty() || memories.iter().any(|memory| memory.labels().is_none()) {
            let got = if memories.is_empty() { "none" } else { "one without labels" };
            return Err(setting("memories of earlier tasks", "at least one, with labels", got));
        }
        Ok(Self { memories, device: None, supervised: Supervised::default() })
    }

    /// Sets how the losses are computed. Default: the model's own loss.
    #[must_use]
    pub fn supervised(mut self, supervised: Supervised) -> Self {
        self.supervised = supervised;
        self
    }

    fn move_to(&mut self, device: Device) {
        if self.device != Some(device) {
            self.memories.iter_mut().for_each(|memory| *memory = memory.to_device(device));
            self.device = Some(device);
        }
    }
}

impl<M: Model> TrainStep<M> for Gem<M::Batch>
where
    M::Batch: Send,
{
    fn settings(&self) -> Value {
        let supervised = TrainStep::<M>::settings(&self.supervised);
        json!({ "name": "gem", "n_memories": self.memories.len(), "supervised": supervised })
    }

    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        TrainStep::<M>::start_window(&mut self.supervised, batches)
    }

    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let output = self.supervised.forward(model, batch, optimizer, context)?;
        let loss = &output.loss;
        optimizer.zero_grad();
        optimizer.backward(&loss.total)?;
        if optimizer.window().is_last {
            let mut gradient = optimizer.take_gradients()?;
            self.move_to(loss.total.device());
            let mut memory_gradients = Vec::with_capacity(self.memories.len());
            for memory in &self.memories {
                let output = self.supervised.forward(model, memory, optimizer, context);
                output.map_err(|error| with_part_name(error, "memory"))?.loss.total.f_backward()?;
                memory_gradients.push(optimizer.take_gradients()?);
            }
            project(&mut gradient, &memory_gradients)?;
            optimizer.add_gradients(&gradient)?;
        }
        optimizer.step()?;
        Ok(output)
    }
}

/// Projects `gradient` onto the closest one whose dot products with `others` are at least 0.
fn project(gradient: &mut Gradients, others: &[Gradients]) -> Result<()> {
    let linear = others.iter().map(|other| gradient.dot(other)).collect::<Result<Vec<f64>>>()?;
    if linear.iter().all(|product| *product >= 0.0) {
        return Ok(());
    }
    let mut quadratic = Vec::with_capacity(others.len());
    for one in others {
        quadratic.push(others.iter().map(|other| one.dot(other)).collect::<Result<Vec<f64>>>()?);
    }
    for (factor, other) in nonnegative_minimum(&quadratic, &linear).into_iter().zip(others) {
        if factor > 0.0 {
            gradient.add_scaled(factor, other)?;
        }
    }
    Ok(())
}

/// Maximum number of passes over the coordinates; with few tasks, a few passes suffice.
const MAX_PASSES: usize = 10_000;

/// Returns the v ≥ 0 that minimizes ½ vᵀAv + bᵀv for a positive semidefinite A, by coordinate descent.
fn nonnegative_minimum(a: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut v = vec![0.0f64; b.len()];
    for _ in 0..MAX_PASSES {
        let mut max_change = 0.0f64;
        for k in 0..v.len() {
            if a[k][k] <= 0.0 {
                continue;
            }
            let slope: f64 = b[k] + a[k].iter().zip(&v).map(|(a, v)| a * v).sum::<f64>();
            let new = (v[k] - slope / a[k][k]).max(0.0);
            max_change = max_change.max((new - v[k]).abs() / (1.0 + new));
            v[k] = new;
        }
        if max_change < 1e-12 {
            break;
        }
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_satisfies_the_optimality_conditions() {
        // Gradients of three memories in four dimensions, the third almost the sum of the others.
        let g = [[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, -0.5, 0.2], [1.0, 1.0, 0.0, 0.21]];
        let dot = |x: &[f64; 4], y: &[f64; 4]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let a: Vec<Vec<f64>> = g.iter().map(|x| g.iter().map(|y| dot(x, y)).collect()).collect();
        for new in
            [[-1.0, -1.0, 0.0, 0.0], [-1.0, 2.0, 0.3, 0.0], [0.2, -0.1, -4.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
        {
            let b: Vec<f64> = g.iter().map(|x| dot(x, &new)).collect();
            let v = nonnegative_minimum(&a, &b);
            for k in 0..3 {
                let slope = b[k] + a[k].iter().zip(&v).map(|(a, v)| a * v).sum::<f64>();
                assert!(v[k] >= 0.0 && slope > -1e-9, "{new:?}: {v:?}, slope {slope}");
                assert!((v[k] * slope).abs() < 1e-9, "{new:?}: {v:?}, slope {slope}");
            }
        }
        assert_eq!(nonnegative_minimum(&[vec![0.0]], &[-1.0]), [0.0], "a memory without a gradient");
    }
}
