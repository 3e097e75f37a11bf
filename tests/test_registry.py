"""The folder is the registry: names, presets, summaries, read without importing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from deepen import registry
from deepen.errors import Misuse
from deepen.fields import convert, documentation

ENTRIES = [(kind, name) for kind in registry.ROOMS for name in registry.entries(kind)]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_keeps_to_the_contract(kind: str, name: str) -> None:
    entry = registry.find(kind, name)
    module = entry.load()
    assert entry.summary
    assert "\n" not in entry.summary
    assert module.__doc__
    wanted = {"data": {"load"}, "task": {"build", "natural"}, "model": {"build"}}[kind]
    assert wanted <= entry.offers
    if kind != "data":
        assert is_dataclass(module.Config)
    config = getattr(module, "Config", None)
    if config is not None:
        assert {field.name for field in fields(config)} <= documentation(config).keys(), "a setting is not explained"
        for field, value in entry.preset.items():
            convert(config(), field, value, field)


def test_names_are_spelt_as_they_are_typed() -> None:
    assert all(name == name.strip() and "_" not in name and " " not in name for _, name in ENTRIES)


@pytest.mark.parametrize("kind", registry.ROOMS)
def test_unknown_names(kind: str) -> None:
    with pytest.raises(Misuse, match=f"There is no {registry.WORDS[kind]} named 'nonesuch'.*Known: "):
        registry.find(kind, "nonesuch")


def test_listing_imports_no_entry() -> None:
    code = (
        "import sys\nfrom deepen import registry\n"
        "for kind in registry.ROOMS: registry.entries(kind)\n"
        "assert not [m for m in sys.modules if m.split('.')[:2] in (['deepen', 'models'], ['deepen', 'data'], ['torch'])]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "thing.py"
    path.write_text(
        "import nothing_that_exists\nSUMMARY: str = 'a thing'\n"
        "PRESETS = {'small': {'width': 1}, 'large': {'width': 9, 'summary': 'a large thing'}}\n"
        "def build(): ...\nclass Config: ...\n",
        encoding="utf-8",
    )
    assert registry._literals(path) == {
        "SUMMARY": "a thing",
        "PRESETS": {"small": {"width": 1}, "large": {"width": 9, "summary": "a large thing"}},
        "functions": ["build"],
    }
