"""Sources: which module of data/ reads what the user named, and what was seen in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deepen import recipe as recipes
from deepen import registry
from deepen.data import hearing, labelled, paired, reading, running, series, tables, texts
from deepen.data.dataset import Dataset
from deepen.data.documents import glance
from deepen.data.unread import UNREAD
from deepen.errors import Misuse, Problem, unknown
from deepen.known import Seen
from deepen.recipe import Data, Recipe
from deepen.spec import Image, Nothing, Spec, Text

PATHS = ("test", "images", "tokenizer")
"""Settings of data that name a file or folder, which must hold from any folder."""
EXPECTED = (
    "expected a folder of pictures per class or one of texts or recordings, pictures with label files (Pascal VOC, COCO, YOLO) "
    "or masks, "
    f"a table or a series ({' '.join(reading.PLAIN_ENDINGS)}), words with labels (.conll .conllu), a text (.txt), or "
    "translations (train.de, train.en)"
)
LABELS = (".xml", ".json", ".txt", ".yaml", ".yml")
"""Endings of files that say what pictures show."""
LONGEST = 256
"""Tokens of running text that are read at once with weights of others."""
OF_TOKENS = ("data.tokens", "data.vocabulary")
"""Settings of a tokenizer that is fitted."""
OF_PICTURES = ("data.size", "data.resize", "data.channels", "data.mean", "data.std")


def find_source(
    source: str, task: str | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[registry.Entry, str]:
    """The module of data/ that reads `source`, by name or because it recognises it, and the reason in words.

    A reader that is for one task (`TASK`) reads what it can wherever that task was asked for, and nothing where another was.
    One that has a setting of its own (`ASKED_BY`) reads what it can where that is among `settings`.
    """
    known = registry.entries("data")
    named = {name: entry for name, entry in known.items() if "recognise" not in entry.offers}
    given = {key.removeprefix("data.") for key, value in (settings or {}).items() if value is not None}
    if source in named:
        return named[source], "a known data set"
    readers = [(entry, entry.load()) for entry in known.values() if "recognise" in entry.offers]
    for entry, module in sorted(readers, key=lambda pair: getattr(pair[1], "GENERAL", False)):
        only = getattr(module, "TASK", None)
        if only is not None and task not in (None, only):
            continue
        reason = module.recognise(source)
        if not reason and ((only is not None and task == only) or getattr(module, "ASKED_BY", None) in given):
            reason = module.asked(source)
        if reason:
            return entry, reason
    for only, module in ((getattr(module, "TASK", None), module) for _, module in readers):
        if only is not None and (reason := module.recognise(source)):
            raise Problem(f"{source} is read as {reason}, which is for --as {only}: --as {task} does not fit it.")
    if Path(source).exists():
        raise Problem(f"{source} {_seen(Path(source))} {EXPECTED}.")
    raise Misuse(f"{unknown('data set', source, named)} And nothing lies at the path {source}.")


def _seen(path: Path) -> str:
    """Why nothing that lies at a path can be read, as far as a glance shows it."""
    if path.is_file() and path.stat().st_size == 0:
        return "is empty:"
    if (path / "bundle.json").is_file():
        return "is a trained model, for `deepen predict` and `deepen generate`, and no data:"
    endings = sorted({PurePosixPath(name).suffix.lower() for name in glance(str(path))} & set(LABELS))
    if endings:
        files = f"{', '.join(endings)} files"
        return f"holds {files} and no picture: if these are labels, give the folder that holds their pictures too;"
    return "holds nothing that can be read here:"


def without_pictures(entry: registry.Entry) -> bool:
    """Whether a reader is known to have no pictures before it has read anything."""
    module = entry.load()
    without = (
        tables.Config,
        texts.Config,
        paired.Config,
        running.Config,
        series.Config,
        hearing.Config,
        labelled.Config,
    )
    return getattr(module, "ACTING", False) or issubclass(getattr(module, "Config", Data), without)


def longest_text(entry: registry.Entry) -> int | None:
    """Tokens that are read at once with weights of others, which mostly know what to do with more; None for data that holds
    no texts."""
    config = getattr(entry.load(), "Config", Data)
    held = ((texts.Config, texts.LONGEST), (labelled.Config, labelled.LONGEST), (running.Config, LONGEST))
    return next((longest for kind, longest in held if issubclass(config, kind)), None)


def refuse_weights(name: str) -> Misuse:
    """What is said to who asks for pretrained weights on data that has neither pictures nor texts."""
    return Misuse(
        f"All pretrained weights are for pictures or texts and {name} has neither that they answer: leave --pretrained out."
    )


def load(
    source: str,
    settings: Mapping[str, Any],
    expected: Mapping[str, Any] | None = None,
    found: tuple[registry.Entry, str] | None = None,
) -> tuple[Dataset, Recipe, str]:
    """The data set behind a known name or a path, a draft of its recipe, and the reason why it was read so.

    `expected` are settings that weights which are taken over bring with them, `found` what `find_source` says, where that has
    been asked already.
    """
    entry, reason = found or find_source(source, settings=settings)
    draft = recipes.blank(_lasting(source, entry), entry.name, "", "")
    for key, value in (expected or {}).items():
        draft.set(key, value)
    chosen = list(expected or {})
    for key, value in settings.items():
        if key == "seed" or key.startswith("data.") or key in vars(draft.data):
            draft.set(key, value)
            chosen.append(draft.full(key))
    for name in PATHS:
        path = getattr(draft.data, name, None)
        if path is not None and Path(path).exists():
            setattr(draft.data, name, str(Path(path).resolve()))
    dataset: Dataset = entry.load().load(source, draft.data, draft.seed)
    if "recognise" in entry.offers:
        dataset.facts = [f"Read as {reason}.", *dataset.facts]
    if expected and not isinstance(dataset.spec.input, Image | Text):
        raise refuse_weights(dataset.name)
    _heeded(dataset, draft, chosen)
    return dataset, draft, reason


def _heeded(dataset: Dataset, draft: Recipe, chosen: list[str]) -> None:
    """Raise `Misuse` for a setting of the data that this data cannot follow, rather than pass over it in silence."""
    seen, values = dataset.spec.input, draft.keys()
    for key in chosen:
        if dataset.acting and key.startswith("data.") and key != "data.skip_bad":
            raise Misuse(
                f"{key}={values[key]} has no meaning for {dataset.name}, whose data comes from acting: leave it out."
            )
        if key in OF_TOKENS and values.get("data.tokenizer") is not None:
            raise Misuse(
                f"{key}={recipes.as_text(values[key])} is for a tokenizer that is fitted on the texts, and they are cut as "
                f"{values['data.tokenizer']} says: leave it out."
            )
        if key not in OF_PICTURES or values[key] is None:
            continue
        if not isinstance(seen, Image):
            raise Misuse(
                f"{key}={recipes.as_text(values[key])} is for pictures and {dataset.name} has none: leave it out."
            )
        if key in ("data.size", "data.channels") and values[key] != (
            max(seen.height, seen.width) if key == "data.size" else seen.channels
        ):
            raise Misuse(
                f"{key}={values[key]} cannot be followed: {dataset.name} stays {seen.height}x{seen.width}x{seen.channels}."
            )


def seen_in(dataset: Dataset) -> Seen:
    """What of the data decides which known-good recipe is nearest."""
    shown, samples = dataset.spec.input, len(dataset.train)
    kind = type(shown).__name__.lower()
    if isinstance(shown, Image):
        return Seen(kind, samples, max(shown.height, shown.width), shown.channels)
    return Seen(kind, samples)


def natural_task(dataset: Dataset) -> str:
    """The task that one does with such data when nothing else is asked."""
    spec = dataset.spec
    for name, entry in registry.entries("task").items():
        if entry.load().natural(spec):
            return name
    if isinstance(spec.output, Nothing):
        fitting = [name for name, entry in registry.entries("task").items() if _takes(entry, spec)]
        unread = "".join(f" {one.text}" for one in dataset.findings if one.subject == UNREAD)
        held, mend = "pictures", "lay them into class folders, <folder>/<class>/<picture>"
        if isinstance(spec.input, Text):
            held, mend = "texts", "give the table a column of answers"
        raise Problem(
            f"This data has nothing to be answered beside its {held}: name what to learn from them with --as "
            f"{' or --as '.join(fitting)}, or {mend}.{unread}"
        )
    raise Misuse(f"No task suits {type(spec.output).__name__.lower()} by itself: name one with --as.")


def _takes(entry: registry.Entry, spec: Spec) -> bool:
    module = entry.load()
    try:
        module.build(spec, module.Config())
    except Problem:
        return False
    return True


def _lasting(source: str, entry: registry.Entry) -> str:
    """A path that still holds when the run is opened from another folder."""
    return str(Path(source).resolve()) if "recognise" in entry.offers and Path(source).exists() else source
