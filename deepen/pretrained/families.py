"""Networks for texts as Hugging Face's library saves them, brought to the names, shapes and settings of ours.

Ours have the names of GPT-2 and BERT. GPT-2's matrices stand transposed in its files; Llama's queries, keys and values stand
apart, and so do gate and input; and each of its heads turns the number i with i + size / 2, ours with its neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deepen.errors import Problem

Config = Mapping[str, Any]
Tensors = Mapping[str, Tensor]
SIZES = ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size")


@dataclass(frozen=True)
class Network:
    """Tensors under the names of a network of ours."""

    model: str
    fields: dict[str, Any]
    """Its settings."""
    length: int
    """The most tokens that it sees at once."""
    tensors: dict[str, Tensor]
    rows: tuple[str, ...]
    """Those of them that have a row for each token."""
    names: tuple[str, ...] | None = None
    """Of the classes that its head tells apart."""
    notes: tuple[str, ...] = field(default=())


def gpt2(config: Config, tensors: Tensors) -> Network:
    """GPT-2 (Radford et al., 2019)."""
    _expect(config, {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True})
    _expect(config, {"scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False})
    found, rest = _under(tensors, "wte.weight")
    own = {}
    for name, value in found.items():
        if not re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):  # what may be looked at, no parameter
            own[name] = value.T if re.fullmatch(r"h\..+\.c_(attn|proj|fc)\.weight", name) else value
    _tied(rest.get("lm_head.weight"), own["wte.weight"])
    layers, heads, width = _counts(config, "n_layer", "n_head", "n_embd")
    fields = {"layers": layers, "heads": heads, "width": width, "hidden": config.get("n_inner")}
    fields |= {"form": "gpt2", "bias": True}
    return Network("gpt", fields, len(own["wpe.weight"]), own, ("wte.weight",))


def llama(config: Config, tensors: Tensors) -> Network:
    """Llama (Touvron et al., 2023)."""
    heads, width, layers, hidden = _counts(config, *SIZES)
    groups = config.get("num_key_value_heads") or heads
    turning = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or {}
    kinds = {one.get("rope_type", one.get("type", "default")) for one in (turning, scaling)}
    if kinds != {"default"}:
        raise Problem(
            f"its rotary positions are scaled ({', '.join(sorted(kinds - {'default'}))}), which gpt cannot do"
        )
    _expect(config, {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False})
    _expect(config, {"head_dim": width // heads})
    found, rest = _under(tensors, "embed_tokens.weight")
    own = {"wte.weight": found["embed_tokens.weight"], "ln_f.weight": found["norm.weight"]}
    for number in range(layers):

        def of(name: str, layer: str = f"layers.{number}") -> Tensor:
            return found[f"{layer}.{name}.weight"]

        turned = [_neighbours(of(f"self_attn.{x}_proj"), n) for x, n in (("q", heads), ("k", groups))]
        own |= {
            f"h.{number}.ln_1.weight": of("input_layernorm"),
            f"h.{number}.ln_2.weight": of("post_attention_layernorm"),
            f"h.{number}.attn.c_attn.weight": torch.cat([*turned, of("self_attn.v_proj")]),
            f"h.{number}.attn.c_proj.weight": of("self_attn.o_proj"),
            f"h.{number}.mlp.c_fc.weight": torch.cat([of("mlp.gate_proj"), of("mlp.up_proj")]),
            f"h.{number}.mlp.c_proj.weight": of("mlp.down_proj"),
        }
    fields = {"layers": layers, "heads": heads, "groups": groups, "width": width, "hidden": hidden}
    fields |= {"form": "llama", "eps": config["rms_norm_eps"]}
    fields["base"] = float(turning.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    rows = ["wte.weight"]
    out = rest.get("lm_head.weight")
    if out is not None and not config.get("tie_word_embeddings", False):
        own["lm_head.weight"] = out
        rows.append("lm_head.weight")
        fields["tied"] = False
    return Network("gpt", fields, config["max_position_embeddings"], own, tuple(rows))


def bert(config: Config, tensors: Tensors) -> Network:
    """BERT (Devlin et al., 2019)."""
    _expect(config, {"hidden_act": "gelu", "position_embedding_type": "absolute", "type_vocab_size": 2})
    _expect(config, {"is_decoder": False, "add_cross_attention": False})
    renamed = {re.sub("gamma$", "weight", re.sub("beta$", "bias", name)): value for name, value in tensors.items()}
    found, rest = _under(renamed, "embeddings.word_embeddings.weight")
    own = {name: value for name, value in found.items() if name.startswith(("embeddings.", "encoder."))}
    answering = "ForSequenceClassification" in str(config.get("architectures"))
    if answering:
        own |= {name: value for name, value in found.items() if name.startswith("pooler.")}
        own |= {name: value for name, value in rest.items() if name.startswith("classifier.")}
    guessing = {name: value for name, value in rest.items() if name.startswith("cls.predictions.")}
    _tied(guessing.pop("cls.predictions.decoder.weight", None), own["embeddings.word_embeddings.weight"])
    guessing.pop("cls.predictions.decoder.bias", None)  # the same as its bias
    heads, width, layers, hidden = _counts(config, *SIZES)
    fields = {"layers": layers, "heads": heads, "width": width, "hidden": hidden}
    return _encoder(config, fields, own, guessing, pooling="first" if answering else "mean")


def roberta(config: Config, tensors: Tensors) -> Network:
    """RoBERTa (Liu et al., 2019): BERT with one kind of texts, and places that are counted from the number of its padding on."""
    first = config.get("pad_token_id", 1) + 1
    found, rest = _under(tensors, "embeddings.word_embeddings.weight")
    renamed = {f"bert.{name}": value for name, value in found.items()}
    places, kinds = (f"bert.embeddings.{name}_embeddings.weight" for name in ("position", "token_type"))
    renamed[places] = renamed[places][first:]
    if len(renamed[kinds]) == 1:
        renamed[kinds] = torch.cat([renamed[kinds], torch.zeros_like(renamed[kinds])])
    for other, ours in ROBERTA.items():
        renamed |= {ours + name.removeprefix(other): value for name, value in rest.items() if name.startswith(other)}
    return bert({**config, "type_vocab_size": 2}, renamed)


ROBERTA = {
    "lm_head.dense.": "cls.predictions.transform.dense.",
    "lm_head.layer_norm.": "cls.predictions.transform.LayerNorm.",
    "lm_head.decoder.": "cls.predictions.decoder.",
    "lm_head.bias": "cls.predictions.bias",
    "classifier.dense.": "bert.pooler.dense.",
    "classifier.out_proj.": "classifier.",
}


def distilbert(config: Config, tensors: Tensors) -> Network:
    """DistilBERT (Sanh et al., 2019): BERT's layers under other names, without kinds of texts."""
    _expect(config, {"activation": "gelu", "sinusoidal_pos_embds": False})
    found, rest = _under(tensors, "embeddings.word_embeddings.weight")
    own = {}
    for name, value in found.items():
        now = re.sub(r"^transformer\.", "encoder.", name)
        for other, ours in DISTILBERT.items():
            now = now.replace(other, ours)
        own[now] = value
    table = own["embeddings.word_embeddings.weight"]
    own["embeddings.token_type_embeddings.weight"] = table.new_zeros(2, table.shape[1])
    _tied(rest.get("vocab_projector.weight"), table)
    guessing = {
        ours.format(end): rest[other.format(end)]
        for other, ours in DISTILBERT_GUESSING.items()
        for end in ("weight", "bias")
        if "{}" in other and other.format(end) in rest
    }
    if "vocab_projector.bias" in rest:
        guessing["cls.predictions.bias"] = rest["vocab_projector.bias"]
    layers, heads, width, hidden = _counts(config, "n_layers", "n_heads", "dim", "hidden_dim")
    fields = {"layers": layers, "heads": heads, "width": width, "hidden": hidden}
    return _encoder({**config, "hidden_dropout_prob": config.get("dropout", 0.1)}, fields, own, guessing)


DISTILBERT = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
DISTILBERT_GUESSING = {
    "vocab_transform.{}": "cls.predictions.transform.dense.{}",
    "vocab_layer_norm.{}": "cls.predictions.transform.LayerNorm.{}",
}
FAMILIES: dict[str, Callable[[Config, Tensors], Network]] = {
    "bert": bert,
    "distilbert": distilbert,
    "gpt2": gpt2,
    "llama": llama,
    "roberta": roberta,
}
"""By what `config.json` calls them (`model_type`)."""


def _encoder(
    config: Config, fields: dict[str, Any], own: dict[str, Tensor], guessing: Tensors, *, pooling: str = "mean"
) -> Network:
    places = len(own["embeddings.position_embeddings.weight"])
    fields |= {"places": places, "pooling": pooling, "dropout": float(config.get("hidden_dropout_prob", 0.1))}
    fields["eps"] = float(config.get("layer_norm_eps", 1e-12))
    rows = ["embeddings.word_embeddings.weight", *(["cls.predictions.bias"] if guessing else [])]
    names = None
    if "classifier.weight" in own:
        labels = config.get("id2label") or {}
        names = tuple(str(labels.get(str(number), number)) for number in range(len(own["classifier.weight"])))
    return Network("bert", fields, places, {**own, **guessing}, tuple(rows), names)


def _expect(config: Config, expected: Mapping[str, Any]) -> None:
    """Raise `Problem` for a setting with which a network computes something that ours does not. What is not said is usual."""
    for name, usual in expected.items():
        value = config.get(name)
        if value is not None and value != usual:
            raise Problem(f"its {name} is {value}, and only {usual} is known here")


def _counts(config: Config, *names: str) -> list[int]:
    """Settings that are counts. Raises `Problem` for anything else."""
    for name in names:
        value = config.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Problem(f"its {name} is {value}: expected a whole number above 0")
    return [config[name] for name in names]


def _under(tensors: Tensors, anchor: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors below the prefix that `anchor` has, without it, and all others."""
    prefix = next((name.removesuffix(anchor) for name in tensors if name.endswith(anchor)), None)
    if prefix is None:
        raise Problem(f"it has no {anchor}")
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return found, found if not prefix else {k: v for k, v in tensors.items() if not k.startswith(prefix)}


def _tied(out: Tensor | None, table: Tensor) -> None:
    """Raise `Problem` where what writes a token is not what reads it."""
    if out is not None and not torch.equal(out, table):
        raise Problem(
            "what writes its tokens is not the table that reads them, which is not known here for such a network"
        )


def _neighbours(matrix: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys so that the two numbers which turn together stand side by side."""
    return matrix.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(matrix.shape)
