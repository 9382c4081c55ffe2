"""The book's training loop with its NumPy layers and with fastbp's: 784-50-10, batch 100, lr 0.1, all cores.

    python -m bench.bench_book [--data-dir DIR]

The loop is the book's: mini-batches by ``np.random.choice``, the update in NumPy; only the layers differ. The data are
MNIST's training images where their folder is given, else random numbers of the same shape.
"""

import argparse
from collections import OrderedDict

import numpy as np

import fastbp
from bench import runner
from fastbp import datasets, reference

WIDTHS = (10, 12, 12, 12, 8)
STEPS = 100


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


def steps_with(layers, data_dir: str, x_dtype: str, dtype: str):
    """What does STEPS steps with ``layers`` at each call."""
    net = BookNet(layers, dtype)
    x, t = load(data_dir, x_dtype, dtype)
    return lambda: train(net, x, t, STEPS, seed=1)


def numpy_steps(*arguments):
    return steps_with(reference, *arguments)


def fastbp_steps(*arguments):
    return steps_with(fastbp, *arguments)


def check(data_dir: str, x_dtype: str, dtype: str) -> None:
    """Both providers' losses agree over the first STEPS steps."""
    first = [steps_with(layers, data_dir, x_dtype, dtype)() for layers in (reference, fastbp)]
    apart = np.max(np.abs(np.subtract(*first)))
    if not apart < (1e-6 if dtype == "float64" else 1e-3):
        raise AssertionError(f"the losses are {apart} apart within {STEPS} steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="", help="folder of the MNIST files")
    data_dir = parser.parse_args().data_dir
    cores = fastbp.get_num_threads()
    print(f"microseconds a step, {cores} threads")
    runner.print_row("images", "weights", "NumPy", "fastbp", "ratio", widths=WIDTHS)
    for x_dtype, dtype in (("float64", "float64"), ("float32", "float64"), ("float32", "float32")):
        check(data_dir, x_dtype, dtype)
        plain, ours = runner.processes_in_turns([numpy_steps, fastbp_steps], data_dir, x_dtype, dtype, cores=cores)
        times = [f"{1e6 * timing.median / STEPS:.0f}" for timing in (plain, ours)]
        runner.print_row(x_dtype, dtype, *times, f"{plain.ratio_to(ours):.2f}", widths=WIDTHS)


if __name__ == "__main__":
    main()
