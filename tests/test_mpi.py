"""Training by several processes, started as a user starts them. What they check is in ``mpi_checks``."""

import json
import sys
import time

import numpy as np
import pytest
from isolation import isolated
from ranks import HERE, needs_mpi, started
from small_nets import examples, small

from fastbp import load_checkpoint
from fastbp.cli import main
from fastbp.training import _ranks


@pytest.mark.slow
@needs_mpi
def test_three_ranks_do_what_one_does_and_two_go_on_with_it(tmp_path):
    for n_ranks in (3, 2):
        run = started(n_ranks, HERE / "mpi_checks.py", tmp_path)
        assert (run.returncode, run.stdout.count("passed")) == (0, n_ranks), run.stdout + run.stderr


@needs_mpi
@pytest.mark.parametrize(
    "training",
    [
        "small().fit(*examples(), epochs=10**9, comm=comm, seed=0, callbacks=[dies])",
        "fit_many([small(), small()], *examples(), epochs=10**9, comm=comm, callbacks=[dies])",
    ],
    ids=["one network", "many"],
)
def test_a_rank_that_is_killed_ends_all_at_once(training, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import os, signal, time\n"
        "from mpi4py import MPI\n"
        "from fastbp import fit_many\n"
        "from small_nets import examples, small\n"
        "comm = MPI.COMM_WORLD\n"
        "def dies(*history):\n"
        "    if comm.rank == 1:\n"
        f"        open({str(tmp_path / 'when')!r}, 'w').write(str(time.time()))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{training}\n"
    )
    run = started(2, script)
    assert run.returncode != 0
    assert time.time() - float((tmp_path / "when").read_text()) < 10
    assert "KILLED BY SIGNAL: 9" in run.stdout + run.stderr or "signal 9" in run.stdout + run.stderr


@pytest.mark.slow
@needs_mpi
def test_the_command_trains_as_in_one_process_and_says_things_once(tmp_path):
    options = ["--epochs", "2", "--hidden", "7", "--dtype", "float64", "--json", tmp_path / "one.json"]
    assert main(["train", *map(str, options)]) == 0
    options[-1] = tmp_path / "two.json"
    save = ["--save", tmp_path / "net.safetensors", "--save-state", "--save-every", "1"]
    run = started(2, "-m", "fastbp", "train", "--distributed", *options, *save)
    assert run.returncode == 0 and run.stdout.count("epoch 1/2") == 1, run.stdout + run.stderr
    one, two = (json.loads((tmp_path / f"{name}.json").read_text())["epochs"] for name in ("one", "two"))
    for name in ("loss", "train_accuracy", "validation_accuracy"):
        np.testing.assert_allclose([e[name] for e in one], [e[name] for e in two], rtol=1e-6)
    assert load_checkpoint(save[1]).state.step == 30
    run = started(2, "-m", "fastbp", "train", "--distributed", "--data", tmp_path / "none.csv")
    assert (run.returncode, run.stderr.count("none.csv: there is no such file")) == (1, 1)


def test_the_command_needs_processes_and_says_what_goes_with_what(capsys):
    assert main(["train", "--sync-every", "3"]) == 2
    assert "--sync-every goes with --distributed" in capsys.readouterr().err
    assert main(["train", "--save-every", "3"]) == 2
    assert "--save-every goes with --save" in capsys.readouterr().err


@needs_mpi
def test_what_is_no_communicator_of_several_is_refused():
    said = isolated(
        """
        import sys
        sys.path.append(sys.argv[1])
        from mpi4py import MPI
        from small_nets import examples, small
        for comm in (7, MPI.COMM_SELF):
            try:
                small().fit(*examples(), comm=comm)
            except (TypeError, ValueError) as error:
                print(type(error).__name__, error)
    """,
        HERE,
    )
    assert said.startswith("TypeError comm must be a communicator of mpi4py such as MPI.COMM_WORLD, got 7\n")
    assert "ValueError comm must have two ranks or more, got one: start the script by mpiexec -n 2" in said


def test_without_mpi4py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(ImportError, match=r"this needs mpi4py, which is not installed: pip install .*\[mpi\]"):
        small().fit(*examples(), comm=object())


def test_where_mpi4py_finds_no_mpi_the_extra_is_named(monkeypatch):
    def no_library(*names):
        raise RuntimeError("cannot load MPI library")  # as mpi4py does

    monkeypatch.setattr(_ranks, "import_extra", no_library)
    with pytest.raises(ImportError, match=r"mpi4py finds no library of MPI: pip install .*\[mpi\]"):
        small().fit(*examples(), comm=object())


def test_steps_apart_go_with_a_communicator():
    with pytest.raises(ValueError, match="sync_every is of ranks that train together: it goes with comm, got 2"):
        small().fit(*examples(), sync_every=2)
