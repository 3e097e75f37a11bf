"""Which pictures tell of a finished training: what the kind of its input and output allows."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pictures
from torch import nn

from deepen.data.columns import TablePreprocess
from deepen.data.dataset import Columns, Dataset
from deepen.data.paired import PairPreprocess
from deepen.data.pixels import PicturePreprocess
from deepen.data.rows import read_back, said
from deepen.data.sentences import TextPreprocess
from deepen.data.sound import SoundPreprocess
from deepen.deploy.model import Model
from deepen.engine import schedule
from deepen.engine.optim import peak_lr
from deepen.engine.run import Folder
from deepen.insight import (
    answers,
    attention,
    curves,
    filled,
    forecasts,
    passages,
    pictures,
    sound,
    translations,
    written,
)
from deepen.insight.ink import shorten
from deepen.insight.pictures import Mistake
from deepen.prepare import Prepared, augmenter_of
from deepen.randomness import generator
from deepen.settle import Settled
from deepen.spec import Audio, Boxes, Category, Image, Labels, Mask, Quantity, Series, Table, Tokens
from deepen.tasks.base import Places, Reads, Rows, Task, Transforms, Writes
from deepen.tasks.forecast import Forecast
from deepen.tasks.masked import Masked
from deepen.tasks.tag import Tag
from deepen.tasks.transcribe import Transcribe

NINE = 9
VARIANTS = 6
MOST_MISTAKES = 12
MOST_CELLS = 6
MOST_DRAWN_CLASSES = 200
LATTICE = 90


def drawn(prepared: Prepared, settled: Settled, folder: Folder, model: Model, rows: Rows) -> dict[str, str]:
    """The pictures of a run by name, as SVG. `model` are its best weights and `rows` theirs on validation."""
    dataset, task, log = prepared.dataset, prepared.task, folder.rows()
    made = {
        **_of_data(prepared),
        **curves.learning(log, task.goal.metric, better=task.goal.best),
        "schedule": _schedule(settled, prepared, log, folder.read("result.json")["steps"]),
        **_of_answers(dataset, rows, model),
        **_in_pictures(dataset, rows, model),
        **(forecasts.told(dataset, rows, model.module, task) if isinstance(task, Forecast) else {}),
        **(filled.told(dataset, model.module, task) if isinstance(task, Masked) else {}),
        **attention.told(dataset, model.module),
        **_of_pairs(dataset, rows, model),
        **_of_samples(folder, dataset, task),
    }
    if settled.sweep is not None and settled.lr is not None:
        rates, losses = zip(*settled.sweep, strict=True)
        made["sweep"] = curves.sweep(rates, losses, settled.lr)
    return made


def _of_data(prepared: Prepared) -> dict[str, str]:
    """Nine training samples, and what augmentation makes of them."""
    dataset = prepared.dataset
    spec, train = dataset.spec, dataset.train
    if dataset.acting or not len(train):
        return {}
    if isinstance(spec.input, Series):
        return {"series": forecasts.shown(dataset)}
    at = torch.linspace(0, len(train) - 1, min(NINE, len(train))).long()
    some = train.subset(at)
    if isinstance(spec.input, Image):
        pixels = some["input"].numpy()
        drawn = {"samples": pictures.samples(pixels, _labels(dataset, some))}
        augmenter = augmenter_of(prepared.recipe, dataset)
        if augmenter is not None:
            drawn["augment"] = pictures.augmented(pixels, _variants(prepared, some))
        return drawn
    if isinstance(spec.input, Audio):
        return sound.of_data(dataset, some, augmenter_of(prepared.recipe, dataset), prepared.recipe.seed)
    if isinstance(spec.input, Table) and len(spec.input.columns) == 2 and isinstance(spec.output, Category):
        points, classes = train["input"].numpy(), train["target"].numpy()
        x, y = spec.input.columns
        return {"scatter": pictures.scatter(points, classes, spec.output.names, (x, y), title="Training samples")}
    if isinstance(spec.output, Labels):
        from deepen.insight import tags

        return {"samples": tags.samples(dataset, some)}
    if isinstance(dataset.preprocess, PairPreprocess):
        return {"samples": translations.samples(dataset, some)}
    if isinstance(dataset.preprocess, TextPreprocess):
        seen = list(map(dataset.preprocess.shown, some["input"]))
        if isinstance(spec.output, Tokens):
            placed = [(some.origin(row).rpartition(", ")[2], text) for row, text in enumerate(seen)]
            return {"samples": pictures.wrapped_table("Training samples", ("where", "text"), placed)}
        seen = [passages.shortened(passages.written(dataset.preprocess, train, row)) for row in at.tolist()]
        labelled = list(zip([shorten(label, 160) for label in _labels(dataset, some)], seen, strict=True))
        return {"samples": pictures.wrapped_table("Training samples", ("answer", "text"), labelled)}
    if isinstance(spec.input, Table):
        cells = [_cells(dataset, row) for row in some["input"]]
        labels = _labels(dataset, some)
        shown = [[*row.values(), label] for row, label in zip(cells, labels, strict=True)]
        return {"samples": pictures.rows_table("Training samples", [*cells[0], "answer"], shown)}
    return {}


def _variants(prepared: Prepared, some: Columns) -> np.ndarray:
    """What training makes of some samples: uint8 [n, VARIANTS, H, W, C]."""
    dataset = prepared.dataset
    augmenter = augmenter_of(prepared.recipe, dataset)
    assert augmenter is not None
    assert isinstance(dataset.preprocess, PicturePreprocess)
    variants = []
    for number in range(VARIANTS):
        draws = generator(prepared.recipe.seed, "shown", number)
        batch = augmenter.stored(some.arrays, draws)
        batch = batch | {"input": dataset.preprocess.tensor(batch["input"])}
        variants.append(dataset.preprocess.pixels(augmenter.tensor(batch, draws)["input"]).numpy())
    return np.stack(variants, axis=1)


def _schedule(settled: Settled, prepared: Prepared, log: curves.Log, steps_done: int) -> str:
    """The rate as it was planned; as it was, where the training ended sooner or the rate followed the scores."""
    config, total = prepared.recipe.schedule, settled.total_steps
    if steps_done < total or config.name == "plateau":
        logged = curves.logged_schedule(log)
        if logged is not None:
            return logged
    steps = np.unique(np.linspace(0, max(0, total - 1), 400).astype(int))
    peak = peak_lr(prepared.recipe.optim)
    return curves.schedule([peak * schedule.factor(config, int(step), total) for step in steps], steps=steps)


def _in_pictures(dataset: Dataset, rows: Rows, model: Model) -> dict[str, str]:
    """Answers that lie in pictures or are pictures."""
    output = dataset.spec.output
    if isinstance(output, Boxes) and isinstance(model.task, Places):
        from deepen.insight import boxes

        return boxes.told(dataset, rows, model.module, model.task)
    if isinstance(output, Mask) and isinstance(model.task, Places):
        from deepen.insight import masks

        return masks.told(dataset, rows, model.module, model.task)
    if isinstance(model.task, Tag):
        from deepen.insight import tags

        return tags.told(dataset, rows, model.module, model.task)
    if isinstance(model.task, Transcribe):
        return sound.told(dataset, rows, model.module, model.task)
    if isinstance(model.task, Transforms):
        from deepen.insight import stylised

        return stylised.told(dataset, rows, model.module, model.task)
    return {}


def _of_answers(dataset: Dataset, rows: Rows, model: Model) -> dict[str, str]:
    """How the answers compare with the truth."""
    output = dataset.spec.output
    if isinstance(output, Category) and "logits" in rows:
        target = rows["target"].numpy()
        chances = rows["logits"].softmax(1)
        confidence, predicted = chances.max(1)
        counts = answers.count_answers(target, predicted.numpy(), len(output.names))
        drawn = {"reliability": answers.reliability(confidence.numpy(), (predicted.numpy() == target))}
        if len(output.names) <= MOST_DRAWN_CLASSES:
            drawn["confusion"] = answers.confusion(counts, output.names)
        if isinstance(dataset.spec.input, Table) and len(dataset.spec.input.columns) == 2:
            drawn["boundary"] = _boundary(dataset, model.module)
        return drawn
    if isinstance(output, Quantity) and "prediction" in rows:
        truth, said = rows["target"][:, 0].numpy(), rows["prediction"][:, 0].numpy()
        name = output.names[0]
        return {
            "predicted": answers.predicted_true(truth, said, name),
            "residuals": answers.residuals(truth, said, name),
        }
    return {}


def _of_pairs(dataset: Dataset, rows: Rows, model: Model) -> dict[str, str]:
    """Texts beside what the model answers them with."""
    if not isinstance(dataset.preprocess, PairPreprocess) or not isinstance(model.task, Reads):
        return {}
    return translations.told(dataset, rows, model.module, model.task)


@torch.no_grad()
def _boundary(dataset: Dataset, module: nn.Module) -> str:
    """The answer everywhere over a lattice, for data with two features."""
    assert isinstance(dataset.spec.input, Table)
    assert isinstance(dataset.spec.output, Category)
    points = dataset.validation["input"]
    low, high = points.amin(0), points.amax(0)
    margin = (high - low) * 0.08 + 1e-6
    low, high = low - margin, high + margin
    xs, ys = (torch.linspace(float(low[i]), float(high[i]), LATTICE) for i in range(2))
    lattice = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    device = next(module.parameters()).device
    chances = module(lattice.to(device)).softmax(1).cpu().reshape(LATTICE, LATTICE, -1)
    x, y = dataset.spec.input.columns
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    target = dataset.validation["target"].numpy()
    return answers.boundary(points.numpy(), target, chances.numpy(), extent, dataset.spec.output.names, (x, y))


def _of_samples(folder: Folder, dataset: Dataset, task: Task) -> dict[str, str]:
    """The previews through time, where the task draws or writes."""
    if not folder.samples.is_dir():
        return {}
    if isinstance(task, Writes):
        return written.told(folder.samples, written.beginning(dataset))
    paths = sorted(folder.samples.glob("*.png"))
    grids = []
    for path in paths:
        with Pictures.open(path) as picture:
            pixels = np.asarray(picture)
        step = int(path.stem.rpartition("-")[2])
        grids.append((f"step {step:,}", pixels if pixels.ndim == 3 else pixels[:, :, None]))
    return {"progress": pictures.progress(grids)} if grids else {}


def mistakes(dataset: Dataset, rows: Rows, module: nn.Module) -> list[Mistake]:
    """The wrong answers that the model was surest of; for quantities, those furthest off."""
    output, split = dataset.spec.output, dataset.validation
    if isinstance(output, Category) and "logits" in rows:
        chances, target = rows["logits"].softmax(1), rows["target"].numpy()
        found = answers.worst(target, chances.numpy(), MOST_MISTAKES)
        said = chances.argmax(1)
        return [
            _mistake(
                dataset,
                split,
                int(i),
                output.names[target[i]],
                output.names[said[i]],
                float(chances[i, said[i]]),
                (module, int(said[i])),
            )
            for i in found
        ]
    if isinstance(output, Quantity) and "prediction" in rows:
        truth, predicted = rows["target"][:, 0].numpy(), rows["prediction"][:, 0].numpy()
        furthest = answers.furthest(truth, predicted, MOST_MISTAKES)
        return [_mistake(dataset, split, int(i), f"{truth[i]:.5g}", f"{predicted[i]:.5g}", None) for i in furthest]
    return []


def _mistake(
    dataset: Dataset,
    split: Columns,
    row: int,
    true: str,
    said: str,
    confidence: float | None,
    decided: tuple[nn.Module, int] | None = None,
) -> Mistake:
    """A sample that was answered wrongly. `decided` by a network for a class: a long text is shown around what made it so."""
    stored = split.take(torch.tensor([row]))["input"][0]
    pixels = stored.numpy() if isinstance(dataset.spec.input, Image) else None
    if isinstance(dataset.preprocess, SoundPreprocess):
        pixels = sound.pixels(dataset.preprocess, stored)
    values: tuple[tuple[str, str], ...] = ()
    if isinstance(dataset.spec.input, Table):
        values = tuple(list(_cells(dataset, stored).items())[:MOST_CELLS])
    if isinstance(dataset.preprocess, TextPreprocess):
        values = (("text", passages.passage(dataset.preprocess, split, row, decided)),)
    return Mistake(true, said, confidence, split.origin(row), pixels, values)


def _cells(dataset: Dataset, row: torch.Tensor) -> dict[str, str]:
    """A row of a table by column, as the user would write it where the preprocessing tells."""
    if isinstance(dataset.preprocess, TablePreprocess):
        return read_back(dataset.preprocess, row)
    assert isinstance(dataset.spec.input, Table)
    return {name: said(value) for name, value in zip(dataset.spec.input.columns, row.tolist(), strict=True)}


def _labels(dataset: Dataset, some: Columns) -> list[str]:
    output = dataset.spec.output
    if "target" not in some.arrays:
        return [""] * len(some)
    if isinstance(output, Category):
        return [output.names[index] for index in some["target"].tolist()]
    if isinstance(output, Boxes):
        return [_things(count) for count in (some["target"][:, :, 4] >= 0).sum(1).tolist()]
    if isinstance(output, Mask):
        return [""] * len(some)
    return [f"{row[0]:.5g}" for row in some["target"].tolist()]


def _things(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"
