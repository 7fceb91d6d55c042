//! The encoder: token ids to hidden states.

use std::cell::RefCell;
use std::fmt::Debug;

use faknow_data::text::Subwords;
use tch::Tensor;
use tch::nn::Path;

use super::bert::Bert;
use super::config::{Architecture, EncoderConfig};
use super::deberta::Deberta;
use super::hidden::Hidden;
use super::layout::Layout;
use super::lora::{Adapter, Adapters, LoraConfig};
use super::modernbert::ModernBert;
use super::params::{Created, Params, Source, Tensors};
use super::projection::{LinearKind, Projection};
use crate::layers::Embedding;
use crate::{Error, Mode, Result};

/// The layers of an architecture.
pub(super) trait Network: Debug + Send {
    /// Returns the embeddings of words.
    fn words(&self) -> &Embedding;

    /// Computes the rows of the last hidden states, `[n_rows, hidden_size]`, from the vectors of the words, `[n_rows, size]`;
    /// `observe` receives the rows of all hidden states in order.
    fn run(&self, words: &Tensor, layout: &Layout, mode: Mode, observe: Observer<'_>) -> Result<Tensor>;
}

/// Receives hidden states.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&Tensor) -> Result<()>;

/// A transformer encoder of texts.
///
/// Parameters have the names of Hugging Face's models without heads, as `embeddings.word_embeddings.weight` and
/// `encoder.layer.0.attention.self.query.weight`. Initial weights are normal with standard deviation `initializer_range`, biases
/// 0 and scales 1, as in the library `transformers`.
///
/// All texts are of token type 0. Rows are stored without padding, so batch mates and padding cost nothing, and results do not
/// depend on them except for rounding.
///
/// ```
/// use faknow_data::text::Subwords;
/// use faknow_model::Mode;
/// use faknow_model::encoder::{Encoder, EncoderConfig, Pooling};
/// use tch::{Device, Tensor, nn::VarStore};
///
/// let config = EncoderConfig { hidden_size: 8, n_layers: 2, n_heads: 2, intermediate_size: 16, ..EncoderConfig::bert(100) };
/// let vars = VarStore::new(Device::Cpu);
/// let encoder = Encoder::new(&vars.root(), &config)?;
/// let ids = Tensor::from_slice2(&[[2i64, 7, 8, 3], [2, 9, 3, 0]]);
/// let texts = Subwords::new(ids, Tensor::from_slice(&[4i64, 3]))?;
/// assert_eq!(encoder.forward(&texts, Mode::Eval)?.size(), [2, 4, 8]);
/// assert_eq!(encoder.encode(&texts, Mode::Eval)?.pool(Pooling::Mean)?.size(), [2, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    network: Box<dyn Network>,
    pooler: Option<Projection>,
    parameters: Vec<(String, Tensor)>,
    adapters: Vec<(String, Adapter)>,
}

impl Encoder {
    /// Creates an encoder with random weights.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that is out of range.
    pub fn new(path: &Path<'_>, config: &EncoderConfig) -> Result<Self> {
        Self::build(Some(path.clone()), config, Source::Random, None).map(|(encoder, _)| encoder)
    }

    /// Creates an encoder with the values of `tensors`, by the names of the parameters; other tensors are ignored. The values
    /// are converted to the kind of `path`.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that is out of range, [`Error::Weights`] all tensors that are missing or have the
    /// wrong shape; `origin` is the file or directory of the tensors.
    pub fn from_tensors(
        path: &Path<'_>,
        config: &EncoderConfig,
        tensors: &Tensors,
        origin: &std::path::Path,
    ) -> Result<Self> {
        let (encoder, problems) = Self::build(Some(path.clone()), config, Source::Copied(tensors), None)?;
        if problems.is_empty() {
            return Ok(encoder);
        }
        Err(Error::Weights { path: origin.to_path_buf(), report: problems })
    }

    /// Creates an encoder with the weights of this one, which it shares, and adapters at `path`, below the names of the linear
    /// layers, as `encoder.layer.0.attention.self.query.lora_A`. Without training, the adapters change nothing.
    ///
    /// Only the adapters should be trained: freeze the `VarStore` of this encoder.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that is out of range.
    pub fn with_adapters(&self, path: &Path<'_>, config: &LoraConfig) -> Result<Self> {
        config.check()?;
        let shared =
            self.parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let adapters = Adapters { path, config };
        Self::build(None, &self.config, Source::Shared(&shared), Some(&adapters)).map(|(encoder, _)| encoder)
    }

    fn build<'v>(
        path: Option<Path<'v>>,
        config: &EncoderConfig,
        source: Source<'_>,
        adapters: Option<&Adapters<'_, 'v>>,
    ) -> Result<(Self, Vec<String>)> {
        config.check()?;
        let created = RefCell::new(Created::default());
        let params = Params::new(path, source, adapters, config.precision, &created);
        let network: Box<dyn Network> = match &config.architecture {
            Architecture::Bert | Architecture::Roberta | Architecture::DistilBert => {
                Box::new(Bert::new(&params, config)?)
            }
            Architecture::DebertaV2(deberta) => Box::new(Deberta::new(&params, config, deberta)?),
            Architecture::ModernBert(modern) => Box::new(ModernBert::new(&params, config, modern)?),
        };
        let size = config.hidden_size;
        let pooler = match config.pooler {
            true => Some(Projection::new(
                &params.sub("pooler.dense"),
                LinearKind {
                    sizes: [size, size],
                    std: config.initializer_range,
                    has_bias: true,
                    target: None,
                },
            )?),
            false => None,
        };
        let Created { parameters, adapters, problems } = created.into_inner();
        Ok((Self { config: config.clone(), network, pooler, parameters, adapters }, problems))
    }

    /// Returns the sizes and settings.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Returns the size of the hidden states.
    pub fn hidden_size(&self) -> i64 {
        self.config.hidden_size
    }

    /// Returns the parameters by name, in the order of the layers.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// Returns copies of the parameters by name, with the adapters added to the weights: those of an encoder without adapters
    /// that computes the same.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn merged(&self) -> Result<Tensors> {
        let _no_grad = tch::no_grad_guard();
        let mut tensors: Tensors =
            self.parameters.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        for (name, adapter) in &self.adapters {
            if let Some(weight) = tensors.get_mut(name) {
                *weight = adapter.merge(weight)?;
            }
        }
        Ok(tensors)
    }

    /// Computes the last hidden states, `[n, len, hidden_size]`, 0 after the end of a text.
    ///
    /// # Errors
    /// A token id or a length is out of range, or a text is longer than [`EncoderConfig::max_len`].
    pub fn forward(&self, subwords: &Subwords, mode: Mode) -> Result<Tensor> {
        self.encode(subwords, mode)?.padded()
    }

    /// Computes the last hidden states without padding.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn encode(&self, subwords: &Subwords, mode: Mode) -> Result<Hidden> {
        let layout = Layout::packed(subwords)?;
        let rows = self.run(subwords, &layout, mode, |_| Ok(()))?;
        Ok(Hidden::new(rows, layout))
    }

    /// Computes the last hidden states as Hugging Face's library does, `[n, len, hidden_size]`: equal to [`Encoder::forward`] for
    /// tokens, but padding has hidden states too. It takes more time; FaKnow's models read hidden states of padding.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn forward_padded(&self, subwords: &Subwords, mode: Mode) -> Result<Tensor> {
        let layout = Layout::padded(subwords)?;
        layout.pad(&self.run(subwords, &layout, mode, |_| Ok(()))?)
    }

    /// Computes the input of the first layer and the output of each layer, each `[n, len, hidden_size]`, 0 after the end of a
    /// text. The last one is not normalized for ModernBERT.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn hidden_states(&self, subwords: &Subwords, mode: Mode) -> Result<Vec<Tensor>> {
        let layout = Layout::packed(subwords)?;
        let words = self.network.words().forward_rows(&layout.select(&subwords.ids)?)?;
        self.all_states(&words, &layout, mode)
    }

    /// Computes the hidden states of all layers, as [`hidden_states`](Self::hidden_states), from
    /// [`word_vectors`](Self::word_vectors) `[n, len, hidden_size]`, all of them tokens.
    ///
    /// # Errors
    /// As [`Encoder::encode_vectors`].
    pub fn hidden_states_of_vectors(&self, vectors: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let (n, len, size) = vectors.size3()?;
        let layout = Layout::full([n, len], vectors.device())?;
        self.all_states(&vectors.f_reshape([-1, size])?, &layout, mode)
    }

    fn all_states(&self, words: &Tensor, layout: &Layout, mode: Mode) -> Result<Vec<Tensor>> {
        let mut states = Vec::with_capacity(self.config.n_layers as usize + 1);
        let _ = self.run_on_words(words, layout, mode, |rows| {
            states.push(layout.pad(rows)?);
            Ok(())
        })?;
        Ok(states)
    }

    /// Returns the vectors of token ids `[n, len]` that are added to those of positions and types, `[n, len, hidden_size]`.
    ///
    /// # Errors
    /// A token id is out of range.
    pub fn word_vectors(&self, ids: &Tensor) -> Result<Tensor> {
        self.network.words().forward(ids)
    }

    /// Computes the last hidden states from [`word_vectors`](Self::word_vectors) `[n, len, hidden_size]`, all of them tokens.
    ///
    /// # Errors
    /// The texts are longer than [`EncoderConfig::max_len`], or libtorch rejects an operation.
    pub fn encode_vectors(&self, vectors: &Tensor, mode: Mode) -> Result<Hidden> {
        let (n, len, size) = vectors.size3()?;
        let layout = Layout::full([n, len], vectors.device())?;
        let rows = self.run_on_words(&vectors.f_reshape([-1, size])?, &layout, mode, |_| Ok(()))?;
        Ok(Hidden::new(rows, layout))
    }

    /// Computes BERT's pooled output `[n, hidden_size]` from the last hidden state of the first tokens, `[n, hidden_size]`.
    ///
    /// # Errors
    /// [`Error::Config`]: the encoder was built without pooler.
    pub fn pool(&self, first: &Tensor) -> Result<Tensor> {
        let Some(pooler) = &self.pooler else {
            return Err(EncoderConfig::invalid("pooler", "an encoder with a pooler", "none"));
        };
        Ok(pooler.forward(first, Mode::Eval)?.f_tanh()?)
    }

    /// Computes the rows of the last hidden states; `observe` receives the rows of all hidden states in order.
    fn run(
        &self,
        subwords: &Subwords,
        layout: &Layout,
        mode: Mode,
        observe: impl FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let words = self.network.words().forward_rows(&layout.select(&subwords.ids)?)?;
        self.run_on_words(&words, layout, mode, observe)
    }

    /// Computes the rows of the last hidden states from the vectors of the words, `[n_rows, hidden_size]`.
    fn run_on_words(
        &self,
        words: &Tensor,
        layout: &Layout,
        mode: Mode,
        mut observe: impl FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let (len, max_len) = (layout.max_len(), self.config.max_len());
        if len > max_len {
            return Err(Error::Batch {
                model: "encoder",
                expected: format!("texts of at most {max_len} tokens"),
                got: format!("{len}"),
            });
        }
        self.network.run(words, layout, mode, &mut observe)
    }
}
