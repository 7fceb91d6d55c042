//! The two ways to update parameters: in one pass over memory, or with libtorch operations.

use tch::{TchError, Tensor};

use super::kernels::{Limit, Real};
use super::operations::{self, Change};
use super::parameter::{Parameter, PendingUpdate};
use super::rule::Rule;
use super::{fused, memory};

/// Updates parameters whose memory is a slice of `T`.
pub(super) fn in_one_pass<T: Real>(
    mut all: Vec<&mut PendingUpdate<'_>>,
    limit: Limit,
    change: &Change,
    rule: impl Fn(&Parameter) -> Rule,
) -> Result<(), TchError> {
    if all.is_empty() {
        return Ok(());
    }
    let (rules, mut tensors): (Vec<_>, Vec<_>) = all
        .iter_mut()
        .map(|pending| {
            let rule = rule(pending.parameter);
            pending.tensors(rule)
        })
        .unzip();
    let Some(operands) = memory::operands::<T>(&mut tensors) else {
        // Parameters that share memory are updated one after the other.
        return by_operations(all, change, rule, None);
    };
    fused::update(rules.into_iter().zip(operands).collect(), limit);
    // libtorch counts the changes of a tensor, to detect backward passes through overwritten values. Copying a tensor onto
    // itself only increments the counter.
    for pending in all {
        let itself = pending.parameter.tensor.shallow_clone();
        pending.parameter.tensor.f_copy_(&itself)?;
    }
    Ok(())
}

/// Updates parameters with libtorch operations; if the mask, a boolean scalar, is false, nothing changes.
pub(super) fn by_operations(
    all: Vec<&mut PendingUpdate<'_>>,
    change: &Change,
    rule: impl Fn(&Parameter) -> Rule,
    mask: Option<&Tensor>,
) -> Result<(), TchError> {
    all.into_iter().try_for_each(|pending| {
        let rule = rule(pending.parameter);
        let gradient = pending.dense_gradient()?;
        let Parameter { tensor, slots, .. } = &mut *pending.parameter;
        let Some(mask) = mask else { return operations::update(&rule, change, tensor, &gradient, slots) };
        let old: Vec<Tensor> = std::iter::once(&*tensor)
            .chain(&*slots)
            .map(|t| Ok::<_, TchError>(t.f_detach()?.copy()))
            .collect::<Result<_, _>>()?;
        operations::update(&rule, change, tensor, &gradient, slots)?;
        for (value, old) in std::iter::once(&*tensor).chain(&*slots).zip(&old) {
            let _ = value.f_where_self_out(value, mask, old)?;
        }
        Ok(())
    })
}
