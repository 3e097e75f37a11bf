"""The plan: read and written, timed, checked against float32, and remembered."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepen.engine import plan as plans
from deepen.engine.plan import Plan, choose
from deepen.engine.update import NonFiniteError
from deepen.errors import Misuse
from deepen.tasks.base import Batch

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("fp32", Plan()),
        ("bf16", Plan(bf16=True)),
        ("bf16+channels_last", Plan(bf16=True, channels_last=True)),
        ("fp32+channels_last+compile", Plan(channels_last=True, compile=True)),
        ("fp32+fast_matmul", Plan(fast_matmul=True)),
        ("channels_last", Plan(channels_last=True)),
    ],
)
def test_text_is_read_and_written(text: str, plan: Plan) -> None:
    assert Plan.parse(text) == plan
    assert Plan.parse(str(plan)) == plan


def test_every_plan_survives_its_text() -> None:
    for bits in range(16):
        plan = Plan(*(bool(bits >> place & 1) for place in range(4)))
        assert Plan.parse(str(plan)) == plan


@pytest.mark.parametrize("text", ["bf61", "fp32+fast", "", "+", "bf16 channels_last"])
def test_unknown_words_are_told(text: str) -> None:
    with pytest.raises(Misuse, match="expected auto, or words of fp32"):
        Plan.parse(text)


def test_contradictions_are_told() -> None:
    with pytest.raises(Misuse, match=r"fp32.*bf16"):
        Plan.parse("fp32+bf16")


def test_place_and_prepare_lay_out_pictures_only() -> None:
    plan = Plan(channels_last=True)
    batch = {"input": torch.zeros(2, 3, 4, 4), "target": torch.zeros(2)}
    assert plan.place(batch)["input"].is_contiguous(memory_format=torch.channels_last)
    assert plan.place({"input": torch.zeros(2, 3)})["input"].is_contiguous()
    back = Plan().place({"input": batch["input"].to(memory_format=torch.channels_last)})["input"]
    assert back.is_contiguous()
    model = plan.prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2)))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_switches_of_the_process_are_put_back() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    inside = []

    def fail() -> None:
        with Plan(fast_matmul=True).precision():
            inside.append(torch.backends.mkldnn.matmul.fp32_precision)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == ["bf16"]
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "deepen" / "plans.json"


Trial = Callable[[nn.Module, Plan, list[Batch]], list[dict[str, Tensor]]]


class Staged:
    """A trial whose times and losses are laid down for each plan."""

    def __init__(self, seconds: dict[str, float], losses: dict[str, float]) -> None:
        self.seconds, self.losses, self.tried = seconds, losses, []

    def __call__(self, model: nn.Module, plan: Plan, batches: list[Batch]) -> list[dict[str, Tensor]]:
        self.tried.append(str(plan))
        self.now += self.seconds[str(plan)] * len(batches)
        return [{"loss": torch.tensor(self.losses.get(str(plan), 1.0))} for _ in batches]

    now = 0.0


BATCHES = [{"input": torch.zeros(4, 1, 8, 8), "target": torch.zeros(4)} for _ in range(plans.TRIAL_STEPS)]
MODEL = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))


def staged(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], losses: dict[str, float] | None = None, **rest: object
) -> tuple[plans.Choice, Staged]:
    trial = Staged(seconds, losses or {})
    monkeypatch.setattr(plans, "candidates", lambda *_: [Plan.parse(text) for text in seconds if text != "fp32"])
    monkeypatch.setattr(time, "perf_counter", lambda: trial.now)
    known = {"steps": 100_000, "device": CPU, "seed": 0, "key": "k", **rest}
    return choose("auto", MODEL, BATCHES, trial, **known), trial


@pytest.mark.usefixtures("memory")
def test_the_fastest_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    choice, _ = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.006, "fp32+channels_last": 0.008})
    assert str(choice.plan) == "bf16"
    assert "1.7 times as fast" in choice.reason
    assert choice.step_seconds == pytest.approx(0.006)


@pytest.mark.usefixtures("memory")
def test_a_little_faster_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(staged(monkeypatch, {"fp32": 0.010, "bf16": 0.0095})[0].plan) == "fp32"


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("loss", [1.03, 0.97, float("nan"), float("inf")])
def test_a_candidate_that_computes_something_else_is_rejected(monkeypatch: pytest.MonkeyPatch, loss: float) -> None:
    choice, trial = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.001, "fp32+channels_last": 0.007}, {"bf16": loss})
    assert "bf16" in trial.tried
    assert str(choice.plan) == "fp32+channels_last"
    assert "bf16 rejected" in choice.reason


@pytest.mark.usefixtures("memory")
def test_what_was_found_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, {"fp32": 0.010, "bf16": 0.006})
    again, trial = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.02})
    assert str(again.plan) == "bf16"
    assert set(trial.tried) == {"bf16"}
    assert again.step_seconds == pytest.approx(0.02)  # of the plan that is taken: a time limit is laid out by it
    other, _ = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.02}, key="another batch size")
    assert str(other.plan) == "fp32"


def test_a_damaged_memory_is_no_memory(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.parent.mkdir(parents=True)
    for content in (b"{", b"[]", b"\xff\xfe", b'{"a": 3}', b"null"):
        memory.write_bytes(content)
        choice, _ = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.006})
        assert str(choice.plan) == "bf16"
        assert "bf16" in json.loads(memory.read_text()).values()
    # A plan that a later version remembered, in words that this one does not know.
    memory.write_text(json.dumps(dict.fromkeys(json.loads(memory.read_text()), "fp8")))
    assert str(staged(monkeypatch, {"fp32": 0.010, "bf16": 0.006})[0].plan) == "bf16"


def test_a_home_that_cannot_be_written_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert str(staged(monkeypatch, {"fp32": 0.010, "bf16": 0.006})[0].plan) == "bf16"


@pytest.mark.usefixtures("memory")
def test_a_short_training_tries_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    choice, trial = staged(monkeypatch, {"fp32": 0.010, "bf16": 0.001}, steps=20)
    assert set(trial.tried) == {"fp32"}
    assert "too short" in choice.reason


@pytest.mark.usefixtures("memory")
def test_the_trial_has_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"fp32": 0.10, "bf16": 30.0, "fp32+channels_last": 0.01}
    choice, trial = staged(monkeypatch, slow)
    assert "fp32+channels_last" not in trial.tried
    assert str(choice.plan) == "fp32"


@pytest.mark.usefixtures("memory")
def test_slow_steps_are_tried_on_a_part_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, list[int]] = {"fp32": [], "bf16": []}

    class Slow(Staged):
        def __call__(self, model: nn.Module, plan: Plan, batches: list[Batch]) -> list[dict[str, Tensor]]:
            self.now += sum(self.seconds[str(plan)] * len(batch["input"]) for batch in batches)
            sizes[str(plan)] += [len(batch["target"]) for batch in batches]
            return [{"loss": torch.tensor(1.0)} for _ in batches]

    batches = [{"input": torch.zeros(128, 1, 8, 8), "target": torch.zeros(128)} for _ in range(plans.TRIAL_STEPS)]
    trial = Slow({"fp32": 0.016, "bf16": 0.008}, {})  # of a sample: two seconds a step, of which ten would be tried
    monkeypatch.setattr(plans, "candidates", lambda *_: [Plan(bf16=True)])
    monkeypatch.setattr(time, "perf_counter", lambda: trial.now)
    choice = choose("auto", MODEL, batches, trial, 1000, CPU, 0, "slow")
    assert str(choice.plan) == "bf16"
    assert choice.step_seconds is None, "what a part of a batch takes says nothing exact of a whole one"
    assert sizes["fp32"] == [128] + [12] * (1 + plans.TRIAL_STEPS)
    assert set(sizes["bf16"]) == {12}
    again = choose("auto", MODEL, batches, trial, 1000, CPU, 0, "slow")
    assert again.step_seconds == pytest.approx(0.008 * 128)


def test_as_asked_nothing_is_timed() -> None:
    def never(*_: object) -> list[dict[str, Tensor]]:
        raise AssertionError

    assert choose("bf16", MODEL, [], never, 10, CPU, 0, "k").plan == Plan(bf16=True)


@pytest.mark.usefixtures("memory")
def test_a_trial_leaves_the_model_alone() -> None:
    """The real trial on real candidates: the weights and the model's mode are as before."""
    from deepen.engine.trial import trial_of
    from deepen.recipe import blank
    from deepen.spec import Category, Image, Spec
    from deepen.tasks import classify

    spec = Spec(Image(1, 8, 8), Category(("a", "b")))
    task = classify.build(spec, classify.Config())
    batches = [{"input": torch.randn(4, 1, 8, 8), "target": torch.tensor([0, 1, 0, 1])} for _ in range(4)]
    model = copy.deepcopy(MODEL).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recipe = blank("digits", "digits", "classify", "mlp")
    choice = choose("auto", model, batches, trial_of(task, recipe, CPU), 10**6, CPU, 0, "real")
    assert choice.step_seconds is not None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model[0].weight.is_contiguous()
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_a_short_training_does_not_decide_for_a_long_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training too short for a trial takes fp32 again, a longer one of the same model still has its trial."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(plans, "candidates", lambda *anything: [Plan(channels_last=True)])
    times = {Plan(): 0.01, Plan(channels_last=True): 0.001}
    monkeypatch.setattr(plans, "_time", lambda model, plan, batches, *rest: (times[plan], []))
    model, batches = nn.Conv2d(1, 1, 1), [{"input": torch.zeros(1, 1, 4, 4)}]

    def chosen(steps: int) -> Plan:
        return plans.choose("auto", model, batches, lambda *anything: [], steps, torch.device("cpu"), 0, "key").plan

    assert chosen(1) == Plan()
    assert chosen(1000) == Plan(channels_last=True)
    assert chosen(1) == Plan()
    assert chosen(2000) == Plan(channels_last=True)


@pytest.mark.usefixtures("memory")
def test_a_loss_that_is_not_finite_is_left_to_the_training_to_tell() -> None:
    def trial(model: nn.Module, plan: Plan, batches: list[Batch]) -> list[dict[str, Tensor]]:
        raise NonFiniteError

    batch = {"input": torch.zeros(4, 3)}
    chosen = choose("auto", nn.Linear(3, 2), [batch], trial, 100, CPU, 0, "any")
    assert chosen.plan == Plan()
    assert "not finite" in chosen.reason
