"""Tokenizers of others, brought into our order: every vocabulary begins with `SPECIAL`, and everything else keeps its order.

Read are a run or bundle of ours, `tokenizer.json` of the library `tokenizers`, BERT's `vocab.txt`, GPT-2's `vocab.json` with
`merges.txt`, and the tokenizer file of llama2.c. What of `SPECIAL` a vocabulary lacks is added under a name that no text is cut
into.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from deepen.data import tokenizer as own
from deepen.data.tokenizer import BEGIN, END, HIDDEN, SPECIAL, UNKNOWN, Characters, Kind, Pieces
from deepen.errors import Problem
from deepen.spec import PAD

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
"""What the hub's repositories keep of a tokenizer."""
EXPECTED = "expected tokenizer.json, vocab.txt, or vocab.json with merges.txt"
KINDS: dict[str, Kind] = {"WordPiece": "wordpiece", "BPE": "bpe", "WordLevel": "words"}
NEW = -1
"""In place of a number that a token had: it had none."""
TOLD = {
    BEGIN: ("cls_token", "bos_token"),
    END: ("sep_token", "eos_token"),
    HIDDEN: ("mask_token",),
    UNKNOWN: ("unk_token",),
    PAD: ("pad_token",),
}
"""Under which names their settings tell the tokens of `SPECIAL`, in the order in which they are looked for."""
USUAL = {
    BEGIN: ("[CLS]", "<s>", "<|begin_of_text|>", "<|endoftext|>"),
    END: ("[SEP]", "</s>", "<|end_of_text|>"),
    HIDDEN: ("[MASK]", "<mask>"),
    UNKNOWN: ("[UNK]", "<unk>"),
    PAD: ("[PAD]", "<pad>"),
}
"""What they are mostly called, where nothing tells it."""
SCORES = (".bin",)
MOST = 2**26
"""Bytes of a file; those of vocabularies of 250,000 tokens have 17 million."""
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error)


@dataclass(frozen=True)
class Adopted:
    """A tokenizer, and which number each of its tokens had before: int64 [vocabulary], `NEW` for those that it lacked."""

    tokenizer: Characters | Pieces
    order: np.ndarray


class _Told:
    """What the library tokenizers raises as `ValueError`: its errors are of the class `Exception` itself, and of no other."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is Exception:
            raise ValueError(str(error)) from error


def adopt(place: str | Path) -> Adopted:
    """The tokenizer of a run, a bundle, a folder as the hub's libraries write it, or a file. Raises `Problem`."""
    path = Path(place).expanduser()
    if not path.exists():
        raise Problem(f"There is no tokenizer at {path}: expected a run, a bundle, or a folder with tokenizer.json.")
    try:
        with _Told():
            return _read(path)
    except Problem:
        raise
    except UNREADABLE as error:
        raise Problem(f"The tokenizer at {path} cannot be read, it is damaged or of another kind ({error}).") from error


def _read(path: Path) -> Adopted:
    for folder in (path / "model", path):
        if (folder / "bundle.json").is_file():
            held = _json(folder / "bundle.json")["preprocess"]
            if "tokenizer" not in held:
                raise Problem(f"{path} is of a model that reads no texts: it has no tokenizer.")
            return _ours(held["tokenizer"])
    if path.is_file() and path.suffix in SCORES:
        return _of_scores(path)
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.suffix == ".json":
        plain = _json(path)
        if "kind" in plain:
            return _ours(plain)
    elif (folder / "tokenizer.json").is_file():
        plain = _json(folder / "tokenizer.json")
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        plain = _of_merges(folder)
    elif (folder / "vocab.txt").is_file():
        plain = _of_lines(folder)
    else:
        raise Problem(f"There is no tokenizer in {folder}: {EXPECTED}.")
    return reordered(plain, _told(folder))


def _ours(held: dict[str, Any]) -> Adopted:
    made = own.restore(held)
    return Adopted(made, np.arange(made.vocabulary))


def reordered(plain: dict[str, Any], told: Mapping[int, str]) -> Adopted:
    """What `Tokenizer.to_str` wrote, with the tokens `told` for `SPECIAL` before all others. Raises `Problem`."""
    model = plain["model"]
    if model.get("type") not in KINDS:
        raise Problem(f"A tokenizer of the kind {model.get('type')} is not known here: expected {', '.join(KINDS)}.")
    numbers: dict[str, int] = {**model["vocab"], **{one["content"]: one["id"] for one in plain["added_tokens"]}}
    if len(set(numbers.values())) < len(numbers) or not all(isinstance(n, int) and n >= 0 for n in numbers.values()):
        raise ValueError("two of its tokens have one number")
    first, last = _frame(plain.get("post_processor"))
    given = {**told, **({BEGIN: first} if first else {}), **({END: last} if last else {})}
    roles: dict[int, str] = {}
    for role in (BEGIN, END, HIDDEN, UNKNOWN, PAD):  # one token may be told for several; it gets one place
        for name in (given.get(role), *USUAL[role]):
            if name in numbers and name not in roles.values() and role not in roles:
                roles[role] = name
    lacking = {role: _free(SPECIAL[role], numbers) for role in range(len(SPECIAL)) if role not in roles}
    heads = [roles.get(role) or lacking[role] for role in range(len(SPECIAL))]
    rest = sorted(numbers.keys() - set(heads), key=numbers.__getitem__)
    after = {name: place for place, name in enumerate([*heads, *rest])}
    # All of them, for what is only added is given the number behind the last, whatever the file says.
    model["vocab"] = after
    for one in plain["added_tokens"]:
        one["id"] = after[one["content"]]
    plain["added_tokens"].sort(key=lambda one: one["id"])
    # Texts are framed, cut and filled up elsewhere; some files were saved with it on.
    plain |= {"post_processor": None, "truncation": None, "padding": None}
    inner = Tokenizer.from_str(json.dumps(plain))
    made = Pieces(KINDS[model["type"]], inner, sorted(roles), begins=first is not None, ends=last is not None)
    order = np.array([numbers.get(name, NEW) for name in after], dtype=np.int64)
    if made.vocabulary != len(order):
        raise ValueError(f"it has {made.vocabulary:,} tokens instead of {len(order):,}")
    return Adopted(made, order)


def _free(name: str, taken: Mapping[str, int]) -> str:
    while name in taken:
        name += "_"
    return name


def _frame(processor: Any) -> tuple[str | None, str | None]:
    """The tokens that a post-processor puts before and behind a text."""
    kind = processor.get("type") if isinstance(processor, dict) else None
    if kind == "Sequence":
        found = [_frame(one) for one in processor["processors"]]
        return next((a for a, _ in found if a), None), next((b for _, b in found if b), None)
    if kind in ("BertProcessing", "RobertaProcessing"):
        return str(processor["cls"][0]), str(processor["sep"][0])
    if kind != "TemplateProcessing":
        return None, None
    single = [one.get("SpecialToken", {}).get("id") for one in processor["single"]]
    return single[0], single[-1]


def _told(folder: Path) -> dict[int, str]:
    """Which tokens are those of `SPECIAL`, as far as the settings beside a tokenizer say it."""
    said: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            said |= {key: value for key, value in _json(folder / name).items() if value is not None}
    found = {}
    for role, keys in TOLD.items():
        for key in keys:
            value = said.get(key)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str) and role not in found:
                found[role] = text
    return found


def _of_lines(folder: Path) -> dict[str, Any]:
    """BERT's list of word pieces, one a line."""
    lines = _text(folder / "vocab.txt").rstrip("\n").split("\n")
    settings = _json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    inner = Tokenizer(models.WordPiece({line.rstrip("\r"): n for n, line in enumerate(lines)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.add_special_tokens([name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if name in lines])
    return _framed(inner, "[CLS]", "[SEP]")


def _of_merges(folder: Path) -> dict[str, Any]:
    """GPT-2's pieces of bytes; RoBERTa's have the marks of a text beside."""
    lines = [line for line in _text(folder / "merges.txt").split("\n") if line and not line.startswith("#version")]
    merges = [(left, right) for left, right in (line.rstrip("\r").split(" ") for line in lines)]
    vocabulary = _json(folder / "vocab.json")
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = [name for name in ("<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>") if name in vocabulary]
    mask = [AddedToken("<mask>", lstrip=True)] if "<mask>" in vocabulary else []
    inner.add_special_tokens([*special, *mask])
    return _framed(inner, "<s>", "</s>") if {"<s>", "</s>"} <= vocabulary.keys() else json.loads(inner.to_str())


def _framed(inner: Tokenizer, first: str, last: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(inner.to_str())
    plain["post_processor"] = {"type": "BertProcessing", "cls": [first, 0], "sep": [last, 0]}
    return plain


def _of_scores(path: Path) -> Adopted:
    """llama2.c's file (Karpathy, 2023), SentencePiece's pieces with their scores. Of two neighbours those are merged first that
    make the piece with the highest score; what is in no piece is written in bytes."""
    pieces, scores = scored(path)
    names = [SPECIAL[UNKNOWN], SPECIAL[BEGIN], SPECIAL[END], *(piece.decode() for piece in pieces[3:])]
    numbers = {name: number for number, name in enumerate(names)}
    if len(numbers) < len(names):
        raise ValueError("a piece stands in it twice")
    merges = []
    for name in sorted(numbers, key=lambda name: -scores[numbers[name]]):
        halves = ((name[:at], name[at:]) for at in range(1, len(name)))
        merges += sorted(
            (pair for pair in halves if pair[0] in numbers and pair[1] in numbers), key=lambda p: numbers[p[0]]
        )
    inner = Tokenizer(
        models.BPE(vocab=numbers, merges=merges, unk_token=SPECIAL[UNKNOWN], fuse_unk=True, byte_fallback=True)
    )
    inner.normalizer = normalizers.Prepend(" ")
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    inner.add_special_tokens([SPECIAL[UNKNOWN], SPECIAL[BEGIN], SPECIAL[END]])
    plain = json.loads(inner.to_str())
    plain["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": SPECIAL[BEGIN]}}, {"Sequence": {"id": "A"}}],
    }
    return reordered(plain, {})


def scored(path: Path) -> tuple[list[bytes], list[float]]:
    """The pieces of llama2.c's tokenizer file with their scores: a length, then a score, a size and the bytes of each."""
    content, at = path.read_bytes(), 4
    pieces, scores = [], []
    while at < len(content):
        score, size = struct.unpack_from("<fi", content, at)
        piece = content[at + 8 : at + 8 + size]
        if size < 0 or len(piece) < size:
            raise ValueError("it is cut short")
        pieces.append(piece)
        scores.append(score)
        at += 8 + size
    if len(pieces) < len(SPECIAL):
        raise ValueError("it holds no pieces")
    return pieces, scores


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(_text(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no object")
    return content


def _text(path: Path) -> str:
    if path.stat().st_size > MOST:
        raise ValueError(f"{path.name} has more than {MOST:,} bytes")
    return path.read_text(encoding="utf-8")
