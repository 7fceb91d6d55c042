//! Datasets from files of records, with the vocabulary of the training texts.

use std::path::Path;

use faknow_data::text::{
    NGramEncoder, NGramOptions, TokenStorage, Tokenizer, TokenizerKind, Vocab, VocabOptions,
};
use faknow_data::{Classes, FieldDataset, Record};
use faknow_trainer::Interrupt;
use serde_json::{Value, json};

use crate::config::{Config, DataFiles, TextConfig};
use crate::data::corpus::{Corpus, TestRecords, split_samples, training_error};
use crate::data::encoders::{FieldEncoders, ImageReader, WordEncoder};
use crate::data::features::{EmotionReader, EmotionSource, FeatureEncoder};
use crate::data::files::FileRecords;
use crate::data::image_encoder::ImageEncoderFile;
use crate::data::layout::LayoutRules;
use crate::data::left_out::{LeftOutRecords, check_drop_classes};
use crate::data::subword_encoder::SubwordEncoder;
use crate::data::text_cache::{TextCache, Tokenized};
use crate::models::{Fields, NGramField};
use crate::{Error, Result};

/// Reads the files of `config` for a model with these input fields; `saved` are the encoders of a resumed run.
pub(crate) fn load(
    config: &Config,
    fields: &Fields,
    saved: Option<FieldEncoders>,
    test_records: TestRecords,
) -> Result<Corpus> {
    load_until(config, fields, saved, test_records, &Interrupt::default())
}

/// Reads the files as [`load`] does, until it is interrupted.
///
/// # Errors
/// A file is invalid, or it is interrupted.
pub(crate) fn load_until(
    config: &Config,
    fields: &Fields,
    saved: Option<FieldEncoders>,
    test_records: TestRecords,
    interrupt: &Interrupt,
) -> Result<Corpus> {
    let classes = config.data.to_classes()?;
    let FieldEncoders {
        words,
        subwords,
        ngrams: saved_ngrams,
        features: saved_features,
        images: saved_images,
        ..
    } = saved.unwrap_or_default();
    let saved = words.map(|words| words.vocab);
    let subwords = match subwords {
        Some(subwords) => Some(subwords),
        None => SubwordEncoder::open(&config.text)?,
    };
    let tokenizer = Tokenizer::new(config.text.tokenizer_config_for(fields)?)?;
    config.train_files()?;
    let storage = config.text.storage();
    check_drop_classes(&config.data.drop_classes, &classes)?;
    let left_out = LeftOutRecords::default();
    let mut warnings = Vec::new();
    let emotion_source = match &saved_features {
        Some(saved) => saved.emotions.clone(),
        None => EmotionSource::read(config, fields, tokenizer.config())?.map(|(source, warning)| {
            warnings.extend(warning);
            source
        }),
    };
    let emotions = emotion_source.as_ref().map(EmotionSource::reader).transpose()?;
    let texts = match &subwords {
        Some(subwords) => Texts::Subwords(subwords),
        None => Texts::Words(&tokenizer),
    };
    let reader = Reader {
        config,
        classes: &classes,
        texts,
        storage: &storage,
        left_out: &left_out,
        emotions: emotions.as_ref(),
        rules: LayoutRules::new(&config.data, true, &config.data),
        interrupt,
    };
    // Opens all files first, to report errors before a large file is read.
    for files in [&config.data.train, &config.data.valid, &config.data.test].into_iter().flatten() {
        FileRecords::check(files, &reader.rules, Some(&classes))?;
    }
    if let Some(dir) = &storage.dir {
        std::fs::create_dir_all(dir).map_err(|e| {
            Error::config(
                "text.cache",
                format!("expected a writable directory, got `{}`: {e}", dir.display()),
            )
        })?;
    }
    // Features, further texts and images are not cached.
    let is_cached = config.data.features.is_empty()
        && emotions.is_none()
        && fields.texts.is_empty()
        && config.data.image.is_none();
    let cache = match is_cached {
        true => TextCache::new(config, test_records, &texts.cache_key(&config.text)?)?,
        false => None,
    };
    let cached = cache.as_ref().and_then(|cache| cache.find(&storage));
    let fingerprint = |vocab: &Option<Vocab>| vocab.as_ref().map(Vocab::fingerprint);
    let is_same = |vocab: &Option<Vocab>| saved.is_none() || fingerprint(&saved) == fingerprint(vocab);
    let tokenized = match cached.filter(|cached| is_same(&cached.vocab)) {
        Some(cached) => cached,
        None => {
            let tokenized = reader.read(saved.as_ref(), test_records);
            // Then the records are incomplete, which may also be the cause of an error.
            interrupt.check()?;
            let tokenized = tokenized?;
            if let Some(cache) = cache.filter(|_| saved.is_none()) {
                cache.store(&tokenized);
            }
            tokenized
        }
    };
    let Tokenized { train, valid, test, vocab, left_out } = tokenized;
    let ngrams = match (saved_ngrams, &fields.ngrams) {
        (Some(saved), _) => Some(saved),
        (None, Some(field)) => {
            let options = ngram_options(field, tokenizer.config().kind);
            let file = config.train_files()?.first();
            Some(NGramEncoder::fit(&train, &options).map_err(|e| training_error(file, e))?)
        }
        (None, None) => None,
    };
    let images = match fields.images {
        Some(_) => Some(ImageReader {
            options: config.image.options(),
            encoder: match saved_images {
                Some(saved) => saved.encoder,
                None => ImageEncoderFile::open(&config.image)?,
            },
        }),
        None => None,
    };
    let extra_padding = fields.words.as_ref().map_or(0, |words| words.extra_padding);
    let features = saved_features.or_else(|| {
        (!fields.features.is_empty()).then(|| FeatureEncoder::fit(fields, &train, emotion_source))
    });
    let input = |data: FieldDataset, files: Option<&DataFiles>| -> Result<FieldDataset> {
        let data = data.with_extra_padding(extra_padding);
        let source = files.or(config.data.train.as_ref()).map_or(Path::new(""), DataFiles::first);
        let data = match &ngrams {
            Some(ngrams) => data.with_ngrams(ngrams)?,
            None => data,
        };
        let data = match &images {
            Some(images) => data.load_images(&images.options)?,
            None => data,
        };
        match &features {
            Some(features) => features.encode(data, source),
            None => Ok(data),
        }
    };
    let domains = if fields.domains.is_some() { train.domains().to_vec() } else { Vec::new() };
    let train = input(train, config.data.train.as_ref())?;
    let valid = valid.map(|data| input(data, config.data.valid.as_ref())).transpose()?;
    let test = test.map(|data| input(data, config.data.test.as_ref())).transpose()?;
    let encoders = FieldEncoders {
        words: vocab.map(|vocab| WordEncoder { vocab, tokenizer }),
        subwords,
        ngrams,
        images,
        domains,
        feature_sizes: features.as_ref().map(FeatureEncoder::sizes).unwrap_or_default(),
        features,
        ..FieldEncoders::default()
    };
    Ok(Corpus { train, valid, test, encoders, classes, test_records, left_out, warnings })
}

/// A reader of the files of a config.
struct Reader<'a> {
    config: &'a Config,
    classes: &'a Classes,
    texts: Texts<'a>,
    storage: &'a TokenStorage,
    left_out: &'a LeftOutRecords,
    /// Computes the emotion features of records, if the model reads any.
    emotions: Option<&'a EmotionReader>,
    rules: LayoutRules,
    /// Ends the reading of records.
    interrupt: &'a Interrupt,
}

/// How texts are tokenized.
#[derive(Clone, Copy)]
enum Texts<'a> {
    Words(&'a Tokenizer),
    Subwords(&'a SubwordEncoder),
}

impl Texts<'_> {
    /// Returns everything that determines the tokens of texts.
    fn cache_key(self, config: &TextConfig) -> Result<Value> {
        Ok(match self {
            Self::Words(tokenizer) => json!([tokenizer.config(), vocab_options(config)]),
            Self::Subwords(subwords) => {
                json!([subwords.tokenizer.fingerprint()?, subwords.tokenizer.max_length()])
            }
        })
    }
}

impl Reader<'_> {
    /// Reads and tokenizes all texts, with the vocabulary `saved` if it is given.
    fn read(&self, saved: Option<&Vocab>, test_records: TestRecords) -> Result<Tokenized> {
        let Self { config, classes, texts, storage, left_out, emotions, .. } = self;
        let (config, texts, storage, left_out, emotions) = (*config, *texts, *storage, *left_out, *emotions);
        let files = config.train_files()?;
        let file = files.first();
        let mut events = Vec::new();
        let parts = split_samples(config, || {
            let mut labels = Vec::new();
            for record in self.open(files)? {
                let record = record?;
                labels.push(record.label.unwrap_or_default());
                if config.data.split_by_event {
                    events.push(record.domain);
                }
            }
            Ok((events.iter().map(Option::as_deref).collect(), labels))
        })?;
        let training = || -> Result<_> {
            let all = parts.is_none();
            let part = parts.as_ref().map_or(&[][..], |parts| &parts[0]);
            Ok(select(self.open(files)?, part, all, emotions))
        };
        let (train, vocab) = match texts {
            Texts::Subwords(subwords) => {
                let train = FieldDataset::from_subwords(training()?, &subwords.tokenizer, None, storage);
                (train.map_err(|e| training_error(file, e))?, None)
            }
            Texts::Words(tokenizer) => {
                let (train, vocab) =
                    FieldDataset::build_in(training()?, tokenizer, &vocab_options(&config.text), storage)
                        .map_err(|e| training_error(file, e))?;
                match saved.filter(|saved| saved.fingerprint() != vocab.fingerprint()) {
                    None => (train, Some(vocab)),
                    // The weights belong to the saved vocabulary.
                    Some(saved) => {
                        let domains = train.domains();
                        let train =
                            FieldDataset::from_records_in(training()?, tokenizer, saved, domains, storage)?;
                        (train, Some(saved.clone()))
                    }
                }
            }
        };
        train.check_classes(classes.names()).map_err(|e| training_error(file, e))?;
        let rest = |others: &Option<DataFiles>, part: Option<&Vec<usize>>| -> Result<Option<FieldDataset>> {
            let records = match (others, part) {
                (Some(others), _) => select(self.open(others)?, &[], true, emotions),
                (None, Some(part)) if !part.is_empty() => select(self.open(files)?, part, false, emotions),
                _ => return Ok(None),
            };
            let domains = train.domains();
            Ok(Some(match (texts, &vocab) {
                (Texts::Words(tokenizer), Some(vocab)) => {
                    FieldDataset::from_records_in(records, tokenizer, vocab, domains, storage)?
                }
                (Texts::Words(_), None) => return Ok(None),
                (Texts::Subwords(subwords), _) => subwords.dataset(records, Some(domains), storage)?,
            }))
        };
        let valid = rest(&config.data.valid, parts.as_ref().map(|p| &p[1]))?;
        let test = match test_records {
            TestRecords::Include => rest(&config.data.test, parts.as_ref().map(|p| &p[2]))?,
            TestRecords::Exclude => None,
        };
        left_out.check_dropped(&config.data.drop_classes)?;
        Ok(Tokenized { train, valid, test, vocab, left_out: left_out.clone() })
    }

    /// Opens files; their records end when the reading is interrupted.
    fn open(
        &self,
        files: &DataFiles,
    ) -> Result<impl Iterator<Item = faknow_data::Result<Record>> + Send + use<'_>> {
        let records = FileRecords::open(files, &self.rules, Some(self.classes))?;
        let interrupt = self.interrupt;
        Ok(records.with_left_out(self.left_out).take_while(|_| !interrupt.is_requested()))
    }
}

/// Returns the options of the vocabulary.
pub(crate) fn vocab_options(config: &TextConfig) -> VocabOptions {
    VocabOptions { min_count: config.min_count, max_size: (config.max_vocab > 0).then_some(config.max_vocab) }
}

/// Returns the options of n-grams of the tokens of this tokenizer.
fn ngram_options(field: &NGramField, tokenizer: TokenizerKind) -> NGramOptions {
    let default_n = if tokenizer == TokenizerKind::Characters { 4 } else { 2 };
    NGramOptions { max_n: if field.max_n == 0 { default_n } else { field.max_n }, min_df: field.min_df }
}

/// Returns the records at the ascending positions `part`, or all, with computed emotion features.
fn select<'a>(
    records: impl Iterator<Item = faknow_data::Result<Record>> + Send + 'a,
    part: &'a [usize],
    all: bool,
    emotions: Option<&'a EmotionReader>,
) -> impl Iterator<Item = faknow_data::Result<Record>> + Send + 'a {
    let mut positions = part.iter().peekable();
    records.enumerate().filter_map(move |(position, record)| {
        let take = all || record.is_err() || positions.next_if(|&&next| next == position).is_some();
        take.then(|| {
            record.map(|mut record| {
                emotions.into_iter().for_each(|emotions| emotions.add_to(&mut record));
                record
            })
        })
    })
}
