"""`deepen list` and `deepen show`, as content."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepen import recipe as recipes
from deepen import registry
from deepen.engine.optim import peak_lr
from deepen.engine.schedule import SCHEDULES
from deepen.errors import Misuse
from deepen.known import known_good
from deepen.nn.activations import ACTIVATIONS
from deepen.showing import listing, show


def test_sources_by_name_and_sources_of_ones_own_stand_apart() -> None:
    found = listing()
    assert "digits" in found["data"]
    assert {"folder", "tables"} <= found["your own"].keys()
    assert found["data"].keys().isdisjoint(found["your own"])


def test_an_entry_tells_its_settings_with_their_defaults() -> None:
    content = show("cnn", [], None)
    entry = registry.find("model", "cnn")
    shown = {key.partition("=")[0] for key in content["settings"]}
    assert shown == {f"model.{name}" for name in vars(entry.load().Config())}
    assert content["is"] == entry.summary


def test_a_preset_shows_its_own_values() -> None:
    plain, preset = show("lenet", [], None)["settings"], show("lenet-modern", [], None)["settings"]
    assert plain.keys() != preset.keys()


def test_a_recipe_shows_what_it_sets() -> None:
    known = next(known for known in known_good() if known.name == "digits-gan")
    content = show("digits-gan", [], None)
    assert content["command"] == known.command
    assert len(content["settings"]) == len(known.settings)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_drawn(name: str, tmp_path: Path) -> None:
    content = show("schedule", [name, "optim.lr=0.25"], str(tmp_path / "drawn.svg"))
    draft = recipes.Recipe("", "", "", "")
    draft.set("optim.lr", "0.25")
    assert float(content["highest"]) == pytest.approx(peak_lr(draft.optim), rel=1e-2)
    assert "<svg" in (tmp_path / "drawn.svg").read_text(encoding="utf-8")


def test_every_activation_is_drawn(tmp_path: Path) -> None:
    content = show("activations", [], str(tmp_path / "drawn.svg"))
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert content["activations"].split(", ") == list(ACTIVATIONS)
    assert all(name in drawn for name in ACTIVATIONS)


def test_what_cannot_be_shown() -> None:
    with pytest.raises(Misuse, match="Did you mean 'activations'"):
        show("activation", [], None)
    with pytest.raises(Misuse, match="one word too many"):
        show("mlp", ["width=3"], None)
    with pytest.raises(Misuse, match="There is no setting 'warmpu'"):
        show("schedule", ["cosine", "warmpu=1"], None)
