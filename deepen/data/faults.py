"""What is said of files that cannot be used, whatever they hold: a few of them with the reason, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from deepen.data.dataset import Bad, Finding
from deepen.errors import Problem

SHOWN = 3
"""Faults that the sentence which ends a training tells."""
LISTED = 100
"""Files that a finding's details list."""


def refused(head: str, bad: Sequence[Bad], *, left: int) -> Problem:
    """What ends a training. `head` begins the sentence: how many of what cannot be used; `left` are those that can."""
    shown = "; ".join(f"'{one.path}': {one.reason}" for one in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    without = ", or go on without them with data.skip_bad=true" if left else ""
    return Problem(f"{head}: {shown}{more}. Mend, replace or remove them{without}.")


def unlabelled(pictures: Sequence[str], used: Collection[str], what: str, mend: str) -> list[Finding]:
    """Pictures without `what`, in folders where others have it."""
    folders = {PurePosixPath(name).parent for name in used}
    left = [name for name in pictures if name not in used and PurePosixPath(name).parent in folders]
    if not left:
        return []
    text = f"{len(left):,} pictures have no {what} and are left out (first: '{left[0]}')."
    return [Finding("warning", "no-labels", text, mend, {"files": left[:LISTED], "count": len(left)})]
