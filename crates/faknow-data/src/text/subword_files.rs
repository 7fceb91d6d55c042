//! Loading of tokenizers in the formats of Hugging Face directories.

use std::fs;
use std::path::{Path, PathBuf};

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer};

use super::sentencepiece::{Layout, Options, SentencePieceModel};
use super::tokenizer_settings::{SpecialTokens, TokenizerSettings, read_json};
use crate::{Error, Result};

/// Names of models of SentencePiece, the preferred first; other files with the extension `model` are found as well.
const SENTENCEPIECE_FILES: [&str; 5] =
    ["sentencepiece.bpe.model", "spm.model", "spiece.model", "sentencepiece.model", "tokenizer.model"];

/// Loads the tokenizer of a directory.
pub(super) fn load(dir: &Path, settings: &TokenizerSettings) -> Result<Tokenizer> {
    let [json, words, vocab, merges] =
        ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"].map(|name| dir.join(name));
    let (file, tokenizer) = if json.is_file() {
        let bytes = read(&json)?;
        (json, Tokenizer::from_bytes(bytes).and_then(|it| with_settings(it, settings)))
    } else if words.is_file() {
        let text = read_text(&words)?;
        (words, word_piece(&text, settings))
    } else if vocab.is_file() && merges.is_file() {
        let tokenizer = byte_level(&vocab, &merges, settings)?;
        (merges, tokenizer)
    } else if let Some(model) = sentencepiece_file(dir)? {
        let bytes = read(&model)?;
        (model, sentencepiece(&bytes, settings))
    } else {
        return Err(missing_tokenizer(dir));
    };
    let error = |error: tokenizers::Error| Error::file(&file, format!("invalid tokenizer: {error}"));
    with_added_tokens(tokenizer.map_err(error)?, dir)
}

/// Replaces the settings of BERT's normalizer in `tokenizer.json` by those of `tokenizer_config.json`, as `transformers` does.
fn with_settings(mut tokenizer: Tokenizer, settings: &TokenizerSettings) -> tokenizers::Result<Tokenizer> {
    if let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() {
        let old = *normalizer;
        let new = BertNormalizer::new(
            old.clean_text,
            settings.flag("tokenize_chinese_chars").unwrap_or(old.handle_chinese_chars),
            settings.flag("strip_accents").or(old.strip_accents),
            settings.flag("do_lower_case").unwrap_or(old.lowercase),
        );
        tokenizer.with_normalizer(Some(new))?;
    }
    Ok(tokenizer)
}

/// Creates BERT's tokenizer from the lines of `vocab.txt`.
fn word_piece(vocab: &str, settings: &TokenizerSettings) -> tokenizers::Result<Tokenizer> {
    let vocab: Vocab = vocab.lines().map(str::to_owned).zip(0..).collect();
    let special = settings.special_tokens(|token| vocab.contains_key(token));
    let unknown = special.unknown.clone().ok_or("the vocabulary has no token for unknown words: `[UNK]`")?;
    let mut tokenizer = Tokenizer::new(WordPiece::builder().vocab(vocab).unk_token(unknown).build()?);
    tokenizer.with_normalizer(Some(BertNormalizer::new(
        true,
        settings.flag("tokenize_chinese_chars").unwrap_or(true),
        settings.flag("strip_accents"),
        settings.flag("do_lower_case").unwrap_or(true),
    )))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    with_special_tokens(tokenizer, &special, false, |cls, sep| BertProcessing::new(sep, cls).into())
}

/// Creates RoBERTa's tokenizer, BPE of bytes, from `vocab.json` and `merges.txt`.
fn byte_level(
    vocab_file: &Path,
    merges_file: &Path,
    settings: &TokenizerSettings,
) -> Result<tokenizers::Result<Tokenizer>> {
    let vocab: std::collections::HashMap<String, u32> = serde_json::from_slice(&read(vocab_file)?)
        .map_err(|error| Error::file(vocab_file, format!("expected tokens with their ids: {error}")))?;
    let vocab: Vocab = vocab.into_iter().collect();
    let text = read_text(merges_file)?;
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    let merges = lines.map(|(index, line)| match line.split_once(' ') {
        Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
        None => Err(Error::line(merges_file, index + 1, "expected two tokens separated by a space")),
    });
    let merges = merges.collect::<Result<Merges>>()?;
    let prefix_space = settings.flag("add_prefix_space").unwrap_or(false);
    let special = settings.special_tokens(|token| vocab.contains_key(token));
    Ok(BPE::builder().vocab_and_merges(vocab, merges).build().and_then(|model| {
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(prefix_space, true, true)));
        with_special_tokens(tokenizer, &special, true, |cls, sep| {
            RobertaProcessing::new(sep, cls).add_prefix_space(prefix_space).into()
        })
    }))
}

/// Creates the tokenizer of XLM-R or DeBERTa from a model of SentencePiece.
fn sentencepiece(bytes: &[u8], settings: &TokenizerSettings) -> tokenizers::Result<Tokenizer> {
    let model = SentencePieceModel::parse(bytes)?;
    let layout = match settings.model_type() {
        Some("deberta-v2") => Layout::Deberta,
        Some("xlm-roberta" | "xlm-roberta-xl") => Layout::XlmRoberta,
        None if model.contains("[CLS]") => Layout::Deberta,
        None => Layout::XlmRoberta,
        Some(other) => {
            let expected =
                "expected an encoder of type `xlm-roberta` or `deberta-v2`, or a file `tokenizer.json`";
            return Err(format!("{expected}; the type in config.json is `{other}`").into());
        }
    };
    let options = Options {
        lowercase: settings.flag("do_lower_case").unwrap_or(false),
        split_punctuation: settings.flag("split_by_punct").unwrap_or(false),
    };
    let mut tokenizer = model.to_tokenizer(layout, options)?;
    let user_defined = model.user_defined().map(|token| AddedToken::from(token, false).normalized(false));
    tokenizer.add_tokens(user_defined.collect::<Vec<_>>())?;
    if layout == Layout::Deberta {
        tokenizer.add_special_tokens([AddedToken::from("[MASK]", true)])?;
    }
    let special = settings.special_tokens(|token| tokenizer.token_to_id(token).is_some());
    let has_left_strip = layout == Layout::XlmRoberta;
    with_special_tokens(tokenizer, &special, has_left_strip, |cls, sep| BertProcessing::new(sep, cls).into())
}

/// Adds the special tokens, and those at the start and end of each text. `strip_mask`: the mask includes the space before it.
fn with_special_tokens(
    mut tokenizer: Tokenizer,
    special: &SpecialTokens,
    strip_mask: bool,
    processor: impl Fn((String, u32), (String, u32)) -> PostProcessorWrapper,
) -> tokenizers::Result<Tokenizer> {
    let tokens = [&special.cls, &special.sep, &special.padding, &special.unknown].into_iter().flatten();
    let mask = special.mask.iter().map(|mask| AddedToken::from(mask, true).lstrip(strip_mask));
    let tokens = tokens.map(|token| AddedToken::from(token, true)).chain(mask);
    tokenizer.add_special_tokens(tokens.collect::<Vec<_>>())?;
    let id = |token: &Option<String>, name: &str| {
        let token = token.clone().ok_or_else(|| format!("the vocabulary has no token for {name}"))?;
        let id =
            tokenizer.token_to_id(&token).ok_or_else(|| format!("the vocabulary has no token `{token}`"))?;
        Ok::<_, tokenizers::Error>((token, id))
    };
    let cls = id(&special.cls, "the start of texts (`[CLS]` or `<s>`)")?;
    let sep = id(&special.sep, "the end of texts (`[SEP]` or `</s>`)")?;
    tokenizer.with_post_processor(Some(processor(cls, sep)));
    Ok(tokenizer)
}

/// Adds the tokens of `added_tokens.json`.
fn with_added_tokens(mut tokenizer: Tokenizer, dir: &Path) -> Result<Tokenizer> {
    let path = dir.join("added_tokens.json");
    let Some(serde_json::Value::Object(added)) = read_json(&path)? else { return Ok(tokenizer) };
    let mut added: Vec<(u64, &String)> =
        added.iter().filter_map(|(token, id)| Some((id.as_u64()?, token))).collect();
    added.sort_unstable();
    for (id, token) in added {
        if tokenizer.token_to_id(token).is_none() {
            let added = tokenizer.add_tokens([AddedToken::from(token, false)]);
            added.map_err(|error| Error::file(&path, error.to_string()))?;
        }
        let got = tokenizer.token_to_id(token).map(u64::from);
        if got != Some(id) {
            let message = format!("token `{token}`: expected the id {id}, the tokenizer assigns {got:?}");
            return Err(Error::file(&path, message));
        }
    }
    Ok(tokenizer)
}

/// Returns the model of SentencePiece in a directory, if there is one.
fn sentencepiece_file(dir: &Path) -> Result<Option<PathBuf>> {
    if let Some(path) = SENTENCEPIECE_FILES.iter().map(|name| dir.join(name)).find(|path| path.is_file()) {
        return Ok(Some(path));
    }
    let mut others: Vec<PathBuf> = file_names(dir)?.into_iter().map(|name| dir.join(name)).collect();
    others.retain(|path| path.extension().is_some_and(|extension| extension == "model") && path.is_file());
    Ok(others.into_iter().next())
}

/// Returns the names of the files in a directory, sorted.
fn file_names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

fn missing_tokenizer(dir: &Path) -> Error {
    let found = match file_names(dir).unwrap_or_default() {
        names if names.is_empty() => "no files".to_owned(),
        names => names.join(", "),
    };
    let formats = "tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model (*.model)";
    Error::file(
        dir,
        format!(
            "the encoder has no tokenizer: expected {formats}, got {found}; {}",
            super::subword::ENCODER_HELP
        ),
    )
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(path, error))
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::file(path, "expected UTF-8"))
}
