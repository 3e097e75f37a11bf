"""The process of one side: `python -m bench.worker MODULE SIDE`, a slice for each line on standard input."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    module, side = sys.argv[1:]
    row = importlib.import_module(f"bench.{module}")
    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)  # run folders land here
        run_slice = getattr(row, side)()
        for _ in sys.stdin:
            answers.write(json.dumps(run_slice()) + "\n")
            answers.flush()
        os.chdir("/")


if __name__ == "__main__":
    main()
