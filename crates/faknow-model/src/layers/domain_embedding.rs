//! Embeddings of domains.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Error, Result};

/// PyTorch's `nn.Embedding` of domains: `weight` `[n_domains, size]`, initially from the standard normal distribution.
///
/// The vector of an unknown domain (-1) is the mean of all domains.
#[derive(Debug)]
pub struct DomainEmbedding {
    weight: Tensor,
}

impl DomainEmbedding {
    /// Creates a layer for `n_domains` domains with vectors of length `size`.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_domains: i64, size: i64) -> Result<Self> {
        Ok(Self { weight: path.f_var("weight", &[n_domains, size], Init::Randn { mean: 0.0, stdev: 1.0 })? })
    }

    /// Returns the vectors of all domains, `[n_domains, size]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Returns the vectors `[n, size]` of domains, i64 `[n]`, -1 for unknown ones.
    ///
    /// # Errors
    /// [`Error::Batch`]: a domain is not below the number of domains.
    pub fn forward(&self, domains: &Tensor) -> Result<Tensor> {
        let mean = self.weight.f_mean_dim([0].as_slice(), true, self.weight.kind())?;
        let rows = Tensor::f_cat(&[&mean, &self.weight], 0)?;
        rows.f_index_select(0, &domains.f_add_scalar(1)?).map_err(|error| {
            let value = |t: Result<Tensor, tch::TchError>| t.ok().and_then(|t| t.f_int64_value(&[]).ok());
            let n_domains = self.weight.size()[0];
            match (value(domains.f_min()), value(domains.f_max())) {
                (Some(min), Some(max)) if min < -1 || max >= n_domains => Error::Batch {
                    model: "DomainEmbedding",
                    expected: format!("domains 0..={}, or -1 if unknown", n_domains - 1),
                    got: format!("{min}..={max}"),
                },
                _ => error.into(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, nn::VarStore};

    #[test]
    fn unknown_domains_have_the_mean_vector_and_others_are_rejected() {
        let vars = VarStore::new(Device::Cpu);
        let layer = DomainEmbedding::new(&vars.root(), 2, 1).unwrap();
        tch::no_grad(|| layer.weight.shallow_clone().copy_(&Tensor::from_slice2(&[[1.0f32], [4.0]])));
        let vectors = layer.forward(&Tensor::from_slice(&[1i64, -1, 0])).unwrap();
        assert_eq!(Vec::<f32>::try_from(vectors.flatten(0, 1)).unwrap(), [4.0, 2.5, 1.0]);
        let error = layer.forward(&Tensor::from_slice(&[0i64, 2])).unwrap_err().to_string();
        assert_eq!(error, "DomainEmbedding: batch: expected domains 0..=1, or -1 if unknown, got 0..=2");
    }
}
