"""Imports go down only; braced rooms do not import each other; one training loop; no task is named in the engine."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "deepen"
LAYERS = [
    {"errors"},
    {"inputs"},
    {"fields", "randomness", "spec", "version"},
    {"registry"},
    {"recipe", "recipes"},
    {"limits", "known"},
    {"nn"},
    {"models", "data"},
    {"pretrained"},
    {"tasks"},
    {"engine"},
    {"insight", "deploy"},
    {"sources", "transfer"},
    {"beginning"},
    {"prepare"},
    {"settle"},
    {"run"},
    {"following", "doctor", "drawing"},
    {"story", "keeping"},
    {"training"},
    {"page"},
    {"wording"},
    {"console"},
    {"making", "showing"},
    {"cli"},
    {"__main__"},
]
"""Rooms and single files, the lowest first. Those on one line do not import each other."""
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
WITHOUT_TORCH = ("errors", "spec", "fields", "recipe", "registry", "cli", "__init__", "__main__", "version")
"""`deepen --help` answers at once because these do not import torch (nor anything that does) when they are imported."""


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, dotted name) of every import in a tree, wherever it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def rooms_imported(tree: ast.AST) -> list[tuple[int, str]]:
    return [
        (line, name.split(".")[1])
        for line, name in imported(tree)
        if name.startswith("deepen.") and name.split(".")[1] != "__version__"
    ]


def breaches(room: str, tree: ast.AST) -> list[str]:
    """Imports of a file of `room` that do not go down."""
    if room == "__init__":  # the public names, fetched when they are first used
        return []
    return [
        f"line {line} imports {other}"
        for line, other in rooms_imported(tree)
        if other != room and LEVEL[other] >= LEVEL[room]
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    assert breaches(room_of(path), ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("data", "from deepen.tasks.base import Task"),
        ("models", "from deepen.data.dataset import Dataset"),
        ("engine", "import deepen.training"),
        ("insight", "def late():\n    from deepen.deploy import bundle"),
    ],
)
def test_the_walk_sees_a_breach(room: str, line: str) -> None:
    assert breaches(room, ast.parse(line))


def test_every_room_has_a_place() -> None:
    rooms = {room_of(path) for path in files()} - {"__init__"}
    assert rooms <= LEVEL.keys(), f"no layer is named for {rooms - LEVEL.keys()}"


def top_level_imports(tree: ast.Module) -> list[str]:
    """What is imported at import time: not in functions, and not for the type checker alone."""
    found: list[str] = []

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.extend(name for _, name in imported(ast.Module([node], [])))
            elif isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
                visit(node.body + node.orelse)
            elif isinstance(node, ast.Try):
                visit(node.body + node.orelse + node.finalbody)

    visit(tree.body)
    return found


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_the_front_door_does_not_wait_for_torch(room: str) -> None:
    names = top_level_imports(ast.parse((PACKAGE / f"{room}.py").read_text(encoding="utf-8")))
    assert not [name for name in names if name.split(".")[0] in ("torch", "numpy", "sklearn", "PIL", "matplotlib")]
    own = {name.split(".")[1] for name in names if name.startswith("deepen.")}
    assert own <= {*WITHOUT_TORCH}


def calls(tree: ast.AST, method: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
    ]


def test_there_is_one_training_loop() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in files()
        if calls(ast.parse(path.read_text(encoding="utf-8")), "backward")
    }
    assert found == {"engine/update.py"}


def test_no_task_is_named_in_the_engine() -> None:
    tasks = {path.stem for path in (PACKAGE / "tasks").glob("*.py")} - {"__init__", "base", "measures"}
    assert {"classify", "gan"} <= tasks
    for path in (PACKAGE / "engine").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {name for _, name in imported(tree) if name.startswith("deepen.tasks.")}
        assert {name.split(".")[2] for name in named} <= {"base"}, path
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not tasks & ({text for text in strings if isinstance(text, str)} | names), path


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_does_nothing(path: Path) -> None:
    """At the top of a file stand definitions, and calls only where a value is assigned."""
    if path.name == "__main__.py":
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"{path}:{node.lineno} does something when it is imported"
        assert not isinstance(node, ast.For | ast.While | ast.With), f"{path}:{node.lineno} runs when it is imported"
