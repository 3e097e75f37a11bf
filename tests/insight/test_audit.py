"""The audit finds what was planted, and nothing in sound data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.data.dataset import Bad, Columns, Dataset, Finding, Sealed
from deepen.data.preprocess import Preprocess
from deepen.insight import suspicions
from deepen.insight.audit import audit, verdict
from deepen.spec import Boxes, Category, Image, Mask, Output, Quantity, Spec, Table


class Untouched(Preprocess):
    """A preprocessing that the audit has no business with."""

    kind = "untouched"

    def read(self, sources):
        raise AssertionError

    def encode(self, items):
        raise AssertionError

    def tensor(self, stored):
        raise AssertionError

    def to_json(self):
        return {}

    @classmethod
    def from_json(cls, data):
        return cls()


class Shut(Sealed):
    """A test split that nobody may open."""

    def open(self, count_look):
        raise AssertionError("the test split was opened")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def pictures(count: int = 600, classes: int = 3, held_out: int = 150) -> Dataset:
    """Random pictures with balanced classes: nothing odd."""
    random = generator()

    def part(rows: int, name: str) -> Columns:
        pixels = torch.randint(0, 256, (rows, 6, 6, 1), generator=random, dtype=torch.uint8)
        target = torch.arange(rows) % classes
        return Columns({"input": pixels, "target": target}, [f"{name}/{i}.png" for i in range(rows)])

    names = tuple(f"class {i}" for i in range(classes))
    spec = Spec(Image(1, 6, 6), Category(names))
    train, validation, test = part(count, "train"), part(held_out, "val"), part(held_out, "test")
    return Dataset("shapes", spec, Untouched(), train, validation, Shut(test), "digest")


def table(inputs: Tensor, target: Tensor, output: Category | Quantity, names: tuple[str, ...] = ()) -> Dataset:
    """A table whose last fifth is the validation split."""
    names = names or tuple(f"x{i}" for i in range(inputs.shape[1]))
    cut = len(inputs) * 4 // 5
    train = Columns({"input": inputs[:cut], "target": target[:cut]})
    validation = Columns({"input": inputs[cut:], "target": target[cut:]})
    return Dataset("table", Spec(Table(names), output), Untouched(), train, validation, None, "digest")


def subjects(dataset: Dataset) -> dict[str, Finding]:
    return {finding.subject: finding for finding in audit(dataset, seed=0)}


def test_sound_pictures_have_no_findings():
    dataset = pictures()
    assert audit(dataset, seed=0) == []
    assert verdict(dataset, []) == "nothing found in 900 samples"


def test_sound_table_has_no_findings():
    inputs = torch.randn(1000, 4, generator=generator())
    dataset = table(inputs, torch.randint(0, 2, (1000,), generator=generator()), Category(("a", "b")))
    assert audit(dataset, seed=0) == []


def test_source_findings_come_along_and_the_gravest_first():
    dataset = pictures()
    dataset.findings = [Finding("note", "a", "n"), Finding("error", "b", "e"), Finding("warning", "c", "w")]
    found = audit(dataset, seed=0)
    assert [finding.level for finding in found] == ["error", "warning", "note"]
    assert verdict(dataset, found) == "1 error, 1 warning and 1 note in 900 samples"


def test_verdict_counts_in_the_plural():
    dataset = pictures()
    assert verdict(dataset, [Finding("note", "a", "n")] * 2) == "2 notes in 900 samples"


def test_bad_files_are_listed():
    dataset = pictures()
    dataset.bad = [Bad("a.jpg", "0 bytes"), Bad("b.jpg", "truncated")]
    found = subjects(dataset)["bad-files"]
    assert "2 files" in found.text
    assert "a.jpg: 0 bytes" in found.text
    assert "--skip-bad" in found.mend
    assert found.details["files"][1] == {"path": "b.jpg", "reason": "truncated"}


def test_duplicates_across_splits_without_opening_test():
    dataset = pictures()
    dataset.train["input"][7] = dataset.validation["input"][3]
    dataset.train["input"][8] = dataset.test._columns["input"][4]
    found = subjects(dataset)
    assert found["duplicates-validation"].details == {"train": ["train/7.png"], "validation": ["val/3.png"]}
    assert "1 of 150 validation samples also stands in train, where it can" in found["duplicates-validation"].text
    assert found["duplicates-test"].details == {"train": ["train/8.png"]}
    assert found["duplicates-test"].level == "warning"


def test_duplicates_agree_with_comparing_all_pairs():
    random = np.random.default_rng(3)
    dataset = pictures()
    for place in random.choice(600, 40, replace=False):
        dataset.train["input"][place] = dataset.train["input"][random.integers(0, 600)]
    for place in random.choice(150, 10, replace=False):
        dataset.validation["input"][place] = dataset.train["input"][random.integers(0, 600)]
    train = [row.tobytes() for row in dataset.train["input"].numpy()]
    held_out = [row.tobytes() for row in dataset.validation["input"].numpy()]
    found = subjects(dataset)
    assert f"{len(train) - len(set(train))} of 600 training samples" in found["repeats"].text
    assert f"{sum(row in set(train) for row in held_out)} of 150 validation" in found["duplicates-validation"].text


def test_equal_pictures_with_different_labels():
    dataset = pictures()
    dataset.train["input"][4] = dataset.train["input"][9]
    found = subjects(dataset)["conflicting-labels"]
    assert found.details["pairs"] == [["train/4.png", "train/9.png"]]
    assert "1 pair of training samples is equal" in found.text
    assert "'class 1'" in found.text
    assert "'class 0'" in found.text


def test_equal_pictures_with_one_label_do_not_conflict():
    dataset = pictures()
    dataset.train["input"][3] = dataset.train["input"][9]
    found = subjects(dataset)
    assert "repeats" in found
    assert "conflicting-labels" not in found


@pytest.mark.parametrize(("rare", "level"), [(300, None), (150, "note"), (30, "warning")])
def test_imbalance_says_the_ratio(rare: int, level: str | None):
    dataset = pictures(count=900, classes=2)
    dataset.train["target"][:] = (torch.arange(900) >= 900 - rare).long()
    dataset.validation["target"][:] = (torch.arange(150) >= 150 - rare // 6).long()
    found = subjects(dataset).get("imbalance")
    assert (found.level if found else None) == level
    if found:
        assert f"{(900 - rare) / rare:,.0f} times" in found.text
        assert "task.class_weights=balanced" in found.mend


def test_tiny_missing_and_unmeasured_classes():
    dataset = pictures(classes=4)
    target = torch.arange(600) % 2
    target[:3] = 2
    dataset.train["target"][:] = target
    dataset.validation["target"][:] = torch.arange(150) % 2
    dataset.validation["target"][0] = 3
    found = subjects(dataset)
    assert "'class 2' has 3" in found["tiny-class"].text
    assert found["missing-class"].level == "error"
    assert found["missing-class"].details["classes"] == ["class 3"]
    assert found["unmeasured-class"].details["classes"] == ["class 2"]


def test_one_class_only():
    dataset = pictures()
    dataset.train["target"][:] = 1
    assert "'class 1'" in subjects(dataset)["one-class"].text


def test_constant_pictures():
    dataset = pictures()
    dataset.train["input"][11] = 255
    dataset.train["input"][12] = 255
    dataset.train["input"][12, 1, 1] = 254
    found = subjects(dataset)["constant-pictures"]
    assert found.details["samples"] == ["train/11.png"]


def test_few_samples_and_small_validation():
    found = subjects(pictures(count=60, held_out=24))
    assert "Training has only 60 samples" in found["few-samples"].text
    assert "24 samples" in found["small-validation"].text
    assert found["small-validation"].level == "warning"


def test_class_shares_that_differ_between_splits():
    dataset = pictures()
    dataset.validation["target"][:] = (torch.arange(150) % 10 == 0).long()
    found = subjects(dataset)["shift"]
    assert "'class 0' is 33.3 % of train and 90.0 % of validation" in found.text


def test_chance_differences_of_class_shares_are_not_a_shift():
    names = tuple("abcdefgh")
    random = np.random.default_rng(1)
    for _ in range(200):
        train, held_out = (np.bincount(random.integers(0, 8, n), minlength=8) for n in (2000, 200))
        assert list(suspicions.shifted_classes(train, held_out, names)) == []


def test_rows_sorted_by_class():
    inputs = torch.randn(400, 3, generator=generator())
    target = (torch.arange(400) // 100) % 2
    dataset = table(inputs, target, Category(("a", "b")))
    dataset.train["target"][:] = (torch.arange(320) >= 160).long()
    assert subjects(dataset)["sorted"].level == "note"
    dataset.train["target"][5] = 1
    assert "sorted" not in subjects(dataset)


def test_a_column_that_tells_the_class_is_suspected():
    inputs = torch.randn(1000, 4, generator=generator())
    target = torch.randint(0, 3, (1000,), generator=generator())
    inputs[:, 2] = target + 0.2 * torch.rand(1000, generator=generator())
    found = subjects(table(inputs, target, Category(("a", "b", "c"))))["leak"]
    assert found.details["columns"] == ["x2"]
    assert "perhaps" in found.text


def test_a_column_that_follows_the_number_is_suspected():
    inputs = torch.randn(1000, 3, generator=generator())
    target = -torch.exp(inputs[:, 1:2]) * 1000
    names = ("price",)
    assert subjects(table(inputs, target, Quantity(names)))["leak"].details["columns"] == ["x1"]


def test_telling_columns_agree_with_trying_every_threshold():
    """For two classes: a column is found exactly when one threshold separates them."""
    random = np.random.default_rng(1)
    inputs = random.integers(0, 6, (60, 300)).astype(np.float32)
    target = random.permutation(np.arange(60) % 2)
    for column in range(0, 300, 7):
        inputs[:, column] = target * random.integers(1, 3) * (-1) ** column + random.random(60) * 0.9
    separated = []
    for column in range(300):
        low, high = (inputs[target == side, column] for side in (0, 1))
        if low.max() < high.min() or high.max() < low.min():
            separated.append(column)
    assert suspicions.telling_columns(torch.from_numpy(inputs), torch.from_numpy(target)) == separated
    assert len(separated) >= 43


def test_constant_column_tells_nothing_and_is_reported():
    inputs = torch.randn(200, 2, generator=generator())
    inputs[:, 0] = 3.0
    target = (torch.arange(200) % 2).sort().values
    target = target[torch.randperm(200, generator=generator())]
    found = subjects(table(inputs, target, Category(("a", "b"))))
    assert found["constant-column"].details["columns"] == ["x0"]
    assert "leak" not in found


def test_pieces_of_a_column_are_not_checked_by_themselves():
    names = ("age", "age >17", "age >21", "a >b", "income")
    assert suspicions.own_columns(names) == [0, 3, 4]


def test_columns_that_moved_between_splits():
    inputs = torch.randn(1000, 3, generator=generator())
    inputs[800:, 1] += 1.0
    target = torch.randint(0, 2, (1000,), generator=generator())
    found = subjects(table(inputs, target, Category(("a", "b"))))["shift-column"]
    assert found.details["columns"] == ["x1"]


def test_numbers_that_are_none():
    inputs = torch.randn(200, 2, generator=generator())
    inputs[3, 1] = float("inf")
    target = torch.randint(0, 2, (200,), generator=generator())
    found = subjects(table(inputs, target, Category(("a", "b"))))["not-a-number"]
    assert found.level == "error"
    assert "#3" in found.text


def test_very_large_mapped_splits_are_read_only_when_asked(monkeypatch):
    dataset = pictures()
    dataset.train["input"][7] = dataset.validation["input"][3]
    dataset.train.mapped = True
    monkeypatch.setattr("deepen.insight.audit.MOST_BYTES", 1000)
    found = {finding.subject for finding in audit(dataset, seed=0)}
    assert "not-checked" in found
    assert "duplicates-validation" not in found
    assert "duplicates-validation" in {finding.subject for finding in audit(dataset, seed=0, thorough=True)}


def test_names_in_a_sentence():
    assert suspicions.some(["a"]) == "'a'"
    assert suspicions.some(["a", "b"]) == "'a' and 'b'"
    assert suspicions.some(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"


def test_data_from_acting_has_nothing_to_check():
    dataset = pictures()
    dataset.acting = True
    dataset.train = Columns({"input": torch.zeros(0, 4)})
    assert audit(dataset, seed=0) == []
    assert verdict(dataset, []) == "nothing to check, the data comes from acting"


def placed(output: Output, target: Tensor, held_out: Tensor, side: int = 32) -> Dataset:
    """Random pictures with a target in each."""
    random = generator()

    def part(target: Tensor, name: str) -> Columns:
        pixels = torch.randint(0, 256, (len(target), side, side, 1), generator=random, dtype=torch.uint8)
        size = torch.tensor([[4 * side, 4 * side]]).expand(len(target), 2)
        return Columns(
            {"input": pixels, "target": target, "size": size}, [f"{name}/{i}.png" for i in range(len(target))]
        )

    spec = Spec(Image(1, side, side), output)
    return Dataset("placed", spec, Untouched(), part(target, "train"), part(held_out, "val"), None, "digest")


def some_boxes(count: int, classes: int, length: float = 8.0) -> Tensor:
    """Two boxes in every picture, float32 [count, 3, 5], classes in turn."""
    target = torch.tensor([4.0, 4, 4 + length, 4 + length, 0]).repeat(count, 3, 1)
    target[:, 2] = torch.tensor([0.0, 0, 0, 0, -1])
    target[:, :2, 4] = (torch.arange(2 * count) % classes).view(count, 2)
    return target


def test_sound_boxes_and_masks_have_no_findings():
    boxes = placed(Boxes(("a", "b", "c")), some_boxes(300, 3), some_boxes(100, 3))
    assert audit(boxes, seed=0) == []
    mask = torch.randint(0, 3, (300, 32, 32), generator=generator(), dtype=torch.uint8)
    assert audit(placed(Mask(("a", "b", "c")), mask, mask[:100]), seed=0) == []


def test_classes_are_counted_by_boxes():
    train, held_out = some_boxes(300, 1), some_boxes(100, 1)
    train[:4, 0, 4] = 1
    held_out[0, 0, 4] = 2
    found = subjects(placed(Boxes(("many", "few", "new", "never")), train, held_out))
    assert found["missing-class"].text == "Train has no box of 'new' and 'never', though validation has some."
    assert "fewer than 10 training boxes ('few'; 'few' has 4)" in found["tiny-class"].text
    assert found["unmeasured-class"].text.startswith("Validation has no box of 'few'")
    assert found["imbalance"].level == "note"
    assert "'many' has 149 times as many training boxes as 'few' (596 and 4)" in found["imbalance"].text
    assert "one-class" not in found


def test_boxes_that_are_too_small_to_be_seen():
    train = some_boxes(300, 2, 8.0)
    train[:20, :, 2] = 6.5
    found = subjects(placed(Boxes(("a", "b")), train, some_boxes(100, 2)))["small-boxes"]
    assert found.text.startswith(
        "7% of the training boxes are less than 4 pixels high or wide in rows of 32x32, e.g. in train/0"
    )
    assert found.mend == "`data.size=64` keeps more of the pictures."
    large = placed(Boxes(("a", "b")), train, some_boxes(100, 2))
    large.train.arrays["size"] = torch.full((300, 2), 32)
    assert subjects(large)["small-boxes"].mend == "Larger pictures would be needed."


def test_classes_are_counted_by_the_pictures_and_pixels_of_masks():
    train = torch.zeros(300, 32, 32, dtype=torch.uint8)
    train[:, :10] = 255
    train[:5, 20, 20:24] = 1
    found = subjects(placed(Mask(("ground", "speck", "never")), train, train[:100]))
    assert found["missing-class"].text == "Train has no picture of 'never', so the model cannot learn it."
    assert "fewer than 10 training pictures ('speck'; 'speck' has 5)" in found["tiny-class"].text
    assert "1 class covers less than 1% of the labelled pixels ('speck'; 'speck' 0.01%)" in found["rare-class"].text
    known = placed(Mask(("ground", "speck", "never")), train, train[:100])
    known.findings = [Finding("note", "absent-class", "said already")]
    assert "missing-class" not in subjects(known)


def test_duplicates_of_pictures_with_boxes_and_masks():
    for output, target in ((Boxes(("a",)), some_boxes(300, 1)), (Mask(("a", "b")), torch.ones(300, 32, 32).byte())):
        dataset = placed(output, target, target[:100])
        dataset.train["input"][7] = dataset.validation["input"][3]
        dataset.train["input"][9] = dataset.train["input"][8]
        dataset.train["input"][11] = 5
        found = subjects(dataset)
        assert {"duplicates-validation", "repeats", "constant-pictures"} <= set(found)


def test_boxes_that_are_no_numbers_and_empty_splits():
    train = some_boxes(300, 2)
    train[3, 0, 2] = float("nan")
    assert "train/3.png" in subjects(placed(Boxes(("a", "b")), train, train[:0]))["not-a-number"].text
    mask = torch.zeros(300, 32, 32, dtype=torch.uint8)
    assert "missing-class" in subjects(placed(Mask(("a", "b")), mask, mask[:0]))
