"""What is said of files that cannot be used: a few of many, and only advice that can be followed."""

from __future__ import annotations

from deepen.data.dataset import Bad
from deepen.data.faults import refused, unlabelled


def test_a_few_faults_are_told_with_their_reasons_and_the_rest_is_counted() -> None:
    bad = [Bad(f"{number}.png", f"it is empty ({number})") for number in range(5)]
    assert str(refused("5 of 9 pictures cannot be read", bad, left=4)) == (
        "5 of 9 pictures cannot be read: '0.png': it is empty (0); '1.png': it is empty (1); '2.png': it is empty (2); "
        "and 2 more. Mend, replace or remove them, or go on without them with data.skip_bad=true."
    )
    alone = str(refused("1 of 1 pictures cannot be read", bad[:1], left=0))
    assert alone.endswith("it is empty (0). Mend, replace or remove them.")


def test_pictures_without_labels_are_missed_where_others_have_them() -> None:
    pictures = ["a/1.png", "a/2.png", "b/3.png"]
    (found,) = unlabelled(pictures, {"a/1.png"}, "XML file", "Label them.")
    assert found.text == "1 pictures have no XML file and are left out (first: 'a/2.png')."
    assert found.details == {"files": ["a/2.png"], "count": 1}
    assert not unlabelled(pictures, {"a/1.png", "a/2.png"}, "XML file", "Label them.")
