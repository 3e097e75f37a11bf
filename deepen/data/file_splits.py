"""Which files of a folder, or of a repository of the Hugging Face hub, hold which split.

The README of a repository may say it in a head of YAML, as the hub's own library reads it; else names of files and folders do.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deepen.data.layout import SPLITS
from deepen.data.reading import ENDINGS, ending
from deepen.errors import Misuse, Problem, did_you_mean

FORMATS = (".parquet", ".jsonl", ".csv", ".tsv")
"""Where the same split is there in several formats, the first of these is read."""
SPLIT_NAMES = SPLITS | {"eval": "test", "evaluation": "test"}
PART = re.compile(r"(.*-)(\d+)-of-(\d{1,5})(?:-[0-9a-f]+)?(\..*)")
"""Head, number, count and ending of a part's name; the hub once put a sum of the content before the ending."""
DEFAULTS = ("default", "main", "plain_text")


@dataclass(frozen=True)
class Chosen:
    """The files of each split, by their names in the folder."""

    files: Mapping[str, Sequence[str]]
    left_out: Sequence[str] = ()
    """Splits that are neither learnt from nor measured on."""
    whole: bool = True
    """Whether nothing is missing that the README names."""
    missing: Sequence[str] = ()
    """Parts that the names of others count, `train-00000-of-00002.parquet`, and that are not there."""


def choose(names: Sequence[str], about: Mapping[str, Any], subset: str | None) -> Chosen:
    """Which files are read, of those that lie in a folder or repository. Raises `Misuse` for a subset that there is none of."""
    readable = [name for name in names if ending(name) in ENDINGS]
    configured = _configured(about)
    if configured:
        found: dict[str, list[str]] = {}
        whole, wanted = True, configured[_one(list(configured), subset, _default(about))]
        for split, patterns in wanted.items():
            fitting = [name for name in readable if any(_fits(name, pattern) for pattern in patterns)]
            whole = whole and bool(fitting)
            found.setdefault(split, []).extend(fitting)
        return _by_split(found, whole, [pattern for patterns in wanted.values() for pattern in patterns])
    by_folder: dict[str, list[str]] = {}
    for name in readable:
        by_folder.setdefault(_folder(name), []).append(name)
    several = {folder: inside for folder, inside in by_folder.items() if any(split_of(one) for one in inside)}
    if len(several) > 1 or (subset is not None and several):
        readable = several[_one(list(several), subset, None)]
    elif subset is not None:
        raise Misuse(f"data.subset={subset} names nothing: there is one set only, leave it out.")
    for kind in FORMATS:
        alike = [name for name in readable if ending(name).removesuffix(".gz") == kind]
        if alike:
            named: dict[str, list[str]] = {}
            for name in alike:
                named.setdefault(split_of(name) or "train", []).append(name)
            if "train" in named:
                return _by_split(named, True, ["**"])
    return Chosen({})


def split_of(name: str) -> str | None:
    """The split that a file's name says, or a folder that it lies in: `data/train-00000-of-00001.parquet`."""
    for part in reversed(name.lower().split("/")):
        for word in re.split(r"[^a-z]+", part):
            if word in SPLIT_NAMES:
                return SPLIT_NAMES[word]
    return None


def _folder(name: str) -> str:
    """The folder of a file, without folders that are splits: what a set of several is called by."""
    parts = [part for part in name.split("/")[:-1] if part.lower() not in SPLIT_NAMES]
    return "/".join(parts)


def _by_split(found: Mapping[str, Sequence[str]], whole: bool, wanted: Sequence[str]) -> Chosen:
    """What the hub calls splits, as ours. Only parts that a pattern of `wanted` means can be missing."""
    files: dict[str, list[str]] = {}
    left_out = []
    for split, names in found.items():
        ours = SPLIT_NAMES.get(split.lower())
        if ours is None:
            left_out.append(split)
        else:
            files[ours] = files.get(ours, []) + sorted(names)
    parts = _missing({name for names in files.values() for name in names})
    gone = sorted(part for part in parts if any(_fits(part, pattern) for pattern in wanted))
    return Chosen({split: names for split, names in files.items() if names}, left_out, whole and not gone, gone)


def _missing(names: Collection[str]) -> Iterator[str]:
    """Parts that the names of others count. Some count from 0, others from 1, with and without zeros in front."""
    numbers: dict[tuple[str, str, str], set[str]] = {}
    for name in names:
        if form := PART.fullmatch(name):
            head, number, count, tail = form.groups()
            numbers.setdefault((head, count, tail), set()).add(number)
    for (head, count, tail), there in numbers.items():
        first, width = int(int(count) in map(int, there)), min(map(len, there))
        for number in sorted(set(range(first, first + int(count))) - set(map(int, there))):
            yield f"{head}{number:0{width}}-of-{count}{tail}"


def _one(known: Sequence[str], wanted: str | None, default: str | None) -> str:
    """The set that is meant, of several."""
    if wanted is not None:
        if wanted not in known:
            raise Misuse(
                f"data.subset={wanted} names nothing here.{did_you_mean(wanted, known)} Known: {', '.join(known[:20])}."
            )
        return wanted
    if len(known) == 1:
        return known[0]
    for usual in (default, *DEFAULTS):
        if usual in known:
            return str(usual)
    shown = f"{', '.join(known[:20])}{' ...' if len(known) > 20 else ''}"
    raise Misuse(f"There are {len(known)} sets here: choose one with data.subset=NAME, of {shown}.")


def about(readme: Path) -> dict[str, Any]:
    """The head of a README, between two lines of dashes; empty where it has none."""
    if not readme.is_file():
        return {}
    head = re.match(r"---\r?\n(.*?)\r?\n---", readme.read_text(encoding="utf-8-sig", errors="replace"), re.DOTALL)
    try:
        # Every scalar as the text that is written: a class may be called no, and nothing is copied however often it is named.
        content = yaml.BaseLoader(head[1]).get_single_data() if head else None
    except (yaml.YAMLError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Problem(f"The head of {readme} is no YAML ({reason}): correct or remove it.") from None
    return content if isinstance(content, dict) else {}


def _configured(about: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Patterns of file names by subset and split, as a README says them."""
    found: dict[str, dict[str, list[str]]] = {}
    configs = about.get("configs")
    for one in configs if isinstance(configs, list) else []:
        name = one.get("config_name", "default") if isinstance(one, dict) else None
        if not isinstance(name, str) or "data_files" not in one:
            continue
        files = one["data_files"]
        splits: dict[str, list[str]] = {}
        if isinstance(files, str):
            files = [files]
        for part in files if isinstance(files, list) else []:
            split, path = (part.get("split"), part.get("path")) if isinstance(part, dict) else ("train", part)
            paths = path if isinstance(path, list) else [path]
            if isinstance(split, str):
                splits.setdefault(split, []).extend(one for one in paths if isinstance(one, str))
        if splits:
            found[name] = splits
    return found


def _default(about: Mapping[str, Any]) -> str | None:
    named = [one for one in about.get("configs", []) if isinstance(one, dict) and one.get("default") == "true"]
    return str(named[0].get("config_name", "default")) if named else None


def _fits(name: str, pattern: str) -> bool:
    """Whether a file is meant by a pattern, in which only `**` reaches over folders."""
    if "**" in pattern:
        return fnmatch.fnmatchcase(name, pattern.replace("**/", "*").replace("**", "*"))
    parts, wanted = name.split("/"), pattern.removeprefix("./").split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def class_names(about: Mapping[str, Any], target: str, subset: str | None) -> list[str]:
    info = about.get("dataset_info")
    infos = [one for one in (info if isinstance(info, list) else [info]) if isinstance(one, dict)]
    named = [one for one in infos if one.get("config_name") == subset] if subset else []
    for one in named or infos:
        features = one.get("features")
        for feature in features if isinstance(features, list) else []:
            kind = feature.get("dtype") if isinstance(feature, dict) and feature.get("name") == target else None
            if isinstance(kind, dict) and isinstance(kind.get("class_label"), dict):
                names = kind["class_label"].get("names")
                values = list(names.values()) if isinstance(names, dict) else names
                plain = isinstance(values, list) and all(isinstance(value, str) for value in values)
                return values if plain else []
    return []
