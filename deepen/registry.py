"""The folder is the registry: a short name leads to a module in models/, tasks/ or data/.

A module is an entry when it has a top-level string `SUMMARY`. `PRESETS`, a literal dictionary of
{name: {field: value}}, gives one module several names; without it the file name is the name, `_` read as `-`. Both are
read from the syntax tree, so that listing imports nothing (torch least of all).
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from deepen.errors import unknown

ROOMS = {"data": "data", "task": "tasks", "model": "models"}
WORDS = {"data": "data set", "task": "task", "model": "model"}


@dataclass(frozen=True)
class Entry:
    """One name of a registry and where it leads."""

    kind: str
    name: str
    module: str
    summary: str
    preset: dict[str, Any]
    offers: frozenset[str]
    """The names of its top-level functions."""

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)


@cache
def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind (`data`, `task` or `model`) by name, sorted."""
    room = ROOMS[kind]
    found: dict[str, Entry] = {}
    for path in sorted((Path(__file__).parent / room).glob("*.py")):
        literals = _literals(path)
        if "SUMMARY" not in literals:
            continue
        presets = literals.get("PRESETS") or {path.stem.replace("_", "-"): {}}
        functions = frozenset(literals["functions"])
        for name, preset in presets.items():
            summary = preset.get("summary", literals["SUMMARY"])
            fields = {key: value for key, value in preset.items() if key != "summary"}
            found[name] = Entry(kind, name, f"deepen.{room}.{path.stem}", summary, fields, functions)
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> Entry:
    """The entry of that name; raises `Misuse` with the nearest name when there is none."""
    known = entries(kind)
    if name not in known:
        raise unknown(WORDS[kind], name, known)
    return known[name]


def _literals(path: Path) -> dict[str, Any]:
    """SUMMARY, PRESETS and the names of the functions of a file, without importing it."""
    found: dict[str, Any] = {"functions": []}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found["functions"].append(node.name)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id in ("SUMMARY", "PRESETS"):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            found[target.id] = ast.literal_eval(node.value)
    return found
