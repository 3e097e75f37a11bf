"""Classification: losses against plain sums, metrics against scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor, nn

from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns
from deepen.errors import Misuse, Problem
from deepen.spec import Category, Image, Quantity, Spec
from deepen.tasks import classify

NAMES = ("cat", "dog", "10", "NA")


def task(classes: int = 4, **settings: object) -> classify.Classify:
    spec = Spec(Image(1, 1, classes), Category(NAMES[:classes]))
    return classify.build(spec, classify.Config(**settings))  # type: ignore[arg-type]


def batch(classes: int = 4, count: int = 64, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (count,), generator=random)
    logits = torch.randn(count, classes, generator=random) + torch.nn.functional.one_hot(target, classes)
    other = torch.randint(classes, (count,), generator=random)
    return {"input": logits, "target": target, "target_other": other, "mix": torch.rand(count, generator=random)}


def plain_loss(logits: list[float], target: int, config: classify.Config) -> float:
    """One sample's loss, from the formulas."""
    classes = len(logits)
    smooth = config.label_smoothing
    truth = [smooth / classes + (1 - smooth) * (label == target) for label in range(classes)]
    if config.loss == "bce":
        chances = [1 / (1 + math.exp(-value)) for value in logits]
        return -sum(t * math.log(p) + (1 - t) * math.log(1 - p) for t, p in zip(truth, chances, strict=True))
    total = sum(math.exp(value) for value in logits)
    chances = [math.exp(value) / total for value in logits]
    loss = -sum(t * math.log(p) for t, p in zip(truth, chances, strict=True))
    return loss * (1 - chances[target]) ** config.focal_gamma if config.loss == "focal" else loss


@pytest.mark.parametrize("loss", ["cross-entropy", "bce", "focal"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_is_the_mean_of_the_plain_one(loss: str, smoothing: float, mixed: bool) -> None:
    made = task(loss=loss, label_smoothing=smoothing, focal_gamma=1.5)
    samples = batch()
    rows = zip(*(samples[name].tolist() for name in ("input", "target", "target_other", "mix")), strict=True)
    expected = [
        mix * plain_loss(logits, target, made.config) + (1 - mix) * plain_loss(logits, other, made.config)
        if mixed
        else plain_loss(logits, target, made.config)
        for logits, target, other, mix in rows
    ]
    given = samples if mixed else {name: samples[name] for name in ("input", "target")}
    found, _ = made.loss(nn.Identity(), given)
    assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_balanced_weights_make_every_class_count_the_same() -> None:
    made = task(2, class_weights="balanced")
    target = torch.tensor([0] * 30 + [1] * 10)
    made.study(Columns({"input": torch.zeros(40, 2), "target": target}), ArrayPreprocess((2,)))
    logits = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    found, _ = made.loss(nn.Identity(), {"input": logits, "target": target})
    assert float(found) == pytest.approx(float(each[:30].mean() + each[30:].mean()) / 2, rel=1e-5)


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces() -> None:
    """What accumulation relies on, also with class weights."""
    made = task(class_weights="balanced")
    samples = {name: values for name, values in batch().items() if name in ("input", "target")}
    made.study(Columns(samples), ArrayPreprocess((4,)))
    whole, _ = made.loss(nn.Identity(), samples)
    pieces = [
        made.loss(nn.Identity(), {name: rows[at] for name, rows in samples.items()})[0]
        for at in (slice(16), slice(16, 64))
    ]
    assert float(whole) == pytest.approx(float(0.25 * pieces[0] + 0.75 * pieces[1]), rel=1e-5)


def test_training_accuracy_is_logged_without_gradient() -> None:
    samples = batch()
    samples["input"].requires_grad_()
    loss, numbers = task().loss(nn.Identity(), {name: samples[name] for name in ("input", "target")})
    assert loss.requires_grad
    assert not numbers["accuracy"].requires_grad
    expected = reference.accuracy_score(samples["target"], samples["input"].argmax(1))
    assert float(numbers["accuracy"]) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_agree_with_scikit_learn(classes: int) -> None:
    made, samples = task(classes), batch(classes, 300)
    samples["input"] = (samples["input"] * 4).round() / 4  # ties
    found = made.measure(made.score(nn.Identity(), samples))
    chances, target = samples["input"].double().softmax(1).numpy(), samples["target"].numpy()
    predicted = chances.argmax(1)
    area = (
        reference.roc_auc_score(target, chances[:, 1])
        if classes == 2
        else reference.roc_auc_score(target, chances, multi_class="ovr")
    )
    expected = {
        "accuracy": reference.accuracy_score(target, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(target, predicted),
        "macro_f1": reference.f1_score(target, predicted, average="macro"),
        "log_loss": reference.log_loss(target, chances),
        "loss": reference.log_loss(target, chances),
        "auroc": area,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name


def test_calibration_error_is_the_gap_of_confidence_and_accuracy_by_bin() -> None:
    made, samples = task(), batch(count=500)
    confidence, predicted = samples["input"].softmax(1).max(1)
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = (predicted[inside] == samples["target"][inside]).double().mean() - confidence[inside].double().mean()
            expected += abs(float(gap)) * int(inside.sum()) / 500
    found = made.measure(made.score(nn.Identity(), samples))["calibration_error"]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_class_that_the_split_lacks_is_left_out_of_the_means() -> None:
    made, samples = task(), batch(count=200)
    samples["target"] = samples["target"] % 3
    samples["input"][:, 3] = -9.0
    found = made.measure(made.score(nn.Identity(), samples))
    predicted, target = samples["input"].argmax(1), samples["target"]
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(target, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(target, predicted, average="macro"))
    assert 0.5 < found["auroc"] < 1


def test_a_split_of_one_class_has_no_auroc() -> None:
    samples = batch() | {"target": torch.zeros(64, dtype=torch.int64)}
    assert "auroc" not in task().measure(task().score(nn.Identity(), samples))
    with pytest.raises(Problem, match="all of one class"):
        task(goal="auroc").measure(task().score(nn.Identity(), samples))


def test_rows_do_not_depend_on_the_batch_size() -> None:
    made, samples = task(loss="focal"), batch()
    whole = made.score(nn.Identity(), samples)
    parts = [made.score(nn.Identity(), {k: v[at : at + 7] for k, v in samples.items()}) for at in range(0, 64, 7)]
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name


@pytest.mark.parametrize("loss", ["cross-entropy", "bce"])
def test_the_baseline_is_the_commonest_class_of_the_training_split(loss: str) -> None:
    made = task(2, loss=loss)
    train = torch.tensor([0] * 20 + [1] * 80)
    made.study(Columns({"input": torch.zeros(100, 2), "target": train}), ArrayPreprocess((2,)))
    target = torch.tensor([0] * 5 + [1] * 15)
    found = made.baseline(made.score(nn.Identity(), {"input": torch.zeros(20, 2), "target": target}))
    assert found["accuracy"] == 0.75
    assert found["auroc"] == 0.5
    expected = -(5 * math.log(21 / 102) + 15 * math.log(81 / 102)) / 20
    assert found["log_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_answer_names_the_likeliest_classes() -> None:
    answer = task().answer(torch.tensor([[0.0, 3.0, 1.0, -1.0]]))[0]
    assert answer["category"] == "dog"
    assert [name for name, _ in answer["top"]] == ["dog", "10", "cat", "NA"]
    assert sum(chance for _, chance in answer["top"]) == pytest.approx(1)
    assert answer["probability"] == answer["top"][0][1]


@pytest.mark.parametrize(
    ("settings", "word"), [({"label_smoothing": 1.0}, "label_smoothing"), ({"focal_gamma": -1.0}, "focal_gamma")]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], word: str) -> None:
    with pytest.raises(Misuse, match=word):
        task(**settings)


def test_a_numeric_target_is_refused() -> None:
    with pytest.raises(Problem, match="not quantity"):
        classify.build(Spec(Image(1, 1, 1), Quantity(("y",))), classify.Config())


def test_the_rarer_of_two_classes_is_measured_by_itself() -> None:
    made = task(2)
    random = torch.Generator().manual_seed(0)
    target = (torch.rand(200, generator=random) < 0.2).long()
    made.study(Columns({"input": torch.zeros(200, 1), "target": target}), ArrayPreprocess((2,)))
    logits = torch.randn(200, 2, generator=random)
    logits[torch.arange(200), target] += 1
    found = made.measure({"logits": logits, "target": target, "loss": torch.zeros(200)})
    said = logits.argmax(1)
    assert found["f1/dog"] == pytest.approx(reference.f1_score(target, said))
    assert found["precision/dog"] == pytest.approx(reference.precision_score(target, said))
    assert found["recall/dog"] == pytest.approx(reference.recall_score(target, said))
    even = torch.arange(200) % 2
    made.study(Columns({"input": torch.zeros(200, 1), "target": even}), ArrayPreprocess((2,)))
    assert "f1/dog" not in made.measure({"logits": logits, "target": target, "loss": torch.zeros(200)})
