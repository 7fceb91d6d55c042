//! The input fields of a model, with their settings.

use std::fmt;

use faknow_model::encoder::{Pooling, Precision};
use faknow_model::image::ImageOutput;
use serde::{Serialize, Serializer};

/// The input fields of a model, with their settings. They determine the data sources and settings of a run.
///
/// ```
/// use faknow::models::{Fields, WordField};
///
/// let fields = Fields::default().with_words(WordField::default().extra_padding(4));
/// assert_eq!(fields.to_string(), "text");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fields {
    /// The words of a text. Default: not used.
    pub words: Option<WordField>,
    /// The weighted n-grams of the words, which batches have instead of them. Default: not used.
    pub ngrams: Option<NGramField>,
    /// A propagation tree. Default: not used.
    pub trees: Option<TreeField>,
    /// An article of a graph of news, sources and users. Default: not used.
    pub news: Option<NewsField>,
    /// The domain (topic, event, platform) of a sample. Default: not used.
    pub domains: Option<DomainField>,
    /// The image of a post. Default: not used.
    pub images: Option<ImageField>,
    /// Further texts of a record, which are encoded like its text. Default: none.
    pub texts: Vec<TextField>,
    /// Named numeric features. Default: none.
    pub features: Vec<FeatureField>,
}

/// Settings of the field of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WordField {
    /// Number of padding columns after the longest text of a batch. Default 0.
    pub extra_padding: usize,
    /// Whether the model reads the subwords of an encoder instead if `text.encoder` is set. Default false.
    pub accepts_encoder: bool,
    /// How the model uses the weights of the encoder. Default [`EncoderUse::Adapted`].
    pub encoder_use: EncoderUse,
    /// Whether predictions do not depend on the texts, which are only read with their records. Default false.
    pub is_unused: bool,
}

/// How a model uses the weights of an encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncoderUse {
    /// They are trained, as part of the model.
    Trained,
    /// They are not trained, and the model reads only the output of the encoder, which is computed once and cached.
    Frozen,
    /// They are not trained, and the model reads only the output of the encoder pooled to one vector per text, with
    /// matrix products in this precision.
    Pooled(Pooling, Precision),
    /// They are not trained, but the model has to compute the output of the encoder, as with adapters (the default).
    #[default]
    Adapted,
}

/// Settings of the field of n-grams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NGramField {
    /// Maximum number of tokens of an n-gram; 0 for 4 characters or 2 words. Default 0.
    pub max_n: usize,
    /// Minimum number of training texts that contain an n-gram, at least 1.
    pub min_df: usize,
}

/// Settings of the field of domains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainField {
    /// Whether the model needs the column of domains. Default false.
    pub is_required: bool,
    /// Whether predictions do not depend on the domains. Default false.
    pub is_for_training: bool,
}

/// Settings of the field of images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageField {
    /// The layer of the image encoder whose output the model reads.
    pub output: ImageOutput,
    /// Whether a pretrained image encoder is not trained; its output is then computed once and cached.
    pub is_frozen: bool,
    /// Whether the model reads pixels in addition to the output of an encoder. Default false.
    pub needs_pixels: bool,
}

/// A further text of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextField {
    /// Name in a batch, and of the setting of its column: `entities` for `data.entities`.
    pub name: &'static str,
}

/// A named numeric feature of a record, of which all records have the same number of values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureField {
    /// Name in a batch.
    pub name: &'static str,
    /// Whether the model needs the feature. Default true.
    pub is_required: bool,
    /// Whether the model reads standardized values: of mean 0 and standard deviation 1 in the training data. Default false.
    pub is_standardized: bool,
}

/// Settings of the field of news articles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewsField {}

/// Settings of the field of propagation trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeField {}

impl EncoderUse {
    /// Returns the use of an encoder that is part of the model unless it is frozen.
    pub fn of(is_frozen: bool) -> Self {
        if is_frozen { Self::Frozen } else { Self::Trained }
    }
}

impl Fields {
    /// Returns the fields of a text model.
    pub fn words() -> Self {
        Self::default().with_words(WordField::default())
    }

    /// Returns the fields of a tree model.
    pub fn trees() -> Self {
        Self { trees: Some(TreeField::default()), ..Self::default() }
    }

    /// Returns the fields of a model of the articles of a graph.
    pub fn news() -> Self {
        Self { news: Some(NewsField::default()), ..Self::default() }
    }

    /// Adds the field of words, with these settings.
    #[must_use]
    pub fn with_words(mut self, words: WordField) -> Self {
        self.words = Some(words);
        self
    }

    /// Adds the n-grams of the words, with these settings.
    #[must_use]
    pub fn with_ngrams(mut self, ngrams: NGramField) -> Self {
        self.ngrams = Some(ngrams);
        self
    }

    /// Adds the field of domains, with these settings.
    #[must_use]
    pub fn with_domains(mut self, domains: DomainField) -> Self {
        self.domains = Some(domains);
        self
    }

    /// Adds the image of a post, with these settings.
    #[must_use]
    pub fn with_images(mut self, images: ImageField) -> Self {
        self.images = Some(images);
        self
    }

    /// Adds a further text of a record.
    #[must_use]
    pub fn with_text(mut self, name: &'static str) -> Self {
        self.texts.push(TextField { name });
        self
    }

    /// Adds a named numeric feature.
    #[must_use]
    pub fn with_feature(mut self, feature: FeatureField) -> Self {
        self.features.push(feature);
        self
    }

    /// Returns how the model uses the weights of an encoder, if it accepts one.
    pub(crate) fn encoder_use(&self) -> Option<EncoderUse> {
        self.words.as_ref().filter(|words| words.accepts_encoder).map(|words| words.encoder_use)
    }

    /// Returns the names of the required fields, as in the output of `faknow models`.
    pub fn names(&self) -> Vec<&'static str> {
        let domains = self.domains.as_ref().is_some_and(|domains| domains.is_required);
        let names = [
            ("text", self.words.as_ref().is_some_and(|words| !words.is_unused)),
            ("trees", self.trees.is_some()),
            ("news", self.news.is_some()),
            ("images", self.images.is_some()),
            ("domains", domains),
        ];
        let names = names.into_iter().filter(|(_, is_used)| *is_used).map(|(name, _)| name);
        let texts = self.texts.iter().map(|text| text.name);
        let features = self.features.iter().filter(|it| it.is_required).map(|it| it.name);
        names.chain(texts).chain(features).collect()
    }
}

impl WordField {
    /// Sets the number of padding columns after the longest text of a batch, which convolutions may require. Default 0.
    #[must_use]
    pub fn extra_padding(mut self, columns: usize) -> Self {
        self.extra_padding = columns;
        self
    }

    /// Declares that predictions do not depend on the texts.
    #[must_use]
    pub fn unused(mut self) -> Self {
        self.is_unused = true;
        self
    }

    /// Lets the model read the subwords of an encoder instead if `text.encoder` is set.
    #[must_use]
    pub fn or_encoder(mut self) -> Self {
        self.accepts_encoder = true;
        self
    }

    /// Lets the model read the subwords of an encoder instead, whose weights it uses this way.
    #[must_use]
    pub fn or_encoder_that_is(mut self, encoder_use: EncoderUse) -> Self {
        self.encoder_use = encoder_use;
        self.or_encoder()
    }
}

impl NGramField {
    /// Creates a field of n-grams of up to `max_n` tokens in at least `min_df` training texts.
    pub fn new(max_n: usize, min_df: usize) -> Self {
        Self { max_n, min_df }
    }
}

impl DomainField {
    /// Creates a field that the model needs.
    pub fn required() -> Self {
        Self { is_required: true, ..Self::default() }
    }

    /// Creates a field that the model needs in training only.
    pub fn for_training() -> Self {
        Self { is_required: true, is_for_training: true }
    }
}

impl ImageField {
    /// Creates a field of the output of this layer of an image encoder, which is trained as part of the model unless it is frozen.
    pub fn of(output: ImageOutput, is_frozen: bool) -> Self {
        Self { output, is_frozen, needs_pixels: false }
    }

    /// Lets the model read pixels, too.
    #[must_use]
    pub fn with_pixels(self) -> Self {
        Self { needs_pixels: true, ..self }
    }
}

impl FeatureField {
    /// Creates a feature that the model needs.
    pub fn required(name: &'static str) -> Self {
        Self { name, is_required: true, is_standardized: false }
    }

    /// Creates a feature that the model uses if it is given.
    pub fn optional(name: &'static str) -> Self {
        Self { name, is_required: false, is_standardized: false }
    }

    /// Lets the model read standardized values.
    #[must_use]
    pub fn standardized(self) -> Self {
        Self { is_standardized: true, ..self }
    }
}

/// Formats the names: `text`, `text and domains`, `text, domains and entities`.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => write!(f, "{} and {last}", rest.join(", ")),
            _ => f.write_str(&names.concat()),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
