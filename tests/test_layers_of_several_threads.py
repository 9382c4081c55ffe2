"""One layer used by several Python threads: a call gives the numbers of one batch or an error, and never crashes."""

import subprocess
import sys
import textwrap

import pytest

SETUP = """
import random, sys, threading, time
import numpy as np
import fastbp

sys.setswitchinterval(1e-6)
rng = np.random.default_rng(0)
failures, refused = [], []

def run(*works, rounds):
    done = []

    def loop(work, seed):
        draw = random.Random(seed)
        for _ in range(rounds):
            try:
                work(draw)
            except (ValueError, RuntimeError, TypeError) as error:
                refused.append(str(error))
            except Exception as error:
                failures.append(repr(error))
        done.append(work)

    threads = [threading.Thread(target=loop, args=(work, seed)) for seed, work in enumerate(works)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(done) == len(works) and not failures, failures[:3]
    assert all(message and "operand" not in message for message in refused), refused[:3]

def near(a, b):
    return a.shape == b.shape and np.abs(a - b).max() < 1e-9
"""

SCRIPTS = {
    "losses": """
    sizes = [(1, 2), (40, 10), (300, 70), (2000, 3)]
    for name in ("SoftmaxWithLoss", "MeanSquaredError", "SigmoidWithLoss", "BinaryCrossEntropy"):
        batches = []
        for n, k in sizes:
            x, t = rng.random((n, k)), rng.random((n, k))
            if name == "SoftmaxWithLoss":
                t = rng.integers(0, k, n)
            own = getattr(fastbp, name)()
            batches.append((x, t, own.forward(x, t), own.backward()))
        layer = getattr(fastbp, name)()

        def both(draw):
            x, t, loss, dx = draw.choice(batches)
            assert near(layer.forward(x, t), loss)
            got = layer.backward()
            assert any(near(got, dx) for *_, dx in batches)  # of one batch, whosever it is

        def meddle(draw):
            layer.y, layer.t = draw.choice(batches)[0], draw.choice(batches)[1]
            layer.backward()

        run(both, both, rounds=300)
        run(meddle, meddle, lambda draw: layer.forward(*draw.choice(batches)[:2]), rounds=300)
    """,
    "Affine": """
    W, b = rng.standard_normal((20, 5)), rng.standard_normal(5)
    batches = []
    for n in (1, 30, 500, 3000):
        x, dout = rng.standard_normal((n, 20)), rng.standard_normal((n, 5))
        batches.append((x, dout, x @ W + b, dout @ W.T))
    layer = fastbp.Affine(W, b)

    def both(draw):
        x, dout, out, dx = draw.choice(batches)
        assert near(layer.forward(x), out)
        assert near(layer.backward(dout), dx)

    def meddle(draw):
        layer.W, layer.b = draw.choice([(W, b), (W.astype(np.float32), b), (W[:4], b), (rng.random((20, 9)), None)])
        layer.x = draw.choice(batches)[0]
        layer.original_x_shape = draw.choice([(30, 20), (500, 20), (5, 6, 20), None])
        try:
            layer.backward(np.ones((layer.x.shape[0], layer.W.shape[1])))
        finally:
            layer.W, layer.b = W, b

    run(both, both, rounds=300)
    both = lambda draw: (layer.forward(draw.choice(batches)[0]), layer.backward(draw.choice(batches)[1]))
    run(both, both, meddle, rounds=300)
    """,
    "elementwise": """
    shapes = [(1, 1), (30, 7), (4000, 20), (11,)]
    for name in ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Softmax", "Dropout"):
        batches = []
        for shape in shapes:
            x = rng.standard_normal(shape)
            own = getattr(fastbp, name)()
            batches.append((x, own.forward(x), own.backward(x)))
        layer = getattr(fastbp, name)()

        def both(draw):
            x, out, dx = draw.choice(batches)
            got = layer.forward(x)
            assert name == "Dropout" or near(got, out)
            assert got.shape == out.shape
            got = layer.backward(x)
            assert name == "Dropout" or near(got, dx)

        def meddle(draw):
            x = draw.choice(batches)[0]
            for attribute, value in (("mask", x > 0), ("out", x), ("y", x)):
                if hasattr(layer, attribute):
                    setattr(layer, attribute, value)
            layer.backward(draw.choice(batches)[0])

        run(both, both, rounds=300)
        run(meddle, meddle, lambda draw: layer.forward(draw.choice(batches)[0]), rounds=300)
    """,
    "labels written meanwhile": """
    x, t = rng.standard_normal((2000, 10)), rng.integers(0, 10, 2000)
    loss = fastbp.SoftmaxWithLoss()

    def write(draw):
        t[:] = draw.choice([0, 3, 9, 10**12, -(10**12)])
        time.sleep(0)
        t[:] = 5

    def both(draw):
        loss.forward(x, t)
        loss.backward()

    run(write, both, both, rounds=1000)
    """,
    # Of a type that is copied: kernels look at others themselves, and at no time between.
    "between the checks and the kernel": """
    import warnings
    from fastbp.basics import _team
    from fastbp.kernels.entry import Entry

    warnings.simplefilter("ignore")  # newer NumPys would rather not have their shapes set
    x, t = rng.standard_normal((4, 5)), np.array([0, 4, 2, 1])
    W, b, rows, out = rng.random((5, 3)), np.zeros(3), np.full((4, 5), 0.2), rng.random((4, 3))
    x, W, b, rows, out = (array.astype(np.float16) for array in (x, W, b, rows, out))
    arrays = {"x": x, "t": t, "W": W, "b": b, "rows": rows, "out": out}
    kept = {name: array.copy() for name, array in arrays.items()}

    def meddle():  # what another thread may do once a layer has looked at its arrays
        for name, array in arrays.items():
            array.shape = (1, array.size) if array.ndim == 1 else (1, 1, array.size)
        t[:] = 10**12

    def restore():
        for name, array in arrays.items():
            array.shape = kept[name].shape
            array[...] = kept[name]

    _team.current()  # which the first call of a kernel would ask for
    last_before_kernels = [(_team, "current"), (Entry, "__call__")]
    calls = [getattr(*place) for place in last_before_kernels]

    def same(work):
        for place, call in zip(last_before_kernels, calls):
            setattr(*place, lambda *operands, call=call: (meddle(), call(*operands))[1])
        got = work()
        assert x.shape != kept["x"].shape, work
        restore()
        for place, call in zip(last_before_kernels, calls):
            setattr(*place, call)
        expected = work()
        assert got.shape == expected.shape and got.tobytes() == expected.tobytes(), work

    for layer in (fastbp.Relu(), fastbp.LeakyRelu(), fastbp.Sigmoid(), fastbp.Tanh(), fastbp.Softmax()):
        if not isinstance(layer, fastbp.Relu):  # which computes float16 in NumPy
            same(lambda: layer.forward(x))
            same(lambda: layer.backward(x))
    dropout = fastbp.Dropout(0.0)
    same(lambda: dropout.forward(x))
    same(lambda: dropout.backward(x))
    affine = fastbp.Affine(W, b)
    same(lambda: affine.forward(x))
    same(lambda: affine.backward(out))
    for loss, targets in (
        (fastbp.SoftmaxWithLoss(), t), (fastbp.SoftmaxWithLoss(), rows), (fastbp.MeanSquaredError(), rows)
    ):
        same(lambda: np.array(loss.forward(x, targets)))
        same(lambda: loss.backward())
    """,
    "shapes changed in place": """
    loss, relu, affine = fastbp.SoftmaxWithLoss(), fastbp.Relu(), fastbp.Affine(rng.random((10, 10)), np.zeros(10))
    x, t = rng.standard_normal((1000, 10)), rng.integers(0, 2, 1000)

    def reshape(draw):
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer NumPys would rather not
            x.shape = draw.choice([(1000, 10), (10, 1000), (10000,), (2, 5000)])
            time.sleep(0)
            x.shape = 1000, 10

    def both(draw):
        loss.forward(x, t)
        loss.backward()
        relu.forward(x)
        relu.backward(x)
        affine.forward(x)
        affine.backward(x)

    def resize(draw):  # refused while anyone else has the array
        x.resize((10, 10))

    run(reshape, both, both, rounds=1000)
    affine.forward(x)  # which keeps it: perhaps none of those before did
    run(resize, both, both, rounds=100)
    assert x.shape == (1000, 10)
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_threads_that_share_a_layer(name):
    code = SETUP + textwrap.dedent(SCRIPTS[name])
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
