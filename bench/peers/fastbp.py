"""fastbp: networks by many steps a call, as ``fit`` does them; kernels from Python; layers as scripts call them."""

import math
from itertools import count
from typing import Any

import numpy as np

import fastbp
from fastbp.activations import named
from fastbp.basics import _team
from fastbp.kernels import element_losses
from fastbp.kernels._jit import kernel
from fastbp.kernels.convolution import correlate, gradient_of_filters
from fastbp.kernels.convolution_plan import Shape, elements_of_parts, forward, input_gradient, weight_gradient
from fastbp.kernels.elementwise import apply_function, apply_function_back
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, gemm
from fastbp.kernels.memory import address
from fastbp.kernels.optimizer import ADAM, optimizer_step
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward
from fastbp.programs._feed import Feed, Given, Rows
from fastbp.programs._lowering import function_address, in_one_go_address, loss_address
from fastbp.programs._program import Program, Update
from fastbp.programs._slices import rows_of_slice
from fastbp.training._samples import Samples

from .. import mnist
from ..bench_adam import RATE, parameters_and_gradients
from ..bench_book import BATCH, NETWORK, book_loop, work
from ..bench_book import RATE as BOOK_RATE
from ..bench_book_networks import steps as steps_of_the_book
from ..bench_convolution import RATES as CONVOLUTIONAL_RATES
from ..bench_convolution import both_passes, operands, passing, rule
from ..bench_convolution import network as convolutional_network
from ..bench_gemm import factors
from ..bench_layers import prepared
from ..bench_many import RATE as RATE_OF_MANY
from ..bench_many import Many, data
from ..bench_many import work as work_of_many
from ..bench_rows import BATCH as ROWS_OF_BATCH
from ..bench_rows import NETWORK as OF_ROWS
from ..bench_rows import accuracy, open_rows
from ..bench_search import GRID, SETTINGS
from ..bench_search import search as search_of
from ..bench_sklearn import fit_of
from ..elementwise import arrays, sample
from ..losses import scores_and_targets
from ..networks import ADAM_EPS, BETA1, BETA2, Network, flat
from ..row import Work
from ._peer import Peer

FIRST_STEP = """
import fastbp
net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
net.step(x, t, fastbp.optimizers.SGD(lr=0.1))
print(np.abs(net.params["W2"]).sum())
"""

PEER = Peer("fastbp", module="fastbp", package="fastbp", imports="import fastbp", first_step=FIRST_STEP, is_own=True)
COMPILED = PEER.form("fastbp", "#D55E00", "o")
LAYERS = PEER.form("fastbp layers", "#F0A070", "o")
PROGRAM = PEER.form("fastbp program", "#A04000", "o")
ONE_BY_ONE = PEER.form("fastbp fit", "#7A2E00", "o")


def net_of(network: Network) -> fastbp.Sequential:
    """The network with its first parameters."""
    kind = {"relu": fastbp.Relu, "tanh": fastbp.Tanh}[network.activation]
    layers = [layer for W, b in zip(*network.parameters(), strict=True) for layer in (fastbp.Affine(W, b), kind())]
    return fastbp.Sequential(layers[:-1], network.loss)


def program_of(network: Network, *, as_fit: bool = False) -> tuple[Program, fastbp.Sequential]:
    """A program of steps on one mini-batch, copied from a data set, ``as_fit`` has it, or there."""
    net = net_of(network)
    x, t = network.data()
    chain, optimizer, n_rows = net._binding(), fastbp.optimizers.get_optimizer(network.optimizer), len(x)
    no_weights = np.zeros(0, x.dtype)
    feed: Feed = Given(x, t, no_weights)
    if as_fit or rows_of_slice(chain, n_rows):  # slices are copied from the data set one after the other
        feed = Rows(Samples("x", x, 1.0), t, no_weights)
    update = Update(optimizer, *optimizer.new_states(chain.vector.size, x.dtype))
    return Program(chain, feed, chain.loss, update, n_rows), net


@COMPILED.does("step", "growth")
def steps(network: Network) -> Work:
    """Steps of a Sequential, many in one call of compiled code."""
    return _runs(network, as_fit=False)


def _runs(network: Network, *, as_fit: bool) -> Work:
    program, net = program_of(network, as_fit=as_fit)
    n_rows = network.batch
    order, rates, losses = np.arange(n_rows), np.full(network.steps, network.rate), np.zeros(network.steps)
    done = 0

    def call() -> None:
        nonlocal done
        program.run(order, done, rates, losses)
        done += network.steps

    return Work(call, lambda: _parameters(net), network.steps)


def _parameters(net: fastbp.Sequential) -> list[np.ndarray]:
    parameters = [*net.params.values()]  # W1, b1, W2, b2, ...
    return flat(parameters[::2], parameters[1::2])


def _fits(network: Network, *, writes: bool) -> Work:
    """Calls of ``fit``; each of them ``writes`` its program, or goes on with that of the call before."""
    net, (x, t) = net_of(network), network.data()
    optimizer = fastbp.optimizers.get_optimizer(network.optimizer, lr=network.rate)
    options: Any = {"epochs": network.steps, "batch_size": network.batch, "optimizer": optimizer, "progress": False}

    def call() -> None:
        if writes:
            net._binding().programs.clear()
        net.fit(x, t, shuffle=False, **options)

    return Work(call, lambda: _parameters(net), network.steps)


@COMPILED.does("fit", "fit of one step")
def fit(network: Network) -> Work:
    return _fits(network, writes=False)


@COMPILED.does("first fit of one step")
def first_fit(network: Network) -> Work:
    return _fits(network, writes=True)


def _calls_of_step(network: Network) -> Work:
    net, (x, t) = net_of(network), network.data()
    optimizer = fastbp.optimizers.get_optimizer(network.optimizer, lr=network.rate)

    def call() -> None:
        for _ in range(network.steps):
            net.step(x, t, optimizer)

    return Work(call, lambda: _parameters(net), network.steps)


@PROGRAM.does("fit")
def steps_of_fit(network: Network) -> Work:
    """What ``fit`` is held against: its steps, one run of the program that it writes."""
    return _runs(network, as_fit=True)


@COMPILED.does("net.step")
def net_step(network: Network) -> Work:
    return _calls_of_step(network)


@COMPILED.does("book")
def book(steps: int) -> Work:
    images = mnist.images()
    nets: list = []

    def train() -> None:
        (W1, W2), (b1, b2) = NETWORK.parameters()
        net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
        nets[:] = [net]
        sgd = fastbp.optimizers.SGD(lr=BOOK_RATE)
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


@LAYERS.does("book")
def book_by_layers(steps: int) -> Work:
    return book_loop(fastbp, "float64", steps)


@COMPILED.does("growth by rows")
def epoch(n: int) -> Work:
    x, t = open_rows(n)
    (W1, W2), (b1, b2) = OF_ROWS.parameters()
    net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
    sgd = fastbp.optimizers.SGD(lr=OF_ROWS.rate)

    def epoch() -> None:
        net.fit(x, t, batch_size=ROWS_OF_BATCH, optimizer=sgd, seed=0, progress=False)

    return Work(epoch, lambda: [accuracy(net.params.values(), x, t)], n)


@kernel
def repeat_gemm(team, repeats, a, a_strides, b, b_strides, c, one, alone):
    """``C = A B`` as often as ``repeats`` says; strides in elements."""
    shape = (c.shape[0], c.shape[1], a.size // c.shape[0])
    at_a, at_b, at_c = (address(a), *a_strides), (address(b), *b_strides), (address(c), c.shape[1])
    for _ in range(repeats):
        gemm(team, shape, at_a, at_b, at_c, (NOTHING, 0), one, NO_EPILOGUE, alone)


@COMPILED.does("gemm")
def product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    a, b = factors(form, shape, dtype)
    c = np.empty((a.shape[0], b.shape[1]), dtype)
    team, one = _team.address_for(np.dtype(dtype)), np.dtype(dtype).type(1)
    alone = int(form == "dout W.T")  # as in gradients
    repeats = max(1, round(2e7 / 2 / math.prod(shape)))  # so that the one call from Python does not count
    operands = [value for m in (a, b) for value in (m.T if m.flags.f_contiguous else m, _strides(m))]
    return Work(lambda: repeat_gemm(team, repeats, *operands, c, one, alone), lambda: [c], repeats)


def _strides(matrix: np.ndarray) -> tuple[int, int]:
    return matrix.strides[0] // matrix.itemsize, matrix.strides[1] // matrix.itemsize


@COMPILED.does("convolution")
def convolution(direction: str, shape: tuple[int, ...]) -> Work:
    """One direction of a convolution, its kernel called from Python."""
    a, (n, c, h, w, f, k, pad) = operands(shape), shape
    form, kind, one = Shape(c, h, w, f, k, k, 1, pad), a["x"].dtype, a["x"].dtype.type(1)
    team, plain = _team.current().address, (NO_EPILOGUE[0], NOTHING)
    at = {name: array.ctypes.data for name, array in a.items()}
    if direction == "dW":
        plan = weight_gradient(form, kind)
        partial, dW, db = np.empty(elements_of_parts(plan, n), kind), np.empty_like(a["W"]), np.empty_like(a["b"])
        given, made = (at["x"], at["dout"], partial.ctypes.data), (dW.ctypes.data, db.ctypes.data)
        return Work(
            lambda: gradient_of_filters(team, plan.ctypes.data, *given, n, one, False, *made),
            lambda: [dW, db] if partial.size else [],
        )
    back = direction == "dx"
    plan = input_gradient(form, kind)[0] if back else forward(form, kind)
    out = np.empty_like(a["x"] if back else a["dout"])
    x, start = (at["dout"], NOTHING) if back else (at["x"], at["b"])
    return Work(
        lambda: correlate(team, plan.ctypes.data, x, at["W"], start, out.ctypes.data, n, plain, one), lambda: [out]
    )


@COMPILED.does("convolutional step")
def convolutional_step(name: str) -> Work:
    """Calls of ``net.step``."""
    net, x, t = convolutional_network(name)
    kind = {"sgd": fastbp.optimizers.SGD, "adam": fastbp.optimizers.Adam}[rule(name)]
    optimizer = kind(CONVOLUTIONAL_RATES[rule(name)])
    return Work(lambda: net.step(x, t, optimizer), lambda: [*net.params.values()])


@COMPILED.does("book step")
def book_step(name: str, dtype: str) -> Work:
    """Of ``fastbp.book``, as its scripts are."""
    return steps_of_the_book(fastbp.book, name, dtype)


@COMPILED.does("layer both ways")
def both_ways(name: str, shape: tuple[int, ...]) -> Work:
    call = both_passes(fastbp, name, passing(shape))
    return Work(call, call)


@COMPILED.does("adam")
def adam(n: int) -> Work:
    p, g = parameters_and_gradients(n)
    first, second, hyper = np.zeros_like(p), np.zeros_like(p), np.array([BETA1, BETA2, ADAM_EPS, 0.0])
    team, steps = _team.current().address, count(1)
    return Work(lambda: optimizer_step(team, ADAM, p, g, first, second, hyper, RATE, next(steps), 1.0), lambda: [p])


@COMPILED.does("relu", "sigmoid", "tanh")
def activation(layer: str, direction: str, n: int) -> Work:
    """The kernels of an activation, called from Python.

    ReLU's gradient comes out where it went in: doing it once more changes nothing.
    """
    inputs = arrays(layer, direction, n)
    team, dtype, activation = _team.current().address, inputs[0].dtype, named(layer.lower())
    number = dtype.type(activation.number)
    if direction == "forward":
        run, function = apply_function, function_address(activation.kernel, dtype)
    else:
        run, function = apply_function_back, function_address(activation.kernel_back, dtype)
    out = inputs[0] if (layer, direction) == ("Relu", "backward") else np.empty_like(inputs[0])
    held = *inputs, out
    places = [a.ctypes.data for a in held]
    return Work(lambda: run(team, function, *places, n, number), lambda: [sample(held[-1])])


@COMPILED.does("softmax loss")
def softmax_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    y, dx, losses, no_weights = np.empty_like(x), np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())

    def call():
        value[...] = softmax_xent_forward(team, x, t, no_weights, 0.0, 0.0, y, losses)
        softmax_xent_backward(team, y, t, no_weights, 0.0, 0.0, share, dx)

    return Work(call, lambda: [value, dx])


@COMPILED.does("squared error")
def squared_error(loss, shape):
    x, t = scores_and_targets(loss, shape)
    dx, partial, no_weights = np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())
    kernels = [loss_address(kernel, x.dtype) for kernel in (element_losses.squared, element_losses.squared_slope)]
    kernels.append(in_one_go_address(element_losses.squared_in_one_go, x.dtype))

    def call():
        value[...] = element_losses.element_loss(team, *kernels, x, t, no_weights, share, 0.0, partial, dx)

    return Work(call, lambda: [value, dx])


@COMPILED.does("layer", "call")
def layer(*arguments: Any) -> Work:
    call = prepared(fastbp, *arguments)
    return Work(call, call)


@COMPILED.does("estimator", "table")
def estimator(name: str, dtype: str) -> Work:
    """The estimators of ``fastbp.sklearn``."""
    return fit_of("fastbp.sklearn", name, dtype)


@COMPILED.does("search")
def search(dtype: str, jobs: int) -> Work:
    """``MLPSearchCV`` on as many threads."""
    from fastbp.sklearn import MLPClassifier, MLPSearchCV

    return search_of(lambda: MLPSearchCV(MLPClassifier(**SETTINGS), GRID, threads=jobs, refit=False), dtype)


@COMPILED.does("predict")
def predict(network: Network) -> Work:
    """``Sequential.predict``."""
    net, (x, _) = net_of(network), network.data()
    return Work(lambda: net.predict(x), lambda: [net.predict(x)])


def _nets(many: Many) -> list[fastbp.Sequential]:
    """Networks with their first parameters."""
    loss = "softmax" if many.is_ensemble else "mse"
    nets = []
    for k in range(many.n):
        pairs = zip(*many.parameters(k), strict=True)
        layers = [layer for W, b in pairs for layer in (fastbp.Affine(W, b), fastbp.Relu())]
        nets.append(fastbp.Sequential(layers[:-1], loss))
    return nets


@COMPILED.does("many")
def many_at_once(many: Many) -> Work:
    """One call of ``fit_many``."""
    (x, t), nets = data(many), _nets(many)
    groups = None if many.is_ensemble else np.arange(len(x)).reshape(many.n, many.n_rows)

    def train() -> None:
        fastbp.fit_many(
            nets,
            x,
            t,
            rows=groups,
            epochs=many.epochs,
            batch_sizes=many.batch,
            optimizers=fastbp.optimizers.SGD(RATE_OF_MANY),
            progress=False,
        )

    return work_of_many(many, train, lambda k, x: nets[k].predict(x))


@ONE_BY_ONE.does("many")
def many_one_by_one(many: Many) -> Work:
    """A call of ``fit`` for each."""
    (x, t), nets = data(many), _nets(many)
    options: Any = {"epochs": many.epochs, "batch_size": many.batch, "progress": False}

    def train() -> None:
        for k, net in enumerate(nets):
            own = many.rows_of(k)
            net.fit(x[own], t[own], optimizer=fastbp.optimizers.SGD(RATE_OF_MANY), **options)

    return work_of_many(many, train, lambda k, x: nets[k].predict(x))


@COMPILED.does("begun")
def begun(many: Many) -> Work:
    """Networks made, and a call of ``fit_many`` that does no step."""
    x, t = data(many)
    groups = np.arange(len(x)).reshape(many.n, many.n_rows)

    def begin() -> None:
        nets = [fastbp.mlp(many.sizes, loss="mse", seed=0) for _ in range(many.n)]
        fastbp.fit_many(nets, x, t, rows=groups, epochs=many.epochs, progress=False)

    return Work(begin, lambda: [np.zeros(1)], many.n)
