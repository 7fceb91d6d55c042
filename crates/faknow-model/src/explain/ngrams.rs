//! Explanations of linear classifications of texts: the contribution of each n-gram to a class.

use faknow_data::text::NGrams;
use tch::{Kind, Tensor};

use crate::{Error, Model, Result};

/// The contribution of each n-gram of a text to the logit of a class: its weight times its value.
///
/// The bias and the contributions add up to the logit, except for rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct NGramContributions {
    /// The features of the text, in ascending order.
    pub features: Vec<u32>,
    /// The contribution of each feature; positive if it supports the class.
    pub contributions: Vec<f64>,
    /// The bias of the class: the logit of a text without features.
    pub bias: f64,
}

/// Computes the contribution of each n-gram of a text to the logit of `class`.
///
/// `ngrams` is a single text.
///
/// # Errors
/// The logits of the model are not [sums of weights of n-grams](Model::ngram_weights), `ngrams` is not a single text, `class` is not a
/// class of the model, or libtorch rejects an operation.
pub fn ngram_contributions<M: Model + ?Sized>(
    model: &M,
    ngrams: &NGrams,
    class: usize,
) -> Result<NGramContributions> {
    let error = |expected: &str, got: String| {
        Err(Error::Batch { model: "n-gram contributions", expected: expected.into(), got })
    };
    let Some(weights) = model.ngram_weights() else {
        return error("a linear model of n-grams (`Model::ngram_weights`)", "another".into());
    };
    let n_texts = ngrams.n_texts();
    if n_texts != 1 {
        return error("one text", n_texts.to_string());
    }
    let n_classes = weights.bias.size()[0];
    let class = class as i64;
    if class >= n_classes {
        return Err(Error::Labels { n_classes, min: class, max: class });
    }
    let _no_grad = tch::no_grad_guard();
    let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let weight = weights.weight.f_select(1, class)?.f_index_select(0, &ngrams.indices)?;
    let products = double(&weight)?.f_mul(&double(&ngrams.values)?)?;
    let features = Vec::<i64>::try_from(&ngrams.indices)?.into_iter();
    Ok(NGramContributions {
        features: features.map(|feature| feature as u32).collect(),
        contributions: products.try_into()?,
        bias: weights.bias.f_double_value(&[class])?,
    })
}
