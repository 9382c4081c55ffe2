"""What fastbp leaves alone: threads, environment, signal handlers and settings of numba's, and who else uses those."""

import os

import pytest
from isolation import isolated

UNTOUCHED = """
import os, signal, sys, threading
from numba.core import config

def seen():
    handlers = {n: signal.getsignal(n) for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP)}
    settings = {name: repr(getattr(config, name)) for name in dir(config) if name.isupper()}
    tasks = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0
    return {"variables": dict(os.environ), "handlers": handlers, "settings": settings, "tasks": tasks,
            "threads": [thread.name for thread in threading.enumerate()],
            "limits": (sys.getswitchinterval(), sys.getrecursionlimit(), os.getcwd(), sys.excepthook, sys.stdout)}

import numpy, tqdm, safetensors.numpy
try:
    import scipy.linalg.cython_blas  # which numba imports when it compiles, and whose OpenBLAS starts a thread
except ImportError:
    pass
import numpy as np
numpy.ones((2, 2)) @ numpy.ones((2, 2))
before = seen()
import fastbp, fastbp.datasets, fastbp.optimizers, fastbp.schedules
assert seen() == before, "importing"
"""

FAILING = (
    UNTOUCHED
    + """
W = np.ones((300, 300), np.float32)
layer, net, state = fastbp.Affine(W, W[0].copy()), fastbp.mlp([4, 3], seed=0), np.random.get_state()[1].copy()
calls = [
    lambda: layer.forward(W[:, :2]), lambda: layer.backward(W), lambda: fastbp.Relu().backward(W),
    lambda: fastbp.SoftmaxWithLoss().forward(W, np.full(300, 300)), lambda: fastbp.Sigmoid().forward("a"),
    lambda: net.fit(W, W[0]), lambda: net.fit(np.ones((3, 4)), [0, 1, 9]), lambda: net.fit(np.ones((3, 4)), [0], lr=1),
    lambda: net.fit(np.ones((3, 4)), [0, 1, 2], threads=0), lambda: net.step(W, W), lambda: net.predict(W),
    lambda: net.gradient(W, W), lambda: fastbp.mlp([4]), lambda: fastbp.load(os.devnull),
    lambda: net.save("/nowhere/model"), lambda: fastbp.set_num_threads(0), lambda: fastbp.datasets.mnist("/nowhere"),
]
for number, call in enumerate(calls):
    try:
        call()
    except Exception:
        continue
    raise SystemExit(f"call {number} was to fail and did not")
assert seen() == before, [name for name, was in before.items() if seen()[name] != was]
assert (np.random.get_state()[1] == state).all()
"""
)


def test_importing_and_failing_start_no_thread_and_set_nothing():
    isolated(FAILING)


# numba's own threading, which one thread at a time may use where it is numba's "workqueue".
BESIDE = """
import threading, warnings
import numba
import numpy as np
import fastbp

warnings.simplefilter("ignore")

@numba.njit(parallel=True)
def total(x, y):
    for i in numba.prange(x.shape[0]):
        y[i] = x[i].sum()
    return y.sum()

numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
x = np.ones((200, 300))
assert total(x, np.zeros(200)) == 60000
layer, used = numba.threading_layer(), numba.get_num_threads()
data, t = np.random.default_rng(0).random((300, 20), dtype=np.float32), np.arange(300) % 3

def trained():
    net = fastbp.mlp([20, 30, 3], seed=0)
    net.fit(data, t, epochs=2, batch_size=30, seed=0, threads=3, progress=False)
    return b"".join(p.tobytes() for p in net.params.values())

expected, wrong, stop = trained(), [], threading.Event()

def others():
    while not stop.is_set():
        if trained() != expected:
            wrong.append("fastbp")

threads = [threading.Thread(target=others) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(200):
    if total(x, np.zeros(200)) != 60000:
        wrong.append("the other")
stop.set()
for thread in threads:
    thread.join()
assert not wrong, wrong
assert (numba.threading_layer(), numba.get_num_threads()) == (layer, used)
"""


@pytest.mark.parametrize("layer", ["workqueue", pytest.param("omp", marks=pytest.mark.soak)])
def test_a_library_that_uses_numbas_own_threads_is_undisturbed(layer, monkeypatch):
    if layer == "omp":
        try:
            from numba.np.ufunc import omppool  # noqa: F401
        except ImportError:
            pytest.skip("numba has no omp here")
    monkeypatch.setenv("NUMBA_THREADING_LAYER", layer)
    if os.cpu_count() == 1:
        pytest.skip("one core")
    isolated(BESIDE)
