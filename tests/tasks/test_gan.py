"""GAN: who learns from what, the distance, and that rows and samples are functions of their inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.pixels import ImagePreprocess
from deepen.errors import Misuse, Problem
from deepen.spec import Image, Nothing, Spec, Table
from deepen.tasks import gan

SPEC = Spec(Image(1, 8, 8), Nothing())


class Pair(nn.Module):
    """The smallest generator and discriminator."""

    def __init__(self, latent_size: int = 5) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.generator = nn.Sequential(nn.Linear(latent_size, 64), nn.Unflatten(1, (1, 8, 8)), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))

    def forward(self, latent: Tensor) -> Tensor:
        return self.generator(latent)


class Descend:
    """Plain gradient descent, in place of the engine's update."""

    step = 0

    def __init__(self, parts: dict[str, nn.Module], lr: float = 0.05) -> None:
        self.parts, self.lr = parts, lr
        self.calls: list[tuple[str, float]] = []

    def __call__(self, loss: Tensor, part: str = "model") -> None:
        moved = list(self.parts[part].parameters())
        with torch.no_grad():
            for parameter, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
                parameter -= self.lr * gradient
        self.calls.append((part, float(loss.detach())))


@pytest.fixture
def columns() -> Columns:
    random = torch.Generator().manual_seed(0)
    return Columns({"input": torch.randint(0, 256, (40, 8, 8, 1), dtype=torch.uint8, generator=random)})


@pytest.fixture
def made(columns: Columns) -> Made:
    torch.manual_seed(0)
    task, preprocess = gan.build(SPEC, gan.Config()), ImagePreprocess.fit(columns["input"])
    task.study(columns, preprocess)
    return task, Pair(), {"input": preprocess.tensor(columns["input"])}, preprocess


Made = tuple[gan.Gan, Pair, dict[str, Tensor], ImagePreprocess]


def test_real_pictures_reach_the_discriminator_between_minus_one_and_one(made: Made, columns: Columns) -> None:
    task, _, batch, _ = made
    expected = columns["input"].permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(task._picture(batch["input"]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("loss", ["non-saturating", "hinge"])
def test_one_step_moves_each_part_by_its_own_loss(made: Made, loss: str) -> None:
    _, pair, batch, preprocess = made
    task = gan.build(SPEC, gan.Config(loss=loss, real_label=0.8))  # type: ignore[arg-type]
    task.study(Columns({"input": torch.zeros(1, 8, 8, 1, dtype=torch.uint8)}), preprocess)
    torch.manual_seed(5)
    fake = pair(torch.randn(40, 5)).detach()
    with torch.no_grad():
        real_logits, fake_logits = pair.discriminator(task._picture(batch["input"])), pair.discriminator(fake)
    if loss == "hinge":
        expected = sum(max(0, 1 - r) for r in real_logits.tolist()) + sum(max(0, 1 + f) for f in fake_logits.tolist())
    else:
        real_chance, fake_chance = real_logits.sigmoid(), fake_logits.sigmoid()
        against_real = -(0.8 * real_chance.log() + 0.2 * (1 - real_chance).log()).sum()
        expected = float(against_real - (1 - fake_chance).log().sum())
    before = {name: value.clone() for name, value in pair.state_dict().items()}
    update = Descend(task.parts(pair))
    torch.manual_seed(5)
    numbers = task.step(pair, batch, update)
    assert [part for part, _ in update.calls] == ["discriminator", "generator"]
    assert update.calls[0][1] == pytest.approx(expected / 40, rel=1e-4)
    verdict = pair.discriminator(fake).detach()  # by the discriminator as it is after its own update
    asked = -verdict.mean() if loss == "hinge" else -verdict.sigmoid().log().mean()
    assert update.calls[1][1] == pytest.approx(float(asked), rel=1e-4)
    after = pair.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in after if name.endswith("weight"))
    assert all(not value.requires_grad for value in numbers.values())


def test_learning_brings_the_pictures_nearer(made: Made) -> None:
    task, pair, _, preprocess = made
    bright = torch.randint(150, 230, (64, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    bright[:, 2:6, 2:6] -= 140
    batch = {"input": preprocess.tensor(bright)}
    moving = {name: torch.optim.Adam(part.parameters(), 0.01, (0.5, 0.9)) for name, part in task.parts(pair).items()}

    class Update:
        step = 0

        def __call__(self, loss: Tensor, part: str = "model") -> None:
            moving[part].zero_grad()
            loss.backward(inputs=list(task.parts(pair)[part].parameters()))
            moving[part].step()

    with torch.no_grad():
        before = task.measure(task.score(pair, batch))["distance"]
    for _ in range(300):
        task.step(pair, batch, Update())
    with torch.no_grad():
        after = task.measure(task.score(pair, batch))["distance"]
    assert after < 0.7 * before


def test_the_distance_is_the_plain_one() -> None:
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(30, 4, generator=random), 2 + torch.randn(30, 4, generator=random)
    expected = 0.0
    for column in range(4):
        pairs = zip(sorted(real[:, column].tolist()), sorted(fake[:, column].tolist()), strict=True)
        expected += sum(abs(r - f) for r, f in pairs) / 30 / float(real[:, column].std(correction=0)) / 4
    assert gan._distance(real, fake) == pytest.approx(expected, rel=1e-5)
    assert gan._distance(real, real.flip(0)) == 0


def test_rows_do_not_depend_on_the_batch_size(made: Made) -> None:
    task, pair, batch, _ = made
    with torch.no_grad():
        whole = task.score(pair, batch)
        parts = [task.score(pair, {"input": batch["input"][at : at + 7]}) for at in range(0, 40, 7)]
    for name, rows in whole.items():
        torch.testing.assert_close(rows, torch.cat([part[name] for part in parts]), rtol=1e-5, atol=1e-5)
    assert len(whole["fake"].unique(dim=0)) == 40


def test_latents_of_pictures_are_standard_normal() -> None:
    pictures = torch.rand(4000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = gan._latent_of(pictures, 6)
    assert latents.mean(dim=0).abs().max() < 5 / math.sqrt(4000)
    torch.testing.assert_close(torch.cov(latents.T), torch.eye(6), rtol=0, atol=0.1)
    assert torch.equal(latents, gan._latent_of(pictures.to(memory_format=torch.channels_last), 6))


def test_a_gaussian_is_the_baseline(made: Made) -> None:
    task, pair, batch, _ = made
    with torch.no_grad():
        rows = task.score(pair, batch)
    found = task.baseline(rows)["distance"]
    shifted = task.baseline(rows | {"real": rows["real"] + 5})["distance"]
    assert 0 < found < 0.5  # noise of 40 samples only: these pictures are noise, which is nearly Gaussian along slices
    assert shifted > 3 * found


def test_generating_is_a_function_of_the_seed_and_leaves_the_model_as_it_was(made: Made) -> None:
    task, pair, _, _ = made
    first = task.generate(pair, 5, 3)
    assert first.shape == (5, 8, 8, 1)
    assert first.dtype == torch.uint8
    assert torch.equal(first, task.generate(pair, 5, 3))
    assert not torch.equal(first, task.generate(pair, 5, 4))
    assert pair.training


def test_the_preview_shows_the_samples_of_fixed_latents(made: Made) -> None:
    task, pair, _, _ = made
    grid = task.preview(pair)["samples"]
    assert grid.shape == (8 * 9 - 1, 8 * 9 - 1, 1)
    assert torch.equal(grid[9:17, 18:26], task.generate(pair, 64, 0)[8 + 2])


def test_examples_are_latents_of_the_model(made: Made, columns: Columns) -> None:
    task, pair, _, preprocess = made
    found = task.examples(pair, columns, preprocess, 4)
    assert found.shape == (4, 5)
    assert torch.equal(found, task.examples(pair, columns, preprocess, 4))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(Problem, match="needs pictures"):
        gan.build(Spec(Table(("a",)), Nothing()), gan.Config())
    with pytest.raises(Misuse, match="real_label"):
        gan.build(SPEC, gan.Config(real_label=0.2))
    with pytest.raises(Problem, match="--model dcgan"):
        gan.build(SPEC, gan.Config()).parts(nn.Linear(2, 2))
