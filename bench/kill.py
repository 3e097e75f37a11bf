"""Kill a training anywhere, resume it, and compare it bit for bit with one that was left alone.

    python bench/kill.py [--case classify] [--kills 50] [--seed 0]

A reference training runs undisturbed and keeps every checkpoint. Then trainings of the same recipe are killed (SIGKILL)
at random moments, every second time while a save is under way, resumed, killed again, and at last let finish. After each
kill the checkpoints that are left must be the reference's of the same step, and each finished run must equal the
reference in weights, moving average, optimizer state, metric log and best model. Times are left out, by name: TIMES.

Controls show that the comparison can fail: a run is resumed from a checkpoint in which one piece of state was changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
TIMES = ("seconds",)
"""Keys of state.json that depend on the clock."""
CASES = {
    # Saves lie between the ticks of the log, so that a checkpoint holds sums of a tick that is not over.
    "classify": (
        "digits --model cnn model.widths=4,8 model.hidden=32 fit.epochs=3 fit.batch_size=96 fit.accumulate=2 "
        "fit.save_steps=3 fit.log_steps=4 optim.ema=0.9 schedule=one-cycle augment.shift=1 augment.erase=0.3 "
        "plan=bf16+channels_last seed=7"
    ),
    "gan": (
        "digits --as gan model.width=8 fit.epochs=2 fit.batch_size=64 fit.save_steps=3 fit.log_steps=4 "
        "fit.evaluate_epochs=1 optim.ema=0.9 plan=fp32 seed=7"
    ),
    # Environments start anew at each save, in the undisturbed run as well.
    "control": (
        "CartPole-v1 task.num_envs=8 task.rollout=32 task.minibatch=128 fit.epochs=9 fit.save_steps=2 fit.log_steps=4 "
        "fit.evaluate_epochs=4 optim.ema=0.9 seed=7"
    ),
}
KEEP_ALL = "import deepen.engine.checkpoint as c; c.KEPT = 10**6; from deepen.cli import main; main()"
STEP_LIMIT = 300.0
"""Seconds after which a process is taken to hang."""


@dataclass
class Tally:
    """What happened."""

    kills: int = 0
    inside: int = 0
    """Kills that left a half-written folder behind: inside a save beyond doubt."""
    before: int = 0
    """Kills before the run could be resumed (its settings were not on disk yet)."""
    after: int = 0
    """Kills after the last step: only the report was missing."""
    resumed: int = 0
    finished: int = 0
    identical: int = 0
    checkpoints: int = 0
    """Checkpoints left by kills that were compared with the reference's of the same step."""
    differences: list[str] = field(default_factory=list)


class Experiment:
    """Trainings of one case, under one folder."""

    def __init__(self, case: str, root: Path, seed: int) -> None:
        self.words = CASES[case].split()
        self.root = root
        self.random = random.Random(seed)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(root / "cache")}
        self.tally = Tally()
        self.count = 0
        self.reference, self.span, self.saves = self._reference()

    def _start(self, words: list[str], program: tuple[str, ...] = ("-m", "deepen")) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *program, *words, "--json"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _reference(self) -> tuple[Path, float, int]:
        """The undisturbed run, the seconds between its first file and its end, and how many saves it made."""
        process = self._start(["train", *self.words, "--runs", str(self.root / "reference")], ("-c", KEEP_ALL))
        run = self._appears(process, self.root / "reference")
        started = time.monotonic()
        finish(process)
        assert run is not None
        run = run.resolve()
        bests = sum('"best"' in line for line in (run / "metrics.jsonl").read_text().splitlines())
        return run, time.monotonic() - started, bests + len(list((run / "checkpoints").iterdir()))

    def _appears(self, process: subprocess.Popen[str], root: Path) -> Path | None:
        """The run folder that a training makes, as soon as it is there; None when the process ends without one."""
        while process.poll() is None:
            found = [path for path in root.glob("*-1") if path.is_dir()] if root.is_dir() else []
            if found:
                return found[0]
            time.sleep(0.001)
        finish(process)
        return next(iter(root.glob("*-1")), None)

    def kill_one(self, kills: int) -> None:
        """Start a run, kill it `kills` times, let it finish, and compare."""
        self.count += 1
        root = self.root / f"killed-{self.count}"
        process = self._start(["train", *self.words, "--runs", str(root)])
        run = self._appears(process, root)
        done = 0
        while done < kills:
            if run is not None and self._kill(process, run, aimed=self.tally.kills % 2 == 1):
                done += 1
                self._check_left(run)
            elif run is None or (process.returncode == 0 and (run / "report.html").is_file()):
                break  # it was faster than we
            if not (run / "settled.json").is_file():
                self.tally.before += 1
                shutil.rmtree(root)
                process = self._start(["train", *self.words, "--runs", str(root)])
                run = self._appears(process, root)
                continue
            lock = run / ".lock"
            locked = lock.stat().st_mtime_ns
            process = self._start(["resume", str(run)])
            self.tally.resumed += 1
            while process.poll() is None and lock.stat().st_mtime_ns == locked:
                time.sleep(0.001)
        assert run is not None
        finish(process)
        self.tally.finished += 1
        found = differences(self.reference, run)
        if found:
            self.tally.differences += [f"{run}: {text}" for text in found]
        else:
            self.tally.identical += 1
            shutil.rmtree(root)

    def _kill(self, process: subprocess.Popen[str], run: Path, *, aimed: bool) -> bool:
        """Kill at a random moment, or as soon as the n-th save from here is seen to have begun; False if it ended first."""
        if aimed:
            self._wait_for_save(process, run, self.random.randint(1, max(1, self.saves // 2)))
            time.sleep(self.random.choice((0.0, 0.0, 0.0005, 0.001, 0.002, 0.004)))
        else:
            until = time.monotonic() + self.random.uniform(0, self.span)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.001)
        if process.poll() is not None:
            finish(process)
            return False
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.tally.kills += 1
        unfinished = [path for folder in (run, run / "checkpoints") for path in folder.glob(".unfinished-*")]
        self.tally.inside += any(path.is_dir() for path in unfinished)
        self.tally.after += (run / "result.json").is_file()
        return True

    @staticmethod
    def _wait_for_save(process: subprocess.Popen[str], run: Path, number: int) -> None:
        """Returns when the `number`-th half-written folder shows."""
        seen: set[str] = set()
        while process.poll() is None:
            for folder in (run / "checkpoints", run):
                try:
                    seen |= {name for name in os.listdir(folder) if name.startswith(".unfinished-")}  # noqa: PTH208
                except FileNotFoundError:
                    continue
                if len(seen) >= number:
                    return

    def _check_left(self, run: Path) -> None:
        """Whatever checkpoint is whole after a kill must be the reference's, and so must the log up to it."""
        whole = (self.reference / "metrics.jsonl").read_bytes()
        for folder in (run / "checkpoints").glob("step-*"):
            self.tally.checkpoints += 1
            found = compare_checkpoints(self.reference / "checkpoints" / folder.name, folder)
            size = json.loads((folder / "state.json").read_text())["log_bytes"]
            if (run / "metrics.jsonl").read_bytes()[:size] != whole[:size]:
                found.append(f"the metric log up to {folder.name}")
            self.tally.differences += [f"{run} after a kill: {text}" for text in found]

    def control(self, change: Callable[[dict[str, Any], dict[str, Any]], None] | None) -> list[str]:
        """Differences from the reference of a run resumed in its middle, after `change(tensors, state)`."""
        self.count += 1
        run = self.root / f"control-{self.count}" / "run-1"
        shutil.copytree(self.reference, run)
        for name in ("result.json", "report.html"):
            (run / name).unlink()
        folders = sorted((run / "checkpoints").iterdir())
        middle = folders[len(folders) // 2]
        for folder in folders:
            if folder != middle:
                shutil.rmtree(folder)
        if change is not None:
            tensors, state = load_file(middle / "state.safetensors"), json.loads((middle / "state.json").read_text())
            change(tensors, state)
            save_file(tensors, middle / "state.safetensors")
            (middle / "state.json").write_text(json.dumps(state, indent=1))
            sums = {name: digest(middle / name) for name in ("state.safetensors", "state.json")}
            (middle / "manifest.json").write_text(json.dumps(sums))
        finish(self._start(["resume", str(run)]))
        found = differences(self.reference, run)
        shutil.rmtree(run.parent)
        return found


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a process that must succeed."""
    out, err = process.communicate(timeout=STEP_LIMIT)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, process.args))}\nended with {process.returncode}:\n{out}\n{err}")


def differences(reference: Path, run: Path) -> list[str]:
    """What differs between two finished runs."""
    found = []
    last = sorted((run / "checkpoints").glob("step-*"))[-1].name
    expected = sorted((reference / "checkpoints").glob("step-*"))[-1].name
    if last != expected:
        found.append(f"the last checkpoint is {last}, not {expected}")
    else:
        found += compare_checkpoints(reference / "checkpoints" / last, run / "checkpoints" / last)
    for name in ("metrics.jsonl", "model/model.safetensors", "model/goldens.safetensors", "model/bundle.json"):
        if (reference / name).read_bytes() != (run / name).read_bytes():
            found.append(name)
    results = [json.loads((path / "result.json").read_text()) for path in (reference, run)]
    found += [f"result {key}" for key in ("best", "steps", "stopped", "saved") if results[0][key] != results[1][key]]
    if not (run / "report.html").is_file():
        found.append("no report")
    return found


def compare_checkpoints(reference: Path, other: Path) -> list[str]:
    """What differs between two checkpoints: tensors by their bytes, state by value except for TIMES."""
    if not reference.is_dir():
        return [f"there is no checkpoint {other.name} in the reference"]
    found = []
    if (reference / "state.safetensors").read_bytes() != (other / "state.safetensors").read_bytes():
        found.append(f"the tensors of {other.name}")
    states = [json.loads((path / "state.json").read_text()) for path in (reference, other)]
    for key in states[0].keys() | states[1].keys():
        if key not in TIMES and states[0].get(key) != states[1].get(key):
            found.append(f"{key} in the state of {other.name}")
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_moments(tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Forget the optimizer's state of one parameter."""
    first = min(name for name in tensors if name.startswith("optim."))
    for name in [name for name in tensors if name.startswith(first.rpartition("/")[0])]:
        del tensors[name]


def without_sums(tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Forget what was summed since the last line of the log."""
    for name in state["sums"]:
        tensors[f"sum.{name}"].zero_()


def without_average(tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Start the moving average anew from the weights."""
    for name in [name for name in tensors if name.startswith("average.")]:
        tensors[name] = tensors[f"model.{name.removeprefix('average.')}"].clone()


def one_step_off(tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Random numbers, sample order and rate of another step."""
    state["step"] += 1


def without_best(tensors: dict[str, Any], state: dict[str, Any]) -> None:
    """Forget which evaluation was the best."""
    state["best"], state["history"] = None, []


CONTROLS = {
    "nothing changed": None,
    "optimizer state of one parameter dropped": without_moments,
    "sums of the log tick dropped": without_sums,
    "moving average dropped": without_average,
    "one step off": one_step_off,
    "best pointer dropped": without_best,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES, default="classify")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--most-in-a-row", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--controls", type=int, default=len(CONTROLS), help="how many of them, in their order")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deepen-kill-") as folder:
        experiment = Experiment(chosen.case, Path(folder), chosen.seed)
        tally = experiment.tally
        while tally.kills < chosen.kills and not tally.differences:
            row = experiment.random.randint(1, chosen.most_in_a_row)
            experiment.kill_one(min(row, chosen.kills - tally.kills))
            print(f"{tally.kills} kills, {tally.identical} of {tally.finished} identical", file=sys.stderr, flush=True)
        asked = list(CONTROLS.items())[: chosen.controls]
        controls = {name: experiment.control(change) for name, change in asked}
    ok = not tally.differences and all((name == "nothing changed") == (not found) for name, found in controls.items())
    if chosen.json:
        print(json.dumps({"case": chosen.case, "ok": ok, **vars(tally), "controls": controls}))
    else:
        show(chosen.case, tally, controls)
    return 0 if ok else 1


def show(case: str, tally: Tally, controls: dict[str, list[str]]) -> None:
    rows = {
        "kills": tally.kills,
        "of them inside a save (half-written folder left)": tally.inside,
        "of them before the run could be resumed": tally.before,
        "of them after the last step": tally.after,
        "resumed": tally.resumed,
        "checkpoints left by kills, each compared": tally.checkpoints,
        "runs finished": tally.finished,
        "runs bit-identical to the undisturbed one": tally.identical,
    }
    print(f"{case}: {CASES[case]}")
    for name, value in rows.items():
        print(f"  {name:50} {value:5}")
    for text in tally.differences:
        print(f"  DIFFERS {text}")
    for name, found in controls.items():
        print(f"  control, {name}: {'differs in ' + ', '.join(found) if found else 'identical'}")


if __name__ == "__main__":
    sys.exit(main())
