"""Text files of tables as they come: separators, encodings, decimal commas, compression; read by polars and pandas."""

import gzip
import tracemalloc

import numpy as np
import pytest
from cli_runs import refused, run, told

from fastbp.commands._words import on_the_command_line
from fastbp.tables import _text
from fastbp.tables._errors import DataError
from fastbp.tables._frames import read_table

pytest.importorskip("polars")
pytest.importorskip("pandas")

ROWS = [("größe", "word", "class"), *((f"{i / 4}", "ab"[i % 2], "xy"[i // 2 % 2]) for i in range(12))]


def text(separator=",", rows=ROWS):
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.fixture(autouse=True, params=["polars", "pandas"])
def library(request, tmp_path, monkeypatch):
    """A folder to work in, and one of the two libraries alone."""
    monkeypatch.chdir(tmp_path)
    hidden = {"polars": "pandas", "pandas": "polars"}[request.param]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == hidden else True)
    return request.param


def check(table):
    assert table.names == list(ROWS[0])
    numbers, strange = table.numbers("größe")
    np.testing.assert_array_equal(numbers, np.arange(12) / 4)
    assert not strange.any()
    assert table.text("word").tolist() == ["a", "b"] * 6


def read(name, content, **form):
    with open(name, "wb") as file:
        file.write(content)
    return read_table(name, **form)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(separator):
    check(read("a.csv", text(separator).encode()))


def test_a_separator_can_be_said():
    check(read("a.csv", text(":").encode(), separator=":"))
    check(read("a.tsv", text("\t").encode()))
    table = read("a.tsv", b"a,b\tc\n1,2\t3\n")
    assert table.names == ["a,b", "c"], "a tab wins where the name says so"
    assert read("a.csv", b"a,b;c\n1,2;3\n", separator=";").names == ["a,b", "c"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_a_file_begins_with_says_its_encoding(encoding):
    check(read("a.csv", text().encode(encoding)))
    check(read("a.csv", text().encode(encoding), encoding="utf-8" if encoding == "utf-8-sig" else encoding))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "utf-16-be"])
def test_an_encoding_can_be_said(encoding, capsys):
    check(read("a.csv", text().encode(encoding), encoding=encoding))
    guess = encoding if encoding.startswith("utf") else "cp1252 (Windows) or latin-1"
    with pytest.raises(DataError) as told:
        read_table("a.csv")
    message = f"a.csv: it is no text in utf-8: say how it is with --encoding, as {guess}"
    assert on_the_command_line(told.value) == message


def test_an_encoding_that_is_wrong_far_behind_is_told(library):
    content = (text() + "1,a,x\n" * 300_000).encode() + "1,ä,x\n".encode("latin-1")
    with pytest.raises(DataError, match="it is no text in utf-8: say how it is"):
        read("a.csv", content)


def test_entries_can_be_had_as_they_are_written():
    table = read("a.csv", b"a,b\n 01,NA\nx,\n")
    assert (table.written("a"), table.written("b")) == ([" 01", "x"], ["NA", ""])


def test_gzip_is_unpacked_whatever_the_name():
    check(read("a.csv.gz", gzip.compress(text().encode())))
    check(read("a.csv", gzip.compress(text().encode("utf-16"))))


@pytest.mark.parametrize("content", [gzip.compress(text().encode()), text().encode("utf-16")], ids=["gzip", "utf-16"])
def test_no_room_is_made_for_more_than_there_is(content):
    read("a.csv", content)
    tracemalloc.start()
    try:
        read("a.csv", content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_gzip_that_is_damaged_or_larger_than_memory_is_told(monkeypatch):
    packed = gzip.compress(text().encode() * 1000)
    with pytest.raises(DataError, match=r"a\.csv\.gz: the gzip data are damaged: "):
        read("a.csv.gz", packed[:-20])
    monkeypatch.setattr(_text, "memory", lambda: 1 << 18)
    with pytest.raises(DataError, match=r"unpacks to more than 0\.1 MiB, a quarter of this machine's memory"):
        read("a.csv.gz", packed)


def test_decimal_commas_are_told_and_read(capsys):
    german = text(";", [ROWS[0], *((a.replace(".", ","), b, c) for a, b, c in ROWS[1:])])
    check(read("a.csv", german.encode(), decimal=","))
    message = refused(capsys, "train", "--data", "a.csv", "--target", "class")
    assert "column 'größe' has numbers with a comma, as '0,0' in row 1: --decimal , reads them" in message
    arguments = ["--data", "a.csv", "--decimal", ","]
    assert told(capsys, *arguments, "--target", "class")["numbers"] == "größe"
    run("evaluate", "model", *arguments)
    run("predict", "model", *arguments)
    table = read("a.csv", b"a;b\n1.234;1\n1,5;2\n", decimal=",")
    assert table.numbers("a")[1].tolist() == [True, False], "a point is no sign of thousands"


def test_line_separators_of_unicode_are_part_of_a_field():
    table = read("a.csv", "a,b\n1,x\u2028y\n2,z\x85\n".encode())
    assert table.names == ["a", "b"]
    assert len(table) == 2


def test_blank_lines_and_unnamed_columns():
    table = read("a.csv", b",b\n1,x\n\n2,y\n\n\n")
    assert table.names == ["column_1", "b"]
    assert table.numbers("column_1")[0].tolist() == [1, 2]
    assert table.rows[0] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv: the file is empty"),
        (b"\n\n", "a.csv: there is nothing but blank lines in it"),
        (b"a,b\n", "a.csv: there are no rows in it"),
        (b"a,b,a\n1,2,3\n", "a.csv: columns 1 and 3 are both called 'a'"),
        (b"a,b\n1,2\n1,2,3\n", "a.csv: row 2 has 3 fields, and the first line names 2"),
        (b"a,b\n" + b"1,2\n" * 200 + b"1,2,3\n", "a.csv: row 201 has 3 fields, and the first line names 2"),
        (b'a,b\n1,"x\n' + b"2,y\n" * 50, "a.csv: a quote is not closed, or does not enclose the whole field"),
        (b"a,b;c\n1,2;3\n", "fields may be separated by ',' or ';': say it with --separator"),
        (b"PAR1abc", "a.csv: it is a parquet file, whose name must end in .parquet"),
        (b"PK\x03\x04abc", "a.csv: it is a zip archive or an Excel workbook: save the table as CSV"),
        (b"\x93NUMPYabc", "a.csv: it is an array, whose name must end in .npy"),
    ],
)
def test_what_is_no_table_is_told(content, message):
    with pytest.raises(DataError) as told:
        read("a.csv", content)
    assert message in on_the_command_line(told.value)


def test_what_is_no_file_is_told(tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("folder.csv", "it is a folder, not a file"), ("nowhere.npz", "there is no such file")):
        for command in (["train"], ["predict", "model"]):
            if command == ["train"]:
                assert f"{name}: {message}" in refused(capsys, *command, "--data", name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--separator", ";"], "';' separates nothing there, and ',' does"),
        (["--separator", "ab"], "argument --separator: must be one character that is in no number or name, or tab"),
        (["--encoding", "klingon"], "argument --encoding: must name an encoding of text, as utf-16 or cp1252"),
        (["--encoding", "base64"], "argument --encoding: must name an encoding of text, as utf-16 or cp1252"),
        (["--decimal", "x"], "argument --decimal: invalid choice: 'x'"),
        (["--data", "digits", "--separator", ";"], "--separator goes with a text file, not with digits"),
        (["--data", "a.parquet", "--encoding", "latin-1"], "--encoding goes with a text file, not with a.parquet"),
        (["--data", "digits", "--decimal", ","], "--decimal goes with a table, not with digits"),
        (["--data", "digits", "--drop-missing-target"], "--drop-missing-target goes with a file"),
        (["--data", "digits", "--dates"], "--dates goes with a table, not with arrays"),
        (["--data", "digits", "--missing", "?"], "--missing goes with a table, not with arrays"),
        (["--data", "digit"], "did you mean digits?"),
        (["--data", "a.xlsx"], "'a.xlsx' is not one of digits, mnist, fashion-mnist, or a file that ends in .npz"),
    ],
)
def test_options_that_do_not_fit_are_told(capsys, tmp_path, arguments, message):
    (tmp_path / "a.csv").write_text(text(), encoding="utf-8")
    code = 1 if "separates nothing" in message else 2
    target = [] if "digits" in arguments else ["--target", "class"]
    assert message in refused(capsys, "train", "--data", "a.csv", *target, *arguments, code=code)
