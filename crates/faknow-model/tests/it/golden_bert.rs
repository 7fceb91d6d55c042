//! The small BERT inside golden cases, as plain operations: its output is the input of the models that are tested.

use serde_json::Value;
use tch::{Kind, Tensor};

use crate::golden::Tensors;

/// Returns the last hidden state `[n, len, size]` of the BERT whose weights start with `prefix`, such as `param.bert.`, for
/// token ids and attention mask `[n, len]`. Padding is computed, too.
pub(crate) fn last_hidden_state(
    tensors: &Tensors,
    prefix: &str,
    config: &Value,
    ids: &Tensor,
    mask: &Tensor,
    kind: Kind,
) -> Tensor {
    let int = |name: &str| config[name].as_i64().unwrap_or_else(|| panic!("bert: config `{name}`"));
    let eps = config["layer_norm_eps"].as_f64().unwrap();
    let weight = |name: &str| tensors[&format!("{prefix}{name}")].to_kind(kind);
    let linear = |x: &Tensor, name: &str| {
        x.linear(&weight(&format!("{name}.weight")), Some(&weight(&format!("{name}.bias"))))
    };
    let norm = |x: &Tensor, name: &str| {
        let (scale, shift) = (weight(&format!("{name}.weight")), weight(&format!("{name}.bias")));
        x.layer_norm([int("hidden_size")], Some(&scale), Some(&shift), eps, false)
    };
    let (n, len) = (ids.size()[0], ids.size()[1]);
    let heads = int("num_attention_heads");
    let size_per_head = int("hidden_size") / heads;
    let embedding = |name: &str| weight(&format!("embeddings.{name}_embeddings.weight"));
    let words = Tensor::embedding(&embedding("word"), ids, -1, false, false);
    let x = words + embedding("position").narrow(0, 0, len) + embedding("token_type").narrow(0, 0, 1);
    let mut x = norm(&x, "embeddings.LayerNorm");
    let is_padding = mask.to_kind(Kind::Double).eq(0.0).view([n, 1, 1, len]);
    for layer in 0..int("num_hidden_layers") {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let split = |part: &str| {
            linear(&x, &name(&format!("attention.self.{part}")))
                .view([n, len, heads, size_per_head])
                .transpose(1, 2)
        };
        let scores = split("query").matmul(&split("key").transpose(2, 3)) / (size_per_head as f64).sqrt();
        let weights = scores.masked_fill(&is_padding, f64::NEG_INFINITY).softmax(3, kind);
        let context = weights.matmul(&split("value")).transpose(1, 2).reshape([n, len, -1]);
        let attended = linear(&context, &name("attention.output.dense"));
        x = norm(&(x + attended), &name("attention.output.LayerNorm"));
        let inner = linear(&x, &name("intermediate.dense")).gelu("none");
        x = norm(&(linear(&inner, &name("output.dense")) + &x), &name("output.LayerNorm"));
    }
    x.detach()
}
