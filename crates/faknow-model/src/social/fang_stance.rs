//! The stance classifier of FANG.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::Result;
use crate::layers::Linear;

/// Classifies the stance of a user towards a news article: both are projected to `n_hidden` numbers per stance, whose scaled
/// dot product is the logit of the stance.
///
/// Parameters: `user_proj.*`, `news_proj.*`.
#[derive(Debug)]
pub struct FangStanceClassifier {
    user: Linear,
    news: Linear,
    n_stances: i64,
    n_hidden: i64,
}

impl FangStanceClassifier {
    /// Creates a classifier for embeddings of length `size`.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, size: i64, n_stances: i64, n_hidden: i64) -> Result<Self> {
        let projection = |name: &str| Linear::new(&(path / name), size, n_stances * n_hidden);
        Ok(Self { user: projection("user_proj")?, news: projection("news_proj")?, n_stances, n_hidden })
    }

    /// Returns the logits `[n, n_stances]` of pairs of `users` and `news`, each `[n, size]`.
    ///
    /// # Errors
    /// The embeddings have another size.
    pub fn forward(&self, users: &Tensor, news: &Tensor) -> Result<Tensor> {
        let product = self.user.forward(users)?.f_mul(&self.news.forward(news)?)?;
        let grouped = product.f_view([-1, self.n_stances, self.n_hidden])?;
        let sum = grouped.f_sum_dim_intlist([2].as_slice(), false, None::<Kind>)?;
        Ok(sum.f_div_scalar((self.n_hidden as f64).sqrt())?)
    }
}
