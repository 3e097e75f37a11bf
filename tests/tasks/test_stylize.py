from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from torch import Tensor, nn

import deepen
from deepen import Run, registry
from deepen.data import pixels
from deepen.data.dataset import Columns
from deepen.data.pixels import ImagePreprocess
from deepen.errors import Misuse, Problem
from deepen.models import canvas, squeezenet, stylenet
from deepen.nn.backbone import Backbone
from deepen.nn.borrowed import borrowed
from deepen.spec import Category, Image, Nothing, Spec, Table
from deepen.tasks import perceptual, stylize
from deepen.tasks.perceptual import Seen, Style, content_distance, gram, variation
from tests.models.built import build
from tests.samples.loose import make, style

SIDE = 48
SPEC = Spec(Image(3, SIDE, SIDE), Nothing())
SHORT: dict[str, Any] = {"plan": "fp32", "device": "cpu", "fit.batch_size": 4}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def seen() -> Seen:
    torch.manual_seed(0)
    network = squeezenet.build(Spec(Image(3, 64, 64), Category(("a", "b"))), squeezenet.Config(stem="imagenet"))
    return Seen(network, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def stripes(count: int = 6, *, side: int = SIDE, seed: int = 0) -> Tensor:
    """Pictures with stripes of random colours, uint8 [count, side, side, 3]."""
    draws = np.random.default_rng(seed)
    colours = draws.integers(0, 256, (count, side // 4, 1, 3), dtype=np.uint8).repeat(4, 1).repeat(side, 2)
    return torch.from_numpy(colours)


def studied(count: int = 6, **settings: Any) -> tuple[stylize.Stylize, Columns, ImagePreprocess]:
    names = {key.partition(".")[2]: value for key, value in style().items()}
    task = stylize.build(SPEC, stylize.Config(**{**names, **settings}))
    columns = Columns({"input": stripes(count)})
    preprocess = ImagePreprocess.fit(columns["input"])
    return task, columns, preprocess


def test_gram_is_the_mean_of_products() -> None:
    maps = torch.randn(2, 3, 4, 5)
    found = gram(maps)
    for picture in range(2):
        for one in range(3):
            for other in range(3):
                expected = (maps[picture, one] * maps[picture, other]).mean()
                assert found[picture, one, other] == pytest.approx(float(expected), abs=1e-6)


def test_style_does_not_mind_where_things_are(seen: Seen) -> None:
    pictures = stripes(3).permute(0, 3, 1, 2).float() / 255
    own = Style(seen, pictures[:1])
    distances = own.distance(pictures, seen.maps(pictures))
    assert distances[0] < 1e-8
    assert (distances[1:] > 1e-3).all()
    # Bands in another order: the same stripes elsewhere.
    moved = torch.cat([pictures[:1, :, 24:], pictures[:1, :, :24]], dim=2)
    there = own.distance(moved, seen.maps(moved))
    assert there < 0.2 * distances[1:].min()
    maps, at = seen.maps(pictures[:1]), seen.places.index(seen.content)
    assert content_distance(maps[at], maps[at]) == 0
    assert content_distance(seen.maps(moved)[at], maps[at]) > 0.01


def test_variation() -> None:
    picture = torch.zeros(1, 3, 4, 4)
    assert variation(picture) == 0
    picture[..., ::2] = 1
    assert variation(picture) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["squeezenet1-1", "resnet18"])
def test_maps_are_those_of_the_network_and_the_rest_of_it_is_let_go(name: str) -> None:
    image = Image(3, 224, 224)
    whole = build(name, Spec(image, Category(("a", "b"))))
    assert isinstance(whole, Backbone)
    torch.manual_seed(0)
    network = borrowed(name, image, "auto")
    assert sum(map(torch.numel, network.parameters())) < sum(map(torch.numel, whole.parameters()))
    x = torch.randn(1, 3, 64, 64)
    maps = zip(network.eval().maps(x), whole.eval().maps(x), strict=True)
    assert all(torch.equal(one, other) for one, other in maps)
    seen = Seen(network, (0.0,), (1.0,))
    assert max(network.strides[place] for place in seen.places) == 8
    assert network.strides[seen.content] == 4
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_network_that_compares_is_no_part_of_the_model() -> None:
    task, columns, preprocess = studied()
    model = stylenet.build(SPEC, stylenet.Config(width=4, blocks=1))
    assert list(task.parts(model).values()) == [model]
    task.study(columns, preprocess)
    assert "network" not in " ".join(model.state_dict())
    assert not set(map(id, task._seen.network.parameters())) & set(map(id, model.parameters()))  # type: ignore[union-attr]


class Once:
    """What the engine hands to `step`."""

    step = 0

    def __init__(self, model: nn.Module, lr: float) -> None:
        self.optimizer = torch.optim.Adam(model.parameters(), lr)

    def __call__(self, loss: Tensor, part: str = "model") -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def test_a_network_learns_and_everything_is_measured() -> None:
    task, columns, preprocess = studied()
    torch.manual_seed(0)
    model = stylenet.build(SPEC, stylenet.Config(width=4, blocks=1))
    task.parts(model)
    task.study(columns, preprocess)
    batch = {"input": preprocess.tensor(columns["input"])}
    with torch.no_grad():
        before = task.measure(task.score(model, batch))
    update = Once(model, 0.002)
    numbers = [task.step(model, batch, update) for _ in range(12)]
    with torch.no_grad():
        rows = task.score(model, batch)
        alone = task.score(model, {"input": batch["input"][2:3]})
    metrics = task.measure(rows)
    assert set(metrics) == set(numbers[0]) == set(task.baseline(rows)) == {"loss", "content", "style", "tv"}
    assert metrics["loss"] < before["loss"]
    config = task.config
    parts = (
        config.style_weight * metrics["style"]
        + config.content_weight * metrics["content"]
        + config.tv_weight * metrics["tv"]
    )
    assert metrics["loss"] == pytest.approx(parts, rel=1e-5)
    assert all(rows[name][2] == pytest.approx(float(alone[name]), rel=1e-3, abs=1e-6) for name in rows)
    plain = task.baseline(rows)
    assert plain["content"] == 0
    assert plain["style"] > metrics["style"]
    drawn = task.drawn(model, batch["input"])
    assert drawn.shape == (6, SIDE, SIDE, 3)
    assert drawn.dtype == torch.uint8
    assert task.examples(model, columns, preprocess, 4).shape == (4, 3, SIDE, SIDE)
    assert task.preview(model)["stylised"].shape == (2 * SIDE, 4 * SIDE, 3)
    assert torch.equal(task.preview(model)["stylised"][:SIDE, :SIDE], columns["input"][0])
    large = task.transform(model, preprocess, stripes(1, side=80))
    assert large.shape == (1, 80, 80, 3)
    same = task.transform(model, preprocess, columns["input"])
    assert torch.equal(same, drawn)


def test_a_canvas_begins_with_its_picture_and_follows_the_loss() -> None:
    task, columns, preprocess = studied(count=1)
    model = canvas.build(SPEC, canvas.Config())
    task.parts(model)
    task.study(columns, preprocess)
    batch = {"input": preprocess.tensor(columns["input"])}
    begun = (task.generate(model, 1, 0).int() - columns["input"].int()).abs().max()
    assert begun <= 1 + 255 * canvas.DARKEST
    with torch.no_grad():
        before = task.measure(task.score(model, batch))["loss"]
    update = Once(model, 0.05)
    for _ in range(20):
        task.step(model, batch, update)
    with torch.no_grad():
        after = task.measure(task.score(model, batch))["loss"]
    assert after < 0.7 * before
    assert task.preview(model)["canvas"].shape == (SIDE, SIDE, 3)
    task.parts(model)  # the engine asks again, which must not bring the picture back
    with torch.no_grad():
        assert task.measure(task.score(model, batch))["loss"] == after
    with pytest.raises(Problem, match="leave the pictures out"):
        task.transform(model, preprocess, columns["input"])


def test_a_canvas_takes_one_picture_only() -> None:
    task, columns, preprocess = studied(count=3)
    task.parts(canvas.build(SPEC, canvas.Config()))
    with pytest.raises(Problem, match=r"one picture and this data holds 3.*stylenet"):
        task.study(columns, preprocess)


def test_what_does_not_suit_is_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no pictures but a table"):
        stylize.build(Spec(Table(("a",)), Nothing()), stylize.Config())
    for name in ("style_weight", "content_weight", "tv_weight"):
        with pytest.raises(Misuse, match=f"task.{name}"):
            stylize.build(SPEC, stylize.Config(**{name: -1}))
    with pytest.raises(Misuse, match=r"task\.style_size"):
        stylize.build(SPEC, stylize.Config(style_size=3))
    task, columns, preprocess = studied(style=None)
    with pytest.raises(Misuse, match=r"task\.style=PICTURE"):
        task.study(columns, preprocess)
    with pytest.raises(Problem, match="--model stylenet"):
        task.parts(nn.Linear(2, 2))
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    for path, words in ((tmp_path / "text.png", "not a picture"), (tmp_path / "gone.png", "no picture at")):
        task, columns, preprocess = studied(style=str(path))
        with pytest.raises(Problem, match=words):
            task.study(columns, preprocess)
    for options, words in (
        ({"features": "no-such"}, "no-such"),
        ({"features": "mlp"}, "offers its maps"),
        ({"features": "quickcnn"}, "offers its maps"),
        ({"features": "auto"}, r"task\.features"),
        ({"features": "squeezenet1-0"}, "(network's numbers|fits the network).*Name with task.features[^,]*$"),
        ({"features": "lenet", "weights": "imagenet"}, r"task\.features=lenet: .*task\.weights"),
    ):
        task, columns, preprocess = studied(**options)
        with pytest.raises(Problem, match=words):
            task.study(columns, preprocess)
    task, _, _ = studied()
    small = stripes(2, side=16)
    with pytest.raises(Problem, match="at least 32x32"):
        task.study(Columns({"input": small}), ImagePreprocess.fit(small))
    grey = stripes(2)[..., :1].contiguous()
    with pytest.raises(Problem, match=r"data\.channels=3"):
        task.study(Columns({"input": grey}), ImagePreprocess.fit(grey))


def test_without_weights_on_the_machine_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Problem, match=r"task\.features=vgg19 downloads"):
        perceptual.seen_by("auto", "imagenet")


class AnswersClasses(nn.Module):
    draws = "any"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layer(x.mean((2, 3)))
        return answer


def test_a_model_that_answers_something_else_is_told() -> None:
    task, columns, preprocess = studied()
    task.study(columns, preprocess)
    model = AnswersClasses()
    with pytest.raises(Problem, match=r"pictures \[2, 3, 48, 48\], not \[2, 2\]"):
        task.step(model, {"input": preprocess.tensor(columns["input"][:2])}, Once(model, 0.1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run of two epochs, and what it learnt from."""
    root = tmp_path_factory.mktemp("stylised")
    source = make(root)
    settings = {**SHORT, **style(), "model.width": 4, "fit.epochs": 2}
    return deepen.train(source, task="stylize", runs=root / "runs", **settings), source


def test_pictures_files_and_folders_are_drawn(trained: tuple[Run, str], call: Any, tmp_path: Path) -> None:
    run, _ = trained
    new = tmp_path / "new"
    new.mkdir()
    for name, size in (("wide.png", (90, 40)), ("tall.jpg", (40, 70)), ("grey.png", (50, 50))):
        Pictures.new("L" if name.startswith("grey") else "RGB", size, 90).save(new / name)
    done = call("generate", str(run.path), str(new), f"{new}/*.jpg", "--out", str(tmp_path / "drawn"), "--json")
    assert done.code == 0, done.err
    assert done.json["count"] == 4
    sizes = {Path(one["path"]).name: (one["width"], one["height"]) for one in done.json["pictures"]}
    assert sizes == {"grey.png": (50, 50), "tall.jpg": (40, 70), "wide.png": (90, 40), "tall-2.jpg": (40, 70)}
    for one in done.json["pictures"]:
        with Pictures.open(one["path"]) as picture:
            assert picture.size == (one["width"], one["height"])
            assert picture.mode == "RGB"
    done = call(
        "generate", str(run.path), str(new / "wide.png"), "--size", "72", "--out", str(tmp_path / "small"), "--json"
    )
    assert (done.json["pictures"][0]["width"], done.json["pictures"][0]["height"]) == (72, 32)


def test_no_picture_is_written_over(trained: tuple[Run, str], call: Any, tmp_path: Path) -> None:
    """Nor is one drawn from what was drawn of another of its name."""
    for name, shade in (("one", 40), ("two", 200)):
        (tmp_path / name).mkdir()
        Pictures.new("RGB", (40, 40), (shade, 90, 90)).save(tmp_path / name / "p.png")
    inputs = [str(tmp_path / name / "p.png") for name in ("one", "two")]
    before = [Path(path).read_bytes() for path in inputs]
    done = call("generate", str(trained[0].path), *inputs, "--out", str(tmp_path / "two"))
    assert done.code == 0, done.err
    assert "two-2, since" in "".join(done.out.split("\n"))
    assert [Path(path).read_bytes() for path in inputs] == before
    expected = [drawn for _, drawn in trained[0].load().transform(inputs)]
    for name, drawn in zip(("p.png", "p-2.png"), expected, strict=True):
        with Pictures.open(tmp_path / "two-2" / name) as picture:
            assert np.array_equal(np.asarray(picture), drawn.numpy())


def test_predict_draws_as_generate_does(trained: tuple[Run, str], call: Any, tmp_path: Path) -> None:
    run, source = trained
    drawn = call("generate", str(run.path), source, "--out", str(tmp_path / "one"), "--json").json["pictures"]
    done = call("predict", str(run.path), source, f"{source}/00.*", "--save", str(tmp_path / "two"), "--json")
    assert done.code == 0, done.err
    assert done.json["saved"] == [one["path"] for one in done.json["predictions"]]
    for one, other in zip(drawn, done.json["predictions"], strict=False):
        assert one["input"] == other["input"]
        assert Path(one["path"]).read_bytes() == Path(other["path"]).read_bytes()
    assert Path(done.json["saved"][-1]).name == "00-2.png"


def test_damaged_pictures_are_named_and_the_others_drawn(
    trained: tuple[Run, str], call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("a.png", "c.png"):
        Pictures.new("RGB", (40, 40)).save(Path("in") / name)
    Path("in/b.png").write_bytes(b"no picture")
    Pictures.new("RGB", (40, 9)).save("in/d.png")
    done = call("generate", str(trained[0].path), "in", "gone.png", "--json")
    assert done.code == done.json["exit"] == 1
    assert [one["input"] for one in done.json["bad"]] == ["gone.png", "in/b.png", "in/d.png"]
    assert [Path(one["path"]).name for one in done.json["pictures"]] == ["a.png", "c.png"]
    lines = done.err.splitlines()
    assert "gone.png" in lines[0]
    assert "too small" in lines[2]


def test_what_is_made_smaller_is_told(
    trained: tuple[Run, str], call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "MOST_WHOLE", 3000)
    Pictures.new("RGB", (80, 60)).save(tmp_path / "large.png")
    words = ("generate", str(trained[0].path), str(tmp_path / "large.png"), "--out", str(tmp_path / "drawn"))
    done = call(*words)
    assert "60x80 to 47x63" in " ".join(done.out.split())
    assert "--size 80" in " ".join(done.out.split())
    (one,) = call(*words, "--json").json["pictures"]
    assert (one["height"], one["width"], one["original"]) == (47, 63, [60, 80])
    done = call(*words, "--size", "80", "--json")
    (one,) = done.json["pictures"]
    assert (one["height"], one["width"]) == (60, 80)
    assert "memory" not in done.err


def test_drawn_pictures_are_those_of_the_bundle(trained: tuple[Run, str]) -> None:
    """The pictures of the validation split through `transform`, beside the stored rows: one way of preprocessing."""
    run, _ = trained
    model, columns = run.load(), run.data().validation
    with torch.no_grad():
        expected = model.module(model.preprocess.tensor(columns["input"]))
    drawn = torch.stack([pixels for _, pixels in model.transform([columns.origin(row) for row in range(len(columns))])])
    assert (drawn.float() - (expected.permute(0, 2, 3, 1) * 255).round()).abs().max() <= 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("generate RUN", 1, "name pictures after the run"),
        ("generate RUN x.png --count 3", 2, "drawn anew once"),
        ("generate RUN --size 30", 2, "--size 30"),
        ("generate RUN x.png --size 0", 2, "--size 0"),
        ("generate RUN missing.png", 1, "missing.png"),
        ("generate RUN x.png --size 20", 1, "too small"),
        ("predict RUN x.png", 1, "deepen predict RUN PICTURE --save FOLDER"),
        ("generate RUN x.png --out x.png", 2, "--out x.png"),
        ("generate RUN x.png --size 50000", 1, "80 million"),
    ],
)
def test_misuse(
    trained: tuple[Run, str],
    call: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Pictures.new("RGB", (60, 50)).save("x.png")
    done = call(*(str(trained[0].path) if word == "RUN" else word for word in words.split()))
    assert done.code == code
    assert told in done.err
    assert done.err.count("\n") == 1


def test_the_report_shows_what_becomes_of_pictures(trained: tuple[Run, str]) -> None:
    run, _ = trained
    assert (run.path / "pictures" / "styles.svg").is_file()
    assert (run.path / "pictures" / "progress.svg").is_file()
    report = run.folder.report.read_text(encoding="utf-8")
    assert "Drawn anew" in report
    assert "deepen generate" in report
    assert "deepen predict" not in report


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), "put that picture back to resume or evaluate"),
        (lambda path: Pictures.new("RGB", (40, 40), 9).save(path), "changed since this run began"),
    ],
    ids=["gone", "another"],
)
def test_a_run_knows_its_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source, path = make(tmp_path), tmp_path / "mine.png"
    Pictures.fromarray(stripes(1)[0].numpy()).save(path)
    settings = {**SHORT, **style(), "task.style": "mine.png", "model.width": 4, "fit.epochs": 0.5}
    run = deepen.train(source, task="stylize", runs=tmp_path / "runs", **settings)
    recipe = run.recipe
    assert recipe.task.style == str(path)
    assert len(recipe.task.style_digest) == len(recipe.task.weights_digest) == 64
    monkeypatch.chdir("/")
    assert run.evaluate(split="validation").metrics["loss"] == pytest.approx(run.best["value"], rel=1e-4)
    change(path)
    (run.path / "result.json").unlink()
    with pytest.raises(Problem, match=told):
        deepen.resume(run.path)
    with pytest.raises(Problem, match=told):
        run.evaluate(split="validation")
    run.load().transform  # noqa: B018  (what was learnt needs neither)
    assert next(iter(run.load().transform(stripes(1))))[1].shape == (SIDE, SIDE, 3)


def test_a_canvas_end_to_end(tmp_path: Path, call: Any) -> None:
    path = tmp_path / "photo.png"
    Pictures.fromarray(stripes(1)[0, :36].numpy()).save(path)
    words = [
        f"{key}={value}" for key, value in {**style(), "epochs": 6, "fit.evaluate_epochs": 3, "plan": "fp32"}.items()
    ]
    done = call("train", str(path), "--as", "stylize", "--model", "canvas", *words, "--runs", str(tmp_path / "runs"))
    assert done.code == 0, done.err
    assert "writes the picture" in done.out
    assert "duplicate" not in done.out
    run = str(tmp_path / "runs" / "latest")
    done = call("generate", run, "--out", str(tmp_path / "drawn"), "--json")
    assert done.json["count"] == 1
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["0000.png"]
    with Pictures.open(tmp_path / "drawn" / "0000.png") as picture:
        assert picture.size == (48, 36)
    assert call("evaluate", run, "--split", "validation").code == 0
    log = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    values = [line["validation/loss"] for line in log if "validation/loss" in line]
    assert values[-1] < values[0]


@pytest.mark.skipif(not os.environ.get("DEEPEN_DATA"), reason="DEEPEN_DATA is not set: no published weights")
def test_published_weights_are_found_and_pull_a_picture_to_the_style(monkeypatch: pytest.MonkeyPatch) -> None:
    task, columns, preprocess = studied(count=1, features="auto", weights="imagenet")
    model = canvas.build(SPEC, canvas.Config())
    task.parts(model)
    task.study(columns, preprocess)
    assert task.compared_by in perceptual.CHOICES
    assert task.compared_by in registry.entries("model")
    again = perceptual.seen_by("auto", "imagenet", task.config.weights_digest)
    assert again[1] == task.compared_by
    with pytest.raises(Problem, match="begun with do not lie on this machine"):
        perceptual.seen_by("auto", "imagenet", "0" * 64)
    batch = {"input": preprocess.tensor(columns["input"])}
    with torch.no_grad():
        plain = task.baseline(task.score(model, batch))
    update = Once(model, 0.05)
    for _ in range(15):
        task.step(model, batch, update)
    with torch.no_grad():
        drawn = task.measure(task.score(model, batch))
    assert drawn["style"] < 0.5 * plain["style"]
    assert drawn["content"] < 2
