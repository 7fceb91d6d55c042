//! Why a tree was classified as it was: the contribution of each node to the predicted class.

use faknow_data::graph::NodeFeatures;
use tch::{Kind, Tensor};

use crate::{Error, Mode, Model, Result};

/// Returns the contribution of each node of a batch of trees to the logit of the class predicted for its tree: gradient times
/// input, summed over the features of the node, for each node in the order of the batch.
///
/// To first order, a node's features at 0 would have lowered the logit by that much. Shrikumar et al., *Not Just a Black Box*,
/// 2016.
///
/// # Errors
/// The model does not read [features of nodes](Model::node_features) or the batch has none, the batch does not fit the model, or
/// libtorch refuses an operation.
pub fn node_contributions<M: Model + ?Sized>(model: &M, batch: &M::Batch) -> Result<Vec<f64>> {
    let Some(features) = model.node_features(batch) else {
        return Err(Error::Batch {
            model: "node contributions",
            expected: "a model and a batch with features of nodes (`Model::node_features`)".into(),
            got: "none".into(),
        });
    };
    let values = match features {
        NodeFeatures::Dense(rows) => rows,
        NodeFeatures::Sparse(sparse) => &sparse.values,
    };
    // The flag is the tensor's own, so that the batch has it too.
    let values = values.set_requires_grad(true);
    let products = tch::with_grad(|| -> Result<Tensor> {
        let logits = model.forward(batch, Mode::Eval)?.logits;
        // Trees do not see each other, so that the gradient of the sum is each tree's own.
        let chosen = logits.f_amax([1], false)?.f_sum(logits.kind())?;
        let gradients = Tensor::f_run_backward(&[chosen], &[&values], false, false)?;
        Ok(gradients[0].f_mul(&values)?.f_detach()?)
    });
    let _ = values.set_requires_grad(false);
    let products = products?.f_to_kind(Kind::Double)?;
    match features {
        NodeFeatures::Dense(_) => {
            Ok(products.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)?.try_into()?)
        }
        NodeFeatures::Sparse(sparse) => {
            let (products, offsets) =
                (Vec::<f64>::try_from(products)?, Vec::<i32>::try_from(&sparse.offsets)?);
            let row = |ends: &[i32]| products[ends[0] as usize..ends[1] as usize].iter().sum();
            Ok(offsets.windows(2).map(row).collect())
        }
    }
}
