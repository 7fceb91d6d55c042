//! Explanations of tree classifications: the contribution of each node to the predicted class.

use faknow_data::graph::NodeFeatures;
use tch::{Kind, Tensor};

use crate::{Error, Mode, Model, Result};

/// Computes the contribution of each node to the logit of the class predicted for its tree: gradient times input (Shrikumar et
/// al., *Not Just a Black Box*, 2016), summed over the features of the node, in the order of the batch.
///
/// To first order, setting the features of a node to 0 would lower the logit by its contribution.
///
/// # Errors
/// The model does not read [node features](Model::node_features), the batch has none or does not fit the model, or libtorch
/// rejects an operation.
pub fn node_contributions<M: Model + ?Sized>(model: &M, batch: &M::Batch) -> Result<Vec<f64>> {
    let Some(features) = model.node_features(batch) else {
        return Err(Error::Batch {
            model: "node contributions",
            expected: "a model and a batch with node features (`Model::node_features`)".into(),
            got: "none".into(),
        });
    };
    let values = match features {
        NodeFeatures::Dense(rows) => rows,
        NodeFeatures::Sparse(sparse) => &sparse.values,
    };
    // Sets the flag of the batch's tensor: handles share it.
    let values = values.set_requires_grad(true);
    let products = tch::with_grad(|| -> Result<Tensor> {
        let logits = model.forward(batch, Mode::Eval)?.logits;
        // Trees are independent, so the gradient of the sum consists of the gradients of the trees.
        let predicted = logits.f_amax([1], false)?.f_sum(logits.kind())?;
        let gradients = Tensor::f_run_backward(&[predicted], &[&values], false, false)?;
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
            let row_sum = |bounds: &[i32]| products[bounds[0] as usize..bounds[1] as usize].iter().sum();
            Ok(offsets.windows(2).map(row_sum).collect())
        }
    }
}
