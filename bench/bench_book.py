"""The book's whole job: a network of 784-50-10 learns MNIST in mini-batches of 100 drawn at random, lr 0.1.

A call trains from the first weights. Loops draw their mini-batches as the book's does or all at once; ``fit`` of
fastbp and of scikit-learn shuffle the images anew for each pass over them.
"""

import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from types import ModuleType

import numpy as np

import fastbp
from fastbp import reference

from . import mnist, peers
from .networks import Network
from .row import Expected, Row, Work, rows
from .servers import all_cores
from .steps_jax import loss_function, step
from .steps_numpy import Net

BATCH, RATE, STD = 100, 0.1, 0.01
APART = 0.03  # accuracies after the same number of steps on other mini-batches are no further apart


class Book(Network):
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


def fastbp_fit(steps: int) -> Work:
    images = mnist.images()
    nets: list = []

    def train() -> None:
        (W1, W2), (b1, b2) = NETWORK.parameters()
        net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
        nets[:] = [net]
        sgd = fastbp.optimizers.SGD(lr=RATE)
        epochs = -(-steps * BATCH // mnist.TRAIN)
        net.fit(
            images.x_train,
            images.t_train,
            scale=mnist.SCALE,
            epochs=epochs,
            batch_size=BATCH,
            optimizer=sgd,
            max_steps=steps,
            seed=0,
            progress=False,
        )

    return work(train, lambda _: nets[0].predict(images.x_test))


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


def book_layers(steps: int) -> Work:
    return book_loop(reference, "float64", steps)


def book_layers_float32(steps: int) -> Work:
    return book_loop(reference, "float32", steps)


def fastbp_layers(steps: int) -> Work:
    return book_loop(fastbp, "float64", steps)


def numpy_loop(steps: int) -> Work:
    images = mnist.images()
    x_train, t_train = mnist.x_train(), images.t_train
    nets: list = []

    def train() -> None:
        net = Net(NETWORK)
        nets[:] = [net]
        x, t = np.empty((BATCH, 784), np.float32), np.empty(BATCH, np.intp)
        for mask in batches(steps):
            np.take(x_train, mask, axis=0, out=x)
            np.take(t_train, mask, out=t)
            net.train(x, t)

    def scores(x: np.ndarray) -> np.ndarray:
        (W1, W2), (b1, b2) = nets[0].weights, nets[0].biases
        return np.maximum(x @ W1 + b1, 0) @ W2 + b2

    return work(train, scores)


def torch_loop(steps: int) -> Work:
    from .steps_torch import build

    torch = peers.torch()
    images = mnist.images()
    x_train, t_train = torch.from_numpy(mnist.x_train()), torch.from_numpy(images.t_train)
    nets: list = []

    def train() -> None:
        net, optimizer, measure = build(NETWORK)
        nets[:] = [net]
        for mask in torch.from_numpy(batches(steps)):
            optimizer.zero_grad()
            measure(net(x_train[mask]), t_train[mask]).backward()
            optimizer.step()

    return work(train, lambda x: nets[0](torch.from_numpy(x)).detach().numpy())


def jax_scan(steps: int) -> Work:
    jax = peers.jax()
    images, loss = mnist.images(), loss_function(NETWORK)
    x_train, t_train = (jax.numpy.asarray(a) for a in (mnist.x_train(), images.t_train.astype(np.int32)))
    trained: list = []

    @jax.jit
    def train_on(parameters, masks, x_train, t_train):
        def body(parameters, mask):
            return step(NETWORK, loss, (parameters, [], 0, 0), x_train[mask], t_train[mask])[0], None

        return jax.lax.scan(body, parameters, masks)[0]

    def train() -> None:
        parameters = list(zip(*NETWORK.parameters(), strict=True))
        masks = batches(steps).astype(np.int32)
        trained[:] = [jax.block_until_ready(train_on(parameters, masks, x_train, t_train))]

    def scores(x: np.ndarray) -> np.ndarray:
        (W1, b1), (W2, b2) = ((np.asarray(W), np.asarray(b)) for W, b in trained[0])
        return np.maximum(x @ W1 + b1, 0) @ W2 + b2

    return work(train, scores)


def sklearn_fit(steps: int) -> Work:
    """``fit`` for as many whole passes as have so many steps; the time is counted for the steps asked for."""
    from sklearn.exceptions import ConvergenceWarning

    from .steps_sklearn import build

    images = mnist.images()
    x_train, t_train = mnist.x_train(), images.t_train
    passes = -(-steps * BATCH // mnist.TRAIN)
    nets: list = []

    def train() -> None:
        net = build(NETWORK, max_iter=passes, n_iter_no_change=passes + 1, random_state=0)
        nets[:] = [net]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many passes and no more is what is asked for
            net.fit(x_train, t_train)

    return work(train, lambda x: nets[0].predict_proba(x), passes * mnist.TRAIN / BATCH / steps)


def expected(steps: int) -> Expected:
    """The test accuracy of the book's layers, as a number that others may miss by APART."""
    plain = book_layers(steps)
    plain.call()
    return [(plain.answer()[0], 1.0)]


PROVIDERS = {
    "fastbp": fastbp_fit,
    "fastbp layers": fastbp_layers,
    "book": book_layers,
    "book float32": book_layers_float32,
    "numpy": numpy_loop,
    "torch": torch_loop,
    "jax scan": jax_scan,
    "scikit-learn": sklearn_fit,
}

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


@rows(ROWS, PROVIDERS)
def bench_book(measure, row, provider):
    measure(PROVIDERS, expected)
