//! The inner loops of the updates, over slices, in a form that the compiler can vectorize.
//!
//! They are compiled for several instruction sets, and the widest supported one is selected at run time. Operations are
//! not fused (no FMA), so the results are the same on all processors.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use pulp::{Arch, NullaryFnOnce};
use tch::kind::Element;

use super::memory::Operands;
use super::rule::{Formula, MeanSquare, Moments, Momentum, Rule};

/// The element types that are updated in one pass.
pub(super) trait Real:
    Element
    + Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Converts a value, rounding to the nearest number.
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn sqrt(self) -> Self;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// Clipping of gradients: they are scaled by `factor`, then clamped to plus or minus `max`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) factor: f64,
    pub(super) max: f64,
}

impl Limit {
    /// No clipping: a factor of 1 and an infinite limit change no bit.
    pub(super) const NONE: Self = Self { factor: 1.0, max: f64::INFINITY };
}

/// Returns the sum of the squares in f64; the order of summation depends only on the length.
pub(super) fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    Arch::new().dispatch(SumOfSquares(values))
}

struct SumOfSquares<'a, T>(&'a [T]);

impl<T: Real> NullaryFnOnce for SumOfSquares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        sum_of_squares_in_lanes(self.0)
    }
}

#[inline(always)]
fn sum_of_squares_in_lanes<T: Real>(values: &[T]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for lanes in chunks {
        for (sum, value) in sums.iter_mut().zip(lanes) {
            let value = value.to_f64();
            *sum += value * value;
        }
    }
    let rest: f64 = rest.iter().map(|value| value.to_f64() * value.to_f64()).sum();
    sums.iter().sum::<f64>() + rest
}

/// Updates a parameter, or a part of one.
pub(super) fn update<T: Real>(rule: &Rule, limit: Limit, operands: &mut Operands<'_, T>) {
    Arch::new().dispatch(Update { rule, limit, operands });
}

struct Update<'a, 'b, T> {
    rule: &'a Rule,
    limit: Limit,
    operands: &'a mut Operands<'b, T>,
}

impl<T: Real> NullaryFnOnce for Update<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        update_by_rule(self.rule, self.limit, self.operands);
    }
}

#[inline(always)]
fn update_by_rule<T: Real>(rule: &Rule, limit: Limit, operands: &mut Operands<'_, T>) {
    let Operands { parameter: p, gradient: g, slots: [a, b, c] } = operands;
    let transform = GradientTransform::new(limit, rule.weight_decay);
    match &rule.formula {
        Formula::Descent { lr } => descent(transform, T::from_f64(*lr), p, g),
        Formula::Momentum(formula) => momentum(transform, formula, p, g, a),
        Formula::Adam(formula) if formula.amsgrad => amsgrad(transform, formula, p, g, [a, b, c]),
        Formula::Adam(formula) => adam(transform, formula, p, g, [a, b]),
        Formula::RmsProp(formula) => match (formula.centered, formula.momentum > 0.0) {
            (false, false) => rms_prop::<T, false, false>(transform, formula, p, g, [a, b, c]),
            (false, true) => rms_prop::<T, false, true>(transform, formula, p, g, [a, c, b]),
            (true, false) => rms_prop::<T, true, false>(transform, formula, p, g, [a, b, c]),
            (true, true) => rms_prop::<T, true, true>(transform, formula, p, g, [a, b, c]),
        },
        Formula::Adagrad { lr, eps } => adagrad(transform, [*lr, *eps].map(T::from_f64), p, g, a),
    }
}

/// The transform of a gradient into `d` of the formulas: scaled, clamped, plus weight decay.
#[derive(Clone, Copy)]
struct GradientTransform<T> {
    factor: T,
    max: T,
    weight_decay: T,
}

impl<T: Real> GradientTransform<T> {
    fn new(limit: Limit, weight_decay: f64) -> Self {
        let [factor, max, weight_decay] = [limit.factor, limit.max, weight_decay].map(T::from_f64);
        Self { factor, max, weight_decay }
    }

    #[inline(always)]
    fn apply(self, g: T, p: T) -> T {
        let g = g * self.factor;
        // These comparisons are single instructions, unlike `clamp`.
        let g = if g > self.max { self.max } else { g };
        let g = if g < -self.max { -self.max } else { g };
        g + self.weight_decay * p
    }
}

#[inline(always)]
fn descent<T: Real>(transform: GradientTransform<T>, lr: T, p: &mut [T], g: &[T]) {
    for (p, &g) in p.iter_mut().zip(g) {
        *p = *p - lr * transform.apply(g, *p);
    }
}

#[inline(always)]
fn momentum<T: Real>(transform: GradientTransform<T>, formula: &Momentum, p: &mut [T], g: &[T], b: &mut [T]) {
    let Momentum { lr, momentum, input_weight, gradient_weight, buffer_weight } = *formula;
    let [lr, momentum, input_weight, gradient_weight, buffer_weight] =
        [lr, momentum, input_weight, gradient_weight, buffer_weight].map(T::from_f64);
    for ((p, &g), b) in p.iter_mut().zip(g).zip(b) {
        let d = transform.apply(g, *p);
        *b = momentum * *b + input_weight * d;
        *p = *p - lr * (gradient_weight * d + buffer_weight * *b);
    }
}

/// Converts the coefficients of Adam: weight decay factor, step size, bias correction, eps; then beta and 1 - beta of each
/// moment.
#[inline(always)]
fn adam_numbers<T: Real>(f: &Moments) -> ([T; 4], [T; 4]) {
    let [beta1, beta2] = f.betas;
    (
        [f.decay_factor, f.step_size, f.bias_correction2_sqrt, f.eps].map(T::from_f64),
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(T::from_f64),
    )
}

#[inline(always)]
fn adam<T: Real>(
    transform: GradientTransform<T>,
    formula: &Moments,
    p: &mut [T],
    g: &[T],
    [m, v]: [&mut [T]; 2],
) {
    let (
        [decay_factor, step_size, bias_correction2_sqrt, eps],
        [beta1, one_minus_beta1, beta2, one_minus_beta2],
    ) = adam_numbers(formula);
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let d = transform.apply(g, *p);
        *m = beta1 * *m + one_minus_beta1 * d;
        *v = beta2 * *v + one_minus_beta2 * d * d;
        *p = decay_factor * *p - step_size * *m / (v.sqrt() / bias_correction2_sqrt + eps);
    }
}

#[inline(always)]
fn amsgrad<T: Real>(
    transform: GradientTransform<T>,
    formula: &Moments,
    p: &mut [T],
    g: &[T],
    [m, v, max_v]: [&mut [T]; 3],
) {
    let (
        [decay_factor, step_size, bias_correction2_sqrt, eps],
        [beta1, one_minus_beta1, beta2, one_minus_beta2],
    ) = adam_numbers(formula);
    for ((((p, &g), m), v), max_v) in p.iter_mut().zip(g).zip(m).zip(v).zip(max_v) {
        let d = transform.apply(g, *p);
        *m = beta1 * *m + one_minus_beta1 * d;
        *v = beta2 * *v + one_minus_beta2 * d * d;
        *max_v = if *v > *max_v { *v } else { *max_v };
        *p = decay_factor * *p - step_size * *m / (max_v.sqrt() / bias_correction2_sqrt + eps);
    }
}

/// Updates with RMSprop. Slots: mean square; mean, if centered; buffer, with a momentum. The others are empty.
#[inline(always)]
fn rms_prop<T: Real, const CENTERED: bool, const MOMENTUM: bool>(
    transform: GradientTransform<T>,
    formula: &MeanSquare,
    p: &mut [T],
    g: &[T],
    [s, a, b]: [&mut [T]; 3],
) {
    let MeanSquare { lr, alpha, eps, momentum, .. } = *formula;
    let [lr, alpha, one_minus_alpha, eps, momentum] =
        [lr, alpha, 1.0 - alpha, eps, momentum].map(T::from_f64);
    let zero = T::from_f64(0.0);
    // With known lengths the compiler omits bounds checks.
    let n = p.len();
    let (p, g, s) = (&mut p[..n], &g[..n], &mut s[..n]);
    let a = &mut a[..if CENTERED { n } else { 0 }];
    let b = &mut b[..if MOMENTUM { n } else { 0 }];
    for i in 0..n {
        let d = transform.apply(g[i], p[i]);
        s[i] = alpha * s[i] + one_minus_alpha * d * d;
        let mut variance = s[i];
        if CENTERED {
            a[i] = alpha * a[i] + one_minus_alpha * d;
            variance = variance - a[i] * a[i];
            // Rounding may result in a negative variance.
            variance = if variance < zero { zero } else { variance };
        }
        let mut change = d / (variance.sqrt() + eps);
        if MOMENTUM {
            change = momentum * b[i] + change;
            b[i] = change;
        }
        p[i] = p[i] - lr * change;
    }
}

#[inline(always)]
fn adagrad<T: Real>(transform: GradientTransform<T>, [lr, eps]: [T; 2], p: &mut [T], g: &[T], s: &mut [T]) {
    for ((p, &g), s) in p.iter_mut().zip(g).zip(s) {
        let d = transform.apply(g, *p);
        *s += d * d;
        *p = *p - lr * d / (s.sqrt() + eps);
    }
}
