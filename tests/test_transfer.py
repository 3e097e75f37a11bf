"""Transfer: weights of another training are taken over, and what of them learns is what was asked."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import deepen
from deepen import Misuse, Problem, Run, registry, transfer
from deepen.data.dataset import Columns
from deepen.deploy import bundle
from deepen.engine import checkpoint, features
from deepen.engine.update import Updater
from deepen.nn.borrowed import preset
from deepen.prepare import Prepared, prepare
from deepen.pretrained.weights import Weights
from deepen.settle import keep_features, settle
from deepen.spec import Category, Spec
from deepen.spec import Image as Picture
from deepen.training import Interrupted
from tests.conftest import call, make_pictures, table_text

HEAD = "linear."
MODEL = {"model.depths": (1, 1, 1), "model.widths": (4, 6, 8)}
SETTINGS: dict[str, Any] = MODEL | {
    "data.limit": 400,
    "optim.name": "adamw",
    "optim.lr": 0.01,
    "optim.weight_decay": 0.1,
    "optim.ema": 0.9,
    "schedule.name": "one-cycle",
    "fit.epochs": 3,
    "fit.batch_size": 100,
    "fit.save_steps": 3,
    "fit.log_steps": 2,
    "plan": "fp32",
    "device": "cpu",
}
MODES: dict[str, dict[str, Any]] = {
    "head": {"transfer": "head"},
    "head, augmented": {"transfer": "head", "augment.shift": 1},
    "all": {"transfer": "all"},
    "gradual": {"transfer": "gradual", "transfer.head_first": 0.5},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def network(classes: int = 7) -> nn.Module:
    """A narrow residual network with a past: its running statistics are not those of a new one."""
    module = registry.find("model", "resnet20").load()
    config = module.Config(shortcut="padded", depths=MODEL["model.depths"], widths=MODEL["model.widths"])
    spec = Spec(Picture(1, 8, 8), Category(tuple(f"class {number}" for number in range(classes))))
    torch.manual_seed(4)
    made: nn.Module = module.build(spec, config)
    made.train()
    for _ in range(5):
        made(torch.randn(64, 1, 8, 8) * 0.8 + 0.3)
    return made


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(network().state_dict(), path)
    return path


def train(root: Path, weights: Path | None, **rest: Any) -> Run:
    given = {} if weights is None else {"transfer.pretrained": weights, "transfer.body_lr": 0.3}
    return deepen.train("digits", model="resnet20", runs=root, **(SETTINGS | given | rest))


def prepared(weights: Path | None, **rest: Any) -> Prepared:
    given = {} if weights is None else {"transfer.pretrained": weights, "transfer.body_lr": 0.3}
    return prepare("digits", None, "resnet20", SETTINGS | given | rest)


def body_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the counters of batches, which are not taken over and change nothing."""
    return {name: value for name, value in state.items() if not name.startswith(HEAD) and value.is_floating_point()}


def shipped(run: Run) -> dict[str, Tensor]:
    return load_file(run.folder.model / "model.safetensors")


def last_state(run: Run) -> tuple[str, bytes, dict[str, Any]]:
    folder = checkpoint.folders(run.folder.checkpoints)[0]
    state = json.loads((folder / "state.json").read_text())
    del state["seconds"]
    return folder.name, (folder / "state.safetensors").read_bytes(), state


def assert_same(run: Run, whole: Run) -> None:
    assert last_state(run) == last_state(whole)
    for name in ("metrics.jsonl", "model/model.safetensors", "model/goldens.safetensors", "start/start.safetensors"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert run.best == whole.best
    assert run.folder.report.is_file()


@pytest.mark.parametrize("mode", ["head", "head, augmented"])
def test_a_frozen_body_is_shipped_as_it_came(tmp_path: Path, weights: Path, mode: str) -> None:
    run = train(tmp_path, weights, **MODES[mode])
    came, answers = load_file(weights), shipped(run)
    assert all(torch.equal(value, came[name]) for name, value in body_of(answers).items())
    assert answers[f"{HEAD}weight"].shape == (10, 8)
    started = load_file(run.path / "start" / "start.safetensors")
    assert not torch.equal(answers[f"{HEAD}weight"], started[f"{HEAD}weight"])
    learnt = set(load_file(checkpoint.folders(run.folder.checkpoints)[0] / "state.safetensors"))
    assert ("model.weight" in learnt) == (mode == "head"), "where features are kept, a checkpoint holds the head alone"
    assert run.result["parameters"] == sum(p.numel() for p in network(10).parameters())
    evaluation = run.evaluate()
    assert 0 <= evaluation.metrics["accuracy"] <= 1
    assert len(run.load().predict(np.zeros((2, 8, 8), dtype=np.uint8))) == 2


@pytest.mark.parametrize("mode", ["all", "gradual"])
def test_a_body_that_learns_moves_less_than_its_head(tmp_path: Path, weights: Path, mode: str) -> None:
    run = train(tmp_path, weights, **MODES[mode] | {"fit.epochs": 8})
    started, ended = load_file(run.path / "start" / "start.safetensors"), shipped(run)
    assert all(torch.equal(value, body_of(started)[name]) for name, value in body_of(load_file(weights)).items())

    def moved(name: str) -> float:
        return float((ended[name] - started[name]).abs().mean())

    assert 0 < moved("conv1.weight") < min(moved("layer3.0.conv2.weight"), moved(f"{HEAD}weight"))


def test_kept_features_give_what_the_body_at_work_gives(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To rounding: batches of another size are added up in another order."""
    kept = train(tmp_path, weights, transfer="head")
    monkeypatch.setattr(features, "MOST_BYTES", 0)
    working = train(tmp_path, weights, transfer="head")
    report = working.folder.report.read_text(encoding="utf-8")
    assert "the body works in each step: its features would take" in report
    assert "would take" not in (working.path / "start" / "start.json").read_text()
    first, second = shipped(kept), shipped(working)
    assert all(torch.allclose(first[name], second[name], atol=2e-6) for name in first)
    for one, other in zip(kept.folder.rows(), working.folder.rows(), strict=True):
        assert one.keys() == other.keys()
        assert all(one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-6) for name in one)


def test_head_on_features_and_whole_network_agree(weights: Path) -> None:
    p = prepared(weights, transfer="head")
    keep_features(p)
    assert p.features is not None
    assert len(p.features.train) == 400
    for seen, columns in ((p.features.train, p.dataset.train), (p.features.validation, p.dataset.validation)):
        assert seen["target"].equal(columns["target"])
        with torch.no_grad():
            whole = p.whole(p.model).eval()(p.dataset.preprocess.tensor(columns["input"]))
            assert torch.allclose(p.model(seen["input"]), whole, atol=1e-5)
    other = nn.Linear(8, 10)
    assert p.whole(other).head is other


class At:
    """Does something at the n-th call of a function, before it."""

    def __init__(self, real: Callable[..., Any], number: int, act: Callable[[], None]) -> None:
        self.real, self.left, self.act = real, number, act

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.act()
        return self.real(*arguments, **named)


def tear_down() -> None:
    raise KeyboardInterrupt


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("mode", MODES)
def test_stopped_anywhere_it_goes_on_without_the_file(
    tmp_path: Path, weights: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the very start, between two saves, and asked to stop; the cache of features is gone as well."""
    chosen = MODES[mode]
    whole = train(tmp_path / "whole", weights, **chosen)
    real = checkpoint.save
    for number, act in ((1, tear_down), (3, tear_down), (4, interrupt)):
        again = shutil.copy(weights, tmp_path / "copy.safetensors")
        with monkeypatch.context() as patch:
            at = At(real, number, act)
            patch.setattr(checkpoint, "save", at)
            with pytest.raises((KeyboardInterrupt, Interrupted)):
                train(tmp_path / "broken", Path(again), **chosen)
        Path(again).unlink()
        shutil.rmtree(tmp_path / "cache" / "deepen" / "features", ignore_errors=True)
        assert_same(deepen.resume(tmp_path / "broken" / "latest"), whole)


def test_killed_before_the_first_step_it_goes_on(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", weights, transfer="gradual")
    with monkeypatch.context() as patch:
        patch.setattr(Updater, "begin", lambda *_: tear_down())
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "broken", weights, transfer="gradual")
    weights.unlink()
    broken = tmp_path / "broken" / "latest"
    assert not checkpoint.folders(broken / "checkpoints")
    assert_same(deepen.resume(broken), whole)

    (broken / "start" / "start.safetensors").write_bytes(b"damage")
    (broken / "result.json").unlink()
    with pytest.raises(Problem, match="began with are damaged"):
        deepen.resume(broken)


def test_features_are_found_again(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(source: Path = weights, **rest: Any) -> str:
        p = prepared(source, transfer="head", **rest)
        keep_features(p)
        assert p.features is not None
        return p.transfer[-1]

    kept = tmp_path / "cache" / "deepen" / "features"
    assert "computed once" in told()
    assert len(list(kept.iterdir())) == 2
    assert "found" in told()
    assert "found" in told(**{"optim.lr": 0.5, "task.label_smoothing": 0.1}), "nothing that features depend on"
    assert "computed once" in told(seed=8), "other pictures in the splits"

    for path in kept.rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert "computed once" in told(), "a damaged entry is made again"
    assert "found" in told()

    state = network().state_dict()
    state["layer3.0.bn2.running_var"] *= 1.01
    save_file(state, tmp_path / "others.safetensors")
    assert "computed once" in told(tmp_path / "others.safetensors")
    for name, value in (("DEEPEN", "9.9"), ("_written", lambda kind: "another file")):
        with monkeypatch.context() as patch:
            patch.setattr(features, name, value)
            assert "computed once" in told(), f"the body may answer otherwise: {name}"

    monkeypatch.setattr(features, "MOST_KEPT_BYTES", 0)
    assert "computed once" in told(seed=9)
    assert len(list(kept.iterdir())) == 1, "others make room"
    shutil.rmtree(kept)
    kept.write_text("in the way")
    assert "could not be kept for the next time" in told()


def test_the_test_split_is_not_looked_at(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = prepared(weights, transfer="head")
    sealed = p.dataset.test
    assert sealed is not None
    monkeypatch.setattr(sealed, "_columns", None)
    keep_features(p)
    assert isinstance(p.features.train, Columns)


def test_what_is_taken_over_is_told(tmp_path: Path, weights: Path) -> None:
    words = [
        f"{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in SETTINGS.items() if v is not None
    ]
    words += [f"transfer.pretrained={weights}", "transfer=head", "--runs", str(tmp_path / "runs")]
    done = call("train", "digits", "--model", "resnet20", *words)
    assert done.code == 0, done.err
    total = sum(p.numel() for p in network(10).parameters())
    for sentence in (
        f"frozen: {total - 90:,} of {total:,} parameters",
        "100 % of the numbers",
        "features of",
        "is new",
    ):
        assert sentence in done.out
        assert sentence in (tmp_path / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "for the first 30 % of the training" in prepared(weights, transfer="gradual").transfer[-1]
    assert "learn at 0.3 of the rate" in prepared(weights, transfer="all").transfer[-1]


def test_pictures_are_as_the_weights_know_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    facts = {"size": 12, "resize": 14, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    module = registry.find("model", "resnet20").load()
    config = module.Config(shortcut="padded", depths=MODEL["model.depths"], widths=MODEL["model.widths"])
    made = module.build(Spec(Picture(3, 12, 12), Category(("a", "b"))), config)
    save_file(made.state_dict(), path, metadata={"deepen": json.dumps(facts)})
    source = str(make_pictures(tmp_path / "pictures"))

    def data_of(**rest: Any) -> Any:
        chosen = MODEL | {"fit.batch_size": 4, "transfer.pretrained": str(path)} | rest
        return prepare(source, None, "resnet20", chosen)

    p = data_of()
    assert p.dataset.spec.input == Picture(3, 12, 12)
    assert p.dataset.preprocess.mean == (0.4, 0.5, 0.6)
    assert (p.recipe.data.size, p.recipe.data.resize, p.recipe.data.std) == (12, 14, (0.2, 0.25, 0.3))
    assert p.start is not None
    assert set(p.start.implied) == {"data.size", "data.resize", "data.channels", "data.mean", "data.std", "model.stem"}
    p = data_of(size=10, std=(1, 1, 1))
    assert (p.recipe.data.size, p.recipe.data.resize, p.recipe.data.std) == (10, None, (1, 1, 1))

    run = deepen.train(source, model="resnet20", runs=tmp_path, **MODEL, **{"transfer.pretrained": path, "epochs": 1})
    assert run.data().spec.input == Picture(3, 12, 12)
    assert run.load().preprocess.mean == (0.4, 0.5, 0.6)
    picture = tmp_path / "other.png"
    Image.new("RGB", (30, 20)).save(picture)
    assert run.load().predict(picture)
    assert "data.mean" not in run.folder.report.read_text(encoding="utf-8").partition("Settings")[0]


def test_a_run_gives_its_network_and_weights(tmp_path: Path, weights: Path) -> None:
    first = train(tmp_path, None, **{"fit.epochs": 1})
    rest = {key: value for key, value in SETTINGS.items() if key not in MODEL}
    p = prepare("digits", None, None, rest | {"transfer.pretrained": str(first.path), "transfer": "head"})
    assert p.recipe.model_name == "resnet20"
    assert p.recipe.model.widths == (4, 6, 8)
    assert all(torch.equal(value, p.model.state_dict()[name]) for name, value in body_of(shipped(first)).items())


def test_none_takes_nothing_over(weights: Path) -> None:
    """A start at random with pictures as the weights know them: what the weights are worth is seen beside it."""
    p, plain = prepared(weights, transfer="none"), prepared(None)
    assert p.transfer == []
    assert all(torch.equal(a, b) for a, b in zip(p.model.parameters(), plain.model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["head", "gradual", "all"])
def test_a_few_steps_to_look_at_cope_with_what_is_frozen(weights: Path, name: str) -> None:
    """The trial of a plan, the rate's sweep, and how many steps fit into a time."""
    looked = {"plan": "auto", "fit.find_lr": True, "fit.minutes": 0.05, "fit.epochs": 300, "augment.shift": 1}
    p = prepared(weights, transfer=name, **looked)
    before = {key: value.clone() for key, value in p.model.state_dict().items()}
    settled = settle(p)
    assert settled.total_steps > 0
    assert settled.lr is not None
    assert all(torch.equal(value, before[key]) for key, value in p.model.state_dict().items())


@pytest.mark.parametrize("transferring", [True, False])
def test_a_training_of_no_steps(tmp_path: Path, weights: Path, transferring: bool) -> None:
    """What was taken over is scored as it is; nothing is trained, and there is nothing to resume."""
    save_file(network(10).state_dict(), weights)
    run = train(tmp_path, weights if transferring else None, **{"fit.epochs": 0})
    assert (run.result["steps"], run.result["epochs"], run.result["stopped"]) == (0, 0.0, "finished")
    assert [row["step"] for row in run.folder.rows()] == [0]
    assert run.folder.report.is_file()
    if transferring:
        came = load_file(weights)
        assert all(torch.equal(v, came[name]) for name, v in shipped(run).items() if v.is_floating_point())
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    deepen.resume(run.path)
    (run.path / ".lock").touch()
    after = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} <= {".lock"}
    assert run.evaluate().metrics["accuracy"] >= 0

    (run.path / "result.json").unlink()
    again = deepen.resume(run.path)
    assert (again.result["steps"], again.result["stopped"]) == (0, "finished")
    assert [row["step"] for row in again.folder.rows()] == [0]


@pytest.mark.parametrize(("source", "task"), [("digits", "gan"), ("CartPole-v1", "control")])
def test_no_steps_of_other_kinds_of_learning(tmp_path: Path, source: str, task: str) -> None:
    few = {"data.limit": 100, "model.width": 8} if task == "gan" else {}
    run = deepen.train(source, task=task, runs=tmp_path, **{"fit.epochs": 0, "optim.ema": None, **few})
    assert run.result["steps"] == 0
    assert run.folder.report.is_file()


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Linear(64, 10)

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.answer(input.flatten(1))
        return answer


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "head of nothing": ({"transfer": "head"}, "transfer=head says what becomes of weights"),
    "gradual of nothing": ({"transfer": "gradual"}, "transfer=gradual says what becomes of weights"),
    "rate of nothing": ({"body_lr": 0.2}, "transfer.body_lr=0.2 says what becomes of weights"),
    "no mode": ({"transfer": "some"}, "transfer=some is not usable: expected one of none, head, all, gradual"),
    "nothing to limit": ({"fit.epochs": 0, "fit.minutes": 1}, "leave fit.minutes out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_make_no_sense(case: str) -> None:
    settings, said = WRONG[case]
    with pytest.raises(Misuse, match=said):
        prepare("digits", None, "resnet20", settings)


def test_weights_and_networks_that_do_not_go_together(tmp_path: Path, weights: Path) -> None:
    taken = {"transfer.pretrained": str(weights)}
    with pytest.raises(Misuse, match="load them into your Own yourself"):
        prepare("digits", None, Own(), taken)
    with pytest.raises(Problem, match="'mlp' has no body"):
        prepare("digits", None, "mlp", taken)
    with pytest.raises(Misuse, match=r"name it with --model NETWORK, or, .* model\.backbone=NETWORK"):
        prepare("digits", None, None, taken)
    with pytest.raises(Misuse, match="no data set named 'digts'"):
        prepare("digts", None, None, {"transfer.pretrained": "imagenet"})
    with pytest.raises(Problem, match="Name with --model the network that they were"):
        prepare("digits", None, "resnet20", taken)
    coloured, table = tmp_path / "coloured.safetensors", tmp_path / "table.csv"
    save_file(
        network().state_dict(), coloured, metadata={"deepen": json.dumps({"size": 8, "mean": [0.5], "std": [1.0]})}
    )
    table.write_text(table_text(), encoding="utf-8")
    for source in (str(table), "iris", "CartPole-v1"):
        with pytest.raises(Misuse, match=r"pretrained weights are for pictures or texts and .* has neither"):
            prepare(source, None, "resnet20", MODEL | {"transfer.pretrained": str(coloured)})


def test_the_bundle_answers_for_pictures(tmp_path: Path, weights: Path) -> None:
    """Loaded, it knows nothing of features; its answers are those that were measured on them."""
    run = train(tmp_path, weights, transfer="head")
    rows = run.folder.rows()
    scored = run.evaluate(split="validation").metrics
    best = next(row for row in rows if row["step"] == run.best["step"] and "validation/loss" in row)
    for name, value in scored.items():
        assert best[f"validation/{name}"] == pytest.approx(value, abs=1e-5)
    assert isinstance(bundle.load(run.path).module, type(network()))


def test_a_model_that_stands_on_a_network_takes_that_ones_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pictures keep their size; a network with published weights is put under it where none is named."""
    asked = []

    def find(text: str, name: str) -> Weights:
        asked.append((text, name))
        return Weights({}, text, "", 224, 256, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))

    monkeypatch.setattr(transfer, "find", find)
    found = transfer.origin({"pretrained": "imagenet"}, None, "unet")
    assert found is not None
    assert found.network == {"model.backbone": "resnet18", "model.stem": "imagenet"}
    assert found.data.keys() == {"data.channels", "data.mean", "data.std"}
    found = transfer.origin({"pretrained": "imagenet", "backbone": "resnet34"}, None, "unet")
    assert found is not None
    assert found.network == {"model.stem": "imagenet"}
    found = transfer.origin({"pretrained": "imagenet", "backbone": "resnet34", "stem": "small"}, None, "unet")
    assert found is not None
    assert found.network == {}, "the user says it"
    found = transfer.origin({"pretrained": "imagenet"}, "classify", None)
    assert found is not None
    assert found.network == {"model.stem": "imagenet"}
    assert (found.model, found.data["data.size"], found.data["data.resize"]) == ("resnet18", 224, 256)
    assert [name for _, name in asked] == ["resnet18", "resnet34", "resnet34", "resnet18"]


def test_layers_at_random_are_not_frozen(tmp_path: Path, weights: Path) -> None:
    """A first layer of another shape is little of a network, and everything behind it would be misled for good."""
    kept = {name: value for name, value in load_file(weights).items() if name != "bn1.weight"}
    save_file(kept, tmp_path / "less.safetensors")
    for mode in ("head", "gradual"):
        with pytest.raises(Misuse, match=rf"transfer={mode} freezes the body.*bn1\.weight"):
            train(tmp_path, tmp_path / "less.safetensors", **MODES[mode])


@pytest.fixture
def masks(tmp_path: Path) -> str:
    """Pictures of 64x80 pixels, for which networks take their form for small ones where nothing is said."""
    draws = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(8):
        target = np.zeros((64, 80), np.uint8)
        target[:30, : 20 + number] = 1
        pixels = (target[..., None] * 150 + draws.integers(0, 90, (64, 80, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / f"p{number}.png")
        Image.fromarray(target).save(tmp_path / "data" / "masks" / f"p{number}.png")
    return str(tmp_path / "data")


@pytest.fixture
def published(tmp_path: Path) -> str:
    """Weights of a whole network for large pictures; their file does not say of which."""
    module = registry.find("model", "squeezenet1-0").load()
    torch.manual_seed(3)
    made = module.build(Spec(Picture(3, 224, 224), Category(("a", "b"))), preset("squeezenet1-0"))
    save_file(made.state_dict(), tmp_path / "published.safetensors")
    return str(tmp_path / "published.safetensors")


BELOW = {"model.backbone": "squeezenet1-0", "plan": "fp32", "device": "cpu", "fit.batch_size": 2}


@pytest.mark.parametrize("mode", ["head", "all", "gradual"])
def test_a_file_goes_under_the_usual_model_whole_with_its_stem(masks: str, published: str, mode: str) -> None:
    p = prepare(masks, None, None, {**BELOW, "transfer.pretrained": published, "transfer": mode})
    assert (p.recipe.task_name, p.recipe.model_name, p.recipe.model.stem) == ("segment", "unet", "imagenet")
    came = load_file(published)
    for name, value in p.model.backbone.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, came[name]), name
    assert p.start is not None
    assert "100 % of the numbers of its backbone" in p.start.told[0]
    assert "model.stem" in p.start.implied


def test_a_run_goes_under_the_usual_model_as_well(tmp_path: Path, masks: str) -> None:
    below = {"plan": "fp32", "device": "cpu", "fit.epochs": 0, "data.size": 32}
    source = str(make_pictures(tmp_path / "pictures"))
    run = deepen.train(source, model="squeezenet1-0", runs=tmp_path / "runs", **below, **{"model.stem": "imagenet"})
    taken = {"transfer.pretrained": str(run.path)}
    p = prepare(masks, None, None, {**BELOW, **taken, "transfer": "head"})
    assert (p.recipe.model_name, p.recipe.model.backbone, p.recipe.model.stem) == ("unet", "squeezenet1-0", "imagenet")
    with pytest.raises(Misuse, match=r"of 'squeezenet1-0'.*not for 'segment'.*add model\.backbone=squeezenet1-0"):
        prepare(masks, None, None, taken)


def test_the_hint_names_a_form_that_can_be_set(masks: str, published: str) -> None:
    taken = {**BELOW, "transfer.pretrained": published, "transfer": "head"}
    with pytest.raises(Misuse, match=r"1 tensor is not in .*features\.0\.weight.*or model\.stem=imagenet"):
        prepare(masks, None, None, {**taken, "model.stem": "small"})
    assert prepare(masks, None, None, {**taken, "model.stem": "imagenet"}).recipe.model.stem == "imagenet"


def test_both_ways_to_name_the_network_are_said(tmp_path: Path, masks: str, published: str) -> None:
    with pytest.raises(Misuse, match=r"name it with --model NETWORK, or.*model\.backbone=NETWORK"):
        prepare(masks, None, None, {"transfer.pretrained": published})
    with pytest.raises(Problem, match=r"Name with model\.backbone the network"):
        prepare(masks, None, "unet", {"transfer.pretrained": published})
    pictures = str(make_pictures(tmp_path / "pictures"))
    for source in (published, "imagenet"):
        with pytest.raises(Misuse, match=r"name the network itself with --model squeezenet1-0"):
            prepare(pictures, None, None, {**BELOW, "transfer.pretrained": source})


def test_a_run_with_boxes_or_masks_is_not_for_classes(tmp_path: Path, masks: str) -> None:
    small = {"model.widths": (4, 6), "model.blocks": (0, 0), "fit.epochs": 0, "plan": "fp32", "device": "cpu"}
    pictures = str(make_pictures(tmp_path / "pictures"))
    run = deepen.train(masks, runs=tmp_path / "runs", **small)
    with pytest.raises(Misuse, match=r"of 'unet', which is not for 'classify': .*'own'.* Name other weights"):
        prepare(pictures, None, None, {"transfer.pretrained": str(run.path)})
    below = {"model.backbone": "squeezenet1-0", "fit.epochs": 0, "plan": "fp32", "device": "cpu"}
    run = deepen.train(masks, runs=tmp_path / "runs", **below)
    taken = {"transfer.pretrained": str(run.path), "plan": "fp32", "device": "cpu", "fit.batch_size": 2}
    with pytest.raises(Misuse, match=r"of 'unet', which is not for 'classify': .*add --model squeezenet1-0"):
        prepare(pictures, None, None, taken)
    p = prepare(pictures, None, "squeezenet1-0", taken)
    came = load_file(run.folder.model / "model.safetensors")
    for name, value in p.model.features.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, came[f"backbone.features.{name}"])
