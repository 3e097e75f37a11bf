"""What a person sees in the terminal while a training runs: live on a terminal, plain lines when piped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import rich.console
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table

from deepen.wording import answered, clock, duration, epochs, number, rate, safe, visible

if TYPE_CHECKING:
    from deepen.data.dataset import Dataset, Finding
    from deepen.engine.report import Report
    from deepen.engine.run import Folder
    from deepen.prepare import Prepared
    from deepen.run import Evaluation, Run
    from deepen.settle import Settled

SHOWN_EVALUATIONS = 12
LABEL = 8
BAR, LEAST_BAR = 32, 8
SIGNS = {"note": "[cyan]note[/]", "warning": "[yellow]warning[/]", "error": "[red]error[/]"}


class Terminal(rich.console.Console):
    """Where lines go. When whoever read them has seen enough, a training goes on without them."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        mute(self.file)


class Console:
    """The `Watcher` of the command line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        stream = stream or sys.stdout
        self.out = Terminal(file=stream, highlight=False, emoji=False)
        self.interactive = stream.isatty() and not self.out.is_dumb_terminal
        self.live: Live | None = None
        self.evaluations: list[tuple[Report, float | None]] = []
        self.last_log: Report | None = None
        self.prepared: Prepared | None = None
        self.total = 0
        self.limit: float | None = None
        """Seconds after which the training ends, if not before."""
        self._logged_at = 0.0
        self._ended = False
        self._status: Status | None = None

    def say(self, label: str, text: str, *, whole: bool = False) -> None:
        """A labelled text in markup. A terminal wraps it beside the label, unless it is to stay `whole` for copying."""
        for count, line in enumerate(text.split("\n")):
            head = f"[bold]{label if count == 0 else '':{LABEL}}[/]"
            if whole or not self.interactive:
                self.out.print(f"{head} {line}", soft_wrap=True)
                continue
            grid = Table.grid(padding=(0, 1))
            grid.add_column(min_width=LABEL, no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(head, line)
            self.out.print(grid)

    def part(self, text: str) -> None:
        """A piece of a text that is still being written, tabs and line ends as they are."""
        shown = "\t".join(visible(part, lines=True) for part in text.split("\t"))
        print(shown, end="", file=self.out.file, flush=True)  # rich would turn tabs into blanks

    def content(self, content: Mapping[str, Any]) -> None:
        """Labelled texts, and names with what they mean."""
        for label, value in content.items():
            if not isinstance(value, Mapping):
                self.say(label, safe(value, lines=True))
                continue
            width = max((len(name) for name in value), default=0) + 1
            for count, (name, meaning) in enumerate(value.items()):
                head = label if count == 0 else ""
                if self.interactive and self.out.width < LABEL + width + 30:
                    self.say(head, f"[cyan]{safe(name)}[/]\n  {safe(meaning)}")
                elif self.interactive:
                    grid = Table.grid(padding=(0, 1))
                    for least in (LABEL, width):
                        grid.add_column(min_width=least, no_wrap=True)
                    grid.add_column(overflow="fold")
                    grid.add_row(f"[bold]{head}[/]", f"[cyan]{safe(name)}[/]", safe(meaning))
                    self.out.print(grid)
                else:
                    self.say(head, f"{safe(name):{width}} {safe(meaning)}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While data is read: downloads and decoding show how far they are."""
        from deepen.data.progress import shown_by

        last = ""

        def listen(what: str, done: int, total: int) -> None:
            nonlocal last
            if self._status is not None:
                self._status.update(f"{safe(what)} {done:,}" + (f" of {total:,}" if total else ""))
            elif what != last:
                self.say("" if last else "reading", safe(what))
            last = what

        try:
            self._wait("reading the data")
            with shown_by(listen):
                yield
        finally:
            self._go_on()
            self.close()

    def _wait(self, text: str) -> None:
        """Something takes its time; on a terminal it is said until `_go_on`."""
        if self.interactive:
            self._status = Status(text, console=self.out)
            self._status.start()

    def _go_on(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def data(self, dataset: Dataset, findings: list[Finding]) -> None:
        self._go_on()
        self.dataset(dataset, findings)
        self._wait("trying out how this machine trains it fastest")

    def dataset(self, dataset: Dataset, findings: Sequence[Finding]) -> None:
        """What was found in the data."""
        self.say("data", f"[bold]{safe(dataset.name)}[/]")
        for fact in dataset.facts:
            self.say("", safe(fact))
        if dataset.test is not None and not dataset.acting:
            self.say("", "The test split is sealed: `deepen evaluate` opens it.")
        self.findings(findings)

    def findings(self, findings: Sequence[Finding]) -> None:
        if not findings:
            self.say("audit", "nothing found")
        for count, finding in enumerate(findings):
            mend = f" [dim]{safe(finding.mend)}[/]" if finding.mend else ""
            self.say("audit" if count == 0 else "", f"{SIGNS[finding.level]} {safe(finding.text)}{mend}")

    def bad(self, dataset: Dataset) -> None:
        """Each input that cannot be read, with the reason."""
        for count, bad in enumerate(dataset.bad):
            self.say("bad" if count == 0 else "", f"{safe(bad.path)}: {safe(bad.reason)}", whole=True)

    def start(self, prepared: Prepared, settled: Settled, folder: Folder) -> None:
        from deepen.data.augment import describe as changes
        from deepen.data.augment import off
        from deepen.engine.device import describe
        from deepen.following import short
        from deepen.insight.ink import several

        self._go_on()
        recipe = prepared.recipe
        self.prepared, self.total = prepared, settled.total_steps
        self.limit = None if recipe.fit.minutes is None else 60 * recipe.fit.minutes
        self.say(
            "model", f"[bold]{safe(recipe.model_name)}[/] for {recipe.task_name}, {prepared.parameters:,} parameters"
        )
        for count, text in enumerate(prepared.transfer):
            self.say("transfer" if count == 0 else "", safe(text))
        self.say("plan", f"{safe(describe(prepared.device))}, {settled.plan} ({safe(settled.plan_reason)})")
        many = settled.total_steps / prepared.steps_per_epoch
        length = f"{settled.total_steps:,} steps" if prepared.loader is None else epochs(many)
        if prepared.loader is not None:
            length += f", {several(settled.total_steps, 'step')} of {several(prepared.loader.batch_size, 'sample')}"
        known = f" (recipe {prepared.known.name})" if prepared.known else ""
        self.say("recipe", f"{length}, {recipe.optim.name}, {recipe.schedule.name}{known}")
        if not off(recipe.augment):
            self.say("augment", changes(recipe.augment))
        self.say("run", safe(short(folder.path)), whole=True)
        self._logged_at = time.monotonic()
        if self.interactive:
            self.live = Live(get_renderable=self._frame, console=self.out, refresh_per_second=4, transient=False)
            self.live.start()

    def report(self, report: Report) -> None:
        if report.kind == "log":
            self.last_log, self._logged_at = report, time.monotonic()
        if report.kind == "evaluation":
            loss = None if self.last_log is None else self._train_loss(self.last_log)
            self.evaluations.append((report, loss))
            if self.live is None:
                self.out.print(self._line(report, loss), soft_wrap=True)
        if report.kind == "warning":
            self.out.print(f"[yellow]{safe(report.text)}[/]", soft_wrap=not self.interactive)
        if report.kind == "end":
            self.close()

    def close(self) -> None:
        """End the live display; the table of evaluations stays."""
        self._ended = True
        if self.live is not None:
            self.live.stop()
            self.live = None

    def done(self, run: Run, *, before: bool = False) -> None:
        """How it ended and what to do next. `before` says that it had ended before it was resumed."""
        from deepen.following import next_steps, sealed, short, task_of

        result, task = run.result, task_of(run)
        best, path = result["best"], short(run.path)
        if before:
            self.say("resume", f"{safe(path)} had ended already: there is nothing to go on with.")
        if best:
            value = number(best["metric"], best["value"])
            self.say("best", f"[bold green]{best['metric']} {value}[/] on validation, step {best['step']:,}")
        why = {"early": ", stopped early", "time": ", until the time was up"}.get(result["stopped"], "")
        speed = result["samples_per_second"]
        pace = f", {rate(speed)}" if speed else ""
        self.say("time", f"{duration(result['seconds'])} of training{pace}{why}")
        self.say("report", safe(f"{path}/report.html"), whole=True)
        steps = next_steps(run.recipe, task, run.path, sealed=sealed(run))
        width = max(len(visible(command)) for command, _ in steps)
        beside = LABEL + width + max(len(what) for _, what in steps) + 4 <= self.out.width or not self.interactive
        for count, (command, what) in enumerate(steps):
            head = "next" if count == 0 else ""
            if beside:
                self.say(head, f"[cyan]{escape(f'{visible(command):{width}}')}[/]   {what}", whole=True)
            else:
                self.say(head, f"[cyan]{safe(command)}[/]\n  [dim]{what}[/]", whole=True)

    def drawn(self, count: int, what: str, folder: Path, named: Path) -> None:
        """How many files are where, and why not in the folder that was named."""
        from deepen.insight.ink import several

        self.say("drawn", f"{several(count, what)} in {safe(str(folder))}{self.instead(folder, named)}")

    def instead(self, folder: Path, named: Path) -> str:
        return "" if folder == named else f", since {safe(str(named))} has files of these names, which are kept"

    def refused(self, reason: str) -> None:
        """An input that cannot be used, as the error of a command is told."""
        print(f"deepen: {visible(reason)}", file=sys.stderr)

    def forgot(self, tokens: int, room: int) -> None:
        """That a prompt is longer than what a model sees at once."""
        print(
            f"the prompt has {tokens:,} tokens and the model sees {room:,} at once: it reads the last of them",
            file=sys.stderr,
        )

    def unknown(self, tokens: int, read: int) -> None:
        """That a prompt has what the training texts never had."""
        print(
            f"{tokens:,} of the {read:,} tokens of the prompt were never learnt: the model reads each as 'unknown'",
            file=sys.stderr,
        )

    def wrote(self, tokens: int, seconds: float, speed: float) -> None:
        """How fast a text was written: beside it, so that who keeps what was written keeps that alone."""
        said = f"{tokens:,} tokens in {seconds:.1f} s, {speed:,.0f} a second: what was read is kept (key/value cache)"
        print(said, file=sys.stderr)

    def smaller(self, pictures: Sequence[Mapping[str, Any]]) -> None:
        """That pictures were made smaller, though it was not asked for."""
        first, more = pictures[0], len(pictures) - 1
        height, width = first["original"]
        others = f", and {more} more like it" if more else ""
        self.say(
            "smaller",
            f"{safe(first['input'])} was brought from {height}x{width} to {first['height']}x{first['width']} pixels{others}, for "
            f"larger ones take gigabytes of memory: `deepen generate ... --size {max(height, width)}` draws it in full",
        )

    def predictions(self, predictions: Sequence[Mapping[str, Any]]) -> None:
        """A line each: the input, the answer, and how sure it is; tabs between them when piped."""
        rows = [answered(prediction, in_percent=self.interactive) for prediction in predictions]
        if not self.interactive:
            for row in rows:
                print("\t".join(map(visible, row)), file=self.out.file)  # rich would turn tabs into blanks
            return
        grid = Table.grid(padding=(0, 2))
        for _ in range(max(map(len, rows), default=0)):
            grid.add_column(overflow="fold")
        for name, answer, *rest in rows:
            grid.add_row(safe(name), f"[bold]{safe(answer)}[/]", *(f"[dim]{safe(text)}[/]" for text in rest))
        self.out.print(grid)

    def evaluation(self, evaluation: Evaluation, *, acting: bool) -> None:
        """The scores of a split, with their intervals and the trivial answer's beside them."""
        from deepen.following import short
        from deepen.insight.ink import several

        trivial = "random actions" if acting else "trivial answer"
        rival = evaluation.rival
        cheap = {} if rival is None else rival.metrics
        heads = ["metric", "value", "95 % interval", trivial, *([rival.method] if rival is not None and cheap else [])]
        rows = []
        for name, value in evaluation.metrics.items():
            interval = evaluation.intervals.get(name)
            baseline = evaluation.baseline.get(name)
            row = [
                name,
                number(name, value),
                "" if interval is None else f"{number(name, interval[0])} to {number(name, interval[1])}",
                "" if baseline is None else number(name, baseline),
                *([number(name, cheap[name]) if name in cheap else ""] if cheap else []),
            ]
            rows.append(row)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for place, head in enumerate(heads):  # heads are wrapped before figures are
            table.add_column(head, min_width=max((len(row[place]) for row in rows), default=0))
        for row in rows:
            table.add_row(*row)
        self._go_on()
        what = several(evaluation.samples, "episode" if acting else "sample")
        self.say(evaluation.split, f"{what} of {safe(short(Path(evaluation.run)))}", whole=True)
        self.out.print(table)
        if rival is not None and rival.skipped:
            self.say("beside", f"not compared with {rival.method}: {rival.skipped}", whole=True)
        if evaluation.split == "test":
            first = evaluation.looks == 1
            times = "the first look" if first else f"look number {evaluation.looks}"
            what = "these episodes" if acting else "this test split"
            self.say("looks", f"{times} at {what}; every further one makes {'them' if acting else 'it'} worth less")

    def _train_loss(self, report: Report) -> float | None:
        losses = [value for name, value in report.numbers.items() if "loss" in name]
        return losses[0] if losses else None

    def _goal(self) -> str:
        assert self.prepared is not None
        return self.prepared.task.goal.metric

    def _pace(self) -> tuple[float, str, str]:
        """Where the training is likely to be now, samples per second and time left, from the last tick."""
        assert self.prepared is not None
        if self.last_log is None:
            return 0.0, "", "the first steps"
        pace = self.last_log.speed["steps_per_second"]
        since = time.monotonic() - self._logged_at if self.live is not None else 0.0
        now = min(self.last_log.step + since * pace, float(self.total))
        samples = rate(pace * self.prepared.batch_size)
        if not pace:
            return now, samples, ""
        left = (self.total - now) / pace
        if self.limit is not None:
            left = min(left, max(0.0, self.limit - self.last_log.speed["seconds"] - since))
        return now, samples, f"{clock(left)} left"

    def _line(self, report: Report, loss: float | None) -> str:
        goal = self._goal()
        value = report.numbers[f"validation/{goal}"]
        _, pace, left = self._pace()
        star = " *" if report.best else ""
        train = "" if loss is None else f"  train loss {loss:.4f}"
        where = f"epoch {report.epoch:6.2f}  step {report.step:6d}{train}"
        return f"{where}  validation {goal} {number(goal, value)}  {pace}  {left}{star}"

    def _frame(self) -> RenderableType:
        """The evaluations so far, the best one marked, and how far the training is."""
        goal = self._goal()
        titles = ("epoch", "step", "train loss", f"validation {goal}", "")
        table = Table(*titles, box=None, pad_edge=False, header_style="bold")
        for column in table.columns:
            column.no_wrap = True
        for column in table.columns[:4]:
            column.justify = "right"
        bests = [index for index, (report, _) in enumerate(self.evaluations) if report.best]
        room = min(SHOWN_EVALUATIONS, max(1, self.out.height - 6))
        shown = range(len(self.evaluations))[-room:]
        rows = [*shown] if not bests or bests[-1] in shown else [bests[-1], *shown[1:]]
        for index in rows:
            report, loss = self.evaluations[index]
            is_best = bool(bests) and index == bests[-1]
            table.add_row(
                f"{report.epoch:.2f}",
                f"{report.step:,}",
                "" if loss is None else f"{loss:.4f}",
                number(goal, report.numbers[f"validation/{goal}"]),
                "best" if is_best else "",
                style="bold green" if is_best else "",
            )
        if self._ended:
            return Group("", table, "")
        return Group("", *([table] if rows else []), self._bar())

    def _bar(self) -> Table:
        """How far it is; what a narrow terminal has no room for is left out, the time left last."""
        now, pace, left = self._pace()
        said = [f"{int(now):,}/{self.total:,}", pace, left]
        if LEAST_BAR + sum(map(len, said)) + 6 > self.out.width:
            said = [said[0], left]
        width = min(BAR, self.out.width - sum(map(len, said)) - 2 * len(said))
        bar = Table.grid(padding=(0, 2))
        drawn = [ProgressBar(total=self.total, completed=now, width=width)] if width >= LEAST_BAR else []
        for _ in (*drawn, *said):
            bar.add_column(no_wrap=True)
        bar.add_row(*drawn, *said)
        return bar


def mute(stream: IO[str]) -> None:
    """Let everything that is still written to `stream` go nowhere: its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
