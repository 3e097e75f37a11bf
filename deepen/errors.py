"""What a user is told when something they gave cannot be used.

A `Problem` is one clear sentence: what was received, what was expected, what to do. The command line prints it and
ends with its exit code; the Python API raises it. It is never caught inside the package to carry on differently.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Problem(ValueError):
    """Something failed for a reason that the user can mend; exit code 1."""

    exit_code = 1


class Misuse(Problem):
    """The command or call itself is wrong: an unknown name, key or value; exit code 2."""

    exit_code = 2


class Unsuited(Problem):
    """A model that is for other data or other answers. `instead` names those that are for these, where they are few."""

    def __init__(self, why: str, instead: str = "") -> None:
        better = f"choose --model {instead}" if instead else "choose another model; `deepen list` has them"
        super().__init__(f"{why}: {better}.")
        self.why, self.instead = why, instead


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `choices`, or an empty string when none is near."""
    spelt = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.6)
    return f" Did you mean '{spelt[near[0]]}'?" if near else ""


def unknown(what: str, name: str, choices: Iterable[str]) -> Misuse:
    """The error for a name that is not among `choices`."""
    known = sorted(choices)
    return Misuse(f"There is no {what} named '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")
