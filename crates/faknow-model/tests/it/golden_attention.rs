//! MCAN, HMCAN and MFAN: golden cases of their layers, and of MCAN on the features of an image encoder.

use faknow_data::text::Subwords;
use faknow_model::content::{
    CoAttention, CoAttentionSizes, ContextualSizes, ContextualTransformer, McanHead, ModalitySizes,
    ModalityTokens,
};
use faknow_model::encoder::{Encoder, EncoderConfig, Pooling};
use faknow_model::layers::{
    DctCnn, ResidualAttention, ResidualAttentionSizes, SignedAttention, SignedAttentionSettings, SignedGat,
    SignedGatSettings, join_adjacency,
};
use faknow_model::{Loss, McanConfig, Output, loss};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::golden::{Tensors, load_parameters, mode};

fn int(config: &Value, name: &str) -> i64 {
    config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"))
}

fn float(config: &Value, name: &str) -> f64 {
    config[name].as_f64().unwrap_or_else(|| panic!("config `{name}`"))
}

fn ints(config: &Value, name: &str) -> Vec<i64> {
    serde_json::from_value(config[name].clone()).unwrap_or_else(|e| panic!("config `{name}`: {e}"))
}

/// Returns the floating inputs in the kind of the parameters.
fn input(vars: &VarStore, inputs: &Tensors) -> impl Fn(&str) -> Tensor {
    let kind = vars.root().kind();
    move |name| inputs[name].to_kind(kind)
}

fn squares(logits: Tensor) -> Output {
    let total = logits.square().sum(logits.kind());
    Output { logits, loss: Some(Loss::single(total)) }
}

pub(crate) fn run_co_attention(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let sizes = CoAttentionSizes {
        size: int(config, "model_dim"),
        n_heads: int(config, "num_heads"),
        ffn_size: int(config, "ffn_dim"),
        dropout: float(config, "dropout"),
        faithful: true,
    };
    let layer = CoAttention::new(&vars.root(), sizes).unwrap();
    load_parameters(vars, inputs);
    let input = input(vars, inputs);
    squares(layer.forward(&input("in.image"), &input("in.text"), mode(case)).unwrap())
}

/// Returns the config of MCAN with the frequency branch of a case.
fn dct_config(config: &Value, kernel_sizes: Vec<i64>, dropout: f64) -> McanConfig {
    McanConfig {
        dropout,
        feature_dropout: dropout,
        dct_kernel_sizes: kernel_sizes,
        dct_channels: ints(config, "num_channels"),
        dct_branch1_channels: ints(config, "branch1_channels"),
        dct_branch2_channels: ints(config, "branch2_channels"),
        dct_branch3_channels: ints(config, "branch3_channels"),
        dct_branch4_channels: ints(config, "branch4_channels"),
        dct_out_channels: int(config, "out_channels"),
        ..McanConfig::default()
    }
}

pub(crate) fn run_dct_cnn(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    assert_eq!(ints(config, "num_channels").last(), Some(&int(config, "in_channel")));
    let config = dct_config(config, ints(config, "kernel_sizes"), float(config, "dropout"));
    let layer = DctCnn::new(&vars.root(), config.dct_sizes()).unwrap();
    load_parameters(vars, inputs);
    let features = layer.forward(&input(vars, inputs)("in.dct"), mode(case)).unwrap();
    let total = features.square().mean(features.kind());
    Output { logits: features, loss: Some(Loss::single(total)) }
}

pub(crate) fn run_mcan(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let bert = &config["bert"];
    let encoder_config = EncoderConfig {
        hidden_size: int(bert, "hidden_size"),
        n_layers: int(bert, "num_hidden_layers"),
        n_heads: int(bert, "num_attention_heads"),
        intermediate_size: int(bert, "intermediate_size"),
        n_positions: int(bert, "max_position_embeddings"),
        type_vocab_size: int(bert, "type_vocab_size"),
        layer_norm_eps: float(bert, "layer_norm_eps"),
        pooler: true,
        ..EncoderConfig::bert(int(bert, "vocab_size"))
    };
    let encoder = Encoder::new(&(vars.root() / "bert"), &encoder_config).unwrap();
    let parts = config["drop_and_bn"].as_str().unwrap();
    let dropout = float(config, "dropout");
    let mcan = McanConfig {
        model_size: int(config, "model_dim"),
        n_heads: int(config, "num_heads"),
        ffn_size: int(config, "ffn_dim"),
        n_layers: int(config, "num_layers"),
        batch_norm: parts.contains("bn"),
        feature_dropout: if parts.contains("drop") { dropout } else { 0.0 },
        faithful: true,
        ..dct_config(&config["dct"], ints(config, "kernel_sizes"), dropout)
    };
    let sizes = ModalitySizes {
        text: Some(encoder_config.hidden_size),
        image: Some(inputs["in.image_features"].size()[1]),
    };
    let head = McanHead::new(&vars.root(), &mcan, sizes, 2).unwrap();
    load_parameters(vars, inputs);
    let (input, mode) = (input(vars, inputs), mode(case));
    let lengths = inputs["in.mask"].sum_dim_intlist([1].as_slice(), false, Kind::Int64);
    let subwords = Subwords::new(inputs["in.token_id"].shallow_clone(), lengths).unwrap();
    let first = encoder.encode(&subwords, mode).unwrap().pool(Pooling::Cls).unwrap();
    let text = head.text(&encoder.pool(&first).unwrap(), mode).unwrap();
    let image = head.image(&input("in.image_features"), mode).unwrap();
    let frequencies = head.frequencies(&input("in.dct"), mode).unwrap();
    let logits = head.logits(&text, &image, &frequencies, mode).unwrap();
    let total = loss::cross_entropy(&logits, &inputs["in.label"]).unwrap();
    Output { logits, loss: Some(Loss::single(total)) }
}

pub(crate) fn run_contextual_transformer(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let sizes = ContextualSizes {
        size: int(config, "feature_dim"),
        n_layers: [int(config, "left_num_layers"), int(config, "right_num_layers")],
        n_heads: [int(config, "left_num_heads"), int(config, "right_num_heads")],
        key_size: int(config, "key_size_per_head"),
        dropout: float(config, "dropout"),
        faithful: true,
    };
    let layer = ContextualTransformer::new(&vars.root(), sizes).unwrap();
    load_parameters(vars, inputs);
    let input = input(vars, inputs);
    let tokens = |name: &str| {
        let vectors = input(name);
        let mask = Tensor::ones([vectors.size()[0], vectors.size()[1]], (Kind::Bool, vectors.device()));
        ModalityTokens { vectors, mask }
    };
    squares(layer.forward(&tokens("in.left"), &tokens("in.right"), mode(case)).unwrap())
}

pub(crate) fn run_residual_attention(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let sizes = ResidualAttentionSizes {
        size: int(config, "input_size"),
        n_heads: int(config, "head_num"),
        key_size: int(config, "key_size"),
        value_size: int(config, "value_size"),
        dropout: float(config, "dropout"),
    };
    let layer = ResidualAttention::new(&vars.root(), sizes).unwrap();
    load_parameters(vars, inputs);
    let input = input(vars, inputs);
    squares(layer.forward(&input("in.q"), &input("in.k"), mode(case)).unwrap())
}

pub(crate) fn run_signed_attention(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let settings = SignedAttentionSettings {
        negative_slope: float(config, "alpha"),
        dropout: float(config, "dropout"),
        has_elu: config["concat"].as_bool().unwrap(),
    };
    let sizes = [int(config, "in_features"), int(config, "out_features")];
    let layer = SignedAttention::new(&vars.root(), sizes, settings).unwrap();
    load_parameters(vars, inputs);
    let adjacency = inputs["in.adj"].gt(0);
    squares(layer.forward(&input(vars, inputs)("in.x"), &adjacency, mode(case)).unwrap())
}

pub(crate) fn run_signed_gat(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let settings = SignedGatSettings {
        n_out: int(config, "out_features"),
        n_heads: int(config, "head_num"),
        negative_slope: float(config, "alpha"),
        dropout: float(config, "dropout"),
    };
    let nodes = &inputs["param.node_embedding.weight"];
    assert_eq!(nodes.size(), [int(config, "node_num"), int(config, "num_features")]);
    let edges = join_adjacency(&inputs["in.original_adj"], &inputs["in.cos_sim"]).unwrap();
    let layer = SignedGat::new(&vars.root(), nodes, &edges, settings).unwrap();
    load_parameters(vars, inputs);
    squares(layer.forward(mode(case)).unwrap().index_select(0, &inputs["in.post_id"]))
}
