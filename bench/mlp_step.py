"""MLP 784-128-256-10 on MNIST, batch 64, Adam, float32: time per step with loss and accuracy on, side by side.

A slice is one epoch (the bare loop: as many steps), without preparing data and model. Every side starts from the same
pixels and normalises them; all but the article's loop have them in memory and use fused Adam where they let one.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

from bench.timing import DATA, Result, Slice, interleave, ratio, spread

BATCH = 64
LOG_STEPS = 50
SIDES = {
    "deepen": "**Deepen**, `plan=fp32`",
    "bare": "bare PyTorch loop on gathered batches",
    "lightning_gathered": "Lightning, batches gathered by index (`BatchSampler` as sampler)",
    "lightning": "Lightning, `TensorDataset` in a `DataLoader`",
    "keras": "Keras (torch), `model.fit` on arrays, `jit_compile=False`",
    "keras_compiled": "Keras (torch), the same with `jit_compile=True`",
    "skorch": "skorch on tensors in memory",
    "article": "the article's loop: a picture at a time, `.item()` each step",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("mlp_step", list(SIDES), rounds)
    lines = [
        (text, spread([1e6 * value for value in times[side]], "{:.0f}"), ratio(times[side], times["deepen"]))
        for side, text in SIDES.items()
    ]
    notes = (
        f"Slices of one epoch; {rounds} rounds, the warm-up round dropped. The last column is a side's time over Deepen's "
        "in the same round: above 1, Deepen is faster.",
        f"Deepen's time is read from the run's own log, from its first to its last line (one every {LOG_STEPS} steps) of "
        "two epochs without a look at the validation split between; the bare loop sums loss and hits on the device and "
        "writes a line as often.",
        "Lightning: no progress bar, no checkpoints, no model summary, `self.log` of loss and accuracy per epoch. Keras: "
        "`verbose=0`, accuracy metric. skorch: no printing, loss and accuracy per epoch, no validation split.",
    )
    return Result("MLP 784-128-256-10, one step", ("side", "µs per step", "against Deepen"), lines, notes)


def arrays() -> tuple[Any, Any]:
    """MNIST's training part: uint8 tensor [60000, 784], int64 tensor [60000]."""
    import numpy as np
    import torch

    from bench.plain.vision import idx

    pixels = torch.from_numpy(idx(DATA / "mnist" / "train-images-idx3-ubyte.gz").copy()).flatten(1)
    return pixels, torch.from_numpy(idx(DATA / "mnist" / "train-labels-idx1-ubyte.gz").astype(np.int64))


def normalised() -> tuple[Any, Any]:
    """The same as float32, once for all epochs."""
    pixels, labels = arrays()
    return pixels.float().div_(255).sub_(0.1307).div_(0.3081), labels


def network() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 10))


def deepen() -> Slice:
    from dataclasses import fields

    import deepen
    from deepen.recipe import Augment, Optim, Schedule

    sections = {"optim": Optim, "schedule": Schedule, "augment": Augment}
    plain: dict[str, Any] = {
        f"{name}.{field.name}": field.default for name, part in sections.items() for field in fields(part)
    }
    settings = plain | {
        "model.widths": (128, 256),
        "optim.name": "adam",
        "optim.lr": 1e-3,
        "schedule.name": "constant",
        "plan": "fp32",
        "fit.batch_size": BATCH,
        "fit.log_steps": LOG_STEPS,
        "fit.epochs": 2,
        "fit.evaluate_epochs": 2,
    }

    def one() -> float:
        trained = deepen.train("mnist", model="mlp", **settings)
        ticks = [row for row in trained.folder.speed_rows() if "steps_per_second" in row]
        return (ticks[-1]["seconds"] - ticks[0]["seconds"]) / (ticks[-1]["step"] - ticks[0]["step"])

    return one


def bare() -> Slice:
    import torch
    from torch.nn import functional as F

    pixels, labels = arrays()
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    log = tempfile.TemporaryFile("w")  # noqa: SIM115 (open as long as the side lives)

    def one() -> float:
        start = time.perf_counter()
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        batches = torch.randperm(len(pixels)).split(BATCH)
        for step, index in enumerate(batches, 1):
            inputs = pixels.index_select(0, index).float().mul_(1 / (255 * 0.3081)).sub_(0.1307 / 0.3081)
            target = labels.index_select(0, index)
            output = model(inputs)
            loss = F.cross_entropy(output, target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.detach()
            right += (output.detach().argmax(1) == target).sum()
            if step % LOG_STEPS == 0:
                log.write(json.dumps({"step": step, "loss": total.item() / step, "right": right.item()}) + "\n")
        return (time.perf_counter() - start) / len(batches)

    return one


def lightning(gathered: bool = False) -> Slice:
    import logging
    import warnings

    import lightning as pl
    import torch
    from torch.nn import functional as F
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network()

        def training_step(self, batch: Any, _: int) -> Any:
            inputs, target = batch
            output = self.layers(inputs)
            loss = F.cross_entropy(output, target)
            accuracy = (output.argmax(1) == target).float().mean()
            values = {"loss": loss, "accuracy": accuracy}
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(target))
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

        def on_train_epoch_start(self) -> None:
            self.start = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.elapsed = time.perf_counter() - self.start

    dataset = TensorDataset(*normalised())
    if gathered:
        sampler = BatchSampler(RandomSampler(dataset), BATCH, drop_last=False)
        loader = DataLoader(dataset, batch_size=None, sampler=sampler)
    else:
        loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    model = Net()

    def one() -> float:
        quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
        pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, **quiet).fit(model, loader)
        return model.elapsed / len(loader)

    return one


def lightning_gathered() -> Slice:
    return lightning(gathered=True)


def keras(compiled: bool = False) -> Slice:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras as K

    class Clock(K.callbacks.Callback):
        elapsed = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.elapsed = time.perf_counter() - self.start

    inputs, target = (tensor.numpy() for tensor in normalised())
    layers = [K.layers.Dense(128, activation="relu"), K.layers.Dense(256, activation="relu"), K.layers.Dense(10)]
    model = K.Sequential([K.Input((784,)), *layers])
    loss = K.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(K.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=compiled)
    clock = Clock()

    def one() -> float:
        model.fit(inputs, target, batch_size=BATCH, epochs=1, verbose=0, callbacks=[clock])
        return clock.elapsed / -(-len(inputs) // BATCH)

    return one


def keras_compiled() -> Slice:
    return keras(compiled=True)


def skorch() -> Slice:
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback, EpochScoring

    class Clock(Callback):
        def on_epoch_begin(self, net: Any, **_: Any) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, net: Any, **_: Any) -> None:
            self.elapsed = time.perf_counter() - self.start

    inputs, target = normalised()
    clock = Clock()
    accuracy = EpochScoring("accuracy", name="train_accuracy", on_train=True, use_caching=True)
    net = NeuralNetClassifier(
        network,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=BATCH,
        max_epochs=1,
        train_split=None,
        iterator_train__shuffle=True,
        callbacks=[("accuracy", accuracy), ("clock", clock)],
        callbacks__print_log=None,
        callbacks__valid_acc=None,
        verbose=0,
    ).initialize()

    def one() -> float:
        net.partial_fit(inputs, target)
        return clock.elapsed / -(-len(inputs) // BATCH)

    return one


def article() -> Slice:
    from torch import nn, optim
    from torch.utils.data import DataLoader

    from bench.plain.mlp import Net, train
    from bench.plain.vision import MNIST, Compose, Normalize, ToTensor

    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    loader = DataLoader(MNIST(DATA / "mnist", train=True, transform=transform), batch_size=BATCH, shuffle=True)
    model = Net()
    optimizer = optim.Adam(model.parameters(), lr=0.001)

    def one() -> float:
        start = time.perf_counter()
        train(model, loader, nn.CrossEntropyLoss(), optimizer)
        return (time.perf_counter() - start) / len(loader)

    return one
