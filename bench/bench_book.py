"""The book's training loop with its NumPy layers and with fastbp's: 784-50-10, batch 100, lr 0.1, all cores.

    python -m bench.bench_book [--data-dir DIR]

The loop is the book's: mini-batches by ``np.random.choice``, the update in NumPy; only the layers differ. The data are
MNIST's training images where their folder is given, else random numbers of the same shape.
"""

import argparse
import multiprocessing
import time
from collections import OrderedDict
from multiprocessing.connection import Connection

import numpy as np

import fastbp
from fastbp import datasets, reference

WIDTHS = (10, 12, 12, 12, 8)
TURNS, STEPS = 15, 100
PROVIDERS = {"NumPy": reference, "fastbp": fastbp}


class BookNet:
    """Affine, Relu, Affine and SoftmaxWithLoss as in the book, made of the layers in ``layers``."""

    def __init__(self, layers, dtype):
        rng = np.random.default_rng(0)
        self.params = {
            "W1": (0.01 * rng.standard_normal((784, 50))).astype(dtype),
            "b1": np.zeros(50, dtype),
            "W2": (0.01 * rng.standard_normal((50, 10))).astype(dtype),
            "b2": np.zeros(10, dtype),
        }
        self.layers = OrderedDict(
            Affine1=layers.Affine(self.params["W1"], self.params["b1"]),
            Relu1=layers.Relu(),
            Affine2=layers.Affine(self.params["W2"], self.params["b2"]),
        )
        self.last_layer = layers.SoftmaxWithLoss()

    def gradient(self, x, t):
        for layer in self.layers.values():
            x = layer.forward(x)
        self.last_layer.forward(x, t)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        first, second = self.layers["Affine1"], self.layers["Affine2"]
        return {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}


def train(net, x_train, t_train, steps, seed):
    """``steps`` steps of the book's loop; returns the losses."""
    np.random.seed(seed)
    losses = []
    for _ in range(steps):
        batch_mask = np.random.choice(len(x_train), 100)
        grads = net.gradient(x_train[batch_mask], t_train[batch_mask])
        for key in net.params:
            net.params[key] -= 0.1 * grads[key]
        losses.append(float(net.last_layer.loss))
    return losses


def load(data_dir: str, x_dtype: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Training images and one-hot rows."""
    if data_dir:
        data = datasets.mnist(data_dir)
        x, labels = data.x_train * np.float32(data.scale), data.t_train
    else:
        rng = np.random.default_rng(0)
        x, labels = rng.random((60_000, 784), dtype=np.float32), rng.integers(0, 10, 60_000)
    return x.astype(x_dtype), np.eye(10, dtype=dtype)[labels]


def provide(layers_name: str, data_dir: str, x_dtype: str, dtype: str, pipe: Connection) -> None:
    """A provider's process: report the first losses, then time STEPS steps whenever told to, until told to stop."""
    net = BookNet(PROVIDERS[layers_name], dtype)
    x, t = load(data_dir, x_dtype, dtype)
    pipe.send(train(net, x, t, STEPS, seed=0))
    while (seed := pipe.recv()) is not None:
        start = time.perf_counter()
        train(net, x, t, STEPS, seed)
        pipe.send(time.perf_counter() - start)


def compare(data_dir: str, x_dtype: str, dtype: str) -> tuple[float, float, float]:
    """Seconds a step with NumPy's layers and with fastbp's, and the ratio.

    Each has a process of its own, so that neither's waiting threads nor its heap are in the other's way.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for name in PROVIDERS:
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=provide, args=(name, data_dir, x_dtype, dtype, theirs)))
        processes[-1].start()
        pipes.append(ours)
    first = [pipe.recv() for pipe in pipes]
    apart = np.max(np.abs(np.subtract(*first)))
    if not apart < (1e-6 if dtype == "float64" else 1e-3):
        raise AssertionError(f"the losses are {apart} apart within {STEPS} steps")
    seconds = np.empty((TURNS, 2))
    for turn in range(TURNS):
        for column, pipe in enumerate(pipes):
            pipe.send(turn)
            seconds[turn, column] = pipe.recv() / STEPS
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
    plain, compiled = np.median(seconds, axis=0)
    return plain, compiled, float(np.median(seconds[:, 0] / seconds[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="", help="folder of the MNIST files")
    given = parser.parse_args()
    print(f"microseconds a step, {fastbp.get_num_threads()} threads")
    print(" ".join(f"{c:>{w}}" for c, w in zip(("images", "weights", *PROVIDERS, "ratio"), WIDTHS, strict=True)))
    for x_dtype, dtype in (("float64", "float64"), ("float32", "float64"), ("float32", "float32")):
        plain, compiled, ratio = compare(given.data_dir, x_dtype, dtype)
        cells = x_dtype, dtype, f"{1e6 * plain:.0f}", f"{1e6 * compiled:.0f}", f"{ratio:.2f}"
        print(" ".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True)), flush=True)


if __name__ == "__main__":
    main()
