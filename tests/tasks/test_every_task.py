"""What holds for every task of the registry, none of which is named here."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen import registry
from deepen.data import paired
from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns
from deepen.data.paired import PairPreprocess
from deepen.data.preprocess import Preprocess
from deepen.data.sentences import TextPreprocess
from deepen.data.sound import SoundPreprocess
from deepen.data.tokenizer import END, Characters
from deepen.errors import Problem
from deepen.fields import documentation
from deepen.spec import (
    Action,
    Audio,
    Boxes,
    Category,
    Horizon,
    Image,
    Labels,
    Mask,
    Nothing,
    Observation,
    Quantity,
    Sentence,
    Series,
    Spec,
    Table,
    Text,
    Tokens,
)
from deepen.tasks.base import Acting, Answers, Places, Reads, Supervised, Task, Writes, agree
from deepen.tasks.measures import Weighted, intervals
from tests.samples.drawing import scene

SIGNS = Characters("!?;(")
TASKS = list(registry.entries("task"))
SPECS = [
    Spec(Image(1, 8, 8), Category(("a", "b", "c"))),
    Spec(Image(3, 8, 8), Nothing()),
    Spec(Table(("x", "y")), Category(("a", "b"))),
    Spec(Table(("x", "y")), Quantity(("z",), (1.0,), (2.0,))),
    Spec(Table(("x", "y")), Quantity(("z", "w"), (1.0, 0.0), (2.0, 1.0))),
    Spec(Image(3, 32, 32), Boxes(("dark", "bright"))),
    Spec(Image(3, 32, 32), Mask(("ground", "dark", "bright"))),
    Spec(Text(6, 9), Category(("a", "b"))),
    Spec(Text(6, 9), Tokens(9)),
    Spec(Text(6, 9), Labels(("O", "B-x", "I-x"))),
    Spec(Text(6, 9), Labels(("noun", "verb"))),
    Spec(Series(8, ("x", "y")), Horizon(3, ("y",), (1.0,), (2.0,))),
    Spec(Text(6, 9), Sentence(5, 9)),
    Spec(Audio(24, 8, 8000), Sentence(4, 9)),
    Spec(Observation((4,), "CartPole-v1"), Action(("0", "1"))),
]


def possible(name: str) -> list[tuple[Spec, Task]]:
    """Every spec of the list that the task can be built for."""
    module, found = registry.find("task", name).load(), []
    for spec in SPECS:
        try:
            found.append((spec, module.build(spec, module.Config())))
        except Problem:
            assert not module.natural(spec), "a task must take what it calls natural"
    return found


def supervised() -> list[Any]:
    cases = [(name, spec, task) for name in TASKS for spec, task in possible(name) if isinstance(task, Supervised)]
    return [pytest.param(spec, task, id=f"{name}-{number}") for number, (name, spec, task) in enumerate(cases)]


@pytest.mark.parametrize("name", TASKS)
def test_settings_are_documented_and_have_defaults(name: str) -> None:
    entry = registry.find("task", name)
    config = entry.load().Config
    assert is_dataclass(config)
    assert entry.summary
    texts = documentation(config)
    assert all(texts.get(field.name) for field in fields(config))
    config()


@pytest.mark.parametrize("name", TASKS)
def test_a_task_suits_some_data_and_says_what_decides(name: str) -> None:
    cases = possible(name)
    assert cases
    for spec, task in cases:
        assert task.spec.input == spec.input
        assert task.goal.best in ("max", "min")


def test_one_task_at_most_is_natural_for_some_data() -> None:
    for spec in SPECS:
        assert sum(registry.find("task", name).load().natural(spec) for name in TASKS) <= 1


@pytest.mark.parametrize("name", TASKS)
def test_acting_tasks_are_built_for_observations_only(name: str) -> None:
    for spec, task in possible(name):
        assert isinstance(task, Acting) == isinstance(spec.input, Observation)


def model_for(spec: Spec, task: Supervised) -> nn.Module:
    """A linear model where the answer is a few numbers, else the smallest of the registry that answers as the task expects."""
    torch.manual_seed(0)
    text = isinstance(spec.input, Text)
    if task.expected(2) == (2, spec.output.width) and not text:
        return nn.Sequential(nn.Flatten(), nn.Linear(spec.input_size, spec.output.width))
    fitting: list[nn.Module] = []
    for entry in registry.entries("model").values():
        if entry.preset:
            continue
        try:
            model = entry.load().build(task.spec, entry.load().Config())
        except Problem:
            continue
        draws = hasattr(model, "latent_size")  # from numbers of its own, whatever the data is
        asked = torch.ones(2, *spec.input.shape, dtype=torch.int64 if text else torch.float32)
        if not draws and agree(model.eval()(asked).shape, task.expected(2)):
            fitting.append(model)
    return min(fitting, key=lambda model: sum(p.numel() for p in model.parameters())).train()


def some_samples(spec: Spec) -> dict[str, Tensor]:
    """Inputs whose target can be seen in them."""
    if isinstance(spec.output, Boxes | Mask):
        drawn = [scene(number, side=spec.input.shape[-1], most=2) for number in range(16)]
        pixels = torch.stack([torch.from_numpy(np.array(picture)) for picture, _, _ in drawn])
        inputs = (pixels.permute(0, 3, 1, 2).float() - 120) / 60
        if isinstance(spec.output, Mask):
            return {"input": inputs, "target": torch.stack([torch.from_numpy(mask) for _, _, mask in drawn])}
        boxes = torch.full((len(drawn), 3, 5), -1.0)
        for row, (_, things, _) in enumerate(drawn):
            boxes[row, : len(things)] = torch.tensor(things, dtype=torch.float32)
        return {"input": inputs, "target": boxes}
    if isinstance(spec.input, Audio):
        words = torch.randint(5, 9, (32, 2), generator=torch.Generator().manual_seed(1))
        sound = 0.1 * torch.randn(32, *spec.input.shape, generator=torch.Generator().manual_seed(1))
        for number, row in enumerate(words - 5):
            sound[number, :12, row[0] * 2] += 3  # each half of a recording is one band of pitch
            sound[number, 12:, row[1] * 2] += 3
        references = [paired.written(SIGNS.decode(row)) for row in words.tolist()]
        return {"input": sound, "target": words, "reference": torch.tensor([list(row) for row in references])}
    if isinstance(spec.output, Sentence):
        words = torch.randint(5, 9, (16, *spec.input.shape), generator=torch.Generator().manual_seed(1))
        target = functional.pad((words[:, :4] - 4) % 4 + 5, (0, 1), value=END)  # the next sign for each of the first
        references = [paired.written(SIGNS.decode(row)) for row in target.tolist()]
        return {"input": words, "target": target, "reference": torch.tensor([list(row) for row in references])}
    if isinstance(spec.input, Text):
        words = torch.randint(1, 9, (60, *spec.input.shape), generator=torch.Generator().manual_seed(1))
        if isinstance(spec.output, Labels):
            after = functional.pad(words, (1, -1)).eq(3)  # what the word before says decides as well
            both = words.eq(3) | after
            return {
                "input": words,
                "target": torch.where(words.eq(3), 1, 2 * after) if spec.output.width == 3 else both.long(),
            }
        target = words % 8 + 1 if isinstance(spec.output, Tokens) else words.eq(3).any(1).long()
        return {"input": words, "target": target}
    inputs = torch.randn(60, *spec.input.shape, generator=torch.Generator().manual_seed(1))
    if isinstance(spec.output, Horizon):
        return {"input": inputs, "target": inputs[:, 2:5, 1:]}
    if isinstance(spec.output, Category):
        return {"input": inputs, "target": inputs.flatten(1)[:, :2].sum(1).gt(0).long()}
    return {"input": inputs, "target": inputs.flatten(1)[:, : spec.output.width] * 2 + 1}


def preprocess_of(spec: Spec) -> Preprocess:
    if isinstance(spec.input, Audio):
        return SoundPreprocess(spec.input.rate, 1.0, (0.0,) * spec.input.bands, (1.0,) * spec.input.bands, SIGNS)
    if isinstance(spec.output, Sentence):
        return PairPreprocess(TextPreprocess(SIGNS, spec.input.shape[0]), SIGNS)
    if isinstance(spec.input, Text):
        return TextPreprocess(Characters("abcd"), spec.input.length)
    return ArrayPreprocess(spec.input.shape)


@pytest.mark.parametrize(("spec", "task"), supervised())
def test_supervised_tasks_learn_measure_and_answer(spec: Spec, task: Supervised) -> None:
    model, batch = model_for(spec, task), some_samples(spec)
    inputs, count = batch["input"], len(batch["input"])

    task.study(Columns(batch), preprocess_of(spec))
    optimizer = torch.optim.Adam(model.parameters(), 0.05 if count == 60 else 0.01)

    class Update:
        step = 0

        def __call__(self, loss: torch.Tensor, part: str = "model") -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert list(task.parts(model).values()) == [model]
    with torch.no_grad():
        before = task.measure(task.score(model, batch))[task.goal.metric]
    numbers = [task.step(model, batch, Update()) for _ in range(100 if count == 60 else 40)]
    with torch.no_grad():
        rows = task.score(model, batch)
    assert float(numbers[-1]["loss"]) < float(numbers[0]["loss"])
    assert all(len(values) == count and not values.requires_grad for values in rows.values())
    metrics = task.measure(rows)
    assert task.goal.better(metrics[task.goal.metric], before)
    assert task.goal.better(metrics[task.goal.metric], task.baseline(rows)[task.goal.metric])
    assert all(math.isfinite(value) for value in metrics.values())
    if isinstance(task, Weighted):
        low, high = intervals(task, rows, 0, 50)[task.goal.metric]
        assert low <= metrics[task.goal.metric] <= high
    if isinstance(task, Answers):
        assert len(task.answer(model(inputs[:3]).detach())) == 3
    else:
        assert isinstance(task, Places | Writes | Reads)
    stored = {"input": torch.ones(4, 2040, dtype=torch.int16)} if isinstance(spec.input, Audio) else batch
    assert task.examples(model, Columns(stored), preprocess_of(spec), 4).shape == (4, *spec.input.shape)
