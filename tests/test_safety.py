"""No way in for what others wrote: no pickle, no eval, no shell; and nothing that hides a fault."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "deepen"
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "imp", "xml.etree"}
CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"}
MOST_LINES = 500
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def is_true(call: ast.Call, word: str) -> bool:
    return any(
        keyword.arg == word and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in call.keywords
    )


def of_import(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def of_call(node: ast.Call) -> str | None:
    name = dotted(node.func)
    last = name.rpartition(".")[2]
    if name in CALLS or name in {f"builtins.{call}" for call in CALLS}:
        return f"calls {name}"
    if name in ("torch.load", "torch.hub.load", "torch.jit.load") and not (
        name == "torch.load" and is_true(node, "weights_only")
    ):
        return f"calls {name} without weights_only=True"
    if any(keyword.arg == "shell" and not is_false(keyword.value) for keyword in node.keywords):
        return f"calls {name} with shell"
    if any(keyword.arg == "allow_pickle" and not is_false(keyword.value) for keyword in node.keywords):
        return f"calls {name} with allow_pickle"
    if last == "extractall" and not any(keyword.arg in ("filter", "members") for keyword in node.keywords):
        return "unpacks an archive unseen"
    return None


def is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def of_handler(node: ast.ExceptHandler) -> str | None:
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    for kind in kinds:
        if kind is None or dotted(kind) in ("Exception", "BaseException", "builtins.Exception"):
            return "catches everything"
    return None


def faults(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        for module in of_import(node):
            if module in MODULES or module.split(".")[0] in MODULES:
                found.append(f"line {node.lineno} imports {module}")
        text = None
        if isinstance(node, ast.Call):
            text = of_call(node)
        elif isinstance(node, ast.ExceptHandler):
            text = of_handler(node)
        if text:
            found.append(f"line {node.lineno} {text}")
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_is_safe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults(ast.parse(text)) == []
    assert text.count("\n") < MOST_LINES, "something else lives there"
    assert path.stem not in NOT_NAMES
    assert not NOT_NAMES & set(path.relative_to(PACKAGE).parts)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trust)",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=wanted)",
        "np.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException):\n    pass",
    ],
)
def test_the_walk_sees_a_fault(line: str) -> None:
    assert faults(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "model.eval()",
        "yaml.safe_load(text)",
        "subprocess.run(['ls'], check=True)",
        "np.load(path, allow_pickle=False)",
    ],
)
def test_the_walk_passes_what_is_safe(line: str) -> None:
    assert not faults(ast.parse(line))
