"""Recipes: keys, overrides, YAML."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from deepen import recipe as recipes
from deepen import registry
from deepen.errors import Misuse
from deepen.recipe import PLAIN, SECTIONS, Recipe, as_text, blank


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
