"""Kill it anywhere, lose nothing: a few kills of `bench/kill.py`, which says what is compared, and its controls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(600)
def test_killed_and_resumed_it_is_the_undisturbed_run() -> None:
    words = ["--case", "classify", "--kills", "3", "--most-in-a-row", "3", "--controls", "2", "--json"]
    done = subprocess.run([sys.executable, "bench/kill.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == 3
    assert found["resumed"] + found["before"] >= 3
    assert found["differences"] == []
    assert found["identical"] == found["finished"] >= 1
    assert found["controls"].pop("nothing changed") == []
    assert all(found["controls"].values())
