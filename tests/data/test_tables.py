"""The user's own tables: what is the target, what is each column, and one encoding for all callers."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from deepen.data import preprocess, tables
from deepen.data.cells import days, is_missing, numbers, texts
from deepen.data.columns import Choice, Number, TablePreprocess, fit_choice, fit_number
from deepen.data.tables import Config
from deepen.errors import Misuse, Problem
from deepen.spec import Category, Quantity

RANDOM = np.random.default_rng(0)


@pytest.fixture
def load(tmp_path):
    def make(content, seed=0, name="data.csv", **options):
        if isinstance(content, dict):
            rows = zip(*content.values(), strict=True)
            content = "\n".join([",".join(content), *(",".join(map(str, row)) for row in rows)]) + "\n"
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return tables.load(str(path), Config(**options), seed)

    return make


def measured(count=60):
    return [f"{value:.3f}" for value in RANDOM.normal(size=count)]


def subjects(dataset):
    return [finding.subject for finding in dataset.findings]


def kinds(dataset):
    return {column.name: column.kind for column in dataset.preprocess.columns}


def table(count=60, **more):
    return {"a": measured(count), "b": measured(count), **more}


# The target


@pytest.mark.parametrize(
    ("names", "target"),
    [(["a", "Target", "z"], "Target"), (["class", "b"], "class"), (["y", "label"], "label"), (["a", "b"], "b")],
)
def test_default_target(load, names, target):
    dataset = load({name: list("01") * 20 if name == target else measured(40) for name in names})
    assert dataset.preprocess.target == target
    assert any(f"'{target}'" in fact and "Learns" in fact for fact in dataset.facts)


def test_unknown_target_is_misuse_with_the_nearest_name(load):
    with pytest.raises(Misuse, match=r"no column 'specis' to learn\. Did you mean 'Species'"):
        load(table(Species=list("ab") * 30), target="specis")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["cat", "dog"] * 30, ("cat", "dog")),
        (["0", "1"] * 30, ("0", "1")),
        (["0.0", "1.0"] * 30, ("0", "1")),
        (["1", "2", "10"] * 20, ("1", "2", "10")),
        (["true", "false"] * 30, ("false", "true")),
        (["10", "NA?", "两 个"] * 20, ("10", "NA?", "两 个")),
        (["007", "008"] * 30, ("007", "008")),
        ([" cat", "dog "] * 30, ("cat", "dog")),
    ],
)
def test_classes(load, cells, names):
    dataset = load(table(kind=cells), target="kind")
    assert dataset.spec.output == Category(names)
    assert dataset.train["target"].dtype == torch.int64
    assert any("names" in fact and "classes" in fact for fact in dataset.facts)


def test_many_numbers_are_a_quantity_in_the_users_units(load):
    cells = [f"{1000 + 5 * number}" for number in range(60)]
    dataset = load(table(price=cells), target="price")
    train = dataset.train["target"]
    assert isinstance(dataset.spec.output, Quantity)
    assert train.shape == (42, 1)
    assert train.dtype == torch.float32
    assert dataset.spec.output.mean[0] == pytest.approx(float(train.mean()), rel=1e-6)
    assert dataset.spec.output.scale[0] == pytest.approx(float(train.std(unbiased=False)), rel=1e-6)
    assert set(train.flatten().tolist()) <= {float(cell) for cell in cells}


def test_answer_can_be_asked_for(load):
    grades = table(grade=[str(number % 5) for number in range(60)])
    assert isinstance(load(grades, target="grade").spec.output, Category)
    assert isinstance(load(grades, target="grade", answer="number").spec.output, Quantity)
    with pytest.raises(Problem, match="'kind' is to be a number, but holds 'x'"):
        load(table(kind=["x", "1"] * 30), target="kind", answer="number")


def test_rows_without_a_target_are_left_out_and_counted(load):
    dataset = load(table(price=["", "NA", "nan", *map(str, np.arange(57) * 1.5)]), target="price")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 57
    assert "missing-target" in subjects(dataset)
    assert any("3 rows have no value in 'price'" in fact for fact in dataset.facts)


def test_infinite_targets_are_left_out_and_named(load):
    dataset = load(table(price=["inf", *map(str, np.arange(59) * 1.5)]), target="price")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 59
    assert {"infinite", "missing-target"} <= set(subjects(dataset))


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["EU", "NA", "AS"] * 20, ("AS", "EU", "NA")),
        (["cat", "dog", "NA", ""] * 15, ("NA", "cat", "dog")),
        (["cat", "dog", "NA"] * 20, ("cat", "dog")),
        (["EU", "AS"] * 29 + ["NA", "EU"], ("AS", "EU")),
        (["EU", "AS", "nan"] * 20, ("AS", "EU")),
        (["none", "low", "high"] * 20, ("high", "low", "none")),
    ],
)
def test_na_as_a_class_is_decided_by_how_it_is_used(load, cells, names):
    dataset = load(table(region=cells), target="region")
    assert dataset.spec.output.names == names
    assert ("missing-or-class" in subjects(dataset)) == ("NA" in names)
    if "NA" in names:
        told = load(table(region=cells), target="region", missing=("NA",))
        assert "NA" not in told.spec.output.names


def test_na_among_numbers_is_missing(load):
    assert load(table(kind=["0", "1", "NA"] * 20), target="kind").spec.output.names == ("0", "1")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([""] * 60, "has no value in any of its 60 rows"),
        (["?", "NA"] * 30, "has no value in any of its 60 rows"),
        (["cat"] * 60, "only one class, 'cat'"),
        (["3"] * 60, "only one class, '3'"),
        ([f"name {number}" for number in range(60)], "60 different values in 60 rows, too many"),
    ],
)
def test_targets_that_cannot_be_learnt(load, cells, words):
    with pytest.raises(Problem, match=words):
        load(table(kind=cells), target="kind")


def test_label_typos_are_found(load):
    cells = ["setosa", "Setosa", "virginica"] * 60 + ["virginca", "seto sa"] * 2
    dataset = load(table(len(cells), kind=cells), target="kind")
    found = [finding.details.get("names") for finding in dataset.findings if finding.subject == "label-typos"]
    assert ["Setosa", "setosa"] in [sorted(names) for names in found]
    assert ["virginica", "virginca"] in found
    wide = load(table(kind=["cafe\u0301", "caf\u00e9", "tea"] * 20), target="kind")
    assert "label-typos" in subjects(wide)
    assert "label-typos" not in subjects(load(table(kind=["class 1", "class 2", "cat", "car"] * 15), target="kind"))


# The columns


def test_kinds_of_columns(load):
    dataset = load(
        table(
            whole=[str(number % 7) for number in range(60)],
            word=["red", "green", "blue"] * 20,
            code=["007", "013"] * 30,
            day=[f"2024-0{1 + number % 9}-{1 + number % 28:02d}" for number in range(60)],
            euro=[f"{number * 7 % 50}.5" for number in range(60)],
            kind=list("xy") * 30,
        ),
        target="kind",
    )
    assert kinds(dataset) == {
        "a": "number",
        "b": "number",
        "whole": "number",
        "word": "category",
        "code": "category",
        "day": "date",
        "euro": "number",
    }
    assert dataset.spec.input.columns == dataset.preprocess.labels
    assert dataset.train["input"].shape == (42, len(dataset.preprocess.labels))


def test_columns_that_say_nothing_are_left_out_with_a_finding(load):
    count = 80
    dataset = load(
        table(
            count,
            PassengerId=[str(1 + number) for number in range(count)],
            ticket_id=[str(number * 37 % 1009) for number in range(count)],
            Name=[f"person {number}" for number in range(count)],
            Note=[f"text {number}" if number % 2 else "" for number in range(count)],
            same=["x"] * count,
            five=["5.0"] * count,
            empty=[""] * count,
            serial=[str(number * 37 % 1009) for number in range(count)],
            kind=list("xyxx") * (count // 4),
        ),
        target="kind",
    )
    assert kinds(dataset) == {"a": "number", "b": "number", "Note": "presence", "serial": "number"}
    told = {(finding.subject, finding.text.split("'")[1]) for finding in dataset.findings}
    assert told == {
        ("id-like-column", "PassengerId"),
        ("id-like-column", "ticket_id"),
        ("id-like-column", "Name"),
        ("id-like-column", "Note"),
        ("constant-column", "same"),
        ("constant-column", "five"),
        ("constant-column", "empty"),
    }
    assert all(finding.mend for finding in dataset.findings)


def test_a_lone_counting_column_is_learnt_from(load):
    line = {"n": list(range(60)), "y": [f"{2 * number + 0.5}" for number in range(60)]}
    assert kinds(load(line)) == {"n": "number"}
    assert kinds(load(table(year=range(1960, 2020), y=measured())))["year"] == "number"


def test_nothing_left_to_learn_from(load):
    with pytest.raises(Problem, match=r"No column of the table is left to learn 'y' from\. Column 'same' always holds"):
        load({"same": ["x"] * 60, "y": measured()})
    with pytest.raises(Problem, match="has only the column 'y'"):
        load("y\n1\n2\n3\n", header=True)


def test_words_among_numbers_are_missing_and_said(load):
    cells = [*measured(58), "unknown", "inf"]
    dataset = load(table(c=cells, kind=list("xy") * 30), target="kind")
    assert {"not-a-number", "infinite"} <= set(subjects(dataset))
    encoded = dataset.preprocess.encode(
        [{"a": 1, "b": 2, "c": cell} for cell in ("unknown", "", "inf", None, math.nan)]
    )
    assert (encoded == encoded[0]).all()
    with pytest.raises(Problem, match="Column 'c' holds 'strange' where a number is expected"):
        dataset.preprocess.encode([{"a": 1, "b": 2, "c": "strange"}])


@pytest.mark.parametrize(
    ("cells", "value"), [(["1,5", "2,25"], 1.5), (["1,500", "12,000,250.5"], 1500.0), (["1.5", "-.5e3"], 1.5)]
)
def test_notations_of_numbers(load, cells, value):
    content = "a;kind\n" + "".join(f"{cells[row % 2]};{'xyy'[row % 3]}\n" for row in range(60))
    column = load(content, target="kind").preprocess.columns[0]
    assert isinstance(column, Number)
    assert numbers(cells, column.notation)[0][0] == value


@pytest.mark.parametrize(
    ("cell", "order", "expected"),
    [
        ("2024-02-29", "ymd", (738945.0, 1, 3, 0)),
        ("2024/2/29 06:00", "ymd", (738945.25, 1, 3, 6)),
        ("2024-02-29T18:00:00.000Z", "ymd", (738945.75, 1, 3, 18)),
        ("2024-02-29 18:00:00+01:00", "ymd", (738945.75, 1, 3, 18)),
        ("2024-02", "ymd", (738917.0, 1, 3, 0)),
        ("29.02.2024", "dmy", (738945.0, 1, 3, 0)),
        ("2/29/2024", "mdy", (738945.0, 1, 3, 0)),
    ],
)
def test_dates(cell, order, expected):
    values, wrong = days([cell, "", None], order)
    assert tuple(values[0]) == expected
    assert np.isnan(values[1:]).all()
    assert not wrong


@pytest.mark.parametrize("cell", ["2023-02-29", "2024-13-01", "12", "24-01-01", "2024-01/02", "x"])
def test_no_dates(cell):
    assert days([cell], "ymd")[1] == [0]


def test_dates_that_can_be_read_two_ways_are_told(load):
    first = [f"{1 + n % 12}/{1 + n % 11}/2024" for n in range(60)]
    assert "ambiguous-date" in subjects(load(table(day=first, kind=list("xy") * 30), target="kind"))
    clear = load(table(day=[f"{1 + n % 28}/{1 + n % 12}/2024" for n in range(60)], kind=list("xy") * 30), target="kind")
    assert clear.preprocess.columns[2].order == "dmy"
    assert "ambiguous-date" not in subjects(clear)


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "?", "NaN", "null", None, math.nan, float("nan")])
def test_missing(cell):
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["0", "none", "NAN!", "-", 0, False, 0.0])
def test_not_missing(cell):
    assert not is_missing(cell)


def test_codes_for_missing_values_can_be_named(load):
    cells = ["-999" if number % 3 == 0 else cell for number, cell in enumerate(measured())]
    dataset = load(table(c=cells, kind=["x", "y", "no_idea"] * 20), target="kind", missing=("-999", "no_idea"))
    assert dataset.spec.output.names == ("x", "y")
    column = dataset.preprocess.columns[2]
    assert column.edges == () or min(column.edges) > -999
    encoded = dataset.preprocess.encode([{"a": 1, "b": 2, "c": cell} for cell in ("", "-999", -999, -999.0)])
    assert (encoded == encoded[0]).all()


# Fitted on the training rows only


def test_statistics_come_from_the_training_rows(load):
    content = table(200, kind=list("xy") * 100)
    first = load(content, target="kind")
    held = [int(origin.rsplit(":", 1)[1]) - 2 for origin in first.validation.origins]
    changed = {name: list(cells) for name, cells in content.items()}
    for row in held:
        changed["a"][row] = "99999.5"
    second = load(changed, target="kind")
    assert second.preprocess.to_json() == first.preprocess.to_json()
    assert (second.train["input"] == first.train["input"]).all()
    assert not (second.validation["input"] == first.validation["input"]).all()


def test_pieces_against_a_plain_reference():
    values = RANDOM.lognormal(size=500)
    values[::7] = np.nan
    column = fit_number("n", values, 8)
    present = sorted(value for value in values if not math.isnan(value))
    edges = [float(np.quantile(present, step / 8)) for step in range(9)]
    middle, quarters = float(np.quantile(present, 0.5)), np.quantile(present, (0.25, 0.75))
    rows = []
    for value in values:
        read = middle if math.isnan(value) else value
        centred = (read - middle) / ((quarters[1] - quarters[0]) / 1.349)
        row = [centred / math.sqrt(1 + (centred / 3) ** 2), float(math.isnan(value))]
        for low, high in itertools.pairwise(edges):
            row.append(0.0 if read < low else 1.0 if read >= high else (read - low) / (high - low))
        rows.append(row)
    np.testing.assert_allclose(column.encode(values.tolist()), np.array(rows), atol=1e-6)
    assert len(column.labels()) == len(rows[0])
    assert np.abs(column.encode(["1e300", "-1e300"])).max() <= 3


def test_a_column_that_is_mostly_zero_keeps_its_pieces_for_the_rest():
    rest = np.arange(1.0, 101.0)
    column = fit_number("n", np.concatenate([np.zeros(900), rest]), 10)
    assert column.edges[0] == 0.0
    np.testing.assert_allclose(column.edges[1:], np.quantile(rest, np.linspace(0, 1, 10)))


def test_few_values_have_a_piece_between_each_two():
    column = fit_number("n", np.array([1.0, 2.0, 2.0, 5.0] * 5), 8)
    assert column.edges == (1.0, 2.0, 5.0)
    assert fit_number("n", np.array([0.0, 1.0] * 5), 8).edges == ()
    assert fit_number("n", RANDOM.normal(size=50), 0).encode(["0.3"]).shape == (1, 1)
    assert np.isfinite(fit_number("n", np.array([0.0] * 50 + [9.0]), 8).encode(["0", "9", "7", ""])).all()


def test_rare_unseen_and_missing_categories():
    column = fit_choice("c", ["a"] * 5 + ["b"] * 4 + ["rare", ""], 64)
    assert column == Choice("c", ("a", "b"), other=True, gaps=True)
    np.testing.assert_array_equal(
        column.encode(["a", " b", "rare", "unseen", "", None]),
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]],
    )
    plain = fit_choice("c", ["a", "b"] * 5, 64)
    np.testing.assert_array_equal(plain.encode(["b", "unseen", None]), [[0, 1], [0, 0], [0, 0]])
    assert fit_choice("c", ["a"] * 5 + ["b"] * 4 + ["c"] * 3, 2).values == ("a", "b")


def test_python_values_read_like_their_text():
    assert texts([True, np.int64(3), 3.0, "3", 2.5]) == ["true", "3", "3", "3", "2.5"]
    assert texts([True, False], known=("False", "True")) == ["True", "False"]
    assert numbers([True, np.float32(0.5), 3, "3"])[0].tolist() == [1.0, 0.5, 3.0, 3.0]
    assert numbers(["1_000", "0x1", "1 2"])[1] == [0, 1, 2]


# One path


@pytest.fixture
def mixed(load):
    return load(
        table(
            300,
            gap=[cell if number % 4 else "" for number, cell in enumerate(measured(300))],
            word=["red", "green", "blue", "", "NA"] * 60,
            day=[f"202{number % 5}-0{1 + number % 9}-11T0{number % 10}:00" for number in range(300)],
            kind=list("xyz") * 100,
        ),
        target="kind",
    )


def test_a_row_alone_in_a_batch_and_in_training_is_bit_identical(mixed, tmp_path):
    items = mixed.preprocess.read([str(tmp_path / "data.csv")])
    together = mixed.preprocess.encode([row for _, row in items])
    place = {name.rsplit("/", 1)[1]: number for number, (name, _) in enumerate(items)}
    for split in (mixed.train, mixed.validation):
        rows = [place[origin] for origin in split.origins]
        assert torch.equal(together[rows], split["input"])
    for number in range(0, 300, 7):
        assert torch.equal(mixed.preprocess.encode([items[number][1]])[0], together[number])
    assert together.dtype == torch.float32
    assert torch.equal(mixed.preprocess.tensor(together), together)


def test_json_round_trip_encodes_alike(mixed, tmp_path):
    again = preprocess.restore(json.loads(json.dumps(preprocess.dump(mixed.preprocess))))
    rows = [row for _, row in mixed.preprocess.read([str(tmp_path / "data.csv")])]
    assert isinstance(again, TablePreprocess)
    assert torch.equal(again.encode(rows), mixed.preprocess.encode(rows))
    assert again.labels == mixed.preprocess.labels


def test_rows_as_python_values_and_sequences(mixed):
    row = {"a": "0.5", "b": "-1", "gap": "", "word": "red", "day": "2024-03-01"}
    expected = mixed.preprocess.encode([row])
    typed = {"a": 0.5, "b": np.int64(-1), "gap": None, "word": "red", "day": "2024-03-01", "kind": "x"}
    assert torch.equal(mixed.preprocess.encode([typed]), expected)
    assert torch.equal(mixed.preprocess.encode([[0.5, -1, math.nan, "red", "2024-03-01"]]), expected)


def test_arrays(load):
    dataset = load(table(kind=list("xy") * 30), target="kind")
    array = RANDOM.normal(size=(5, 2))
    rows = [{"a": float(first), "b": float(second)} for first, second in array]
    assert torch.equal(dataset.preprocess.encode(array), dataset.preprocess.encode(rows))
    with pytest.raises(Problem, match="Row 1 has 3 values where 2 are expected: a, b"):
        dataset.preprocess.encode(np.zeros((4, 3)))


def test_wrong_rows_name_the_column(mixed):
    row = {"a": 1, "b": 2, "gap": 3, "word": "red", "day": "2024-03-01"}
    with pytest.raises(Problem, match=r"Row 2 has no column 'word'\. Did you mean 'words'"):
        mixed.preprocess.encode([row, {"words" if name == "word" else name: cell for name, cell in row.items()}])
    with pytest.raises(Problem, match="Row 1 has a column 'agee' that the model was not trained on"):
        mixed.preprocess.encode([{**row, "agee": 3}])
    with pytest.raises(Problem, match="Column 'a' holds 'x' where a number is expected"):
        mixed.preprocess.encode([{**row, "a": "x"}])
    with pytest.raises(Problem, match="Column 'day' holds 'tomorrow' where a date is expected"):
        mixed.preprocess.encode([{**row, "day": "tomorrow"}])


def test_files_to_predict(load, tmp_path):
    dataset = load(
        "".join(f"{a},{'xyy'[row % 3]},{row % 5}.5\n" for row, a in enumerate(measured())), target="column_2"
    )
    path = tmp_path / "new.csv"
    for content in ("0.5,2.5\n", "0.5,y,2.5\n"):
        path.write_text(content)
        ((name, row),) = dataset.preprocess.read([str(path)])
        assert name.endswith("new.csv:1")
        assert (row["column_1"], row["column_3"]) == ("0.5", "2.5")
    path.write_text("1\n")
    with pytest.raises(Problem, match="has 1 columns and no names for them, where 2 are expected"):
        dataset.preprocess.read([str(path)])


def test_files_to_predict_need_the_columns_that_are_learnt_from(mixed, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("gap,word,day,a,Bee\n1,red,2024-03-01,1,2\n")
    with pytest.raises(Problem, match=r"new\.csv has no column 'b'"):
        mixed.preprocess.read([str(path)])
    path.write_text("gap,word,day,a,b\n1,red,2024-03-01,1,2\n")
    assert len(mixed.preprocess.encode([row for _, row in mixed.preprocess.read([str(path)])])) == 1


def test_columns_that_are_left_out_may_lack(load):
    dataset = load(table(id=range(60), kind=list("xy") * 30), target="kind")
    assert torch.equal(
        dataset.preprocess.encode([{"a": 1, "b": 2}]), dataset.preprocess.encode([{"id": 9, "a": 1, "b": 2}])
    )


# Splits and files


def test_second_file_as_test(load, tmp_path):
    (tmp_path / "test.csv").write_text("kind,b,a\n" + "x,1.5,2\ny,2,?\n" * 5)
    dataset = load(table(kind=list("xy") * 30), target="kind", test=str(tmp_path / "test.csv"))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (54, 6, 10)
    opened = dataset.test.open(lambda: 1)
    assert opened.origins[0] == "test.csv:2"
    assert torch.equal(opened["input"][:1], dataset.preprocess.encode([{"a": 2, "b": 1.5}]))
    (tmp_path / "test.csv").write_text("kind,a\nx,1\n")
    with pytest.raises(Problem, match=r"test\.csv has no column 'b'"):
        load(table(kind=list("xy") * 30), target="kind", test=str(tmp_path / "test.csv"))


def test_group_and_time(load):
    content = table(
        100,
        patient=[f"p{number % 20}" for number in range(100)],
        when=[f"2024-{1 + number // 28:02d}-{1 + number % 28:02d} 12:00" for number in range(100)],
        kind=list("xy") * 50,
    )
    grouped = load(content, target="kind", group="patient")
    owners = [
        {content["patient"][int(origin.split(":")[1]) - 2] for origin in part.origins}
        for part in (grouped.train, grouped.validation, grouped.test.open(lambda: 1))
    ]
    assert sum(map(len, owners)) == 20
    assert len(set.union(*owners)) == 20
    assert "patient" not in kinds(grouped)
    timed = load(content, target="kind", time="when")
    lines = [[int(o.split(":")[1]) for o in part.origins] for part in (timed.train, timed.validation)]
    assert max(lines[0]) < min(lines[1])
    with pytest.raises(Misuse, match=r"data\.group=patiend names no column .*Did you mean 'patient'"):
        load(content, target="kind", group="patiend")
    with pytest.raises(Problem, match=r"data\.time=word: 'soon' is neither"):
        load(table(word=["soon", "later"] * 30, kind=list("xy") * 30), target="kind", time="word")
    with pytest.raises(Problem, match="'word' is empty in 30 rows"):
        load(table(word=["", "later"] * 30, kind=list("xy") * 30), target="kind", group="word")


def test_ragged_rows_end_up_in_bad(load):
    content = "a,kind\n" + "".join(f"{row}.5,{'xy'[row % 2]}\n" for row in range(40)) + "1,2,3\n"
    dataset = load(content, target="kind", skip_bad=True)
    assert len(dataset.bad) == 1
    with pytest.raises(Problem, match="line 42"):
        load(content, target="kind")


def test_same_content_same_digest_and_data(load):
    content = table(kind=list("xy") * 30)
    first, second, other = (load(content, target="kind", seed=seed) for seed in (1, 1, 2))
    assert first.digest == second.digest == other.digest
    assert torch.equal(first.train["input"], second.train["input"])
    assert not torch.equal(first.train["input"], other.train["input"])
    content["a"][0] = "77"
    assert load(content, target="kind").digest != first.digest


def test_missing_paths(tmp_path):
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Problem, match=r"no file .*sale\.csv\. Did you mean 'sales\.csv'"):
        tables.load(str(tmp_path / "sale.csv"), Config(), 0)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(Problem, match="is a folder"):
        tables.load(str(tmp_path / "folder.csv"), Config(), 0)


@pytest.mark.parametrize(
    ("source", "known"), [("a.csv", True), ("b.parquet.gz", True), ("pictures", False), ("a.txt", False)]
)
def test_recognise(source, known):
    assert (tables.recognise(source) is not None) is known
