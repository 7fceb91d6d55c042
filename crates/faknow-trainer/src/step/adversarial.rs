//! Adversarial training: parameters are moved to where the loss grows, and the gradients found there count too.

use faknow_model::{Loss, Model};
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use crate::optim::{check_pattern, copy};
use crate::step::attack::Attack;
use crate::step::named_part;
use crate::{Error, NamePattern, Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

/// Norms are not taken to be smaller, so that a gradient of 0 moves nothing.
const SMALLEST_NORM: f64 = 1e-30;

/// Trains on each batch as it is, and as it is with parameters (the word vectors, most often) that an [`Attack`] has
/// moved.
///
/// The gradients of the two losses add up to one update, in which they are clipped once; the moved parameters are put
/// back before, whatever happens: an error, a panic. The recorded loss is the sum of the two, with the parts `clean` and
/// `adversarial`; parts of the model's own are those of the clean pass. Where the gradients of several batches make one
/// update, each batch is attacked by its own gradients.
///
/// In each pass a model draws noise (dropout) of its own, which is a function of the run's seed and the step.
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
    /// The step with this attack on trainable variables of `vars`, those of the model.
    ///
    /// # Errors
    /// A setting of the attack is outside its range; its pattern fits no trainable variable.
    pub fn new(attack: Attack, vars: &VarStore) -> Result<Self> {
        attack.validate()?;
        let pattern = NamePattern::new(attack.pattern());
        check_pattern("adversarial.pattern", &pattern, vars)?;
        Ok(Self { attack, pattern, supervised: Supervised::default() })
    }

    /// How the losses are computed. Default: the model's own.
    #[must_use]
    pub fn supervised(mut self, supervised: Supervised) -> Self {
        self.supervised = supervised;
        self
    }
}

impl<M: Model> TrainStep<M> for Adversarial {
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
        // The attack is to follow the gradients of this batch alone.
        let of_window = if optimizer.window().is_first { None } else { Some(optimizer.take_gradients()?) };
        optimizer.zero_grad();
        let StepOutput { loss: clean, logits, logged_values } =
            self.supervised.forward(model, batch, optimizer, context)?;
        optimizer.backward(&clean.total)?;
        let mut moved = Moved::new(optimizer, &self.pattern)?;
        let mut of_clean = None;
        let mut adversarial = None;
        for _ in 0..self.attack.steps() {
            moved.attack(&self.attack, optimizer, context)?;
            let gradients = optimizer.take_gradients()?;
            of_clean.get_or_insert(gradients);
            let output = self.supervised.forward(model, batch, optimizer, context);
            let loss = output.map_err(|error| named_part(error, "adversarial"))?.loss.total;
            optimizer.backward(&loss)?;
            adversarial = Some(loss);
        }
        moved.put_back()?;
        for gradients in of_clean.iter().chain(&of_window) {
            optimizer.add_gradients(gradients)?;
        }
        optimizer.step()?;
        // Metrics are those of the batch as it is.
        Ok(StepOutput { loss: sum_of(clean, adversarial)?, logits, logged_values })
    }
}

/// The loss whose gradients the update was made from.
fn sum_of(clean: Loss, adversarial: Option<Tensor>) -> Result<Loss> {
    let Loss { total, mut parts } = clean;
    let Some(adversarial) = adversarial else { return Ok(Loss { total, parts }) };
    let sum = no_grad(|| total.f_add(&adversarial))?;
    parts.extend([("clean", total), ("adversarial", adversarial)]);
    Ok(Loss { total: sum, parts })
}

/// Parameters that an attack moves; they go back when this goes, however the step ends.
struct Moved {
    targets: Vec<Target>,
}

struct Target {
    name: String,
    tensor: Tensor,
    before: Tensor,
}

impl Moved {
    /// Those that fit the pattern, frozen ones left out.
    fn new(optimizer: &Optimizer, pattern: &NamePattern) -> Result<Self> {
        let named = optimizer.parameters().filter(|(name, t)| pattern.matches(name) && t.requires_grad());
        let target = |(name, tensor): (&str, &Tensor)| {
            Ok(Target { name: name.to_owned(), tensor: tensor.shallow_clone(), before: copy(tensor)? })
        };
        Ok(Self { targets: named.map(target).collect::<Result<_>>()? })
    }

    /// Moves each parameter along its present gradient.
    fn attack(&mut self, attack: &Attack, optimizer: &Optimizer, context: StepContext) -> Result<()> {
        no_grad(|| {
            for Target { name, tensor, before } in &mut self.targets {
                let gradient = tensor.f_grad()?;
                if !gradient.defined() {
                    continue;
                }
                let norm = gradient.f_norm()?;
                if context.is_synchronous || norm.device() == Device::Cpu {
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
                let direction = gradient.f_div(&norm.f_clamp_min(SMALLEST_NORM)?)?;
                let moved = tensor.f_add(&direction.f_mul_scalar(attack.length())?)?;
                let delta = moved.f_sub(before)?;
                let shortened =
                    delta.f_norm()?.f_reciprocal()?.f_mul_scalar(attack.epsilon())?.f_clamp_max(1.0)?;
                tensor.f_copy_(&before.f_add(&delta.f_mul(&shortened)?)?)?;
            }
            Ok(())
        })
    }

    /// Puts all of them back, to the bit.
    fn put_back(&mut self) -> Result<()> {
        let back = |mut target: Target| target.tensor.f_copy_(&target.before);
        // All of them, even if one fails.
        let results: Vec<_> = no_grad(|| self.targets.drain(..).map(back).collect());
        Ok(results.into_iter().collect::<Result<(), _>>()?)
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            tracing::error!("parameters could not be restored after an attack on them: {error}");
        }
    }
}
