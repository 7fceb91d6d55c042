//! The layers of M3FEND on the views of a post.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::domain_memory::DomainMemory;
use super::m3fend::M3fendConfig;
use super::{TokenVectors, class_logits, n_outputs};
use crate::layers::{
    ConvolutionShape, DomainEmbedding, Linear, MaskAttention, Mlp, TextExpertSizes, TextExperts,
};
use crate::{Error, Mode, Result};

/// Added to absolute values before their logarithm.
const EPS: f64 = 1e-7;

/// The sizes of the inputs and outputs of M3FEND.
#[derive(Debug, Clone, Copy)]
pub struct M3fendSizes {
    /// Length of the token vectors.
    pub text: i64,
    /// Number of emotion features, 0 without this view.
    pub emotion: i64,
    /// Number of style features, 0 without this view.
    pub style: i64,
    /// Number of domains, at least 1.
    pub n_domains: usize,
    /// Number of classes, at least 2.
    pub n_classes: usize,
}

/// The views of the posts of a batch.
#[derive(Debug)]
pub struct Views {
    /// The tokens of the texts.
    pub tokens: TokenVectors,
    /// Emotion features `[n, n_features]`, if there are any.
    pub emotion: Option<Tensor>,
    /// Style features `[n, n_features]`, if there are any.
    pub style: Option<Tensor>,
    /// Domains i64 `[n]`, -1 for unknown ones.
    pub domains: Tensor,
}

/// The layers of M3FEND on the views of a post.
///
/// Parameters: `content_expert.<i>.convs.<j>.*`, `emotion_expert.<i>.mlp.*`, `style_expert.<i>.mlp.*`, `lnn_weight`
/// `[1, n_interactions, n_experts]` (experts in this order), `attention.attention_layer.*`, `domain_embedder.weight`,
/// `domain_memory.*`, `gate.0.*`, `gate.2.*`, `classifier.mlp.*`.
#[derive(Debug)]
pub struct M3fendHead {
    semantic: TextExperts,
    emotion: Vec<Mlp>,
    style: Vec<Mlp>,
    /// Exponents of the interactions.
    exponents: Tensor,
    attention: MaskAttention,
    domains: DomainEmbedding,
    memory: DomainMemory,
    gate: [Linear; 2],
    classifier: Mlp,
    faithful: bool,
}

impl M3fendHead {
    /// Creates the layers.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &M3fendConfig, sizes: M3fendSizes) -> Result<Self> {
        config.validate(sizes)?;
        let text = TextExpertSizes {
            size: sizes.text,
            n_filters: config.n_filters,
            kernel_sizes: &config.kernel_sizes,
        };
        let n_features = text.n_features();
        let hidden = [config.expert_hidden_sizes.as_slice(), &[n_features]].concat();
        let experts = |name: &str, n_experts: i64, n_in: i64| -> Result<Vec<Mlp>> {
            let n_experts = if n_in > 0 { n_experts } else { 0 };
            let expert = |i| Mlp::new(&(path / name / i), n_in, &hidden, None, config.dropout);
            (0..n_experts).map(expert).collect()
        };
        let semantic: Vec<Path<'_>> =
            (0..config.n_semantic_experts).map(|i| path / "content_expert" / i).collect();
        let semantic = TextExperts::new(&semantic, text, ConvolutionShape::OneDimensional)?;
        let emotion = experts("emotion_expert", config.n_emotion_experts, sizes.emotion)?;
        let style = experts("style_expert", config.n_style_experts, sizes.style)?;
        let n_experts = config.n_semantic_experts + (emotion.len() + style.len()) as i64;
        let bound = 1.0 / (config.n_interactions as f64).sqrt();
        let gate_size = config.hidden_sizes.last().copied().unwrap_or(1);
        let (gate, n_domains) = (path / "gate", sizes.n_domains as i64);
        Ok(Self {
            semantic,
            emotion,
            style,
            exponents: path.f_var(
                "lnn_weight",
                &[1, config.n_interactions, n_experts],
                Init::Uniform { lo: -bound, up: bound },
            )?,
            attention: MaskAttention::new(&(path / "attention"), sizes.text)?,
            domains: DomainEmbedding::new(&(path / "domain_embedder"), n_domains, sizes.text)?,
            memory: DomainMemory::new(
                &(path / "domain_memory"),
                n_domains,
                config.n_slots,
                sizes.text + sizes.emotion + sizes.style,
            )?,
            gate: [
                Linear::new(&(&gate / 0), 2 * sizes.text, gate_size)?,
                Linear::new(&(&gate / 2), gate_size, config.n_interactions)?,
            ],
            classifier: Mlp::new(
                &(path / "classifier"),
                n_features,
                &config.hidden_sizes,
                Some(n_outputs(sizes.n_classes)),
                config.dropout,
            )?,
            faithful: config.faithful,
        })
    }

    /// Returns the logits `[n, n_classes]` of posts.
    ///
    /// # Errors
    /// The views do not fit the model; a domain is not below the number of domains.
    pub fn logits(&self, views: &Views, mode: Mode) -> Result<Tensor> {
        let experts = self.experts(views, mode)?; // [n, n_experts, n_features]
        // Products of powers of the experts' absolute features.
        let logarithms = experts.f_abs()?.f_add_scalar(EPS)?.f_log1p()?;
        let interactions = self.exponents.f_matmul(&logarithms)?.f_expm1()?; // [n, n_interactions, n_features]
        let similar = self.memory.attention(&self.describe(views)?)?.f_matmul(self.domains.weight())?;
        let [first, second] = &self.gate;
        let gate = Tensor::f_cat(&[self.domains.forward(&views.domains)?, similar], 1)?;
        let gate = second.forward(&first.forward(&gate)?.f_relu()?)?.f_softmax(1, None::<Kind>)?;
        let mixed = gate.f_unsqueeze(1)?.f_matmul(&interactions)?.f_squeeze_dim(1)?; // [n, n_features]
        class_logits(self.classifier.forward(&mixed, mode)?)
    }

    /// Returns the memory.
    pub fn memory(&self) -> &DomainMemory {
        &self.memory
    }

    /// Describes posts by their pooled text and features, as the memory does: rows of length 1, `[n, text + emotion + style]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn describe(&self, views: &Views) -> Result<Tensor> {
        let text = self.attention.forward(&views.tokens.vectors, &views.tokens.mask)?;
        let features = [views.emotion.as_ref(), views.style.as_ref()];
        let parts: Vec<&Tensor> = std::iter::once(&text).chain(features.into_iter().flatten()).collect();
        let posts = Tensor::f_cat(&parts, 1)?;
        let lengths = posts.f_norm_scalaropt_dim(2.0, [1].as_slice(), true)?.f_clamp_min(1e-12)?;
        Ok(posts.f_div(&lengths)?)
    }

    /// Returns the features of all experts, `[n, n_experts, n_features]`.
    fn experts(&self, views: &Views, mode: Mode) -> Result<Tensor> {
        let mut features = vec![views.tokens.features(&self.semantic, self.faithful)?];
        for (view, input, experts) in
            [("emotion", &views.emotion, &self.emotion), ("style", &views.style, &self.style)]
        {
            match (input, experts.is_empty()) {
                (Some(input), false) => {
                    for expert in experts {
                        features.push(expert.forward(input, mode)?.f_unsqueeze(1)?);
                    }
                }
                (None, true) => {}
                (input, is_empty) => {
                    let with = |has: bool| if has { "with" } else { "without" };
                    return Err(Error::Batch {
                        model: "M3FEND",
                        expected: format!("posts {} {view} features", with(!is_empty)),
                        got: format!("posts {} them", with(input.is_some())),
                    });
                }
            }
        }
        Ok(Tensor::f_cat(&features, 1)?)
    }
}
