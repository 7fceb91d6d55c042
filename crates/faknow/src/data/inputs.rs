//! How records become what a model reads: saved with a run, so that it can predict.

use std::path::Path;

use faknow_data::graph::TfIdf;
use faknow_data::text::{Tokenizer, TokenizerConfig, Vocab};
use faknow_data::{FieldDataset, Record};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::detector::{read_json, write_json};
use crate::models::registry::Reads;

const VOCAB: &str = "vocab.txt";
const TOKENIZER: &str = "tokenizer.json";
const FEATURES: &str = "features.json";

/// How texts become numbers.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) vocab: Vocab,
    pub(crate) tokenizer: Tokenizer,
}

impl Words {
    /// Records as a model sees them that wants a padding of `extra_padding`; domains are left out.
    pub(crate) fn dataset<I>(&self, records: I, extra_padding: usize) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let data = FieldDataset::from_records(records, &self.tokenizer, &self.vocab, &[])?;
        Ok(data.with_extra_padding(extra_padding))
    }
}

/// How records become what a model reads.
#[derive(Debug)]
pub(crate) enum Inputs {
    Texts(Words),
    Trees {
        /// Features of a node.
        n_features: usize,
        /// How the nodes' texts become features, if they have texts.
        words: Option<Words>,
        /// How the features are weighed, if they are.
        tf_idf: Option<TfIdf>,
    },
}

#[derive(Serialize, Deserialize)]
struct Features {
    n_features: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tf_idf: Option<TfIdf>,
}

impl Inputs {
    /// The file of a run folder that is missing, if there is one.
    pub(crate) fn missing(run: &Path, reads: Reads) -> Option<&'static str> {
        let needed: &[&'static str] = match reads {
            Reads::Texts => &[VOCAB, TOKENIZER],
            Reads::Trees => &[FEATURES],
        };
        needed.iter().copied().find(|name| !run.join(name).exists())
    }

    pub(crate) fn load(run: &Path, reads: Reads) -> Result<Self> {
        let words = || -> Result<Words> {
            let tokenizer: TokenizerConfig = read_json(&run.join(TOKENIZER))?;
            Ok(Words { vocab: Vocab::load(run.join(VOCAB))?, tokenizer: Tokenizer::new(tokenizer)? })
        };
        Ok(match reads {
            Reads::Texts => Self::Texts(words()?),
            Reads::Trees => {
                let Features { n_features, tf_idf } = read_json(&run.join(FEATURES))?;
                let words = run.join(VOCAB).exists().then(words).transpose()?;
                Self::Trees { n_features, words, tf_idf }
            }
        })
    }

    pub(crate) fn save(&self, run: &Path) -> Result<()> {
        if let Self::Trees { n_features, tf_idf, .. } = self {
            let features = Features { n_features: *n_features, tf_idf: tf_idf.clone() };
            write_json(&run.join(FEATURES), &features)?;
        }
        match self.words() {
            Some(words) => {
                words.vocab.save(run.join(VOCAB))?;
                write_json(&run.join(TOKENIZER), words.tokenizer.config())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn words(&self) -> Option<&Words> {
        match self {
            Self::Texts(words) => Some(words),
            Self::Trees { words, .. } => words.as_ref(),
        }
    }

    /// Words of the vocabulary, or features of a node.
    pub(crate) fn n_inputs(&self) -> usize {
        match self {
            Self::Texts(words) => words.vocab.len(),
            Self::Trees { n_features, .. } => *n_features,
        }
    }
}
