from __future__ import annotations

import hashlib
import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from deepen.errors import Misuse, Problem
from deepen.pretrained import hub
from deepen.pretrained.find import find
from tests.pretrained.conftest import Server, numbers, small

COMMIT = "a" * 40
WEIGHTS = save(numbers(small(seed=4)))
TIMM = {
    "architecture": "resnet18",
    "pretrained_cfg": {
        "input_size": [3, 32, 32],
        "crop_pct": 0.95,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
    },
    "label_names": ["n1", "n2", "n3"],
    "label_descriptions": {"n1": "tench", "n2": "goldfish"},
}


def git_sum(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def publish(server: Server, contents: dict[str, bytes], name: str = "some/net") -> list[dict[str, Any]]:
    """Lay a repository on the server; what its listing says of each file."""
    siblings = []
    for path, content in contents.items():
        entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_sum(content)}
        if len(content) > 5000:
            entry["blobId"] = "b" * 40
            entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        siblings.append(entry)
        server.pages[f"/{name}/resolve/{COMMIT}/{path}"] = content
    listing = {"sha": COMMIT, "siblings": siblings}
    server.pages[f"/api/models/{name}/revision/main?blobs=true"] = json.dumps(listing).encode()
    return siblings


def offline(request: Any) -> Any:
    raise urllib.error.URLError("Name or service not known")


def test_a_repository_is_fetched_once_with_what_it_says_of_its_pictures(server: Server) -> None:
    publish(server, {"model.safetensors": WEIGHTS, "config.json": json.dumps(TIMM).encode(), "README.md": b"x"})
    first = find("hf:some/net", "resnet18", transport=server.transport)
    assert len(server.asked) == 3, "a listing, the weights and what is known of them"
    again = find("hf:some/net", "resnet18", named=False, transport=offline)
    for found in (first, again):
        assert found.origin == "hf:some/net"
        assert found.digest == hashlib.sha256(WEIGHTS).hexdigest()
        assert torch.equal(found.tensors["conv1.weight"], numbers(small(seed=4))["conv1.weight"])
        assert (found.size, found.resize) == (32, 33)
        assert found.mean == (0.5, 0.4, 0.3)
        assert found.names == ("tench", "goldfish", "n3")


def test_one_file_of_several_is_named(server: Server) -> None:
    publish(server, {"a.safetensors": WEIGHTS, "in/b.safetensors": WEIGHTS})
    with pytest.raises(Misuse, match=r"it has a\.safetensors, in/b\.safetensors: give one as hf:some/net/FILE"):
        find("hf:some/net", "resnet18", transport=server.transport)
    with pytest.raises(Misuse, match=r"has no c\.safetensors"):
        find("hf:some/net/c.safetensors", "resnet18", transport=server.transport)
    assert "conv1.weight" in find("hf:some/net/in/b.safetensors", "resnet18", transport=server.transport).tensors
    assert "conv1.weight" in find("hf:some/net/in/b.safetensors", "resnet18", transport=offline).tensors


def test_the_only_safetensors_file_is_the_one(server: Server) -> None:
    publish(server, {"net.safetensors": WEIGHTS})
    assert "conv1.weight" in find("hf:some/net", "resnet18", transport=server.transport).tensors


def test_older_repositories_have_a_file_of_torch(server: Server, tmp_path: Path) -> None:
    torch.save(numbers(small(seed=4)), tmp_path / "w.bin")
    publish(server, {"pytorch_model.bin": (tmp_path / "w.bin").read_bytes()})
    assert "conv1.weight" in find("hf:some/net", "resnet18", transport=server.transport).tensors


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_a_wrong_sum_is_refused(path: str, server: Server) -> None:
    publish(server, {"model.safetensors": WEIGHTS, "config.json": b'{"a": 1}'})
    page = f"/some/net/resolve/{COMMIT}/{path}"
    server.pages[page] = server.pages[page][:-1] + b" "
    with pytest.raises(Problem, match=r"it has (SHA-256|git sum) [0-9a-f]+, expected"):
        find("hf:some/net", "resnet18", transport=server.transport)
    with pytest.raises(Problem, match="not reached"):
        find("hf:some/net", "resnet18", transport=offline)


@pytest.mark.parametrize(
    "change",
    [
        {"rfilename": "../../evil.safetensors"},
        {"rfilename": "/etc/evil.safetensors"},
        {"blobId": "../../../evil"},
        {"lfs": {"sha256": "../../evil"}},
        {"size": "many"},
        {"blobId": None},
    ],
)
def test_a_listing_that_leads_out_of_the_cache_is_refused(change: dict[str, Any], server: Server) -> None:
    siblings = publish(server, {"model.safetensors": WEIGHTS})
    listing = {"sha": COMMIT, "siblings": [siblings[0] | change]}
    server.pages["/api/models/some/net/revision/main?blobs=true"] = json.dumps(listing).encode()
    with pytest.raises(Problem, match="something else than a list of files"):
        find("hf:some/net", "resnet18", transport=server.transport)


@pytest.mark.parametrize("text", ["hf:", "hf:one", "hf:../x", "hf:a/..", "hf:a/b/../c", "hf:a b/c", "hf:/a/b"])
def test_what_is_no_name_of_a_repository_is_a_misuse(text: str) -> None:
    with pytest.raises(Misuse, match="expected hf:owner/name"):
        find(text, "resnet18", transport=offline)


def test_what_is_not_there_or_not_for_everyone_is_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match=r"no model hf:some/none .*\(HTTP 404\).*HF_TOKEN"):
        find("hf:some/none", "resnet18", transport=server.transport)
    server.pages["/api/models/some/net/revision/main?blobs=true"] = b"<html>"
    with pytest.raises(Problem, match="something else than a list"):
        find("hf:some/net", "resnet18", transport=server.transport)
    with pytest.raises(Problem, match=r"was not reached for hf:some/net \(Name or service not known\)"):
        find("hf:some/net", "resnet18", transport=offline)
    publish(server, {"README.md": b"x"})
    with pytest.raises(Misuse, match="it has no file of weights"):
        find("hf:some/net", "resnet18", transport=server.transport)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Problem, match="HF_HUB_OFFLINE is set"):
        find("hf:some/net", "resnet18", transport=server.transport)


def test_another_endpoint_and_a_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def transport(request: Any) -> Any:
        asked.append(request.full_url)
        assert request.headers.get("Authorization") is None, "it would follow a redirection"
        return server.transport(request)

    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", "secret")
    publish(server, {"model.safetensors": WEIGHTS})
    find("hf:some/net", "resnet18", transport=transport)
    assert all(address.startswith("https://mirror.example/") for address in asked)
    assert {token for _, token in server.asked} == {"Bearer secret"}
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    with pytest.raises(Misuse, match="not an https address"):
        find("hf:some/other", "resnet18", transport=transport)


def test_the_cache_of_the_hubs_own_library_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = tmp_path / "hf" / "hub" / "models--some--net"
    blob = folder / "blobs" / hashlib.sha256(WEIGHTS).hexdigest()
    for path in (blob, folder / "refs" / "main", folder / "snapshots" / COMMIT / "x"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(WEIGHTS)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT / "model.safetensors").symlink_to(Path("../../blobs") / blob.name)
    assert "conv1.weight" in find("hf:some/net", "resnet18", transport=offline).tensors
    blob.write_bytes(WEIGHTS[:-1] + b"x")
    with pytest.raises(Problem, match="not reached"):
        find("hf:some/net", "resnet18", transport=offline)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"size": 224, "crop_pct": 0.875, "image_mean": [0.485] * 3, "image_std": [0.229] * 3},
            {"size": 224, "resize": 256, "mean": [0.485] * 3},
        ),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True},
            {"size": 224, "resize": 256},
        ),
        (
            {"size": {"height": 384, "width": 384}, "do_center_crop": False, "crop_size": 224},
            {"size": 384, "resize": None},
        ),
        ({"input_size": [3, 224, 224], "crop_pct": 1.0, "mean": [0, 0, 0]}, {"size": 224, "resize": None}),
        ({"id2label": {"0": "cat", "1": "dog"}}, {"names": ["cat", "dog"]}),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, {"names": None}),
        ({"size": "large", "crop_pct": "x", "id2label": 3, "label_names": "ab"}, {"resize": None}),
        ({}, {"size": None, "resize": None, "mean": None, "names": None}),
    ],
)
def test_what_configurations_say_of_pictures(config: dict[str, Any], expected: dict[str, Any]) -> None:
    shown = hub.shown(config)
    assert {name: shown[name] for name in expected} == expected


def lay(root: Path, contents: dict[str, bytes], *, broken: bool = False, without: tuple[str, ...] = ()) -> Path:
    """Files of some/net as the hub's own library keeps them: the weights by their SHA-256, the rest by git's sum."""
    folder = root / "models--some--net"
    snapshot = folder / "snapshots" / COMMIT
    for made in (snapshot, folder / "refs", folder / "blobs", folder / ".no_exist" / COMMIT):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for name, content in contents.items():
        blob = folder / "blobs" / (hashlib.sha256(content).hexdigest() if len(content) > 5000 else git_sum(content))
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    if broken:
        (folder / "blobs" / ("c" * 64 + ".incomplete")).write_bytes(b"half")
    for name in without:
        (folder / ".no_exist" / COMMIT / name).touch()
    return snapshot


BERT = json.dumps({"model_type": "bert", "vocab_size": 9}).encode()
PARTIAL: list[tuple[dict[str, bytes], bool, str]] = [
    ({"model.safetensors": WEIGHTS, "config.json": BERT}, False, "lacks its tokenizer"),
    ({"model.safetensors": WEIGHTS, "config.json": BERT, "vocab.json": b"{}"}, False, "lacks its tokenizer"),
    ({"model.safetensors": WEIGHTS, "vocab.txt": b"a"}, False, r"lacks config\.json"),
    ({"config.json": json.dumps(TIMM).encode()}, False, "lacks a file of weights"),
    ({"model-00001-of-00002.safetensors": WEIGHTS}, False, "lacks a file of weights"),
    ({"model.safetensors": WEIGHTS}, True, r"lacks config\.json and preprocessor_config\.json"),
    ({"model.safetensors": WEIGHTS, "config.json": b"{}"}, True, r"lacks preprocessor_config\.json"),
]


@pytest.mark.parametrize(("contents", "broken", "said"), PARTIAL)
def test_what_broke_off_is_fetched_again(
    contents: dict[str, bytes],
    broken: bool,
    said: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the cache of the hub's own library, which leaves there what it has."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    lay(tmp_path / "theirs", contents, broken=broken)
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(Problem, match=rf"hf:some/net does not lie whole .* HF_HUB_OFFLINE is set: .*{said}\.$"):
            find("hf:some/net", "resnet18", transport=offline)
    publish(server, {"model.safetensors": WEIGHTS, "config.json": json.dumps(TIMM).encode()})
    assert find("hf:some/net", "resnet18", transport=server.transport).size == 32
    assert find("hf:some/net", "resnet18", named=False, transport=offline).size == 32, "what was fetched is whole"


@pytest.mark.parametrize(
    ("contents", "broken", "without"),
    [
        ({"model.safetensors": WEIGHTS}, False, ()),
        ({"model.safetensors": WEIGHTS}, True, ("config.json", "preprocessor_config.json")),
        ({"model.safetensors": WEIGHTS, "config.json": json.dumps(TIMM).encode()}, True, ()),
        ({"model-00001-of-00001.safetensors": WEIGHTS}, False, ()),
    ],
)
def test_what_is_whole_is_not_fetched(
    contents: dict[str, bytes],
    broken: bool,
    without: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever else broke off, or the repository has none of."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    lay(tmp_path / "theirs", contents, broken=broken, without=without)
    assert "conv1.weight" in find("hf:some/net", "resnet18", transport=offline).tensors


def test_a_file_that_left_its_name_behind_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = lay(tmp_path / "theirs", {"model.safetensors": WEIGHTS, "config.json": json.dumps(TIMM).encode()})
    (snapshot / "config.json").resolve().unlink()
    with pytest.raises(Problem, match=r"lacks config\.json"):
        find("hf:some/net", "resnet18", transport=offline)


def test_what_our_own_cache_lacks_is_known_from_the_listing(server: Server, alone: Path) -> None:
    publish(server, {"model.safetensors": WEIGHTS, "preprocessor_config.json": b"{}"})
    find("hf:some/net", "resnet18", transport=server.transport)
    (snapshot,) = alone.glob("deepen/weights/hub/models--some--net/snapshots/*")
    (snapshot / "preprocessor_config.json").unlink()
    with pytest.raises(Problem, match=r"does not lie whole .* lacks preprocessor_config\.json"):
        find("hf:some/net", "resnet18", named=False, transport=offline)
    find("hf:some/net", "resnet18", transport=server.transport)
    assert (snapshot / "preprocessor_config.json").is_file()
