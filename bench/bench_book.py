"""The book's whole job: a network of 784-50-10 learns MNIST in mini-batches of 100 drawn at random, lr 0.1.

A call trains from the first weights. Loops draw their mini-batches as the book's does or all at once; ``fit`` of
fastbp and of scikit-learn shuffle the images anew for each pass over them.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from types import ModuleType

import numpy as np

from fastbp import reference

from . import mnist
from .networks import Perceptron
from .row import Expected, Row, Work, rows
from .servers import all_cores

BATCH, RATE, STD = 100, 0.1, 0.01
APART = 0.03  # accuracies after the same number of steps on other mini-batches are no further apart


class Book(Perceptron):
    """The network with the book's learning rate and first weights."""

    @property
    def rate(self) -> float:
        """The book's learning rate."""
        return RATE

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights and biases as the book draws them."""
        rng = np.random.default_rng(0)
        shapes = list(pairwise(self.sizes))
        weights = [np.float32(STD) * rng.standard_normal(shape, np.float32) for shape in shapes]
        return weights, [np.zeros(o, np.float32) for _, o in shapes]


NETWORK = Book((784, 50, 10), BATCH)


def batches(steps: int) -> np.ndarray:
    """The rows of every mini-batch, (steps, BATCH)."""
    return np.random.default_rng(1).integers(0, mnist.TRAIN, (steps, BATCH))


def work(train: Callable[[], object], scores: Callable[[np.ndarray], np.ndarray], units: float = 1) -> Work:
    """A training and its test accuracy, which is the same every time, from ``scores`` of images in 0..1."""

    @cache
    def accuracy() -> float:
        images = mnist.images()
        return float(np.mean(np.argmax(scores(mnist.scaled(images.x_test)), axis=1) == images.t_test))

    return Work(train, lambda: [np.array(accuracy())], units, lambda: {"test_accuracy": accuracy()})


def book_loop(layers: ModuleType, dtype: str, steps: int) -> Work:
    """The book's script, with the layers of a module: images float32, targets one-hot, the update in NumPy."""
    images = mnist.images()
    x_train, t_train = mnist.x_train(), np.eye(10, dtype=dtype)[images.t_train]
    nets: list = []

    def train() -> None:
        net = layers.TwoLayerNet(784, 50, 10, weight_init_std=STD, dtype=np.dtype(dtype), seed=0)
        nets[:] = [net]
        np.random.seed(1)
        for _ in range(steps):
            mask = np.random.choice(len(x_train), BATCH)
            gradients = net.gradient(x_train[mask], t_train[mask])
            for key in net.params:
                net.params[key] -= RATE * gradients[key]

    return work(train, lambda x: nets[0].predict(x))


def expected(steps: int) -> Expected:
    """The test accuracy of the book's layers, as a number that others may miss by APART."""
    plain = book_loop(reference, "float64", steps)
    plain.call()
    return [(plain.answer()[0], 1.0)]


ROWS = [
    Row(
        "book",
        f"{steps:,} steps on {mnist.name()}",
        (steps,),
        threads=threads,
        flops=steps * NETWORK.flops,
        tolerance=APART / float(np.finfo(np.float32).eps),
        quick=steps == 1000 and threads == 1,
        turns=2 if steps == 1000 else 1,
    )
    for steps in (1000, 10_000)
    for threads in sorted({1, all_cores()})
]


@rows(ROWS, "book")
def bench_book(measure, row, provider):
    measure(expected)
