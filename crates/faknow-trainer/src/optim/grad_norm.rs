//! The global norm of the gradients, the check that they are finite, and clipping.

use tch::{Device, Kind, TchError, Tensor};

use super::kernels::{Limit, Real};
use super::operations::Change;
use super::parameter::{PendingUpdate, UpdatePath};
use super::{Clip, fused, memory};

/// The norm and the check of all gradients of a step.
pub(super) struct Measurement {
    /// The global norm, a scalar.
    pub(super) norm: Tensor,
    pub(super) check: GradientCheck,
}

/// The result of checking the gradients.
pub(super) enum GradientCheck {
    /// The gradients are finite, on the CPU; the limit clips them.
    Finite(Limit),
    /// The gradient of a parameter, and so the norm, is not finite.
    NonFinite { parameter: String, norm: f64 },
    /// The update is made with libtorch operations, on another device or with a deferred check; the change clips the
    /// gradients.
    Operations(Change),
}

/// Measures the gradients, of which there must be at least one; a deferred check reads nothing.
pub(super) fn measure(
    pending: &[PendingUpdate<'_>],
    clip: Clip,
    is_deferred: bool,
) -> Result<Measurement, TchError> {
    if is_deferred || pending.iter().any(|pending| pending.gradient.device() != Device::Cpu) {
        return measure_by_operations(pending, clip, is_deferred);
    }
    let mut squares =
        squares_of::<f32>(pending, UpdatePath::Single) + squares_of::<f64>(pending, UpdatePath::Double);
    for pending in pending.iter().filter(|pending| pending.path == UpdatePath::Operations) {
        squares += norm(&pending.gradient)?.f_double_value(&[])?.powi(2);
    }
    let mut norm = squares.sqrt();
    if !norm.is_finite() {
        if let Some(parameter) = first_not_finite(pending, clip)? {
            return Ok(Measurement {
                norm: Tensor::from(norm),
                check: GradientCheck::NonFinite { parameter, norm },
            });
        }
        // Squares of finite numbers may overflow. Clipping by value accepts infinite gradients.
        if !matches!(clip, Clip::Value(_)) {
            norm = scaled_norm(pending)?;
        }
    }
    let limit = match clip {
        Clip::None => Limit::NONE,
        // PyTorch's formula.
        Clip::Norm(max) => Limit { factor: (max / (norm + 1e-6)).min(1.0), ..Limit::NONE },
        Clip::Value(max) => Limit { max, ..Limit::NONE },
    };
    Ok(Measurement { norm: Tensor::from(norm), check: GradientCheck::Finite(limit) })
}

/// Converts a limit to a change of gradients.
pub(super) fn as_change(limit: Limit) -> Change {
    match limit {
        Limit { max, .. } if max.is_finite() => Change::Limit(max),
        Limit { factor, .. } if factor < 1.0 => Change::Factor(factor),
        _ => Change::None,
    }
}

/// Returns whether gradients of this norm can be used in an update, a boolean scalar on their device.
pub(super) fn is_usable(norm: &Tensor, clip: Clip) -> Result<Tensor, TchError> {
    match clip {
        // Clipping by value accepts infinite gradients.
        Clip::Value(_) => norm.f_isnan()?.f_logical_not(),
        _ => norm.f_isfinite(),
    }
}

fn measure_by_operations(
    pending: &[PendingUpdate<'_>],
    clip: Clip,
    is_deferred: bool,
) -> Result<Measurement, TchError> {
    let device = pending[0].gradient.device();
    let norms: Vec<Tensor> = pending
        .iter()
        // In f64, in which squares of f32 do not overflow.
        .map(|pending| pending.gradient.f_norm_scalaropt_dtype(2.0, Kind::Double)?.f_to_device(device))
        .collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    if !is_deferred
        && is_usable(&norm, clip)?.f_int64_value(&[])? == 0
        && let Some(parameter) = first_not_finite(pending, clip)?
    {
        let value = norm.f_double_value(&[])?;
        return Ok(Measurement { norm, check: GradientCheck::NonFinite { parameter, norm: value } });
    }
    let change = match clip {
        Clip::None => Change::None,
        Clip::Value(max) => Change::Limit(max),
        // min(1, factor), since a comparison would wait for the device.
        Clip::Norm(max) => {
            let factor = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(max)?;
            Change::DeviceFactor(factor.f_clamp_max(1.0)?)
        }
    };
    Ok(Measurement { norm, check: GradientCheck::Operations(change) })
}

fn squares_of<T: Real>(pending: &[PendingUpdate<'_>], path: UpdatePath) -> f64 {
    let on_path = pending.iter().filter(|pending| pending.path == path);
    let gradients: Vec<&[T]> = on_path.filter_map(|pending| memory::values(&pending.gradient)).collect();
    fused::sum_of_squares(&gradients)
}

/// Returns the norm in at least single precision, since the maximum of half precision is 65504.
fn norm(gradient: &Tensor) -> Result<Tensor, TchError> {
    match gradient.f_kind()? {
        Kind::Float | Kind::Double => gradient.f_norm(),
        _ => gradient.f_to_kind(Kind::Float)?.f_norm(),
    }
}

/// Returns the first parameter, by name, whose gradient cannot be used in an update.
fn first_not_finite(pending: &[PendingUpdate<'_>], clip: Clip) -> Result<Option<String>, TchError> {
    for PendingUpdate { parameter, gradient, .. } in pending {
        let invalid = match clip {
            Clip::Value(_) => gradient.f_isnan()?,
            _ => gradient.f_isfinite()?.f_logical_not()?,
        };
        if invalid.f_any()?.f_int64_value(&[])? != 0 {
            return Ok(Some(parameter.name.clone()));
        }
    }
    Ok(None)
}

/// Returns the norm if squares overflow, computed from the gradients divided by their largest value.
fn scaled_norm(pending: &[PendingUpdate<'_>]) -> Result<f64, TchError> {
    let mut largest: f64 = 0.0;
    for pending in pending.iter().filter(|pending| pending.gradient.numel() > 0) {
        largest = largest.max(pending.gradient.f_abs()?.f_max()?.f_double_value(&[])?);
    }
    let mut squares = 0.0;
    for pending in pending {
        let scaled = pending.gradient.f_to_kind(Kind::Double)?.f_div_scalar(largest)?;
        squares += scaled.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    }
    Ok(largest * squares.sqrt())
}

#[cfg(test)]
mod tests {
    use tch::nn::{self, Init};

    use super::super::parameter::Parameter;
    use super::*;

    // The path of other devices is tested here on the CPU.
    #[test]
    fn operations_and_slices_measure_alike() {
        let check = |gradients: [[f32; 2]; 2], clip: Clip, expected: Option<&str>| {
            let vars = nn::VarStore::new(Device::Cpu);
            let mut parameters: Vec<Parameter> = ["a", "b"]
                .iter()
                .zip(gradients)
                .map(|(name, gradient)| {
                    let tensor = vars.root().var(name, &[2], Init::Const(1.0));
                    (&tensor * Tensor::from_slice(&gradient)).sum(Kind::Float).backward();
                    Parameter { name: (*name).to_owned(), tensor, group: 0, n_updates: 0, slots: vec![] }
                })
                .collect();
            let pending = parameters.iter_mut().filter_map(|p| PendingUpdate::new(p).unwrap());
            let pending: Vec<PendingUpdate<'_>> = pending.collect();
            let name = |check: GradientCheck| match check {
                GradientCheck::NonFinite { parameter, .. } => Some(parameter),
                _ => None,
            };
            let slices = measure(&pending, clip, false).unwrap();
            let operations = measure_by_operations(&pending, clip, false).unwrap();
            let (a, b) = (slices.norm.double_value(&[]), operations.norm.double_value(&[]));
            assert!(a.total_cmp(&b).is_eq() || (a - b).abs() <= 1e-6 * a, "{a} {b}");
            assert_eq!(name(slices.check).as_deref(), expected);
            assert_eq!(name(operations.check).as_deref(), expected);
            // A deferred check reads nothing, and its flag is false iff the update must not be made.
            let deferred = measure(&pending, clip, true).unwrap();
            assert_eq!(is_usable(&deferred.norm, clip).unwrap().int64_value(&[]) == 0, expected.is_some());
        };
        check([[1.0, -2.0], [3.0, 0.5]], Clip::None, None);
        check([[1.0, -2.0], [3.0, f32::NAN]], Clip::None, Some("b"));
        check([[f32::INFINITY, -2.0], [3.0, 0.5]], Clip::Norm(1.0), Some("a"));
        check([[f32::INFINITY, -2.0], [3.0, 0.5]], Clip::Value(1.0), None);
        check([[f32::INFINITY, -2.0], [f32::NAN, 0.5]], Clip::Value(1.0), Some("b"));
        // Squares that overflow in f32.
        check([[3e30, -2e30], [3e30, 1e30]], Clip::None, None);
    }
}
