"""Recipes: keys, overrides, YAML, and the known-good ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from deepen import recipe as recipes
from deepen import registry
from deepen.errors import Misuse
from deepen.recipe import PLAIN, SECTIONS, KnownGood, Recipe, Seen, as_text, blank, choose, known_good


def made() -> Recipe:
    return blank("iris", "iris", "classify", "mlp")


def test_set_in_full_bare_and_by_section() -> None:
    recipe = made()
    for key, value in {"fit.epochs": "3", "lr": "0.1", "optim": "sgd", "schedule": "cosine", "seed": "7"}.items():
        recipe.set(key, value)
    assert (recipe.fit.epochs, recipe.optim.lr, recipe.optim.name) == (3, 0.1, "sgd")
    assert (recipe.schedule.name, recipe.seed) == ("cosine", 7)


def test_full_names_what_a_bare_key_means() -> None:
    assert [made().full(key) for key in ("epochs", "fit.epochs", "seed", "optim")] == [
        "fit.epochs",
        "fit.epochs",
        "seed",
        "optim.name",
    ]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("patience", "schedule.patience or fit.patience"),
        ("epoch", "Did you mean 'epochs'"),
        ("fit.epoch", "Did you mean 'fit.epochs'"),
        ("", "There is no setting ''"),
        ("fit.", "There is no setting 'fit.'"),
        ("source", "There is no setting 'source'"),
        ("__class__", "There is no setting"),
    ],
)
def test_unknown_keys(key: str, told: str) -> None:
    with pytest.raises(Misuse) as caught:
        made().set(key, "1")
    assert told in str(caught.value)


def test_sections_of_the_axes() -> None:
    recipe = made()
    recipe.set("model.widths", "32,16")
    assert recipe.model.widths == (32, 16)
    recipe.set("task.label_smoothing", "0.1")
    assert recipe.task.label_smoothing == 0.1


def test_a_preset_is_the_model_with_its_values() -> None:
    entry = registry.find("model", "lenet-modern")
    recipe = blank("digits", "digits", "classify", "lenet-modern")
    assert entry.preset
    for name, value in entry.preset.items():
        assert getattr(recipe.model, name) == value


def test_own_classes_have_no_model_section() -> None:
    assert blank("digits", "digits", "classify", "custom:Net").model is None


def test_yaml_there_and_back() -> None:
    recipe = made()
    changes = {"epochs": 2.5, "betas": (0.5, 0.9), "clip": 1.0, "model.widths": (8,), "target": "NA", "seed": 3}
    for key, value in changes.items():
        recipe.set(key, value)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("source", ["10", "no", "猫: [x]\n", "~", "1e3"])
def test_sources_that_yaml_could_mistake(source: str) -> None:
    recipe = made()
    recipe.source = source
    assert Recipe.from_yaml(recipe.to_yaml()).source == source


def test_a_recipe_holds_inputs_alone() -> None:
    names = {field.name for field in dataclasses.fields(Recipe)}
    assert names == {*recipes.AXES, *SECTIONS, *PLAIN}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (3.0, "3"),
        (3e-4, "0.0003"),
        ((0.9, 1.0), "0.9,1"),
        ("x", "x"),
        (1e-8, "1e-08"),
        ((), ""),
    ],
)
def test_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_every_setting_reads_back_what_is_shown() -> None:
    recipe = made()
    for key, value in recipe.keys().items():
        again = made()
        again.set(key, as_text(value))
        assert again.keys()[key] == value, key


# -- known-good recipes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", known_good(), ids=lambda known: known.name)
def test_known_good_recipes_can_be_followed(known: KnownGood) -> None:
    recipe = blank("somewhere", "folder" if known.kind == "image" else "tables", known.task, known.model)
    for key, value in known.settings.items():
        recipe.set(key, value)
    assert known.command.startswith("deepen train ")
    seen = Seen(known.kind or "", known.max_samples or 500, known.max_side, known.channels)
    assert known.fits(known.data or "somewhere", seen, known.task, known.model, known.transfer[0])


def test_names_are_those_of_the_files() -> None:
    folder = Path(recipes.__file__).parent / "recipes"
    assert sorted(known.name for known in known_good()) == sorted(path.stem for path in folder.glob("*.yaml"))


def known(**changes: Any) -> KnownGood:
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
        known(name="any"),
        known(name="small", max_side=32),
        known(name="colour", max_side=32, channels=3),
        known(name="mnist", data="mnist", kind=None),
        known(name="second", model="cnn", default=False),
        known(name="rows", kind="table", max_samples=100),
    ]
    monkeypatch.setattr(recipes, "known_good", lambda: shelf)

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
