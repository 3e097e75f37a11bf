"""Checkpoints: whole or not there, damage noticed, a full or read-only disk told as such."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deepen.engine import checkpoint
from deepen.errors import Problem

TENSORS = {"weight": torch.arange(600.0).reshape(20, 30), "count": torch.tensor(7)}
STATE = {"step": 0, "history": [0.5]}


def save(root: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(root, step, {"weight": TENSORS["weight"] + step}, {**STATE, "step": step})


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 3, TENSORS, {**STATE, "step": 3})
    found, warnings = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.step == 3
    assert warnings == []
    assert found.state["history"] == [0.5]
    assert found.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in TENSORS.items())


def test_bytes_do_not_depend_on_memory_format(tmp_path: Path) -> None:
    plain = torch.randn(2, 3, 4, 5)
    checkpoint.save(tmp_path / "a", 1, {"w": plain}, STATE)
    checkpoint.save(tmp_path / "b", 1, {"w": plain.to(memory_format=torch.channels_last)}, STATE)
    name = "step-000000001/state.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3, 10)
    assert [path.name for path in checkpoint.folders(tmp_path)] == ["step-000000010", "step-000000003"]


def test_nothing_yet(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) == (None, [])


def damages() -> Iterator[tuple[str, str]]:
    for name in ("state.safetensors", "state.json", checkpoint.MANIFEST):
        for kind in ("first bit", "middle bit", "last bit", "half", "empty", "one byte less", "gone"):
            yield name, kind


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind.endswith("bit"):
        at = {"first": 0, "middle": len(content) // 2, "last": len(content) - 1}[kind.split()[0]]
        content[at] ^= 1
    elif kind == "half":
        content = content[: len(content) // 2]
    elif kind == "empty":
        content = bytearray()
    elif kind == "one byte less":
        content = content[:-1]
    path.unlink()
    if kind != "gone":
        path.write_bytes(content)


@pytest.mark.parametrize(("name", "kind"), list(damages()))
def test_damage_is_noticed_and_the_one_before_is_used(tmp_path: Path, name: str, kind: str) -> None:
    save(tmp_path, 5, 8)
    damage(tmp_path / "step-000000008" / name, kind)
    found, warnings = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert torch.equal(found.tensors["weight"], TENSORS["weight"] + 5)
    assert len(warnings) == 1
    assert "step-000000008 is damaged" in warnings[0]


def test_every_bit_of_a_checkpoint_counts(tmp_path: Path) -> None:
    """Any one bit flipped, anywhere: noticed, or without effect on what is read."""
    save(tmp_path, 8)
    folder = tmp_path / "step-000000008"
    for path in folder.iterdir():
        content = path.read_bytes()
        for at in range(0, len(content), max(1, len(content) // 60)):
            flipped = bytearray(content)
            flipped[at] ^= 1 << (at % 8)
            path.write_bytes(flipped)
            try:
                checkpoint.verify(folder)
            except checkpoint.DamageError:
                continue
            finally:
                path.write_bytes(content)
            assert path.name == checkpoint.MANIFEST  # a blank between two entries
            assert json.loads(flipped) == json.loads(content)


def test_when_none_can_be_read(tmp_path: Path) -> None:
    save(tmp_path, 5, 8)
    for folder in checkpoint.folders(tmp_path):
        damage(folder / "state.safetensors", "middle bit")
    with pytest.raises(Problem, match=r"None of the 2 checkpoints .* can be read .*deepen train"):
        checkpoint.latest(tmp_path)


def test_half_written_ones_are_swept_away(tmp_path: Path) -> None:
    save(tmp_path, 5)
    shutil.copytree(tmp_path / "step-000000005", tmp_path / ".unfinished-step-000000006")
    found, warnings = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert warnings == []
    assert not list(tmp_path.glob(".unfinished-*"))


def test_an_older_one_goes_only_after_the_new_one_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 2)

    def refuse(folder: Path) -> None:
        raise checkpoint.DamageError("as if the disk lied")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "verify", refuse)
        with pytest.raises(OSError, match="does not read back"):
            save(tmp_path, 3)
    assert [path.name[-1] for path in checkpoint.folders(tmp_path)] == ["3", "2", "1"]


def test_cut_off_while_it_deletes_no_half_checkpoint_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, 2)

    def torn(path: Path, ignore_errors: bool = False) -> None:
        if "step-000000001" in path.name:
            (path / "state.json").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", torn)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 3)
    assert [path.name[-1] for path in checkpoint.folders(tmp_path)] == ["3", "2"]
    for folder in checkpoint.folders(tmp_path):
        checkpoint.verify(folder)
    checkpoint.latest(tmp_path)
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["2", "3"]


@pytest.mark.parametrize("stage", ["mkdir", "save_file", "write_text", "fsync", "rename"])
def test_a_failing_save_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    save(tmp_path, 1, 2)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*arguments: object, **named: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        if stage == "save_file":
            patch.setattr(checkpoint, "save_file", fail)
        elif stage == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr(Path, stage, fail)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 3)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    save(tmp_path, 3)
    found, _ = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.step == 3


def test_replacing_a_folder_is_whole_too(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    checkpoint.write_folder(folder, {"w.safetensors": {"w": torch.zeros(3)}}, {"a.json": "1"})
    checkpoint.write_folder(folder, {"w.safetensors": {"w": torch.ones(3)}}, {"b.json": "2"})
    assert sorted(path.name for path in folder.iterdir()) == ["b.json", "manifest.json", "w.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    checkpoint.verify(folder)


def test_a_replacement_cut_off_between_its_renames_is_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    checkpoint.write_folder(folder, {}, {"a.json": "1"})
    folder.rename(tmp_path / ".unfinished-old-model")
    checkpoint.heal(folder)
    assert (folder / "a.json").read_text() == "1"
    checkpoint.heal(folder)
    checkpoint.verify(folder)


def test_a_reader_that_heals_does_not_break_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone opens the run in the moment between the two renames."""
    folder = tmp_path / "model"
    checkpoint.write_folder(folder, {}, {"a.json": "1"})
    rename, healed = Path.rename, []

    def between(path: Path, target: Path) -> Path:
        if path.name == ".unfinished-model" and not healed:
            healed.append(True)
            checkpoint.heal(folder)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", between)
    checkpoint.write_folder(folder, {}, {"a.json": "2"})
    assert healed
    assert (folder / "a.json").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_text_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    checkpoint.write_text(path, "old")

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            checkpoint.write_text(path, "new")
    assert path.read_text() == "old"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from deepen.engine import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
root = Path(sys.argv[1])
checkpoint.save(root, 1, {"w": torch.zeros(100)}, {"step": 1})
try:
    checkpoint.save(root, 2, {"w": torch.zeros(100_000)}, {"step": 2})
except OSError as error:
    print(checkpoint.no_room(error, root, 400_000))
found, warnings = checkpoint.latest(root)
print(found.step, warnings, sorted(path.name for path in root.iterdir()))
"""


def test_a_system_that_refuses_to_write_more(tmp_path: Path) -> None:
    """A real refusal by the system inside the tensor writer, which reports it in a way of its own."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    said, left = done.stdout.splitlines()
    free = f"{shutil.disk_usage(tmp_path).free:,}"[:3]
    assert said.startswith(f"Could not save to {tmp_path}: File too large (about 400,000 bytes needed, {free}")
    assert left == "1 [] ['step-000000001']"
