//! Updates with libtorch operations: for other devices, other kinds, and memory that is not a slice.

use tch::{TchError, Tensor};

use super::rule::{Formula, MeanSquare, Moments, Momentum, Rule};

/// Clipping of gradients.
#[derive(Debug)]
pub(super) enum Change {
    None,
    /// Scaling.
    Factor(f64),
    /// Scaling by a scalar on the device, which is not read.
    DeviceFactor(Tensor),
    /// Clamping to plus or minus this value.
    Limit(f64),
}

impl Change {
    fn apply(&self, gradient: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(gradient.shallow_clone()),
            Self::Factor(factor) => gradient.f_mul_scalar(*factor),
            // The result has the kind of the gradient, as the factor is a scalar tensor.
            Self::DeviceFactor(factor) => gradient.f_mul(factor),
            Self::Limit(max) => gradient.f_clamp(-max, *max),
        }
    }
}

/// Updates one parameter and its slots.
pub(super) fn update(
    rule: &Rule,
    change: &Change,
    parameter: &Tensor,
    gradient: &Tensor,
    slots: &mut [Tensor],
) -> Result<(), TchError> {
    let mut d = change.apply(gradient)?;
    if rule.weight_decay != 0.0 {
        d = d.f_add(&parameter.f_mul_scalar(rule.weight_decay)?)?;
    }
    let mut p = parameter.shallow_clone();
    let _updated = match (&rule.formula, slots) {
        (Formula::Descent { lr }, _) => p.f_sub_(&d.f_mul_scalar(*lr)?)?,
        (Formula::Momentum(formula), [b]) => momentum(formula, &mut p, &d, b)?,
        (Formula::Adam(formula), [m, v, max_v @ ..]) => adam(formula, &mut p, &d, [m, v], max_v.first_mut())?,
        (Formula::RmsProp(formula), [s, others @ ..]) => rms_prop(formula, &mut p, &d, s, others)?,
        (Formula::Adagrad { lr, eps }, [s]) => {
            let root = s.f_addcmul_(&d, &d)?.f_sqrt()?.f_add_scalar(*eps)?;
            p.f_addcdiv_(&d.f_mul_scalar(-lr)?, &root)?
        }
        // Unreachable: `OptimizerConfig::slots` matches `OptimizerConfig::rule`.
        (formula, slots) => return Err(TchError::Shape(format!("{} slots for {formula:?}", slots.len()))),
    };
    Ok(())
}

fn momentum(f: &Momentum, p: &mut Tensor, d: &Tensor, b: &mut Tensor) -> Result<Tensor, TchError> {
    let _ = b.f_mul_scalar_(f.momentum)?.f_add_(&d.f_mul_scalar(f.input_weight)?)?;
    let mut change = b.f_mul_scalar(f.buffer_weight)?;
    if f.gradient_weight != 0.0 {
        change = change.f_add(&d.f_mul_scalar(f.gradient_weight)?)?;
    }
    p.f_sub_(&change.f_mul_scalar(f.lr)?)
}

fn adam(
    f: &Moments,
    p: &mut Tensor,
    d: &Tensor,
    [m, v]: [&mut Tensor; 2],
    max_v: Option<&mut Tensor>,
) -> Result<Tensor, TchError> {
    if f.decay_factor != 1.0 {
        let _ = p.f_mul_scalar_(f.decay_factor)?;
    }
    let [beta1, beta2] = f.betas;
    let _ = m.f_mul_scalar_(beta1)?.f_add_(&d.f_mul_scalar(1.0 - beta1)?)?;
    let _ = v.f_mul_scalar_(beta2)?.f_addcmul_(&d.f_mul_scalar(1.0 - beta2)?, d)?;
    let largest = match max_v {
        Some(max_v) => {
            max_v.f_copy_(&max_v.f_maximum(v)?)?;
            max_v
        }
        None => v,
    };
    let root = largest.f_sqrt()?.f_div_scalar(f.bias_correction2_sqrt)?.f_add_scalar(f.eps)?;
    p.f_addcdiv_(&m.f_mul_scalar(-f.step_size)?, &root)
}

fn rms_prop(
    f: &MeanSquare,
    p: &mut Tensor,
    d: &Tensor,
    s: &mut Tensor,
    others: &mut [Tensor],
) -> Result<Tensor, TchError> {
    let _ = s.f_mul_scalar_(f.alpha)?.f_addcmul_(&d.f_mul_scalar(1.0 - f.alpha)?, d)?;
    let mut variance = s.shallow_clone();
    let (mean, buffer) = others.split_at_mut(usize::from(f.centered));
    if let [a] = mean {
        let _ = a.f_mul_scalar_(f.alpha)?.f_add_(&d.f_mul_scalar(1.0 - f.alpha)?)?;
        variance = variance.f_sub(&a.f_square()?)?.f_clamp_min(0.0)?;
    }
    let mut change = d.f_div(&variance.f_sqrt()?.f_add_scalar(f.eps)?)?;
    if let [b] = buffer {
        change = b.f_mul_scalar_(f.momentum)?.f_add_(&change)?;
    }
    p.f_sub_(&change.f_mul_scalar(f.lr)?)
}
