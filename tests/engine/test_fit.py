"""The loop: when it looks, logs, saves and stops; that it can be taken up anywhere; that nothing broken is kept."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.engine import checkpoint
from deepen.engine.fit import Training, fit
from deepen.engine.report import Report
from deepen.errors import Misuse

Make = Callable[..., Training]
Keep = Callable[..., list[Report]]


def weights(training: Training) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in training.model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def saved_steps(training: Training) -> list[int]:
    return [int(folder.name[5:]) for folder in reversed(checkpoint.folders(training.folder.checkpoints))]


@pytest.fixture
def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "KEPT", 10**6)


@pytest.mark.usefixtures("keep_all")
def test_evaluations_logs_and_saves_come_when_they_should(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=3, fit__batch_size=16, fit__log_steps=4, fit__save_steps=5)  # 105 samples, 20 steps
    reports = keep(training)
    per_epoch = training.steps_per_epoch
    assert per_epoch == pytest.approx(105 / 16)
    looked = [r.step for r in reports if r.kind == "evaluation"]
    assert looked == [math.ceil(per_epoch), math.ceil(2 * per_epoch), training.total_steps]
    logged = [r.step for r in reports if r.kind == "log"]
    assert logged == sorted({*range(4, training.total_steps + 1, 4), *looked})
    assert saved_steps(training) == sorted({*range(5, training.total_steps + 1, 5), *looked})
    end = reports[-1]
    assert (end.kind, end.stopped, end.saved, end.step) == ("end", "finished", True, training.total_steps)


def test_looks_may_come_more_than_once_an_epoch(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=2, fit__batch_size=15, fit__evaluate_epochs=0.5)  # 7 steps an epoch
    assert [r.step for r in keep(training) if r.kind == "evaluation"] == [4, 7, 11, 14]


def test_a_log_line_is_the_mean_since_the_last(make: Make, keep: Keep) -> None:
    """Ticks of 6 are the means of ticks of 1, whatever lies between."""
    fine = [r for r in keep(make(fit__log_steps=1)) if r.kind == "log"]
    coarse = [r for r in keep(make(fit__log_steps=6)) if r.kind == "log"]
    start = 0
    for tick in coarse:
        each = [r.numbers["train/loss"] for r in fine if start < r.step <= tick.step]
        assert tick.numbers["train/loss"] == pytest.approx(sum(each) / len(each), rel=1e-12)
        start = tick.step


def test_logging_does_not_change_the_training(make: Make, keep: Keep) -> None:
    often, seldom = make(fit__log_steps=1), make(fit__log_steps=1000)
    keep(often)
    keep(seldom)
    assert same(weights(often), weights(seldom))


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize(
    "settings",
    [
        {"optim__ema": 0.9, "model.dropout": 0.5, "fit__accumulate": 3, "optim__clip": 1.0},
        {"optim__name": "muon", "model.norm": "batch", "optim__weight_decay": 0.1, "schedule__name": "plateau"},
    ],
)
def test_taken_up_at_any_save_it_repeats_the_rest(make: Make, keep: Keep, settings: dict[str, Any]) -> None:
    chosen = {"fit__save_steps": 1, "fit__log_steps": 4, "fit__epochs": 2, **settings}
    whole = make(**chosen)
    keep(whole)
    log = whole.folder.metrics.read_bytes()
    for folder in checkpoint.folders(whole.folder.checkpoints)[1::3]:
        found = _read(folder)
        again = make(**chosen)
        again.folder.metrics.write_bytes(log[: found.state["log_bytes"]])
        reports = keep(again, found)
        assert reports[-1].stopped == "finished"
        assert again.folder.metrics.read_bytes() == log, folder.name
        assert same(weights(whole), weights(again)), folder.name
        last = f"step-{whole.total_steps:09d}/state.safetensors"
        assert (again.folder.checkpoints / last).read_bytes() == (whole.folder.checkpoints / last).read_bytes()


def _read(folder: Any) -> checkpoint.Checkpoint:
    from safetensors.torch import load_file

    state = json.loads((folder / "state.json").read_text())
    return checkpoint.Checkpoint(state["step"], load_file(folder / "state.safetensors"), state)


class Breaks(nn.Module):
    """Answers well until its `broken` layer is told otherwise."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.broken = Spoiler(at, how)
        self.last = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        answer: Tensor = self.last(self.broken(self.first(inputs)))
        return answer


class Spoiler(nn.Module):
    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.at, self.how, self.calls = at, how, 0

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        if self.training and self.calls > self.at:
            if self.how == "gradient":  # a finite loss whose gradient is not: sqrt at zero
                return inputs + (inputs * 0).sqrt()
            return inputs * float(self.how)
        return inputs


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("how", ["nan", "inf"])
def test_nan_stops_with_step_rate_and_module(make: Make, keep: Keep, how: str) -> None:
    training = make(own=Breaks(9, how), fit__save_steps=3)
    reports = keep(training)
    end = reports[-1]
    assert (end.kind, end.stopped, end.step) == ("end", "nan", 9)
    assert "at step 9 " in end.text
    assert f"learning rate {reports_lr(training, 9):.3g}" in end.text
    assert "broken (Spoiler)" in end.text
    assert saved_steps(training)[-1] == 9
    assert finite_on_disk(training)


def reports_lr(training: Training, step: int) -> float:
    from deepen.engine.optim import peak_lr
    from deepen.engine.schedule import factor

    return peak_lr(training.recipe.optim) * factor(training.recipe.schedule, step, training.total_steps)


def finite_on_disk(training: Training) -> bool:
    for folder in checkpoint.folders(training.folder.checkpoints):
        for value in _read(folder).tensors.values():
            if not torch.isfinite(value).all():
                return False
    return True


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("save_steps", [1, 3])
@pytest.mark.parametrize("at", [5, 6])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_weights_that_are_no_numbers_are_neither_saved_nor_best(
    make: Make, keep: Keep, save_steps: int, at: int, ema: float | None
) -> None:
    """The loss of the step is finite and its gradient is not; at=6 is the last step before an evaluation."""
    training = make(own=Breaks(at, "gradient"), fit__save_steps=save_steps, optim__ema=ema, fit__log_steps=1)
    reports = keep(training)
    assert math.ceil(training.steps_per_epoch) == 7
    assert reports[-1].stopped == "nan"
    assert "first" in reports[-1].text
    assert not any(report.best for report in reports)
    assert finite_on_disk(training)
    assert saved_steps(training)[-1] <= at


def test_a_bad_input_is_named(make: Make, keep: Keep) -> None:
    training = make()

    def spoilt(step: int) -> Any:
        for number, batch in enumerate(training.open_stream(step), start=step):
            yield batch | {"input": batch["input"] * (math.nan if number == 4 else 1.0)}

    end = keep(training, open_stream=spoilt)[-1]
    assert end.stopped == "nan"
    assert "input of this batch" in end.text


def scripted(values: list[float]) -> Callable[[nn.Module], dict[str, float]]:
    left = iter(values)
    return lambda model: {"accuracy": next(left)}


def test_early_stopping_counts_evaluations_without_a_better_value(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=9, fit__patience=3, fit__min_delta=0.05)
    reports = keep(training, validate=scripted([0.5, 0.6, 0.64, 0.6, 0.62, 0.9, 0.9, 0.9, 0.9]))
    looks = [report for report in reports if report.kind == "evaluation"]
    assert [report.best for report in looks] == [True, True, False, False, False]
    assert reports[-1].stopped == "early"
    assert reports[-1].step == looks[-1].step
    assert saved_steps(training)[-1] == looks[-1].step


def test_until(make: Make, keep: Keep) -> None:
    reports = keep(make(fit__epochs=9, fit__until=0.8), validate=scripted([0.5, 0.79, 0.8, 0.9]))
    assert sum(report.kind == "evaluation" for report in reports) == 3
    assert reports[-1].stopped == "early"


def test_a_stop_is_final_however_the_process_ended(make: Make, keep: Keep) -> None:
    """Killed after the last save of an early stop, before anyone was told: resuming must not train on."""
    training = make(fit__epochs=9, fit__patience=2)
    keep(training, validate=scripted([0.5, 0.4, 0.3, 0.9]))
    before = weights(training)
    found, _ = checkpoint.latest(training.folder.checkpoints)
    again = keep(training, found, validate=scripted([]))
    assert [(report.kind, report.stopped, report.step) for report in again] == [("end", "early", found.step)]
    assert same(before, weights(training))


def test_asked_to_stop_it_saves_and_goes_on_as_if_nothing_had_been(make: Make, keep: Keep) -> None:
    chosen = {"fit__epochs": 3, "model.dropout": 0.5, "optim__ema": 0.9}
    whole, parted = make(**chosen), make(**chosen)
    keep(whole)
    asked = iter([False] * 8 + [True])
    reports = keep(parted, should_stop=lambda: next(asked))
    assert (reports[-1].stopped, reports[-1].step, reports[-1].saved) == ("interrupted", 9, True)
    found, _ = checkpoint.latest(parted.folder.checkpoints)
    assert found is not None
    assert found.step == 9
    assert keep(parted, found)[-1].stopped == "finished"
    assert whole.folder.metrics.read_bytes() == parted.folder.metrics.read_bytes()
    assert same(weights(whole), weights(parted))


def test_time_limit_looks_once_more_and_saves(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=50)
    training.recipe.fit.minutes = 1e-9
    reports = keep(training)
    assert [report.kind for report in reports] == ["evaluation", "end"]
    assert reports[-1].stopped == "time"
    assert saved_steps(training) == [1]


def test_time_of_earlier_sessions_counts(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=2)
    training.recipe.fit.minutes = 10.0
    assert keep(replace(training, seconds_before=599.0))[-1].stopped == "finished"
    assert keep(replace(training, seconds_before=601.0))[-1].stopped == "time"


def test_stopping_is_break(make: Make) -> None:
    training = make()
    for report in fit(training):
        if report.kind == "evaluation":
            break
    assert saved_steps(training) == []


def test_a_failing_save_is_told_and_tried_again(make: Make, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    training = make(fit__epochs=3, fit__save_steps=5)
    real, failing = checkpoint.save_file, iter([False, True, True] + [False] * 20)

    def full(*arguments: Any, **named: Any) -> None:
        if next(failing):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments, **named)

    monkeypatch.setattr(checkpoint, "save_file", full)
    reports = keep(training)
    warnings = [report.text for report in reports if report.kind == "warning"]
    assert len(warnings) == 2
    for text in warnings:
        assert str(training.folder.checkpoints) in text
        assert "No space left on device" in text
        assert "bytes needed" in text
        assert "free" in text
        assert "Training goes on and tries again" in text
    assert (reports[-1].stopped, reports[-1].saved) == ("finished", True)
    assert saved_steps(training)[-1] == training.total_steps


def test_a_failing_last_save_is_told_at_the_end(make: Make, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    training = make(fit__epochs=2)

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    reports = keep(training)
    assert (reports[-1].stopped, reports[-1].saved) == ("finished", False)
    assert "last save" in [report.text for report in reports if report.kind == "warning"][-1]


def test_nothing_is_saved_while_the_best_model_is_not(make: Make, keep: Keep) -> None:
    """A checkpoint that says "the best is of step 7" beside an older best model would lie after a kill."""
    training = make(fit__epochs=2)
    may = iter([False, True, True])
    reports = keep(training, may_save=lambda: next(may))
    assert [r.step for r in reports if r.kind == "warning"] == [7]
    assert reports[-1].saved
    assert saved_steps(training) == [training.total_steps]


def test_a_module_with_a_length_of_nought_is_a_module(make: Make, keep: Keep) -> None:
    """Truth of a module is its length where it has one; the average must not be lost by that."""

    class Sized(nn.Linear):
        def __len__(self) -> int:
            return 0

    training = make(own=Sized(4, 3), optim__ema=0.9, fit__epochs=1)
    looked = [report.model for report in keep(training) if report.kind == "evaluation"]
    assert looked[0] is not None
    assert looked[0] is not training.model


def test_accumulation_follows_the_big_batch(make: Make, keep: Keep) -> None:
    """To rounding: the same order, the same numbers in the log, nearly the same weights."""
    whole, parts = make(fit__log_steps=1), make(fit__log_steps=1, fit__accumulate=5)
    logs = [[r.numbers for r in keep(training) if r.kind == "log"] for training in (whole, parts)]
    for one, other in zip(*logs, strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-3)
    for one, other in zip(weights(whole).values(), weights(parts).values(), strict=True):
        assert torch.allclose(one, other, atol=2e-3)


def test_more_parts_than_samples_is_one_each(make: Make, keep: Keep) -> None:
    assert keep(make(fit__epochs=1, fit__batch_size=4, fit__accumulate=9))[-1].stopped == "finished"


def test_best_is_of_the_goal_that_goes_down_too(make: Make, keep: Keep) -> None:
    training = make(fit__epochs=4, **{"task.goal": "log_loss"})
    left = iter([0.9, 0.5, 0.7, 0.4])
    reports = keep(training, validate=lambda model: {"log_loss": next(left)})
    assert [r.best for r in reports if r.kind == "evaluation"] == [True, True, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_never_best(make: Make, keep: Keep, value: float) -> None:
    reports = keep(make(fit__epochs=2), validate=scripted([value, 0.3]))
    assert [r.best for r in reports if r.kind == "evaluation"] == [False, True]


def test_unusable_lengths_are_refused(make: Make) -> None:
    for settings in (
        {"fit__accumulate": 0},
        {"fit__log_steps": 0},
        {"fit__batch_size": 0},
        {"fit__evaluate_epochs": 0},
        {"fit__save_steps": 0},
        {"fit__epochs": -1},
        {"optim__ema": 1.5},
        {"optim__lr": -1},
    ):
        with pytest.raises(Misuse, match=next(iter(settings)).replace("__", ".")):
            make(**settings)
