"""How a table is written as text: compression, encoding, separator; found out from the file's beginning."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fastbp.basics import _arguments
from fastbp.tables._errors import DataError, Settings
from fastbp.tables._memory import memory, shown_size

DECIMALS = ".", ","
SEPARATORS = ",", ";", "\t", "|"  # that are looked for
HEAD = 1 << 20  # bytes from which the form is found out, and more where no line ends in them
LONGEST_LINE = 1 << 26  # bytes in which the line of names has to end
RECORDS = 100  # of them
GZIP = b"\x1f\x8b"
MARKS = (  # the longer first: one begins with another
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
OTHERS = (  # that are no text
    (b"PAR1", "a parquet file, whose name must end in .parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook: save the table as CSV"),
    (b"\x93NUMPY", "an array, whose name must end in .npy"),
)
UTF8 = "utf-8", "utf-8-sig"


@dataclass(frozen=True)
class TextForm:
    """What is known of a table's text; None is to be found out.

    Attributes
    ----------
    separator : one character between the fields
    encoding : as Python names it
    decimal : "." or ","
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str = "."

    def __post_init__(self) -> None:
        if self.separator is not None:
            check_separator(self.separator, "separator ")
        if self.encoding is not None:
            check_encoding(self.encoding, "encoding ")
        _arguments.choice("decimal", self.decimal, DECIMALS)


def check_separator(separator: str, called: str = "") -> None:
    """ValueError for what cannot stand between fields."""
    one = isinstance(separator, str) and len(separator) == 1 and separator.isascii()
    if not one or separator.isalnum() or separator in '"\n\r.-+':
        raise ValueError(f"{called}must be one character that is in no number or name, or tab, got {separator!r}")


def check_encoding(encoding: str, called: str = "") -> str:
    """The name that Python has for an encoding of text; ValueError where it has none."""
    try:
        name = codecs.lookup(encoding).name
        "a".encode(name)
    except (LookupError, ValueError, TypeError):
        raise ValueError(f"{called}must name an encoding of text, as utf-16 or cp1252, got {encoding!r}") from None
    return name


@dataclass(frozen=True)
class TextTable:
    """A table as text: where its bytes in UTF-8 are, what separates its fields, the names in its first row.

    ``blank`` is the number of lines before that.
    """

    source: str | io.BytesIO
    separator: str
    names: list[str]
    blank: int


def open_text(path: str, form: TextForm) -> TextTable:
    """The table in the file ``path``; DataError where it is none."""
    with _opened(path) as file:
        pieces = [_read(path, file, HEAD)]
        while len(pieces[-1]) == HEAD and b"\n" not in pieces[-1] and HEAD * len(pieces) < LONGEST_LINE:
            pieces.append(_read(path, file, HEAD))
    head, whole = b"".join(pieces), len(pieces[-1]) < HEAD
    for mark, what in OTHERS:
        if head.startswith(mark):
            raise DataError(f"{path}: it is {what}")
    encoding = form.encoding or next((name for mark, name in MARKS if head.startswith(mark)), "utf-8")
    text = _decoded(path, head, encoding, whole)
    if not whole:
        text = text[: text.rfind("\n") + 1] or text  # no line that is cut off
    separator = form.separator or _separator(path, text)
    records = _records(text, separator)
    if not records:
        raise DataError(f"{path}: there is nothing but blank lines in it")
    if len(records[0]) == 1 and (others := _separators(text)):
        raise DataError(f"{path}: {separator!r} separates nothing there, and {others[0]!r} does")
    names = [name.strip() or f"column_{n}" for n, name in enumerate(records[0], 1)]
    _check_names(path, names)
    check_records(path, len(names), records)
    before = text[: len(text) - len(text.lstrip("\r\n"))]
    return TextTable(_source(path, encoding), separator, names, before.count("\n"))


def check_whole(path: str, table: TextTable) -> None:
    """DataError for what is usually wrong with a table that a library cannot read."""
    content = Path(table.source).read_bytes() if isinstance(table.source, str) else table.source.getvalue()
    with io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="") as lines:
        try:
            check_records(path, len(table.names), csv.reader(lines, delimiter=table.separator, strict=True))
        except UnicodeDecodeError:
            raise _not_in("utf-8", path) from None
        except csv.Error:
            raise DataError(f"{path}: a quote is not closed, or does not enclose the whole field") from None


def check_records(path: str, n_fields: int, records: Iterable[list[str]]) -> None:
    """DataError for a record with more than ``n_fields``, as the first has."""
    row = -1
    for record in records:
        row += bool(record)
        if len(record) > n_fields:
            raise DataError(f"{path}: row {row} has {len(record)} fields, and the first line names {n_fields}")


def _opened(path: str) -> BinaryIO:
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else open(path, "rb")


def _read(path: str, file: BinaryIO, most: int) -> bytes:
    """Up to ``most`` bytes of the file: in pieces, for Python makes room for all that it is asked for."""
    pieces: list[bytes] = []
    try:
        while piece := file.read(min(most, HEAD)):
            pieces.append(piece)
            most -= len(piece)
        return b"".join(pieces)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip data are damaged: {error}") from None


def _source(path: str, encoding: str) -> str | io.BytesIO:
    """The whole file in UTF-8: itself, or unpacked and decoded in memory."""
    with _opened(path) as file:
        if not isinstance(file, gzip.GzipFile) and encoding in UTF8:
            return path
        most = memory() // 4  # what is read of it takes more
        content = _read(path, file, most + 1)
    if len(content) > most:
        raise DataError(f"{path}: it unpacks to more than {shown_size(most)}, a quarter of this machine's memory")
    return io.BytesIO(content if encoding in UTF8 else _decoded(path, content, encoding).encode())


def _decoded(path: str, content: bytes, encoding: str, whole: bool = True) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content, whole)
    except UnicodeError:
        raise _not_in(encoding, path, content) from None
    if "\0" in text[:RECORDS]:
        raise _not_in(encoding, path, content)
    return text.removeprefix("\ufeff")  # a mark of the order of bytes, where the encoding was said


def _not_in(encoding: str, path: str, content: bytes = b"") -> DataError:
    if b"\0" in content[:RECORDS]:
        guess = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    else:
        guess = "cp1252 (Windows) or latin-1"
    no_text = f"{path}: it is no text in {encoding.removesuffix('-sig')}: say how it is with "
    return DataError(no_text, Settings(encoding=None), f", as {guess}")


def _separator(path: str, text: str) -> str:
    """The one character that can separate the fields; a comma where none does."""
    found = _separators(text)
    if path.lower().endswith((".tsv", ".tsv.gz")) and ("\t" in found or not found):
        return "\t"
    if len(found) > 1:
        several = f"{path}: fields may be separated by {' or '.join(map(repr, found))}: say it with "
        raise DataError(several, Settings(separator=None))
    return found[0] if found else ","


def _separators(text: str) -> list[str]:
    """Those that separate every record into as many fields; where there is none, those that are in the first line."""
    counts = {separator: [len(record) for record in _records(text, separator)] for separator in SEPARATORS}
    even = [separator for separator, fields in counts.items() if len(set(fields)) == 1 and fields[0] > 1]
    return even or [separator for separator, fields in counts.items() if fields and fields[0] > 1]


def _records(text: str, separator: str) -> list[list[str]]:
    """The first records that are not blank."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if record:
                records.append(record)
            if len(records) == RECORDS:
                break
    except csv.Error:  # a field longer than any, as where a quote is not closed
        pass
    return records


def _check_names(path: str, names: list[str]) -> None:
    first: dict[str, int] = {}
    for n, name in enumerate(names, 1):
        if first.setdefault(name, n) != n:
            raise DataError(f"{path}: columns {first[name]} and {n} are both called {name!r}")
