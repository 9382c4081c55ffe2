"""A JSON file is written whole or not at all."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from fastbp.files.json_file import check_writable, write_json


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "a.json"
    for value in ({"a": [1, 2.5, None]}, {"b": "ü"}):
        check_writable(path)
        write_json(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    assert os.listdir(tmp_path) == ["a.json"]


def test_it_reads_well(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'


def test_the_check_leaves_nothing_and_changes_nothing(tmp_path):
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []
    (tmp_path / "old").write_text("kept")
    check_writable(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "kept"


def test_a_reader_of_the_old_file_still_has_all_of_it(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with path.open() as reader:
        write_json(path, "new")
        assert reader.read() == "old"


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": object()}])
def test_after_an_error_the_file_is_what_it_was(tmp_path, value):
    path = tmp_path / "a.json"
    path.write_text("kept")
    with pytest.raises((ValueError, TypeError), match="not JSON"):
        write_json(path, {"first": 1} | value)
    assert path.read_text() == "kept"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_link_keeps_pointing_to_the_file(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_json(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "1\n"


@pytest.mark.parametrize("name", ["nowhere/a.json", ".", "x" * 300])
def test_places_where_no_file_can_be(tmp_path, name):
    with pytest.raises(OSError, match=r"there is no folder|not a regular file|name too long"):
        check_writable(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux does not write to a program that runs")
def test_a_file_that_cannot_be_written_to_is_told(tmp_path):
    program = shutil.copy(shutil.which("sleep"), tmp_path / "program")
    with subprocess.Popen([program, "60"]) as running:
        try:
            with pytest.raises(OSError, match="busy"):
                check_writable(program)
        finally:
            running.kill()


def test_devices_are_not_replaced():
    with pytest.raises(OSError, match="not a regular file"):
        check_writable(os.devnull)
