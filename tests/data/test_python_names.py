from __future__ import annotations

import pytest

from deepen.data import labelled, python_names
from deepen.errors import Misuse
from deepen.spec import Labels

PROGRAM = '''"""Text."""
import os.path as paths
from a.b import thing


class Counter(dict):
    """Counts."""

    def add(self, größe, *, step: int = 1):
        total = größe.get("é", None) + step  # a remark
        return len(total), paths.join(thing, key=self.size), unheard, lambda x: x + total


@Counter
async def other(): ...
'''


def kinds(program: str) -> list[tuple[str, str]]:
    found = python_names._sentences(program.encode(), "a.py")
    return [pair for one in found for pair in zip(one.words, one.labels, strict=True)]


def test_every_name_has_the_kind_that_the_parser_sees() -> None:
    found = kinds(PROGRAM)
    named = [pair for pair in found if pair[1] not in ("sign", "keyword", "string", "number")]
    assert named == [
        *[
            ("os", "module"),
            ("path", "module"),
            ("paths", "module"),
            ("a", "module"),
            ("b", "module"),
            ("thing", "imported"),
        ],
        *[
            ("Counter", "class"),
            ("dict", "builtin"),
            ("add", "function"),
            ("self", "parameter"),
            ("größe", "parameter"),
        ],
        *[("step", "parameter"), ("int", "builtin"), ("total", "variable"), ("größe", "parameter"), ("get", "method")],
        *[("step", "parameter"), ("len", "builtin"), ("total", "variable"), ("paths", "module"), ("join", "method")],
        *[
            ("thing", "imported"),
            ("key", "argument"),
            ("self", "parameter"),
            ("size", "attribute"),
            ("unheard", "variable"),
        ],
        *[("x", "parameter"), ("x", "parameter"), ("total", "variable"), ("Counter", "class"), ("other", "function")],
    ]
    assert ('"', "string") in found
    assert ("None", "keyword") in found


def test_a_sentence_is_a_function_or_some_lines() -> None:
    def functions(lines: int) -> str:
        return "".join(f"def f{n}(a, b):\n" + "    a = a + b\n" * lines for n in range(3))

    def begins(program: str) -> list[str]:
        return [one.origin for one in python_names._sentences(program.encode(), "a.py")]

    assert begins(functions(10)) == ["a.py:1", "a.py:12", "a.py:23"]
    assert begins(functions(0).replace(":", ": ...")) == ["a.py:1", "a.py:3"], "what is short stays with what follows"
    assert begins(functions(30)) == ["a.py:1", "a.py:21", "a.py:32", "a.py:52", "a.py:63", "a.py:83"]


def test_it_comes_with_every_install() -> None:
    found = python_names.load("python-names", labelled.Config(), 0)
    assert isinstance(found.spec.output, Labels)
    assert {"function", "class", "parameter", "method"} <= set(found.spec.output.names)
    assert found.test is not None
    assert min(len(found.train), len(found.validation), len(found.test)) > 100
    files = [{origin.partition(":")[0] for origin in part.origins or ()} for part in (found.train, found.validation)]
    assert not files[0] & files[1]
    with pytest.raises(Misuse, match=r"data\.column cannot be set"):
        python_names.load("python-names", labelled.Config(column="2"), 0)
