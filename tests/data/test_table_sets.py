"""The small tables that come with the install, Adult, and the shapes in the plane."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen import registry
from deepen.data import adult, shapes, tables
from deepen.errors import Misuse, Problem
from deepen.known import Seen, choose
from deepen.spec import Category, Quantity

SETS = {
    "iris": (150, 4, ("setosa", "versicolor", "virginica")),
    "wine": (178, 13, ("class_0", "class_1", "class_2")),
    "breast-cancer": (569, 30, ("malignant", "benign")),
    "diabetes": (442, 10, None),
}


def load(name, seed=0, **options):
    module = registry.find("data", name).load()
    return module.load(name, module.Config(**options), seed)


@pytest.mark.parametrize("name", SETS)
def test_bundled_sets(name):
    count, width, classes = SETS[name]
    dataset = load(name)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == count
    assert len(dataset.preprocess.features) == len(dataset.preprocess.columns) == width
    assert dataset.spec.input.shape == tuple(dataset.train["input"].shape[1:])
    if classes is None:
        assert isinstance(dataset.spec.output, Quantity)
    else:
        assert dataset.spec.output == Category(classes)
    assert load(name, seed=1).digest == dataset.digest
    about = registry.find("data", name).load().ABOUT
    assert about.licence
    assert about.citation


def test_iris_labels_belong_to_their_rows():
    sklearn = pytest.importorskip("sklearn.datasets").load_iris()
    dataset = load("iris", bins=0)
    rows = [int(origin.split(":")[1]) - 1 for origin in dataset.train.origins]
    assert dataset.train["target"].tolist() == sklearn.target[rows].tolist()
    assert torch.equal(dataset.preprocess.encode(sklearn.data[rows]), dataset.train["input"])


def test_breast_cancer_keeps_the_order_of_its_classes():
    sklearn = pytest.importorskip("sklearn.datasets").load_breast_cancer()
    dataset = load("breast-cancer")
    rows = [int(origin.split(":")[1]) - 1 for origin in dataset.validation.origins]
    assert dataset.validation["target"].tolist() == sklearn.target[rows].tolist()


@pytest.mark.parametrize("name", ["iris", "xor", "adult"])
def test_settings_of_files_are_refused(name):
    with pytest.raises(Misuse, match=rf"data\.target cannot be set for {name}"):
        load(name, target="x")


@pytest.mark.parametrize("name", shapes.PRESETS)
def test_shapes(name):
    dataset = load(name, points=400, noise=0.0)
    assert dataset.spec.input.columns == ("x", "y")
    assert dataset.spec.output.names == ("A", "B")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 400
    assert torch.equal(load(name, points=400, noise=0.0).train["input"], dataset.train["input"])
    assert not torch.equal(load(name, points=400).train["input"], dataset.train["input"])
    assert not torch.equal(load(name, seed=1, points=400, noise=0.0).train["input"], dataset.train["input"])


@pytest.mark.parametrize("name", shapes.PRESETS)
def test_shapes_can_be_learnt_but_not_by_a_line(name):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    dataset = load(name)
    train, held = dataset.train, dataset.validation
    near = KNeighborsClassifier(5).fit(train["input"], train["target"]).score(held["input"], held["target"])
    line = LogisticRegression().fit(train["input"], train["target"]).score(held["input"], held["target"])
    assert near >= 0.95
    assert line <= 0.92


@pytest.mark.parametrize(("options", "words"), [({"points": 2}, "points=2 is too few"), ({"noise": -1.0}, "noise=-1")])
def test_shapes_out_of_range(options, words):
    with pytest.raises(Misuse, match=words):
        load("moons", **options)


ROW = "39, State-gov, 77516, Bachelors, 13, Never-married, {}, Not-in-family, White, Male, {}, 0, {}, Cuba, {}"


@pytest.fixture
def small_adult(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tabular"
    folder.mkdir()
    work = ("Sales", "Tech", "?")
    for part, count, dot in (("train", 40, ""), ("test", 20, ".")):
        rows = [ROW.format(work[n % 3], n * 7 % 11, n % 5 + 30, ("<=50K", ">50K")[n % 2] + dot) for n in range(count)]
        (folder / f"adult-{part}.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return folder


def test_adult_as_uci_gives_it(small_adult):
    dataset = adult.load("adult", adult.Config(), 0)
    assert dataset.spec.output.names == ("<=50K", ">50K")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (36, 4, 20)
    assert {column.name for column in dataset.preprocess.columns} == {"occupation", "capital-gain", "hours-per-week"}
    (occupation,) = (column for column in dataset.preprocess.columns if column.name == "occupation")
    assert occupation.values == ("Sales", "Tech")
    assert occupation.gaps
    assert sum(finding.subject == "constant-column" for finding in dataset.findings) == 11
    (small_adult / "adult-test.csv.gz").unlink()
    with pytest.raises(Problem, match=r"Adult is not here: adult-test\.csv\.gz was looked for in .*Set DEEPEN_DATA"):
        adult.load("adult", adult.Config(), 0)


def test_adult_with_other_columns_is_another_file(small_adult):
    (small_adult / "adult-train.csv.gz").write_bytes(gzip.compress(b"1,2,3\n4,5,6\n"))
    with pytest.raises(Problem, match="has 3 columns where Adult has 15"):
        adult.load("adult", adult.Config(), 0)


real = pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="needs the real data under DEEPEN_DATA")


@real
def test_real_titanic():
    path = str(Path(os.environ["DEEPEN_DATA"]) / "tabular" / "titanic.csv")
    dataset = tables.load(path, tables.Config(target="Survived"), 0)
    assert dataset.spec.output.names == ("0", "1")
    left = {finding.text.split("'")[1] for finding in dataset.findings if finding.subject == "id-like-column"}
    assert left == {"PassengerId", "Name", "Ticket", "Cabin"}
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 891


@real
def test_real_california():
    path = str(Path(os.environ["DEEPEN_DATA"]) / "tabular" / "california_housing.csv")
    dataset = tables.load(path, tables.Config(target="median_house_value"), 0)
    assert isinstance(dataset.spec.output, Quantity)
    assert "total_bedrooms missing" in dataset.preprocess.labels
    assert np.isfinite(dataset.train["input"].numpy()).all()


@pytest.mark.parametrize(
    ("task", "samples", "name"),
    [
        ("classify", 105, "table-classify-mlp-small"),
        ("classify", 29_305, "table-classify-mlp"),
        ("regress", 310, "table-regress-mlp-small"),
        ("regress", 14_448, "table-regress-mlp"),
    ],
)
def test_recipes_for_tables_go_by_the_number_of_rows(task, samples, name):
    known = choose("some.csv", Seen("table", samples), task, None)
    assert known is not None
    assert known.name == name
