"""What somebody at a terminal sees while kernels are compiled and steps are done, and nobody else."""

import contextlib
import io
import itertools
import os
import subprocess
import sys
import threading
import types
import warnings

import numba
import numpy as np
import pytest
from numba.core import config
from tqdm import tqdm

import fastbp
from fastbp.basics import _progress
from fastbp.kernels import _jit

LINE = f"{_progress.COMPILING}: "


class Terminal(io.StringIO):
    def isatty(self):
        return True


def a_terminal(monkeypatch):
    """As standard error, which pytest sets anew when a test's fixtures are ready."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


@pytest.fixture
def compile_one(monkeypatch, tmp_path):
    """Use a kernel that calls another, for the first time; whoever waits has no patience."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_progress, "PATIENCE", 0)
    monkeypatch.setattr(compilation(), "_local", threading.local())  # it has not waited yet
    numbers = itertools.count()

    def compile_one():
        if os.path.isdir(config.CACHE_DIR):
            config.CACHE_DIR = str(tmp_path / str(next(numbers)))

        @_jit.kernel
        def half(x):
            return x * 0.5

        @_jit.kernel
        def quarter(x):
            return half(x) * 0.5

        assert quarter(2.0) == 0.5

    return compile_one


def compilation():
    """What listens to numba."""
    return next(one for one in _progress.event._registered["numba:compile"] if type(one).__name__ == "_Compilation")


def data():
    return np.ones((7, 3), np.float32), np.zeros(7, int)


def net():
    return fastbp.mlp([3, 2], seed=0)


def test_compiling_is_told_with_the_number_of_kernels_so_far(compile_one, monkeypatch):
    terminal = a_terminal(monkeypatch)
    compile_one()
    counts = [int(part.split()[0].rstrip(",")) for part in terminal.getvalue().split(LINE)[1:]]
    assert counts[-1] == counts[0] + 2
    compile_one()
    assert f"{LINE}{counts[-1] + 2}" in terminal.getvalue(), "the count goes on"
    assert terminal.getvalue().endswith("\r"), "the line goes away"


def test_what_is_compiled_in_no_time_is_not_told(compile_one, monkeypatch):
    terminal = a_terminal(monkeypatch)
    monkeypatch.setattr(_progress, "PATIENCE", 1000)
    compile_one()
    assert terminal.getvalue() == ""


def seconds_told(terminal):
    return [int(part.split(" s")[0].split()[-1]) for part in terminal.getvalue().split(LINE)[1:]]


def test_one_wait_for_kernel_after_kernel_is_told_as_one(compile_one, monkeypatch):
    terminal = a_terminal(monkeypatch)
    clock = itertools.count(1_000_000_000, 2)  # seconds, two from look to look
    monkeypatch.setattr(_progress, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(_progress, "PAUSE", 5)
    compile_one()
    compile_one()
    told = seconds_told(terminal)
    assert told == sorted(told)
    assert len(set(told)) > 4
    next(clock), next(clock), next(clock)
    compile_one()
    assert seconds_told(terminal)[-1] < told[-1], "after a pause, the wait is another"


@pytest.mark.parametrize(("compiled", "found", "total"), [(0, 0, True), (0, 1, False), (200, 0, False)])
def test_a_total_is_told_where_it_is_known(compile_one, monkeypatch, compiled, found, total):
    terminal = a_terminal(monkeypatch)
    listener = compilation()
    monkeypatch.setattr(listener, "_compiled", compiled)
    monkeypatch.setattr(_jit.KernelCache, "found", found)
    compile_one()
    assert (f"{compiled + 1} of about {_progress.ABOUT}, " in terminal.getvalue()) is total


@contextlib.contextmanager
def a_terminal_of_no_size(monkeypatch):
    """As standard error, one that was never told its size, as in a container; yields what reads what it was shown."""
    pty = pytest.importorskip("pty", reason="terminals of Unix")
    ours, theirs = pty.openpty()
    assert os.get_terminal_size(theirs).columns == 0
    with os.fdopen(theirs, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)

        def shown():
            print(file=stream, flush=True)  # so that there is something to read
            return os.read(ours, 100_000).decode()

        yield shown
    os.close(ours)


def test_compiling_is_told_to_a_terminal_of_no_size(monkeypatch, compile_one):
    with a_terminal_of_no_size(monkeypatch) as shown:
        compile_one()
        assert LINE in shown()


def test_a_terminal_of_no_size_has_a_bar(monkeypatch):
    with a_terminal_of_no_size(monkeypatch) as shown, _progress.Bar(8, "step"):
        assert "| 0/8 [" in shown()


def test_what_is_compiled_by_others_is_not_told(monkeypatch):
    terminal = a_terminal(monkeypatch)
    assert numba.njit(lambda x: x + 1)(1) == 2
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("error", [None, io.StringIO()], ids=["none", "a file"])
def test_nothing_is_told_where_there_is_no_terminal(monkeypatch, compile_one, error):
    monkeypatch.setattr(sys, "stderr", error)
    compile_one()
    net().fit(*data(), epochs=2)
    assert error is None or error.getvalue() == ""


def test_a_closed_standard_error_is_no_terminal(monkeypatch, compile_one):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    compile_one()
    net().fit(*data(), epochs=2)


def test_a_terminal_that_is_gone_hinders_no_compiling(compile_one, monkeypatch):
    terminal = a_terminal(monkeypatch)

    def write(text):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(terminal, "write", write)
    compile_one()


@pytest.mark.parametrize("progress", [True, False])
def test_fit_tells_of_compiling_where_it_shows_its_bar(compile_one, progress, monkeypatch):
    terminal = a_terminal(monkeypatch)

    def compiling(step, epoch):  # the learning rate: asked for within the call
        if step == 0:
            compile_one()
        return 0.1

    net().fit(*data(), epochs=3, optimizer=fastbp.optimizers.SGD(lr=compiling), progress=progress)
    assert (LINE in terminal.getvalue()) is progress
    assert ("step/s" in terminal.getvalue() or "?step" in terminal.getvalue()) is progress


def test_all_is_compiled_before_the_bar(monkeypatch):
    a_terminal(monkeypatch)
    order = []
    monkeypatch.setattr("fastbp.programs._program._COMPILED", set())
    monkeypatch.setattr(_progress.Bar, "__enter__", lambda bar: order.append("bar") or bar)
    monkeypatch.setattr("fastbp.programs._program.train", lambda *call: order.append(len(call[8])) or len(call[8]))
    net().fit(*data(), max_steps=1)
    assert order == [0, "bar", 1]


@pytest.mark.parametrize("setting", [{}, {"progress": True}, {"verbose": True}], ids=str)
def test_estimators_tell_of_compiling_where_they_tell_anything(compile_one, monkeypatch, capsys, setting):
    terminal = a_terminal(monkeypatch)
    sklearn = pytest.importorskip("fastbp.sklearn")
    monkeypatch.setattr("fastbp.sklearn._steps.EstimatorSteps.compile", lambda program: compile_one())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that two epochs do not converge
        sklearn.MLPClassifier(max_iter=2, **setting).fit(np.ones((8, 3)), np.arange(8) % 2)
    assert (LINE in terminal.getvalue()) is bool(setting)
    assert ("epoch" in terminal.getvalue()) is ("progress" in setting)


def test_a_cache_that_cannot_be_kept_is_told_once(compile_one, monkeypatch):
    terminal = a_terminal(monkeypatch)
    monkeypatch.setattr(compilation(), "_told", False)
    monkeypatch.setattr(config, "CACHE_DIR", "/dev/null/x")
    monkeypatch.setattr(_jit, "REFUSED", {})
    monkeypatch.setattr(_progress, "REFUSED", _jit.REFUSED)
    compile_one()
    compile_one()
    told = [line for line in terminal.getvalue().replace("\r", "\n").splitlines() if line.startswith("fastbp: ")]
    assert len(told) == 1
    assert told[0].startswith("fastbp: every process compiles its kernels anew: ")
    assert "/dev/null/x" in told[0]


# ---- Locks ----


def test_without_a_bar_there_is_no_lock_and_no_tqdm():
    code = """
import sys
import numba  # which imports coverage where that is installed, which imports multiprocessing
import numpy as np
before = {"tqdm", "multiprocessing"} & set(sys.modules)
import fastbp
fastbp.mlp([3, 2]).fit(np.ones((7, 3), np.float32), np.zeros(7, int), progress=False)
fastbp.mlp([3, 2]).fit(np.ones((7, 3), np.float32), np.zeros(7, int))
assert {"tqdm", "multiprocessing"} & set(sys.modules) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_lock_is_neither_shared_with_other_processes_nor_with_other_users_of_tqdm():
    assert type(_progress._line_class().get_lock()) is type(threading.RLock())
    assert tqdm.get_lock() is not _progress._line_class().get_lock()


def free(lock):
    """Whether another thread could take it."""
    answers = []

    def work():
        answers.append(lock.acquire(blocking=False))
        if answers[0]:
            lock.release()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return answers[0]


def test_an_interrupt_while_the_bar_is_drawn_leaves_no_lock(monkeypatch):
    a_terminal(monkeypatch)
    bar = _progress.Bar(3, "step")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    bar._bar.display = interrupted
    with pytest.raises(KeyboardInterrupt):
        bar._bar.refresh()
    assert free(_progress._line_class().get_lock())
    del bar._bar.display
    bar.__exit__()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_does_not_wait_for_a_lock_that_was_held_at_the_fork():
    code = """
import os, threading, sys, io
from fastbp.basics import _progress
sys.stderr = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
taken, done = threading.Event(), threading.Event()
def hold():
    with _progress._line_class().get_lock():
        taken.set()
        done.wait()
threading.Thread(target=hold).start()
taken.wait()
child = os.fork()
if child == 0:
    with _progress.Bar(3, "step") as bar:
        bar.advance()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
done.set()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


# ---- Notebooks ----


def test_a_notebook_gets_its_own_bar(monkeypatch, compile_one):
    notebook = pytest.importorskip("tqdm.notebook")
    if notebook.IProgress is None:
        pytest.skip("no ipywidgets")
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    line_class = _progress._line_class.__wrapped__()
    monkeypatch.setattr(_progress, "_line_class", lambda: line_class)
    compile_one()
    net().fit(*data())
    assert len(shown) == 2
