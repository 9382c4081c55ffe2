"""``fastbp bench``, as a user calls it."""

import json
import os

import pytest

from fastbp import cli
from fastbp.basics._extra import install
from fastbp.commands import bench as bench_command

pytestmark = pytest.mark.slow  # a benchmark takes its time

ROW = "softmax loss 100x10 "


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """What ``--json`` writes of one small row."""
    path = tmp_path_factory.mktemp("bench") / "run.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        patch.setenv("PYTEST_XDIST_WORKER", "gw0")  # as where these tests run side by side
        assert cli.main(["bench", "--only", ROW, "--json", str(path)]) == 0
    return path


def test_nothing_else_is_left_behind(file):
    assert os.listdir(file.parent) == ["run.json"]


def test_one_row_is_measured_checked_and_recorded(file):
    content = json.loads(file.read_text())
    entries = {b["extra_info"]["provider"]: b for b in content["benchmarks"]}
    assert {b["group"] for b in content["benchmarks"]} == {"softmax loss 100x10 float32 1 thread"}
    assert {"fastbp", "numpy"} <= set(entries)
    ours = entries["fastbp"]
    info = ours["extra_info"]
    assert len(ours["stats"]["data"]) == len(entries["numpy"]["stats"]["data"]) == 5
    assert ours["stats"]["median"] == pytest.approx(info["seconds"]["median"], rel=1e-6)
    assert info["seconds"]["20%"] <= info["seconds"]["median"] <= info["seconds"]["80%"]
    assert 0 < info["max_error"] < 64 * 2**-23
    assert info["gb_per_second"] == pytest.approx(1e-9 * info["bytes"] / info["seconds"]["median"])
    assert 0 < info["share_of_limit"] < 1
    assert info["compile_seconds"] >= 0
    machine = content["machine_info"]["fastbp"]
    assert machine["versions"]["numpy"]
    assert machine["limits"]["1"]["gflops"]["float32"] > 1
    assert set(machine["limits"]["1"]["gb_per_second"]) >= {"L1", "L2", "memory"}
    assert "node" not in content["machine_info"]


def test_a_run_is_no_slower_than_itself(file, capsys):
    assert cli.main(["bench", "--results", str(file), "--compare", str(file)]) == 0
    assert "1 of 1 rows are as fast as before" in capsys.readouterr().out


def test_a_run_that_got_slower_ends_with_exit_code_1(file, tmp_path, capsys):
    content = json.loads(file.read_text())
    for benchmark in content["benchmarks"]:
        if benchmark["extra_info"]["provider"] == "fastbp":
            benchmark["stats"]["data"] = [10 * seconds for seconds in benchmark["stats"]["data"]]
    slow = tmp_path / "slow.json"
    slow.write_text(json.dumps(content))
    assert cli.main(["bench", "--results", str(slow), "--compare", str(file)]) == 1
    out, err = capsys.readouterr()
    assert f"slower by 10.00: {ROW}" in out
    assert err == "fastbp: 1 row got slower\n"


def test_a_failure_is_told_after_the_table(file, tmp_path, capsys):
    content = json.loads(file.read_text())
    content["absent"] = [{"group": ROW, "provider": "fastbp", "reason": "wrong answer: error 1", "failed": True}]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(content))
    assert cli.main(["bench", "--results", str(path)]) == 1
    assert capsys.readouterr().err == f"fastbp: some benchmarks failed\n{ROW}: fastbp: wrong answer: error 1\n"


def test_a_pattern_that_finds_nothing_is_a_mistake(capsys):
    assert cli.main(["bench", "--only", "no such row"]) == 2
    assert capsys.readouterr().err == "fastbp: --only no such row: no benchmark has such a name\n"


def test_a_pattern_that_is_none_is_a_mistake(capsys):
    assert cli.main(["bench", "--only", "("]) == 2
    assert "--only: must be a regular expression, got '('" in capsys.readouterr().err


def test_a_file_that_is_no_run_is_told_in_one_line(tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text("[]")
    assert cli.main(["bench", "--results", str(path)]) == 1
    assert "other.json is not a file that fastbp bench --json wrote" in capsys.readouterr().err


def test_a_compressed_file_is_one_too(file, tmp_path, capsys):
    packed, again = tmp_path / "run.json.gz", tmp_path / "again.json"
    assert cli.main(["bench", "--results", str(file), "--json", str(packed)]) == 0
    assert packed.stat().st_size < file.stat().st_size / 3
    assert cli.main(["bench", "--results", str(packed), "--json", str(again), "--compare", str(packed)]) == 0
    assert json.loads(again.read_text()) == json.loads(file.read_text())
    capsys.readouterr()
    for damaged in (packed.read_bytes()[:-9], b"not compressed", b""):
        packed.write_bytes(damaged)
        assert cli.main(["bench", "--results", str(packed)]) == 1
        assert "is not a file that fastbp bench --json wrote" in capsys.readouterr().err


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, capsys):
    find = bench_command.importlib.util.find_spec
    lacking = "pytest_benchmark"
    monkeypatch.setattr(bench_command.importlib.util, "find_spec", lambda name: None if name == lacking else find(name))
    assert cli.main(["bench"]) == 1
    assert capsys.readouterr().err == f"fastbp: bench needs pytest-benchmark: {install('bench')}\n"
