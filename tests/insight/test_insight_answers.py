"""Answers against the truth: counts agree with counting one by one, pictures show what they should."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from deepen.insight import answers

NAMES = ["猫", "<b>dog</b>", "10"]


def some_answers(count: int = 500, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, classes, count), random.random((count, classes))


def test_confusion_counts_agree_with_counting():
    true, probability = some_answers()
    predicted = probability.argmax(1)
    matrix = answers.count_answers(true, predicted, 3)
    for i in range(3):
        for j in range(3):
            assert matrix[i, j] == sum(a == i and b == j for a, b in zip(true, predicted, strict=True))


def test_class_scores():
    matrix = np.array([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    scores = answers.class_scores(matrix, NAMES)
    assert scores[0].recall == 0.8
    assert scores[0].precision == pytest.approx(8 / 9)
    assert np.isnan(scores[1].recall)
    assert (scores[2].count, scores[2].answered, scores[2].right) == (4, 3, 3)


def test_confused_pairs_are_the_largest_off_the_diagonal():
    matrix = np.array([[50, 2, 0], [7, 10, 0], [1, 0, 3]])
    pairs = answers.confused_pairs(matrix, NAMES)
    assert [(pair.true, pair.predicted, pair.count, pair.of) for pair in pairs] == [
        ("<b>dog</b>", "猫", 7, 17),
        ("猫", "<b>dog</b>", 2, 52),
        ("10", "猫", 1, 4),
    ]


def test_worst_are_wrong_and_least_likely_first():
    true, probability = some_answers()
    found = answers.worst(true, probability, 20).tolist()
    wrong = [i for i in range(len(true)) if probability[i].argmax() != true[i]]
    assert found == sorted(wrong, key=lambda i: probability[i, true[i]])[:20]


def test_no_mistakes_no_worst():
    assert len(answers.worst([0, 1], [[0.9, 0.1], [0.2, 0.8]], 5)) == 0


def test_furthest_are_the_largest_errors():
    assert answers.furthest([1, 2, 3, 4], [1, 5, 2.5, 4], 2).tolist() == [1, 2]


@pytest.mark.parametrize("classes", [1, 2, 10, 20, 21, 100])
def test_confusion_of_any_size_is_well_formed(classes):
    true, probability = some_answers(2000, classes)
    names = [f"<class {i}> 猫 with a long name" for i in range(classes)]
    matrix = answers.count_answers(true, probability.argmax(1), classes)
    tree = ElementTree.fromstring(answers.confusion(matrix, names))
    pictures = [node for node in tree.iter() if node.tag.endswith("image")]
    assert len(pictures) == (classes > answers.CELLS_WITH_NUMBERS)


def test_confusion_shows_each_count():
    matrix = np.array([[811, 0], [13, 402]])
    tree = ElementTree.fromstring(answers.confusion(matrix, ["a", "b"]))
    shown = [node.text for node in tree.iter() if node.tag.endswith("text")]
    assert {"811", "13", "402"} <= set(shown)
    assert "0" not in shown


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_reliability_is_well_formed(count):
    random = np.random.default_rng(0)
    ElementTree.fromstring(answers.reliability(random.random(count), random.random(count) > 0.5))


def test_regression_pictures_are_well_formed():
    true = np.random.default_rng(0).normal(size=5000)
    for predicted in (true, true * 0, np.full(5000, np.nan)):
        ElementTree.fromstring(answers.predicted_true(true, predicted, "<y>"))
        ElementTree.fromstring(answers.residuals(true, predicted, "<y>"))
    drawn = answers.predicted_true(true, true, "y")
    assert drawn.count("h0") == 1500


def test_boundary_holds_a_map_and_the_samples():
    points, classes = np.random.default_rng(0).random((40, 2)), np.arange(40) % 2
    probability = np.stack([np.full((9, 9), 0.7), np.full((9, 9), 0.3)], axis=2)
    drawn = answers.boundary(points, classes, probability, (0, 1, 0, 1), ["a", "b"], ("x", "y"))
    tree = ElementTree.fromstring(drawn)
    assert [node.attrib["href"][:22] for node in tree.iter() if node.tag.endswith("image")] == [
        "data:image/png;base64,"
    ]
    assert drawn.count("h0") == 40
