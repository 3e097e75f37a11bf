"""Weights that others have published, where they lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepen import recipe as recipes
from deepen import registry
from deepen.pretrained import published
from deepen.pretrained.find import find
from deepen.pretrained.load import load
from deepen.spec import Category, Image, Spec

DATA = os.environ.get("DEEPEN_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="DEEPEN_DATA is not set: no published weights here")


@pytest.mark.parametrize(
    ("text", "model", "side", "classes"),
    [("weights/resnet20-12fca82f.th", "resnet20", 32, 10), ("imagenet", "squeezenet1-0", 227, 1000)],
)
def test_published_weights_fill_their_network(
    text: str, model: str, side: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATA is not None
    monkeypatch.setenv("DEEPEN_DATA", DATA)
    if text != "imagenet" and not (Path(DATA) / text).is_file():
        pytest.skip(f"{text} is not in DEEPEN_DATA")
    if text == "imagenet" and not list((Path(DATA) / "weights").rglob("squeezenet1_0*")):
        pytest.skip("SqueezeNet is not in DEEPEN_DATA")
    found = find(text if text == "imagenet" else str(Path(DATA) / text), model, named=False)
    assert found.mean == published.MEAN
    assert found.size in (side, 224)
    spec = Spec(Image(3, side, side), Category(tuple(map(str, range(classes)))))
    network = registry.find("model", model).load().build(spec, recipes.blank("x", "folder", "classify", model).model)
    loaded = load(network, found, allow_partial=False)
    assert loaded.share == 1
    assert not loaded.missing
    assert not loaded.unexpected
    assert "was taken over" in loaded.sentence
