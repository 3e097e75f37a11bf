"""Splits: what is given stays, classes keep their shares, groups stay together, times stay in order."""

import numpy as np
import pytest

from deepen.data.splits import split
from deepen.errors import Misuse, Problem
from deepen.recipe import Data


def covers_once(parts, count):
    together = np.concatenate(list(parts.values()))
    return len(together) == count and len(np.unique(together)) == count


def test_stratified_keeps_shares_and_is_a_function_of_the_seed():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    parts, facts = split(1000, Data(), 3, labels=labels)
    assert covers_once(parts, 1000)
    assert np.bincount(labels[parts["test"]]).tolist() == [120, 60, 20]
    assert np.bincount(labels[parts["validation"]]).tolist() == [60, 30, 10]
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts.values())
    again, _ = split(1000, Data(), 3, labels=labels)
    other, _ = split(1000, Data(), 4, labels=labels)
    assert all((again[name] == parts[name]).all() for name in parts)
    assert not (other["test"] == parts["test"]).all()
    assert any("each class keeping its share" in fact for fact in facts)


@pytest.mark.parametrize("count", [3, 4, 5, 10, 37])
def test_small_sets_have_every_split(count):
    parts, _ = split(count, Data(), 0)
    assert covers_once(parts, count)
    assert all(len(part) for part in parts.values())


def test_class_with_one_sample_trains_and_is_named():
    labels = np.array([0] * 10 + [1] * 10 + [2])
    parts, facts = split(21, Data(), 0, labels=labels, names=["cat", "dog", "emu"])
    assert 20 in parts["train"]
    assert any("'emu'" in fact and "one sample" in fact for fact in facts)


def test_every_class_trains_however_small():
    labels = np.repeat(np.arange(50), 2)
    for seed in range(5):
        parts, _ = split(100, Data(validation_fraction=0.2, test_fraction=0.3), seed, labels=labels)
        assert covers_once(parts, 100)
        assert len(np.unique(labels[parts["train"]])) == 50


def test_given_three_are_respected():
    given = np.array(["test", "train", "validation", "train"])
    parts, facts = split(4, Data(), 0, given=given)
    assert {name: part.tolist() for name, part in parts.items()} == {"train": [1, 3], "validation": [2], "test": [0]}
    assert "used as they are" in facts[0]


def test_given_train_and_test_takes_validation_from_train():
    given = np.array(["train"] * 100 + ["test"] * 50)
    labels = np.tile([0, 1], 75)
    parts, facts = split(150, Data(), 0, given=given, labels=labels)
    assert parts["test"].tolist() == list(range(100, 150))
    assert len(parts["validation"]) == 10
    assert parts["validation"].max() < 100
    assert np.bincount(labels[parts["validation"]]).tolist() == [5, 5]
    assert "validation is taken from train" in facts[0]


def test_given_train_and_validation_has_no_test():
    parts, facts = split(10, Data(), 0, given=np.array(["train"] * 8 + ["validation"] * 2))
    assert parts["validation"].tolist() == [8, 9]
    assert len(parts["test"]) == 0
    assert "no test split" in facts[0]
    assert "data.test" not in facts[0]
    given = np.array(["train"] * 8 + ["validation"] * 2)
    assert split(10, Data(), 0, given=given, testing="ask")[1][0].endswith("all there is. To have one, ask.")


def test_all_given_as_train_is_split():
    parts, _ = split(50, Data(), 0, given=np.array(["train"] * 50))
    assert all(len(part) for part in parts.values())


def test_groups_are_never_shared():
    random = np.random.default_rng(0)
    groups = random.integers(0, 60, 1000)
    labels = (groups % 3 == 0).astype(np.int64)
    for seed in range(3):
        parts, facts = split(1000, Data(group="patient"), seed, groups=groups, labels=labels)
        assert covers_once(parts, 1000)
        seen = [set(groups[part].tolist()) for part in parts.values()]
        assert len(set().union(*seen)) == sum(len(part) for part in seen)
        assert 150 <= len(parts["test"]) <= 250
        assert 60 <= len(parts["validation"]) <= 140
        assert abs(labels[parts["test"]].mean() - labels.mean()) < 0.1
    assert "'patient'" in facts[0]


def test_one_huge_group_still_gives_every_split():
    groups = np.array(["a"] * 98 + ["b", "c"])
    parts, _ = split(100, Data(), 0, groups=groups)
    assert covers_once(parts, 100)
    assert all(len(part) for part in parts.values())


def test_times_oldest_train_newest_test():
    times = np.random.default_rng(0).permutation(200)
    parts, facts = split(200, Data(time="day"), 0, times=times, labels=np.zeros(200, dtype=np.int64))
    assert covers_once(parts, 200)
    assert times[parts["train"]].max() < times[parts["validation"]].min()
    assert times[parts["validation"]].max() < times[parts["test"]].min()
    assert (len(parts["validation"]), len(parts["test"])) == (20, 40)
    assert "newest test" in facts[0]


@pytest.mark.parametrize("moments", [3, 4, 7])
def test_same_moment_stays_together(moments):
    times = np.sort(np.random.default_rng(1).integers(0, moments, 500))
    parts, _ = split(500, Data(), 0, times=times)
    assert covers_once(parts, 500)
    assert all(len(part) for part in parts.values())
    assert times[parts["train"]].max() < times[parts["validation"]].min()
    assert times[parts["validation"]].max() < times[parts["test"]].min()


def test_time_with_a_given_test_validates_on_the_newest_of_train():
    given = np.array(["test"] * 5 + ["train"] * 20)
    parts, _ = split(25, Data(), 0, given=given, times=np.arange(25.0))
    assert parts["validation"].tolist() == [23, 24]


def test_limit_is_even_over_classes_and_leaves_the_others_alone():
    labels = np.repeat([0, 1, 2], [800, 190, 10])
    full, _ = split(1000, Data(), 0, labels=labels)
    parts, facts = split(1000, Data(limit=60), 0, labels=labels)
    assert (parts["test"] == full["test"]).all()
    assert (parts["validation"] == full["validation"]).all()
    assert np.isin(parts["train"], full["train"]).all()
    assert np.bincount(labels[parts["train"]]).tolist() == [27, 26, 7]
    assert any("60 of its 700" in fact for fact in facts)
    assert len(split(1000, Data(limit=5000), 0, labels=labels)[0]["train"]) == 700


def test_unseen_class_is_named():
    given = np.array(["train"] * 20 + ["test"] * 2)
    labels = np.array([0, 1] * 10 + [2, 0])
    _, facts = split(22, Data(), 0, given=given, labels=labels, names=["a", "b", "zebra"])
    assert any("'zebra' has no training sample" in fact for fact in facts)


def test_no_test_split_when_none_is_asked_for():
    parts, _ = split(100, Data(test_fraction=0.0), 0)
    assert (len(parts["test"]), len(parts["validation"])) == (0, 10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Data(validation_fraction=1.5), "validation_fraction=1.5 is out of range"),
        (Data(validation_fraction=0.0), "above 0"),
        (Data(test_fraction=-0.1), "test_fraction=-0.1"),
        (Data(validation_fraction=0.5, test_fraction=0.5), "nothing to train on"),
        (Data(limit=0), "limit=0"),
        (Data(limit=1), "fewer than the 2 classes"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(Misuse, match=words):
        split(40, options, 0, labels=np.tile([0, 1], 20))


@pytest.mark.parametrize(
    ("count", "more", "words"),
    [
        (0, {}, "empty"),
        (1, {}, "1 sample is too few"),
        (2, {}, "2 samples are too few"),
        (4, {"given": np.array(["test"] * 4)}, "only test"),
        (3, {"given": np.array(["train", "dev", "test"])}, "'dev'"),
        (9, {"groups": np.array(["a", "b"] * 4 + ["a"])}, "2 different values"),
        (9, {"times": np.zeros(9)}, "1 different moments"),
        (3, {"times": np.array([1.0, np.nan, 2.0])}, "have no time"),
    ],
)
def test_too_little_to_split(count, more, words):
    with pytest.raises(Problem, match=words):
        split(count, Data(), 0, **more)


def test_group_and_time_together_are_refused():
    with pytest.raises(Misuse, match="together"):
        split(9, Data(), 0, groups=np.arange(9), times=np.arange(9))
