"""What a batch holds: the only words that data and models share.

A data set declares a `Spec`, a model is built from one, a bundle describes itself with one. Every kind knows the shape
of the tensor that a model sees (without the batch dimension), so that a model can be sized from its input.

The call contract: `model(input: Tensor[B, *spec.input.shape]) -> Tensor[B, spec.output.width]`. A task whose models
answer in another form says so in its own file.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, get_args


@dataclass(frozen=True)
class Image:
    """Pictures, normalised: float tensor [B, channels, height, width]."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class Table:
    """Rows of a table after preprocessing: float tensor [B, len(columns)], one name per number."""

    columns: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)


@dataclass(frozen=True)
class Observation:
    """What an acting agent sees of its environment: float tensor [B, *size]. `environment` is a gymnasium id."""

    size: tuple[int, ...]
    environment: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size


PAD = 0
"""The token that is none: it fills up what is shorter than its neighbours in a batch."""


@dataclass(frozen=True)
class Text:
    """Texts as tokens: int64 tensor [B, L], L at most `length`; a row that has ended goes on with `PAD`.

    Tokens are numbers from 0 to `vocabulary` - 1, of which 0 is `PAD`."""

    length: int
    vocabulary: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)


@dataclass(frozen=True)
class Series:
    """What some variates were at the last `length` moments, scaled: float tensor [B, length, len(names)]."""

    length: int
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, len(self.names))


@dataclass(frozen=True)
class Audio:
    """Sound as a spectrogram: float tensor [B, F, bands], F at most `frames`; what is shorter than its neighbours goes on with
    frames of zeros, which no sound has."""

    frames: int
    bands: int
    rate: int
    """Samples a second that every recording is brought to."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, self.bands)


@dataclass(frozen=True)
class Category:
    """One of several classes: int64 tensor [B]; models answer with a logit per class."""

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Quantity:
    """One or more numbers: float tensor [B, len(names)] in the user's units.

    `mean` and `scale` are fitted on the training split; models answer in (value - mean) / scale.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        return len(self.names)


EMPTY = -1
"""Instead of the class of a box: there is none."""


def ignored(number: int, crowd: bool) -> int:
    """What stands instead of class `number` for a box that is neither learnt nor measured: of one thing, or of a crowd, of
    which any part may be found any number of times."""
    return EMPTY - 1 - 2 * number - crowd


IGNORED = 255
"""Instead of the class of a pixel: it is neither learnt nor measured."""


@dataclass(frozen=True)
class Boxes:
    """Things in a picture, each a box and a class: float32 tensor [B, M, 5], M the most that a picture has.

    A row is left, top, right, bottom in pixels of the model's input, then the number of the class. Below 0 it is nothing to
    find: -1 (`EMPTY`) an empty row, less than that one that is ignored, see `ignored`. What models answer is said in
    `tasks/detect.py`.
    """

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Mask:
    """A class for every pixel: uint8 tensor [B, H, W], `IGNORED` where it is not to be learnt or measured; models answer
    with logits [B, len(names), H, W]."""

    names: tuple[str, ...]
    colours: tuple[str, ...] = ()
    """Of the classes, as #rrggbb, where the data brings its own."""

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Tokens:
    """A token for every place of a text: int64 tensor [B, L], `PAD` where there is none; models answer with logits
    [B, L, vocabulary]."""

    vocabulary: int
    hidden: bool = False
    """Whether it is the one that stands there, which the input may hide, rather than the one that comes next."""

    @property
    def width(self) -> int:
        return self.vocabulary


UNLABELLED = -1
"""Instead of the label of a token: there is none."""


@dataclass(frozen=True)
class Labels:
    """A class for every place of a text: int64 tensor [B, L], `UNLABELLED` where nothing is asked; models answer with logits
    [B, L, len(names)]."""

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.names)


BEGIN = 2
"""The token that a model is given before the first of its answer."""


@dataclass(frozen=True)
class Sentence:
    """A text in answer to a sample (its translation, what is said in it) as tokens of its own vocabulary: int64 tensor [B, M], M
    at most `length`; a row that has ended goes on with `PAD`. What models answer is said in the file of the task."""

    length: int
    vocabulary: int

    @property
    def width(self) -> int:
        return self.vocabulary


@dataclass(frozen=True)
class Horizon:
    """What the variates `names` are at the `length` moments after the input, scaled as it is: float tensor
    [B, length, len(names)], NaN where that is not known; and so models answer.

    Scaled is (value - mean) / scale, fitted on the training split: a number for each of `names`."""

    length: int
    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Action:
    """One of several discrete actions of an agent: int64 tensor [B]."""

    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Nothing:
    """No target: the inputs alone are what is learnt from."""

    width: ClassVar[int] = 0


Input = Image | Table | Observation | Text | Series | Audio
Output = Category | Quantity | Boxes | Mask | Tokens | Labels | Sentence | Horizon | Action | Nothing
KINDS: dict[str, type] = {kind.__name__.lower(): kind for kind in (*get_args(Input), *get_args(Output))}


@dataclass(frozen=True)
class Spec:
    """What goes into a model and what is asked of it."""

    input: Input
    output: Output

    @property
    def input_size(self) -> int:
        """How many numbers one sample has."""
        return math.prod(self.input.shape)

    def to_json(self) -> dict[str, Any]:
        return {"input": _to_json(self.input), "output": _to_json(self.output)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Spec:
        return cls(_from_json(data["input"]), _from_json(data["output"]))


def _to_json(part: Input | Output) -> dict[str, Any]:
    return {"kind": type(part).__name__.lower(), **asdict(part)}


def _from_json(data: dict[str, Any]) -> Any:
    kind = KINDS[data["kind"]]
    values = {field.name: data[field.name] for field in fields(kind) if field.name in data}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
