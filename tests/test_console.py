"""The console: what is shown live, in lines, and how names from outside are kept harmless."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console as Rich
from rich.live import Live

from deepen.console import Console
from deepen.data.dataset import Finding
from deepen.engine.report import Report
from deepen.wording import safe


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")


def console(stream: io.StringIO) -> Console:
    """One that is told of a training of 400 steps."""
    made = Console(stream)
    made.prepared = SimpleNamespace(task=SimpleNamespace(goal=SimpleNamespace(metric="accuracy")), batch_size=128)  # type: ignore[assignment]
    made.total = 400
    return made


def log(step: int) -> Report:
    return Report("log", step, step / 100, {"train/loss": 1 / step}, {"steps_per_second": 10.0, "seconds": step / 10})


def evaluation(step: int, value: float, *, best: bool = False) -> Report:
    return Report("evaluation", step, step / 100, {"validation/accuracy": value}, best=best)


def seen(made: Console) -> list[str]:
    """The live part as lines of the terminal."""
    plain = Rich(file=io.StringIO(), width=60, height=24, color_system=None)
    plain.print(made._frame())
    printed = plain.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in printed.splitlines() if line.strip()]


# -- live -------------------------------------------------------------------------------------------------------------


def test_before_the_first_step() -> None:
    (bar,) = seen(console(Screen()))
    assert "0/400" in bar
    assert "the first steps" in bar


def test_the_best_is_marked_once_and_stays_in_sight() -> None:
    made = console(Screen())
    values = [0.5, 0.9, *[0.8] * 30]
    for count, value in enumerate(values, 1):
        made.report(log(count * 10))
        made.report(evaluation(count * 10, value, best=count <= 2))
    lines = seen(made)
    marked = [line for line in lines if line.endswith("best")]
    assert len(marked) == 1
    assert "90.00 %" in marked[0]
    assert len(lines) <= 24 - 4
    assert "320/400" in lines[-1]
    assert "1,280 samples/s" in lines[-1]
    assert "0:08 left" in lines[-1]


def test_it_fits_a_narrow_terminal() -> None:
    made = console(Screen())
    made.total = 12_345_678
    made.report(log(1_234_567))
    made.report(evaluation(1_234_567, 0.5, best=True))
    assert all(len(line) <= 60 for line in seen(made))
    assert "left" in seen(made)[-1]


def test_the_time_left_is_never_more_than_the_training_may_take() -> None:
    made = console(Screen())
    made.limit = 15.0
    made.report(log(100))
    assert "0:05 left" in seen(made)[-1]
    made.report(log(160))
    assert "0:00 left" in seen(made)[-1]
    made.limit = 600.0
    assert "0:24 left" in seen(made)[-1]


def test_figures_of_an_evaluation_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    scores = {"balanced_accuracy": 0.5467, "accuracy": 0.58}
    evaluation = SimpleNamespace(
        metrics=scores,
        intervals=dict.fromkeys(scores, (0.4917, 0.6075)),
        baseline=scores,
        rival=SimpleNamespace(method="TF-IDF + logistic regression", metrics=scores, skipped=""),
        samples=100,
        run="runs/some",
        split="validation",
    )
    Console(stream).evaluation(evaluation, acting=False)  # type: ignore[arg-type]
    lines = stream.getvalue().splitlines()
    assert all(any(line.split()[:1] == [name] and "49.17 % to 60.75 %" in line for line in lines) for name in scores)
    assert max(map(len, lines)) <= 80


def test_at_its_end_the_bar_goes_and_the_table_stays() -> None:
    made = console(Screen())
    made.report(log(400))
    made.report(evaluation(400, 0.5, best=True))
    made.report(Report("end", 400, 4.0, stopped="finished"))
    assert not any("left" in line for line in seen(made))
    assert any("50.00 %" in line for line in seen(made))


def test_the_live_display_ends_when_a_training_breaks_off() -> None:
    made = console(Screen())

    def broken_off() -> None:
        with made.reading():
            made._go_on()
            made.live = Live(get_renderable=made._frame, console=made.out)
            made.live.start()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert made.live is None
    assert made.out.file.getvalue().endswith("\x1b[?25h")  # type: ignore[attr-defined]


# -- lines ------------------------------------------------------------------------------------------------------------


def test_lines_when_piped() -> None:
    stream = io.StringIO()
    made = console(stream)
    made.report(log(100))
    made.report(evaluation(100, 0.5, best=True))
    made.report(Report("warning", 100, 1.0, text="The disk is [full]."))
    first, second = stream.getvalue().splitlines()
    told = "epoch 1.00 step 100 train loss 0.0100 validation accuracy 50.00 % 1,280 samples/s 0:30 left *"
    assert " ".join(first.split()) == told
    assert second == "The disk is [full]."


def test_what_is_being_read_is_said_once_a_kind() -> None:
    from deepen.data.progress import report

    stream = io.StringIO()
    with Console(stream).reading():
        for done in range(5):
            report("decoding [pictures]", done, 5)
        report("hashing", 1, 0)
    assert stream.getvalue().splitlines() == ["reading  decoding [pictures]", "         hashing"]


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not Console(Screen()).interactive


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed() -> str:
        screen = Screen()
        Console(screen).findings([Finding("error", "x", "It is bad.")])
        return screen.getvalue()

    assert "\x1b[31m" in printed()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in printed()


def test_long_text_is_wrapped_beside_its_label() -> None:
    screen = Screen()
    Console(screen).say("audit", "word " * 30)
    first, *rest = screen.getvalue().splitlines()
    assert "audit" in first
    assert rest
    assert all(line.startswith(" " * 9) for line in rest)


def test_commands_stay_in_one_piece() -> None:
    screen = Screen()
    Console(screen).say("next", "deepen evaluate " + "long" * 30, whole=True)
    assert len(screen.getvalue().splitlines()) == 1


# -- names from outside -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["[red]x[/red]", "[/]", "\\[bold]", "[link=file:///]x", ":smile:", "x\\", "a]["])
def test_brackets_mean_nothing(name: str) -> None:
    stream = io.StringIO()
    made = Console(stream)
    made.say("data", f"[bold]{safe(name)}[/]")
    assert stream.getvalue() == f"data     {name}\n"


def test_what_is_written_stands_there_as_it_is() -> None:
    """Whatever rich would make of tabs, brackets and colons, and however it comes in pieces."""
    out = io.StringIO()
    console = Console(out)
    pieces = [
        "a\tb",
        "\\",
        "[bold]x",
        "[",
        "/bold]",
        "\\[",
        "b] :smile: ",
        "c:\\dir\\",
        "\n\n  y ",
        "👩\u200d👧",
        "w" * 300,
    ]
    for piece in pieces:
        console.part(piece)
    assert out.getvalue() == "".join(pieces)
    console.part("\x1b[31m\u202e\r")
    assert out.getvalue() == "".join(pieces) + "\\x1b[31m\\u202e\\r"
