"""The benchmark suite's own parts: turns, replayed times, checked answers, quantiles, and what a run's file tells."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bench_runs import made_run, run_of

from fastbp.bench import bench_start, compare, results, table
from fastbp.bench.installed import installed_bytes, needed
from fastbp.bench.laboratory import Laboratory
from fastbp.bench.memory_probe import NETWORK
from fastbp.bench.networks import Perceptron
from fastbp.bench.networks import expected as expected_parameters
from fastbp.bench.peers import FORMS, peer_of
from fastbp.bench.row import Row, Unsuitable, Work, errors
from fastbp.bench.servers import BLOCK, PAUSED_CALLS, SETTLE, Server, clock_for, settling_for, take_turn, warm_up
from fastbp.bench.statistics import ratios, spread

# ---- quantiles -----------------------------------------------------------------------------------------


def test_spread_is_the_median_and_the_20_and_80_percent_quantiles():
    found = spread([5, 1, 2, 3, 4, 6])
    assert (found.low, found.median, found.high) == (2, 3.5, 5)


def test_ratios_are_taken_turn_by_turn_so_that_a_machine_that_slows_down_changes_none():
    slower = np.linspace(1, 3, 7)
    found = ratios(2 * slower, slower)
    assert found.low == found.median == found.high == 2


def test_ratios_need_as_many_turns_of_both():
    with pytest.raises(ValueError, match="expected as many turns of both, got 2 and 3"):
        ratios([1, 2], [1, 2, 3])


# ---- answers -------------------------------------------------------------------------------------------


def test_an_error_is_the_largest_in_units_of_its_scale():
    assert errors([np.array([1.0, 2.5])], [(np.array([1.0, 2.0]), 0.25)]) == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_infinitely_wrong(wrong):
    assert errors([np.array([1.0, wrong])], [(np.ones(2), 1.0)]) == np.inf


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the answer has the shape \(2,\), expected \(3,\)"):
        errors([np.ones(2)], [(np.ones(3), 1.0)])


# ---- turns ---------------------------------------------------------------------------------------------


def doubled(n):
    x = np.arange(n, dtype=np.float32)
    return Work(lambda: np.add(x, x), lambda: [2 * x], facts=lambda: {"process": os.getpid()})


def off_by_one(n):
    return Work(lambda: None, lambda: [2 * np.arange(n, dtype=np.float32) + 1])


def unwilling(n):
    raise Unsuitable("does not double")


def broken(n):
    raise RuntimeError("no such operation\nand more")


def right(n):
    return [(2.0 * np.arange(n), 1.0)]


@pytest.fixture(scope="module")
def laboratory():
    laboratory = Laboratory(full=False)
    laboratory.least = 0.001
    yield laboratory
    laboratory.close()


def test_every_provider_gets_as_many_turns_and_its_own_process(laboratory):
    row = Row("double", "10", (10,), turns=4)
    found = laboratory.measure(row, {"fastbp": doubled, "numpy": doubled}, right)
    assert [len(outcome.seconds) for outcome in found.values()] == [4, 4]
    assert all(0 < seconds < 1e-3 for outcome in found.values() for seconds in outcome.seconds)
    processes = {outcome.facts["process"] for outcome in found.values()}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_the_turns_alternate(laboratory, monkeypatch):
    order = []
    ask = Laboratory._ask

    def spy(self, row, provider, function, *arguments):
        if function is take_turn:
            order.append(provider)
        return ask(self, row, provider, function, *arguments)

    monkeypatch.setattr(Laboratory, "_ask", spy)
    laboratory.measure(Row("double", "10", (10,), turns=3), {"fastbp": doubled, "numpy": doubled}, right)
    assert order == ["fastbp", "numpy"] * 3


def test_a_wrong_answer_is_a_failure_and_never_timed(laboratory):
    found = laboratory.measure(Row("double", "10", (10,)), {"fastbp": doubled, "numpy": off_by_one}, right)
    assert found["numpy"].failed
    assert found["numpy"].absent.startswith("wrong answer: error 1, allowed")
    assert not found["numpy"].seconds
    assert found["fastbp"].seconds


def test_a_peer_that_is_not_installed_is_told_and_no_failure(laboratory, monkeypatch):
    monkeypatch.setattr(peer_of("torch"), "module", "no_such_module")
    found = laboratory.measure(Row("double", "10", (10,)), {"numpy": doubled, "torch": doubled}, right)
    assert found["torch"].absent == "not installed"
    assert not found["torch"].failed


def test_a_provider_may_say_that_a_row_does_not_suit_it(laboratory):
    found = laboratory.measure(Row("double", "10", (10,)), {"numpy": unwilling}, right)
    assert found["numpy"].absent == "does not double"
    assert not found["numpy"].failed


@pytest.mark.parametrize(("provider", "failed"), [("numpy", True), ("torch", False)])
def test_a_provider_that_breaks_is_a_failure_only_of_our_own(provider, failed, laboratory, monkeypatch):
    monkeypatch.setattr(peer_of("torch"), "module", "numpy")
    found = laboratory.measure(Row("double", "10", (10,)), {provider: broken}, right)
    assert found[provider].absent == "RuntimeError: no such operation"
    assert found[provider].failed is failed


class FakeClock:
    """Only calls take time."""

    def __init__(self, seconds_a_call):
        self.now, self.calls = 0.0, 0
        self._seconds = seconds_a_call

    def __call__(self):
        return self.now

    def call(self):
        self.calls += 1
        self.now += self._seconds


def test_a_turn_is_as_long_as_asked_in_blocks_long_enough_to_be_timed():
    clock = FakeClock(BLOCK / 10)
    state = {"numpy": Work(clock.call, list)}
    warm_up(state, "numpy", 0.01, clock, 0.0)
    calls_a_block, blocks = state["numpy", "plan"][:2]
    before = clock.calls
    assert take_turn(state, "numpy") == pytest.approx(BLOCK / 10)
    assert clock.calls - before == 1 + calls_a_block * blocks, "one call to warm up, and the blocks"
    assert calls_a_block == 10
    assert blocks == pytest.approx(0.01 / BLOCK)


def test_a_call_as_long_as_a_turn_is_one():
    clock = FakeClock(0.01)
    state = {"numpy": Work(clock.call, list, units=10)}
    assert warm_up(state, "numpy", 0.005, clock, 0.0) == pytest.approx(0.001)
    assert state["numpy", "plan"][:2] == (1, 1)


def test_a_call_after_a_pause_is_timed_by_itself_and_without_the_pause():
    clock, pauses = FakeClock(0.01), []
    patch = pytest.MonkeyPatch()
    patch.setattr(time, "sleep", pauses.append)
    state = {"numpy": Work(clock.call, list)}
    warm_up(state, "numpy", 0.005, clock, 0.0, 0.05)
    before = clock.calls
    assert take_turn(state, "numpy") == pytest.approx(0.01)
    patch.undo()
    assert pauses == [0.05] * PAUSED_CALLS
    assert clock.calls - before == 1 + PAUSED_CALLS, "one to warm up"


def test_threads_have_settled_before_a_turn_of_several_is_timed():
    assert settling_for(1, fresh=False) == settling_for(2, fresh=True) == 0
    times = []
    state = {"numpy": Work(lambda: times.append(time.perf_counter()), list)}
    warm_up(state, "numpy", 0.001, time.perf_counter, settling_for(2, fresh=False))
    start = time.perf_counter()
    take_turn(state, "numpy")
    assert times[-1] - start >= SETTLE
    long = {"numpy": Work(lambda: time.sleep(0.01), list)}
    assert warm_up(long, "numpy", 0.005, time.perf_counter, SETTLE) is None, "no time of a first call counts"


def test_rows_on_one_core_are_timed_without_what_a_neighbour_takes_of_it():
    assert clock_for(1, fresh=False) is time.process_time
    assert clock_for(2, fresh=False) is time.perf_counter
    assert clock_for(1, fresh=True) is time.perf_counter, "the time of other processes is none of the server's own"


def affinity(state):
    return sorted(os.sched_getaffinity(0)), os.environ["OMP_NUM_THREADS"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_a_server_has_as_many_cores_as_threads():
    server = Server(1)
    found = server.ask(affinity)
    server.stop()
    assert found == ([max(os.sched_getaffinity(0))], "1")


def test_the_first_call_of_a_fresh_process_is_a_turn(laboratory):
    calls = laboratory.measure(Row("double", "10", (10,), turns=1, fresh=True), {"numpy": doubled}, right)["numpy"]
    assert len(calls.seconds) == 1
    assert calls.compile_seconds == 0


# ---- providers of training steps -----------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["fastbp", "numpy"])
@pytest.mark.parametrize(
    "network", [Perceptron((5, 4, 3), 6), Perceptron((3, 7, 2), 9, "tanh", "mse", "adam")], ids=lambda n: n.optimizer
)
def test_training_steps_come_to_what_the_plain_layers_come_to(provider, network, monkeypatch):
    monkeypatch.setattr("fastbp.bench.networks.FLOPS_A_CALL", 10 * network.flops)
    expected_parameters.cache_clear()
    work = FORMS[provider].makers["step"](network)
    assert work.units == 10
    work.call()
    assert errors(work.answer(), expected_parameters(network)) < 1e-4
    expected_parameters.cache_clear()


# ---- files of runs -------------------------------------------------------------------------------------


def test_the_table_has_times_shares_ratios_and_marks_the_peers_that_are_faster():
    run = run_of(
        {"gemm big": {"fastbp": [2e-6] * 3, "numpy": [3e-6] * 3, "torch": [1e-6] * 3}},
        more={"gemm big": {"share_of_limit": 0.5}},
    )
    lines = table.text(run).splitlines()
    assert lines[0] == "Some CPU, 2 cores; Python 3.11, fastbp 0, numpy 2"
    row = next(line for line in lines if line.startswith("big"))
    assert row.split() == ["big", "1", "2", "us", "50%", "3", "us", "1.50", "1", "us", "0.50<"]
    assert "fastbp takes least in 0 of 1 rows." in lines
    assert "  torch less: gemm big" in lines


def test_the_table_has_whoever_answered_in_an_order_of_its_own():
    seconds = {"fastbp": [2e-6], "zig": [3e-6], "torch": [4e-6], "abacus": [5e-6], "numpy": [6e-6]}
    lines = table.text(run_of({"gemm big": seconds})).splitlines()
    head = next(line for line in lines if line.startswith("gemm"))
    assert head.split() == ["gemm", "threads", "fastbp", "limit", "numpy", "torch", "abacus", "zig"]
    row = next(line for line in lines if line.startswith("big"))
    assert row.split()[2:] == ["2", "us", "6", "us", "3.00", "4", "us", "2.00", "5", "us", "2.50", "3", "us", "1.50"]


def test_the_table_says_which_peers_are_missing_and_why():
    text = table.text(
        run_of(
            {"gemm big": {"fastbp": [1e-6], "numpy": [1e-6]}},
            absent=[
                ("gemm big", "torch", "not installed", False),
                ("gemm big", "jax", "does not suit it", False),
            ],
        )
    )
    assert "not installed" in text
    assert "  jax: does not suit it" in text


def test_a_wrong_answer_is_among_the_failures_of_a_run():
    run = run_of({"gemm big": {"numpy": [1e-6]}}, absent=[("gemm big", "fastbp", "wrong answer", True)])
    assert run.failures == ["gemm big: fastbp: wrong answer"]


def test_a_file_that_is_no_run_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"benchmarks": [{}]}))
    with pytest.raises(results.NotARun, match=r"other\.json is not a file that fastbp bench --json wrote"):
        results.load(path)


def test_rows_of_bytes_are_compared_by_bytes():
    content = made_run({"memory net": {"fastbp": [9.0], "numpy": [1.0]}})
    for benchmark, taken in zip(content["benchmarks"], (2e6, 4e6), strict=True):
        benchmark["extra_info"] |= {"figure": "bytes", "facts": {"bytes": taken}}
    run = results.parse(content)
    assert run.results[0].ratio("numpy").median == 2
    assert "2 MB" in table.text(run)


# ---- comparisons ---------------------------------------------------------------------------------------

TURNS = [1.0, 1.01, 1.02, 1.03, 1.04]


def verdict(before, now, **options):
    """Of one row in two runs, each the seconds by provider."""
    (change,) = compare.changes(run_of({"row": before}, **options), run_of({"row": now}))
    return change.verdict


def times(factor):
    return [factor * t for t in TURNS]


def test_a_row_that_takes_longer_beside_numpy_is_slower():
    assert verdict({"fastbp": times(1), "numpy": times(2)}, {"fastbp": times(1.5), "numpy": times(2)}) == "slower"


def test_a_row_that_takes_less_beside_numpy_is_faster():
    assert verdict({"fastbp": times(1.5), "numpy": times(2)}, {"fastbp": times(1), "numpy": times(2)}) == "faster"


def test_another_clock_speed_is_no_regression():
    assert verdict({"fastbp": times(1), "numpy": times(2)}, {"fastbp": times(3), "numpy": times(6)}) == "same"


def test_ranges_that_meet_are_noise():
    wide = [1.0, 1.0, 1.2, 1.6, 1.6]
    assert verdict({"fastbp": wide, "numpy": [2.0] * 5}, {"fastbp": [1.5] * 5, "numpy": [2.0] * 5}) == "same"


def test_a_change_too_small_to_be_told_from_another_run_of_the_same_code_is_noise():
    assert verdict({"fastbp": [1.0] * 5, "numpy": [2.0] * 5}, {"fastbp": [1.09] * 5, "numpy": [2.0] * 5}) == "same"


def test_a_peer_of_another_version_is_no_yardstick():
    before = {"fastbp": times(1), "numpy": times(2), "torch": times(2)}
    now = {"fastbp": times(1), "numpy": times(1), "torch": times(2)}
    assert verdict(before, now) == "slower"
    assert verdict(before, now, versions={"numpy": "1"}) == "same"


def test_few_turns_need_a_larger_change():
    before, slower = {"fastbp": [1.0] * 4, "numpy": [2.0] * 4}, {"fastbp": [1.4] * 4, "numpy": [2.0] * 4}
    assert verdict(before, slower) == "same"
    assert verdict(before, {"fastbp": [1.6] * 4, "numpy": [2.0] * 4}) == "slower"


def test_rows_without_a_peer_are_compared_by_their_times():
    assert verdict({"fastbp": times(1)}, {"fastbp": times(2)}) == "slower"


def test_rows_of_one_run_only_are_not_compared():
    before = run_of({"old": {"fastbp": [1.0]}, "both": {"fastbp": [1.0]}})
    now = run_of({"new": {"fastbp": [1.0]}, "both": {"fastbp": [1.0]}})
    assert [change.label for change in compare.changes(before, now)] == ["both"]


def test_a_comparison_says_what_changed_by_how_much():
    before, now = run_of({"row": {"fastbp": [1.0], "numpy": [2.0]}}), run_of({"row": {"fastbp": [2.0], "numpy": [2.0]}})
    assert compare.text(compare.changes(before, now)).splitlines() == [
        "slower by 2.00: row (0.5 to 1 of numpy's)",
        "0 of 1 rows are as fast as before, within the noise.",
    ]


# ---- sizes and memory ----------------------------------------------------------------------------------


def test_an_installed_size_counts_what_a_package_needs():
    assert {"pytest", "pluggy", "packaging"} <= needed("pytest")
    assert installed_bytes("pytest") > installed_bytes("pluggy") > 10_000


def test_what_is_not_installed_needs_nothing():
    assert needed("no-such-distribution") == set()


def test_the_memory_of_a_training_is_more_than_its_parameters():
    command = [sys.executable, "-m", "fastbp.bench.memory_probe", "numpy"]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert NETWORK.parameter_bytes < grown < 20 * (NETWORK.parameter_bytes + NETWORK.activation_bytes)


def test_a_fresh_process_imports_the_installation_that_it_is_run_in(tmp_path, monkeypatch):
    """And not the checkout that the command is run in: it would be that one's start which is timed."""
    (tmp_path / "fastbp").mkdir()
    (tmp_path / "fastbp" / "__init__.py").write_text("print('the installed one')")
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    assert bench_start.run("import fastbp", {}, tmp_path) == "the installed one\n"
    assert bench_start.run("import fastbp", {}) == ""
