"""The report: whole, self-contained, safe, and saying the right things."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from deepen.data.dataset import Bad, Finding
from deepen.insight import answers, curves, pictures, report
from deepen.insight.glossary import headline, meaning
from deepen.insight.pictures import Mistake
from deepen.insight.report import Content
from deepen.spec import Action, Boxes, Category, Image, Nothing, Observation, Quantity, Spec, Table

VOID = {"meta", "img", "br", "link", "hr", "input"}
NASTY = "</title></style></svg><script>alert(1)</script><img src=x onerror=alert(2)> \"' & \u202e"


class Page(HTMLParser):
    """Checks that tags close in order and gathers what there is."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def content(name: str = "digits", classes: tuple[str, ...] = ("猫", "10", "NA"), **changes) -> Content:
    """A full report on a classifier of pictures."""
    random = np.random.default_rng(0)
    true = random.integers(0, len(classes), 300)
    predicted = np.where(random.random(300) < 0.9, true, 0)
    matrix = answers.count_answers(true, predicted, len(classes))
    pixels = random.integers(0, 256, (9, 8, 8, 1), dtype=np.uint8)
    log = [{"step": i, "epoch": i / 10, "train/loss": 1 / i, "lr": 0.1} for i in range(1, 40)]
    log.append({"step": 40, "epoch": 4.0, "validation/loss": 0.1, "validation/accuracy": 0.9, "best": True})
    drawn = {
        **curves.learning(log, "accuracy"),
        "schedule": curves.schedule([0.1, 0.2]),
        "confusion": answers.confusion(matrix, classes),
        "samples": pictures.samples(pixels, [classes[i % len(classes)] for i in range(9)]),
    }
    full = Content(
        name=name,
        data=name,
        task="classify",
        model="mlp",
        spec=Spec(Image(1, 8, 8), Category(classes)),
        command=f"deepen train {name}",
        counts={"train": 1000, "validation": 300, "test": 200},
        class_counts={one: 10 * i for i, one in enumerate(classes)},
        facts=[f"A fact about {name}."],
        findings=[Finding("warning", "imbalance", f"About {name}.", "`task.class_weights=balanced`")],
        verdict="1 warning in 1,500 samples",
        bad=[Bad(f"{name}.jpg", "0 bytes")],
        digest="ab" * 32,
        parameters=12345,
        plan="fp32",
        stopped="finished",
        steps=40,
        epochs=4,
        seconds=75.2,
        samples_per_second=1234,
        log=log,
        goal="accuracy",
        metrics={"log_loss": 0.3, "accuracy": 0.9},
        intervals={"accuracy": (0.86, 0.93)},
        baseline={"accuracy": 0.36, "log_loss": 1.1},
        trivial=classes[0],
        confusion=matrix,
        mistakes=[Mistake(classes[1], classes[0], 0.93, f"{name}/7.png", pixels[0])],
        pictures=drawn,
        settings={"optim.lr": 0.1, "fit.epochs": 4, "model.widths": (1, 2), "data.target": None},
        changed=["fit.epochs"],
        environment={"python": "3.11"},
        next_commands=[("deepen evaluate runs/latest", "Open the test split")],
    )
    return replace(full, **changes)


def test_a_full_report_is_well_formed_and_self_contained():
    page = report.render(content())
    found = Page(page)
    assert not {"script", "link", "iframe", "object", "form"} & set(found.tags)
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/")
    outside = {url for url in re.findall(r"https?://[^\s\"'<]+", page) if url != "http://www.w3.org/2000/svg"}
    assert outside == set()
    assert "default-src 'none'" in page


def test_it_opens_with_what_was_learnt():
    text = Page(report.render(content())).text
    lead = "Tells 3 classes apart: right for 90.0 % of 300 samples that it was not trained on; always "
    lead += "answering '猫' would be right for 36 %."
    assert lead in text
    assert text.index(lead) < text.index("How it learned") < text.index("The data") < text.index("What next")


@pytest.mark.parametrize(
    "expected",
    [
        "86.0 % to 93.0 %", "12,345", "1 min 15 s", "1,000 train, 300 validation, 200 test", "still sealed", "0 bytes",
        "Most often mixed up", "task.class_weights=balanced", "deepen evaluate runs/latest", "digits/7.png", "93 %",
        "fit.epochs", "abababab",
    ],
)  # fmt: skip
def test_everything_given_is_told(expected):
    assert expected in Page(report.render(content())).text


def test_names_from_outside_cannot_become_markup():
    page = report.render(content(NASTY, (NASTY, "b" + NASTY, "c")))
    found = Page(page)
    assert "script" not in found.tags
    assert not any(name.startswith("on") for name, _ in found.attributes)
    assert "\u202e" not in page
    assert "<script>alert(1)</script>" in found.text


def test_looks_at_the_test_split_are_counted():
    assert "opened 3 times" in Page(report.render(content(looks=3))).text
    assert "opened once" in Page(report.render(content(looks=1))).text


def test_an_empty_report_is_well_formed():
    empty = Content("r", "d", "t", "m", Spec(Table(("x",)), Nothing()), "deepen train d")
    assert "deepen train d" in Page(report.render(empty)).text


@pytest.mark.parametrize("stopped", ["nan", "interrupted"])
def test_a_broken_off_training_says_so_first(stopped):
    text = Page(report.render(content(stopped=stopped))).text
    said = {"nan": "broke off", "interrupted": "was interrupted"}[stopped]
    assert text.index(said) < text.index("How good it is")


def test_many_classes_and_files_are_folded_away():
    names = tuple(f"class {i}" for i in range(100))
    bad = [Bad(f"{i}.jpg", "0 bytes") for i in range(3000)]
    found = Page(report.render(content(classes=names, bad=bad)))
    assert found.tags.count("details") >= 4
    assert "88 more classes" in found.text
    assert "2,980 more" in found.text


def test_mistakes_of_a_table_are_rows():
    rows = [Mistake("12", "17", None, "f.csv:3", values=(("age", "31"),)), Mistake("1", "2", None, "f.csv:9")]
    text = Page(report.render(content(mistakes=rows))).text
    assert "furthest from the truth" in text
    assert "f.csv:9" in text


def test_mistakes_of_a_text_have_a_line_of_their_own_on_a_narrow_screen():
    rows = [Mistake("bad", "good", 0.5, "f.csv:3", values=(("text", "a film that goes on for three hours"),))]
    page = report.render(content(mistakes=rows))
    assert '<table class="told">' in page
    assert '<td class="text"><bdi>a film that' in page
    assert ".told td.text{flex:1 0 100%" in page


def test_writing_leaves_one_whole_file(tmp_path: Path):
    report.write(tmp_path / "report.html", content())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.render(content())


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.23, "4.2 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, said):
    assert report.duration(seconds) == said


@pytest.mark.parametrize(
    ("output", "metrics", "baseline", "said"),
    [
        (Category(("a", "b")), {"accuracy": 0.5}, {"accuracy": 0.5}, "Nothing was learnt beyond that."),
        (Quantity(("price",)), {"rmse": 3.0, "mae": 2.0}, {"mae": 9.0}, "Predicts price, on average 2 off for 50"),
        (Quantity(("price",)), {"rmse": 3.0}, {}, "typically 3 off for 50"),
        (Category(("a", "b")), {"distance": 0.1}, {"distance": 0.4}, "Draws new samples like the 70 of shapes"),
        (Nothing(), {"mean_return": 480.0}, {"mean_return": 21.3}, "mean return of 480"),
        (Nothing(), {}, {}, "Learnt from 70 samples of shapes"),
    ],
)
def test_headlines(output, metrics, baseline, said):
    assert said in headline(output, metrics, baseline, 50, data="shapes", train=70)


def test_known_metrics_have_a_meaning_in_any_spelling():
    for name in ("accuracy", "Balanced Accuracy", "macro-f1", "AUROC", "ece", "r2", "RMSE"):
        assert meaning(name).endswith(".")
    assert meaning("frobnication") == ""


def test_a_loss_that_repeats_another_metric_is_left_out():
    told = Page(report.render(content(metrics={"loss": 0.31, "accuracy": 0.9, "log_loss": 0.31}))).text
    assert "What training makes small; 0 is usually best." not in told
    told = Page(report.render(content(metrics={"loss": 0.32, "accuracy": 0.9, "log_loss": 0.31}))).text
    assert told.index("The share of samples") < told.index("The surprise") < told.index("What training makes small; 0")


def test_commands_in_what_is_told_of_the_data_are_code():
    page = report.render(content(facts=["Read as a series; `--as regress` reads <rows>."]))
    assert "a series; <code>--as regress</code> reads &lt;rows&gt;." in page


def test_the_split_is_told_once():
    told = Page(report.render(content(facts=["Samples: 1,000 train, 300 validation."]))).text
    assert told.count("1,000 train") == 1


def test_an_agent_is_measured_in_episodes():
    spec = Spec(Observation((4,), "CartPole-v1"), Action(("left", "right")))
    agent = Content("r", "CartPole-v1", "control", "actor-critic", spec, "deepen train CartPole-v1")
    told = Page(report.render(replace(agent, goal="return", metrics={"return": 487.0}, baseline={"return": 22.0}))).text
    assert "Reaches a mean return of 487 an episode in CartPole-v1; acting at random reaches 22." in told
    assert "episodes of their own" in told
    assert "sealed" not in told


def test_without_a_test_split_none_is_spoken_of():
    assert "sealed" not in Page(report.render(content(counts={"train": 10, "validation": 5}))).text


@pytest.mark.parametrize(("num_parts", "compete"), [(1, False), (2, True)])
def test_networks_compete_only_where_there_are_several(num_parts, compete):
    log = [{"step": i, "train/loss": 2.0, "train/score_loss": 1.0, "train/box_loss": 1.0} for i in range(5)]
    boxes = Spec(Image(3, 8, 8), Boxes(("cell",)))
    given = {"spec": boxes, "log": log, "goal": "ap", "confusion": None, "pictures": curves.learning(log, "ap")}
    told = content(num_parts=num_parts, **given)
    assert ("networks that compete" in Page(report.render(told)).text) is compete


def test_a_loss_that_is_the_goal_is_drawn_once():
    log = [{"step": i, "train/loss": 2.0 / i, "validation/loss": 3.0 / i} for i in range(1, 5)]
    drawn = curves.learning(log, "loss", better="min")
    assert report.render(content(log=log, goal="loss", pictures=drawn)).count('aria-label="Loss"') == 1


def test_labels_are_spoken_of_only_where_there_are_some():
    assert "If a label looks wrong" in Page(report.render(content())).text
    unlabelled = content(spec=Spec(Image(1, 8, 8), Nothing()), confusion=None, mistakes=())
    assert "label" not in Page(report.render(unlabelled)).text


def test_one_sample_is_told_as_one():
    told = Page(report.render(content(counts={"train": 1000, "validation": 1}))).text
    assert "on 1 validation sample." in told
    assert "90.0 % of 1 sample that" in told
