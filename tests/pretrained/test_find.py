from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from deepen.errors import Misuse, Problem
from deepen.pretrained import files, published
from deepen.pretrained.find import find
from deepen.pretrained.published import File
from tests.pretrained.conftest import Server, numbers, small


def never(request: Any) -> Any:
    pytest.fail(f"{request.full_url} was asked")


def saved() -> bytes:
    content = io.BytesIO()
    torch.save(numbers(small(seed=4)), content)
    return content.getvalue()


CONTENT = saved()
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=[64, 8])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> File:
    """A published file of a network called tiny, whose sum is known whole or in part."""
    file = File(
        "tiny.pth",
        SUM[: request.param],
        "imagenet (somebody)",
        "https://example.org/models/tiny.pth",
        size=24,
        resize=28,
    )
    monkeypatch.setitem(published.FILES, "tiny", (file,))
    return file


def test_every_published_network_is_in_the_registry_and_its_name_carries_its_sum() -> None:
    from deepen import registry

    known = registry.entries("model")
    for model, candidates in published.FILES.items():
        assert model in known
        first = candidates[0]
        assert first.name == f"{first.name.rpartition('-')[0]}-{first.sha256[:8]}.pth"
        assert first.address == f"https://download.pytorch.org/models/{first.name}"
        assert len(first.sha256) in (8, 64)
        assert first.size == 224
        assert ("first 8 digits" in first.said) == (len(first.sha256) == 8)


def test_a_published_file_is_fetched_once_and_converted(table: File, server: Server, alone: Path) -> None:
    server.pages["/models/tiny.pth"] = CONTENT
    first = find("imagenet", "tiny", transport=server.transport)
    kept = sorted(path.name for path in (alone / "deepen" / "weights").iterdir())
    assert kept == ["tiny.safetensors", "tiny.sha256"], "what is a pickle does not stay"
    again = find("imagenet", "tiny", named=False, transport=never)
    for found in (first, again):
        assert found.digest == SUM
        assert (found.size, found.resize, found.mean) == (24, 28, published.MEAN)
        assert found.origin.startswith("imagenet (somebody)")
        assert torch.equal(found.tensors["conv1.weight"], numbers(small(seed=4))["conv1.weight"])
    header = files.read(alone / "deepen" / "weights" / "tiny.safetensors").facts
    assert header["sha256"] == SUM
    assert header["size"] == 24


def test_a_converted_file_that_was_damaged_is_made_again(table: File, server: Server, alone: Path) -> None:
    server.pages["/models/tiny.pth"] = CONTENT
    find("imagenet", "tiny", transport=server.transport)
    kept = alone / "deepen" / "weights" / "tiny.safetensors"
    content = kept.read_bytes()
    for number, damaged in enumerate((content[:-1] + b"x", content[:50], b"")):
        kept.write_bytes(damaged)
        find("imagenet", "tiny", transport=server.transport)
        assert len(server.asked) == 2 + number


def test_a_wrong_sum_is_refused_before_anything_is_parsed(
    table: File, server: Server, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/models/tiny.pth"] = CONTENT[:-1] + b"x"
    monkeypatch.setattr(files, "read", lambda path: pytest.fail("it was parsed"))
    with pytest.raises(Problem, match=rf"it has SHA-256 [0-9a-f]{{64}}, expected (one that begins with )?{SUM[:8]}"):
        find("imagenet", "tiny", transport=server.transport)
    assert list((alone / "deepen" / "weights").iterdir()) == []


def test_nothing_that_only_has_the_name_is_parsed(
    table: File, alone: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = alone / "deepen" / "weights" / "tiny.pth"
    lying.parent.mkdir(parents=True)
    lying.write_bytes(b"something else")
    seen: list[bytes] = []
    real = files.read
    monkeypatch.setattr(files, "read", lambda path: (seen.append(path.read_bytes()), real(path))[1])
    server.pages["/models/tiny.pth"] = CONTENT
    assert find("imagenet", "tiny", transport=server.transport).digest == SUM
    assert seen == [CONTENT]


@pytest.mark.parametrize("place", ["data", "torch", "cache"])
def test_what_already_lies_here_is_taken(
    place: str, table: File, tmp_path: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = {
        "data": tmp_path / "data" / "weights" / "some" / "where",
        "torch": tmp_path / "torch" / "hub" / "checkpoints",
        "cache": alone / "deepen" / "weights",
    }[place]
    folder.mkdir(parents=True)
    (folder / "tiny.pth").write_bytes(CONTENT)
    assert find("imagenet", "tiny", named=False, transport=never).digest == SUM


def test_nothing_is_downloaded_that_was_not_asked_for(table: File, alone: Path) -> None:
    (alone / "deepen" / "weights").mkdir(parents=True)
    wrong = alone / "deepen" / "weights" / "tiny.pth"
    torch.save(numbers(small(seed=5)), wrong)
    with pytest.raises(Problem, match=r"only downloaded where they are asked for by name") as caught:
        find("imagenet", "tiny", named=False, transport=never)
    assert f"{wrong} is not the published file" in str(caught.value)


def test_without_a_network_the_place_for_the_file_is_said(table: File, alone: Path) -> None:
    def offline(request: Any) -> Any:
        raise OSError("Network is unreachable")

    with pytest.raises(Problem, match=rf"Network is unreachable.*put the file at '{alone}.*tiny\.pth' by hand"):
        find("imagenet", "tiny", transport=offline)


def test_a_published_file_is_known_whatever_it_is_called(table: File, tmp_path: Path) -> None:
    (tmp_path / "mine.th").write_bytes(CONTENT)
    found = find(str(tmp_path / "mine.th"), "other")
    assert (found.size, found.mean) == (24, published.MEAN)


def test_of_an_unknown_file_nothing_is_guessed(tmp_path: Path) -> None:
    torch.save(numbers(small(seed=6)), tmp_path / "mine.pt")
    found = find(str(tmp_path / "mine.pt"), "other")
    assert (found.size, found.resize, found.mean, found.std, found.names) == (None,) * 5
    assert found.origin == str(tmp_path / "mine.pt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imagnet", "Did you mean 'imagenet'"),
        ("timm/resnet18", "Did you mean 'hf:timm/resnet18'"),
        ("runs/none.pt", "There are no weights at 'runs/none.pt'"),
    ],
)
def test_names_of_nothing_are_a_misuse(text: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        find(text, "resnet18", transport=never)


def test_networks_without_published_weights_are_a_misuse() -> None:
    with pytest.raises(Misuse, match=r"no network with published ImageNet weights named 'lenet'"):
        find("imagenet", "lenet", transport=never)


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no run with a best model, nor a bundle"):
        find(str(tmp_path), "resnet18")


def test_a_run_and_its_bundle_give_their_weights_and_their_preprocessing(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    facts = json.loads((trained["pictures"] / "model" / "bundle.json").read_text())
    for path in (trained["pictures"], trained["pictures"] / "model"):
        found = find(str(path), "cnn")
        assert found.size == 16
        assert found.mean == tuple(facts["preprocess"]["mean"])
        assert found.names == ("green", "red")
        assert found.origin == str(path)
    assert find(str(trained["table"]), "mlp").mean is None
    copy = tmp_path / "bundle"
    shutil.copytree(trained["pictures"] / "model", copy)
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(Problem, match="is not what was written"):
        find(str(copy), "cnn")
    (copy / "bundle.json").write_text("{}")
    with pytest.raises(Problem, match="damaged run or bundle"):
        find(str(copy), "cnn")
