"""Timing several sides fairly: each in a process of its own, in turns, one slice at a time.

A side is a function of a row's module. Called once it gets everything ready (imports, data, model) and returns another
that runs one slice and says its time per unit (a step, a batch). Turns A B C A B C spread whatever else happens on
the machine over all sides; processes of their own keep one side's threads and allocator away from the next.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("DEEPEN_DATA", "data")).resolve()
DEEPEN = Path(sys.executable).parent / "deepen"
Slice = Callable[[], float]


class Worker:
    """A process that holds one side ready and runs a slice of it when asked."""

    def __init__(self, module: str, side: str) -> None:
        self.name = f"{module}:{side}"
        command = [sys.executable, "-m", "bench.worker", module, side]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the worker)
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def slice(self) -> float:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.log.seek(0)
            raise RuntimeError(f"the side {self.name} ended:\n{self.log.read()[-3000:]}")
        return float(json.loads(answer))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def interleave(module: str, sides: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """`rounds` slices of every side in turns, after one slice each that warms up and is dropped."""
    workers: dict[str, Worker] = {}
    times: dict[str, list[float]] = {side: [] for side in sides}
    try:
        for side in sides:
            workers[side] = Worker(module, side)
            workers[side].slice()
        for turn in range(rounds):
            for side in sides:
                time.sleep(0.5)  # lets the threads of the side before stop spinning
                times[side].append(workers[side].slice())
                tell(f"  {module} round {turn + 1}/{rounds} {side}: {times[side][-1]:.3e}")
    finally:
        for worker in workers.values():
            worker.close()
    return times


@dataclass(frozen=True)
class Command:
    """A finished command."""

    seconds: float
    peak_megabytes: float
    output: str


def command(*words: str, directory: Path | None = None) -> Command:
    """Run a command in `directory` to its end: wall time, peak resident memory of its own process, standard output."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(words, cwd=directory or ROOT, stdout=output, stderr=errors)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{errors.read()[-3000:]}")
        return Command(seconds, usage.ru_maxrss / 1024, output.read())


def deepen(*words: str, directory: Path) -> tuple[Command, dict]:
    """A `deepen` command with `--json`: how it went and what it answered."""
    done = command(str(DEEPEN), *words, "--json", directory=directory)
    return done, json.loads(done.output)


def spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    """Median (smallest to largest); one value alone."""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))} to {form.format(max(values))})"


def ratio(values: Sequence[float], reference: Sequence[float]) -> str:
    """`values` over `reference`, round by round: median (smallest to largest)."""
    return spread([value / other for value, other in zip(values, reference, strict=True)], "{:.2f}")


@dataclass
class Result:
    """One row of the comparison: a table and what one must know to read it."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def machine() -> str:
    """Processor, cores and the versions that matter, of what is installed."""
    names = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if "model name" in line]
    packages = ("torch", "lightning", "keras", "skorch", "gymnasium", "deepen")
    installed = {name.lower() for found in distributions() if (name := found.metadata["Name"])}
    versions = ", ".join(f"{name} {version(name)}" for name in packages if name in installed)
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, {versions}"


def load() -> float:
    """Processes that wanted a core during the last minute: what else the machine was doing."""
    return os.getloadavg()[0]


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
