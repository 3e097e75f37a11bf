"""The Python API says the same words as the command line."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import deepen
from deepen.errors import Misuse, Problem

Trained = dict[str, Path]


def test_importing_waits_for_nothing() -> None:
    code = "import sys, deepen; assert not {'torch', 'numpy', 'rich', 'cyclopts'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", deepen.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(deepen, name)
    assert name == "__version__" or inspect.getdoc(found)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'deepen' has no attribute 'trian'"):
        deepen.trian  # noqa: B018


def test_train_evaluate_predict(tmp_path: Path) -> None:
    run = deepen.train("iris", model="mlp", epochs=2, runs=tmp_path, plan="fp32")
    assert isinstance(run, deepen.Run)
    assert run.recipe.fit.epochs == 2
    evaluation = run.evaluate()
    assert isinstance(evaluation, deepen.Evaluation)
    assert evaluation.samples == 30
    assert 0 <= evaluation.metrics["accuracy"] <= 1
    answers = run.load().predict(
        [{"sepal length (cm)": 5, "sepal width (cm)": 3, "petal length (cm)": 1, "petal width (cm)": 0.2}]
    )
    assert answers[0]["category"] in ("setosa", "versicolor", "virginica")


def test_a_run_in_a_notebook(trained: Trained) -> None:
    run = deepen.Run(trained["digits"])
    assert repr(run) == f"Run('{trained['digits']}')"
    html = run._repr_html_()
    assert run.path.name in html
    assert "report.html" in html
    assert "accuracy" in html


def test_predict_takes_paths_pictures_and_arrays_alike(trained: Trained) -> None:
    model, path = deepen.load(trained["pictures"]), trained["source pictures"] / "red" / "00.png"
    pixels = np.asarray(Image.open(path))
    expected = model.logits(path)
    for given in (str(path), [path], [Image.open(path)], [pixels], pixels[None], torch.from_numpy(pixels.copy())[None]):
        assert torch.allclose(model.logits(given), expected, atol=1e-5)
    for given in (pixels, pixels.transpose(2, 0, 1), torch.from_numpy(pixels.copy()), pixels / 255):  # one picture
        assert torch.allclose(model.logits(given), expected, atol=1e-5)
    assert model.predict(path)[0]["input"] == str(path)
    assert model.predict([pixels])[0]["category"] == model.predict(path)[0]["category"]


def test_one_array_is_one_picture(trained: Trained) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    model = deepen.load(trained["digits"])
    for given in (grey, grey[None], grey[..., None], [grey]):
        assert len(model.predict(given)) == 1
    assert len(model.predict(np.stack([grey] * 3))) == 3
    with pytest.raises(Problem, match="shape 16x9x3"):
        deepen.load(trained["pictures"]).predict(np.zeros((16, 9, 3), dtype=np.uint8))


def test_rows_as_dictionaries_files_and_sequences_alike(trained: Trained) -> None:
    model, path = deepen.load(trained["table"]), trained["source table"]
    first = path.read_text(encoding="utf-8").splitlines()[1].split(",")
    row = {"x1": float(first[0]), "x2": float(first[1])}
    expected = model.logits(path)[:1]
    for given in ([row], [{**row, "kind": "yes"}], [list(row.values())], np.array([list(row.values())])):
        assert torch.allclose(model.logits(given), expected, atol=1e-5)


def test_audit_tells_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset, findings = deepen.audit("iris", thorough=True)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 150
    assert all(finding.level in ("note", "warning", "error") for finding in findings)
    assert list(tmp_path.iterdir()) == []


class Line(nn.Module):
    """A class of the user's own."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.line = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.line(x.flatten(1))
        return answer


def test_a_module_of_ones_own(tmp_path: Path) -> None:
    run = deepen.train("digits", model=Line(), epochs=1, runs=tmp_path, plan="fp32")
    assert run.recipe.model_name == "custom:Line"
    assert run.evaluate(model=Line()).samples == 359
    loaded = deepen.load(run.path, module=Line())
    assert isinstance(loaded.module, Line)
    assert loaded.predict(np.zeros((2, 8, 8), dtype=np.uint8))[1]["category"] in map(str, range(10))
    with pytest.raises(Problem, match="your own class Line"):
        deepen.load(run.path)
    assert deepen.resume(run.path, model=Line()).result["stopped"] == "finished"
    report = (run.path / "report.html").read_text(encoding="utf-8")
    assert "custom:" not in report.partition("made again by")[2].partition("</pre>")[0]


@pytest.mark.parametrize(
    ("module", "told"),
    [(Line(3), r"expected an output of shape \[2, 10\], received \[2, 3\]"), (nn.Linear(9, 10), "does not take input")],
)
def test_a_module_that_does_not_fit(module: nn.Module, told: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=told):
        deepen.train("digits", model=module, epochs=1, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_errors_are_problems(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="Did you mean 'digits'"):
        deepen.train("digist", runs=tmp_path)
    with pytest.raises(Misuse, match="Did you mean 'epochs'"):
        deepen.train("digits", runs=tmp_path, epoch=3)
    with pytest.raises(Problem, match="neither a run nor a bundle"):
        deepen.load(tmp_path)
    with pytest.raises(Problem, match="no run at"):
        deepen.resume(tmp_path / "nothing")
    assert issubclass(Misuse, Problem)
    assert issubclass(Problem, ValueError)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((2, 9, 9), dtype=np.uint8), "8x8"),
        (np.zeros((1, 8, 8, 2), dtype=np.uint8), "8x8"),
        (["no such file.png"], "no such file.png"),
        ([], "nothing to predict"),
        ([{"x": 1}], "expected"),
    ],
)
def test_predict_the_wrong_thing(trained: Trained, given: object, told: str) -> None:
    with pytest.raises(Problem, match=told):
        deepen.load(trained["digits"]).predict(given)
