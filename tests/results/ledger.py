"""The table of docs/results.md: rows are kept as JSON beside it, so that one row can be measured again by itself."""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deepen.engine.device import processor
from deepen.version import VERSION

DOCS = Path(__file__).parents[2] / "docs"
STORE = DOCS / "results.json"
PAGE = DOCS / "results.md"
HEAD = """# Results

Accuracy on the standard test splits, the model chosen on a validation part of the training data, the test split opened once per
run. Written by `make results`; no figure is typed. Each value is the mean over the seeds, with the lowest and the highest.
"Whole command" is the wall time of `deepen train` from start to written report; "training" is the time inside the loop.
Speed beside other tools is in [performance.md](performance.md).

"""


@dataclass
class Measured:
    """One row: a command over some seeds."""

    name: str
    command: str
    metric: str
    values: list[float]
    target: float | None
    reference: str
    whole: list[float]
    training: list[float]
    lower_is_better: bool = False
    note: str = ""
    per_class: dict[str, float] = field(default_factory=dict)
    """The metric for each class, or further metrics by their names, of the last seed."""
    date: str = ""
    machine: str = ""

    @property
    def reached(self) -> bool:
        if self.target is None:
            return True
        mean = statistics.mean(self.values)
        return mean <= self.target if self.lower_is_better else mean >= self.target


def record(row: Measured) -> None:
    """Keep the row and write the page anew."""
    row.date = datetime.now(UTC).strftime("%Y-%m-%d")
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())
    row.machine = f"{processor()}, {threads} thread{'s' * (threads != '1')}, Deepen {VERSION}"
    rows = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    rows[row.name] = asdict(row)
    STORE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page([Measured(**values) for values in rows.values()]), encoding="utf-8")


def page(rows: list[Measured]) -> str:
    """The whole page in Markdown."""
    lines = [
        HEAD,
        "| data | command | score on test: mean (lowest to highest), seeds | target | reached | reference "
        "| whole command, median | training, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        target = "-" if row.target is None else f"{'≤' if row.lower_is_better else '≥'} {row.target:g}"
        reached = "-" if row.target is None else "yes" if row.reached else "**missed**"
        spread = f"{min(row.values):.4g} to {max(row.values):.4g}"
        lines.append(
            f"| {row.name} | `{row.command}` | {row.metric} **{statistics.mean(row.values):.4g}** ({spread}), {len(row.values)} "
            f"| {target} | {reached} | {row.reference} | {statistics.median(row.whole):.1f} s "
            f"| {statistics.median(row.training):.1f} s |"
        )
    lines.append("")
    lines += [f"- {row.name}: {row.note}" for row in rows if row.note]
    for row in rows:
        if row.per_class:
            each = ", ".join(f"{name} {value:.3f}" for name, value in row.per_class.items())
            lines.append(f"- {row.name}, in detail: {each}.")
    machines = sorted({f"{row.date}, {row.machine}" for row in rows})
    lines += ["", "Measured " + "; ".join(machines) + ".", ""]
    return "\n".join(lines)
