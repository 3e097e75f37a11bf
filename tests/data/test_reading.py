"""Reading table files: formats, encodings, delimiters, headers, and everything that can be wrong with a file."""

import gzip
import json
import tracemalloc

import pytest

from deepen.data import text_file
from deepen.data.reading import ending, read_table
from deepen.errors import Misuse, Problem


@pytest.fixture
def write(tmp_path):
    def make(name, content):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return make


PLAIN = "age,city\n31,Bern\n42,Genf\n"
CELLS = {"age": ["31", "42"], "city": ["Bern", "Genf"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", PLAIN),
        ("a.CSV", PLAIN),
        ("a.csv.gz", PLAIN),
        ("a.csv", gzip.compress(PLAIN.encode())),
        ("crlf.csv", PLAIN.replace("\n", "\r\n")),
        ("blank_lines.csv", PLAIN.replace("\n", "\n\n")),
        ("no_last_end.csv", PLAIN.rstrip()),
        ("after_comma.csv", PLAIN.replace(",", ", ")),
        ("quoted.csv", '"age","city"\n"31","Bern"\n"42","Genf"\n'),
        ("a.tsv", PLAIN.replace(",", "\t")),
        ("semicolon.csv", PLAIN.replace(",", ";")),
        ("bar.csv", PLAIN.replace(",", "|")),
        ("bom.csv", b"\xef\xbb\xbf" + PLAIN.encode()),
        ("utf16le.csv", PLAIN.encode("utf-16")),
        ("utf16be.csv", b"\xfe\xff" + PLAIN.encode("utf-16-be")),
        ("a.jsonl", '{"age": "31", "city": "Bern"}\n\n{"age": "42", "city": "Genf"}\n'),
        ("a.jsonl.gz", '{"age": "31", "city": "Bern"}\n{"city": "Genf", "age": "42"}\n'),
    ],
)
def test_the_same_table_in_every_form(write, name, content):
    table = read_table(write(name, content))
    assert table.columns == CELLS
    assert table.header


def test_lines_are_those_of_the_file(write):
    table = read_table(write("a.csv", 'n,text\n1,"two\nlines"\n\n2,one\n'))
    assert table.lines == [2, 5]
    assert table.origin(1) == "a.csv:5"
    assert table.columns["text"] == ["two\nlines", "one"]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    content = {"n": [1, None, 3], "f": [0.1, 2.5, float("inf")], "b": [True, False, None], "c": ["NA", "中", None]}
    parquet.write_table(pyarrow.table(content), path)
    expected = {
        "n": ["1", None, "3"],
        "f": ["0.1", "2.5", "inf"],
        "b": ["true", "false", None],
        "c": ["NA", "中", None],
    }
    assert read_table(path).columns == expected
    packed = tmp_path / "a.parquet.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_table(packed).columns == expected
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Problem, match=r"a\.parquet is damaged or no Parquet"):
        read_table(path)


def test_parquet_without_pyarrow_says_what_to_install(write, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Problem, match=r"pip install 'deepen\[data\]'"):
        read_table(write("a.parquet", "x"))


def test_jsonl_keeps_types_apart_and_fills_gaps(write):
    rows = [{"a": 1, "b": True}, {"a": 2.5, "c": None}, {"b": False, "c": [1, 2]}]
    table = read_table(write("a.jsonl", "\n".join(map(json.dumps, rows))))
    assert table.columns == {
        "a": ["1", "2.5", None],
        "b": ["true", None, "false"],
        "c": [None, None, "[1, 2]"],
    }


@pytest.mark.parametrize(
    ("content", "header", "words"),
    [
        ("1,2,a\n3,4,b\n", False, "is data: it holds a number"),
        ("x,y,kind\n3,4,b\n5,6,c\n", True, "names the columns: numbers stand under 'x'"),
        ("label,text\nham,hello\nspam,buy now\nham,bye\n", True, "occur nowhere below"),
        ("ham,hello\nspam,buy now\nham,bye\n", False, "'ham' stands in the rows below"),
        (",x\n0,1.5\n1,2.5\n", True, "numbers stand under 'x'"),
    ],
)
def test_header_is_decided_and_said(write, content, header, words):
    table = read_table(write("a.csv", content))
    assert table.header is header
    assert any(words in fact for fact in table.facts)
    assert len(table.lines) == content.count("\n") - header
    if not header:
        assert next(iter(table.columns)) == "column_1"


def test_header_can_be_asked_for(write):
    path = write("a.csv", "2019,2020\n1,2\n")
    assert list(read_table(path, header=True).columns) == ["2019", "2020"]
    assert read_table(path).columns == {"column_1": ["2019", "1"], "column_2": ["2020", "2"]}


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ("1,5;2,5\n3,5;4,5\n", ["1,5", "3,5"]),
        ('a,b\n"x;y",1\n"z;w",2\n', ["x;y", "z;w"]),
        ("a|b\nx, y|1\nz, w|2\n", ["x, y", "z, w"]),
        ("a\n1\n2\n", ["1", "2"]),
    ],
)
def test_delimiter_is_not_taken_from_inside_cells(write, content, cells):
    table = read_table(write("a.csv", content))
    assert next(iter(table.columns.values())) == cells


def test_delimiter_can_be_asked_for(write):
    path = write("a.csv", "a:b\n1:2\n")
    assert read_table(path, delimiter=":").columns == {"a": ["1"], "b": ["2"]}
    with pytest.raises(Misuse, match="one character"):
        read_table(path, delimiter="::")


def test_lone_quotes_in_tabs_are_text(write):
    table = read_table(write("a.tsv", 'label\ttext\nham\t"hello\nspam\tbuy "now"\nham\tbye\n'))
    assert table.columns["text"] == ['"hello', 'buy "now"', "bye"]
    assert read_table(write("b.tsv", 'n\tt\n1\t"a, b"\n')).columns["t"] == ["a, b"]


CHINESE = "城市,人口,类别\n北京,2154,大城市\n上海,2424,大城市\n拉萨,87,小城市\n"


def test_gbk_is_found_and_said(write):
    table = read_table(write("a.csv", CHINESE.encode("gbk")))
    assert table.columns["城市"] == ["北京", "上海", "拉萨"]
    assert any("GBK" in fact for fact in table.facts)
    asked = read_table(write("a.csv", CHINESE.encode("gbk")), encoding="gbk")
    assert asked.columns == table.columns


def test_latin_1_is_not_taken_for_chinese(write):
    path = write("a.csv", "name,n\nMüller,1\nJosé,2\nFrançois,3\nÅngström,4\n".encode("latin-1"))
    with pytest.raises(Problem, match="not UTF-8 text: name its encoding"):
        read_table(path)
    assert read_table(path, encoding="latin-1").columns["name"] == ["Müller", "José", "François", "Ångström"]


def test_unknown_encoding(write):
    for name in ("utf-99", "base64"):
        with pytest.raises(Misuse, match=f"encoding={name} is not known"):
            read_table(write("a.csv", PLAIN), encoding=name)
    with pytest.raises(Problem, match=r"a\.csv, near its beginning: not ascii text"):
        read_table(write("a.csv", CHINESE), encoding="ascii")


def test_known_names_decide_the_header_of_a_file_to_predict(write):
    assert read_table(write("a.csv", "kind,place\nx,y\n"), known=["kind", "place"]).header
    assert not read_table(write("a.csv", "x,y\n"), known=["kind", "place"]).header


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "empty \\(0 bytes\\)"),
        ("a.csv", "\n\n\n", "no rows"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv.gz", "", "no rows"),
        ("a.jsonl", "\n", "no rows"),
        ("a.csv", "a,b\n1,2\n3\n4,5\n", r"a\.csv, line 3: has 1 cells where 2 are expected"),
        ("a.csv", "a,b\n1,2\n3,4,5\n4,5\n", r"a\.csv, line 3: has 3 cells where 2 are expected.*data\.skip_bad=true"),
        ("a.csv", "a,b\n1,2\n3,\0\n", r"a\.csv, line 3: holds a NUL byte"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "NUL byte.*utf-16-le"),
        ("a.csv", "a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'"),
        ("a.csv", 'a,b\n1,"2\n' + "3,4\n" * 50_000, r"line 2: cannot be read .*quotation mark"),
        ("a.csv", b"PK\x03\x04 workbook", "spreadsheet, archive or binary"),
        ("a.txt", "a,b\n1,2\n", "expected .csv"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl, line 2: is no JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "line 2: is no JSON object .* but list"),
        ("a.jsonl", "[" * 100_000, "line 1: is no JSON"),
    ],
)
def test_what_is_wrong_is_named(write, name, content, words):
    with pytest.raises(Problem, match=words):
        read_table(write(name, content))


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(PLAIN.encode() * 1000)
    for name, content in (("cut.csv.gz", whole[: len(whole) // 2]), ("not.csv.gz", PLAIN.encode())):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(Problem, match="cannot be unpacked"):
            read_table(path)


def test_missing_path_and_folder(tmp_path):
    with pytest.raises(Problem, match="There is no file"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(Problem, match="There is no table some words: expected"):
        read_table("some words")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(Problem, match="is a folder"):
        read_table(tmp_path / "folder.csv")


def test_ragged_rows_can_be_left_out(write):
    table = read_table(write("a.csv", "a,b\n1,2\n3\n4,5\n"), skip_bad=True)
    assert table.columns == {"a": ["1", "4"], "b": ["2", "5"]}
    assert table.lines == [2, 4]
    assert [bad.reason for bad in table.bad] == ["1 cells where 2 are expected"]
    assert table.bad[0].path.endswith("a.csv:3")


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "LONGEST_LINE", 100_000)
    path = tmp_path / "long.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"a,b\n")
        for _ in range(64):
            file.write(b"1" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(Problem, match=r"long\.csv\.gz, line 2: longer than 100,000 characters"):
        read_table(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("name", "kind"), [("a.csv", ".csv"), ("B.TSV.GZ", ".tsv.gz"), ("x.y.parquet", ".parquet"), ("none", "")]
)
def test_ending(name, kind):
    assert ending(name) == kind
