from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepen.errors import Problem
from deepen.pretrained.load import classes_of, load, percent
from deepen.pretrained.weights import Weights
from tests.pretrained.conftest import numbers, same, small


def weights(tensors: dict[str, Tensor]) -> Weights:
    return Weights(tensors, "elsewhere.pth", "0" * 64)


def test_everything_is_taken_over_and_said() -> None:
    source, target = small(seed=1), small(seed=2)
    count = target.bn1.num_batches_tracked.clone()  # type: ignore[union-attr, operator]
    loaded = load(target, weights(numbers(source)), allow_partial=False)
    assert same(source, target)
    assert loaded.share == 1
    assert loaded.missing == loaded.unexpected == loaded.differing == ()
    assert "100 % of the numbers of the network come from elsewhere.pth" in loaded.sentence
    assert "head fc with 3 answers was taken over" in loaded.sentence
    assert torch.equal(target.bn1.num_batches_tracked, count)  # type: ignore[union-attr, arg-type]


def test_tensors_are_copied_in_place_and_half_floats_widened() -> None:
    source, target = small(seed=1), small(seed=2)
    held = target.conv1.weight  # type: ignore[union-attr]
    load(target, weights({name: value.half() for name, value in numbers(source).items()}), allow_partial=False)
    assert target.conv1.weight is held  # type: ignore[union-attr]
    assert held.dtype == torch.float32  # type: ignore[union-attr]
    assert torch.equal(held, source.conv1.weight.half().float())  # type: ignore[union-attr, operator, arg-type]


def test_a_head_for_other_classes_stays_as_it_is() -> None:
    source, target = small(5, seed=1), small(3, seed=2)
    before = target.fc.weight.clone()  # type: ignore[union-attr, operator]
    loaded = load(target, weights(numbers(source)), allow_partial=False)
    assert torch.equal(target.fc.weight, before)  # type: ignore[union-attr, arg-type]
    assert torch.equal(target.conv1.weight, source.conv1.weight)  # type: ignore[union-attr, arg-type]
    assert loaded.share == 1
    assert loaded.differing == ()
    assert "head fc is new, for 3 answers instead of 5" in loaded.sentence
    assert "the network's body" in loaded.sentence
    assert classes_of(target, weights(numbers(source))) == 5


def test_weights_without_a_head_count_in_full() -> None:
    given = {name: value for name, value in numbers(small(seed=1)).items() if not name.startswith("fc.")}
    loaded = load(small(seed=2), weights(given), allow_partial=False)
    assert loaded.share == 1
    assert "head fc is new" in loaded.sentence
    assert classes_of(small(), weights(given)) is None


def test_under_95_percent_is_refused_unless_allowed() -> None:
    source, target = small(seed=1), small(seed=2)
    given = {name: value for name, value in numbers(source).items() if not name.startswith("layer2.0.conv2")}
    given["extra.weight"] = torch.zeros(3)
    given["bn1.weight"] = torch.zeros(99)
    before = numbers(target)
    with pytest.raises(Problem) as caught:
        load(target, weights(given), allow_partial=False)
    text = str(caught.value)
    for words in (
        " % of the network's numbers",
        "Not there: layer2.0.conv2.weight",
        "Of another shape: bn1.weight",
        "Beyond the network: extra.weight",
        "--allow-partial",
    ):
        assert words in text, text
    assert all(torch.equal(value, before[name]) for name, value in numbers(target).items()), "nothing is copied"
    loaded = load(target, weights(given), allow_partial=True)
    total = sum(value.numel() for value in before.values())
    assert loaded.share == 1 - (8 * 8 * 9 + 4) / total
    assert loaded.missing == ("layer2.0.conv2.weight",)
    assert loaded.unexpected == ("extra.weight",)
    assert "Not there: layer2.0.conv2.weight." in loaded.sentence


def test_nothing_in_common_is_refused_whatever_is_allowed() -> None:
    with pytest.raises(Problem, match=r"Nothing in the weights from elsewhere\.pth fits"):
        load(small(), weights({"a": torch.zeros(2)}), allow_partial=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    given = numbers(small())
    given["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(Problem, match=r"NaN or infinite numbers \(in layer1\.0\.conv1\.weight\)"):
        load(small(), weights(given), allow_partial=True)


def test_filters_for_colours_become_filters_for_grey() -> None:
    source, target = small(seed=1), small(channels=1, seed=2)
    loaded = load(target, weights(numbers(source)), allow_partial=False)
    assert loaded.share == 1
    assert "summed over the three colours" in loaded.sentence
    grey = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected, answer = source.eval()(grey.expand(-1, 3, -1, -1)), target.eval()(grey)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)


class Standing(nn.Module):
    """A network that stands on another."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = small(seed=3)
        self.backbone.fc = nn.Identity()
        self.answer = nn.Conv2d(8, 2, 1)


def test_weights_of_a_classifier_go_into_the_backbone_of_what_stands_on_one() -> None:
    source, target = small(seed=1), Standing()
    loaded = load(target, weights(numbers(source)), allow_partial=False)
    assert torch.equal(target.backbone.conv1.weight, source.conv1.weight)  # type: ignore[union-attr, arg-type]
    assert loaded.share == 1
    assert loaded.unexpected == ("fc.weight", "fc.bias")
    assert "of its backbone come" in loaded.sentence


def test_weights_of_the_whole_are_taken_over_whole() -> None:
    source, target = Standing(), Standing()
    with torch.no_grad():
        source.answer.weight.fill_(2.0)
    loaded = load(target, weights(numbers(source)), allow_partial=False)
    assert (target.answer.weight == 2).all()
    assert "of the network come" in loaded.sentence


def test_a_network_that_is_no_backbone_has_its_last_layer_as_head() -> None:
    source = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
    target = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    loaded = load(target, weights(dict(source.state_dict())), allow_partial=False)
    assert torch.equal(target[0].weight, source[0].weight)
    assert "head 2 is new, for 2 answers instead of 5" in loaded.sentence


def test_a_hundred_percent_is_said_only_of_everything() -> None:
    assert [percent(share) for share in (0, 1e-9, 0.5, 0.95, 0.99999, 1)] == [
        "0 %",
        "0.1 %",
        "50.0 %",
        "95 %",
        "99.9 %",
        "100 %",
    ]
