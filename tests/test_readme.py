"""Every command that the README shows is understood, and those on data that comes with the install are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from deepen import cli, registry
from deepen.known import Seen, choose
from deepen.recipe import blank

README = Path(__file__).resolve().parent.parent / "README.md"
BUNDLED = {"digits", "iris", "wine", "breast-cancer", "diabetes", "xor", "moons", "circles", "spirals"}
SHORT = ("epochs=1", "plan=fp32")
READS_DATA = ("train", "doctor")
READS_RUN = ("resume", "evaluate", "generate")


def blocks(text: str, languages: tuple[str, ...]) -> list[str]:
    """The fenced blocks in one of the languages."""
    return [body for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in languages]


def commands(text: str) -> list[list[str]]:
    """The words of each `deepen ...` line in blocks of shell, without comments and prompts."""
    found = []
    for block in blocks(text, ("sh", "bash", "console", "shell")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["deepen"]:
                found.append(words[1:])
    return found


def test_what_is_read_of_a_text() -> None:
    text = "```sh\n$ deepen train digits  # first\nmake demo\ndeepen evaluate \\\n  runs/latest\n```\n```python\ndeepen\n```\n"
    assert commands(text) == [["train", "digits"], ["evaluate", "runs/latest"]]


COMMANDS = commands(README.read_text(encoding="utf-8"))


def shown(words: list[str]) -> str:
    return " ".join(words) or "alone"


@pytest.mark.parametrize("words", COMMANDS, ids=shown)
def test_every_command_is_understood(words: list[str]) -> None:
    """Verb, options and settings are known, also where the data is not here."""
    _, bound, _ = cli.app.parse_args(words, exit_on_error=False, print_error=False)
    if words[0] not in READS_DATA:
        return
    source, settings = bound.args[0], cli.parse(bound.args[1:])
    task, model = bound.kwargs.get("task"), bound.kwargs.get("model")
    acts = re.search(r"-v\d+$", source) is not None
    boxed, masked = source in ("bccd", "cells/"), source in ("camvid", "streets/")
    natural = "control" if acts else "detect" if boxed else "segment" if masked else "classify"
    kind = "observation" if acts else "image"
    known = choose(source, Seen(kind, 1000, 28, 1), task or natural, model)
    task, model = task or (known.task if known else natural), model or (known.model if known else "mlp")
    own = "environments" if acts else "series-table" if task == "forecast" else "tables" if "." in source else "folder"
    reader = source if source in registry.entries("data") else own
    recipe = blank(source, reader, task, model)
    for key, value in settings.items():
        recipe.set(key, value)


def test_the_commands_on_bundled_data_work(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the README, in an empty folder, with as few epochs as there are."""
    monkeypatch.chdir(tmp_path)
    trained = False
    for words in COMMANDS:
        on_data = words[0] in READS_DATA and words[1] in BUNDLED
        if words[0] == "train" and on_data:
            kept = [word for word in words if not word.startswith(("epochs=", "fit.epochs=", "minutes=", "plan="))]
            done = call(*kept, *SHORT)
            trained = True
        elif (
            on_data or words[0] in ("list", "show") or (words[0] in READS_RUN and trained and words[1] == "runs/latest")
        ):
            done = call(*words)
        else:
            continue
        if words[0] == "generate" and done.code:  # the run that stood here generates, ours may be a classifier
            assert "deepen predict" in done.err or "models that write" in done.err
            continue
        assert done.code == 0, f"deepen {' '.join(words)}: {done.err}"


def test_python_blocks_are_python() -> None:
    for block in blocks(README.read_text(encoding="utf-8"), ("python", "py")):
        compile(block, "README.md", "exec")
