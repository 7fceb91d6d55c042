//! Where a batch stands among those whose gradients are added up to one update.

/// The part that a batch has in an update, see [`Optimizer::set_window`](super::Optimizer::set_window).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccumulationWindow {
    /// By what the loss is multiplied before it goes backward: the batch's share of the samples. Default 1.
    pub weight: f64,
    /// Whether the batch begins an update, so that old gradients are dropped. Default true.
    pub is_first: bool,
    /// Whether the batch ends an update, so that the parameters change. Default true.
    pub is_last: bool,
}

impl Default for AccumulationWindow {
    fn default() -> Self {
        Self { weight: 1.0, is_first: true, is_last: true }
    }
}
