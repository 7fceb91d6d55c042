//! Tokenizers, vocabularies and pretrained word vectors.

mod ascii;
mod column_writer;
mod embeddings;
mod encoded;
mod encoded_store;
mod fasttext;
mod interner;
mod ngram_column;
mod ngram_encoder;
mod ngrams;
#[cfg(not(feature = "subwords"))]
mod no_subwords;
mod normalize;
#[cfg(feature = "subwords")]
mod sentencepiece;
pub mod stop_words;
mod subword;
mod subword_column;
#[cfg(feature = "subwords")]
mod subword_files;
#[cfg(feature = "subwords")]
mod subword_tokenizer;
mod subwords;
mod text_fields;
mod token_column;
mod tokenize;
#[cfg(feature = "subwords")]
mod tokenizer_settings;
mod tokens;
mod unicode;
mod vector_binary;
mod vector_builder;
mod vector_text;
mod vocab;
mod word_column;
mod words;

pub use embeddings::{WordVectors, load_vectors, read_vectors};
pub use encoded::Encoded;
pub use encoded_store::{EncodedStore, EncodedWriter};
pub use ngram_encoder::{NGramEncoder, NGramMatch, NGramOptions};
pub use ngrams::NGrams;
#[cfg(not(feature = "subwords"))]
pub use no_subwords::SubwordTokenizer;
pub use subword::{ENCODER_HELP, Subword};
#[cfg(feature = "subwords")]
pub use subword_tokenizer::SubwordTokenizer;
pub use subwords::Subwords;
pub use text_fields::TextFields;
pub use tokenize::{Tokenizer, TokenizerConfig, TokenizerKind, is_blank};
pub use tokens::TokenStorage;
pub use vocab::{PADDING, UNKNOWN, Vocab, VocabBuilder, VocabOptions};
pub use words::Words;

pub(crate) use encoded_store::{EncodedColumn, TextKey};
pub(crate) use interner::Interner;
pub(crate) use ngram_column::NGramColumn;
pub(crate) use ngram_encoder::SEPARATOR as NGRAM_SEPARATOR;
pub(crate) use subword_column::{SubwordColumn, SubwordIds};
pub(crate) use token_column::TokenColumn;
pub(crate) use tokens::Tokens;
pub(crate) use word_column::{Padding, WordColumn};
