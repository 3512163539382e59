"""Tables in files: what their columns are taken for, and what is wrong with bad ones."""

import datetime

import pytest
import torch

from genkit.data.tables import as_text, table_of
from genkit.errors import DataError
from genkit.interfaces import Side
from genkit_data import Tables

GOOD = """\
name,age,port,alone,born,visits,same,empty
a,22.5,S,True,1970-01-02,0,x,
b,,C,False,1969-12-31,3,x,NA
c,38,,True,2000-02-29,12,x,
"""
VALUES = {
    "age": [22.5, None, 38.0],
    "port": ["S", "C", None],
    "alone": [True, False, True],
    "born": [datetime.date(1970, 1, 2), datetime.date(1969, 12, 31), datetime.date(2000, 2, 29)],
    "visits": [0, 3, 12],
    "same": ["x"] * 3,
}
"""The columns of GOOD without its names and the one that is empty."""


@pytest.fixture
def table(tmp_path):
    """A function that reads a table from its text."""

    def read(text, trained=(), side=None, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Tables(Tables.Config(path=str(path), **options), trained, side).load()

    return read


def test_columns_are_what_their_values_are(table):
    raw = table(GOOD, id="name")
    kinds = {column.name: column.kind for column in raw.columns}
    assert kinds == {
        "age": "numeric",
        "port": "categorical",
        "alone": "boolean",
        "born": "date",
        "visits": "numeric",
        "same": "constant",
        "empty": "constant",
    }
    assert raw.ids == {"train": ("a", "b", "c")}
    expected = [
        [22.5, 0, 1, 1, 1, 0, 0, 0],  # age, port C and S, alone, born, visits; marks of age and port
        [0, 1, 0, 0, -1, 3, 1, 0],
        [38, 0, 0, 1, 11016, 12, 0, 1],
    ]
    assert raw.train.x.tolist() == expected
    assert raw.notes == (
        "columns: numeric age, visits; categorical port (2); boolean alone; date born",
        "dates: days since 1970-01-01",
        "missing values, each with a mark: age 1, port 1",
        "left out, as they have one value alone: same ('x')",
        "left out, as all values are missing: empty",
    )


def test_rows_go_back_to_what_the_file_holds(table):
    raw = table(GOOD, drop=("name",))
    values = table_of(raw.train.x, raw.columns)
    assert values == VALUES | {"empty": [None] * 3}
    assert as_text(values, raw.columns)["born"] == ["1970-01-02", "1969-12-31", "2000-02-29"]
    assert as_text(values, raw.columns)["alone"] == ["True", "False", "True"]


def test_a_trained_model_reads_columns_by_their_names(table):
    raw = table(GOOD, drop=("name",))
    again = table("more,visits,born,alone,port,age\n1,3,1969-12-31,false,C,\n", raw.columns, drop=("name",))
    assert torch.equal(again.train.x, raw.train.x[1:2])
    assert again.columns == raw.columns
    assert again.doubts == ("columns that the model was not trained on are left out: more",)


def test_labels_are_the_classes_of_the_model(table):
    raw = table("x,y\n1,b\n2,a\n3,b\n", label="y")
    assert (raw.classes, raw.train.labels.tolist()) == (("a", "b"), [1, 0, 1])
    assert [column.name for column in raw.columns] == ["x"]
    side = {"labels": Side((), 2, ("a", "b"))}
    assert table("x,y\n1,b\n", raw.columns, side, label="y").train.labels.tolist() == [1]
    assert table("x\n1\n", raw.columns, side, label="y").train.labels is None
    with pytest.raises(DataError, match="line 2, column 'y': 'c' is no class of the model: a, b"):
        table("x,y\n1,c\n", raw.columns, side, label="y")
    assert table("x,y\n1,10\n2,9\n", label="y").classes == ("9", "10")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_header(table, delimiter):
    text = 'x,y\n1,"a,b"\n2,c\n'.replace(",", delimiter)
    raw = table(text)
    assert [column.name for column in raw.columns] == ["x", "y"]
    assert raw.columns[1].categories == (f"a{delimiter}b", "c")


def test_quotes_bom_and_spaces(table):
    raw = table(b'\xef\xbb\xbf x ,"y"\r\n 1 ,"he said ""no"""\r\n2,"two\nlines"\r\n')
    assert [column.name for column in raw.columns] == ["x", "y"]
    assert raw.columns[1].categories == ('he said "no"', "two\nlines")
    assert raw.train.x[:, 0].tolist() == [1, 2]


def test_options_of_reading(table):
    assert table("x;y\n1,5;ä\n2;b\n".encode("latin-1"), encoding="latin-1", decimal=",").train.x[:, 0].tolist() == [
        1.5,
        2,
    ]
    assert table("x,y\n1,?\n2,3\n4,5\n", missing=("?",)).columns[1].mark == 2
    assert table("x,y\n1,2\n2,3\n", types={"x": "categorical"}).columns[0].categories == ("1", "2")
    assert table("x,y\n1,2\n2,3\n", columns=("y",)).train.x.tolist() == [[2], [3]]
    dates = table("x,d\n1,01/02/2000\n2,03/04/2001\n", dates="%d/%m/%Y")
    assert table_of(dates.train.x, dates.columns)["d"][0] == datetime.date(2000, 2, 1)
    assert as_text(table_of(dates.train.x, dates.columns), dates.columns)["d"][1] == "03/04/2001"


def test_texts_of_many_values_are_left_out_with_a_doubt(table):
    text = "x,name\n" + "".join(f"{i},person {i}\n" for i in range(20))
    raw = table(text)
    assert [column.name for column in raw.columns] == ["x"]
    assert raw.doubts[0].startswith(
        "columns of text with many different values are left out: name (20); data.types={name:"
    )
    assert table(text, types={"name": "categorical"}).train.x.shape == (20, 21)


def test_large_whole_numbers_lose_digits(table):
    assert table("x,y\n1,123456789\n2,2\n").doubts[0].startswith("whole numbers above 16,777,216 lose digits: y;")


def test_an_index_without_a_name_is_called_by_its_place(table):
    assert table(",x\n0,1.5\n1,2.5\n", id="column_1").ids == {"train": ("0", "1")}


BAD = {
    "ragged": ("x,y\n1,2\n1,2,3\n", "line 3 has 3 fields, and the header has 2; mend the line"),
    "short": ("x,y\n1\n", "line 2 has 1 fields, and the header has 2"),
    "empty": ("", "is empty; a table has a line with the names of its columns"),
    "header only": ("x,y\n", "has a header of 2 columns, and no row below it"),
    "no header": ("1,2\n3,4\n", "line 1 holds numbers where the names of the columns should be"),
    "twice": ("x, x\n1,2\n", "line 1: columns 1 and 2 are both called 'x', spaces aside; rename one"),
    "mixed": (
        "x,y\n1,2\n2,oops\n3,4\n",
        "line 3, column 'y': 'oops' is not a number, as 2 other values .*data.missing=",
    ),
    "inf": ("x,y\n1,2\n2,inf\n", "line 3, column 'y': 'inf' is not finite; mend it, or take it as missing"),
    "1e308": ("x,y\n1,1e308\n2,3\n", "line 2, column 'y': '1e308' is beyond what float32 holds, 3.4e\\+38; scale"),
    "two forms": (
        "x,d\n1,2020-01-02\n2,03.04.2020\n",
        "line 3, column 'd': '03.04.2020' is no date of the form %Y-%m-%d, as '2020-01-02' in line 2 is",
    ),
    "which form": (
        "x,d\n1,01/02/2020\n2,03/04/2020\n",
        "line 2, column 'd': '01/02/2020' is %d/%m/%Y or %m/%d/%Y, .*say which: data.dates='%d/%m/%Y'",
    ),
    "no date": ("x,d\n1,2020-01-02\n2,2020-01-03\n3,soon\n", "line 4, column 'd': 'soon' is not a date, as 2 other"),
    "latin-1": (
        "x,y\n1,b\n1,ä\n".encode("latin-1"),
        "line 3 is not utf-8: byte 0xe4; .*data.encoding=latin-1 reads it",
    ),
    "utf-16": ("x,y\n1,2\n".encode("utf-16"), "line 1 is not utf-8: byte 0xff; .*data.encoding=utf-16 reads it"),
    "open quote": ('x,y\n1,"2\n', "line 2: unexpected end of data; mend its quotes"),
    "comma": ('x;y\n1;"1,5"\n2;2,5\n', "line 2, column 'y': '1,5' has a comma .*data.decimal=','"),
    "all the same": ("x,y\n1,2\n1,2\n", "no column has different values that a model could learn"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_have_one_message(table, name):
    text, message = BAD[name]
    with pytest.raises(DataError, match=f"^data.path: .*t.csv: {message}") as raised:
        table(text)
    assert len(raised.value.args) == 1


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "x;y\n1;2\n",
            {"delimiter": ","},
            "the header is one column, 'x;y': ',' does not divide it; data.delimiter=';'",
        ),
        ("k,x\na,1\nb,2\na,3\n", {"id": "k"}, "line 4, column 'k': the id 'a' is that of line 2 too"),
        ("k,x\na,1\n,2\n", {"id": "k"}, "line 3, column 'k': the id is missing"),
        (
            "k,x\na,1\n,2\n",
            {"label": "k"},
            "line 3, column 'k': the label is missing; fill it in, or leave the row out",
        ),
        ("port,x\na,1\n", {"drop": ("prt",)}, "data.drop: .*has no column 'prt'; did you mean 'port'?"),
        ("x,y\na,1\nb,2\nc,3\n", {"types": {"x": "boolean"}}, "column 'x' has 3 different values; boolean takes two"),
        ("x,y\na,1\nb,2\n", {"types": {"x": "numeric"}}, "line 2, column 'x': 'a' is no number; mend it"),
        ("x,y\na,1\nb,2\n", {"encoding": "utf-9"}, "data.encoding: there is no encoding 'utf-9'"),
    ],
)
def test_options_that_do_not_fit_the_file(table, text, options, message):
    with pytest.raises(DataError, match=message):
        table(text, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "age,port,alone,born\n1,S,True,1970-01-01\n",
            "lacks columns that the model was trained on: visits; it has age, port",
        ),
        ("ages,visits,port,alone,born\n1,1,S,True,1970-01-01\n", "trained on: age; it has ages instead"),
        (
            GOOD.replace("C,", "X,"),
            "line 3, column 'port': 'X' is none of the categories of the training data: C, S; mend",
        ),
        (GOOD.replace("12", ""), "line 4, column 'visits': the value is missing, and none was in the training data"),
        (
            GOOD.replace("1969-12-31", "31.12.1969"),
            "line 3, column 'born': '31.12.1969' is no date of the form %Y-%m-%d",
        ),
    ],
)
def test_other_files_that_do_not_fit_the_training(table, text, message):
    columns = table(GOOD, drop=("name",)).columns
    with pytest.raises(DataError, match=message):
        table(text, columns, drop=("name",))


def test_all_bad_columns_are_named_at_once(table):
    with pytest.raises(DataError) as raised:
        table("x,y\n1,2\na,b\n2,3\n")
    assert ["column 'x'" in raised.value.args[0], "column 'y'" in raised.value.args[1]] == [True, True]


def test_parquet_is_read_as_the_same_table(table, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from_text = table(GOOD, id="name")
    values = {"name": ["a", "b", "c"], **VALUES, "empty": pyarrow.nulls(3)}
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table(values), path)
    raw = Tables(Tables.Config(path=str(path), id="name")).load()
    assert torch.equal(raw.train.x, from_text.train.x)
    assert raw.columns == from_text.columns
    parquet.write_table(pyarrow.table({"x": [1, 2], "y": [[1], [2]]}), path)
    with pytest.raises(DataError, match=r"column 'y' holds list; leave it out: data.drop=\[y\]"):
        Tables(Tables.Config(path=str(path))).load()
    assert Tables(Tables.Config(path=str(path), drop=("y",))).load().train.x.tolist() == [[1], [2]]
    path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"t.parquet: cannot be read as .parquet"):
        Tables(Tables.Config(path=str(path))).load()
