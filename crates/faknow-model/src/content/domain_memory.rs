//! The domain memory of M3FEND: for each domain, a few typical posts.

use faknow_data::Rng;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::k_means::k_means;
use crate::Result;
use crate::layers::kaiming_uniform;

/// Factor of the scores of both attentions.
const INVERSE_TEMPERATURE: f64 = 32.0;

/// Share by which a slot moves per write.
const WRITE_RATE: f64 = 0.05;

/// Slots per domain, which describe how similar a post is to the posts of each domain.
///
/// Parameters: `topic_fc.weight`, `domain_fc.weight` `[size, size]`; the memory itself is `memory` `[n_domains, n_slots, size]`,
/// which is not trained but written, and saved with the weights. Zero until it is initialized.
#[derive(Debug)]
pub struct DomainMemory {
    topic: Tensor,
    domain: Tensor,
    memory: Tensor,
}

impl DomainMemory {
    /// Creates a memory for posts described by `size` values.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_domains: i64, n_slots: i64, size: i64) -> Result<Self> {
        let weight = |name: &str| kaiming_uniform(&(path / name), "weight", &[size, size]);
        let zeros = Tensor::f_zeros([n_domains, n_slots, size], (path.kind(), path.device()))?;
        Ok(Self {
            topic: weight("topic_fc")?,
            domain: weight("domain_fc")?,
            memory: path.add("memory", zeros, false),
        })
    }

    /// Returns whether the memory is still zero.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.memory.f_count_nonzero(None::<i64>)?.f_int64_value(&[])? == 0)
    }

    /// Returns how similar posts `[n, size]`, normalized to length 1, are to the domains: probabilities `[n, n_domains]`.
    ///
    /// # Errors
    /// The posts do not have `size` values.
    pub fn attention(&self, posts: &Tensor) -> Result<Tensor> {
        let mixed = self.weights(posts)?.f_transpose(0, 1)?.f_matmul(&self.memory)?; // [n_domains, n, size]
        let posts = posts.f_matmul(&self.domain.f_tr()?)?;
        let scores = mixed.f_mul(&posts)?.f_sum_dim_intlist([2].as_slice(), false, None::<Kind>)?;
        Ok(scores.f_tr()?.f_mul_scalar(INVERSE_TEMPERATURE)?.f_softmax(1, None::<Kind>)?)
    }

    /// Returns the weights of the slots of each domain for posts `[n, size]`: `[n, n_domains, n_slots]`.
    fn weights(&self, posts: &Tensor) -> Result<Tensor> {
        let (n_domains, n_slots, size) = self.memory.size3()?;
        let posts = posts.f_matmul(&self.topic.f_tr()?)?;
        let scores = posts.f_matmul(&self.memory.f_view([-1, size])?.f_tr()?)?;
        let scores = scores.f_view([-1, n_domains, n_slots])?.f_mul_scalar(INVERSE_TEMPERATURE)?;
        Ok(scores.f_softmax(2, None::<Kind>)?)
    }

    /// Moves the slots of each domain towards its `posts` `[n, size]` of a batch, normalized to length 1; posts without a known
    /// domain (`domains` i64 `[n]` is -1) are not written.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn write(&self, posts: &Tensor, domains: &Tensor) -> Result<()> {
        tch::no_grad(|| {
            let (n_domains, _, _) = self.memory.size3()?;
            // [n_domains, n]: the share of each post in the mean of its domain.
            let all = Tensor::f_arange(n_domains, (Kind::Int64, domains.device()))?.f_unsqueeze(1)?;
            let members = all.f_eq_tensor(&domains.f_unsqueeze(0)?)?.f_to_kind(posts.kind())?;
            let counts = members.f_sum_dim_intlist([1].as_slice(), true, None::<Kind>)?.f_clamp_min(1.0)?;
            let shares = members.f_div(&counts)?.f_unsqueeze(2)?;
            let weights = self.weights(posts)?.f_transpose(0, 1)?.f_mul(&shares)?; // [n_domains, n, n_slots]
            let written = weights.f_transpose(1, 2)?.f_matmul(posts)?; // [n_domains, n_slots, size]
            let total = weights.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?.f_unsqueeze(2)?;
            let change = written.f_sub(&total.f_mul(&self.memory)?)?.f_mul_scalar(WRITE_RATE)?;
            let _ = self.memory.shallow_clone().f_add_(&change)?;
            Ok(())
        })
    }

    /// Fills the memory with the cluster centers of the `posts` `[n, size]` of each domain. The slots of a domain without posts
    /// stay zero.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn initialize(&self, posts: &Tensor, domains: &Tensor, rng: &mut Rng) -> Result<()> {
        tch::no_grad(|| {
            let (n_domains, n_slots, _) = self.memory.size3()?;
            for domain in 0..n_domains {
                let rows = domains.f_eq(domain)?.f_nonzero()?.f_squeeze_dim(1)?;
                if rows.numel() > 0 {
                    let centers = k_means(&posts.f_index_select(0, &rows)?, n_slots as usize, rng)?;
                    self.memory.f_select(0, domain)?.f_copy_(&centers)?;
                }
            }
            Ok(())
        })
    }
}
