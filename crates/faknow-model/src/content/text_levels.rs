//! Token vectors of several levels: sums of the hidden states of groups of layers of an encoder.

use std::ops::Range;

use faknow_data::FieldBatch;
use tch::Tensor;
use tch::nn::Path;

use super::text_layer::{TextLayer, TextSettings};
use super::{TextInput, TextSource};
use crate::encoder::Encoder;
use crate::{Mode, Result};

/// Number of layers of a level of FaKnow.
const FAITHFUL_GROUP: usize = 4;

/// Token vectors of one or several levels: of words or of the last layer of an encoder one, else one per group of layers.
#[derive(Debug)]
pub(super) struct TextLevels {
    layer: TextLayer,
    /// The layers of each level, from 0; none if the token vectors themselves are the only level.
    groups: Vec<Range<usize>>,
}

/// Vectors of each level, and which columns are tokens.
#[derive(Debug)]
pub(super) struct LevelVectors {
    /// Vectors `[n, len, size]` per level.
    pub(super) levels: Vec<Tensor>,
    /// Bool `[n, len]`.
    pub(super) mask: Tensor,
}

/// Returns the layers of each of `n_levels` levels of an encoder with `n_layers` layers: groups as equal as possible, at most one
/// per layer. If `faithful`, windows of four layers, each starting one layer after the one before.
pub(super) fn groups(n_layers: usize, n_levels: usize, faithful: bool) -> Vec<Range<usize>> {
    let n_levels = n_levels.min(n_layers);
    let group = |level: usize| match faithful {
        true => level..(level + FAITHFUL_GROUP).min(n_layers),
        false => level * n_layers / n_levels..(level + 1) * n_layers / n_levels,
    };
    (0..n_levels).map(group).collect()
}

impl TextLevels {
    /// Creates the layer, with word vectors at `words` and a trained encoder at `encoder`.
    pub(super) fn new(
        path: &Path<'_>,
        names: [&str; 2],
        source: &TextSource<'_>,
        settings: TextSettings,
        n_levels: usize,
    ) -> Result<Self> {
        let groups = match source {
            TextSource::Encoder(encoder) if n_levels > 1 => {
                groups(encoder.config().n_layers as usize, n_levels, settings.faithful)
            }
            _ => Vec::new(),
        };
        // Whether padding has vectors makes no difference, because it is masked.
        let settings = TextSettings { faithful: false, ..settings };
        Ok(Self { layer: TextLayer::new(path, names, source, settings)?, groups })
    }

    /// Returns the number of levels, at least 1.
    pub(super) fn n_levels(&self) -> usize {
        self.groups.len().max(1)
    }

    /// Returns the layer of token vectors without dropout.
    pub(super) fn input(&self) -> &TextInput {
        self.layer.input()
    }

    /// Returns the vectors of the texts of a batch.
    pub(super) fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<LevelVectors> {
        let (encoder, mode) = match self.input() {
            TextInput::Frozen(encoder) if !self.groups.is_empty() => (encoder, Mode::Eval),
            TextInput::Trained(encoder) if !self.groups.is_empty() => (encoder, mode),
            _ => {
                let tokens = self.layer.forward(batch, None, mode)?;
                return Ok(LevelVectors { levels: vec![tokens.vectors], mask: tokens.mask });
            }
        };
        let subwords = batch.subwords()?;
        let states = self.states(encoder, |encoder| encoder.hidden_states(subwords, mode))?;
        Ok(LevelVectors { levels: self.sums(&states)?, mask: subwords.mask()? })
    }

    /// Computes the vectors from [word vectors](TextInput::word_vectors) `[n, len, size]` of texts of the same length, whose tokens
    /// `mask` bool `[1, len]` marks, as in [`Mode::Eval`].
    pub(super) fn forward_vectors(&self, vectors: &Tensor, mask: &Tensor) -> Result<LevelVectors> {
        let (TextInput::Frozen(encoder) | TextInput::Trained(encoder)) = self.input() else {
            return self.last_of_vectors(vectors, mask);
        };
        if self.groups.is_empty() {
            return self.last_of_vectors(vectors, mask);
        }
        let (n, len, _) = vectors.size3()?;
        let n_tokens = mask.f_sum(tch::Kind::Int64)?.f_int64_value(&[])?;
        let tokens = vectors.f_narrow(1, 0, n_tokens)?;
        let states = encoder.hidden_states_of_vectors(&tokens, Mode::Eval)?;
        let pad = |sum: &Tensor| sum.f_constant_pad_nd([0, 0, 0, len - n_tokens]);
        let levels = self.sums(&states)?.iter().map(pad).collect::<Result<_, _>>()?;
        Ok(LevelVectors { levels, mask: mask.f_expand([n, len], false)? })
    }

    fn last_of_vectors(&self, vectors: &Tensor, mask: &Tensor) -> Result<LevelVectors> {
        let tokens = self.input().forward_vectors(vectors, mask)?;
        Ok(LevelVectors { levels: vec![tokens.vectors], mask: tokens.mask })
    }

    /// Computes hidden states, without gradients if the encoder is frozen.
    fn states<T>(&self, encoder: &Encoder, compute: impl FnOnce(&Encoder) -> T) -> T {
        match self.input() {
            TextInput::Frozen(_) => tch::no_grad(|| compute(encoder)),
            _ => compute(encoder),
        }
    }

    /// Returns the sum of the states of each group; `states` starts with the input of the first layer.
    fn sums(&self, states: &[Tensor]) -> Result<Vec<Tensor>> {
        let sum = |group: &Range<usize>| -> Result<Tensor> {
            let states = states.get(group.start + 1..group.end + 1).unwrap_or_default();
            Ok(Tensor::f_stack(states, 0)?.f_sum_dim_intlist([0].as_slice(), false, None::<tch::Kind>)?)
        };
        self.groups.iter().map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn groups_are_disjoint_and_as_equal_as_possible() {
        assert_eq!(groups(12, 3, false), [0..4, 4..8, 8..12]);
        assert_eq!(groups(6, 3, false), [0..2, 2..4, 4..6]);
        assert_eq!(groups(4, 3, false), [0..1, 1..2, 2..4]);
        assert_eq!(groups(2, 3, false), [0..1, 1..2]);
        assert_eq!(groups(12, 3, true), [0..4, 1..5, 2..6]);
        assert_eq!(groups(4, 3, true), [0..4, 1..4, 2..4]);
    }
}
