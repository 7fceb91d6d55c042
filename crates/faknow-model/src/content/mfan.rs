//! MFAN: attention between a text, an image and the social context of a post.
//!
//! Zheng et al., *MFAN: Multi-modal Feature-enhanced Attention Networks for Rumor Detection*, IJCAI 2022. As in FaKnow and in the
//! authors' code, the image attends to the text before all pairs of modalities attend to each other, by one shared block. Unlike
//! theirs, the graph is optional, and posts that are not in it can be classified; texts are read without their padding.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::fixed_features::FixedFeatures;
use super::mfan_nodes::NodeLayer;
use super::modalities::present_texts;
use super::one_text::OneText;
use super::present_rows::of_present;
use super::text_layer::{TextLayer, TextSettings};
use super::{
    ImageInput, MfanFeatures, MfanHead, MfanNodes, MfanOutput, Modalities, TextSource, TokenVectors, check,
};
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::{
    ConvolutionShape, Linear, MissingEmbedding, SignedGatSettings, TextExpertSizes, TextExperts,
};
use crate::{EmbeddingModel, Error, Loss, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Mfan`]; the defaults are the paper's, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MfanConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder has its
    /// own dropout. Default 0.4.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether an encoder of texts is trained, too, rather than frozen. Default false.
    pub train_encoder: bool,
    /// Whether a pretrained image encoder is trained, too, as in FaKnow, rather than frozen, as by the authors. Default false.
    pub train_image_encoder: bool,
    /// The modalities that are read. Default both.
    pub modalities: Modalities,
    /// Number of filters of the text convolutions per kernel size, at least 1; times the number of kernel sizes, it is the length
    /// of the vectors of all modalities. Default 100.
    pub n_filters: i64,
    /// Kernel sizes of the text convolutions in tokens, each at least 1. Default 3, 4 and 5.
    pub kernel_sizes: Vec<i64>,
    /// Number of attention heads of the shared block, at least 1. Default 8.
    pub n_heads: i64,
    /// Length of the queries and keys of a head, at least 1. Default 16.
    pub key_size: i64,
    /// Length of the values of a head, at least 1. Default 16.
    pub value_size: i64,
    /// Dropout probability of the shared block, from 0 to below 1. Default 0.
    pub attention_dropout: f64,
    /// Dropout probability of the classifier, from 0 to below 1. Default 0.6.
    pub dropout: f64,
    /// Number of heads of the attention over a graph, at least 1. Default 1.
    pub n_graph_heads: i64,
    /// Slope of negative scores of the attention over a graph, at least 0. Default 0.3.
    pub negative_slope: f64,
    /// Dropout probability of the attention over a graph, from 0 to below 1. Default 0.
    pub graph_dropout: f64,
    /// Probability from 0 to below 1 that a post counts as one without social context in training, so that the model can classify
    /// posts of unknown users. Default 0.1.
    pub node_dropout: f64,
    /// Weight of the distance of text and social context in the loss, at least 0. Default 0.72, as in the paper (1.55 / 2.15);
    /// FaKnow's is 1.
    pub alignment_weight: f64,
    /// Whether the model is trained on perturbed word vectors, too. Default true.
    pub adversarial: bool,
    /// Maximum norm of the perturbation of the word vectors, above 0. Default 6.
    pub pgd_epsilon: f64,
    /// Length of each step of the perturbation, above 0. Default 1.8.
    pub pgd_alpha: f64,
    /// Number of steps of the perturbation, each with a pass over the batch, at least 1. Default 3.
    pub pgd_steps: i64,
    /// Whether the text convolutions read padding as if it were tokens, as FaKnow's do. Default false.
    pub faithful: bool,
}

impl Default for MfanConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            n_filters: 100,
            kernel_sizes: vec![3, 4, 5],
            n_heads: 8,
            key_size: 16,
            value_size: 16,
            attention_dropout: 0.0,
            dropout: 0.6,
            n_graph_heads: 1,
            negative_slope: 0.3,
            graph_dropout: 0.0,
            node_dropout: 0.1,
            alignment_weight: 0.72,
            adversarial: true,
            pgd_epsilon: 6.0,
            pgd_alpha: 1.8,
            pgd_steps: 3,
            faithful: false,
        }
    }
}

impl MfanConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    /// Returns the length of the vectors of all modalities.
    pub fn size(&self) -> i64 {
        self.n_filters * self.kernel_sizes.len() as i64
    }

    fn graph_settings(&self) -> SignedGatSettings {
        SignedGatSettings {
            n_out: self.size(),
            n_heads: self.n_graph_heads,
            negative_slope: self.negative_slope,
            dropout: self.graph_dropout,
        }
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [
            ("n_filters", self.n_filters),
            ("n_heads", self.n_heads),
            ("key_size", self.key_size),
            ("value_size", self.value_size),
            ("n_graph_heads", self.n_graph_heads),
            ("pgd_steps", self.pgd_steps),
        ];
        check(NAME, &sizes, &[("kernel_sizes", &self.kernel_sizes)], self.dropout, n_classes)?;
        let probability = |value: f64| (0.0..1.0).contains(&value);
        let (positive, nonnegative) =
            (|value: f64| value > 0.0 && value.is_finite(), |value: f64| value >= 0.0 && value.is_finite());
        let (below_1, above_0, from_0) = ("from 0 to below 1", "a number above 0", "a number of at least 0");
        let checks = [
            ("attention_dropout", below_1, self.attention_dropout, probability(self.attention_dropout)),
            ("graph_dropout", below_1, self.graph_dropout, probability(self.graph_dropout)),
            ("node_dropout", below_1, self.node_dropout, probability(self.node_dropout)),
            ("negative_slope", from_0, self.negative_slope, nonnegative(self.negative_slope)),
            ("alignment_weight", from_0, self.alignment_weight, nonnegative(self.alignment_weight)),
            ("pgd_epsilon", above_0, self.pgd_epsilon, positive(self.pgd_epsilon)),
            ("pgd_alpha", above_0, self.pgd_alpha, positive(self.pgd_alpha)),
        ];
        match checks.into_iter().find(|(_, _, _, is_valid)| !is_valid) {
            Some((name, expected, got, _)) => {
                Err(Error::Config { model: NAME, name, expected: expected.into(), got: got.to_string() })
            }
            None => Ok(()),
        }
    }
}

/// Name of the model in errors.
const NAME: &str = "MFAN";

/// The MFAN classifier.
///
/// Parameters: `word_embedding.weight`, or `bert.*` and `image_encoder.*` of encoders that are trained; `text_ccn_layer.convs.*`;
/// `image_fc.*`; `user_embedding.weight` or `gat.*` of the social context; `missing_text.embedding`, `missing_image.embedding`
/// and `missing_node.embedding`, the vectors of posts without them; those of [`MfanHead`]. Those of a modality that is not read do
/// not exist.
#[derive(Debug)]
pub struct Mfan {
    text: Option<(TextLayer, TextExperts)>,
    image: Option<(ImageInput, Linear)>,
    nodes: NodeLayer,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    alignment_weight: f64,
    faithful: bool,
    head: MfanHead,
}

impl Mfan {
    /// Name of the feature with the index of the node of a post in a graph.
    pub const NODE: &str = "node";

    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &MfanConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        nodes: MfanNodes<'_>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let size = config.size();
        let text = |source: &TextSource<'_>| -> Result<_> {
            let layer = TextLayer::new(path, ["word_embedding", "bert"], source, config.text_settings())?;
            let sizes = TextExpertSizes {
                size: layer.size(),
                n_filters: config.n_filters,
                kernel_sizes: &config.kernel_sizes,
            };
            let experts = [path / "text_ccn_layer"];
            Ok((layer, TextExperts::new(&experts, sizes, ConvolutionShape::TwoDimensional)?))
        };
        let image = config.modalities.image_input(
            NAME,
            &(path / "image_encoder"),
            image,
            |_| ImageOutput::Pooled,
            config.train_image_encoder,
        )?;
        let projected = |image: ImageInput| -> Result<_> {
            let linear = Linear::new(&(path / "image_fc"), image.size(), size)?;
            Ok((image, linear))
        };
        Ok(Self {
            text: config.modalities.text(source).map(text).transpose()?,
            image: image.map(projected).transpose()?,
            nodes: NodeLayer::new(path, nodes, config.graph_settings(), config.node_dropout)?,
            missing_text: MissingEmbedding::new(&(path / "missing_text"), size)?,
            missing_image: MissingEmbedding::new(&(path / "missing_image"), size)?,
            alignment_weight: config.alignment_weight,
            faithful: config.faithful,
            head: MfanHead::new(path, config, size, n_classes)?,
        })
    }

    /// Returns the vectors of texts, `[n, size]`, and which posts have one, bool `[n]`.
    fn text_vectors(&self, tokens: Option<&TokenVectors>, n: i64) -> Result<(Tensor, Tensor)> {
        let (Some((_, experts)), Some(tokens)) = (&self.text, tokens) else {
            let vectors = self.missing_text.repeated(n)?;
            let present = Tensor::f_zeros([n], (Kind::Bool, vectors.device()))?;
            return Ok((vectors, present));
        };
        let present = present_texts(&tokens.mask)?;
        let vectors = tokens.features(experts, self.faithful)?.f_squeeze_dim(1)?.f_relu()?;
        Ok((self.missing_text.forward(&vectors, &present)?, present))
    }

    /// Returns the vectors of the images of a batch, `[n, size]`.
    fn image_vectors(&self, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        let Some((image, linear)) = &self.image else {
            return self.missing_image.repeated(batch.n_samples() as i64);
        };
        let images = image.forward(batch, mode)?;
        of_present(&self.missing_image, &images.vector()?, &images.present, |x| linear.forward(x))
    }

    /// Returns the distance of texts and nodes, the mean over the posts that have both.
    fn alignment(&self, [text, node]: &[Tensor; 2], present: &Tensor) -> Result<Tensor> {
        let distances = text.f_sub(node)?.f_square()?.f_mean_dim([1].as_slice(), false, None::<Kind>)?;
        let weights = present.f_to_kind(distances.kind())?;
        let sum = distances.f_mul(&weights)?.f_sum(distances.kind())?;
        Ok(sum.f_div(&weights.f_sum(weights.kind())?.f_clamp_min(1.0)?)?)
    }
}

impl Model for Mfan {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let n = batch.n_samples() as i64;
        let tokens = self.text.as_ref().map(|(text, _)| text.forward(batch, None, mode)).transpose()?;
        let (text, has_text) = self.text_vectors(tokens.as_ref(), n)?;
        let (node, has_node) = self.nodes.forward(batch, n, mode)?;
        let features = MfanFeatures { text, image: self.image_vectors(batch, mode)?, node };
        let MfanOutput { logits, aligned } = self.head.forward(&features, mode)?;
        let Some(labels) = batch.labels() else { return Ok(Output { logits, loss: None }) };
        let classification = loss::cross_entropy(&logits, labels)?;
        if !self.nodes.is_used() || self.text.is_none() {
            return Ok(Output { logits, loss: Some(Loss::single(classification)) });
        }
        let alignment = self.alignment(&aligned, &has_text.f_logical_and(&has_node)?)?;
        let total = classification.f_add(&alignment.f_mul_scalar(self.alignment_weight)?)?;
        let parts = vec![(Loss::CLASSIFICATION, classification), ("alignment", alignment)];
        Ok(Output { logits, loss: Some(Loss { total, parts }) })
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let fixed = FixedFeatures::new(move || {
            let image = self.image_vectors(batch, Mode::Eval)?;
            Ok([image, self.nodes.forward(batch, batch.n_samples() as i64, Mode::Eval)?.0])
        });
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let (text, _) = self.text_vectors(Some(&tokens), n)?;
            let [image, node] = fixed.repeated(n)?;
            Ok(self.head.forward(&MfanFeatures { text, image, node }, Mode::Eval)?.logits)
        };
        let (text, _) = self.text.as_ref()?;
        Some(Box::new(OneText::new(text.input(), batch, logits)))
    }
}
