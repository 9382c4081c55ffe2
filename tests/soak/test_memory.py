"""Memory: nothing grows however often a call is made or fails, and where memory runs out nothing has changed."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from isolation import isolated

import fastbp

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")


@pytest.mark.slow
@pytest.mark.skipif(not GLIBC, reason="C's memory cannot be counted here")
@pytest.mark.parametrize(
    ("n", "fits", "few"), [(600, 24, 200), pytest.param(100_000, 1000, 400, marks=pytest.mark.soak)]
)
def test_nothing_grows_however_often_a_call_is_made_or_fails(n, fits, few):
    """Of half of the calls, ``few`` blocks may stay, bytes 64 times as many: what comes and goes by turns."""
    command = [sys.executable, str(Path(__file__).with_name("leaks.py")), str(n), str(fits)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    for name, (blocks, taken, objects) in json.loads(run.stdout).items():
        assert blocks < few, f"{name} has left {blocks} blocks of memory"
        assert taken < 64 * few, f"{name} has left {taken} bytes"
        assert objects < few, f"{name} has left {objects} objects"


# ---- Out of memory ----

X = np.random.default_rng(0).random((40, 4)).astype(np.float32)
T = np.arange(40) % 3
MAKERS = "empty", "zeros", "full", "empty_like", "zeros_like", "array", "arange", "ascontiguousarray", "require"


def network():
    return fastbp.mlp([4, 6, 3], normalization="batch", seed=0)


def held(net):
    """The bits of all that a network learns."""
    return [array.tobytes() for array in (net.params | net._binding().buffers).values()]


def fit(net, **options):
    settings = {"epochs": 1, "batch_size": 8, "seed": 1, "optimizer": "adam", "progress": False, "threads": 1}
    net.fit(X, T, **settings | options)


def between_steps(use):
    """What ``use`` of a new network may leave of it when it is stopped: what it was, or after a step of ``fit``."""
    states = []
    for most in range(6):
        net = network()
        use(net, max_steps=most)
        states.append(held(net))
    return states


class NoMemory:
    """NumPy's functions that make arrays; of their calls, the one with the number ``fails`` finds no memory."""

    def __init__(self, monkeypatch):
        self.calls, self.fails = 0, None
        for name in MAKERS:
            monkeypatch.setattr(np, name, self.counted(getattr(np, name)))

    def counted(self, make):
        def call(*arguments, **options):
            self.calls += 1
            if self.calls == self.fails:
                raise MemoryError("no more")
            return make(*arguments, **options)

        return call


USES = {
    "fit": fit,
    "fit with validation": lambda net, **more: fit(net, validation_split=0.25, patience=2, **more),
    "fit with weights": lambda net, **more: fit(net, sample_weight=np.ones(40), class_weight="balanced", **more),
    "step": lambda net: net.step(X, T),
    "gradient": lambda net: net.gradient(X, T),
    "loss": lambda net: net.loss(X, T),
    "predict": lambda net: net.predict(X),
    "accuracy": lambda net: net.accuracy(X, T),
}


@pytest.mark.parametrize("name", USES)
def test_where_memory_runs_out_a_network_is_as_it_was_and_can_be_used(name, monkeypatch):
    use, plain = USES[name], network()
    use(plain)
    expected, failed = held(plain), 0
    allowed = between_steps(use) if "fit" in name else [held(network())]
    with monkeypatch.context() as patched:
        memory = NoMemory(patched)
        for fails in range(1, 1000):
            net = network()
            before = held(net)
            memory.calls, memory.fails = 0, fails
            try:
                use(net)
            except MemoryError:
                failed += 1
            else:
                assert memory.calls < fails, "a MemoryError was swallowed"
                break
            memory.fails = None
            assert held(net) in allowed, f"at array {fails}"
            if held(net) == before:
                use(net)
                assert held(net) == expected
    assert failed > 2


LARGE = """
import resource
from pathlib import Path
import numpy as np
import fastbp
net = fastbp.mlp([1000, 400, 10], seed=0)
x, t = np.ones((20_000, 1000), np.float32), np.zeros(20_000, int)
fit = {"epochs": 1, "batch_size": 100, "progress": False}
net.fit(x[:200], t[:200], **fit)
net.predict(x[:10])
before = [p.tobytes() for p in net.params.values()]
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (20 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
refused = 0
for call in (
    lambda: net.fit(x, t, **fit | {"batch_size": 20_000, "optimizer": "adam"}),
    lambda: net.fit(x.astype(np.float64), t, **fit),
    lambda: net.step(x, t),
    lambda: net.gradient(x, t),
    lambda: net.loss(x, t),
    lambda: net.predict(np.broadcast_to(x[:1], (10**7, 1000))),
    lambda: fastbp.mlp([10_000, 10_000]),
    lambda: fastbp.Affine(net.params["W1"], None).forward(x),
):
    try:
        call()
    except MemoryError:
        refused += 1
assert refused >= 5, refused
assert [p.tobytes() for p in net.params.values()] == before
net.fit(x[:200], t[:200], **fit)
assert [p.tobytes() for p in net.params.values()] != before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no bound on memory")
def test_where_the_system_gives_no_more_memory_a_network_is_as_it_was_and_can_be_used():
    isolated(LARGE)
