from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from deepen.deploy import bundle
from deepen.deploy.convert import Shown, convert, read_names
from deepen.errors import Misuse, Problem
from deepen.models import resnet, squeezenet
from deepen.nn.borrowed import preset
from deepen.pretrained.find import find
from deepen.spec import Category, Spec
from deepen.spec import Image as Pictures
from tests.conftest import Call

SEEN = Shown(size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.25))
NUMBERS = ("--size", "32", "--mean", "0.5,0.4,0.3", "--std", "0.2,0.2,0.25")


def network(classes: int = 5) -> torch.nn.Module:
    torch.manual_seed(3)
    spec = Spec(Pictures(3, 32, 32), Category(tuple(map(str, range(classes)))))
    model = squeezenet.build(spec, squeezenet.Config())
    return model.eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint as training scripts write it."""
    path = tmp_path / "checkpoint.pth"
    named = {f"module.{name}": value for name, value in network().state_dict().items()}
    torch.save({"epoch": 7, "state_dict": named, "optimizer": {"lr": 0.1}}, path)
    return path


def test_a_checkpoint_becomes_a_bundle_that_answers(call: Call, file: Path, tmp_path: Path) -> None:
    names, out = tmp_path / "names.txt", tmp_path / "bundle"
    names.write_text("n02206856 bee\nn02219486 ant, emmet\nn02226429 grasshopper\n蟋蟀\nNA\n", encoding="utf-8")
    done = call(
        "convert", str(file), "--model", "squeezenet1-1", "--names", str(names), "--out", str(out), *NUMBERS, "--json"
    )
    assert done.code == 0, done.err
    state = network().state_dict()
    assert done.json == {
        "path": str(out),
        "format": "bundle",
        "tensors": len(state),
        "parameters": sum(value.numel() for value in state.values()),
        "matched": 1.0,
    }
    assert "without the prefix module." in done.err
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    answer = call("predict", str(out), str(tmp_path / "picture.png"), "--json").json["predictions"][0]
    tensor = (torch.from_numpy(pixels).float() / 255 - torch.tensor(SEEN.mean)) / torch.tensor(SEEN.std)
    with torch.no_grad():
        expected = network()(tensor.permute(2, 0, 1)[None]).softmax(1)[0]
    words = ("bee", "ant, emmet", "grasshopper", "蟋蟀", "NA")
    assert answer["category"] == words[int(expected.argmax())]
    assert dict(answer["top"]) == pytest.approx(dict(zip(words, expected.tolist(), strict=True)), abs=1e-5)
    card = (out / "card.md").read_text(encoding="utf-8")
    assert "nothing was measured" in card
    assert str(file) in card


def test_a_checkpoint_becomes_a_safetensors_file(call: Call, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "in" / "weights.safetensors"
    done = call("convert", str(file), "--out", str(out), *NUMBERS, "--json")
    assert done.code == 0, done.err
    assert done.json["format"] == "safetensors"
    assert done.json["matched"] is None
    with safe_open(out, "pt") as opened:
        assert opened.metadata()["format"] == "pt"
        assert json.loads(opened.metadata()["deepen"])["origin"] == str(file)
    found = find(str(out), "squeezenet1-1")
    assert (found.size, found.mean, found.std, found.origin) == (32, SEEN.mean, SEEN.std, str(file))
    # The file now says itself what has to be given for others.
    again = convert(str(out), tmp_path / "bundle", "squeezenet1-1")
    assert again.matched == 1
    assert bundle.load(tmp_path / "bundle").spec.output == Category(tuple(f"class {number}" for number in range(5)))


def test_the_same_file_gives_the_same_bundle(file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        convert(str(file), tmp_path / name, "squeezenet1-1", SEEN)
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")]
    assert manifests[0] == manifests[1]


def test_resize_and_centre_are_those_of_predict(file: Path, tmp_path: Path) -> None:
    shown = Shown(size=32, resize=40, mean=SEEN.mean, std=SEEN.std)
    convert(str(file), tmp_path / "bundle", "squeezenet1-1", shown)
    model = bundle.load(tmp_path / "bundle")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cut = model.logits([pixels[4:36, 14:46]])
    torch.testing.assert_close(model.logits([Image.fromarray(pixels)]), cut)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--out", "x"], "expected a name that ends in .safetensors, or with --model", 2),
        (["--out", "x.safetensors", "--model", "squeezenet1-1"], "a bundle is written, which is a folder", 2),
        (["--out", "x", "--model", "squeeznet1-1"], "Did you mean 'squeezenet1-1'", 2),
        (["--out", "x", "--model", "squeezenet1-1"], "give --size", 2),
        (["--out", "x", "--model", "squeezenet1-1", "--size", "32"], "--mean 0.485,0.456,0.406", 2),
        (["--out", "x", "--model", "squeezenet1-1", "--size", "0"], "--size 0 is out of range", 2),
        (["--out", "x", "--model", "squeezenet1-1", *NUMBERS, "--resize", "8"], "--resize 8 is less than", 2),
        (["--out", "x", "--model", "squeezenet1-1", "--mean", "0.5"], "--mean and --std belong together", 2),
        (["--out", "x.safetensors", "--mean", "0.5", "--std", "0"], "all above 0", 2),
        (["--out", "x.safetensors", "--mean", "much", "--std", "1"], "--mean=much is not usable", 2),
        (
            ["--out", "x", "--model", "squeezenet1-1", "--mean", "0.4,0.5", "--std", "0.2,0.3"],
            "expected 1 number for grey",
            2,
        ),
        (
            ["--out", "x", "--model", "squeezenet1-1", "--size", "32", "--mean", "0.4", "--std", "0.2"],
            "needs 3, with as",
            2,
        ),
        (["--out", "x", "--model", "detector"], "--model detector is not for classify", 2),
        (["--out", "x", "--model", "resnet18", *NUMBERS], "Nothing in the weights from", 1),
        (["--out", "x", "--model", "squeezenet1-1", *NUMBERS, "--names", "two.txt"], "There are 2 names", 2),
        (["--out", "x", "--model", "squeezenet1-1", *NUMBERS, "--names", "gone.txt"], "cannot be read: No such", 1),
        (["--out", "checkpoint.pth"], "exists already", 2),
        ([], "--out", 2),
    ],
)
def test_what_cannot_be_converted_is_said(
    words: list[str], said: str, code: int, call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    Path("two.txt").write_text("a\nb\n")
    done = call("convert", "checkpoint.pth", *words)
    assert done.code == code, done.err
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not Path("x").exists()


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_what_others_made_is_safe_to_convert(call: Call, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": Evil(tmp_path / "mark")}}, tmp_path / "evil.pth")
    (tmp_path / "notes.pth").write_text("these are no weights")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    for name in ("evil.pth", "notes.pth", "cut.safetensors", ".", "gone.pt"):
        done = call("convert", str(tmp_path / name), "--out", str(tmp_path / "out.safetensors"))
        assert done.code in (1, 2)
        assert done.err.count("\n") == 1, done.err
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_without_a_head_is_said(file: Path, tmp_path: Path) -> None:
    body = {name: value for name, value in network().state_dict().items() if not name.startswith("classifier")}
    torch.save(body, tmp_path / "body.pt")
    with pytest.raises(Problem, match="has no head for squeezenet1-1"):
        convert(str(tmp_path / "body.pt"), tmp_path / "out", "squeezenet1-1", SEEN)


def test_half_a_network_needs_permission(file: Path, tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({name: value for name, value in state.items() if "features.12" not in name}, tmp_path / "half.pt")
    with pytest.raises(Problem, match=r"Only .* --allow-partial"):
        convert(str(tmp_path / "half.pt"), tmp_path / "out", "squeezenet1-1", SEEN)
    done = convert(str(tmp_path / "half.pt"), tmp_path / "out", "squeezenet1-1", SEEN, allow_partial=True)
    assert done.matched is not None
    assert 0.5 < done.matched < 0.95


@pytest.mark.parametrize(
    ("gone", "layers"),
    [
        (r"conv1\.weight", "conv1"),
        (r".*running_var", "bn1, layer1.0.bn1, layer1.0.bn2"),
        (r"linear\.bias", "linear"),
    ],
)
def test_a_few_layers_at_random_need_permission_too(gone: str, layers: str, tmp_path: Path) -> None:
    """They are less than a hundredth of the numbers, and make all that comes after them worthless."""
    spec = Spec(Pictures(3, 32, 32), Category(("a", "b", "c")))
    state = resnet.build(spec, preset("resnet20")).state_dict()
    torch.save({name: value for name, value in state.items() if not re.match(gone, name)}, tmp_path / "less.pt")
    with pytest.raises(Problem, match=rf"never trained: .*{gone}.*--allow-partial"):
        convert(str(tmp_path / "less.pt"), tmp_path / "out", "resnet20", SEEN)
    assert not (tmp_path / "out").exists()
    done = convert(str(tmp_path / "less.pt"), tmp_path / "out", "resnet20", SEEN, allow_partial=True)
    for text in (done.sentence, (tmp_path / "out" / "card.md").read_text(encoding="utf-8")):
        assert f"Never trained, at random: {layers}" in text


def test_the_first_layers_follow_the_weights_and_not_the_size(tmp_path: Path) -> None:
    """Up to 64 pixels the network would else take its form for small pictures, whose first filters are of another shape."""
    spec = Spec(Pictures(3, 224, 224), Category(("a", "b", "c")))
    torch.manual_seed(5)
    whole = squeezenet.build(spec, preset("squeezenet1-0")).eval()
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    convert(str(tmp_path / "whole.pt"), tmp_path / "out", "squeezenet1-0", Shown(64, None, SEEN.mean, SEEN.std))
    model = bundle.load(tmp_path / "out")
    assert model.spec.input == Pictures(3, 64, 64)
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.module(pictures), whole(pictures))


@pytest.mark.parametrize("channels", [(2, None), (4, 4)])
def test_channels_that_no_picture_has(channels: tuple[int, int | None], tmp_path: Path) -> None:
    number, filters = channels
    state = network().state_dict()
    if filters is None:
        facts = {"size": 32, "mean": [0.5] * number, "std": [0.2] * number}
        save_file(state, tmp_path / "w.safetensors", metadata={"deepen": json.dumps(facts)})
    else:
        state["features.0.weight"] = torch.zeros(64, filters, 3, 3)
        save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(Problem, match="of 2 channels: .* needs 3" if filters is None else "looks at 4 channels"):
        convert(str(tmp_path / "w.safetensors"), tmp_path / "out", "squeezenet1-1", SEEN if filters else None)


def test_weights_that_are_not_finite_are_said_to_be_so(tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.pt")
    with pytest.raises(Problem, match=r"NaN or infinite numbers \(in a\)"):
        convert(str(tmp_path / "nan.pt"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_imagenet_needs_the_name_of_a_network(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="name one with --model"):
        convert("imagenet", tmp_path / "out.safetensors")


def test_names_of_classes_are_read_with_and_without_numbers(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffn02012849 crane\r\nn03126707 crane\r\ncrane\r\n10\r\n\r\n".encode())
    assert read_names(path) == ("crane (n02012849)", "crane (n03126707)", "crane (3)", "10")
    for content, said in ((b"", "it is empty"), (b"a\n\nb\n", "line 2 is empty"), (b"\xff\xfe\x00a", "UTF-8")):
        path.write_bytes(content)
        with pytest.raises(Problem, match=said):
            read_names(path)
