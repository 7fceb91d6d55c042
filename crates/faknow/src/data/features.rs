//! Named numeric features of records: from columns, or emotions that are computed from texts and comments.

use std::path::Path;

use faknow_data::emotion::{DualEmotion, EmotionExtractor, EmotionLexicons};
use faknow_data::text::TokenizerConfig;
use faknow_data::{FieldDataset, Record, Standardization};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::models::{FeatureField, Fields};
use crate::{Error, Result};

/// Returns the values of a feature of a post.
type EmotionFeature = fn(&DualEmotion) -> Vec<f64>;

/// The features that are computed from texts and comments, unless they have a column.
const EMOTION_FEATURES: [(&str, EmotionFeature); 4] = [
    ("emotions", DualEmotion::to_vec),
    ("content_emotion", |dual| dual.publisher.clone()),
    ("comments_emotion", DualEmotion::social),
    ("emotion_gap", DualEmotion::gap),
];

/// Checks that the model reads the features that the settings provide, and that they provide those that it needs.
///
/// # Errors
/// A setting has no use for the model, or is missing; the error has its name.
pub(crate) fn check(config: &Config, fields: &Fields) -> Result<()> {
    let (name, data) = (&config.model.name, &config.data);
    let reads = |feature: &str| fields.features.iter().any(|field| field.name == feature);
    if let Some(feature) = data.features.0.keys().find(|feature| !reads(feature)) {
        let names: Vec<String> = fields.features.iter().map(|field| format!("`{}`", field.name)).collect();
        let known = if names.is_empty() { "no features".to_owned() } else { names.join(", ") };
        let message = format!("`{name}` does not read the feature `{feature}`, it reads {known}");
        return Err(Error::config("data.features", message));
    }
    let without_column = || fields.features.iter().filter(|field| !data.features.0.contains_key(field.name));
    let computes_emotions = without_column().any(|field| extractor_of(field).is_some());
    for (key, is_set) in
        [("text.lexicons", config.text.lexicons.is_some()), ("data.comments", data.comments.is_some())]
    {
        if is_set && !computes_emotions {
            let message = format!(
                "expected a model with emotion features that have no column, got `{name}`; remove it"
            );
            return Err(Error::config(key, message));
        }
    }
    let missing = without_column()
        .find(|field| field.is_required && (extractor_of(field).is_none() || config.text.lexicons.is_none()));
    match missing {
        Some(field) => {
            let feature = field.name;
            let lexicons = extractor_of(field).map_or("", |_| {
                ", or a directory of emotion lexicons with `text.lexicons = DIR`, from which it is computed"
            });
            let message = format!(
                "`{name}` reads the feature `{feature}`: name the column of its numbers with `data.features.{feature} = \
                 COLUMN`{lexicons}"
            );
            Err(Error::config("data.features", message))
        }
        None => Ok(()),
    }
}

fn extractor_of(field: &FeatureField) -> Option<EmotionFeature> {
    EMOTION_FEATURES.iter().find(|(name, _)| *name == field.name).map(|(_, values)| *values)
}

/// The encoder of the features of records; saved in a run directory for prediction.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureEncoder {
    /// The features by name, in the order of the model's fields.
    pub(crate) features: Vec<EncodedFeature>,
    /// What emotion features are computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emotions: Option<EmotionSource>,
}

/// A feature of the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncodedFeature {
    pub(crate) name: String,
    /// Number of values.
    pub(crate) size: usize,
    /// Mean and standard deviation of the training data, if the model reads standardized values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) standardization: Option<Standardization>,
}

/// What is wrong with the features of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeatureProblem<'a> {
    #[error("expected numbers of the feature `{name}`, got none")]
    Missing { name: &'a str },
    #[error("feature `{name}`: expected {expected} numbers, as in training, got {got}")]
    Size { name: &'a str, expected: usize, got: usize },
}

/// What emotion features are computed from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmotionSource {
    /// Names of the computed features.
    names: Vec<String>,
    tokenizer: TokenizerConfig,
    lexicons: EmotionLexicons,
}

impl EmotionSource {
    /// Reads the lexicons of a config for the emotion features without a column; also returns a warning about missing files.
    ///
    /// # Errors
    /// A file of lexicons is invalid.
    pub(crate) fn read(
        config: &Config,
        fields: &Fields,
        tokenizer: &TokenizerConfig,
    ) -> Result<Option<(Self, Option<String>)>> {
        let Some(dir) = &config.text.lexicons else { return Ok(None) };
        let without_column =
            fields.features.iter().filter(|field| !config.data.features.0.contains_key(field.name));
        let names: Vec<String> =
            without_column.filter(|it| extractor_of(it).is_some()).map(|it| it.name.to_owned()).collect();
        let (lexicons, missing) = EmotionLexicons::read(dir)?;
        let warning = || {
            let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
            format!("{}: no {}: their emotion features are missing or 0", dir.display(), names.join(", "))
        };
        let warning = (!missing.is_empty()).then(warning);
        Ok(Some((Self { names, tokenizer: tokenizer.clone(), lexicons }, warning)))
    }

    /// Creates the computation of the features.
    pub(crate) fn reader(&self) -> Result<EmotionReader> {
        let of_name = |name: &String| EMOTION_FEATURES.iter().find(|(other, _)| other == name).copied();
        Ok(EmotionReader {
            features: self.names.iter().filter_map(of_name).collect(),
            extractor: EmotionExtractor::new(&self.lexicons, &self.tokenizer)?,
        })
    }
}

/// Computes emotion features of records.
#[derive(Debug)]
pub(crate) struct EmotionReader {
    features: Vec<(&'static str, EmotionFeature)>,
    extractor: EmotionExtractor,
}

impl EmotionReader {
    /// Adds the computed features to a record.
    pub(crate) fn add_to(&self, record: &mut Record) {
        let dual = self.extractor.extract(&record.text, &record.comments);
        for (name, values) in &self.features {
            let numbers = values(&dual).into_iter().map(|value| value as f32).collect();
            record.features.insert((*name).to_owned(), numbers);
        }
    }
}

impl FeatureEncoder {
    /// Creates the encoder of the features of training data.
    pub(crate) fn fit(fields: &Fields, train: &FieldDataset, emotions: Option<EmotionSource>) -> Self {
        let encode = |field: &FeatureField| {
            let size = train.feature_size(field.name)?;
            let standardization = field.is_standardized.then(|| train.fit_standardization(field.name));
            Some(EncodedFeature {
                name: field.name.to_owned(),
                size,
                standardization: standardization.flatten(),
            })
        };
        Self { features: fields.features.iter().filter_map(encode).collect(), emotions }
    }

    /// Returns the data with encoded features; `source` is their name in errors.
    ///
    /// # Errors
    /// A feature is missing, or has another number of values than in the training data.
    pub(crate) fn encode(&self, mut data: FieldDataset, source: &Path) -> Result<FieldDataset> {
        for EncodedFeature { name, size, standardization } in &self.features {
            let got = data.feature_size(name);
            if got != Some(*size) {
                let got = got.map_or_else(|| "none".to_owned(), |got| got.to_string());
                let message = format!(
                    "feature `{name}`: expected {size} numbers per record, as in training, got {got}"
                );
                return Err(faknow_data::Error::file(source, message).into());
            }
            if let Some(standardization) = standardization {
                data = data.standardize(name, standardization)?;
            }
        }
        Ok(data)
    }

    /// Returns what is wrong with the features of a record, if anything, except for those that are computed.
    pub(crate) fn problem_of(&self, record: &Record) -> Option<FeatureProblem<'_>> {
        let given = self.features.iter().filter(|it| !self.computes(&it.name));
        given.into_iter().find_map(|EncodedFeature { name, size, .. }| match record.features.get(name) {
            None => Some(FeatureProblem::Missing { name }),
            Some(numbers) if numbers.len() != *size => {
                Some(FeatureProblem::Size { name, expected: *size, got: numbers.len() })
            }
            Some(_) => None,
        })
    }

    fn computes(&self, name: &str) -> bool {
        self.emotions.as_ref().is_some_and(|emotions| emotions.names.iter().any(|other| other == name))
    }

    /// Completes the features of a record: with those that are computed, and with zeros for those with a problem.
    pub(crate) fn complete(&self, record: &mut Record, emotions: Option<&EmotionReader>) {
        if let Some(emotions) = emotions {
            emotions.add_to(record);
        }
        record.features.retain(|name, _| self.features.iter().any(|it| it.name == *name));
        for EncodedFeature { name, size, .. } in &self.features {
            if record.features.get(name).is_none_or(|numbers| numbers.len() != *size) {
                record.features.insert(name.clone(), vec![0.0; *size]);
            }
        }
    }

    /// Returns the names of the features with their numbers of values.
    pub(crate) fn sizes(&self) -> Vec<(String, usize)> {
        self.features.iter().map(|it| (it.name.clone(), it.size)).collect()
    }
}
