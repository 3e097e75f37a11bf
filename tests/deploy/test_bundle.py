"""The bundle: everything between a raw input and an answer comes back, and what is not itself any more is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import deepen
from deepen import Problem, Run
from deepen.engine import checkpoint


@pytest.fixture
def copied(digits_run: Run, tmp_path: Path) -> Path:
    """A bundle of its own, away from its run."""
    return Path(shutil.copytree(digits_run.path / "model", tmp_path / "bundle"))


def signed(folder: Path) -> None:
    """Write the manifest anew, as someone would who changed a file on purpose."""
    sums = {path.name: checkpoint._digest(path) for path in folder.iterdir() if path.name != checkpoint.MANIFEST}
    (folder / checkpoint.MANIFEST).write_text(json.dumps(sums))


def test_a_bundle_is_its_run(digits_run: Run, copied: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    assert torch.equal(deepen.load(copied).logits(pixels), deepen.load(digits_run.path).logits(pixels))


def test_a_bundle_knows_what_it_is(copied: Path, digits_run: Run) -> None:
    model = deepen.load(copied)
    assert model.spec.output.names == tuple("0123456789")
    assert model.facts["digest"] == digits_run.folder.read("data.json")["digest"]
    assert model.facts["validation"]["accuracy"] == digits_run.best["value"]
    assert model.facts["step"] == digits_run.best["step"]
    assert not model.module.training
    card = (copied / "card.md").read_text()
    assert "digits" in card
    assert f"{model.facts['parameters']:,}" in card


def test_there_is_nothing_to_execute(copied: Path) -> None:
    assert {path.suffix for path in copied.iterdir()} == {".safetensors", ".json", ".md"}
    assert not any(path.stat().st_mode & 0o111 for path in copied.iterdir())


@pytest.mark.parametrize("name", ["hidden_1.weight", "hidden_1.bias", "output.weight", "output.bias"])
def test_goldens_refuse_a_changed_weight(copied: Path, name: str) -> None:
    """The file is sound and its sum is right, but the weights are not those that made the goldens."""
    weights = load_file(copied / "model.safetensors")
    weights[name] *= 1.05
    save_file(weights, copied / "model.safetensors")
    signed(copied)
    with pytest.raises(Problem, match="does not reproduce its golden outputs"):
        deepen.load(copied)


def test_goldens_refuse_weights_that_are_no_numbers(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["output.bias"][0] = float("nan")
    save_file(weights, copied / "model.safetensors")
    signed(copied)
    with pytest.raises(Problem, match="does not reproduce its golden outputs"):
        deepen.load(copied)


@pytest.mark.parametrize("name", ["model.safetensors", "goldens.safetensors", "bundle.json", "card.md"])
@pytest.mark.parametrize("kind", ["bit", "half", "gone"])
def test_damage_is_told(copied: Path, name: str, kind: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 4
    if kind == "half":
        content = content[: len(content) // 2]
    (copied / name).write_bytes(content)
    if kind == "gone":
        (copied / name).unlink()
    with pytest.raises(Problem, match=r"The bundle is damaged|neither a run nor a bundle"):
        deepen.load(copied)


def test_a_lost_manifest_is_damage(copied: Path) -> None:
    (copied / checkpoint.MANIFEST).unlink()
    with pytest.raises(Problem, match="The bundle is damaged"):
        deepen.load(copied)


def test_an_emptied_manifest_is_damage(copied: Path) -> None:
    (copied / checkpoint.MANIFEST).write_text("{}")
    with pytest.raises(Problem, match="The bundle is damaged"):
        deepen.load(copied)


def test_a_later_format_is_told(copied: Path) -> None:
    facts = json.loads((copied / "bundle.json").read_text())
    (copied / "bundle.json").write_text(json.dumps(facts | {"format": 99}))
    signed(copied)
    with pytest.raises(Problem, match="has format 99"):
        deepen.load(copied)


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="neither a run nor a bundle"):
        deepen.load(tmp_path)
    with pytest.raises(Problem, match="neither a run nor a bundle"):
        deepen.load(tmp_path / "nothing")


def test_a_run_without_a_best_model_is_told(digits_run: Run, tmp_path: Path) -> None:
    young = tmp_path / "young"
    young.mkdir()
    shutil.copy(digits_run.path / "recipe.yaml", young)
    with pytest.raises(Problem, match="no best model yet"):
        deepen.load(young)


def test_nothing_to_predict_is_told(digits_run: Run) -> None:
    with pytest.raises(Problem, match="nothing to predict"):
        deepen.load(digits_run.path).predict([])


def test_no_samples_from_a_classifier(digits_run: Run) -> None:
    with pytest.raises(Problem, match="makes no samples"):
        deepen.load(digits_run.path).generate()


class MyNet(nn.Module):
    """A module of the user's own, with dropout and running statistics."""

    def __init__(self, hidden: int = 12) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(hidden, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(pictures))
        return answer


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.manual_seed(0)
    settings = {"fit.epochs": 8, "plan": "fp32", "device": "cpu"}
    return deepen.train("digits", model=MyNet(), runs=tmp_path_factory.mktemp("own"), **settings)


def test_own_module(own_run: Run) -> None:
    assert own_run.recipe.model_name == "custom:MyNet"
    assert own_run.best["value"] > 0.3
    model = deepen.load(own_run.path, module=MyNet())
    answers = model.predict(np.zeros((3, 8, 8), dtype=np.uint8))
    assert len(answers) == 3
    assert {answer["category"] for answer in answers} <= set("0123456789")
    assert own_run.evaluate(model=MyNet()).looks == 1


def test_own_module_has_to_be_given(own_run: Run) -> None:
    with pytest.raises(Problem, match=r"your own class MyNet.*module="):
        deepen.load(own_run.path)


@pytest.mark.parametrize("other", [MyNet(hidden=13), nn.Linear(64, 10)])
def test_another_module_does_not_fit(own_run: Run, other: nn.Module) -> None:
    with pytest.raises(Problem, match="do not fit the module"):
        deepen.load(own_run.path, module=other)


def test_tied_weights_are_kept(tmp_path: Path) -> None:
    """Two names for one tensor, as in a language model whose output is its embedding."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = nn.Linear(64, 10, bias=False), nn.Linear(64, 10, bias=False)
            self.back.weight = self.there.weight

        def forward(self, pictures: Tensor) -> Tensor:
            rows = pictures.flatten(1)
            answer: Tensor = self.there(rows) + self.back(rows)
            return answer

    settings = {"fit.epochs": 1, "plan": "fp32", "device": "cpu", "optim.ema": 0.9}
    run = deepen.train("digits", model=Tied(), runs=tmp_path, **settings)
    loaded = deepen.load(run.path, module=Tied())
    assert loaded.module.there.weight is loaded.module.back.weight
    loaded.predict(np.zeros((1, 8, 8), dtype=np.uint8))
