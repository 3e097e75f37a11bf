"""`deepen list` and `deepen show`: what there is, and one of it in full."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from deepen import limits, registry
from deepen import recipe as recipes
from deepen.errors import Misuse, did_you_mean
from deepen.fields import convert, describe, documentation
from deepen.known import KnownGood, known_good
from deepen.recipe import as_text

KINDS = ("data", "task", "model")


def listing() -> dict[str, dict[str, str]]:
    """Every name with its summary, by kind."""
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        entries = registry.entries(kind).values()
        if kind == "data":
            found["data"] = {e.name: e.summary for e in entries if "recognise" not in e.offers}
            found["your own"] = {e.name: e.summary for e in entries if "recognise" in e.offers}
        else:
            found[kind] = {entry.name: entry.summary for entry in entries}
    found["recipe"] = {known.name: known.command + _expected(known) for known in known_good()}
    return found


def _expected(known: KnownGood) -> str:
    return f": {known.expect}" if known.expect.strip("- ") else ""


def show(what: str, words: list[str], out: str | None) -> dict[str, Any]:
    """What is to be said of `what`, as labelled texts. Raises `Misuse` when there is no such thing."""
    if what == "recipe":
        sections = {section: _section(section) for section in recipes.SECTIONS if section not in ("task", "model")}
        return sections | {"also": _plain()}
    if what == "schedule" and words:
        return _schedule(words, Path(out or "schedule.svg"))
    if words:
        raise Misuse(f"'{words[0]}' is one word too many: only `deepen show schedule` takes a name and key=value.")
    if what in recipes.SECTIONS and what not in ("task", "model"):
        return {what: _section(what)}
    if what == "activations":
        return _activations(Path(out or "activations.svg"))
    for kind in KINDS:
        if what in registry.entries(kind):
            return _entry(kind, what)
    named = {known.name: known for known in known_good()}
    if what in named:
        known = named[what]
        settings = {f"{key}={as_text(value)}": "" for key, value in known.settings.items()}
        told = {"time": known.time, "expect": known.expect}
        return {"recipe": known.name, "command": known.command, "settings": settings} | {
            label: text for label, text in told.items() if text.strip("- ")
        }
    choices = [
        *named,
        *(name for kind in KINDS for name in registry.entries(kind)),
        *recipes.SECTIONS,
        "recipe",
        "activations",
    ]
    raise Misuse(f"There is nothing named '{what}' to show.{did_you_mean(what, choices)} `deepen list` has the names.")


def _entry(kind: str, name: str) -> dict[str, Any]:
    entry = registry.find(kind, name)
    module = entry.load()
    found: dict[str, Any] = {kind: name, "is": entry.summary}
    about = getattr(module, "ABOUT", None)
    if isinstance(about, dict):
        about = about.get(name)
    if about is not None:
        found |= {"title": about.title, "licence": about.licence, "citation": about.citation}
        if about.homepage:
            found["homepage"] = about.homepage
    config = getattr(module, "Config", None)
    if config is not None and fields(config):
        made = config()
        for field, value in entry.preset.items():
            setattr(made, field, convert(made, field, value, field))
        found["settings"] = _fields(kind, made)
    if kind == "model":
        known = [k.command for k in known_good() if k.model == name]
        if known:
            found["try"] = "\n".join(known)
    return found


def _section(section: str) -> dict[str, str]:
    return _fields(section, getattr(recipes.Recipe("", "", "", ""), section))


def _plain() -> dict[str, str]:
    draft, told = recipes.Recipe("", "", "", ""), documentation(recipes.Recipe)
    return {
        f"{name}={as_text(getattr(draft, name))}": told.get(name, "where the draws start") for name in recipes.PLAIN
    }


def _fields(section: str, config: Any) -> dict[str, str]:
    """Each field as key=default with its documentation and type."""
    kind: type = type(config)
    hints, told = get_type_hints(kind), documentation(kind)
    return {
        f"{section}.{field.name}={as_text(getattr(config, field.name))}": f"{told.get(field.name, '')} "
        f"({describe(hints[field.name])})"
        for field in fields(config)
    }


def _activations(path: Path) -> dict[str, Any]:
    """A picture of each activation and its derivative, in one file."""
    from deepen.insight import curves
    from deepen.insight.sheet import sheet
    from deepen.nn.activations import ACTIVATIONS, curve

    path.write_text(sheet([curves.activation(name, *curve(name)) for name in ACTIVATIONS]), encoding="utf-8")
    return {"picture": str(path), "activations": ", ".join(ACTIVATIONS)}


def _schedule(words: list[str], path: Path) -> dict[str, Any]:
    """`deepen show schedule cosine warmup=0.1`: the rate over a training, before it is used."""
    from deepen.engine.optim import peak_lr
    from deepen.engine.schedule import factor
    from deepen.insight import curves

    draft = recipes.Recipe("", "", "", "")
    settings = draft.keys()
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            draft.set(f"schedule.{key}" if f"schedule.{key}" in settings else key, value)
        else:
            draft.schedule.name = key
    limits.check(draft)
    total, peak = 1000, peak_lr(draft.optim)
    rates = [peak * factor(draft.schedule, step, total) for step in range(total)]
    path.write_text(curves.schedule(rates, title=f"{draft.schedule.name}, {draft.optim.name}"), encoding="utf-8")
    return {
        "picture": str(path),
        "schedule": draft.schedule.name,
        "highest": f"{max(rates):.3g}",
        "lowest": f"{min(rates):.3g}",
    }
