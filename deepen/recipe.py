"""Recipe: the typed inputs of a training, and nothing computed from them.

A recipe is `DATA x TASK x MODEL` and `key=value` on its sections. Values come, later ones winning, from the dataclasses
below and in the modules of the axes (`Config`), from the known-good recipe for (data, task, model) in `recipes/`, and
from the user. A string under a field is its documentation and becomes its help.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import yaml

from deepen import registry
from deepen.errors import Misuse, did_you_mean
from deepen.fields import convert


@dataclass
class Data:
    """How a source is read and split. A source may extend this with a `Config` of its own."""

    target: str | None = None
    """Column of a table to learn. Default: a column called target, label, class or y, else the last one."""
    test: str | None = None
    """A second file or folder that is the test split, for a table or pictures in class folders. Other data names its own."""
    validation_fraction: float = 0.1
    """Share of the samples kept for validation, where the data does not bring its own."""
    test_fraction: float = 0.2
    """Share of the samples sealed as the test split, where the data does not bring its own."""
    group: str | None = None
    """Column whose values must not be shared between splits (a patient, a speaker)."""
    time: str | None = None
    """Column to split by in order: the oldest rows train, the newest test."""
    limit: int | None = None
    """Use at most this many training samples, drawn evenly over the classes from the seed."""
    size: int | None = None
    """Side in pixels that pictures are brought to. Default: their own size if they share one, else decided from them."""
    resize: int | None = None
    """Side that the shorter side of pictures is scaled to before the centre is cut out. Default: that of data.size."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour. Default: what the pictures are."""
    mean: tuple[float, ...] | None = None
    """What is subtracted from each channel of pictures, in 0..1. Default: the mean of the training pictures."""
    std: tuple[float, ...] | None = None
    """What each channel is divided by after that. Default: the deviation of the training pictures."""
    skip_bad: bool = False
    """Go on without the files that cannot be read (they are counted in the report)."""
    threads: int | None = None
    """Threads that decode files. Default: one per core."""


@dataclass
class Optim:
    """How parameters follow their gradients."""

    name: str = "adamw"
    """sgd, momentum, nesterov, rmsprop, adagrad, adam, adamw or muon."""
    lr: float | None = None
    """Peak learning rate. Default: the usual one of the optimizer."""
    weight_decay: float = 0.0
    """Decoupled weight decay on matrices and filters (not on biases, norms)."""
    momentum: float = 0.9
    """Of momentum, nesterov, rmsprop and muon (muon's usual 0.95 is set by its recipes)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Running averages of adam and adamw."""
    eps: float = 1e-8
    """Added to the denominator of adaptive optimizers."""
    l1: float = 0.0
    """L1 penalty on matrices and filters, added to the loss."""
    l2: float = 0.0
    """L2 penalty on matrices and filters, added to the loss (coupled, unlike weight_decay)."""
    clip: float | None = None
    """Largest norm of the whole gradient."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which is then evaluated and kept (0.99 to 0.9999)."""


@dataclass
class Schedule:
    """How the learning rate moves from step to step."""

    name: str = "one-cycle"
    """constant, step, exponential, cosine, cyclic, one-cycle or plateau."""
    warmup: float = 0.0
    """Share of the training in which the rate rises linearly from zero (for one-cycle: the rising part, default 0.25)."""
    floor: float = 0.0
    """Lowest rate as a share of the peak."""
    every: float = 0.3
    """step: share of the training between two drops. cyclic: share of the training in one cycle."""
    gamma: float = 0.1
    """step, plateau: the factor of a drop. exponential: the share of the peak that is left at the end."""
    patience: int = 3
    """plateau: evaluations without a better value before a drop."""


@dataclass
class Augment:
    """Random changes to training pictures or recordings, as batched tensor work on the device. 0 is off."""

    shift: int = 0
    """Largest shift in pixels, each way."""
    flip: bool = False
    """Mirror left and right, every second picture."""
    flip_vertical: bool = False
    """Mirror top and bottom, every second picture: for what has no up and down, such as cells and aerial pictures."""
    rotate: float = 0.0
    """Largest rotation in degrees, each way."""
    scale: float = 0.0
    """Largest relative change of size: 0.1 is 90 % to 110 %."""
    colour: float = 0.0
    """Strength of the change of brightness, contrast and saturation."""
    erase: float = 0.0
    """Share of pictures in which a random rectangle is erased."""
    mixup: float = 0.0
    """Alpha of mixup: pairs of pictures and labels are blended."""
    cutmix: float = 0.0
    """Alpha of cutmix: a rectangle of another picture, and its share of the label."""
    crop: float = 0.0
    """Smallest share of a picture's area that a random crop keeps, which is then brought to full size (0.3 to 0.9)."""
    mosaic: float = 0.0
    """Share of pictures that are put together from four, for data with boxes."""
    padding: Literal["reflect", "zero"] = "reflect"
    """What moves in from beyond the edge with shift, rotate and scale: the picture mirrored, or black. Pictures with boxes or
    masks are not affected: there it is always the mean colour, since what stands in a mirrored margin has no box."""
    speed: float = 0.0
    """Recordings: largest relative change of speed, and of pitch with it: 0.1 is 90 % to 110 %."""
    delay: float = 0.0
    """Recordings: most seconds of silence that are put before."""
    noise: float = 0.0
    """Recordings: loudest noise that is added, as a share of how loud the recording is."""
    gain: float = 0.0
    """Recordings: largest change of loudness in decibels, each way."""
    mask_time: float = 0.0
    """Recordings: longest stretch of time that is hidden, as a share of the recording; there are two."""
    mask_bands: float = 0.0
    """Recordings: widest range of pitch that is hidden, as a share of the bands; there are two."""


@dataclass
class Transfer:
    """What is taken over from weights that were trained on other data, and how much of it goes on learning."""

    name: Literal["none", "head", "all", "gradual"] = "all"
    """head: the body is frozen, only what answers learns. all: everything learns, the body more slowly. gradual: first the
    head, then everything. none: as if nothing had been taken over."""
    pretrained: str | None = None
    """imagenet, minilm, hf:owner/name, a file of weights (.safetensors .npz .pt .pth .th .bin), or a run."""
    allow_partial: bool = False
    """Go on although less than 95 % of the network's parameters are found in the weights."""
    body_lr: float = 0.1
    """all, gradual: rate of the first layers as a share of the head's; those between lie between."""
    head_first: float = 0.3
    """gradual: share of the training before the body begins to learn."""

    @property
    def mode(self) -> str:
        """The name where there are weights to take over, else none."""
        return "none" if self.pretrained is None else self.name


@dataclass
class Fit:
    """How long, in what batches, and when to look."""

    epochs: float = 10
    """Passes over the training split."""
    minutes: float | None = None
    """Time limit of the training. The schedule is laid over the epochs that fit into it; a hard stop guards it."""
    batch_size: int = 128
    """Samples in one update of the weights."""
    accumulate: int = 1
    """Work through a batch in this many parts, to save memory. The order of samples stays, and so does the result up to
    rounding, but for what sees a whole batch (batch normalisation), draws for one (dropout) or is divided by what a whole batch
    holds (the loss of detection, by its boxes: parts with few of them then count for more)."""
    evaluate_epochs: float = 1
    """Passes between two looks at the validation split."""
    patience: int | None = None
    """Stop after this many evaluations without a better value."""
    min_delta: float = 0.0
    """What counts as better."""
    until: float | None = None
    """Stop as soon as the goal metric reaches this value on validation."""
    save_steps: int | None = None
    """Steps between two checkpoints. Default: one at each evaluation."""
    log_steps: int = 50
    """Steps between two lines of the metric log."""
    find_lr: bool = False
    """Find the learning rate with a short sweep before training (Smith, 2017)."""


@dataclass
class Recipe:
    """Everything that a training is a function of."""

    source: str
    """What stands after `deepen train`: a known name or a path."""
    reader: str
    """The module of data/ that reads it."""
    task_name: str
    model_name: str
    data: Data = field(default_factory=Data)
    task: Any = None
    model: Any = None
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    augment: Augment = field(default_factory=Augment)
    transfer: Transfer = field(default_factory=Transfer)
    fit: Fit = field(default_factory=Fit)
    plan: str = "auto"
    """auto, or how a step runs, e.g. fp32, bf16, bf16+channels_last, compile."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), or one of them."""
    seed: int = 0

    def set(self, key: str, value: Any) -> None:
        """Set `section.field`, or a bare field name that only one section has. Text is read by the field's type."""
        section, name = self._place(key)
        owner = self if section is None else getattr(self, section)
        setattr(owner, name, convert(owner, name, value, key))

    def full(self, key: str) -> str:
        """The dotted key that a key or a bare field name stands for."""
        section, name = self._place(key)
        return name if section is None else f"{section}.{name}"

    def keys(self) -> dict[str, Any]:
        """All dotted keys with their values."""
        found: dict[str, Any] = {}
        for section in SECTIONS:
            part = getattr(self, section)
            if part is not None:
                found |= {f"{section}.{item.name}": getattr(part, item.name) for item in fields(part)}
        return found | {name: getattr(self, name) for name in PLAIN}

    def _place(self, key: str) -> tuple[str | None, str]:
        known = self.keys()
        if key in PLAIN:
            return None, key
        if f"{key}.name" in known:  # optim=adam, schedule=cosine
            return key, "name"
        if key in known:
            section, name = key.split(".", 1)
            return section, name
        owners = [full for full in known if key and full.partition(".")[2] == key]
        if len(owners) == 1:
            return self._place(owners[0])
        if owners:
            raise Misuse(f"'{key}' could mean {' or '.join(owners)}: write it in full.")
        bare = {full.partition(".")[2] for full in known} - {""}
        hint = did_you_mean(key, known) if "." in key else did_you_mean(key, bare | set(PLAIN))
        raise Misuse(f"There is no setting '{key}'.{hint} `deepen show recipe` lists them.")

    def to_yaml(self) -> str:
        """The recipe as a text that `from_yaml` reads back."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in AXES}
        for section in SECTIONS:
            part = getattr(self, section)
            plain[section] = (
                None if part is None else {item.name: _plain(getattr(part, item.name)) for item in fields(part)}
            )
        plain |= {name: getattr(self, name) for name in PLAIN}
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Read what `to_yaml` wrote."""
        plain = yaml.safe_load(text)
        recipe = blank(*(plain[name] for name in AXES))
        for section in SECTIONS:
            for name, value in (plain[section] or {}).items():
                recipe.set(f"{section}.{name}", value)
        for name in PLAIN:
            recipe.set(name, plain[name])
        return recipe


SECTIONS = ("data", "task", "model", "optim", "schedule", "augment", "transfer", "fit")
PLAIN = ("plan", "device", "seed")
CUSTOM = "custom:"
"""Before the class of a model that is the user's own."""
AXES = ("source", "reader", "task_name", "model_name")


def blank(source: str, reader: str, task_name: str, model_name: str) -> Recipe:
    """A recipe of defaults for the names on its axes. A model that is the user's own class has no `model` section."""
    recipe = Recipe(source, reader, task_name, model_name)
    recipe.data = getattr(registry.find("data", reader).load(), "Config", Data)()
    if task_name:
        recipe.task = registry.find("task", task_name).load().Config()
    if model_name and not model_name.startswith(CUSTOM):
        entry = registry.find("model", model_name)
        recipe.model = entry.load().Config()
        for name, value in entry.preset.items():
            recipe.set(f"model.{name}", value)
    return recipe


def as_text(value: Any) -> str:
    """A setting as it is typed on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
