//! Layers on the samples of a batch that have a text or an image.

use tch::Tensor;

use crate::Result;
use crate::layers::MissingEmbedding;

/// Returns the result `[n, ..]` of `layers` for the rows of `input` `[n, ..]` that `present`, bool `[n]`, marks, and the vector of
/// `missing` for the others. `layers` sees the marked rows only, so that the others do not change the statistics of batch
/// normalization; it is not called without any.
pub(super) fn of_present(
    missing: &MissingEmbedding,
    input: &Tensor,
    present: &Tensor,
    layers: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (n, rows) = (input.size()[0], present.f_nonzero()?.f_squeeze_dim(1)?);
    match rows.size()[0] {
        n_present if n_present == n && n > 0 => layers(input),
        0 => missing.repeated(n),
        _ => {
            let features = layers(&input.f_index_select(0, &rows)?)?;
            let mut shape = features.size();
            shape[0] = n;
            let zeros = Tensor::f_zeros(shape, (features.kind(), features.device()))?;
            missing.forward(&zeros.f_index_copy(0, &rows, &features)?, present)
        }
    }
}
