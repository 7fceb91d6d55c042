//! Explanations of text classifications: the contribution of each word to a class, by integrated gradients.

use faknow_data::text::Words;
use tch::{Kind, Tensor};

use crate::{EmbeddingModel, Error, Result};

/// Number of steps of the integral.
const N_STEPS: i64 = 64;

/// Number of tokens per part of the work, in all its steps together: some 10 milliseconds on a CPU.
const PART_TOKENS: i64 = 256;

/// The contribution of each word of a text to a class.
///
/// All values are log-odds of the class: the natural logarithm of its probability over that of all other classes.
#[derive(Debug, Clone, PartialEq)]
pub struct WordContributions {
    /// The contribution of each word, in order; positive if the word supports the class.
    pub words: Vec<f64>,
    /// The log-odds of the text.
    pub output: f64,
    /// The log-odds of a text without words.
    pub baseline: f64,
}

impl WordContributions {
    /// Returns the approximation error of the integral: output - baseline - sum of the contributions.
    pub fn residual(&self) -> f64 {
        self.output - self.baseline - self.words.iter().sum::<f64>()
    }
}

/// Computes the contribution of each word of a text to `class` by integrated gradients: Sundararajan, Taly and Yan, *Axiomatic
/// Attribution for Deep Networks*, ICML 2017, equation 1, with a baseline of padding and 64 steps.
///
/// `words` is a single text, with the padding that the model needs.
///
/// # Errors
/// `words` is not a single text, `class` is not a class of the model, the text is too short for the model, or libtorch rejects
/// an operation.
pub fn integrated_gradients(
    model: &dyn EmbeddingModel,
    words: &Words,
    class: usize,
) -> Result<WordContributions> {
    let contributions = integrated_gradients_in_parts(model, words, class, &mut || true)?;
    contributions.ok_or_else(|| Error::Batch {
        model: "integrated gradients",
        expected: "all parts".into(),
        got: "none".into(),
    })
}

/// Computes the same as [`integrated_gradients`] and calls `proceed` between the parts of the work, which take a few
/// milliseconds each on a CPU: for a thread that has other work in the meantime, or no longer needs the result. Returns `None`
/// if `proceed` returned false.
///
/// # Errors
/// As for [`integrated_gradients`].
pub fn integrated_gradients_in_parts(
    model: &dyn EmbeddingModel,
    words: &Words,
    class: usize,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<Option<WordContributions>> {
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
        (model.vectors(&ids.f_full_like(model.padding_id())?)?, model.vectors(ids)?)
    };
    let difference = vectors.f_sub(&baseline)?; // [1, len, size]
    let options = (vectors.kind(), vectors.device());
    // Midpoint rule.
    let alphas = Tensor::f_arange(N_STEPS, options)?.f_add_scalar(0.5)?.f_div_scalar(N_STEPS as f64)?;
    let mut sum = vectors.f_squeeze_dim(0)?.f_zeros_like()?; // [len, size]
    let len = ids.size()[1].max(1);
    for alphas in alphas.f_split((PART_TOKENS / len).clamp(1, N_STEPS), 0)? {
        if !proceed() {
            return Ok(None);
        }
        let points = baseline.f_add(&difference.f_mul(&alphas.f_view([-1, 1, 1])?)?)?; // [steps, len, size]
        let points = points.f_detach()?.set_requires_grad(true);
        let gradients = gradient(&points, class, &|points| model.logits(points))?;
        let _no_grad = tch::no_grad_guard();
        let _ = sum.f_add_(&gradients.f_sum_dim_intlist([0].as_slice(), false, None)?)?;
    }
    if !proceed() {
        return Ok(None);
    }
    let _no_grad = tch::no_grad_guard();
    let mean = sum.f_div_scalar(N_STEPS as f64)?;
    let products = mean.f_mul(&difference.f_squeeze_dim(0)?)?.f_to_kind(Kind::Double)?;
    let mut words: Vec<f64> = products.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)?.try_into()?;
    words.truncate(n_words);
    let endpoints = log_odds(&model.logits(&Tensor::f_cat(&[vectors, baseline], 0)?)?, class)?;
    let endpoints = Vec::<f64>::try_from(endpoints.f_to_kind(Kind::Double)?)?;
    Ok(Some(WordContributions { words, output: endpoints[0], baseline: endpoints[1] }))
}

/// Returns the gradient of the log-odds of `class`, summed over all rows of `points`, with respect to `points`; zeros if the logits do
/// not depend on them, as those of a post without words.
pub(super) fn gradient(
    points: &Tensor,
    class: usize,
    logits: &dyn Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    tch::with_grad(|| {
        let odds = log_odds(&logits(points)?, class)?;
        if !odds.requires_grad() {
            return Ok(points.f_zeros_like()?);
        }
        let total = odds.f_sum(odds.kind())?;
        let gradient = Tensor::f_run_backward(&[total], &[points], false, false)?.remove(0);
        if gradient.defined() { Ok(gradient) } else { Ok(points.f_zeros_like()?) }
    })
}

/// Returns the log-odds of `class`, `[n]`, from logits `[n, n_classes]`.
pub(super) fn log_odds(logits: &Tensor, class: usize) -> Result<Tensor> {
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
