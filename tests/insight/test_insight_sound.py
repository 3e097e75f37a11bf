from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from deepen.data import hearing, sounds
from deepen.data.dataset import Dataset
from deepen.data.sound import SoundPreprocess
from deepen.insight import sound
from deepen.tasks import transcribe
from tests.samples.tones import tone


def dataset() -> Dataset:
    rows = [(tone(("low", "high")[n % 2], 0.3, seed=n) * 20000).astype(np.int16) for n in range(40)]
    heard = hearing.Heard(rows, list(range(40)), 8000, "0" * 64)
    texts = [("low", "high <b>")[n % 2] for n in range(40)]
    origins = [f"{n}.wav" for n in range(40)]
    return sounds.transcripts("tones", heard, texts, hearing.Config(plain=False), 0, origins=origins)


class Always(nn.Module):
    """Hears the token 5 at its second moment."""

    stride = 4

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.said = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, input: Tensor) -> Tensor:
        logits = self.said.expand(len(input), -(-input.shape[1] // 4), -1).clone()
        logits[:, :, 0] = 1.0
        logits[:, 1, 5] = 2.0
        return logits


def test_high_pitches_are_on_top_and_bright_where_there_is_sound() -> None:
    made = dataset()
    assert isinstance(made.preprocess, SoundPreprocess)
    for name, half in (("low", slice(20, 40)), ("high", slice(0, 20))):
        row = torch.from_numpy((tone(name, 0.3) * 20000).astype(np.int16))
        shown = sound.pixels(made.preprocess, row)
        assert shown.shape[0] == 40
        assert shown.dtype == np.uint8
        other = slice(0, 20) if half.start else slice(20, 40)
        assert shown[half].max(axis=(1, 2)).mean() >= shown[other].mean()
        brightest = int(shown.sum(axis=(1, 2)).argmax())
        assert half.start <= brightest < half.stop


def test_colours_go_from_dark_to_light() -> None:
    ramp = torch.linspace(-5, 5, 50).unsqueeze(1)
    brightness = sound.coloured(ramp)[0].astype(int).sum(1)
    assert (np.diff(brightness) >= 0).all()


def test_what_was_heard_stands_over_its_moment() -> None:
    made = dataset()
    task = transcribe.build(made.spec, transcribe.Config())
    task.study(made.train, made.preprocess)
    model = Always(made.spec.output.width)
    columns = made.validation
    batch = columns.take(torch.arange(len(columns)))
    with torch.no_grad():
        rows = task.score(model, batch | {"input": made.preprocess.tensor(batch["input"])})
    drawn = sound.told(made, rows, model, task)
    assert set(drawn) == {"examples", "worst"}
    assert "said" in drawn["worst"]
    assert "<b>" not in drawn["worst"]  # what people wrote is never markup
    shown = sound.of_data(made, made.train.subset(torch.arange(9)), None, 0)
    assert set(shown) == {"samples"}
    assert "0.3 s" in shown["samples"]


def test_who_writes_nothing_is_said_to() -> None:
    made = dataset()
    task = transcribe.build(made.spec, transcribe.Config())
    task.study(made.train, made.preprocess)
    model = Always(made.spec.output.width)
    model.register_forward_hook(lambda module, given, output: output.index_fill(2, torch.tensor([5]), -3.0))
    columns = made.validation
    batch = columns.take(torch.arange(len(columns)))
    with torch.no_grad():
        rows = task.score(model, batch | {"input": made.preprocess.tensor(batch["input"])})
    assert "(nothing)" in sound.told(made, rows, model, task)["worst"]
