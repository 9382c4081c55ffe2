"""What a file is said to be that is no model, by how it begins."""

import pytest

from fastbp.files._file_kinds import kind_of

TABLE, TEXT = "a table of text, such as .csv, for --data", "text"


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"", "empty"),
        (b"a;b\n1;2\n", TABLE),
        (b"a\tb", TABLE),
        (b"Dear reader\n", TEXT),
        (b"One line\nand, then, another", TEXT),
        ("a smile: \U0001f600".encode()[:-1], TEXT),  # of four bytes three are left
        (b"three bytes \xff\xff\xff", TEXT),
        (b"and four \xff\xff\xff\xff", None),
        (b"a bell \x07", None),
        (b"\xff", None),
    ],
)
def test_a_file_is_told_by_how_it_begins(beginning, kind):
    assert kind_of(beginning) == kind
