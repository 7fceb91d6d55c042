//! Reading of Hugging Face's `config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::activation::HiddenActivation;
use super::config::{Architecture, EncoderConfig};
use super::deberta::{DebertaConfig, RelativeConfig};
use super::modernbert::ModernBertConfig;
use crate::{Error, Result};

/// Name of the file in the directory of an encoder.
const FILE: &str = "config.json";

/// Creates the settings of an architecture.
type Reader = fn(&Json) -> Result<EncoderConfig>;

/// The supported values of `model_type`.
const MODEL_TYPES: [(&str, Reader); 7] = [
    ("bert", bert),
    ("roberta", roberta),
    ("xlm-roberta", roberta),
    ("camembert", roberta),
    ("distilbert", distilbert),
    ("deberta-v2", deberta),
    ("modernbert", modernbert),
];

impl EncoderConfig {
    /// Parses the `config.json` of a Hugging Face model; missing keys have the defaults of the library `transformers`.
    ///
    /// ```
    /// use faknow_model::encoder::EncoderConfig;
    ///
    /// let config = EncoderConfig::from_json(r#"{"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6}"#)?;
    /// assert_eq!((config.hidden_size, config.n_layers, config.n_heads), (384, 6, 12));
    /// # Ok::<(), faknow_model::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`]: the text is not a JSON object, the model type or a setting is not supported, or out of range.
    pub fn from_json(text: &str) -> Result<Self> {
        let json = match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Json(map),
            Ok(_) => return Err(Self::invalid(FILE, "a JSON object", "another value")),
            Err(error) => return Err(Self::invalid(FILE, "a JSON object", error)),
        };
        let model_type = json.text("model_type", "")?;
        let Some((_, read)) = MODEL_TYPES.iter().find(|(name, _)| *name == model_type) else {
            let names: Vec<String> = MODEL_TYPES.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(Self::invalid(
                "model_type",
                format!("one of {}", names.join(", ")),
                if model_type.is_empty() { "none".to_owned() } else { format!("`{model_type}`") },
            ));
        };
        let config = read(&json)?;
        config.check()?;
        Ok(config)
    }

    /// Reads the `config.json` in the directory of a Hugging Face model.
    ///
    /// # Errors
    /// The file cannot be read, or is invalid, see [`EncoderConfig::from_json`].
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
        Self::from_json(&text)
    }
}

fn bert(json: &Json) -> Result<EncoderConfig> {
    let default = EncoderConfig::bert(30522);
    json.expect("position_embedding_type", "absolute")?;
    Ok(EncoderConfig {
        vocab_size: json.int("vocab_size", default.vocab_size)?,
        hidden_size: json.int("hidden_size", default.hidden_size)?,
        n_layers: json.int("num_hidden_layers", default.n_layers)?,
        n_heads: json.int("num_attention_heads", default.n_heads)?,
        intermediate_size: json.int("intermediate_size", default.intermediate_size)?,
        n_positions: json.int("max_position_embeddings", default.n_positions)?,
        type_vocab_size: json.int("type_vocab_size", default.type_vocab_size)?,
        pad_id: json.int("pad_token_id", default.pad_id)?,
        layer_norm_eps: json.float("layer_norm_eps", default.layer_norm_eps)?,
        activation: json.activation("hidden_act", "gelu")?,
        dropout: json.float("hidden_dropout_prob", default.dropout)?,
        attention_dropout: json.float("attention_probs_dropout_prob", default.attention_dropout)?,
        initializer_range: json.float("initializer_range", default.initializer_range)?,
        pooler: true,
        ..default
    })
}

fn roberta(json: &Json) -> Result<EncoderConfig> {
    Ok(EncoderConfig {
        architecture: Architecture::Roberta,
        vocab_size: json.int("vocab_size", 50265)?,
        pad_id: json.int("pad_token_id", 1)?,
        ..bert(json)?
    })
}

fn distilbert(json: &Json) -> Result<EncoderConfig> {
    let default = EncoderConfig::bert(30522);
    Ok(EncoderConfig {
        architecture: Architecture::DistilBert,
        vocab_size: json.int("vocab_size", default.vocab_size)?,
        hidden_size: json.int("dim", default.hidden_size)?,
        n_layers: json.int("n_layers", 6)?,
        n_heads: json.int("n_heads", default.n_heads)?,
        intermediate_size: json.int("hidden_dim", default.intermediate_size)?,
        n_positions: json.int("max_position_embeddings", default.n_positions)?,
        type_vocab_size: 0,
        pad_id: json.int("pad_token_id", default.pad_id)?,
        activation: json.activation("activation", "gelu")?,
        dropout: json.float("dropout", default.dropout)?,
        attention_dropout: json.float("attention_dropout", default.attention_dropout)?,
        initializer_range: json.float("initializer_range", default.initializer_range)?,
        ..default
    })
}

fn deberta(json: &Json) -> Result<EncoderConfig> {
    let default = bert(json)?;
    let n_positions = default.n_positions;
    let relative = json.bool("relative_attention", false)?.then(|| -> Result<_> {
        let kinds = json.parts("pos_att_type", "")?;
        let max = json.int("max_relative_positions", -1)?;
        Ok(RelativeConfig {
            n_buckets: json.int("position_buckets", -1)?.max(0),
            max_distance: if max < 1 { n_positions } else { max },
            is_normalized: json.parts("norm_rel_ebd", "none")?.iter().any(|part| part == "layer_norm"),
            shares_projections: json.bool("share_att_key", false)?,
            content_to_position: kinds.iter().any(|kind| kind == "c2p"),
            position_to_content: kinds.iter().any(|kind| kind == "p2c"),
        })
    });
    let kernel_size = json.int("conv_kernel_size", 0)?;
    let convolution = match kernel_size {
        ..=0 => None,
        _ => Some((kernel_size, json.int("conv_groups", 1)?, json.activation("conv_act", "tanh")?)),
    };
    let deberta = DebertaConfig {
        embedding_size: json.int("embedding_size", json.int("hidden_size", 1536)?)?,
        has_absolute_positions: json.bool("position_biased_input", true)?,
        relative: relative.transpose()?,
        convolution,
    };
    Ok(EncoderConfig {
        architecture: Architecture::DebertaV2(deberta),
        vocab_size: json.int("vocab_size", 128_100)?,
        hidden_size: json.int("hidden_size", 1536)?,
        n_layers: json.int("num_hidden_layers", 24)?,
        n_heads: json.int("num_attention_heads", 24)?,
        intermediate_size: json.int("intermediate_size", 6144)?,
        type_vocab_size: json.int("type_vocab_size", 0)?,
        layer_norm_eps: json.float("layer_norm_eps", 1e-7)?,
        pooler: false,
        ..default
    })
}

fn modernbert(json: &Json) -> Result<EncoderConfig> {
    let global_theta = json.float("global_rope_theta", 160_000.0)?;
    let modern = ModernBertConfig {
        global_every: json.int("global_attn_every_n_layers", 3)?,
        local_window: json.int("local_attention", 128)?,
        global_theta,
        local_theta: json
            .float("local_rope_theta", if json.has("local_rope_theta") { global_theta } else { 10_000.0 })?,
        norm_bias: json.bool("norm_bias", false)?,
        attention_bias: json.bool("attention_bias", false)?,
        mlp_bias: json.bool("mlp_bias", false)?,
        embedding_dropout: json.float("embedding_dropout", 0.0)?,
    };
    Ok(EncoderConfig {
        architecture: Architecture::ModernBert(modern),
        vocab_size: json.int("vocab_size", 50_368)?,
        hidden_size: json.int("hidden_size", 768)?,
        n_layers: json.int("num_hidden_layers", 22)?,
        n_heads: json.int("num_attention_heads", 12)?,
        intermediate_size: json.int("intermediate_size", 1152)?,
        n_positions: json.int("max_position_embeddings", 8192)?,
        type_vocab_size: 0,
        pad_id: json.int("pad_token_id", 50_283)?,
        layer_norm_eps: json.float("norm_eps", 1e-5)?,
        activation: json.activation("hidden_activation", "gelu")?,
        dropout: json.float("mlp_dropout", 0.0)?,
        attention_dropout: json.float("attention_dropout", 0.0)?,
        initializer_range: json.float("initializer_range", 0.02)?,
        ..EncoderConfig::bert(1)
    })
}

/// The keys of the file. A key that is missing or null has its default.
struct Json(Map<String, Value>);

impl Json {
    fn int(&self, key: &'static str, default: i64) -> Result<i64> {
        self.value(key, default, "an integer", Value::as_i64)
    }

    fn float(&self, key: &'static str, default: f64) -> Result<f64> {
        self.value(key, default, "a number", Value::as_f64)
    }

    fn text(&self, key: &'static str, default: &str) -> Result<String> {
        self.value(key, default.to_owned(), "a text", |value| value.as_str().map(str::to_owned))
    }

    fn bool(&self, key: &'static str, default: bool) -> Result<bool> {
        self.value(key, default, "true or false", Value::as_bool)
    }

    /// Returns whether the key is present, also with the value null.
    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns a list of texts, or the parts of a text separated by `|`, in lowercase.
    fn parts(&self, key: &'static str, default: &str) -> Result<Vec<String>> {
        let default = vec![default.to_owned()];
        let parts = self.value(key, default, "a text or a list of texts", |value| match value {
            Value::String(text) => Some(text.split('|').map(str::to_owned).collect()),
            Value::Array(parts) => parts.iter().map(|part| Some(part.as_str()?.to_owned())).collect(),
            _ => None,
        })?;
        Ok(parts.iter().map(|part| part.trim().to_lowercase()).collect())
    }

    fn activation(&self, key: &'static str, default: &str) -> Result<HiddenActivation> {
        HiddenActivation::from_name(key, &self.text(key, default)?)
    }

    /// Checks that a key has the only supported value, if it is present.
    fn expect(&self, key: &'static str, expected: &str) -> Result<()> {
        let got = self.text(key, expected)?;
        if got == expected {
            return Ok(());
        }
        Err(EncoderConfig::invalid(key, format!("`{expected}`"), format!("`{got}`")))
    }

    fn value<T>(
        &self,
        key: &'static str,
        default: T,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<T> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => convert(value).ok_or_else(|| EncoderConfig::invalid(key, expected, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(json: &str, expected: &str) {
        let error = EncoderConfig::from_json(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn rejects_what_is_not_supported_by_name() {
        check_error("[1]", "`config.json`: expected a JSON object");
        check_error("{", "`config.json`: expected a JSON object, got EOF");
        check_error(r#"{"hidden_size": 4}"#, "`model_type`: expected one of `bert`, `roberta`");
        check_error(r#"{"model_type": "t5"}"#, "got `t5`");
        check_error(
            r#"{"model_type": "bert", "hidden_act": "mish"}"#,
            "`hidden_act`: expected one of `gelu`",
        );
        check_error(r#"{"model_type": "bert", "hidden_size": "x"}"#, "`hidden_size`: expected an integer");
        check_error(
            r#"{"model_type": "bert", "hidden_size": 10}"#,
            "a multiple of the number of attention heads",
        );
        check_error(r#"{"model_type": "bert", "hidden_dropout_prob": 1.0}"#, "`dropout`: expected from 0");
        check_error(
            r#"{"model_type": "bert", "position_embedding_type": "relative_key"}"#,
            "`position_embedding_type`: expected `absolute`, got `relative_key`",
        );
        check_error(
            r#"{"model_type": "roberta", "max_position_embeddings": 2}"#,
            "`n_positions`: expected at least 3",
        );
    }

    #[test]
    fn missing_keys_have_defaults() {
        let config =
            EncoderConfig::from_json(r#"{"model_type": "roberta", "classifier_dropout": null}"#).unwrap();
        assert_eq!((config.vocab_size, config.pad_id, config.max_len()), (50265, 1, 510));
        let config = EncoderConfig::from_json(r#"{"model_type": "distilbert"}"#).unwrap();
        assert_eq!((config.n_layers, config.type_vocab_size, config.pooler), (6, 0, false));
    }
}
