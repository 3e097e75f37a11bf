"""Where a training runs: cuda, then mps, then cpu, unless one is named."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

import torch

from deepen.errors import Misuse

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Options of glibc's mallopt(3)."""
LARGEST_KEPT, MOST_KEPT, GROWTH = 1 << 25, 1 << 30, 1 << 26


def choose(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first that there is. Raises `Misuse` when a named one is missing."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    kind = name.partition(":")[0]
    if kind not in present or not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise Misuse(f"device={name} is not known: expected auto, cuda, cuda:N, mps or cpu.")
    if not present[kind]:
        here = ", ".join(kind for kind, there in present.items() if there)
        raise Misuse(f"device={name} was asked for, but this machine has: {here}. Use device=auto.")
    if kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise Misuse(
            f"device={name} was asked for, but this machine has {torch.cuda.device_count()} of them, from cuda:0."
        )
    return torch.device(name)


def keep_memory() -> None:
    """Let the C library keep large freed blocks instead of giving them back to the system at once.

    Activations are freed and taken again at each step; with glibc's defaults every page of them is then faulted in anew, which
    takes a quarter of a small network's step. Elsewhere there is nothing to do.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for option, value in ((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, MOST_KEPT), (M_TOP_PAD, GROWTH)):
        library.mallopt(option, value)


def describe(device: torch.device) -> str:
    """The device in words, e.g. `cpu (AMD EPYC, 2 threads)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({processor()}, {torch.get_num_threads()} threads)"


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment(device: torch.device) -> dict[str, str | int]:
    """What a run was made with: versions and machine, for `environment.json`."""
    import numpy
    import PIL
    import safetensors

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "safetensors": safetensors.__version__,
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "device": describe(device),
    }
