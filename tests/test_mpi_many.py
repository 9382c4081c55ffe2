"""Many networks dealt out to processes. What these check is in ``mpi_many_checks``."""

import sys

import pytest
from ranks import HERE, needs_mpi, started
from small_nets import examples, small

from fastbp import fit_groups, fit_many
from fastbp.training._dealt import dealt


@pytest.mark.slow
@needs_mpi
@pytest.mark.parametrize("n_ranks", [2, 3])
def test_ranks_come_to_what_one_process_does(n_ranks, tmp_path):
    run = started(n_ranks, HERE / "mpi_many_checks.py", tmp_path)
    assert (run.returncode, run.stdout.count("passed")) == (0, n_ranks), run.stdout + run.stderr


def test_the_longest_are_dealt_first_each_to_whom_has_least():
    assert dealt([1, 5, 3, 3], 2) == [0, 0, 1, 1]
    assert dealt([2, 2, 2, 2, 2], 3) == [0, 1, 2, 0, 1]
    assert dealt([4], 3) == [0]
    assert dealt([], 3) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda **options: fit_many([small()], *examples(), **options),
        lambda **options: fit_groups(lambda group: small(), *examples(), [0] * 9, **options),
    ],
)
def test_without_mpi4py_the_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(ImportError, match=r"this needs mpi4py, which is not installed: pip install .*\[mpi\]"):
        call(comm=object())
