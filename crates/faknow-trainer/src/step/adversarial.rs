//! Adversarial training: gradients at parameters that are perturbed to raise the loss are added to the update.

use faknow_model::{Loss, Model};
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::optim::{check_pattern, copy};
use crate::step::attack::Attack;
use crate::step::with_part_name;
use crate::{Error, NamePattern, Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

/// Lower bound of a gradient norm, so that a gradient of 0 causes no perturbation.
const MIN_NORM: f64 = 1e-30;

/// Trains on each batch twice: with the current parameters, and with parameters (usually the word vectors) that an
/// [`Attack`] has perturbed.
///
/// The gradients of both losses are summed and clipped once for one update; the perturbed parameters are restored before
/// it, also after an error or a panic. The recorded loss is the sum of both, with the parts `clean` and `adversarial`;
/// parts of the model's own loss are those of the clean pass. If gradients of several batches are accumulated for one
/// update, each batch is attacked with its own gradients.
///
/// Each pass draws new noise (dropout), which is a function of the seed of the run and the step.
///
/// ```
/// use faknow_model::{TextCnn, TextCnnConfig};
/// use faknow_trainer::{Adversarial, Attack, Pgd, Trainer};
/// use tch::{Device, nn::VarStore};
///
/// let vars = VarStore::new(Device::Cpu);
/// let model = TextCnn::new(&vars.root(), &TextCnnConfig::default(), 100, 2)?;
/// let step = Adversarial::new(Attack::Pgd(Pgd { epsilon: 2.0, ..Pgd::default() }), &vars)?;
/// let trainer = Trainer::builder(model, vars).step(step).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Adversarial {
    attack: Attack,
    pattern: NamePattern,
    supervised: Supervised,
}

impl Adversarial {
    /// Creates the step with an attack on trainable variables of `vars`, the variables of the model.
    ///
    /// # Errors
    /// A setting of the attack is outside its range; its pattern matches no trainable variable.
    pub fn new(attack: Attack, vars: &VarStore) -> Result<Self> {
        let step = Self::if_trainable(attack)?;
        check_pattern("adversarial.pattern", &step.pattern, vars)?;
        Ok(step)
    }

    /// Creates the step for a model that may lack the attacked parameters, such as word vectors if there is an encoder. Without
    /// any that is trained, batches are not attacked, and the step is the supervised one.
    ///
    /// # Errors
    /// A setting of the attack is outside its range.
    pub fn if_trainable(attack: Attack) -> Result<Self> {
        attack.validate()?;
        let pattern = NamePattern::new(attack.pattern());
        Ok(Self { attack, pattern, supervised: Supervised::default() })
    }

    /// Sets how the losses are computed. Default: the model's own loss.
    #[must_use]
    pub fn supervised(mut self, supervised: Supervised) -> Self {
        self.supervised = supervised;
        self
    }
}

impl<M: Model> TrainStep<M> for Adversarial {
    fn settings(&self) -> Value {
        let supervised = TrainStep::<M>::settings(&self.supervised);
        json!({ "name": "adversarial", "attack": self.attack, "supervised": supervised })
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
        // The attack follows the gradients of this batch alone.
        let accumulated = if optimizer.window().is_first { None } else { Some(optimizer.take_gradients()?) };
        optimizer.zero_grad();
        let StepOutput { loss: clean, logits, logged_values } =
            self.supervised.forward(model, batch, optimizer, context)?;
        optimizer.backward(&clean.total)?;
        let mut perturbed = Perturbed::new(optimizer, &self.pattern)?;
        let mut clean_gradients = None;
        let mut adversarial = None;
        let n_attacks = if perturbed.targets.is_empty() { 0 } else { self.attack.steps() };
        for _ in 0..n_attacks {
            perturbed.attack(&self.attack, optimizer, context)?;
            let gradients = optimizer.take_gradients()?;
            clean_gradients.get_or_insert(gradients);
            let output = self.supervised.forward(model, batch, optimizer, context);
            let loss = output.map_err(|error| with_part_name(error, "adversarial"))?.loss.total;
            optimizer.backward(&loss)?;
            adversarial = Some(loss);
        }
        perturbed.restore()?;
        for gradients in clean_gradients.iter().chain(&accumulated) {
            optimizer.add_gradients(gradients)?;
        }
        optimizer.step()?;
        // The metrics are those of the clean pass.
        Ok(StepOutput { loss: sum(clean, adversarial)?, logits, logged_values })
    }
}

/// Returns the sum of the losses, whose gradients the update is made from.
fn sum(clean: Loss, adversarial: Option<Tensor>) -> Result<Loss> {
    let Loss { total, mut parts } = clean;
    let Some(adversarial) = adversarial else { return Ok(Loss { total, parts }) };
    let total_sum = no_grad(|| total.f_add(&adversarial))?;
    parts.extend([("clean", total), ("adversarial", adversarial)]);
    Ok(Loss { total: total_sum, parts })
}

/// Parameters that an attack perturbs; they are restored on drop, however the step ends.
struct Perturbed {
    targets: Vec<Target>,
}

struct Target {
    name: String,
    tensor: Tensor,
    original: Tensor,
}

impl Perturbed {
    /// Saves the trainable parameters that match the pattern.
    fn new(optimizer: &Optimizer, pattern: &NamePattern) -> Result<Self> {
        let named = optimizer.parameters().filter(|(name, t)| pattern.matches(name) && t.requires_grad());
        let target = |(name, tensor): (&str, &Tensor)| {
            Ok(Target { name: name.to_owned(), tensor: tensor.shallow_clone(), original: copy(tensor)? })
        };
        Ok(Self { targets: named.map(target).collect::<Result<_>>()? })
    }

    /// Moves each parameter along its current gradient, within the maximum distance.
    fn attack(&mut self, attack: &Attack, optimizer: &Optimizer, context: StepContext) -> Result<()> {
        no_grad(|| {
            for Target { name, tensor, original } in &mut self.targets {
                let gradient = tensor.f_grad()?;
                if !gradient.defined() {
                    continue;
                }
                let norm = gradient.f_norm()?;
                if context.is_synchronous {
                    let norm = norm.f_double_value(&[])?;
                    if !norm.is_finite() {
                        return Err(Error::NonFiniteGradient {
                            location: Some(context.location),
                            parameter: name.clone(),
                            norm,
                            learning_rate: optimizer.first_learning_rate(),
                        });
                    }
                }
                let direction = gradient.f_div(&norm.f_clamp_min(MIN_NORM)?)?;
                let target = tensor.f_add(&direction.f_mul_scalar(attack.step_size())?)?;
                let delta = target.f_sub(original)?;
                let scale =
                    delta.f_norm()?.f_reciprocal()?.f_mul_scalar(attack.epsilon())?.f_clamp_max(1.0)?;
                tensor.f_copy_(&original.f_add(&delta.f_mul(&scale)?)?)?;
            }
            Ok(())
        })
    }

    /// Restores all parameters bitwise, even if one of them fails.
    fn restore(&mut self) -> Result<()> {
        let restore = |mut target: Target| target.tensor.f_copy_(&target.original);
        let results: Vec<_> = no_grad(|| self.targets.drain(..).map(restore).collect());
        Ok(results.into_iter().collect::<Result<(), _>>()?)
    }
}

impl Drop for Perturbed {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::error!("cannot restore the parameters after an adversarial attack: {error}");
        }
    }
}
