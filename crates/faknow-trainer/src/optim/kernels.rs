//! The inner loops of the updates, over slices; plain enough for the compiler to make vector instructions of them.
//!
//! They are compiled several times, for the widest vectors that processors have; which one runs is chosen when it does.
//! No two operations are fused into one with another rounding, so the results are the same on all of them.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use pulp::{Arch, NullaryFnOnce};
use tch::kind::Element;

use super::memory::Operands;
use super::rule::{Formula, MeanSquare, Moments, Momentum, Rule};

/// The two kinds of numbers that are updated in one pass.
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
    /// The nearest number of this kind.
    fn of(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn root(self) -> Self;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn root(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn root(self) -> Self {
        self.sqrt()
    }
}

/// How gradients are changed on their way into an update: scaled, then limited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) factor: f64,
    pub(super) max: f64,
}

impl Limit {
    /// Gradients as they are: a factor of 1 and an infinite limit change no bit.
    pub(super) const NONE: Self = Self { factor: 1.0, max: f64::INFINITY };
}

/// The sum of the squares, added up in f64 in an order that depends on nothing but the length.
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
    let (whole, rest) = values.as_chunks::<LANES>();
    for lanes in whole {
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
    let incoming = Incoming::new(limit, rule.weight_decay);
    match &rule.formula {
        Formula::Descent { lr } => descent(incoming, T::of(*lr), p, g),
        Formula::Momentum(formula) => momentum(incoming, formula, p, g, a),
        Formula::Adam(formula) if formula.amsgrad => amsgrad(incoming, formula, p, g, [a, b, c]),
        Formula::Adam(formula) => adam(incoming, formula, p, g, [a, b]),
        Formula::RmsProp(formula) => match (formula.centered, formula.momentum > 0.0) {
            (false, false) => rms_prop::<T, false, false>(incoming, formula, p, g, [a, b, c]),
            (false, true) => rms_prop::<T, false, true>(incoming, formula, p, g, [a, c, b]),
            (true, false) => rms_prop::<T, true, false>(incoming, formula, p, g, [a, b, c]),
            (true, true) => rms_prop::<T, true, true>(incoming, formula, p, g, [a, b, c]),
        },
        Formula::Adagrad { lr, eps } => adagrad(incoming, [*lr, *eps].map(T::of), p, g, a),
    }
}

/// Makes `d` of a gradient and its parameter: scaled, limited, with the penalty.
#[derive(Clone, Copy)]
struct Incoming<T> {
    factor: T,
    max: T,
    weight_decay: T,
}

impl<T: Real> Incoming<T> {
    fn new(limit: Limit, weight_decay: f64) -> Self {
        let [factor, max, weight_decay] = [limit.factor, limit.max, weight_decay].map(T::of);
        Self { factor, max, weight_decay }
    }

    #[inline(always)]
    fn of(self, g: T, p: T) -> T {
        let g = g * self.factor;
        // These comparisons are single instructions, unlike `clamp`.
        let g = if g > self.max { self.max } else { g };
        let g = if g < -self.max { -self.max } else { g };
        g + self.weight_decay * p
    }
}

#[inline(always)]
fn descent<T: Real>(incoming: Incoming<T>, lr: T, p: &mut [T], g: &[T]) {
    for (p, &g) in p.iter_mut().zip(g) {
        *p = *p - lr * incoming.of(g, *p);
    }
}

#[inline(always)]
fn momentum<T: Real>(incoming: Incoming<T>, formula: &Momentum, p: &mut [T], g: &[T], b: &mut [T]) {
    let Momentum { lr, momentum, keep, of_gradient, of_buffer } = *formula;
    let [lr, momentum, keep, of_gradient, of_buffer] =
        [lr, momentum, keep, of_gradient, of_buffer].map(T::of);
    for ((p, &g), b) in p.iter_mut().zip(g).zip(b) {
        let d = incoming.of(g, *p);
        *b = momentum * *b + keep * d;
        *p = *p - lr * (of_gradient * d + of_buffer * *b);
    }
}

/// The numbers of Adam's formula: shrink, step size, correction of the root, eps; then of each moment what stays and
/// what comes.
#[inline(always)]
fn adam_numbers<T: Real>(f: &Moments) -> ([T; 4], [T; 4]) {
    let [beta1, beta2] = f.betas;
    (
        [f.shrink, f.step_size, f.root_correction, f.eps].map(T::of),
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(T::of),
    )
}

#[inline(always)]
fn adam<T: Real>(incoming: Incoming<T>, formula: &Moments, p: &mut [T], g: &[T], [m, v]: [&mut [T]; 2]) {
    let ([shrink, step_size, correction, eps], [stay1, come1, stay2, come2]) = adam_numbers(formula);
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let d = incoming.of(g, *p);
        *m = stay1 * *m + come1 * d;
        *v = stay2 * *v + come2 * d * d;
        *p = shrink * *p - step_size * *m / (v.root() / correction + eps);
    }
}

#[inline(always)]
fn amsgrad<T: Real>(
    incoming: Incoming<T>,
    formula: &Moments,
    p: &mut [T],
    g: &[T],
    [m, v, top]: [&mut [T]; 3],
) {
    let ([shrink, step_size, correction, eps], [stay1, come1, stay2, come2]) = adam_numbers(formula);
    for ((((p, &g), m), v), top) in p.iter_mut().zip(g).zip(m).zip(v).zip(top) {
        let d = incoming.of(g, *p);
        *m = stay1 * *m + come1 * d;
        *v = stay2 * *v + come2 * d * d;
        *top = if *v > *top { *v } else { *top };
        *p = shrink * *p - step_size * *m / (top.root() / correction + eps);
    }
}

/// Slots: mean square; mean, if centered; buffer, with a momentum. The others are empty.
#[inline(always)]
fn rms_prop<T: Real, const CENTERED: bool, const MOMENTUM: bool>(
    incoming: Incoming<T>,
    formula: &MeanSquare,
    p: &mut [T],
    g: &[T],
    [s, a, b]: [&mut [T]; 3],
) {
    let MeanSquare { lr, alpha, eps, momentum, .. } = *formula;
    let [lr, stay, come, eps, momentum] = [lr, alpha, 1.0 - alpha, eps, momentum].map(T::of);
    let zero = T::of(0.0);
    // The compiler then knows all lengths, and checks no index.
    let n = p.len();
    let (p, g, s) = (&mut p[..n], &g[..n], &mut s[..n]);
    let a = &mut a[..if CENTERED { n } else { 0 }];
    let b = &mut b[..if MOMENTUM { n } else { 0 }];
    for i in 0..n {
        let d = incoming.of(g[i], p[i]);
        s[i] = stay * s[i] + come * d * d;
        let mut variance = s[i];
        if CENTERED {
            a[i] = stay * a[i] + come * d;
            variance = variance - a[i] * a[i];
            // Rounding must not make a root of a negative number.
            variance = if variance < zero { zero } else { variance };
        }
        let mut change = d / (variance.root() + eps);
        if MOMENTUM {
            change = momentum * b[i] + change;
            b[i] = change;
        }
        p[i] = p[i] - lr * change;
    }
}

#[inline(always)]
fn adagrad<T: Real>(incoming: Incoming<T>, [lr, eps]: [T; 2], p: &mut [T], g: &[T], s: &mut [T]) {
    for ((p, &g), s) in p.iter_mut().zip(g).zip(s) {
        let d = incoming.of(g, *p);
        *s += d * d;
        *p = *p - lr * d / (s.root() + eps);
    }
}
