"""One network used by several Python threads: right numbers, or an error that says what is wrong; never a crash."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import fastbp

STRESS = """
import sys, threading, time, warnings
import numpy as np
import fastbp
from fastbp.optimizers import Adam
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
net = fastbp.mlp([6, 9, 4], seed=0)
sizes = [1, 3, 8, 64, 301]
xs = [rng.standard_normal((n, 6), dtype=np.float32) for n in sizes]
ts = [rng.integers(0, 4, n) for n in sizes]
W, b = net.params["W1"].copy(), net.params["b2"].copy()
rule = Adam(lr=1e-4)
turn = iter(range(10**9))

def pick():
    i = next(turn) % len(sizes)
    return xs[i], ts[i]

def resize_x():
    x = np.zeros((300, 6), np.float32)
    shrink = threading.Thread(target=lambda: x.resize((1, 6), refcheck=False))
    shrink.start()
    try:
        net.step(x, np.zeros(len(x), np.int64), rule)
        net.gradient(x, np.zeros(len(x), np.int64))
    finally:
        shrink.join()

def write_labels():
    t = np.zeros(300, np.int64)
    writer = threading.Thread(target=lambda: t.fill(10**9))
    writer.start()
    try:
        net.step(np.zeros((300, 6), np.float32), t, rule)
    finally:
        writer.join()

def reshape_t():
    x, t = pick()
    t = t.copy()
    other = threading.Thread(target=lambda: setattr(t, "dtype", np.int8))
    other.start()
    try:
        net.step(x, t, rule)
    finally:
        other.join()

def delete_W():
    layer = net.layers["Affine1"]
    del layer.W
    time.sleep(0)
    layer.W = W.copy()

def swap_layer():
    net.layers["Affine2"] = fastbp.Affine(rng.standard_normal((9, 4), dtype=np.float32), b.copy())

ACTIONS = {
    "fit": lambda: net.fit(*pick(), epochs=20, optimizer=rule, progress=False),
    "step": lambda: net.step(*pick(), rule),
    "gradient": lambda: net.gradient(*pick()),
    "predict": lambda: net.predict(pick()[0]),
    "loss": lambda: net.loss(*pick()),
    "accuracy": lambda: net.accuracy(*pick()),
    "numerical_gradient": lambda: net.numerical_gradient(xs[0], ts[0]),
    "params": lambda: net.params["W1"].sum(),
    "summary": lambda: net.summary(),
    "state_dict": lambda: net.load_state_dict(net.state_dict()),
    "copy": lambda: __import__("copy").deepcopy(net).step(*pick()),
    "W replaced": lambda: setattr(net.layers["Affine1"], "W", W.copy()),
    "W wider": lambda: (setattr(net.layers["Affine1"], "W", np.ones((6, 12), np.float32)),
                        setattr(net.layers["Affine1"], "W", W.copy())),
    "b replaced": lambda: setattr(net.layers["Affine2"], "b", b.copy()),
    "W deleted": delete_W,
    "layer swapped": swap_layer,
    "x resized": resize_x,
    "t written": write_labels,
    "t reshaped": reshape_t,
    "smoothing": lambda: setattr(net.loss_layer, "label_smoothing", (next(turn) % 5) / 10),
}
EXPECTED = (ValueError, TypeError, RuntimeError, AttributeError, FloatingPointError)

for name, action in ACTIONS.items():  # compiles
    try:
        action()
    except EXPECTED:
        pass
sys.setswitchinterval(1e-6)

def run(names, seconds):
    end = time.monotonic() + seconds
    unexpected = []
    def work(name):
        while time.monotonic() < end:
            try:
                ACTIONS[name]()
            except EXPECTED as error:
                assert str(error)
            except BaseException as error:
                unexpected.append((name, repr(error)))
                return
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not unexpected, unexpected
"""


def runs(code, timeout=600):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", STRESS + code], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_everything_at_once_ends_in_numbers_or_named_errors():
    runs("run(list(ACTIONS), 4)\nrun(['gradient'] * 4, 1)\nrun(['fit', 'step', 'W replaced', 'gradient'], 2)\n")


@pytest.mark.soak
def test_every_pair_ends_in_numbers_or_named_errors():
    runs(
        "names = list(ACTIONS)\n"
        "for i, one in enumerate(names):\n"
        "    for other in names[i:]:\n"
        "        run([one, other, one, other], 1)\n",
        timeout=3600,
    )


def in_threads(work, n=4):
    """Call ``work(number)`` in n threads at once under a short switch interval; returns the results."""
    results, start = [None] * n, threading.Barrier(n)

    def run(i):
        start.wait()
        try:
            results[i] = work(i)
        except Exception as error:  # is raised below
            results[i] = error

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_gradients_of_other_batch_sizes_in_threads_are_those_of_one_thread():
    net = fastbp.mlp([6, 9, 4], seed=0)
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((n, 6), dtype=np.float32), rng.integers(0, 4, n)) for n in (1, 7, 32, 100)]
    expected = [net.gradient(*batch) for batch in batches]
    scores = [net.predict(x) for x, _ in batches]

    def work(i):
        for _ in range(200):
            gradients = net.gradient(*batches[i])
            for name, g in expected[i].items():
                np.testing.assert_array_equal(gradients[name], g)
            np.testing.assert_array_equal(net.predict(batches[i][0]), scores[i])

    in_threads(work)


def test_the_layers_keep_what_a_pass_leaves_as_in_the_book():
    net = fastbp.mlp([6, 9, 4], seed=0)
    x, t = np.ones((3, 6), np.float32), np.array([0, 1, 2])
    gradients = net.gradient(x, t)
    assert np.shares_memory(net.layers["Affine1"].x, x)
    assert net.layers["Affine1"].dW is gradients["W1"]
    assert net.layers["Relu1"].mask.shape == (3, 9)
    assert net.loss_layer.y.shape == (3, 4)


@pytest.mark.parametrize("what", ["fit", "step"])
def test_a_network_in_training_in_another_thread_is_not_trained(what):
    net = fastbp.mlp([6, 9, 4], seed=0)
    x, t = np.ones((3, 6), np.float32), np.array([0, 1, 2])
    errors = []

    def other():
        try:
            net.fit(x, t, progress=False) if what == "fit" else net.step(x, t)
        except RuntimeError as error:
            errors.append(str(error))

    def callback(history):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    net.fit(x, t, callbacks=[callback], progress=False)
    assert len(errors) == 1
    assert errors[0].startswith(f"{what} was called on a network that is in training in another thread")
    net.step(x, t)


def test_layers_replaced_while_another_thread_trains_are_told_to_all_but_that_thread():
    net = fastbp.mlp([6, 9, 4], seed=0)
    x, t = np.ones((3, 6), np.float32), np.array([0, 1, 2])
    errors = []

    def other():
        net.layers["Affine1"].W = np.zeros((6, 9), np.float32)
        try:
            net.params  # noqa: B018
        except RuntimeError as error:
            errors.append(str(error))

    def callback(history):
        if len(history.loss) == 1:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    net.fit(x, t, epochs=2, callbacks=[callback], progress=False)
    assert len(errors) == 1
    assert "wait until that training has taken it up between two steps" in errors[0]
    assert np.abs(net.params["W1"]).max() < 0.05, "the zeros were taken up, and trained for an epoch"


def test_the_thread_that_trains_may_step_and_fit_in_a_callback():
    net = fastbp.mlp([6, 9, 4], seed=0)
    x, t = np.ones((3, 6), np.float32), np.array([0, 1, 2])
    net.fit(x, t, callbacks=[lambda _: net.step(x, t), lambda _: net.fit(x, t, progress=False)], progress=False)


def test_an_error_while_training_leaves_no_claim():
    net = fastbp.mlp([6, 9, 4], seed=0)
    x, t = np.ones((3, 6), np.float32), np.array([0, 1, 2])

    def fails(history):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(x, t, callbacks=[fails], progress=False)
    with pytest.raises(ValueError, match="x must be"):
        net.step(x[:, :2], t)
    in_threads(lambda i: net.step(x, t), n=1)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_may_train_a_network_that_another_thread_was_training():
    runs(
        "import os\n"
        "net = fastbp.mlp([6, 9, 4], seed=0)\n"
        "started, go_on = threading.Event(), threading.Event()\n"
        "def callback(history):\n"
        "    started.set(); go_on.wait()\n"
        "thread = threading.Thread(target=lambda: net.fit(xs[2], ts[2], callbacks=[callback], progress=False))\n"
        "thread.start(); started.wait()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        net.step(xs[2], ts[2]); os._exit(0)\n"
        "    finally:\n"
        "        os._exit(1)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "go_on.set(); thread.join()\n"
        "assert code == 0, code\n"
    )
