"""How scores, times, answers and texts from outside are written in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.markup import escape

JOINERS = "\u200c\u200d"
"""Not printable by themselves, but needed inside emoji and some scripts."""
MOST_VALUES = 6
"""Values of a forecast that are told; all are in the JSON."""
MOST_SHARES = 4
"""Classes of a mask that are told; all are in the JSON."""


def number(metric: str, value: float) -> str:
    """A score as people write it."""
    from deepen.insight.curves import in_percent

    return f"{100 * value:.2f} %" if in_percent(metric) else f"{value:.4g}"


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `3:02:01`."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def rate(samples: float) -> str:
    """`1,234 samples/s`, `0.25 samples/s`."""
    return f"{samples:,.0f} samples/s" if samples >= 10 else f"{samples:.2g} samples/s"


def epochs(count: float) -> str:
    """`0.25 epochs`, `12.5 epochs`, `1,157 epochs`."""
    return f"{count:,.0f} epochs" if count >= 100 else f"{count:.3g} epochs"


def duration(seconds: float) -> str:
    """`4.2 s`, `12:34 min`, `3:02:01 h`."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{clock(seconds)} {'min' if seconds < 3600 else 'h'}"


def visible(text: Any, *, lines: bool = False) -> str:
    """A text from outside on one line, in which nothing can move the cursor, hide or turn round what follows.

    Control characters, line ends (unless `lines`), marks that change the direction of writing and bytes that are no text
    are written as escapes.
    """
    kept = JOINERS + ("\n" if lines else "")
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text))


def safe(text: Any, *, lines: bool = False) -> str:
    """`visible`, in which brackets mean nothing to rich."""
    return escape(visible(text, lines=lines))


def answered(prediction: Mapping[str, Any], *, in_percent: bool) -> list[str]:
    """Input, answer, probability, and the next likely ones."""

    def share(chance: float) -> str:
        return f"{100 * chance:.2f} %" if in_percent else f"{chance:.4f}"

    if "boxes" in prediction:
        return [str(prediction["input"]), *_found(prediction["boxes"], share)]
    if "mask" in prediction:
        most = [f"{name} {share(part)}" for name, part in list(prediction["shares"].items())[:MOST_SHARES]]
        return [str(prediction["input"]), ", ".join(most)]
    if "series" in prediction:
        return [str(prediction["input"]), *_forecast(prediction)]
    if "tags" in prediction:
        return [str(prediction["input"]), _tagged(prediction)]
    if "hidden" in prediction:
        found = [
            ", ".join(f"{name} {share(chance)}" for name, chance in one["top"][:3]) for one in prediction["hidden"]
        ]
        nothing = "nothing is hidden: write <mask> where a word is to be found"
        return [str(prediction["input"]), prediction["text"], "; ".join(found) or nothing]
    if "cut" in prediction:
        return [str(prediction["input"]), prediction["text"], prediction["cut"]]
    told = {key: value for key, value in prediction.items() if key not in ("input", "top", "probability")}
    texts = [_text(value) if len(told) == 1 else f"{key} {_text(value)}" for key, value in told.items()]
    row = [str(prediction["input"]), *texts]
    if "probability" in prediction:
        row.append(share(prediction["probability"]))
    others = [f"{name} {share(chance)}" for name, chance in prediction.get("top", [])[1:3]]
    return [*row, ", ".join(others)] if others else row


def _tagged(prediction: Mapping[str, Any]) -> str:
    """The words of a text set apart, what was found in it, or each word with its label."""
    if "words" in prediction:
        return "  ".join(prediction["words"])
    if "entities" in prediction:
        found = [f"{one['text']} ({one['label']})" for one in prediction["entities"]]
        return ", ".join(found) or "nothing found"
    return " ".join(f"{one['token']}/{one['label']}" for one in prediction["tags"])


def _forecast(prediction: Mapping[str, Any]) -> list[str]:
    """The first values that are forecast of each variate, and the last."""
    until = f" ({prediction['times'][-1]})" if "times" in prediction else ""
    told = []
    for name, values in prediction["series"].items():
        shown = ", ".join(f"{value:.5g}" for value in values[:MOST_VALUES])
        told.append(f"{name} {shown}" + (f" ... {values[-1]:.5g}{until}" if len(values) > MOST_VALUES else ""))
    return told


def _found(boxes: Sequence[Mapping[str, Any]], share: Callable[[float], str]) -> list[str]:
    """How many boxes of each class, and how sure the surest is."""
    if not boxes:
        return ["nothing found"]
    counts = Counter(box["category"] for box in boxes)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    return [told, f"the surest {share(max(box['probability'] for box in boxes))}"]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
