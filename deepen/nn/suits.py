"""Whether a model suits what it is asked for, said in one sentence when it does not."""

from __future__ import annotations

from deepen.errors import Misuse, Problem, Unsuited
from deepen.spec import Audio, Boxes, Category, Horizon, Image, Labels, Mask, Sentence, Series, Spec, Text, Tokens

FOR_TEXTS = "bag, textcnn, lstm or transformer"
"""Models that say one thing of a text."""
FOR_LABELS = "lstm or transformer"
"""Models that say one thing of each place of a text."""
FOR_SOUND = "sound-cnn or sound-gru"
FOR_SERIES = "dlinear, patchtst or lstm"
"""Models that go on with a series."""
ONWARDS = "gpt or llama"
"""Models that go on with a text."""
FOR_PAIRS = "seq2seq-transformer or seq2seq"
"""Models that answer a text with a text."""
BOTH_WAYS = "transformer or bert"
"""Models in which each place of a text sees all others."""
MANY = {Boxes: "boxes", Mask: "masks", Tokens: "texts", Labels: "labels", Sentence: "sentences", Horizon: "forecasts"}
"""Answers that are more than one thing of a whole sample, and what they are called."""


def _for(spec: Spec) -> str:
    """Models for texts that suit what is asked of them."""
    if isinstance(spec.output, Tokens):
        return BOTH_WAYS if spec.output.hidden else ONWARDS
    if isinstance(spec.output, Sentence):
        return FOR_PAIRS
    return FOR_LABELS if isinstance(spec.output, Labels) else FOR_TEXTS


def answers(spec: Spec, model: str) -> int:
    """How many numbers the model must answer with; raises `Problem` where nothing is asked, a single class exists, or more
    than one answer for each sample is wanted."""
    asked = MANY.get(type(spec.output))
    if asked is not None:
        suiting = _for(spec) if isinstance(spec.output, Labels | Tokens) or isinstance(spec.input, Text) else ""
        raise Unsuited(f"Model '{model}' says one thing of a whole sample and this data asks for {asked}", suiting)
    if spec.output.width < 1:
        raise Problem(
            f"Model '{model}' learns a target and this data has none: choose a model such as dcgan with --as gan."
        )
    if isinstance(spec.output, Category) and spec.output.width == 1:
        raise Problem(f"There is only one class ('{spec.output.names[0]}'): a classifier needs at least two.")
    return spec.output.width


def pictures(spec: Spec, model: str, smallest: int = 1, remedy: str | None = None) -> Image:
    """The input as pictures; raises `Problem` when it is something else, or smaller than `smallest` pixels a side, for which
    `remedy` is a setting that helps, if not larger pictures."""
    if not isinstance(spec.input, Image):
        kind = type(spec.input).__name__.lower()
        others = {"observation": "actor-critic", "text": _for(spec), "audio": FOR_SOUND, "series": FOR_SERIES}
        better = others.get(kind, "mlp or perceptron")
        raise Unsuited(f"Model '{model}' works on pictures and this data is a {kind}", better)
    if min(spec.input.height, spec.input.width) < smallest:
        size = f"{spec.input.height}x{spec.input.width}"
        raise Problem(
            f"Model '{model}' needs pictures of at least {smallest}x{smallest} pixels, these are {size}: set "
            f"{remedy or f'data.size={smallest}'}."
        )
    return spec.input


def numbers(spec: Spec, model: str) -> None:
    """Raise `Problem` where the input is no numbers, as many for every sample, that may be added and multiplied: tokens are but
    names, and recordings differ in length."""
    if isinstance(spec.input, Text):
        raise Unsuited(f"Model '{model}' works on numbers and this data is texts", _for(spec))
    if isinstance(spec.input, Audio):
        raise Unsuited(
            f"Model '{model}' works on as many numbers for every sample and this data is recordings", FOR_SOUND
        )


def sounds(spec: Spec, model: str) -> Audio:
    """The input as sound; raises `Problem` when it is something else."""
    if not isinstance(spec.input, Audio):
        raise Unsuited(f"Model '{model}' is for recordings and this data holds none")
    return spec.input


def texts(spec: Spec, model: str) -> Text:
    """The input as texts; raises `Problem` when it is something else."""
    if not isinstance(spec.input, Text):
        held = "pictures" if isinstance(spec.input, Image) else "numbers"
        raise Unsuited(f"Model '{model}' reads texts and this data is {held}")
    return spec.input


def tokens(spec: Spec, model: str) -> Tokens:
    """The answer as tokens, the next one for each place; raises `Problem` when something else is asked."""
    if not isinstance(spec.output, Tokens):
        others = {Labels: "a label for every word", Sentence: "a text in answer"}
        asked = others.get(type(spec.output), "one thing of each")
        raise Unsuited(
            f"Model '{model}' answers with a token for every place of a text, and this data asks {asked}", _for(spec)
        )
    if spec.output.hidden:
        raise Unsuited(f"Model '{model}' sees only what comes before a hidden token", BOTH_WAYS)
    return spec.output


def sentences(spec: Spec, model: str) -> tuple[Text, Sentence]:
    """Input and answer as texts; raises `Problem` when something else is given or asked."""
    if not isinstance(spec.input, Text) or not isinstance(spec.output, Sentence):
        held, asked = type(spec.input).__name__.lower(), type(spec.output).__name__.lower()
        raise Unsuited(f"Model '{model}' answers a text with a text, and this data is {held} and asks for {asked}")
    return spec.input, spec.output


def hidden_tokens(spec: Spec, model: str) -> Tokens:
    """The answer as tokens that the input hides; raises `Problem` when something else is asked."""
    if not isinstance(spec.output, Tokens) or not spec.output.hidden:
        raise Unsuited(
            f"Model '{model}' sees what comes after a place too, so that it cannot learn to tell",
            "gpt, or fill in hidden tokens with --as masked",
        )
    return spec.output


def forecasts(spec: Spec, model: str) -> tuple[Series, Horizon]:
    """The past of a series and what is asked of its future; raises `Problem` when the data is something else."""
    if not isinstance(spec.input, Series) or not isinstance(spec.output, Horizon):
        raise Problem(
            f"Model '{model}' goes on with a series and this data is none: name a table with a column of equally spaced times, "
            "or choose another model; `deepen list` has them."
        )
    return spec.input, spec.output


def share(key: str, value: float) -> float:
    """`value` if it is a share in [0, 1), as of dropout; else `Misuse` naming `key`."""
    if not 0 <= value < 1:
        raise Misuse(f"model.{key}={value:g} is not usable: expected a number from 0 to below 1.")
    return value


def positive(key: str, *values: float) -> None:
    """Raise `Misuse` naming `key` unless all of `values` are above zero."""
    if any(value <= 0 for value in values):
        given = ",".join(f"{value:g}" for value in values)
        raise Misuse(f"model.{key}={given} is not usable: expected only numbers above zero.")
