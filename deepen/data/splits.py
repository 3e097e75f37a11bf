"""Which samples train, which validate and which are sealed as the test split: a function of the data and the seed.

Splits that the data brings are respected. Where it brings none, classes keep their shares in every split (stratified),
or samples that belong together stay together (groups), or the oldest train and the newest test (times).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepen.errors import Misuse, Problem
from deepen.randomness import derive
from deepen.recipe import Data

NAMES = ("train", "validation", "test")
BY_SETTING = "name one with data.test=PATH"
"""How a test split is given to data for which that setting is followed."""


def split(
    count: int,
    options: Data,
    seed: int,
    *,
    given: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    strata: np.ndarray | None = None,
    testing: str = "",
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Sorted int64 indices of `train`, `validation` and `test` (which may be empty), and sentences on how and why.

    `given` holds "train", "validation" or "test" for each sample. Given parts stay as they are: with train and test
    only, validation is taken from train; with train and validation only, the given validation is used as it is and
    there is no test split (a sealed one needs samples that nobody has chosen anything by); with train alone, all is
    split as if nothing were given. `labels` are class numbers >= 0 [count], `names` what people call them; `groups`
    any values that must not be shared between splits; `times` anything sortable. `strata` are numbers >= 0 [count] of
    which every part is to have its share where samples have no labels. `testing` says how a test split could be given.
    `options.limit` is applied to train.

    Raises `Misuse` for fractions or limits out of range, `Problem` where there is too little to split.
    """
    _check_options(options, groups, times)
    if count == 0:
        raise Problem("There are no samples to split: the data is empty.")
    labels = None if times is not None else labels
    parts, facts = _respect(count, given, testing)
    todo = parts["train"]
    wanted = _wanted(len(todo), options, given=given is not None and len(todo) < count, parts=parts)
    if wanted:
        part_labels = None if labels is None else labels[todo]
        if times is not None:
            chosen, told = _by_time(np.asarray(times)[todo], wanted, options.time)
        elif groups is not None:
            chosen, told = _by_group(np.asarray(groups)[todo], part_labels, wanted, seed, options.group)
        else:
            chosen, told = _stratified(len(todo), part_labels if strata is None else strata[todo], wanted, seed, names)
            told = told if strata is None else told[:1]
        facts += told
        for number, name in enumerate(NAMES):
            if number == 0 or name in wanted:
                parts[name] = todo[chosen == number]
    if labels is not None:
        facts += _unseen(parts, labels, names)
    if options.limit is not None:
        before = len(parts["train"])
        parts["train"] = _limited(parts["train"], labels, options.limit, seed)
        if len(parts["train"]) < before:
            over = " evenly over the classes" if labels is not None else ""
            facts.append(f"Training uses {len(parts['train']):,} of its {before:,} samples, drawn{over} (data.limit).")
    sizes = ", ".join(f"{len(parts[name]):,} {name}" for name in NAMES if len(parts[name]))
    facts.append(f"Samples: {sizes}.")
    return {name: np.sort(parts[name]).astype(np.int64) for name in NAMES}, facts


def standard(name: str, options: Data) -> None:
    """Raise `Misuse` for shares, where a known set has splits of its own."""
    for option in ("validation_fraction", "test_fraction"):
        value = getattr(options, option)
        if value != getattr(Data, option):
            raise Misuse(f"data.{option}={value:g} cannot be followed: {name} has its standard splits. Leave it out.")


def _check_options(options: Data, groups: np.ndarray | None, times: np.ndarray | None) -> None:
    for name, value, least in (
        ("validation_fraction", options.validation_fraction, "above 0"),
        ("test_fraction", options.test_fraction, "0 or more"),
    ):
        if not 0 <= value < 1 or (value == 0 and least == "above 0"):
            raise Misuse(f"data.{name}={value:g} is out of range: expected a share that is {least} and below 1.")
    if options.validation_fraction + options.test_fraction >= 1:
        raise Misuse(
            f"data.validation_fraction={options.validation_fraction:g} and data.test_fraction="
            f"{options.test_fraction:g} leave nothing to train on: their sum must be below 1."
        )
    if options.limit is not None and options.limit < 1:
        raise Misuse(f"data.limit={options.limit} is out of range: expected 1 or more training samples.")
    for name, found in (("group", groups), ("time", times)):
        if getattr(options, name) is not None and found is None:
            raise Misuse(f"data.{name} names a column to split by, and this data has none: leave it out.")
    if groups is not None and times is not None:
        raise Misuse("data.group and data.time cannot be used together: name one of them.")


def _respect(count: int, given: np.ndarray | None, testing: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The parts that the data brings, all of it under `train` where it brings none."""
    everything = np.arange(count)
    if given is None or bool((given == "train").all()):
        return {"train": everything, "validation": everything[:0], "test": everything[:0]}, []
    strange = sorted(set(given.tolist()) - set(NAMES))
    if strange:
        raise Problem(f"A split is called '{strange[0]}': expected train, validation or test.")
    parts = {name: everything[given == name] for name in NAMES}
    if not len(parts["train"]):
        held = " and ".join(name for name in NAMES if len(parts[name]))
        raise Problem(f"The data brings only {held}: there is no train part to learn from.")
    if len(parts["validation"]) and len(parts["test"]):
        fact = "The data brings its own train, validation and test splits: they are used as they are."
    elif len(parts["test"]):
        fact = "The data brings its own train and test splits: validation is taken from train."
    else:
        fact = (
            "The data brings its own train and validation splits and no test split: nothing is sealed, and the "
            "validation score is all there is."
        )
        fact += f" To have one, {testing}." if testing else ""
    return parts, [fact]


def _wanted(count: int, options: Data, *, given: bool, parts: dict[str, np.ndarray]) -> dict[str, int]:
    """How many of the `count` samples under train go to each further split."""
    if given and len(parts["validation"]):
        return {}
    shares = {"validation": options.validation_fraction}
    if not given and options.test_fraction:
        shares["test"] = options.test_fraction
    wanted = {name: max(1, round(share * count)) for name, share in shares.items()}
    if sum(wanted.values()) >= count:
        need = len(wanted) + 1
        raise Problem(
            f"{count} sample{'s are' if count != 1 else ' is'} too few to be split into train, {' and '.join(wanted)}: "
            f"at least {need} are needed."
        )
    return wanted


def _stratified(
    count: int, labels: np.ndarray | None, wanted: dict[str, int], seed: int, names: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """The split number of each sample, every class keeping its share and at least one sample in train."""
    order = np.random.default_rng(derive(seed, "split")).permutation(count)
    classes = np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
    chosen = np.zeros(count, dtype=np.int64)
    by_class = order[np.argsort(classes[order], kind="stable")]
    sizes = np.bincount(classes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    free = np.maximum(sizes - 1, 0)
    taken = np.zeros_like(sizes)
    # Test first: it is the split that later numbers are trusted by.
    for name in sorted(wanted):
        shares = _apportion(sizes, free, wanted[name])
        for number in np.flatnonzero(shares):
            start = starts[number] + taken[number]
            chosen[by_class[start : start + shares[number]]] = NAMES.index(name)
        taken += shares
        free -= shares
    facts = []
    percent = " and ".join(f"{100 * amount / count:.0f} % {name}" for name, amount in wanted.items())
    if labels is None:
        facts.append(f"Split at random from the seed: {percent}, the rest trains.")
    else:
        facts.append(f"Split from the seed, each class keeping its share: {percent}, the rest trains.")
        single = np.flatnonzero(sizes == 1)
        if len(single):
            facts.append(
                f"{_called(single, names)} {'has' if len(single) == 1 else 'have'} one sample: it trains and is not "
                "measured."
            )
    return chosen, facts


def _apportion(sizes: np.ndarray, free: np.ndarray, total: int) -> np.ndarray:
    """`total` seats for classes in proportion to `sizes`, none over its `free` (largest remainders)."""
    total = min(total, int(free.sum()))
    exact = sizes * (total / sizes.sum())
    seats = np.minimum(np.floor(exact).astype(np.int64), free)
    while (missing := total - int(seats.sum())) > 0:
        open_classes = np.flatnonzero(seats < free)
        ranked = open_classes[np.argsort(-(exact - seats)[open_classes], kind="stable")]
        seats[ranked[:missing]] += 1
    return seats


def _by_group(
    groups: np.ndarray, labels: np.ndarray | None, wanted: dict[str, int], seed: int, column: str | None
) -> tuple[np.ndarray, list[str]]:
    """Whole groups to splits, largest first, each to where it brings the class counts nearest to what is wanted.

    The greedy rule of scikit-learn's StratifiedGroupKFold, for parts of unequal size.
    """
    values, member = np.unique(groups, return_inverse=True)
    what = f"'{column}'" if column else "the groups"
    if len(values) < len(wanted) + 1:
        raise Problem(
            f"{what} has {len(values)} different value{'s' if len(values) != 1 else ''}, too few for train, "
            f"{' and '.join(wanted)} to share none: at least {len(wanted) + 1} are needed."
        )
    classes = np.zeros(len(groups), dtype=np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((len(values), int(classes.max()) + 1))
    np.add.at(counts, (member, classes), 1)
    amounts = np.array([len(groups) - sum(wanted.values()), *(wanted.get(name, 0) for name in NAMES[1:])], dtype=float)
    goal = amounts[:, None] * counts.sum(0) / len(groups)
    weight = 1 / np.maximum(goal, 1e-9)
    have = np.zeros_like(goal)
    place = np.zeros(len(values), dtype=np.int64)
    shuffled = np.random.default_rng(derive(seed, "split")).permutation(len(values))
    usable = np.flatnonzero(amounts > 0)
    for group in shuffled[np.argsort(-counts.sum(1)[shuffled], kind="stable")]:
        # How much nearer each split comes to its goal, in squared relative distance.
        change = ((have + counts[group] - goal) ** 2 - (have - goal) ** 2) * weight
        best = usable[np.argmin(change.sum(1)[usable])]
        place[group] = best
        have[best] += counts[group]
    for name in ("train", *wanted):
        number = NAMES.index(name)
        if not (place == number).any():
            fullest = np.bincount(place, minlength=3).argmax()
            candidates = np.flatnonzero(place == fullest)
            place[candidates[np.argmin(counts[candidates].sum(1))]] = number
    fact = f"Split by {what} from the seed: none of its {len(values):,} values is shared between splits."
    return place[member], [fact]


def _by_time(times: np.ndarray, wanted: dict[str, int], column: str | None) -> tuple[np.ndarray, list[str]]:
    """Oldest to train, newest to the last split; samples of the same moment stay together."""
    missing = int((times != times).sum())
    if missing:
        raise Problem(f"{missing} samples have no time to be split by{f' in {column!r}' if column else ''}.")
    _, moment = np.unique(times, return_inverse=True)
    ordered = np.sort(moment)
    names = [name for name in NAMES if name in wanted]
    if ordered[-1] < len(names):
        raise Problem(
            f"'{column}' has {ordered[-1] + 1} different moments, too few for train, {' and '.join(names)}: "
            f"at least {len(names) + 1} are needed."
        )
    chosen = np.zeros(len(times), dtype=np.int64)
    end = len(times)
    latest = int(ordered[-1])
    for left, name in zip(range(len(names), 0, -1), reversed(names), strict=True):
        # Each earlier split still needs a moment of its own, hence never below `left`.
        first = min(max(int(ordered[max(end - wanted[name], 0)]), left), latest)
        end = int(np.searchsorted(ordered, first))
        chosen[(moment >= first) & (moment <= latest)] = NAMES.index(name)
        latest = first - 1
    by = f"'{column}'" if column else "time"
    return chosen, [f"Split by {by}: the oldest rows train, the newest {'test' if 'test' in wanted else 'validate'}."]


def _unseen(parts: dict[str, np.ndarray], labels: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """Classes that are measured but never learnt."""
    held = np.concatenate([parts["validation"], parts["test"]])
    unseen = np.setdiff1d(labels[held], labels[parts["train"]])
    if not len(unseen):
        return []
    return [f"{_called(unseen, names)} {'has' if len(unseen) == 1 else 'have'} no training sample: never learnt."]


def _limited(index: np.ndarray, labels: np.ndarray | None, limit: int, seed: int) -> np.ndarray:
    """At most `limit` of `index`; classes give equally until one of them runs out."""
    if limit >= len(index):
        return index
    index = index[np.random.default_rng(derive(seed, "limit")).permutation(len(index))]
    if labels is None:
        return index[:limit]
    _, classes = np.unique(labels[index], return_inverse=True)
    num_classes = int(classes.max()) + 1
    if limit < num_classes:
        raise Misuse(
            f"data.limit={limit} is fewer than the {num_classes} classes: expected at least one sample of each."
        )
    by_class = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    rank = np.empty(len(index), dtype=np.int64)
    rank[by_class] = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The first of every class, then the second of every class, ...
    return index[np.lexsort((classes, rank))[:limit]]


def _called(numbers: np.ndarray, names: Sequence[str] | None) -> str:
    shown = [f"'{names[number]}'" if names is not None else str(number) for number in numbers[:5].tolist()]
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"Class{'es' if len(numbers) > 1 else ''} {', '.join(shown)}{more}"
