//! The position of a batch in gradient accumulation.

/// The position and weight of a batch in an accumulation window, the batches whose gradients make up one update: see
/// [`Optimizer::set_window`](super::Optimizer::set_window).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccumulationWindow {
    /// Factor of the loss in the backward pass: the batch's share of the samples of the window. Default 1.
    pub weight: f64,
    /// Whether the batch is the first of its window: then gradients are cleared. Default true.
    pub is_first: bool,
    /// Whether the batch is the last of its window: then the parameters are updated. Default true.
    pub is_last: bool,
}

impl Default for AccumulationWindow {
    fn default() -> Self {
        Self { weight: 1.0, is_first: true, is_last: true }
    }
}
