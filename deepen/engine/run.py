"""Run: the folder of a training. Every later verb takes one.

recipe.yaml        the inputs of the training
settled.json       what was derived from them once: plan, number of steps, found learning rate, data digest
metrics.jsonl      the metric log: a function of recipe and data, repeated bit for bit by a resumed run
speed.jsonl        what is not: seconds and samples per second
start/             the weights that it began with, where they were taken over from another training
checkpoints/       the last two states of the training
model/             the best bundle
report.html  pictures/  samples/  environment.json  result.json  looks.json
rival.json         what a cheap method of another kind scores, where there is one
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from deepen.engine import checkpoint
from deepen.errors import Problem
from deepen.recipe import Recipe


class Folder:
    """The files of a run. Opening one creates nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path / "start"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.pictures = path / "pictures"
        self.samples = path / "samples"
        self.report = path / "report.html"
        self.metrics = path / "metrics.jsonl"
        self.speed = path / "speed.jsonl"
        self._unwritten = {self.metrics: "", self.speed: ""}

    @staticmethod
    def check_root(root: Path) -> None:
        """Raise `Problem` where no run can be made under `root`, before there is work to be lost. Nothing is written."""
        try:
            nearest = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
        except OSError as error:  # below a folder that may not be looked into
            raise _not_made(root, str(error.strerror)) from error
        if not nearest.is_dir():
            raise _not_made(root, os.strerror(errno.ENOTDIR))
        if not os.access(nearest, os.W_OK | os.X_OK):
            fixed = os.statvfs(nearest).f_flag & os.ST_RDONLY
            raise _not_made(root, os.strerror(errno.EROFS if fixed else errno.EACCES))

    @classmethod
    def create(cls, root: Path, name: str, recipe: Recipe) -> Folder:
        """A new folder `<root>/<name>-<n>`, with `latest` beside it pointing there."""
        try:
            root.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                path = root / f"{name}-{number}"
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
            folder = cls(path)
            folder.checkpoints.mkdir()
            checkpoint.write_text(path / "recipe.yaml", recipe.to_yaml())
            folder.metrics.touch()
            point_latest(root, path.name)
        except OSError as error:
            raise _not_made(root, str(error.strerror or error)) from error
        return folder

    @classmethod
    def open(cls, path: str | Path) -> Folder:
        """An existing run. Raises `Problem` when there is none at `path`."""
        folder = cls(Path(path))
        if not folder.path.exists():
            raise Problem(f"There is no run at {path}. `deepen train DATA` makes one; runs/latest is the newest.")
        if not (folder.path / "recipe.yaml").is_file():
            raise Problem(f"{path} is not a run folder: it has no recipe.yaml. Give a folder that `deepen train` made.")
        folder = cls(folder.path.resolve())
        checkpoint.heal(folder.model)
        return folder

    def recipe(self) -> Recipe:
        path = self.path / "recipe.yaml"
        try:
            return Recipe.from_yaml(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise Problem(f"{path} is not a recipe that `deepen train` wrote: restore it, or train again.") from error

    def write(self, name: str, content: dict[str, Any]) -> None:
        """A JSON file of the run, all or nothing."""
        checkpoint.write_text(self.path / name, json.dumps(content, indent=1, ensure_ascii=False))

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the run; empty where it was not written yet."""
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Problem(f"{path} is damaged: restore it, or train again.") from error
        return content

    def log(self, row: dict[str, Any], speed: dict[str, Any] | None = None) -> None:
        """Append to the metric log, and what depends on the clock to the speed log.

        Lines that find no room on the disk are kept and written with the next ones; `save` insists on them.
        """
        self._unwritten[self.metrics] += json.dumps(row) + "\n"
        if speed is not None:
            self._unwritten[self.speed] += json.dumps({"step": row["step"], **speed}) + "\n"
        with suppress(OSError):
            self._write_lines()

    def _write_lines(self) -> None:
        for path, lines in self._unwritten.items():
            if lines:
                _append(path, lines)
                self._unwritten[path] = ""

    def rows(self) -> list[dict[str, Any]]:
        """The metric log. A last line that was cut off while it was written is left out."""
        return _lines(self.metrics)

    def speed_rows(self) -> list[dict[str, Any]]:
        """The speed log, of all sessions."""
        return _lines(self.speed)

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """A checkpoint that also knows how long the metric log was. Raises `OSError`."""
        self._write_lines()
        checkpoint.flush(self.metrics)
        size = self.metrics.stat().st_size
        checkpoint.save(self.checkpoints, step, tensors, {**state, "step": step, "log_bytes": size})

    def rewind(self, state: dict[str, Any] | None) -> None:
        """Cut the metric log back to where the checkpoint was taken (to nothing, without one)."""
        size = 0 if state is None else int(state["log_bytes"])
        self.metrics.touch()
        if self.metrics.stat().st_size < size:
            raise Problem(
                f"{self.metrics} is shorter than when the last checkpoint was taken: it was changed since. "
                "Restore it from a backup, or train again."
            )
        os.truncate(self.metrics, size)
        if self.speed.is_file():
            content = self.speed.read_bytes()
            os.truncate(self.speed, content.rfind(b"\n") + 1)

    def looks(self) -> int:
        """How often the test split has been opened for this run."""
        return int(self.read("looks.json").get("looks", 0))

    def count_look(self) -> int:
        """One more look at the test split, written down before it is taken."""
        with (self.path / ".looks").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two evaluations at once are two looks
            looks = self.looks() + 1
            self.write("looks.json", {"looks": looks})
        return looks

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process trains in a run. Raises `Problem` when another one does."""
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Problem(
                    f"{self.path} is being trained by another process. Wait for it, or stop it first."
                ) from None
            yield


def _not_made(root: Path, reason: str) -> Problem:
    return Problem(f"The run folder could not be made under {root}: {reason}.")


def point_latest(root: Path, name: str) -> None:
    """Let `latest` under `root` point to the run of that name, in one step."""
    temporary = root / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(root / "latest")


def _append(path: Path, lines: str) -> None:
    """All of them or none."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
    except OSError:
        os.truncate(path, before)
        raise


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
