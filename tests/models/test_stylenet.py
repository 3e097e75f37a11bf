from __future__ import annotations

import pytest
import torch
from torch import nn

from deepen.errors import Misuse, Problem
from deepen.models import canvas, stylenet
from deepen.spec import Image, Nothing, Spec, Table

COLOUR = Spec(Image(3, 40, 56), Nothing())


@pytest.fixture
def small() -> stylenet.StyleNet:
    torch.manual_seed(0)
    return stylenet.build(COLOUR, stylenet.Config(width=4, blocks=2)).eval()


@pytest.mark.parametrize("size", [(16, 16), (40, 56), (41, 57), (33, 90)])
def test_any_size_is_drawn_at_its_size(small: stylenet.StyleNet, size: tuple[int, int]) -> None:
    drawn = small(torch.randn(2, 3, *size))
    assert drawn.shape == (2, 3, *size)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_it_is_about_as_large_as_the_papers() -> None:
    """Johnson et al. (2016): 1.68 million parameters, of which two convolutions at full size are left out here."""
    model = stylenet.build(COLOUR, stylenet.Config())
    assert 1.5e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.68e6


def test_it_starts_near_grey_where_gradients_pass(small: stylenet.StyleNet) -> None:
    drawn = small(torch.randn(1, 3, 40, 56))
    assert (drawn - 0.5).abs().max() < 0.25


def test_contrast_of_the_input_does_not_matter(small: stylenet.StyleNet) -> None:
    """What instance normalisation is for; at the edges of its epsilon only."""
    picture = 10 * torch.randn(1, 3, 40, 56)
    assert torch.allclose(small(picture), small(2 * picture), atol=1e-3)


def test_no_checkerboard(small: stylenet.StyleNet) -> None:
    """A plain input gives a plain output, but for the fine structure that a transposed convolution would leave."""
    inner = small(torch.full((1, 3, 64, 64), 0.7))[:, :, 20:-20, 20:-20]
    assert inner.std((2, 3)).max() < 1e-4


def test_every_weight_learns_and_is_restored(small: stylenet.StyleNet) -> None:
    torch.manual_seed(1)
    other = stylenet.build(COLOUR, stylenet.Config(width=4, blocks=2)).eval()
    x = torch.randn(2, 3, 40, 56)
    (small(x) * torch.randn(2, 3, 40, 56)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in small.parameters())
    assert not torch.equal(small(x), other(x))
    other.load_state_dict(small.state_dict())
    assert torch.equal(small(x), other(x))


@pytest.mark.parametrize("module", [stylenet, canvas])
def test_grey_pictures_and_tables_are_refused(module: object) -> None:
    build, config = module.build, module.Config()  # type: ignore[attr-defined]
    with pytest.raises(Problem, match=r"data\.channels=3"):
        build(Spec(Image(1, 40, 40), Nothing()), config)
    with pytest.raises(Problem, match="works on pictures"):
        build(Spec(Table(("a",)), Nothing()), config)


def test_settings_out_of_range() -> None:
    with pytest.raises(Misuse, match=r"model\.width"):
        stylenet.build(COLOUR, stylenet.Config(width=0))
    with pytest.raises(Misuse, match=r"model\.sizes"):
        canvas.build(COLOUR, canvas.Config(sizes=0))


def test_a_canvas_shows_what_it_begins_with() -> None:
    model = canvas.build(COLOUR, canvas.Config())
    assert [tuple(part.shape[2:]) for part in model.sizes] == [(40, 56), (20, 28), (10, 14), (5, 7), (3, 4)]
    picture = torch.rand(1, 3, 40, 56)
    model.begin(picture)
    drawn = model(torch.zeros(2, 3, 40, 56))
    assert drawn.shape == (2, 3, 40, 56)
    assert torch.allclose(drawn[0], picture[0].clamp(canvas.DARKEST, 1 - canvas.DARKEST), atol=1e-5)
    assert torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (40, 56)])
def test_a_canvas_may_have_any_size(size: tuple[int, int]) -> None:
    model = canvas.build(Spec(Image(3, *size), Nothing()), canvas.Config())
    drawn = model(torch.zeros(1, 3, *size))
    drawn.sum().backward()
    assert drawn.shape == (1, 3, *size)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_large_areas_of_a_canvas_change_colour_in_few_steps() -> None:
    """Pixels of several sizes: what single pixels need as many steps for as the colour is away."""

    def left(sizes: int) -> float:
        torch.manual_seed(0)
        model: nn.Module = canvas.build(COLOUR, canvas.Config(sizes=sizes))
        optimizer = torch.optim.Adam(model.parameters(), 0.05)
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(torch.zeros(1, 3, 40, 56)) - 0.9).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert left(5) < 0.5 * left(1)
