//! From texts to token numbers: tokenizers, vocabularies, pretrained word vectors.

mod ascii;
mod embeddings;
mod interner;
mod normalize;
pub mod stop_words;
mod tokenize;
mod vocab;

pub use embeddings::{Vectors, load_vectors};
pub use tokenize::{Tokenizer, TokenizerConfig, TokenizerKind};
pub use vocab::{PADDING, UNKNOWN, Vocab, VocabBuilder, VocabOptions};

pub(crate) use interner::Interner;
