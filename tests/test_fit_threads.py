"""Training gives the same bits for any number of threads, and lives with threads, processes and Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fits import assert_same_weights, examples, fitted, network, small, weights_differ
from strategies import FLOATS

import fastbp
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop
from fastbp.training import _run

OPTIMIZERS = {
    "SGD": SGD(lr=0.1),
    "SGD with weight decay": SGD(lr=0.1, weight_decay=0.01),
    "Momentum": Momentum(lr=0.05),
    "Nesterov": Nesterov(lr=0.05),
    "AdaGrad": AdaGrad(lr=0.05),
    "RMSprop": RMSprop(lr=0.005),
    "Adam": Adam(lr=0.005),
    "AdamW": AdamW(lr=0.005),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(
    ("sizes", "n_samples", "batch_size"),
    [((300, 256, 256, 10), 450, 200), ((5, 8, 3), 50, 8)],
    ids=["large", "small"],
)
def test_weights_are_the_same_bits_for_any_number_of_threads(sizes, n_samples, batch_size, optimizer):
    net = network(*sizes, dropout=0.3)
    x, t = examples(n_samples, sizes[0], sizes[-1])
    one, history = fitted(net, x, t, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=1)
    assert weights_differ(one, net)
    for threads in (2, 3, 8):
        other, theirs = fitted(net, x, t, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=threads)
        assert_same_weights(other, one)
        np.testing.assert_allclose(theirs.loss, history.loss, rtol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", [fastbp.SigmoidWithLoss, fastbp.MeanSquaredError])
def test_weights_with_clipping_and_a_loss_of_real_targets_are_the_same_bits_for_any_number_of_threads(loss, dtype):
    layers = fastbp.mlp([300, 256, 64], "tanh", dtype=dtype, seed=0).layers.values()
    net = fastbp.Sequential([*layers, fastbp.LeakyRelu(), fastbp.Dropout(0.2)], loss())
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((450, 300)), rng.random((450, 64))
    options = {"batch_size": 200, "optimizer": Adam(), "clip_norm": 0.01, "sample_weight": rng.random(450)}
    one, _ = fitted(net, x, t, threads=1, **options)
    for threads in (2, 3, 8):
        assert_same_weights(fitted(net, x, t, threads=threads, **options)[0], one)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    net = small(dropout=0.3)
    first, again, other = (fitted(net, epochs=2, seed=seed)[0] for seed in (3, 3, 4))
    assert_same_weights(first, again)
    assert weights_differ(first, other)
    assert weights_differ(fitted(net, seed=None)[0], fitted(net, seed=None)[0])


def test_threads_of_a_fit_are_given_back():
    before = fastbp.get_num_threads()
    inside = []
    fitted(small(), threads=before + 2, callbacks=[lambda _: inside.append(fastbp.get_num_threads())])
    assert inside == [before + 2]
    assert fastbp.get_num_threads() == before


@pytest.mark.parametrize("seed", [None, 0])
def test_the_state_of_np_random_is_untouched(seed):
    before = np.random.get_state()
    fitted(small(dropout=0.3), seed=seed)
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


def run(code):
    """Start ``code`` in a Python of its own that imports the same fastbp."""
    path = os.pathsep.join([str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    )


INTERRUPTED = """
import signal, sys
import numpy as np
import fastbp

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
x, t = rng.standard_normal((4000, 100), np.float32), rng.integers(0, 5, 4000)
net, twin = (fastbp.mlp([100, 200, 5], seed=0) for _ in range(2))
chunks = []  # their first steps

def rate(step, epoch):
    now = net.params["W1"].tobytes()
    if not chunks or now != chunks[-1][1]:
        chunks.append((step, now))
    if step == 200:
        print("training", flush=True)
    return 1e-3

options = {"batch_size": 100, "optimizer": fastbp.optimizers.Adam(lr=rate), "seed": 0, "progress": False}
try:
    net.fit(x, t, epochs=10**6, **options)
except KeyboardInterrupt:
    pass
print(np.isfinite(net.params["W1"]).all())
steps = chunks[-1][0]
now = {name: p.copy() for name, p in net.params.items()}
options["optimizer"] = fastbp.optimizers.Adam(lr=1e-3)
state, same = None, False
for stop in range(steps, steps + 5000):
    state = twin.fit(x, t, epochs=10**6, max_steps=stop, resume=state, **options).state
    same = all(np.array_equal(p, now[name]) for name, p in twin.params.items())
    if same:
        break
print(same)
net.fit(x, t, epochs=1, **options)
print(not np.array_equal(net.params["W1"], now["W1"]), np.isfinite(net.predict(x)).all())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_ctrl_c_ends_a_run_and_leaves_the_network_whole():
    child = run(INTERRUPTED)
    try:
        assert child.stdout.readline() == "training\n"
        time.sleep(0.7)  # into compiled code, far from the beginning
        child.send_signal(signal.SIGINT)
        printed, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    finite, same, *usable = printed.split()
    assert child.returncode == 0
    assert finite == "True"
    assert same == "True", "the weights are not those of any finished step"
    assert usable == ["True", "True"]


# ---- Threads and processes ----


@pytest.mark.parametrize("threads", [None, 2])
def test_two_python_threads_train_two_networks_at_once(threads):
    nets = [network(60, 90, 10, dropout=0.3), network(60, 40, 30, 10, dtype=np.float64, seed=1)]
    x, t = examples(700, 60, 10)
    options = {"epochs": 10, "batch_size": 64, "optimizer": Adam(), "threads": threads}
    expected = [fitted(net, x, t, **options)[0] for net in nets]
    results, barrier = {}, threading.Barrier(2)

    def work(i):
        barrier.wait()
        for _ in range(3):
            results[i] = fitted(nets[i], x, t, **options)[0]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i in range(2):
        assert_same_weights(results[i], expected[i])


FORKED = """
import os, warnings
import numpy as np
import fastbp

warnings.simplefilter("ignore")  # Python's, of forking beside threads
x = np.random.default_rng(0).standard_normal((300, 200))
t = np.arange(300) % 10

def train():
    net = fastbp.mlp([200, 300, 10], seed=0)
    net.fit(x, t, epochs=2, batch_size=100, threads=2, seed=0, progress=False)
    return net.params["W1"].tobytes()

expected = train()
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if train() == expected else 1)
    ok = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 0
    os._exit(0 if ok and train() == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), train() == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fit_works_in_a_forked_child_and_in_its_child():
    child = run(FORKED)
    try:
        printed, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert printed.split() == ["0", "True"]


def test_the_history_is_the_same_bits_however_the_steps_were_cut_into_chunks(monkeypatch):
    losses = []
    for most in (1, 3, 1000):
        monkeypatch.setattr(_run, "MOST_STEPS", most)
        losses.append(fitted(network(5, 8, 3), epochs=4)[1].loss)
    assert losses[0] == losses[1] == losses[2]
