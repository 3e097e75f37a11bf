"""The run folder: names, latest, the lock, the log and its rewinding."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepen.engine import checkpoint
from deepen.engine.run import Folder
from deepen.errors import Problem
from deepen.recipe import blank

RECIPE = blank("iris", "iris", "classify", "mlp")


def create(root: Path, name: str = "iris") -> Folder:
    return Folder.create(root, name, RECIPE)


def test_runs_are_numbered_and_latest_points_to_the_newest(tmp_path: Path) -> None:
    first, second = create(tmp_path), create(tmp_path)
    assert (first.path.name, second.path.name) == ("iris-1", "iris-2")
    assert (tmp_path / "latest").resolve() == second.path
    assert Folder.open(tmp_path / "latest").path == second.path
    assert (tmp_path / "latest").readlink() == Path("iris-2")  # relative: the folder may be moved


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="There is no run at"):
        Folder.open(tmp_path / "nothing")
    with pytest.raises(Problem, match="is not a run folder"):
        Folder.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="is not a run folder"):
        Folder.open(tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="could not be made under"):
        create(tmp_path / "file")


def test_recipe_comes_back(tmp_path: Path) -> None:
    assert create(tmp_path).recipe() == RECIPE


def test_opening_creates_nothing(tmp_path: Path) -> None:
    folder = create(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    Folder.open(folder.path)
    assert sorted(tmp_path.rglob("*")) == before


HOLD = """
import sys
from deepen.engine.run import Folder
with Folder.open(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = create(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Problem, match="being trained by another process"), folder.locked():
            pass
        other.kill()
    with folder.locked():  # killed, it holds nothing any more
        pass


def test_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = create(tmp_path)
    folder.log({"step": 1, "lr": 0.5})
    folder.save(1, {"w": torch.zeros(1)}, {})
    folder.log({"step": 2, "lr": 0.25}, {"seconds": 1.0})
    found, _ = checkpoint.latest(folder.checkpoints)
    assert found is not None
    folder.rewind(found.state)
    assert folder.rows() == [{"step": 1, "lr": 0.5}]
    assert folder.speed_rows() == [{"step": 2, "seconds": 1.0}]
    folder.rewind(None)
    assert folder.rows() == []


def test_a_log_that_lost_lines_is_not_filled_up(tmp_path: Path) -> None:
    folder = create(tmp_path)
    folder.log({"step": 1})
    folder.save(1, {"w": torch.zeros(1)}, {})
    found, _ = checkpoint.latest(folder.checkpoints)
    assert found is not None
    os.truncate(folder.metrics, 3)
    with pytest.raises(Problem, match="shorter than when the last checkpoint was taken"):
        folder.rewind(found.state)


def test_a_line_cut_off_in_the_middle_is_left_out(tmp_path: Path) -> None:
    folder = create(tmp_path)
    folder.log({"step": 1}, {"seconds": 1.0})
    for path in (folder.metrics, folder.speed):
        with path.open("a") as file:
            file.write('{"step": 2, "sec')
    assert folder.rows() == [{"step": 1}]
    assert folder.speed_rows() == [{"step": 1, "seconds": 1.0}]
    folder.rewind({"log_bytes": len('{"step": 1}\n')})
    folder.log({"step": 3}, {"seconds": 3.0})
    assert [row["step"] for row in folder.rows()] == [1, 3]
    assert [row["step"] for row in folder.speed_rows()] == [1, 3]


def test_lines_that_find_no_room_are_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = create(tmp_path)
    folder.log({"step": 1})
    real = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **named: object) -> object:
        if mode == "a":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, mode, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        folder.log({"step": 2}, {"seconds": 2.0})
        folder.log({"step": 3})
        with pytest.raises(OSError, match="No space"):
            folder.save(3, {"w": torch.zeros(1)}, {})  # a checkpoint never runs ahead of its log
    assert [row["step"] for row in folder.rows()] == [1]
    folder.log({"step": 4})
    assert [row["step"] for row in folder.rows()] == [1, 2, 3, 4]
    assert [row["step"] for row in folder.speed_rows()] == [2]


def test_looks_are_counted_on_disk(tmp_path: Path) -> None:
    folder = create(tmp_path)
    assert folder.looks() == 0
    assert folder.count_look() == 1
    assert Folder.open(folder.path).count_look() == 2
    assert json.loads((folder.path / "looks.json").read_text()) == {"looks": 2}
