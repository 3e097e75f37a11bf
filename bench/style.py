"""`python -m bench.style`: a network that has learnt a style beside the optimisation of each picture for itself.

Trains `stylenet` on photographs of ants and bees, then draws pictures that it has not seen, and lets the same loss be followed
for 200 steps on each of them (Gatys et al., 2016): by the single pixels, and by a `canvas` with pixels of several sizes, which
gets further in as many. Prints the losses, and writes a sheet: picture, style, what the canvas came to, what the network draws
in one pass.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import deepen
from bench.paintings import STYLES
from bench.timing import DATA, tell
from deepen import Run
from deepen.tasks.stylize import Stylize

PHOTOGRAPHS = DATA / "transfer" / "hymenoptera_256.tar.gz"
ALLOWED = 1.3
"""What the network's loss may be of what is reached on the picture itself."""
CANVASES: dict[str, dict[str, Any]] = {"single pixels": {"model.sizes": 1}, "canvas": {}}
"""Ways to follow the gradient on one picture, with their settings."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.style", description=__doc__)
    parser.add_argument("--style", choices=STYLES, default="whirls", help="which of the painted styles")
    parser.add_argument("--size", type=int, default=160, help="side of the pictures in pixels")
    parser.add_argument("--pictures", type=int, default=6, help="how many unseen pictures are compared")
    parser.add_argument("--steps", type=int, default=200, help="of the canvas")
    parser.add_argument(
        "--run", type=Path, help="a finished run of stylenet on this style and size, instead of training one"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run of the network goes")
    parser.add_argument("--sheet", type=Path, help="file for the pictures, .jpg or .png")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="for the training of the network")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        asked.runs.mkdir(parents=True, exist_ok=True)
        style = asked.runs.resolve() / f"{asked.style}.png"  # it stays, for the run names it
        STYLES[asked.style]().save(style)
        started = time.perf_counter()
        run = Run(asked.run) if asked.run else train(style, asked)
        trained = time.perf_counter() - started
        compare(run, style, asked, folder, trained)


def train(style: Path, asked: argparse.Namespace) -> Run:
    given: dict[str, Any] = dict(word.split("=", 1) for word in asked.settings)
    chosen = {"task.style": str(style), "data.size": asked.size, "seed": 0} | given
    tell(f"training stylenet on {PHOTOGRAPHS.name} at {asked.size} pixels ...")
    return deepen.train(PHOTOGRAPHS, task="stylize", runs=asked.runs, **chosen)


def compare(run: Run, style: Path, asked: argparse.Namespace, folder: Path, trained: float) -> None:
    model, dataset = run.load(), run.data()
    task = model.task
    assert isinstance(task, Stylize)
    task.study(dataset.train, dataset.preprocess)
    chosen = torch.linspace(0, len(dataset.validation) - 1, asked.pictures).long()
    stored = dataset.validation.take(chosen)["input"]
    normalised = dataset.preprocess.tensor(stored)
    started = time.perf_counter()
    drawn = task.drawn(model.module, normalised)
    each = (time.perf_counter() - started) / len(drawn)
    with torch.no_grad():
        rows = task.score(model.module, {"input": normalised})
    plain = task.losses({name: rows[f"plain_{name}"] for name in ("content", "style", "tv")})
    network = task.losses(rows)
    settings = {f"task.{name}": value for name, value in vars(task.config).items() if value is not None}
    optimised: dict[str, list[float]] = {kind: [] for kind in CANVASES}
    canvases, seconds = [], []
    for number, picture in enumerate(stored):
        path = folder / f"{number}.png"
        Image.fromarray(picture.numpy()).save(path)
        for kind, own in CANVASES.items():
            steps = {"fit.epochs": asked.steps} | own
            one = deepen.train(path, task="stylize", model="canvas", runs=folder / "runs", **settings, **steps)
            optimised[kind].append(one.best["value"])
        canvases.append(one.load().generate()[0])
        seconds.append(one.result["seconds"])
        so_far = ", ".join(f"{kind} {losses[-1]:.4f}" for kind, losses in optimised.items())
        tell(f"  {number + 1}/{len(stored)} {so_far}, network {network[number]:.4f}")
    print(f"| unseen picture | unchanged | {' | '.join(CANVASES)} | network, one pass | network over each |")
    print(f"| {' | '.join(['---'] * (4 + len(CANVASES)))} |")
    for number, place in enumerate(chosen.tolist()):
        name = Path(dataset.validation.origin(place)).name
        print(row(name, plain[number], [losses[number] for losses in optimised.values()], network[number]))
    means = {kind: sum(losses) / len(losses) for kind, losses in optimised.items()}
    print(f"{row('mean', plain.mean(), list(means.values()), network.mean())}\n")
    for kind, mean in means.items():
        ratio = float(network.mean()) / mean
        told = "within" if ratio <= ALLOWED else "NOT within"
        print(f"The network's mean loss is {ratio:.2f} times that of {asked.steps} steps of {kind}: {told} {ALLOWED}.")
    print(
        f"{asked.style}, {asked.size}x{asked.size} pixels, compared by {task.compared_by}; a picture takes "
        f"{sum(seconds) / len(seconds):.1f} s on the canvas and {each:.2f} s by the network, which learnt for "
        f"{run.result['seconds']:.0f} s ({run.result['steps']} steps; with its evaluations {trained:.0f} s)."
    )
    if asked.sheet:
        shown = Image.open(style).convert("RGB").resize((asked.size, asked.size), Image.Resampling.LANCZOS)
        sheet(
            asked.sheet,
            [[Image.fromarray(one.numpy()) for one in row] for row in zip(stored, canvases, drawn, strict=True)],
            shown,
        )


def row(name: str, unchanged: Any, optimised: list[float], network: Any) -> str:
    """A line of the table: losses, and the network's over each of those that were optimised."""
    losses = [float(unchanged), *optimised, float(network)]
    ratios = " and ".join(f"{float(network) / one:.2f}" for one in optimised)
    return f"| {name} | {' | '.join(f'{loss:.3f}' for loss in losses)} | {ratios} |"


def sheet(path: Path, rows: list[list[Image.Image]], style: Image.Image, gap: int = 6) -> None:
    """Picture, style, canvas, network, in a row each."""
    lines = [[row[0], style, *row[1:]] for row in rows]
    side = style.width + gap
    whole = Image.new("RGB", (side * len(lines[0]) - gap, side * len(lines) - gap), "white")
    for down, line in enumerate(lines):
        for across, picture in enumerate(line):
            whole.paste(picture, (side * across, side * down))
    whole.save(path, quality=88)


if __name__ == "__main__":
    main()
