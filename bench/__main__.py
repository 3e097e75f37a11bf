"""`python -m bench [ROW ...] [--quick] [--rounds N]`: run the comparisons and write docs/performance.md.

A row is a module of this folder with `run(rounds, quick) -> Result`. `--quick` only shows that a row
works: it takes small slices, prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import re
import time

from bench.timing import DATA, ROOT, Result, load, machine, tell

ROWS = (
    "mlp_step",
    "mlp_script",
    "cnn_script",
    "pictures",
    "resnet18",
    "cifar",
    "resnet20",
    "ppo",
    "tables",
    "lstm",
    "gpt",
    "shakespeare",
    "cache",
    "start",
)
PAGE = ROOT / "docs" / "performance.md"
HEAD = """# Performance

Deepen beside what people use today, on the same machine in the same run. Sides take turns, one slice each, so that
whatever else happens on the machine falls on all of them; figures are medians with (smallest to largest). Every
block below is written by `python -m bench` from what it measured. `make bench` runs all of it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each side gets (default 5)")
    parser.add_argument("--quick", action="store_true", help="small slices, one round, nothing written")
    asked = parser.parse_args()
    for name in asked.rows:
        if name not in ROWS:
            parser.error(f"there is no row '{name}': choose from {', '.join(ROWS)}")
    if not DATA.is_dir():
        parser.error(f"set DEEPEN_DATA to the folder that holds mnist/ and cifar10/ ({DATA} is none)")
    os.environ["DEEPEN_DATA"] = str(DATA)  # sides run in folders of their own
    for name in asked.rows or ROWS:
        tell(f"{name} ...")
        start, before = time.perf_counter(), load()
        result: Result = importlib.import_module(f"bench.{name}").run(1 if asked.quick else asked.rounds, asked.quick)
        how = "--quick" if asked.quick else f"--rounds {asked.rounds}"
        block = render(f"{name} {how}", result, time.perf_counter() - start, before)
        if asked.quick:
            print(f"quick look, not for the record: small slices, one round\n\n{block}")
        else:
            print(block)
            write(name, block)


def render(words: str, result: Result, seconds: float, before: float) -> str:
    """A row as Markdown, with the words of the command that made it."""
    table = [list(result.columns), ["---"] * len(result.columns), *[list(line) for line in result.lines]]
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    notes = "\n".join(f"- {note}" for note in result.notes)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    made = f"`python -m bench {words}`, {today}, {seconds:.0f} s; {machine()}; load average {before:.1f} before."
    return f"## {result.title}\n\n{rows}\n\n{notes}\n\n{made}\n"


def write(name: str, block: str) -> None:
    """Put a row's block between its markers, keeping the order of `ROWS` and whatever else the page says."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else HEAD
    marked = f"<!-- bench {name} -->\n{block}<!-- end {name} -->\n"
    pattern = rf"<!-- bench {name} -->\n.*?<!-- end {name} -->\n"
    if re.search(pattern, page, flags=re.DOTALL):
        page = re.sub(pattern, lambda _: marked, page, flags=re.DOTALL)
    else:
        later = [page.find(f"<!-- bench {other} -->") for other in ROWS[ROWS.index(name) + 1 :]]
        place = min((found for found in later if found >= 0), default=len(page))
        page = f"{page[:place].rstrip()}\n\n{marked}\n{page[place:]}".rstrip() + "\n"
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
