"""Known-good recipes: those there are, and which one is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepen import known
from deepen.known import KnownGood, Seen, choose, known_good
from deepen.recipe import blank


@pytest.mark.parametrize("one", known_good(), ids=lambda one: one.name)
def test_known_good_recipes_can_be_followed(one: KnownGood) -> None:
    recipe = blank("somewhere", "folder" if one.kind == "image" else "tables", one.task, one.model)
    for key, value in one.settings.items():
        recipe.set(key, value)
    assert one.command.startswith("deepen train ")
    seen = Seen(one.kind or "", one.max_samples or 500, one.max_side, one.channels)
    assert one.fits(one.data or "somewhere", seen, one.task, one.model, one.transfer[0])


def test_names_are_those_of_the_files() -> None:
    folder = Path(known.__file__).parent / "recipes"
    assert sorted(one.name for one in known_good()) == sorted(path.stem for path in folder.glob("*.yaml"))


def made(**changes: Any) -> KnownGood:
    fields = {
        "name": "x",
        "task": "classify",
        "model": "mlp",
        "data": None,
        "kind": "image",
        "settings": {},
        "command": "",
        "time": "",
        "expect": "",
    }
    return KnownGood(**{**fields, **changes})


def test_the_nearer_recipe_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = [
        made(name="any"),
        made(name="small", max_side=32),
        made(name="colour", max_side=32, channels=3),
        made(name="mnist", data="mnist", kind=None),
        made(name="second", model="cnn", default=False),
        made(name="rows", kind="table", max_samples=100),
    ]
    monkeypatch.setattr(known, "known_good", lambda: shelf)

    def found(source: str, seen: Seen, task: str = "classify", model: str | None = None) -> str | None:
        best = choose(source, seen, task, model)
        return None if best is None else best.name

    small, large = Seen("image", 500, 28, 1), Seen("image", 500, 200, 3)
    assert found("mnist", small) == "mnist"
    assert found("pets", small) == "small"
    assert found("pets", Seen("image", 500, 28, 3)) == "colour"
    assert found("pets", large) == "any"
    assert found("pets", large, model="cnn") == "second"
    assert found("pets", large, "regress") is None
    assert found("rows.csv", Seen("table", 100)) == "rows"
    assert found("rows.csv", Seen("table", 101)) is None
    assert found("pets", large, model="lenet") is None
