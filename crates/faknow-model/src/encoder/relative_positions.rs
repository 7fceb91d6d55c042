//! The relative positions of the tokens of a batch, for DeBERTa.

use tch::{Device, Kind, Tensor};

use super::deberta::RelativeConfig;
use crate::Result;

/// The embeddings of the relative positions that occur in a batch, and their indices per block of texts.
#[derive(Debug)]
pub(super) struct RelativePositions {
    /// `[n_positions, hidden_size]`.
    pub embeddings: Tensor,
    pub indices: Vec<Indices>,
}

/// Rows of the embeddings for each pair of tokens, i64 `[len, len]`.
#[derive(Debug)]
pub(super) struct Indices {
    /// For query i and key j.
    pub content_to_position: Tensor,
    /// For key i and query j.
    pub position_to_content: Tensor,
}

impl RelativePositions {
    /// Creates the positions of texts of these lengths; `embed` returns a range of the embeddings, given its start and length.
    pub(super) fn new(
        config: &RelativeConfig,
        lengths: &[i64],
        device: Device,
        embed: impl Fn(i64, i64) -> Result<Tensor>,
    ) -> Result<Self> {
        let (span, max_len) = (config.span(), lengths.iter().copied().max().unwrap_or(1));
        // Buckets of all distances from -(max_len - 1) to max_len - 1, ascending.
        let distances = Tensor::f_arange_start(1 - max_len, max_len, (Kind::Int64, device))?;
        let buckets = bucket(config, &distances)?;
        let row = |buckets: &Tensor| buckets.f_add_scalar(span)?.f_clamp(0, 2 * span - 1);
        let (forward, backward) = (row(&buckets)?, row(&buckets.f_neg()?)?);
        let start = forward.f_min()?.f_minimum(&backward.f_min()?)?.f_int64_value(&[])?;
        let end = forward.f_max()?.f_maximum(&backward.f_max()?)?.f_int64_value(&[])? + 1;
        let table = |rows: &Tensor, len: i64| -> Result<Tensor> {
            let positions = Tensor::f_arange(len, (Kind::Int64, device))?;
            let distances = positions.f_unsqueeze(1)?.f_sub(&positions.f_unsqueeze(0)?)?;
            let rows = rows.f_sub_scalar(start)?;
            Ok(rows
                .f_index_select(0, &distances.f_add_scalar(max_len - 1)?.f_view([-1])?)?
                .f_view([len, len])?)
        };
        let indices = lengths.iter().map(|&len| {
            Ok(Indices {
                content_to_position: table(&forward, len)?,
                position_to_content: table(&backward, len)?,
            })
        });
        Ok(Self { embeddings: embed(start, end - start)?, indices: indices.collect::<Result<_>>()? })
    }
}

/// Returns the buckets of distances: exact up to half of the buckets, logarithmic beyond.
fn bucket(config: &RelativeConfig, distances: &Tensor) -> Result<Tensor> {
    if config.n_buckets == 0 {
        return Ok(distances.shallow_clone());
    }
    let middle = config.n_buckets / 2;
    let absolute = distances.f_abs()?;
    // In single precision as in the library transformers, since rounding up depends on it.
    let ratio = |distance: &Tensor| distance.f_to_kind(Kind::Float)?.f_div_scalar(middle)?.f_log();
    let max = Tensor::from((config.max_distance - 1) as f32).f_div_scalar(middle)?.f_log()?;
    let far = ratio(&absolute.f_clamp_min(middle)?)?.f_div(&max.f_to_device(distances.device())?)?;
    let far = far.f_mul_scalar(middle - 1)?.f_ceil()?.f_add_scalar(middle)?.f_to_kind(Kind::Int64)?;
    Ok(distances.f_where_self(&absolute.f_le(middle)?, &far.f_mul(&distances.f_sign()?)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Values of `make_log_bucket_position` of the library transformers for 8 buckets and distances up to 16.
    #[test]
    fn distant_positions_share_buckets() {
        let config = RelativeConfig {
            n_buckets: 8,
            max_distance: 16,
            is_normalized: false,
            shares_projections: true,
            content_to_position: true,
            position_to_content: true,
        };
        let distances = Tensor::arange_start(-16, 17, tch::kind::INT64_CPU);
        let buckets = Vec::<i64>::try_from(bucket(&config, &distances).unwrap()).unwrap();
        let positive = [0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 8];
        assert_eq!(buckets[16..], positive);
        assert!((0..16).all(|i| buckets[i] == -buckets[32 - i]));
    }
}
