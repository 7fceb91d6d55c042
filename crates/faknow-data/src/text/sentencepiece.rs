//! Models of SentencePiece, converted to tokenizers.

use prost::Message;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Precompiled, Replace, Sequence, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{ModelWrapper, SplitDelimiterBehavior, Tokenizer};

/// The character that SentencePiece writes for a space.
const SPACE: char = '\u{2581}';

/// How an encoder numbers the pieces of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// XLM-R: `<s>`, `<pad>`, `</s>` and `<unk>`, the pieces of the model from the fourth on, `<mask>`.
    XlmRoberta,
    /// DeBERTa: the pieces of the model, among which `[PAD]`, `[CLS]`, `[SEP]` and `[UNK]` are, and `[MASK]` if it is not.
    Deberta,
}

/// Settings of the tokenizer besides the model.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) lowercase: bool,
    pub(super) split_punctuation: bool,
}

/// A model file of SentencePiece: the fields that determine its tokens.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SentencePieceModel {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    /// One of the constants of [`kind`].
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    /// 1: unigram, 2: BPE, 3: words, 4: characters.
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
}

/// Kinds of pieces.
mod kind {
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const USER_DEFINED: i32 = 4;
}

impl SentencePieceModel {
    /// Reads a model file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let model = Self::decode(bytes).map_err(|error| error.to_string())?;
        if model.pieces.is_empty() { Err("the model has no pieces".to_owned()) } else { Ok(model) }
    }

    /// Returns whether the model contains a piece.
    pub(super) fn contains(&self, piece: &str) -> bool {
        self.pieces.iter().any(|it| it.piece() == piece)
    }

    /// Returns the pieces that occur in texts as they are.
    pub(super) fn user_defined(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter(|piece| piece.kind() == kind::USER_DEFINED).map(Piece::piece)
    }

    /// Converts the model to a tokenizer without special tokens.
    pub(super) fn to_tokenizer(&self, layout: Layout, options: Options) -> tokenizers::Result<Tokenizer> {
        let (vocab, unknown) = self.vocab(layout);
        let trainer = self.trainer.clone().unwrap_or_default();
        let byte_fallback = trainer.byte_fallback();
        let model: ModelWrapper = match trainer.model_type.unwrap_or(1) {
            1 => Unigram::from(vocab, unknown, byte_fallback)?.into(),
            2 => {
                let unknown_piece = unknown.map_or_else(|| "<unk>".to_owned(), |id| vocab[id].0.clone());
                let merges = merges(&vocab);
                let vocab: Vocab = vocab.into_iter().zip(0..).map(|((piece, _), id)| (piece, id)).collect();
                let builder = BPE::builder().vocab_and_merges(vocab, merges).unk_token(unknown_piece);
                builder.fuse_unk(true).byte_fallback(byte_fallback).build()?.into()
            }
            other => {
                return Err(format!("expected a unigram (1) or BPE (2) model, got model type {other}").into());
            }
        };
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_normalizer(Some(self.normalizers(layout, options)?))?;
        tokenizer.with_pre_tokenizer(Some(self.pre_tokenizer(options)));
        Ok(tokenizer)
    }

    /// Returns the pieces in the order of their ids, and the id of the unknown one.
    fn vocab(&self, layout: Layout) -> (Vec<(String, f64)>, Option<usize>) {
        let pieces = self.pieces.iter().map(|piece| (piece.piece().to_owned(), f64::from(piece.score())));
        match layout {
            Layout::XlmRoberta => {
                let special = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| (token.to_owned(), 0.0));
                let mask = ("<mask>".to_owned(), 0.0);
                (special.into_iter().chain(pieces.skip(3)).chain([mask]).collect(), Some(3))
            }
            Layout::Deberta => {
                let unknown = self.pieces.iter().position(|piece| piece.kind() == kind::UNKNOWN);
                (pieces.collect(), unknown)
            }
        }
    }

    fn normalizers(&self, layout: Layout, options: Options) -> tokenizers::Result<NormalizerWrapper> {
        let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
        if options.lowercase {
            normalizers.push(Lowercase.into());
        }
        let spaces = || ReplacePattern::Regex(" {2,}".to_owned());
        let spec = self.normalizer.clone().unwrap_or_default();
        let charsmap = match spec.precompiled_charsmap() {
            [] => None,
            charsmap => Some(NormalizerWrapper::from(Precompiled::from(charsmap)?)),
        };
        match layout {
            Layout::XlmRoberta => {
                normalizers.extend(charsmap);
                normalizers.push(Strip::new(false, true).into());
                normalizers.push(Replace::new(spaces(), SPACE)?.into());
            }
            Layout::Deberta => {
                normalizers.push(Strip::new(true, true).into());
                normalizers.extend(charsmap);
                normalizers.push(Replace::new(spaces(), " ")?.into());
            }
        }
        Ok(Sequence::new(normalizers).into())
    }

    fn pre_tokenizer(&self, options: Options) -> PreTokenizerWrapper {
        let has_prefix = self.normalizer.as_ref().and_then(|spec| spec.add_dummy_prefix).unwrap_or(true);
        let prefix = if has_prefix { PrependScheme::Always } else { PrependScheme::Never };
        let metaspace = Metaspace::new(SPACE, prefix, true);
        if !options.split_punctuation {
            return metaspace.into();
        }
        let punctuation = Punctuation::new(SplitDelimiterBehavior::Isolated);
        PreTokenizers::new(vec![punctuation.into(), metaspace.into()]).into()
    }
}

/// Returns the merges of a BPE model: each piece from each pair of pieces, those of high scores first.
fn merges(vocab: &[(String, f64)]) -> Merges {
    let ids: std::collections::HashMap<&str, usize> =
        vocab.iter().enumerate().map(|(id, (piece, _))| (piece.as_str(), id)).collect();
    let mut merges = Vec::new();
    for (piece, score) in vocab {
        let splits = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let mut pairs: Vec<_> = splits
            .filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?, left, right)))
            .collect();
        pairs.sort_unstable();
        merges.extend(pairs.into_iter().map(|(_, _, left, right)| (*score, left, right)));
    }
    let n_chars = |text: &str| text.chars().count();
    // Stable, so that pairs of one piece stay in the order of their ids.
    merges.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then(n_chars(b.1).cmp(&n_chars(a.1))).then(n_chars(b.2).cmp(&n_chars(a.2)))
    });
    merges.into_iter().map(|(_, left, right)| (left.to_owned(), right.to_owned())).collect()
}
