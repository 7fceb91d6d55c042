//! Why a text was classified as it was: the contribution of each word to a class, by integrated gradients.

use faknow_data::text::{PADDING, Words};
use tch::{Kind, Tensor};

use crate::{EmbeddingModel, Error, Result};

/// Points of the way from the empty text to the text, at whose gradients is looked.
const STEPS: i64 = 64;

/// What each word of a text did for a class.
///
/// All values are log-odds of the class: the natural logarithm of its probability over that of all others.
#[derive(Debug, Clone, PartialEq)]
pub struct WordContributions {
    /// One for each word, in their order: above 0 if it speaks for the class.
    pub words: Vec<f64>,
    /// The log-odds of the text.
    pub output: f64,
    /// The log-odds of a text without words.
    pub baseline: f64,
}

impl WordContributions {
    /// Returns what the words do not account for, since the integral is a sum: output - baseline - sum of the words.
    pub fn residual(&self) -> f64 {
        self.output - self.baseline - self.words.iter().sum::<f64>()
    }
}

/// Returns the contribution of each word of a text to `class`: Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep
/// Networks*, ICML 2017, equation 1, with padding in the place of every word as the baseline and 64 steps.
///
/// `words` are those of one text, with the padding that the model needs after them.
///
/// # Errors
/// `words` are not of one text, `class` is not a class of the model, the text is shorter than the model can read, or libtorch
/// refuses an operation.
pub fn integrated_gradients(
    model: &dyn EmbeddingModel,
    words: &Words,
    class: usize,
) -> Result<WordContributions> {
    let n_texts = words.n_texts();
    if n_texts != 1 {
        return Err(Error::Batch {
            model: "integrated gradients",
            expected: "one text".into(),
            got: format!("{n_texts}"),
        });
    }
    let (ids, n_words) = (&words.ids, words.lengths.f_int64_value(&[0])? as usize);
    let (baseline, vectors) = {
        let _no_grad = tch::no_grad_guard();
        (model.vectors(&ids.f_full_like(f64::from(PADDING))?)?, model.vectors(ids)?)
    };
    let way = vectors.f_sub(&baseline)?; // [1, len, size]
    let options = (vectors.kind(), vectors.device());
    // The middle of each step: for a function that is nearly linear in it, the sum is nearly the integral.
    let shares = Tensor::f_arange(STEPS, options)?.f_add_scalar(0.5)?.f_div_scalar(STEPS as f64)?;
    let points = baseline.f_add(&way.f_mul(&shares.f_view([STEPS, 1, 1])?)?)?; // [steps, len, size]
    let points = points.f_detach()?.set_requires_grad(true);
    let gradients = tch::with_grad(|| -> Result<Tensor> {
        let odds = log_odds(&model.logits(&points)?, class)?;
        let total = odds.f_sum(odds.kind())?;
        Ok(Tensor::f_run_backward(&[total], &[&points], false, false)?.remove(0))
    })?;
    let _no_grad = tch::no_grad_guard();
    let mean = gradients.f_mean_dim([0].as_slice(), false, None)?; // [len, size]
    let parts = mean.f_mul(&way.f_squeeze_dim(0)?)?.f_to_kind(Kind::Double)?;
    let mut words: Vec<f64> = parts.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)?.try_into()?;
    words.truncate(n_words);
    let ends = log_odds(&model.logits(&Tensor::f_cat(&[vectors, baseline], 0)?)?, class)?;
    let ends = Vec::<f64>::try_from(ends.f_to_kind(Kind::Double)?)?;
    Ok(WordContributions { words, output: ends[0], baseline: ends[1] })
}

/// The log-odds of `class`, `[n]`, from logits `[n, n_classes]`.
fn log_odds(logits: &Tensor, class: usize) -> Result<Tensor> {
    let n_classes = logits.size().last().copied().unwrap_or(0);
    let class = class as i64;
    if class >= n_classes {
        return Err(Error::Labels { n_classes, min: class, max: class });
    }
    let before = logits.f_narrow(1, 0, class)?;
    let after = logits.f_narrow(1, class + 1, n_classes - class - 1)?;
    let others = Tensor::f_cat(&[before, after], 1)?.f_logsumexp([1].as_slice(), false)?;
    Ok(logits.f_select(1, class)?.f_sub(&others)?)
}
