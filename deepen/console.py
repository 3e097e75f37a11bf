"""What a person sees in the terminal while a training runs: live on a terminal, plain lines when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console as Terminal
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table

if TYPE_CHECKING:
    from deepen.data.dataset import Dataset, Finding
    from deepen.engine.fit import Report
    from deepen.engine.run import Folder
    from deepen.prepare import Prepared, Settled
    from deepen.run import Evaluation, Run

SHOWN_EVALUATIONS = 12
SIGNS = {"note": "[cyan]note[/]", "warning": "[yellow]warning[/]", "error": "[red]error[/]"}


class Console:
    """The `Watcher` of the command line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.out = Terminal(file=stream or sys.stdout, highlight=False, soft_wrap=True)
        self.live: Live | None = None
        self.evaluations: list[tuple[Report, float | None]] = []
        self.last_log: Report | None = None
        self.prepared: Prepared | None = None
        self.total = 0
        self._status: Status | None = None

    def say(self, label: str, text: str) -> None:
        """A labelled line; following lines of the same text are indented."""
        for number, line in enumerate(text.split("\n")):
            self.out.print(f"[bold]{label if number == 0 else '':8}[/] {line}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While data is read: downloads and decoding show how far they are."""
        from deepen.data.progress import shown_by

        last = ""
        with Status("", console=self.out) as status:

            def listen(what: str, done: int, total: int) -> None:
                nonlocal last
                if self.out.is_terminal:
                    status.update(f"{escape(what)} {done:,}" + (f" of {total:,}" if total else ""))
                elif what != last:
                    self.say("reading", what)
                last = what

            self._status = status
            with shown_by(listen):
                yield

    def _read(self) -> None:
        """Reading is over: its line goes away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def data(self, dataset: Dataset, findings: list[Finding]) -> None:
        self._read()
        facts = "\n".join(escape(fact) for fact in dataset.facts)
        self.say("data", f"[bold]{escape(dataset.name)}[/]" + (f"\n{facts}" if facts else ""))
        sizes = [
            f"{split} {len(part):,}" for split, part in (("train", dataset.train), ("validation", dataset.validation))
        ]
        if dataset.test is not None:
            sizes.append(f"test {len(dataset.test):,} (sealed)")
        if not dataset.acting:
            self.say("", " · ".join(sizes))
        self.findings(findings)

    def findings(self, findings: list[Finding]) -> None:
        if not findings:
            self.say("audit", "nothing found")
        for number, finding in enumerate(findings):
            mend = f" [dim]{escape(finding.mend)}[/]" if finding.mend else ""
            self.say("audit" if number == 0 else "", f"{SIGNS[finding.level]} {escape(finding.text)}{mend}")

    def start(self, prepared: Prepared, settled: Settled, folder: Folder) -> None:
        from deepen.engine.device import describe

        recipe = prepared.recipe
        self.prepared, self.total = prepared, settled.total_steps
        self.say(
            "model", f"[bold]{escape(recipe.model_name)}[/] for {recipe.task_name}, {prepared.parameters:,} parameters"
        )
        self.say("plan", f"{escape(describe(prepared.device))}, {settled.plan} ({escape(settled.plan_reason)})")
        epochs = settled.total_steps / prepared.steps_per_epoch
        known = f", recipe {prepared.known.name}" if prepared.known else ""
        self.say(
            "recipe",
            f"{epochs:.3g} epochs, {settled.total_steps:,} steps, {recipe.optim.name}, {recipe.schedule.name}{known}",
        )
        self.say("run", escape(_short(folder.path)))
        if self.out.is_terminal:
            self.live = Live(self._table(), console=self.out, refresh_per_second=4, transient=False)
            self.live.start()

    def report(self, report: Report) -> None:
        if report.kind == "log":
            self.last_log = report
        if report.kind == "evaluation":
            loss = None if self.last_log is None else self._train_loss(self.last_log)
            self.evaluations.append((report, loss))
            if self.live is None:
                self.out.print(self._line(report, loss))
        if report.kind == "warning":
            self.out.print(f"[yellow]{escape(report.text)}[/]")
        if self.live is not None:
            self.live.update(self._table())
        if report.kind == "end":
            self.close()

    def close(self) -> None:
        """End the live display; the last table stays."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def done(self, run: Run) -> None:
        """How it ended and what to do next."""
        from deepen.tasks.base import Generates

        result = run.result
        best, path = result["best"], _short(run.path)
        if best:
            self.say(
                "best",
                f"[bold green]{best['metric']} {number(best['metric'], best['value'])}[/] on validation, step {best['step']:,}",
            )
        why = {"early": "stopped early", "time": "time is up"}.get(result["stopped"], "finished")
        self.say(
            "time", f"{result['seconds']:.1f} s of training, {result['samples_per_second']:,.0f} samples/s ({why})"
        )
        self.say("report", escape(f"{path}/report.html"))
        makes = self.prepared is not None and isinstance(self.prepared.task, Generates)
        third = f"deepen generate {path}" if makes else f"deepen predict {path} INPUT"
        steps = [
            f"[cyan]deepen evaluate {escape(path)}[/]   opens the sealed test split, and counts it",
            f"[cyan]{escape(third)}[/]",
            "[cyan]deepen train FOLDER_OR_FILE[/]   on your own data",
        ]
        self.say("next", "\n".join(steps))

    def prediction(self, prediction: dict[str, Any]) -> None:
        """One answer in a line."""
        rest = {key: value for key, value in prediction.items() if key not in ("input", "top")}
        top = [f"{name} {100 * chance:.1f} %" for name, chance in prediction.get("top", [])[:3]]
        said = ", ".join(top) or ", ".join(f"{key} {value}" for key, value in rest.items())
        answer, name = str(next(iter(rest.values()), "")), str(prediction["input"])
        self.out.print(f"{escape(name)}  [bold]{escape(answer)}[/]  [dim]{escape(said)}[/]")

    def evaluation(self, evaluation: Evaluation) -> None:
        """The scores of a split, with their intervals and the trivial answer's beside them."""
        table = Table(
            "metric", "value", "95 % interval", "trivial answer", box=None, pad_edge=False, header_style="bold"
        )
        for name, value in evaluation.metrics.items():
            low, high = evaluation.intervals.get(name, (value, value))
            baseline = evaluation.baseline.get(name)
            table.add_row(
                name,
                number(name, value),
                f"{number(name, low)} to {number(name, high)}",
                "" if baseline is None else number(name, baseline),
            )
        self.say(evaluation.split, f"{evaluation.samples:,} samples of {escape(_short(Path(evaluation.run)))}")
        self.out.print(table)
        if evaluation.split == "test":
            times = "the first look" if evaluation.looks == 1 else f"look number {evaluation.looks}"
            self.say("looks", f"{times} at this test split; every further one makes it worth less")

    def _train_loss(self, report: Report) -> float | None:
        losses = [value for name, value in report.numbers.items() if "loss" in name]
        return losses[0] if losses else None

    def _goal(self) -> str:
        assert self.prepared is not None
        return self.prepared.task.goal.metric

    def _pace(self) -> tuple[str, str]:
        """Samples per second and time left, from the last tick."""
        assert self.prepared is not None
        if self.last_log is None:
            return "", ""
        steps = self.last_log.speed["steps_per_second"]
        batch = self.prepared.loader.batch_size if self.prepared.loader else 1
        left = (self.total - self.last_log.step) / steps if steps else 0.0
        return f"{steps * batch:,.0f}", f"{int(left // 60)}:{int(left % 60):02d}"

    def _line(self, report: Report, loss: float | None) -> str:
        goal = self._goal()
        value = report.numbers[f"validation/{goal}"]
        pace, left = self._pace()
        star = " *" if report.best else ""
        train = "" if loss is None else f"  train loss {loss:.4f}"
        where = f"epoch {report.epoch:6.2f}  step {report.step:6d}{train}"
        return f"{where}  validation {goal} {number(goal, value)}  {pace} samples/s  {left} left{star}"

    def _table(self) -> Table:
        goal = self._goal()
        table = Table(
            "epoch", "step", "train loss", f"validation {goal}", "", box=None, pad_edge=False, header_style="bold"
        )
        for report, loss in self.evaluations[-SHOWN_EVALUATIONS:]:
            value = number(goal, report.numbers[f"validation/{goal}"])
            shown = "" if loss is None else f"{loss:.4f}"
            table.add_row(
                f"{report.epoch:.2f}", f"{report.step:,}", shown, value, "[green]best[/]" if report.best else ""
            )
        frame = Table.grid(padding=(0, 0))
        frame.add_row(table)
        step = self.last_log.step if self.last_log else 0
        pace, left = self._pace()
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=self.total, completed=step, width=32),
            f"{step:,}/{self.total:,}",
            f"{pace} samples/s",
            f"{left} left",
        )
        frame.add_row(bar)
        return frame


PERCENT = ("accuracy", "balanced_accuracy", "macro_f1")


def number(metric: str, value: float) -> str:
    """A score as people write it."""
    return f"{100 * value:.2f} %" if metric in PERCENT else f"{value:.4g}"


def _short(path: Path) -> str:
    """Relative to where the user stands, if that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def as_text(value: Any) -> str:
    """A setting as it is typed on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
