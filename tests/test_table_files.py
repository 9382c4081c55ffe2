"""Files of tables before anything is learned from them: their form, their beginning, and who reads them."""

import datetime
import gzip
import io
import warnings
import zlib

import numpy as np
import pytest

from fastbp.tables import _frames, _text
from fastbp.tables._errors import DataError
from fastbp.tables._frames import PandasTable, PolarsTable, read_table
from fastbp.tables._text import TextForm, open_text

pytest.importorskip("polars")
pytest.importorskip("pandas")


@pytest.fixture
def written(tmp_path):
    def write(content, name="a.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path / name)

    return write


# ---- What may be said of a file ----


@pytest.mark.parametrize("separator", [5, "", "::", "·", "a", "5", '"', "\n", "\r", ".", "-", "+"])
def test_what_cannot_stand_between_fields(separator):
    with pytest.raises(
        ValueError, match=r"^separator must be one character that is in no number or name, or tab, got "
    ):
        TextForm(separator=separator)


@pytest.mark.parametrize("encoding", ["nothing", "rot13", "undefined", "a\0b", 5])
def test_what_is_no_encoding_of_text(encoding):
    with pytest.raises(ValueError, match=r"^encoding must name an encoding of text, as utf-16 or cp1252, got "):
        TextForm(encoding=encoding)


def test_what_is_no_sign_before_decimals():
    with pytest.raises(ValueError, match=r"^decimal must be one of \., ,, got ';'"):
        TextForm(decimal=";")


# ---- The beginning ----


@pytest.mark.parametrize("head", range(13, 30))
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_wherever_the_beginning_ends_the_form_is_that_of_whole_lines(written, monkeypatch, head, line):
    monkeypatch.setattr(_text, "HEAD", head)
    table = open_text(written(line.join(["a;ö,b", "1,2", "1,ü", "5,6", "7,8", ""])), TextForm())
    assert (table.separator, table.names) == (",", ["a;ö", "b"])


def test_names_may_be_longer_than_the_beginning(written, monkeypatch):
    monkeypatch.setattr(_text, "HEAD", 16)
    names = [f"column {n}" for n in range(100)]
    for encoding in ("utf-8", "utf-16"):
        path = written("\n".join([",".join(names), ",".join(["1"] * 100), ""]).encode(encoding))
        table = read_table(path)
        assert (table.names, len(table)) == (names, 1)


def test_no_more_is_looked_at_than_the_beginning_or_the_longest_line(written, monkeypatch):
    monkeypatch.setattr(_text, "HEAD", 16)
    monkeypatch.setattr(_text, "LONGEST_LINE", 64)
    lines, names = b"a,b\n" + b"1,2\n" * 3, [f"a{n:02}" for n in range(17)]
    for beginning in (lines, ",".join(names).encode()):
        assert open_text(written(beginning + b"\xff\n"), TextForm()).separator == ","  # which is no text


def test_many_names_are_read_and_looked_at_once(written):
    names = [
        f"column {n}" for n in range(100_000)
    ]  # more than the beginning, and to compare each with each takes minutes
    assert open_text(written(",".join(names) + "\n"), TextForm()).names == names
    with pytest.raises(DataError, match=r"a\.csv: columns 8 and 100001 are both called 'column 7'$"):
        open_text(written(",".join([*names, "column 7"]) + "\n"), TextForm())


def test_a_line_without_an_end_is_not_read_for_ever(written, monkeypatch):
    monkeypatch.setattr(_text, "HEAD", 16)
    monkeypatch.setattr(_text, "LONGEST_LINE", 64)
    path = written(",".join(f"column {n}" for n in range(1000)))
    assert open_text(path, TextForm()).separator == ","
    with pytest.raises(DataError, match=r"a\.csv: "):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "separator"),
    [
        ("a.csv", "a\n1\n", ","),
        ("a.tsv", "a\n1\n", "\t"),
        ("a.tsv", "a,b\n1,2\n", ","),
        ("a.tsv", "a,b\tc\n1,2\t3\n", "\t"),
        ("a.csv", "a;b", ";"),
        ("a.csv", "a;b\n1\n", ";"),
        ("a.csv", "a;b;c\n1;2;3,5\n", ";"),
        ("a.csv", "a b|c d\n1|2\n", "|"),
    ],
)
def test_the_separator_of_few_lines(written, name, content, separator):
    assert open_text(written(content, name), TextForm()).separator == separator


def test_separators_that_all_fit_are_told(written):
    with pytest.raises(DataError, match=r"fields may be separated by ',' or '\\t': say it with "):
        open_text(written("a,b\tc\n1,2\t3\n"), TextForm())


def test_a_separator_that_separates_nothing_in_the_first_line_is_told(written):
    with pytest.raises(DataError, match=r"',' separates nothing there, and ';' does$"):
        open_text(written("a;b\n1,5;2\n"), TextForm(","))
    assert open_text(written("a b\n1\n"), TextForm(",")).names == ["a b"]


# ---- Where the bytes are ----

PLAIN = "a,b\n1,2\n"


def test_a_file_in_utf_8_is_read_where_it_lies_and_others_are_unpacked(written):
    path = written(PLAIN)
    assert open_text(path, TextForm()).source == path
    for content in (gzip.compress(PLAIN.encode()), PLAIN.encode("utf-16")):
        source = open_text(written(content), TextForm()).source
        assert isinstance(source, io.BytesIO)
        assert source.getvalue().decode() == PLAIN


def test_a_quote_that_is_not_closed_is_told_of_packed_files_too(written):
    content = 'a,b\n"1,2\n3,4\n' + "5,6\n" * 200
    for packed in (content.encode(), gzip.compress(content.encode())):
        with pytest.raises(DataError, match="a quote is not closed"):
            read_table(written(packed))


def test_what_is_unpacked_may_take_a_quarter_of_the_memory_and_no_more(written, monkeypatch):
    path = written(gzip.compress(PLAIN.encode()))
    monkeypatch.setattr(_text, "memory", lambda: 4 * len(PLAIN))
    assert open_text(path, TextForm()).source.getvalue() == PLAIN.encode()
    monkeypatch.setattr(_text, "memory", lambda: 4 * len(PLAIN) - 1)
    with pytest.raises(DataError, match=r"a\.csv: it unpacks to more than .*, a quarter of this machine's memory"):
        open_text(path, TextForm())


def damaged(*, cut=0, checksum=False, content=False):
    whole = bytearray(gzip.compress(("a,b\n" + "1,2\n" * 1000).encode(), mtime=0))
    if checksum:
        whole[-8] ^= 1
    if content:
        whole[10] |= 6  # a kind of block that there is none of
    return bytes(whole[: len(whole) - cut])


@pytest.mark.parametrize("how", [{"cut": 9}, {"checksum": True}, {"content": True}], ids=str)
def test_damaged_gzip_is_told(written, how):
    with pytest.raises((EOFError, gzip.BadGzipFile, zlib.error)):
        gzip.decompress(damaged(**how))
    with pytest.raises(DataError, match=r"a\.csv: the gzip data are damaged: "):
        open_text(written(damaged(**how)), TextForm())


# ---- Who reads them ----


@pytest.mark.parametrize(
    ("there", "expected"),
    [(["polars", "pandas"], PolarsTable), (["polars"], PolarsTable), (["pandas"], PandasTable), ([], PolarsTable)],
)
def test_polars_reads_them_or_else_pandas(monkeypatch, there, expected):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True if name in there else None)
    assert _frames.installed() is expected


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), MemoryError(), ImportError("no"), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_file_goes_on(written, monkeypatch, error):
    def from_text(*_):
        raise error

    monkeypatch.setattr(PolarsTable, "from_text", from_text)
    with pytest.raises(type(error)):
        read_table(written(PLAIN))


class Panic(BaseException):
    """What Rust's panics are in Python."""


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_what_a_library_stumbles_over_is_told_in_a_line(written, monkeypatch, name):
    def stumbles(*_):
        raise Panic("one line\nand another")

    monkeypatch.setattr(PolarsTable, "from_text", stumbles)
    monkeypatch.setattr(PolarsTable, "from_parquet", stumbles)
    with pytest.raises(DataError, match=rf"{name}: cannot be read: one line and another$"):
        read_table(written(PLAIN, name))


@pytest.fixture(params=[PolarsTable, PandasTable])
def library(request, monkeypatch):
    monkeypatch.setattr(_frames, "installed", lambda: request.param)


def test_entries_keep_their_spelling(library, written):
    table = read_table(written("a,b\n01,1.50\n1e2,true\n"))
    assert (table.text("a").tolist(), table.text("b").tolist()) == (["01", "1e2"], ["1.50", "true"])
    assert (table.form("a"), table.written("b")) == ("text", ["1.50", "true"])


@pytest.mark.parametrize(
    ("content", "entries", "rows"),
    [
        ("a\n1\n\n2\n\n", ["1", None, "2", None], [1, 2, 3, 4]),
        ("a\n1\n  \n2", ["1", None, "2"], [1, 2, 3]),
        ("a,b\n1,2\n\n3,4\n\n\n", ["1", "3"], [1, 3]),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", ["1", "3"], [1, 3]),
        ("a,b\n1,2\n  \n3,4\n", ["1", None, "3"], [1, 2, 3]),
        ("a,b\n1,2\n,\n3,4\n", ["1", "3"], [1, 3]),
        ("\n\na,b\n1,2\n\n3,4\n", ["1", "3"], [1, 3]),
        ("\r\n\r\na,b\r\n1,2\r\n", ["1"], [1]),
        ("\ufeff\n\na,b\n1,2\n", ["1"], [1]),
        ("\na\n1\n", ["1"], [1]),
    ],
)
def test_blank_lines_are_rows_of_nothing_that_count_and_of_several_columns_are_left_out(
    library, written, content, entries, rows
):
    table = read_table(written(content))
    assert (table.names[0], table.text("a").tolist(), table.rows.tolist()) == ("a", entries, rows)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_name_that_is_a_pattern_is_that_of_one_file(library, written, tmp_path, suffix):
    polars = pytest.importorskip("polars")
    for name, value in (("a[1]", 1), ("a1", 2)):
        frame = polars.DataFrame({"a": [value], "b": [0]})
        frame.write_csv(tmp_path / f"{name}.csv") if suffix == ".csv" else frame.write_parquet(
            tmp_path / (name + suffix)
        )
    assert read_table(tmp_path / f"a[1]{suffix}").numbers("a")[0].tolist() == [1]


def test_numbers_among_blanks_and_words_for_nothing(library, written):
    numbers, strange = read_table(written("a,b\n 1 ,x\nNA,x\n,x\n ? ,x\none,x\n")).numbers("a", ["?"])
    np.testing.assert_array_equal(numbers, [1, np.nan, np.nan, np.nan, np.nan])
    assert strange.tolist() == [False, False, False, False, True]


def test_numbers_that_stand_for_nothing_are_none(library, written):
    numbers, strange = read_table(written("a,b\n1,-9\n-9.0,x\n")).numbers("a", ["-9", "none"])
    np.testing.assert_array_equal(numbers, [1, np.nan])
    assert not strange.any()


def test_columns_of_parquet_are_text_dates_or_values(library, tmp_path):
    polars, days = pytest.importorskip("polars"), [datetime.datetime(2026, 1, 2), None]
    columns = {"i": [1, None], "f": [0.5, None], "b": [True, None], "t": ["x", None], "d": days, "n": [[1], None]}
    polars.DataFrame(columns | {"y": [b"x", None]}).write_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    forms = {"i": "values", "f": "values", "b": "values", "t": "text", "d": "dates"}
    assert {name: table.form(name) for name in forms} == forms
    assert [table.text(name)[0] for name in "ibt"] == ["1", "true", "x"]
    assert table.text("d")[0].startswith("2026-01-02")
    for name in forms:
        assert table.text(name)[1] is None
        assert table.written(name)[1] == ""
    for one in (table, read_table(tmp_path / "a.parquet", decimal=",")):
        for name, number in (("i", 1), ("f", 0.5)):
            numbers, strange = one.numbers(name)
            np.testing.assert_array_equal(numbers, [number, np.nan])
            assert not strange.any()
    for name in "ny":
        with pytest.raises(DataError, match=f"^column '{name}' holds .*, neither numbers nor text: leave it out with "):
            table.text(name)


def test_decimal_commas(library, written):
    table = read_table(written("a;b;c\n1,5;1.5;x\n-2;3;0,5\n"), decimal=",")
    for name, numbers, strange in (("a", [1.5, -2], [0, 0]), ("b", [np.nan, 3], [1, 0]), ("c", [np.nan, 0.5], [1, 0])):
        found = table.numbers(name)
        np.testing.assert_array_equal(found[0], numbers)
        assert found[1].tolist() == [bool(one) for one in strange]


def test_a_row_that_is_too_long_is_told_whatever_becomes_of_warnings(library, written):
    path = written("a,b\n" + "1,2\n" * 200 + "1,2,3\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="row 201 has 3 fields, and the first line names 2"):
            read_table(path)


def test_objects_of_pandas_are_text_where_they_are_no_lists():
    pandas = pytest.importorskip("pandas")
    for objects, found in ((["x", 1.5, None], ["x", "1.5", None]), ([True, None, False], ["true", None, "false"])):
        frame = pandas.DataFrame({"a": pandas.Series(objects, dtype=object)})
        assert PandasTable(frame, ["a"], ".").text("a").tolist() == found
    for objects in ([b"x"], [[1]], [{}], [np.ones(2)]):
        frame = pandas.DataFrame({"a": pandas.Series(objects, dtype=object)})
        with pytest.raises(DataError, match=r"^column 'a' holds bytes or lists"):
            PandasTable(frame, ["a"], ".").text("a")
