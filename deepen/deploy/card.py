"""The model card: what a bundle is, in a page that a person reads (Mitchell et al., 2019)."""

from __future__ import annotations

from typing import Any


def card(facts: dict[str, Any]) -> str:
    """Markdown from the content of `bundle.json`."""
    if "converted" in facts:
        return _of_others(facts)
    output = facts["spec"]["output"]
    other = "a text" if output["kind"] in ("tokens", "sentence") else "pictures (its data has no answers)"
    names = ", ".join(str(name) for name in output.get("names", ())) or other
    lines = [
        f"# {facts['model']['name']} for {facts['source']}",
        "",
        f"- Task: {facts['task']['name']}",
        f"- Takes: {_fields(facts['spec']['input'])}",
        f"- Answers with: {names}",
        f"- Trained on: {facts['source']} (content SHA-256 {facts['digest'][:16]}...)",
        f"- Parameters: {facts['parameters']:,}",
        f"- Made with: Deepen {facts['versions']['deepen']}, torch {facts['versions']['torch']}",
        "",
        f"## Scores on the validation split, at step {facts['step']}",
        "",
        *(f"- {name}: {value:.4f}" for name, value in facts["validation"].items()),
        "",
        "The weights were chosen by these scores, so they flatter a little; `deepen evaluate` opens the test split.",
        "",
        "## Limits",
        "",
        "It knows only what its training data showed. Inputs of another kind get an answer too, and a wrong one.",
        "",
    ]
    return "\n".join(lines)


def _of_others(facts: dict[str, Any]) -> str:
    """Of weights that were trained elsewhere: nothing was measured here."""
    names = facts["spec"]["output"].get("names")
    seen = facts["preprocess"]
    how = ""
    if "mean" in seen:
        scaled = f"the shorter side scaled to {seen['resize'] or seen['height']}, the centre cut out"
        how = f"; {scaled}, less {seen['mean']}, divided by {seen['std']}"
    classes = (
        f"{len(names):,} classes ({', '.join(names[:10])}{', ...' if len(names) > 10 else ''})" if names else "tokens"
    )
    lines = [
        f"# {facts['model']['name']} from {facts['converted']}",
        "",
        f"- Task: {facts['task']['name']}",
        f"- Takes: {_fields(facts['spec']['input'])}{how}",
        f"- Answers with: {classes}",
        f"- Weights: {facts['converted']} (file SHA-256 {facts['digest'][:16]}...), {100 * facts['matched']:.4g} % matched",
        *([f"- Never trained, at random: {', '.join(facts['untrained'])}"] if facts.get("untrained") else []),
        f"- Parameters: {facts['parameters']:,}",
        f"- Converted with: Deepen {facts['versions']['deepen']}, torch {facts['versions']['torch']}",
        "",
        "## Limits",
        "",
        "It was not trained here, and nothing was measured: see what those who published it say of it, and score it on data",
        "of your own. It knows only what its training data showed.",
        "",
    ]
    return "\n".join(lines)


def _fields(part: dict[str, Any]) -> str:
    if part["kind"] == "image":
        return f"a picture, {part['channels']} x {part['height']} x {part['width']} after preprocessing"
    if part["kind"] == "table":
        return f"a row of a table, {len(part['columns'])} numbers after preprocessing"
    if part["kind"] == "text":
        return f"a text, at most {part['length']} tokens of {part['vocabulary']:,} different ones"
    if part["kind"] == "series":
        return f"the last {part['length']:,} moments of a series, {len(part['names'])} numbers each"
    if part["kind"] == "audio":
        return f"a recording at {part['rate']:,} samples a second, {part['bands']} bands in at most {part['frames']:,} frames"
    return f"an observation of {part.get('environment') or 'its environment'}, size {part['size']}"
