//! The models that a config can name.

use faknow_model::{
    BiGcn, BiGcnConfig, ConvKind, Ebgcn, EbgcnConfig, Gcnfn, GcnfnConfig, Gnncl, GnnclConfig,
    GraphClassifier, GraphClassifierConfig, TextCnn, TextCnnConfig, TrustRd, TrustRdConfig,
    TrustRdPretraining, Upfd, UpfdConfig, UpfdKind,
};
use faknow_trainer::with_model_seed;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use tch::nn::{Path, VarStore};
use tch::{Device, Tensor};

use super::InputModel;
use crate::config::ModelConfig;
use crate::config::settings::in_plain_words;
use crate::{Error, Result};

/// What `faknow models` says of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelInfo {
    /// Its name in configs.
    pub name: &'static str,
    /// What it is, in a line.
    pub title: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What it reads: `text` or `trees`.
    pub reads: &'static str,
    /// Its hyper-parameters and their defaults.
    pub hyperparameters: toml::Table,
    /// Settings of the training that are other than for all models where a config has no `[optimizer]`, or does not
    /// name them: those of its authors.
    pub training: toml::Table,
}

/// How the graph models of the UPFD benchmark were trained by its authors.
///
/// Trees become one graph without padding, so buckets would save nothing: batches of trees alike in size only train worse. Of all
/// models of trees GNNCL alone pads.
const UPFD_TRAINING: &str = "optimizer = { name = 'adam', lr = 0.001, weight_decay = 0.01 }
loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 60 }
early_stopping = { patience = 15 }";

const GNNCL_TRAINING: &str = "optimizer = { name = 'adam', lr = 0.001 }
loader = { batch_size = 128, eval_batch_size = 128 }
trainer = { epochs = 60 }
early_stopping = { patience = 15 }";

const EBGCN_TRAINING: &str = "loader = { batch_size = 128, eval_batch_size = 64, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }
[optimizer]
name = 'adam'
lr = 0.0005
weight_decay = 0.0001
groups = [{ pattern = 'BURumorGCN.conv*', lr = 0.0001 }]";

const BIGCN_TRAINING: &str = "loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }
[optimizer]
name = 'adam'
lr = 0.0005
weight_decay = 0.0001
groups = [{ pattern = 'BURumorGCN.*', lr = 0.0001 }]";

const TRUSTRD_TRAINING: &str = "optimizer = { name = 'adam', lr = 0.0005, weight_decay = 0.0001 }
loader = { batch_size = 128, buckets = 0 }
trainer = { epochs = 200 }
early_stopping = { patience = 15 }";

/// All models that a config can name.
pub fn models() -> Vec<ModelInfo> {
    let info = |name, title, source, hyperparameters: toml::Table, training: &str| ModelInfo {
        name,
        title,
        source,
        reads: if name == "textcnn" { "text" } else { "trees" },
        hyperparameters,
        training: training.parse().unwrap_or_default(),
    };
    let conv = || table(&GraphClassifierConfig::default());
    let upfd = || table(&UpfdConfig::default());
    let upfd_paper = "Dou et al., User Preference-aware Fake News Detection, SIGIR 2021";
    vec![
        info(
            "textcnn",
            "convolutions over word vectors, maximum over time, linear layer",
            "Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014",
            table(&TextCnnConfig::default()),
            "",
        ),
        info(
            "gcn",
            "a graph convolution, maximum over the tree, linear layer",
            "Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017",
            conv(),
            UPFD_TRAINING,
        ),
        info(
            "graphsage",
            "a convolution of a node and the mean of its neighbours, maximum over the tree, linear layer",
            "Hamilton, Ying and Leskovec, Inductive Representation Learning on Large Graphs, NIPS 2017",
            conv(),
            UPFD_TRAINING,
        ),
        info(
            "gat",
            "a convolution by attention, maximum over the tree, linear layer",
            "Veličković et al., Graph Attention Networks, ICLR 2018",
            conv(),
            UPFD_TRAINING,
        ),
        info(
            "gcnfn",
            "two convolutions by attention, mean over the tree, two linear layers",
            "Monti et al., Fake News Detection on Social Media using Geometric Deep Learning, 2019",
            table(&GcnfnConfig::default()),
            UPFD_TRAINING,
        ),
        info(
            "upfd-gcn",
            "the tree by a graph convolution, beside its root",
            upfd_paper,
            upfd(),
            UPFD_TRAINING,
        ),
        info("upfd-sage", "the tree by GraphSAGE, beside its root", upfd_paper, upfd(), UPFD_TRAINING),
        info("upfd-gat", "the tree by attention, beside its root", upfd_paper, upfd(), UPFD_TRAINING),
        info("upfd-gcnfn", "the tree by GCNFN, beside its root", upfd_paper, upfd(), UPFD_TRAINING),
        info(
            "bigcn",
            "graph convolutions down and up the tree, with the root at every node",
            "Bian et al., Rumor Detection on Social Media with Bi-Directional Graph Convolutional Networks, AAAI 2020",
            table(&BiGcnConfig::default()),
            BIGCN_TRAINING,
        ),
        info(
            "ebgcn",
            "BiGCN whose edges have weights that are inferred",
            "Wei et al., Towards Propagation Uncertainty: Edge-enhanced Bayesian Graph Convolutional Networks for Rumor Detection, ACL 2021",
            table(&EbgcnConfig::default()),
            EBGCN_TRAINING,
        ),
        info(
            "gnncl",
            "the tree pooled twice into clusters that are learnt (DiffPool)",
            "Han, Karunasekera and Leckie, Graph Neural Networks with Continual Learning for Fake News Detection from Social Media, 2020",
            table(&GnnclConfig::default()),
            GNNCL_TRAINING,
        ),
        info(
            "trustrd",
            "an encoder that learns without labels first (GIN), then a Bayesian classifier",
            "Towards Trustworthy Rumor Detection with Interpretable Graph Structural Learning, CIKM 2023",
            table(&TrustRdConfig::default()),
            TRUSTRD_TRAINING,
        ),
    ]
}

fn table(config: &impl Serialize) -> toml::Table {
    toml::Table::try_from(config).unwrap_or_default()
}

/// The model of this name.
///
/// # Errors
/// There is none; the known ones are named.
pub fn model_info(name: &str) -> Result<ModelInfo> {
    models().into_iter().find(|m| m.name == name).ok_or_else(|| {
        let known: Vec<&str> = models().iter().map(|m| m.name).collect();
        Error::config("model.name", format!("unknown model `{name}`; known: {}", known.join(", ")))
    })
}

/// What a model's size depends on beside its config.
pub(crate) struct Sizes<'a> {
    /// Words of the vocabulary, or features of a node.
    pub(crate) n_inputs: usize,
    pub(crate) n_classes: usize,
    /// Pretrained word vectors `[n_inputs, size]`.
    pub(crate) vectors: Option<&'a Tensor>,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Texts,
    Trees,
}

/// A model's own needs and how to build it, known before any data is.
#[derive(Debug)]
pub(crate) enum AnyModelConfig {
    TextCnn(TextCnnConfig),
    Graph(ConvKind, GraphClassifierConfig),
    Gcnfn(GcnfnConfig),
    Upfd(UpfdKind, UpfdConfig),
    BiGcn(BiGcnConfig),
    Ebgcn(EbgcnConfig),
    Gnncl(GnnclConfig),
    TrustRd(TrustRdConfig),
}

/// What a model learns before its training.
pub(crate) struct Pretraining {
    /// The model of that stage, whose loss needs no labels.
    pub(crate) model: InputModel,
    pub(crate) epochs: usize,
    /// What stands before the names of its weights in the model that they are for.
    pub(crate) prefix: &'static str,
}

impl AnyModelConfig {
    /// Reads the model's own hyper-parameters; unknown ones are refused by name.
    pub(crate) fn new(config: &ModelConfig) -> Result<Self> {
        let graph = |kind| Ok(Self::Graph(kind, hyperparameters(config)?));
        let upfd = |kind| Ok(Self::Upfd(kind, hyperparameters(config)?));
        match model_info(&config.name)?.name {
            "gcn" => graph(ConvKind::Gcn),
            "graphsage" => graph(ConvKind::Sage),
            "gat" => graph(ConvKind::Gat),
            "gcnfn" => Ok(Self::Gcnfn(hyperparameters(config)?)),
            "upfd-gcn" => upfd(UpfdKind::Conv(ConvKind::Gcn)),
            "upfd-sage" => upfd(UpfdKind::Conv(ConvKind::Sage)),
            "upfd-gat" => upfd(UpfdKind::Conv(ConvKind::Gat)),
            "upfd-gcnfn" => upfd(UpfdKind::Gcnfn),
            "bigcn" => Ok(Self::BiGcn(hyperparameters(config)?)),
            "ebgcn" => Ok(Self::Ebgcn(hyperparameters(config)?)),
            "gnncl" => Ok(Self::Gnncl(hyperparameters(config)?)),
            "trustrd" => Ok(Self::TrustRd(hyperparameters(config)?)),
            _ => Ok(Self::TextCnn(hyperparameters(config)?)),
        }
    }

    /// Checks all hyper-parameters, by building the smallest model that they allow.
    pub(crate) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = Sizes { n_inputs: 2, n_classes, vectors: None };
        // With a seed, though any will do, so that the noise of runs in other threads is left alone.
        with_model_seed(0, || self.build(&VarStore::new(Device::Cpu).root(), &sizes).map(drop))
    }

    pub(crate) fn reads(&self) -> Reads {
        match self {
            Self::TextCnn(_) => Reads::Texts,
            _ => Reads::Trees,
        }
    }

    /// Padding columns that the model wants behind the longest text of a batch.
    pub(crate) fn extra_padding(&self) -> usize {
        match self {
            Self::TextCnn(config) => config.extra_padding(),
            _ => 0,
        }
    }

    /// Takes over the size of pretrained vectors, so that a saved config builds the same model.
    pub(crate) fn set_embedding_size(&mut self, size: i64) {
        if let Self::TextCnn(config) = self {
            config.embedding_size = size;
        }
    }

    /// Every hyper-parameter, defaults included.
    pub(crate) fn to_table(&self) -> toml::Table {
        match self {
            Self::TextCnn(config) => table(config),
            Self::Graph(_, config) => table(config),
            Self::Gcnfn(config) => table(config),
            Self::Upfd(_, config) => table(config),
            Self::BiGcn(config) => table(config),
            Self::Ebgcn(config) => table(config),
            Self::Gnncl(config) => table(config),
            Self::TrustRd(config) => table(config),
        }
    }

    pub(crate) fn build(&self, path: &Path<'_>, sizes: &Sizes<'_>) -> Result<InputModel> {
        let Sizes { n_inputs, n_classes, vectors } = *sizes;
        let model = || -> faknow_model::Result<InputModel> {
            Ok(match self {
                Self::TextCnn(config) => Box::new(match vectors {
                    Some(vectors) => TextCnn::with_vectors(path, config, vectors, n_classes)?,
                    None => TextCnn::new(path, config, n_inputs, n_classes)?,
                }),
                Self::Graph(kind, config) => {
                    Box::new(GraphClassifier::new(path, *kind, config, n_inputs, n_classes)?)
                }
                Self::Gcnfn(config) => Box::new(Gcnfn::new(path, config, n_inputs, n_classes)?),
                Self::Upfd(kind, config) => Box::new(Upfd::new(path, *kind, config, n_inputs, n_classes)?),
                Self::BiGcn(config) => Box::new(BiGcn::new(path, config, n_inputs, n_classes)?),
                Self::Ebgcn(config) => Box::new(Ebgcn::new(path, config, n_inputs, n_classes)?),
                Self::Gnncl(config) => Box::new(Gnncl::new(path, config, n_inputs, n_classes)?),
                Self::TrustRd(config) => Box::new(TrustRd::new(path, config, n_inputs, n_classes)?),
            })
        };
        model().map_err(|error| Error::in_table("model", error))
    }

    /// The stage before the training, if the model has one.
    pub(crate) fn pretraining(&self, path: &Path<'_>, n_inputs: usize) -> Result<Option<Pretraining>> {
        let Self::TrustRd(config) = self else { return Ok(None) };
        if config.pretrain_epochs == 0 {
            return Ok(None);
        }
        let model = TrustRdPretraining::new(path, config, n_inputs);
        let model = model.map_err(|error| Error::in_table("model", error))?;
        let (epochs, prefix) = (config.pretrain_epochs, TrustRdPretraining::PREFIX);
        Ok(Some(Pretraining { model: Box::new(model), epochs, prefix }))
    }
}

fn hyperparameters<'de, T: Deserialize<'de>>(config: &ModelConfig) -> Result<T> {
    let table = toml::Value::Table(config.hyperparameters.clone());
    serde_path_to_error::deserialize(table.into_deserializer()).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { "model".to_owned() } else { format!("model.{path}") };
        Error::config(key, in_plain_words(error.into_inner().message()))
    })
}
