from __future__ import annotations

import itertools

import pytest
import torch

from deepen.data import chunks

IOB = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
BIES = ("B", "E", "I", "S")
MIXED = ("O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (IOB, True),
        (BIES, True),
        (("B", "M", "E", "S"), True),
        (("O", "I-LOC"), True),
        (("O", "U-a", "L-a", "B-a"), True),
        (("NOUN", "VERB"), False),
        (("B-LOC", "NOUN"), False),
        (("O", "S"), False),
        (("O",), False),
        (("B-a b", "O"), True),
    ],
)
def test_labels_that_make_chunks(names: tuple[str, ...], expected: bool) -> None:
    assert chunks.chunked(names) is expected


def test_letters_of_other_schemes() -> None:
    assert [chunks.parse(name) for name in ("M-a", "L-a", "U", "O", "I-a-b")] == [
        ("I", "a"),
        ("E", "a"),
        ("S", ""),
        ("O", ""),
        ("I", "a-b"),
    ]
    assert chunks.parse("PER") is None
    assert chunks.parse("B-") is None


def test_what_begins_is_written_with_b() -> None:
    old = ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"]
    assert chunks.begun(old) == ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-PER"]
    right = ["B-PER", "I-PER", "O", "B-LOC"]
    assert chunks.begun(right) == right


def found(names: tuple[str, ...], labels: list[str]) -> list[tuple[int, int, str]]:
    return chunks.listed([names.index(label) for label in labels], chunks.scheme(names))


def test_chunks_of_a_row() -> None:
    assert found(IOB, ["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]) == [(0, 1, "PER"), (3, 3, "LOC"), (4, 4, "LOC")]
    assert found(IOB, ["I-PER", "I-LOC"]) == [(0, 0, "PER"), (1, 1, "LOC")]
    assert found(BIES, ["B", "I", "E", "S", "B", "E"]) == [(0, 2, ""), (3, 3, ""), (4, 5, "")]
    assert found(BIES, ["E", "S", "B"]) == [(0, 0, ""), (1, 1, ""), (2, 2, "")]
    assert chunks.listed([], chunks.scheme(IOB)) == []


def whole(names: tuple[str, ...], row: tuple[int, ...]) -> bool:
    """Whether labels are written as the scheme says: every chunk begins with B or S, and with E or S it ends."""
    parsed = [chunks.parse(names[label]) for label in row]
    ends = any((chunks.parse(name) or ("", ""))[0] == "E" for name in names)
    for before, after in itertools.pairwise([("O", ""), *parsed, ("O", "")]):
        assert before is not None
        assert after is not None
        on = before[0] in "BI" and after[0] in "IE" and before[1] == after[1]
        if after[0] in "IE" and not on:
            return False
        if ends and before[0] in "BI" and not on:
            return False
    return True


@pytest.mark.parametrize("names", [IOB, BIES, MIXED[:5]])
def test_the_likeliest_row_is_the_best_of_all_whole_ones(names: tuple[str, ...]) -> None:
    scheme = chunks.scheme(names)
    draws = torch.Generator().manual_seed(3)
    scores, lengths = torch.randn(12, 4, len(names), generator=draws), torch.tensor([4, 3, 2, 1] * 3)
    answer = chunks.likeliest(scores, lengths, scheme)
    for row, length in enumerate(lengths.tolist()):
        able = [one for one in itertools.product(range(len(names)), repeat=length) if whole(names, one)]
        best = max(able, key=lambda one: sum(float(scores[row, at, label]) for at, label in enumerate(one)))
        assert tuple(answer[row, :length].tolist()) == best


@pytest.mark.parametrize("names", [IOB, BIES])
def test_a_part_of_a_row_may_begin_and_end_inside_of_a_chunk(names: tuple[str, ...]) -> None:
    scheme = chunks.scheme(names)
    scores = torch.randn(12, 3, len(names), generator=torch.Generator().manual_seed(4))
    cut = torch.tensor([(False, False), (False, True), (True, False), (True, True)] * 3)
    answer = chunks.likeliest(scores, torch.full((12,), 3), scheme, cut)
    pairs = scheme.allowed[: len(names), : len(names)]
    for row, (before, behind) in enumerate(cut.tolist()):
        able = [
            one
            for one in itertools.product(range(len(names)), repeat=3)
            if all(pairs[pair] for pair in itertools.pairwise(one))
            and (before or scheme.allowed[scheme.edge, one[0]])
            and (behind or scheme.allowed[one[-1], scheme.edge])
        ]
        best = max(able, key=lambda one: sum(float(scores[row, at, label]) for at, label in enumerate(one)))
        assert tuple(answer[row].tolist()) == best


def test_where_no_b_is_known_i_begins() -> None:
    scheme = chunks.scheme(("I-a", "O"))
    assert scheme.allowed.all()
