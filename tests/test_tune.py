"""What is measured on a machine: when a number is changed, where it is kept, and when what is kept is not taken."""

import json
import os
import stat
from types import SimpleNamespace

import pytest
from cli_runs import refused, run

import fastbp
from fastbp import _show_config
from fastbp.basics import _machine, _tuned
from fastbp.bench import tune
from fastbp.kernels.machine import NUMBERS, Machine


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where measured numbers are kept, with nothing there; nobody knows of any."""
    folder = tmp_path / "cache"
    folder.mkdir(0o700)
    monkeypatch.setattr(_tuned, "planned_product", SimpleNamespace(_cache=SimpleNamespace(cache_path=str(folder))))
    monkeypatch.setattr(_machine, "_made", {})
    return folder / _tuned.NAME


@pytest.fixture
def quick(monkeypatch):
    """Jobs that take no time, at which the machine's own numbers are the best, unless ``quick`` has others by name."""
    best = {}

    def better(name, seconds):
        assert seconds <= 100
        return best.get(name)

    monkeypatch.setattr(tune, "better", better)
    return best


def read_anew(monkeypatch):
    monkeypatch.setattr(_machine, "_made", {})
    return _machine.numbers()


# ---- The file ----


def test_what_was_saved_is_used_by_later_runs(file, monkeypatch):
    before = _machine.numbers()
    assert _tuned.load() is None
    assert _tuned.save({"spins": 777, "pack_rows": 99}) == file
    assert read_anew(monkeypatch) == before._replace(spins=777, pack_rows=99)
    assert _machine.untuned() == before
    assert _machine.sources()["spins"] == _tuned.load().date
    assert _machine.sources()["pause"] == _machine.OF_ROW
    assert [*file.parent.iterdir()] == [file]


def with_content(change):
    content = {"identity": _tuned.identity(), "date": "2026-11-30", "numbers": {"spins": 777}}
    change(content)
    return json.dumps(content)


DAMAGED = {
    "empty": "",
    "cut short": with_content(lambda c: None)[:-20],
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
    "a list": "[]",
    "nothing in it": "{}",
    "another CPU": with_content(lambda c: c["identity"].update(cpu="another")),
    "other vectors": with_content(lambda c: c["identity"].update(isa="another")),
    "other cores": with_content(lambda c: c["identity"].update(cores=1000)),
    "another build": with_content(lambda c: c["identity"].update(build="another")),
    "no date": with_content(lambda c: c.pop("date")),
    "no numbers": with_content(lambda c: c.update(numbers=[1])),
    "a number that is none": with_content(lambda c: c["numbers"].update(turns=3)),
    "too small": with_content(lambda c: c["numbers"].update(spins=0)),
    "too large": with_content(lambda c: c["numbers"].update(block_n=100_000)),
    "a truth": with_content(lambda c: c["numbers"].update(spins=True)),
    "a float": with_content(lambda c: c["numbers"].update(spins=777.0)),
    "a text": with_content(lambda c: c["numbers"].update(spins="777")),
    "digits without end": with_content(lambda c: None).replace("777", "7" * 5000),
    "NaN": with_content(lambda c: None).replace("777", "NaN"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_or_of_another_machine_is_as_good_as_none(file, monkeypatch, content):
    before = _machine.numbers()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(0o600)
    assert _tuned.load() is None
    assert read_anew(monkeypatch) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users have no numbers here")
def test_a_file_that_others_could_have_written_is_not_taken(file):
    _tuned.save({"spins": 777})
    file.chmod(0o622)
    assert _tuned.load() is None
    file.chmod(0o600)
    assert _tuned.load().numbers == {"spins": 777}
    file.parent.chmod(0o777)
    assert _tuned.load() is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_a_link_in_its_place_is_not_read(file, tmp_path):
    os.mkfifo(file)
    assert _tuned.load() is None
    file.unlink()
    (tmp_path / "elsewhere").write_text(with_content(lambda c: None))
    file.symlink_to(tmp_path / "elsewhere")
    assert _tuned.load() is None


def test_without_a_compile_cache_nothing_is_kept(file, monkeypatch, capsys):
    monkeypatch.setattr(_tuned, "planned_product", lambda: None)  # as with NUMBA_DISABLE_JIT
    assert _tuned.path() is None
    assert _tuned.load() is None
    assert read_anew(monkeypatch) == _machine.untuned()
    assert "there is no place to keep" in refused(capsys, "tune")
    with pytest.raises(OSError, match="no compile cache"):
        _tuned.save({})
    assert not _tuned.forget()


# ---- The command ----


def test_tune_keeps_what_is_better_and_says_so(file, quick, capsys, monkeypatch):
    before = _machine.numbers()
    quick |= {"spins": 3000, "pack_rows": 64}
    run("tune")
    text = capsys.readouterr().out
    assert f"pack_rows: 64, was {before.pack_rows}" in text
    assert str(file) in text
    assert _machine.numbers() == before, "a run goes by what it began with"
    found = json.loads(file.read_text())["numbers"]
    assert found == {"pack_rows": 64} | ({"spins": 3000} if fastbp.get_num_threads() > 1 else {})
    if hasattr(os, "geteuid"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_anew(monkeypatch).pack_rows == 64
    numbers = _show_config.collect()["numbers"]
    assert numbers["pack_rows"]["from"].startswith("tuned on 20")
    assert numbers["pause"]["from"].startswith("row ")
    assert numbers.keys() == NUMBERS.keys()


def test_tune_begins_with_the_row_and_not_with_what_was_tuned_before(file, quick, monkeypatch):
    _tuned.save({"spins": 777})
    read_anew(monkeypatch)
    run("tune", "--seconds", "1")
    assert json.loads(file.read_text())["numbers"] == {}
    assert read_anew(monkeypatch) == _machine.untuned()


def test_tune_says_it_in_json_too(file, quick, capsys):
    quick |= {"pack_rows": 64}
    run("tune", "--json", "-")
    report = json.loads(capsys.readouterr().out)
    assert (report["changed"], report["file"]) == ({"pack_rows": 64}, str(file))
    assert set(report["measured"]) <= set(tune.TUNED)
    run("tune", "--reset", "--json", "-")
    assert json.loads(capsys.readouterr().out) == {"reset": True, "row": _machine.row().name}


def test_reset_forgets(file, quick, capsys, monkeypatch):
    _tuned.save({"spins": 777})
    run("tune", "--reset")
    assert not file.exists()
    assert read_anew(monkeypatch) == _machine.untuned()
    run("tune", "--reset")
    assert "nothing was kept" in capsys.readouterr().out


def test_an_interrupted_tune_keeps_the_old_numbers(file, quick, monkeypatch, capsys):
    _tuned.save({"spins": 777})
    before, content = read_anew(monkeypatch), file.read_bytes()
    quick["small_product"] = 0  # the first that is measured

    def stopped(name, seconds, better=tune.better):
        if name == tune.TUNED[3]:
            raise KeyboardInterrupt
        return better(name, seconds)

    monkeypatch.setattr(tune, "better", stopped)
    assert fastbp.cli.main(["tune"]) == 130
    assert file.read_bytes() == content
    assert _machine.numbers() == before
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("seconds", ["0", "101", "nan", "long"])
def test_no_longer_than_two_minutes(file, seconds, capsys):
    assert fastbp.cli.main(["tune", "--seconds", seconds]) == 2


# ---- How it is decided ----


def judged(monkeypatch, times):
    """What ``better`` says of pack_rows where a value's calls take the next of ``times[value]``."""
    own = _machine.numbers().pack_rows
    job = tune.Probe([value for value in times if value != own], lambda: [lambda: None])
    monkeypatch.setitem(tune.PROBES, "pack_rows", job)
    clocks = {value: iter(each) for value, each in times.items()}
    monkeypatch.setattr(tune, "_seconds", lambda call, n, clock: next(clocks[_machine.numbers().pack_rows]))
    ticks = iter(range(10**6))
    monkeypatch.setattr(tune, "time", SimpleNamespace(perf_counter=lambda: next(ticks), process_time=None))
    found = tune.better("pack_rows", 30)
    assert _machine.numbers().pack_rows == own
    return found


def forever(*times):
    return (list(times) * 1000)[:1000]


def test_a_number_changes_where_the_gain_is_clear(monkeypatch):
    own = _machine.numbers().pack_rows
    assert judged(monkeypatch, {own: forever(1.0), 7: forever(0.99), 8: forever(0.9), 9: forever(0.8)}) == 9
    assert judged(monkeypatch, {own: forever(1.0), 7: forever(0.98), 8: forever(1.0)}) is None


def test_a_neighbour_who_is_busy_now_and_then_decides_nothing(monkeypatch):
    own = _machine.numbers().pack_rows
    assert judged(monkeypatch, {own: forever(1.0, 1.0, 5.0), 7: forever(1.0, 3.0, 1.0)}) is None
    assert judged(monkeypatch, {own: forever(5.0, 1.0, 5.0), 7: forever(1.0)}) is None, "at its best it is no better"
    assert judged(monkeypatch, {own: forever(1.0), 7: forever(1.0, 1.0, 1.0, 1.0, 0.1)}) is None, "mostly it is not"


def test_what_was_better_once_has_to_be_so_again(monkeypatch):
    own = _machine.numbers().pack_rows
    first = [0.8] * 7
    assert judged(monkeypatch, {own: forever(1.0), 7: first + forever(1.0)}) is None


def test_every_number_has_a_job_with_values_that_may_be():
    assert set(tune.PROBES) == set(Machine._fields)
    assert set(tune.PROBES) > tune.OF_COMPANY
    for name, job in tune.PROBES.items():
        assert len(job.values) > 1
        assert all(_tuned.is_allowed(name, value) for value in job.values), name


@pytest.mark.slow
def test_every_job_can_be_measured(monkeypatch):
    monkeypatch.setattr(tune, "LEAST_TURNS", 1)
    before, threads = _machine.numbers(), fastbp.get_num_threads()
    for name in tune.PROBES:
        found = tune.try_values(name, tune.PROBES[name].values[:1], 0, 1)
        assert [one.middle for one in found if one.value == getattr(before, name)] == [1.0]
    assert (_machine.numbers(), fastbp.get_num_threads()) == (before, threads)


def test_the_curve_of_a_number(capsys):
    tune.main(["pack_rows", "--values", "64", "128", "--seconds", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pack_rows: rows that meet")
    assert [int(line.split()[0]) for line in lines[2:]] == sorted({64, 128, _machine.numbers().pack_rows})
    with pytest.raises(SystemExit):
        tune.main(["pack_rows", "--values", "0"])
