"""Generates the files in `encoders/`: tiny encoders of the library transformers with random weights, their outputs and gradients.

Uses torch 2.13.0, transformers 4.57.6, safetensors 0.8.0, Python 3.11: python make_encoders.py [MINILM_DIR]
Computed in float64; weights are stored in float32, which is exact. The loss is the sum of squares of the last hidden states of
all tokens that are not padding. With the directory of MiniLM (`cargo xtask encoder minilm`), `minilm.safetensors` too: the mean
of the last hidden states of a few texts, computed in float32.
"""

import json
import pathlib
import sys
import types

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "encoders"
LENGTHS = [7, 3, 9, 7, 1]
# Keys that all configurations have.
KEPT = ["pad_token_id"]

COMMON = {
    "vocab_size": 41,
    "hidden_size": 18,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 22,
    "max_position_embeddings": 19,
}
CASES = {
    "bert": (transformers.BertConfig, transformers.BertModel, COMMON),
    "roberta": (
        transformers.RobertaConfig,
        transformers.RobertaModel,
        {**COMMON, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "hidden_act": "gelu_new", "pad_token_id": 1},
    ),
    "deberta_v3": (
        transformers.DebertaV2Config,
        transformers.DebertaV2Model,
        {
            **COMMON,
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 4,
            "max_relative_positions": -1,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "position_biased_input": False,
        },
    ),
    "deberta_v2": (
        transformers.DebertaV2Config,
        transformers.DebertaV2Model,
        {
            **COMMON,
            "type_vocab_size": 2,
            "embedding_size": 10,
            "relative_attention": True,
            "position_buckets": -1,
            "max_relative_positions": 5,
            "share_att_key": False,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": True,
            "conv_kernel_size": 3,
            "conv_groups": 2,
            "conv_act": "gelu",
        },
    ),
    "modernbert": (
        transformers.ModernBertConfig,
        transformers.ModernBertModel,
        {
            **COMMON,
            "hidden_size": 12,
            "num_hidden_layers": 4,
            "intermediate_size": 10,
            "local_attention": 4,
            "global_attn_every_n_layers": 3,
            "local_rope_theta": 100.0,
            "global_rope_theta": 1000.0,
            "pad_token_id": 3,
            "reference_compile": False,
            "attn_implementation": "sdpa",
        },
    ),
    "distilbert": (
        transformers.DistilBertConfig,
        transformers.DistilBertModel,
        {
            "vocab_size": 41,
            "dim": 18,
            "n_layers": 2,
            "n_heads": 3,
            "hidden_dim": 22,
            "max_position_embeddings": 19,
            "activation": "relu",
        },
    ),
}


def randomize(model):
    """Sets all parameters to random values of float32, also biases and scales."""
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, dtype=torch.float32) * 0.3
        if parameter.dim() == 1 and name.endswith("weight"):
            values += 1
        parameter.data = values.double()


def batch(pad_id):
    """Returns token ids with random padding and the mask."""
    ids = torch.randint(2, COMMON["vocab_size"], (len(LENGTHS), max(LENGTHS)))
    mask = torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]
    return ids.masked_fill(~mask, pad_id), mask


def rotate_in_double(self, x, position_ids):
    """Replaces the angles of ModernBERT, which transformers computes in float32 for any type of weights."""
    size = self.config.hidden_size // self.config.num_attention_heads
    frequencies = self.config.rope_theta ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = position_ids[..., None].double() * frequencies
    angles = torch.cat((angles, angles), -1)
    return angles.cos(), angles.sin()


def make(name, config_class, model_class, arguments):
    torch.manual_seed(7)
    config = config_class(**arguments)
    model = model_class(config).double().eval()
    randomize(model)
    for module in model.modules():
        if type(module).__name__ == "ModernBertRotaryEmbedding":
            module.forward = types.MethodType(rotate_in_double, module)
    ids, mask = batch(config.pad_token_id)
    if config.model_type == "modernbert":
        # Text by text, since padding without neighbors has no finite hidden states in transformers.
        texts = [model(row[:n][None], output_hidden_states=True) for row, n in zip(ids, LENGTHS)]
        states = zip(*(text.hidden_states for text in texts))
        pad = torch.nn.utils.rnn.pad_sequence
        hidden_states = [pad([state[0] for state in layer], batch_first=True) for layer in states]
        last = pad([text.last_hidden_state[0] for text in texts], batch_first=True)
        output = {"last_hidden_state": last, "hidden_states": hidden_states}
    else:
        output = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    last = output["last_hidden_state"]
    loss = (last * mask[..., None]).square().sum()
    loss.backward()
    tensors = {
        "in.ids": ids,
        "in.lengths": torch.tensor(LENGTHS),
        "out.last": last,
        "loss.total_loss": loss,
    }
    for i, hidden in enumerate(output["hidden_states"]):
        tensors[f"out.hidden.{i}"] = hidden
    if "pooler_output" in output:
        tensors["out.pooled"] = output["pooler_output"]
    for key, parameter in model.named_parameters():
        tensors[f"param.{key}"] = parameter.data.float()
        if parameter.grad is not None:
            tensors[f"grad.{key}"] = parameter.grad
    tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    save_file(tensors, HERE / f"{name}.safetensors")
    settings = {**json.loads(config.to_json_string(use_diff=False)), "model_type": config.model_type}
    defaults = transformers.PretrainedConfig().to_dict()
    settings = {key: value for key, value in settings.items() if key not in defaults or key in KEPT}
    settings["model_type"] = config.model_type
    (HERE / f"{name}.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


def make_minilm(directory):
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModel.from_pretrained(directory).eval()
    texts = [
        "Scientists confirm that the vaccine is safe.",
        "BREAKING: 5G towers spread the virus, share before they delete this!!!",
        "No.",
    ]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        last = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"]
    mean = (last * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    tensors = {"in.ids": encoded["input_ids"], "in.lengths": mask.sum(1), "out.mean": mean, "out.first": last[:, 0]}
    save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / "minilm.safetensors")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, (config_class, model_class, arguments) in CASES.items():
        make(name, config_class, model_class, arguments)
    if len(sys.argv) > 1:
        make_minilm(sys.argv[1])
