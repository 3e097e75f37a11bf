"""Data sets of recordings, wherever they come from: with a class each, or with what is said in them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from deepen.data import archives, sound, sound_file, tokenizer
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.decode import each
from deepen.data.faults import LISTED, refused
from deepen.data.image_files import UnreadableError
from deepen.data.paired import written
from deepen.data.piles import is_hidden
from deepen.data.ragged import Ragged, Strung, string
from deepen.data.reading import ENDINGS, ending, peek_table
from deepen.data.sound import FILL, SoundPreprocess
from deepen.data.splits import split
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import Audio, Category, Sentence, Spec

Item = Path | bytes
HIGHEST = 16_000
"""Samples a second that recordings are brought to at most, unless more are asked for: speech has hardly anything above 8 kHz."""
SURVEYED = 500
"""Recordings that the rate is decided from."""
MOST_BYTES = 2**30
HURRIED = 25
"""Characters a second that nobody says."""
USUAL_SIZE = {"characters": 4096, "words": 30_000, "bpe": 1000}
APOSTROPHES = "'’"


@dataclass
class Config(Data):
    """How recordings are read."""

    rate: int | None = None
    """Samples a second that all are brought to. Default: that of most recordings, up to 16,000."""
    seconds: float = 30.0
    """Longest recording. What has a class is cut off there; a longer one with a transcript is not used."""
    bands: int = 40
    """Pitch bands of the spectrogram."""
    text: str | None = None
    """Column of transcripts. Default: one called text, transcript, transcription or sentence, else the one beside the files."""
    tokens: Literal["characters", "words", "bpe"] = "characters"
    """What transcripts are cut into."""
    plain: bool = True
    """Whether transcripts are learnt in small letters and without punctuation."""


@dataclass
class Heard:
    """The recordings that could be read."""

    rows: list[np.ndarray]
    """int16 [n] each, at `rate`."""
    kept: list[int]
    """The number of each among those that were named."""
    rate: int
    digest: str
    bad: list[Bad] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def find(source: str) -> list[tuple[str, Item]]:
    """The recordings of a folder or archive by their names in it, sorted."""
    path = Path(source).expanduser()
    found: list[tuple[str, Item]] = []
    if path.is_dir():
        found = [(file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()]
    else:
        for member in archives.walk(path):
            if member.name.lower().endswith(sound_file.ENDINGS) and not member.is_folder:
                found.append((member.name, member.read()))
    return sorted(pair for pair in found if _is_recording(pair[0]))


def _is_recording(name: str) -> bool:
    return name.lower().endswith(sound_file.ENDINGS) and not any(is_hidden(part) for part in name.split("/"))


def table_of(folder: Path) -> tuple[Path, str] | None:
    """The table at the top of a folder that lists recordings, and its column of file names."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and ending(path.name) in ENDINGS and not is_hidden(path.name):
            files = files_in(path)
            if files is not None:
                return path, files
    return None


def files_in(path: Path) -> str | None:
    """The column of a table that names recordings beside it, if there is one."""
    try:
        table = peek_table(path)
    except Problem:
        return None  # what is wrong with it is said by who reads all of it
    for name, cells in table.columns.items():
        named = [str(cell).strip() for cell in cells if cell]
        if len(named) > len(cells) / 2 and all(one.lower().endswith(sound_file.ENDINGS) for one in named):
            return name
    return None


def hear(items: Sequence[tuple[str, Item]], config: Config, *, whole: bool) -> Heard:
    """Every recording, decoded in threads and brought to one rate. `whole`: a longer one is not cut but refused.

    Raises `Problem` for those that cannot be read, unless `skip_bad`; `Misuse` for settings that make no sense."""
    check(config)
    if not items:
        raise Problem("There is no recording to learn from.")
    rate, told = _rate(items, config)
    rows: dict[int, np.ndarray] = {}
    lengths: dict[int, float] = {}
    digests: dict[int, str] = {}

    def work(number: int, item: Item) -> None:
        content = _content(item)
        digests[number] = hashlib.sha256(content).hexdigest()
        rows[number], lengths[number] = sound.row(content, rate, config.seconds, whole=whole)

    numbered = ((number, item) for number, (_, item) in enumerate(items))
    reasons = each(numbered, work, len(items), "reading recordings", config.threads)
    bad = [Bad(items[number][0], reason) for number, reason in sorted(reasons.items())]
    if bad and (not rows or not config.skip_bad):
        head = f"{len(bad):,} recording{'s' if len(bad) > 1 else ''} of {len(items):,} cannot be used"
        raise refused(head, bad, left=len(rows))
    digest = hashlib.sha256()
    for number, (name, _) in enumerate(items):
        digest.update(f"{name}\0{digests.get(number, 'unreadable')}\n".encode("utf-8", "surrogateescape"))
    kept = sorted(rows)
    heard = Heard([rows[number] for number in kept], kept, rate, digest.hexdigest(), bad)
    seconds = sorted(lengths[number] for number in kept)
    heard.facts = [
        f"{len(kept):,} recordings, {_duration(sum(seconds))} in all, {seconds[0]:.3g} to {seconds[-1]:.3g} s long, at "
        f"{rate:,} samples a second. {told}".strip()
    ]
    heard.findings = [*_cut(seconds, config), *_silent(heard, [name for name, _ in items])]
    if bad:
        heard.facts.append(f"{len(bad):,} recordings that cannot be used are left out (data.skip_bad).")
    return heard


def check(config: Config) -> None:
    """Raise `Misuse` for settings out of range."""
    limits = {"rate": (1000, 48_000), "bands": (2, 512), "seconds": (0.05, 3600)}
    for key, (low, high) in limits.items():
        value = getattr(config, key)
        if value is not None and not low <= value <= high:
            raise Misuse(f"data.{key}={value:g} is not usable: expected a number from {low:g} to {high:,}.")


def fixed(config: Config, name: str) -> None:
    """Raise `Misuse` for settings that a known set cannot follow."""
    for option in ("target", "test", "group", "time", "text"):
        if getattr(config, option) is not None:
            raise Misuse(f"data.{option} cannot be set for {name}, whose answers and splits are fixed.")


def classes(
    name: str,
    heard: Heard,
    labels: np.ndarray,
    names: tuple[str, ...],
    config: Config,
    seed: int,
    *,
    origins: Sequence[str],
    given: np.ndarray | None = None,
    testing: str = "",
) -> Dataset:
    """A data set of recordings with a class each, int64 [N]. `given` is the split of each, where the data brings one."""
    parts, why = split(len(labels), config, seed, given=given, labels=labels, names=names, testing=testing)
    goal = torch.from_numpy(labels)
    arrays = {part: goal[torch.from_numpy(index)] for part, index in parts.items()}
    made = {
        part: Ragged({"input": _strung(heard, index)}, {"target": arrays[part]}, [origins[row] for row in index])
        for part, index in parts.items()
    }
    return _made(name, heard, Category(names), None, made, config, why, testing)


def transcripts(
    name: str,
    heard: Heard,
    texts: Sequence[str],
    config: Config,
    seed: int,
    *,
    origins: Sequence[str],
    given: np.ndarray | None = None,
    testing: str = "",
) -> Dataset:
    """A data set of recordings with what is said in each: as `target` in tokens, as `reference` in the bytes of the text."""
    texts = [plainly(text) for text in texts] if config.plain else [" ".join(text.split()) for text in texts]
    parts, why = split(len(texts), config, seed, given=given, testing=testing)
    learnt = [texts[row] for row in parts["train"].tolist()]
    words = tokenizer.fit(config.tokens, learnt, USUAL_SIZE[config.tokens])
    tokens = words.encode(texts)
    length = max((len(row) for row in tokens), default=1)
    made = {}
    for part, index in parts.items():
        strung = {
            "input": _strung(heard, index),
            "target": string([tokens[row] for row in index.tolist()]),
            "reference": string(
                [np.frombuffer(written(texts[row]), np.uint8) for row in index.tolist()], dtype=np.uint8
            ),
        }
        made[part] = Ragged(strung, {}, [origins[row] for row in index])
    heard.findings += [*_hurried(heard, texts, origins), *_wordless(texts, origins)]
    why.insert(0, f"Transcripts are {config.tokens}: {words.vocabulary:,} different tokens, at most {length:,} in one.")
    return _made(name, heard, Sentence(max(1, length), words.vocabulary), words, made, config, why, testing)


def _made(
    name: str,
    heard: Heard,
    output: Category | Sentence,
    words: tokenizer.Characters | tokenizer.Pieces | None,
    made: dict[str, Ragged],
    config: Config,
    why: Sequence[str],
    testing: str,
) -> Dataset:
    if made["train"].strung["input"].flat.abs().max() <= 1:
        raise Problem(f"{name}: all recordings to learn from are silent from beginning to end. Record them again.")
    mean, std = sound.fit(made["train"].strung["input"], heard.rate, config.bands)
    most = sound.frames(sound.longest(heard.rate, config.seconds), heard.rate)
    return Dataset(
        name=name,
        spec=Spec(Audio(most, config.bands, heard.rate), output),
        preprocess=SoundPreprocess(heard.rate, config.seconds, mean, std, words),
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if len(made["test"]) else None,
        digest=heard.digest,
        facts=[*heard.facts, *why],
        bad=heard.bad,
        findings=heard.findings,
        testing=testing,
    )


def plainly(text: str) -> str:
    """In small letters, without punctuation, one blank between two words; accents and vowel signs are parts of letters."""
    kept = (sign if _is_letter(sign) else " " for sign in unicodedata.normalize("NFC", text.lower()))
    return " ".join("".join(kept).split())


def _is_letter(sign: str) -> bool:
    return sign in APOSTROPHES or unicodedata.category(sign)[0] in "LMN"


def _strung(heard: Heard, index: np.ndarray) -> Strung:
    return string([heard.rows[row] for row in index.tolist()], FILL, np.int16)


def _content(item: Item) -> bytes:
    if isinstance(item, bytes):
        return item
    try:
        if item.stat().st_size > MOST_BYTES:
            raise UnreadableError(f"it is larger than {MOST_BYTES:,} bytes: cut it into pieces")
        return item.read_bytes()
    except OSError as error:
        raise UnreadableError(f"it cannot be opened ({error.strerror})") from None


def _rate(items: Sequence[tuple[str, Item]], config: Config) -> tuple[int, str]:
    """The rate that all are brought to, and a sentence where that changes some."""
    seen: Counter[int] = Counter()
    for _, item in items[:: max(1, len(items) // SURVEYED)]:
        try:
            seen[sound_file.read(item, 0).rate] += 1
        except UnreadableError:  # told when all of it is read
            continue
    commonest = seen.most_common(1)[0][0] if seen else HIGHEST
    rate = config.rate or min(commonest, HIGHEST)
    others = sorted(one for one in seen if one != rate)
    if not others:
        return rate, ""
    listed = ", ".join(f"{one:,}" for one in others[:4]) + (" and more" if len(others) > 4 else "")
    return rate, f"Those of {listed} are resampled (data.rate=... for another rate)."


def _cut(seconds: Sequence[float], config: Config) -> list[Finding]:
    if not (count := sum(one > config.seconds for one in seconds)):
        return []
    text = f"{count:,} recordings are longer than {config.seconds:g} s: their ends are cut off."
    return [Finding("note", "cut-recordings", text, "data.seconds=NUMBER keeps more of them.")]


def _silent(heard: Heard, names: Sequence[str]) -> list[Finding]:
    silent = [names[number] for number, row in zip(heard.kept, heard.rows, strict=True) if np.abs(row).max() <= 1]
    if not silent:
        return []
    text = f"{len(silent):,} recordings are silent from beginning to end (first: '{silent[0]}')."
    return [Finding("warning", "silent", text, "Record them again, or remove them.", {"files": silent[:LISTED]})]


def _hurried(heard: Heard, texts: Sequence[str], origins: Sequence[str]) -> list[Finding]:
    """Transcripts with more characters than their recordings have room for: they cannot be learnt with CTC."""
    fast = [
        origin
        for row, text, origin in zip(heard.rows, texts, origins, strict=True)
        if len(text) > HURRIED * len(row) / heard.rate
    ]
    if not fast:
        return []
    text = f"{len(fast):,} transcripts are longer than anybody could say in their recordings (first: '{fast[0]}')."
    mend = "See whether each stands beside its own recording."
    return [Finding("warning", "hurried", text, mend, {"files": fast[:LISTED]})]


def _wordless(texts: Sequence[str], origins: Sequence[str]) -> list[Finding]:
    wordless = [origin for text, origin in zip(texts, origins, strict=True) if not text]
    if not wordless:
        return []
    told = (
        f"{len(wordless):,} transcripts hold no word (first: '{wordless[0]}'): that nothing is said is learnt of them."
    )
    return [Finding("warning", "wordless", told, "Fill them, or remove the rows.", {"files": wordless[:LISTED]})]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
