//! The gradients of a step, measured together and checked.

use tch::{Device, Kind, TchError, Tensor};

use super::kernels::{Limit, Real};
use super::operations::Change;
use super::parameter::{Ready, UpdatePath};
use super::{Clip, fused, memory};

/// What was found of all gradients together.
pub(super) struct Measured {
    /// Their global norm, a scalar.
    pub(super) norm: Tensor,
    pub(super) verdict: Verdict,
}

/// How the update goes on.
pub(super) enum Verdict {
    /// On the CPU the norm is known, and with it what clipping does.
    Clip(Limit),
    /// A parameter's gradient is not finite, and the norm with it.
    NotFinite { parameter: String, norm: f64 },
    /// Reading the norm would wait for a device: all goes by operations there.
    Unread(Change),
}

/// Measures the gradients, of which there is at least one.
pub(super) fn measure(ready: &[Ready<'_>], clip: Clip) -> Result<Measured, TchError> {
    if ready.iter().any(|ready| ready.gradient.device() != Device::Cpu) {
        return measure_there(ready, clip);
    }
    let mut squares =
        squares_of::<f32>(ready, UpdatePath::Single) + squares_of::<f64>(ready, UpdatePath::Double);
    for ready in ready.iter().filter(|ready| ready.path == UpdatePath::Operations) {
        squares += norm(&ready.gradient)?.f_double_value(&[])?.powi(2);
    }
    let mut norm = squares.sqrt();
    if !norm.is_finite() {
        if let Some(parameter) = first_not_finite(ready, clip)? {
            return Ok(Measured {
                norm: Tensor::from(norm),
                verdict: Verdict::NotFinite { parameter, norm },
            });
        }
        // Squares of finite numbers may be too large. Clipping by value takes infinite ones too.
        if !matches!(clip, Clip::Value(_)) {
            norm = scaled_norm(ready)?;
        }
    }
    let limit = match clip {
        Clip::None => Limit::NONE,
        // PyTorch's formula.
        Clip::Norm(max) => Limit { factor: (max / (norm + 1e-6)).min(1.0), ..Limit::NONE },
        Clip::Value(max) => Limit { max, ..Limit::NONE },
    };
    Ok(Measured { norm: Tensor::from(norm), verdict: Verdict::Clip(limit) })
}

/// The change of gradients that a limit makes.
pub(super) fn as_change(limit: Limit) -> Change {
    match limit {
        Limit { max, .. } if max.is_finite() => Change::Limit(max),
        Limit { factor, .. } if factor < 1.0 => Change::Factor(factor),
        _ => Change::None,
    }
}

fn measure_there(ready: &[Ready<'_>], clip: Clip) -> Result<Measured, TchError> {
    let device = ready[0].gradient.device();
    let norms: Vec<Tensor> =
        ready.iter().map(|ready| norm(&ready.gradient)?.f_to_device(device)).collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    let change = match clip {
        Clip::None => Change::None,
        Clip::Value(max) => Change::Limit(max),
        // Comparing would wait: min(1, factor) instead.
        Clip::Norm(max) => {
            let factor = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(max)?;
            Change::FactorThere(factor.f_clamp_max(1.0)?)
        }
    };
    Ok(Measured { norm, verdict: Verdict::Unread(change) })
}

fn squares_of<T: Real>(ready: &[Ready<'_>], path: UpdatePath) -> f64 {
    let here = ready.iter().filter(|ready| ready.path == path);
    let gradients: Vec<&[T]> = here.filter_map(|ready| memory::values(&ready.gradient)).collect();
    fused::sum_of_squares(&gradients)
}

/// The norm in at least single precision: half's numbers end at 65504.
fn norm(gradient: &Tensor) -> Result<Tensor, TchError> {
    match gradient.f_kind()? {
        Kind::Float | Kind::Double => gradient.f_norm(),
        _ => gradient.f_to_kind(Kind::Float)?.f_norm(),
    }
}

/// The first parameter by name whose gradient no update can take.
fn first_not_finite(ready: &[Ready<'_>], clip: Clip) -> Result<Option<String>, TchError> {
    for Ready { parameter, gradient, .. } in ready {
        let bad = match clip {
            Clip::Value(_) => gradient.f_isnan()?,
            _ => gradient.f_isfinite()?.f_logical_not()?,
        };
        if bad.f_any()?.f_int64_value(&[])? != 0 {
            return Ok(Some(parameter.name.clone()));
        }
    }
    Ok(None)
}

/// The norm where squares overflow: of the gradients divided by their largest value.
fn scaled_norm(ready: &[Ready<'_>]) -> Result<f64, TchError> {
    let mut largest: f64 = 0.0;
    for ready in ready.iter().filter(|ready| ready.gradient.numel() > 0) {
        largest = largest.max(ready.gradient.f_abs()?.f_max()?.f_double_value(&[])?);
    }
    let mut squares = 0.0;
    for ready in ready {
        let scaled = ready.gradient.f_to_kind(Kind::Double)?.f_div_scalar(largest)?;
        squares += scaled.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    }
    Ok(largest * squares.sqrt())
}
