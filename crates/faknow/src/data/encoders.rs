//! The encoders of records and trees into input fields; saved in a run directory for prediction.

use std::path::Path;

use faknow_data::graph::{TfIdf, Tree};
use faknow_data::image::ImageOptions;
use faknow_data::text::{NGramEncoder, TokenStorage, Tokenizer, TokenizerConfig, UNKNOWN, Vocab};
use faknow_data::{FieldDataset, NodeFeatureKind, Record, TokenCounts, TokenKind};
use faknow_model::encoder::PretrainedEncoder;
use faknow_model::image::PretrainedImageEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::config::Config;
use crate::data::features::{EmotionSource, FeatureEncoder, FeatureProblem};
use crate::data::image_encoder::ImageEncoderFile;
use crate::data::subword_encoder::{ENCODER_FILES, SubwordEncoder};
use crate::data::trees::apply_weights;
use crate::files::{read_json, verify_files, write_json};
use crate::models::{EncoderUse, Fields, Shape};
use crate::{Error, Result};

pub(crate) const VOCAB: &str = "vocab.txt";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const NGRAMS: &str = "ngrams.tsv";
pub(crate) const FEATURES: &str = "features.json";
pub(crate) const DOMAINS: &str = "domains.json";
pub(crate) const RECORD_FEATURES: &str = "record_features.json";

/// Reads a JSON file that a run must have.
fn require_json<T: DeserializeOwned>(run: &Path, name: &str) -> Result<T> {
    let message = || format!("missing `{name}`; copy the run directory again");
    read_json(run, name)?.ok_or_else(|| Error::NotARun { path: run.to_path_buf(), message: message() })
}

/// The encoders of the input fields of a model.
#[derive(Debug, Default)]
pub(crate) struct FieldEncoders {
    /// Encoder of texts, or of the texts of nodes.
    pub(crate) words: Option<WordEncoder>,
    /// Encoder of texts as subwords, instead of words.
    pub(crate) subwords: Option<SubwordEncoder>,
    /// Encoder of the n-grams of texts.
    pub(crate) ngrams: Option<NGramEncoder>,
    /// Reader of images, if the model reads any.
    pub(crate) images: Option<ImageReader>,
    /// Encoder of propagation trees.
    pub(crate) trees: Option<TreeEncoder>,
    /// Names of the domains of the training data in the order of their indices, if the model uses domains.
    pub(crate) domains: Vec<String>,
    /// Encoder of numeric features, if the model reads any.
    pub(crate) features: Option<FeatureEncoder>,
    /// Names of the numeric features of records, with their numbers of values.
    pub(crate) feature_sizes: Vec<(String, usize)>,
}

/// An encoder of texts as token ids.
#[derive(Debug)]
pub(crate) struct WordEncoder {
    pub(crate) vocab: Vocab,
    pub(crate) tokenizer: Tokenizer,
}

/// A reader of images.
#[derive(Debug, Clone)]
pub(crate) struct ImageReader {
    pub(crate) options: ImageOptions,
    /// The file of a pretrained encoder; without one, a small one is trained from scratch.
    pub(crate) encoder: Option<ImageEncoderFile>,
}

/// The pretrained encoders of a model, with their weights.
#[derive(Debug, Default)]
pub(crate) struct PretrainedEncoders {
    pub(crate) texts: Option<PretrainedEncoder>,
    /// That of images, or a small one from scratch; `None` if the model reads no images.
    pub(crate) images: Option<PretrainedImageEncoder>,
}

/// An encoder of trees as node features.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TreeEncoder {
    /// Number of features per node.
    pub(crate) n_features: usize,
    /// Weighting of the features, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tf_idf: Option<TfIdf>,
}

impl WordEncoder {
    /// Encodes records with this number of padding columns, without features; `domains` are those of the training data.
    pub(crate) fn dataset<I>(
        &self,
        records: I,
        domains: &[String],
        extra_padding: usize,
    ) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let data = FieldDataset::from_records(records, &self.tokenizer, &self.vocab, domains)?;
        Ok(data.with_extra_padding(extra_padding))
    }
}

impl TreeEncoder {
    /// Encodes trees.
    ///
    /// # Errors
    /// A tree does not have the number of features of the training data.
    pub(crate) fn dataset(&self, mut trees: Vec<Tree>) -> Result<FieldDataset> {
        let n_features = self.n_features;
        if let Some(tree) = trees.iter().find(|tree| tree.features().n_features() != n_features) {
            let (id, got) = (tree.id(), tree.features().n_features());
            let message =
                format!("tree `{id}`: expected {n_features} features per node, as in training, got {got}");
            return Err(faknow_data::Error::Dataset(message).into());
        }
        apply_weights(&mut trees, self.tf_idf.as_ref())?;
        Ok(FieldDataset::from_trees(trees)?)
    }
}

impl FieldEncoders {
    /// Encodes records, with features if the model reads any; `source` is their name in errors.
    ///
    /// # Errors
    /// A record is invalid, has a feature with another number of values than in training, or the encoder takes no texts.
    pub(crate) fn dataset<I>(&self, records: I, extra_padding: usize, source: &Path) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let load_images = |data: FieldDataset| -> faknow_data::Result<FieldDataset> {
            let Some(images) = &self.images else { return Ok(data) };
            let data = data.load_images(&images.options)?;
            let problems = data.image_problems().filter(|problems| problems.n_problems() > 0);
            problems.into_iter().for_each(|problems| tracing::warn!("{problems}"));
            Ok(data)
        };
        let Some(features) = &self.features else {
            return Ok(load_images(self.texts(records, extra_padding)?)?);
        };
        let emotions = features.emotions.as_ref().map(EmotionSource::reader).transpose()?;
        let records = records.into_iter().map(|record| {
            record.map(|mut record| {
                features.complete(&mut record, emotions.as_ref());
                record
            })
        });
        features.encode(load_images(self.texts(records, extra_padding)?)?, source)
    }

    /// Encodes the texts of records, as subwords or words.
    fn texts<I>(&self, records: I, extra_padding: usize) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        match (&self.subwords, &self.words) {
            (Some(subwords), _) => subwords.dataset(records, Some(&self.domains), &TokenStorage::default()),
            (None, Some(words)) => {
                let data = words.dataset(records, &self.domains, extra_padding)?;
                match &self.ngrams {
                    Some(ngrams) => Ok(data.with_ngrams(ngrams)?),
                    None => Ok(data),
                }
            }
            (None, None) => Err(wrong_input("trees", "texts")),
        }
    }

    /// Returns what is wrong with the features of a record that the model reads, if anything.
    pub(crate) fn feature_problem(&self, record: &Record) -> Option<FeatureProblem<'_>> {
        self.features.as_ref()?.problem_of(record)
    }

    /// Returns the numbers of tokens of each sample, without punctuation.
    ///
    /// # Errors
    /// Tokens stored in a file cannot be read.
    pub(crate) fn token_counts(&self, data: &FieldDataset) -> Result<Vec<TokenCounts>> {
        Ok(data.token_counts(self.kinds_of_tokens(), self.node_features())?)
    }

    /// Returns a function that returns how a token is counted, which it determines once for each id.
    pub(crate) fn kinds_of_tokens(&self) -> impl FnMut(u32) -> TokenKind {
        let mut kinds = Vec::new();
        move |id| {
            let index = id as usize;
            if kinds.len() <= index {
                kinds.resize(index + 1, None);
            }
            *kinds[index].get_or_insert_with(|| self.kind_of_token(id))
        }
    }

    fn kind_of_token(&self, id: u32) -> TokenKind {
        // An incomplete character of a subword is one of a word.
        let is_word =
            |token: &str| token.chars().any(|c| c.is_alphanumeric() || c == char::REPLACEMENT_CHARACTER);
        match (&self.subwords, &self.words) {
            (Some(subwords), _) => {
                let tokenizer = &subwords.tokenizer;
                match tokenizer.unknown_id() {
                    Some(unknown) if unknown == id => TokenKind::Unknown,
                    // The text of a special token is empty.
                    _ if !tokenizer.decode(&[id]).is_some_and(|text| is_word(&text)) => TokenKind::Ignored,
                    _ => TokenKind::Known,
                }
            }
            (None, Some(words)) => match &self.ngrams {
                _ if id <= UNKNOWN => TokenKind::Unknown,
                _ if !words.vocab.word(id).is_some_and(is_word) => TokenKind::Ignored,
                Some(ngrams) if !ngrams.is_known(id) => TokenKind::Unknown,
                _ => TokenKind::Known,
            },
            (None, None) => TokenKind::Known,
        }
    }

    /// Returns what the features of the nodes of trees mean.
    pub(crate) fn node_features(&self) -> NodeFeatureKind {
        let is_weighted = self.trees.as_ref().is_some_and(|trees| trees.tf_idf.is_some());
        match (&self.words, is_weighted) {
            (Some(_), _) => NodeFeatureKind::TokenIds,
            (None, true) => NodeFeatureKind::Words,
            (None, false) => NodeFeatureKind::Numbers,
        }
    }

    /// Returns the name of an encoder file that is missing in a run directory, if any.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn missing(run: &Path, fields: &Fields, config: &Config) -> Result<Option<&'static str>> {
        let has_encoder = config.text.encoder.is_some();
        let words: &[&str] = match &fields.words {
            Some(_) if has_encoder => &ENCODER_FILES,
            Some(_) => &[VOCAB, TOKENIZER],
            None => &[],
        };
        if has_encoder && Self::needs_weights(fields) && SubwordEncoder::saved_weights(run)?.is_empty() {
            return Ok(Some("encoder/model.safetensors"));
        }
        let has_image_encoder = fields.images.is_some() && config.image.encoder.is_some();
        if has_image_encoder && ImageEncoderFile::saved_weights(run).is_none() {
            return Ok(Some("image_encoder/weights.safetensors"));
        }
        let ngrams: &[&str] = if fields.ngrams.is_some() { &[NGRAMS] } else { &[] };
        let trees: &[&str] = if fields.trees.is_some() || fields.news.is_some() { &[FEATURES] } else { &[] };
        let is_required = fields.domains.as_ref().is_some_and(|domains| domains.is_required);
        let domains: &[&str] = if is_required { &[DOMAINS] } else { &[] };
        let is_required = fields.features.iter().any(|feature| feature.is_required);
        let features: &[&str] = if is_required { &[RECORD_FEATURES] } else { &[] };
        let names = words.iter().chain(ngrams).chain(trees).chain(domains).chain(features);
        Ok(names.copied().find(|name| !run.join(name).exists()))
    }

    /// Returns whether the weights of the encoder of texts are not part of the model.
    pub(crate) fn needs_weights(fields: &Fields) -> bool {
        fields.encoder_use().is_some_and(|encoder_use| encoder_use != EncoderUse::Trained)
    }

    /// Returns the names of the files of the encoders in a run directory, without weights.
    pub(crate) fn files(&self) -> Vec<&'static str> {
        let encoder: &[&str] = if self.subwords.is_some() { &ENCODER_FILES } else { &[] };
        [VOCAB, TOKENIZER, NGRAMS, FEATURES, DOMAINS, RECORD_FEATURES]
            .iter()
            .chain(encoder)
            .copied()
            .collect()
    }

    /// Loads the encoders for a model with these input fields from a run directory, and compares them with their checksums.
    pub(crate) fn load(run: &Path, fields: &Fields, config: &Config) -> Result<Self> {
        verify_files(run, &[VOCAB, TOKENIZER, NGRAMS, FEATURES, DOMAINS, RECORD_FEATURES])?;
        let subwords = || -> Result<SubwordEncoder> {
            verify_files(run, &ENCODER_FILES)?;
            let weights = SubwordEncoder::saved_weights(run)?;
            verify_files(run, &weights.iter().map(String::as_str).collect::<Vec<_>>())?;
            SubwordEncoder::load(run)
        };
        let words = || -> Result<WordEncoder> {
            let tokenizer: TokenizerConfig = require_json(run, TOKENIZER)?;
            Ok(WordEncoder { vocab: Vocab::load(run.join(VOCAB))?, tokenizer: Tokenizer::new(tokenizer)? })
        };
        // Nodes of trees have texts or features.
        let has_subwords = fields.words.is_some() && config.text.encoder.is_some();
        let has_words = !has_subwords && (fields.words.is_some() || run.join(VOCAB).exists());
        let has_nodes = fields.trees.is_some() || fields.news.is_some();
        let trees = has_nodes.then(|| require_json(run, FEATURES));
        let features: Option<FeatureEncoder> = read_json(run, RECORD_FEATURES)?;
        let words = has_words.then(words).transpose()?;
        let ngrams = words.as_ref().filter(|_| fields.ngrams.is_some());
        let ngrams = ngrams.map(|words| NGramEncoder::load(run.join(NGRAMS), &words.vocab)).transpose()?;
        let images = fields.images.is_some().then(|| -> Result<ImageReader> {
            let weights = ImageEncoderFile::saved_weights(run);
            verify_files(run, &weights.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(ImageReader { options: config.image.options(), encoder: ImageEncoderFile::load(run) })
        });
        Ok(Self {
            words,
            ngrams,
            images: images.transpose()?,
            subwords: has_subwords.then(subwords).transpose()?,
            trees: trees.transpose()?,
            domains: read_json(run, DOMAINS)?.unwrap_or_default(),
            feature_sizes: features.as_ref().map(FeatureEncoder::sizes).unwrap_or_default(),
            features,
        })
    }

    /// Writes the encoders into a run directory, except that of subwords.
    pub(crate) fn save(&self, run: &Path) -> Result<()> {
        if let Some(trees) = &self.trees {
            write_json(&run.join(FEATURES), trees)?;
        }
        if !self.domains.is_empty() {
            write_json(&run.join(DOMAINS), &self.domains)?;
        }
        if let Some(features) = &self.features {
            write_json(&run.join(RECORD_FEATURES), features)?;
        }
        if let Some(words) = &self.words {
            words.vocab.save(run.join(VOCAB))?;
            write_json(&run.join(TOKENIZER), words.tokenizer.config())?;
            if let Some(ngrams) = &self.ngrams {
                ngrams.save(run.join(NGRAMS), &words.vocab)?;
            }
        }
        Ok(())
    }

    /// Returns the token of texts with this id.
    pub(crate) fn word(&self, id: u32) -> Option<String> {
        match (&self.subwords, &self.words) {
            (Some(subwords), _) => subwords.tokenizer.token(id),
            (None, words) => words.as_ref()?.vocab.word(id).map(str::to_owned),
        }
    }

    /// Reads the weights of the encoders of texts and images, if there are any.
    pub(crate) fn pretrained(&self) -> Result<PretrainedEncoders> {
        let of_images = |images: &ImageReader| match &images.encoder {
            Some(file) => file.pretrained(),
            None => Ok(PretrainedImageEncoder::small()),
        };
        Ok(PretrainedEncoders {
            texts: self.subwords.as_ref().map(SubwordEncoder::pretrained).transpose()?,
            images: self.images.as_ref().map(of_images).transpose()?,
        })
    }

    /// Returns the properties that determine the size of a model.
    pub(crate) fn shape<'a>(
        &'a self,
        n_classes: usize,
        word_vectors: Option<&'a Tensor>,
        pretrained: &'a PretrainedEncoders,
    ) -> Shape<'a> {
        Shape {
            vocab_size: self.words.as_ref().map_or(0, |words| words.vocab.len()),
            n_node_features: self.trees.as_ref().map_or(0, |trees| trees.n_features),
            n_classes,
            word_vectors,
            encoder: pretrained.texts.as_ref(),
            image_encoder: pretrained.images.as_ref(),
            n_ngrams: self.ngrams.as_ref().map_or(0, NGramEncoder::n_features),
            n_domains: self.domains.len(),
            feature_sizes: &self.feature_sizes,
        }
    }
}

/// Returns the error for an input of another kind than that of the detector.
pub(crate) fn wrong_input(expected: &str, got: &str) -> Error {
    Error::config("", format!("this detector takes {expected} as input, got {got}"))
}
