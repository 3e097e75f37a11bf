"""Recordings from folders, archives and tables: found, decoded in threads and brought to one rate."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from deepen.data import archives, sound, sound_file
from deepen.data.dataset import Bad, Finding
from deepen.data.decode import each
from deepen.data.faults import LISTED, refused
from deepen.data.image_files import UnreadableError
from deepen.data.piles import is_hidden
from deepen.data.reading import ENDINGS, ending, peek_table
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

Item = Path | bytes
HIGHEST = 16_000
"""Samples a second that recordings are brought to at most, unless more are asked for: speech has hardly anything above 8 kHz."""
SURVEYED = 500
"""Recordings that the rate is decided from."""
MOST_BYTES = 2**30


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
            if sound_file.is_recording(member.name) and not member.is_folder:
                found.append((member.name, member.read()))
    return sorted(pair for pair in found if _is_recording(pair[0]))


def _is_recording(name: str) -> bool:
    return sound_file.is_recording(name) and not any(is_hidden(part) for part in name.split("/"))


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
        if len(named) > len(cells) / 2 and all(map(sound_file.is_recording, named)):
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
    are = "1 recording is" if len(silent) == 1 else f"{len(silent):,} recordings are"
    text = f"{are} silent from beginning to end (first: '{silent[0]}')."
    return [Finding("warning", "silent", text, "Record them again, or remove them.", {"files": silent[:LISTED]})]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
