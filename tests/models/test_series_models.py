"""Models for series against plain references."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepen.errors import Misuse, Problem
from deepen.models import dlinear, patchtst, rnn
from deepen.nn.standing import standing
from deepen.spec import Category, Horizon, Series, Spec, Table

LENGTH, HORIZON, NAMES = 30, 7, ("a", "b", "c")
ALL = Spec(Series(LENGTH, NAMES), Horizon(HORIZON, NAMES))
SOME = Spec(Series(LENGTH, NAMES), Horizon(HORIZON, ("c", "a")))


def past(count: int = 4) -> Tensor:
    return torch.randn(count, LENGTH, 3, generator=torch.Generator().manual_seed(1)) * 3 + 5


def linear(layer: dlinear.Layers, row: Tensor, variate: int) -> Tensor:
    """One variate's forecast, moment by moment."""
    own = variate if len(layer.weight) > 1 else 0
    return torch.stack(
        [
            sum((layer.weight[own, step, i] * row[i] for i in range(len(row))), layer.bias[own, step])
            for step in range(HORIZON)
        ]
    )


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("first", ["trend", "last", "standing"])
def test_linear_models_are_weighted_sums(first: str, individual: bool) -> None:
    torch.manual_seed(0)
    model = dlinear.build(ALL, dlinear.Config(first=first, individual=individual, window=5))  # type: ignore[arg-type]
    nn.init.normal_(model.rest.bias)
    x = past(2)
    with torch.no_grad():
        answer = model(x)
        for sample in range(2):
            for variate in range(3):
                row = x[sample, :, variate]
                if first == "trend":
                    around = torch.cat([row[:1].repeat(2), row, row[-1:].repeat(2)])
                    trend = torch.stack([around[i : i + 5].mean() for i in range(LENGTH)])
                    assert model.trend is not None
                    expected = linear(model.rest, row - trend, variate) + linear(model.trend, trend, variate)
                elif first == "last":
                    expected = linear(model.rest, row - row[-1], variate) + row[-1]
                else:
                    deviation = (row.var(correction=0) + 1e-5).sqrt()
                    expected = linear(model.rest, (row - row.mean()) / deviation, variate) * deviation + row.mean()
                assert torch.allclose(answer[sample, :, variate], expected, atol=1e-4)


def test_patchtst_is_what_it_is_made_of() -> None:
    """One series at a time, patches cut by hand, torch's own attention and normalisation."""
    torch.manual_seed(0)
    config = patchtst.Config(patch=8, stride=4, width=12, heads=3, layers=2, hidden=20)
    model = patchtst.build(ALL, config).eval()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm1d)):
        nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    x = past(1)
    with torch.no_grad():
        answer = model(x)
        for variate in range(3):
            row = x[0, :, variate]
            mean, deviation = row.mean(), (row.var(correction=0) + 1e-5).sqrt()
            level = (row - mean) / deviation
            level = torch.cat([level, level[-1:].repeat(4)])
            patches = torch.stack([level[start : start + 8] for start in range(0, len(level) - 7, 4)])
            tokens = model.embedding(patches) + model.position
            for layer in model.layers:
                tokens = plain_layer(layer, tokens)
            expected = model.head(tokens.flatten()) * deviation + mean
            assert torch.allclose(answer[0, :, variate], expected, atol=1e-4)


def plain_layer(layer: nn.Module, tokens: Tensor) -> Tensor:
    def normal(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
        return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias  # type: ignore[operator]

    query, key, value = (tokens @ layer.attention.c_attn.weight.T).split(12, dim=1)
    heads = []
    for head in range(3):
        at = slice(4 * head, 4 * head + 4)
        weights = (query[:, at] @ key[:, at].T / 2).softmax(1)
        heads.append(weights @ value[:, at])
    tokens = normal(layer.norms[0], tokens + torch.cat(heads, 1) @ layer.attention.c_proj.weight.T)
    return normal(layer.norms[1], tokens + layer.feed(tokens))


def test_an_lstm_forecasts_beside_mean_and_deviation() -> None:
    torch.manual_seed(0)
    model = rnn.build(SOME, rnn.Config(width=6, embedding=5, segment=8, bidirectional=False, pooling="last")).eval()
    assert isinstance(model, rnn.Forecaster)
    x = past()
    with torch.no_grad():
        mean, deviation = standing(x)
        answer = model(x)
        for place, variate in enumerate((2, 0)):
            row = ((x - mean) / deviation)[:, 6:, variate]  # 30 moments are three segments of 8, and 6 that are too old
            steps = torch.stack([model.rnn.words(row[:, start : start + 8]) for start in (0, 8, 16)], dim=1)
            state = model.rnn.layers[0].forwards(steps)[0][:, -1]  # type: ignore[union-attr, operator]
            expected = model.rnn.head(state) * deviation[:, :, variate] + mean[:, :, variate]
            assert torch.allclose(answer[:, :, place], expected, atol=1e-5)


@pytest.mark.parametrize("build", [dlinear.build, patchtst.build, rnn.build])
def test_only_what_is_asked_is_forecast(build: object) -> None:
    module = {dlinear.build: dlinear, patchtst.build: patchtst, rnn.build: rnn}[build]  # type: ignore[index]
    torch.manual_seed(0)
    model = module.build(SOME, module.Config()).eval()
    x = past()
    with torch.no_grad():
        answer = model(x)
        moved = model(x * 10 + 100)
    assert answer.shape == (4, HORIZON, 2)
    if module is not dlinear:  # its trend is not brought to a level
        assert torch.allclose(moved, answer * 10 + 100, rtol=1e-2)


def test_settings_that_cannot_be_followed() -> None:
    for config, words in (
        (patchtst.Config(width=10, heads=4), "a multiple"),
        (patchtst.Config(patch=40), "longer than the 30 moments"),
    ):
        with pytest.raises(Misuse, match=words):
            patchtst.build(ALL, config)
    with pytest.raises(Misuse, match="odd"):
        dlinear.build(ALL, dlinear.Config(window=4))
    with pytest.raises(Problem, match="goes on with a series"):
        dlinear.build(Spec(Table(("a",)), Category(("x", "y"))), dlinear.Config())
