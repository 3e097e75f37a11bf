"""What the words after a verb mean, where they might be files or texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepen.errors import Problem
from deepen.inputs import given


def found(word: str, *, texts: bool) -> list[str]:
    with given([word], lambda _: None, texts=texts) as (paths, _):
        return list(paths)


@pytest.mark.parametrize("text", ["Is it good?", "好吃吗?", "a [MASK] film", "[MASK]!", "2 * 3 / 4 is?"])
def test_a_question_is_a_text_and_no_pattern(text: str) -> None:
    assert found(text, texts=True) == [text]
    with pytest.raises(Problem, match="No file fits"):
        found(text, texts=False)


@pytest.mark.parametrize("pattern", ["new/*.txt", "*.csv", "texts/[ab].txt"])
def test_a_pattern_that_nothing_fits_is_told(pattern: str) -> None:
    with pytest.raises(Problem, match="No file fits"):
        found(pattern, texts=True)


def test_a_pattern_that_something_fits_is_one(tmp_path: Path) -> None:
    (tmp_path / "is it good").write_text("yes")
    assert found(f"{tmp_path}/is it goo?", texts=True) == [f"{tmp_path}/is it good"]
