"""JAX: a jitted function a call, its buffers donated; and all of a call's steps, or the whole job, in one scan."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from .. import mnist
from ..bench_adam import RATE, parameters_and_gradients
from ..bench_book import NETWORK, batches, work
from ..bench_convolution import RATES, operands, rule
from ..bench_convolution import network as convolutional_network
from ..bench_gemm import factors
from ..bench_many import RATE as RATE_OF_MANY
from ..bench_many import Many, data
from ..bench_many import work as work_of_many
from ..elementwise import arrays, sample
from ..losses import scores_and_targets
from ..networks import ADAM_EPS, BETA1, BETA2, Perceptron, flat
from ..row import Unsuitable, Work
from ._peer import Peer

FIRST_STEP = """
import jax
import jax.numpy as jnp
def loss(p, x, t):
    (W1, b1), (W2, b2) = p
    y = jax.nn.relu(x @ W1 + b1) @ W2 + b2
    return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1).mean()
step = jax.jit(lambda p, x, t: jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p, x, t)))
p = step([(W1, b1), (W2, b2)], x, t.astype("int32"))
print(float(jnp.abs(p[1][0]).sum()))
"""

PEER = Peer("jax", module="jax", package="jax", imports="import jax.numpy", first_step=FIRST_STEP)
CALL = PEER.form("jax", "#009E73", "D")
SCAN = PEER.form("jax scan", "#117733", "P")
MOST_PLACES = 10**7  # in the orders of many networks


def _jax(dtype: str = "float32") -> Any:
    """JAX on the CPU; its threads are as many as the cores that this process may use.

    64 bits are switched on for float64 only: they would widen integers and constants elsewhere too.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", dtype == "float64")
    return jax


def _jitted(function: Callable, *arguments: np.ndarray, dtype: str = "float32") -> Work:
    """A compiled function of arrays, called once a unit; its results are waited for, as only then are they there."""
    module = _jax(dtype)
    compiled = module.jit(function)
    inputs = [module.numpy.asarray(a) for a in arguments]
    last: list[Any] = []

    def call() -> None:
        last[:] = [module.block_until_ready(compiled(*inputs))]

    return Work(call, lambda: [np.asarray(a) for a in module.tree.leaves(last[0])])


def loss_function(network: Perceptron) -> Callable:
    """Mean loss of parameters ``[(W, b), ...]`` on (x, t)."""
    jax = _jax()
    activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[network.activation]

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        for W, b in parameters[:-1]:
            x = activation(x @ W + b)
        W, b = parameters[-1]
        y = x @ W + b
        if network.loss == "mse":
            return jax.numpy.mean((y - t) ** 2)
        if network.loss == "sigmoid":
            return jax.numpy.mean(jax.nn.softplus(y) - t * y)
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1).mean()

    return loss


def start(network: Perceptron) -> tuple[Any, Any, Any, Any]:
    """Parameters, the optimizer's two states, and the number of steps done."""
    jax = _jax()
    parameters = [(jax.numpy.asarray(W), jax.numpy.asarray(b)) for W, b in zip(*network.parameters(), strict=True)]
    states = [jax.tree.map(jax.numpy.zeros_like, parameters) for _ in range(2)] if network.optimizer == "adam" else []
    return parameters, states, jax.numpy.zeros((), jax.numpy.float32), jax.numpy.zeros(())


class Rule(Protocol):
    """How a network's parameters move."""

    @property
    def optimizer(self) -> str:
        """Which rule, "sgd" or "adam"."""

    @property
    def rate(self) -> float:
        """Its learning rate."""


def step(network: Rule, loss: Callable, state: Any, x: Any, t: Any) -> Any:
    """``state``, of ``start``, one step on."""
    jax = _jax()
    parameters, states, done, _ = state
    value, gradients = jax.value_and_grad(loss)(parameters, x, t)
    if network.optimizer == "sgd":
        return jax.tree.map(lambda p, g: p - network.rate * g, parameters, gradients), states, done, value
    done = done + 1
    means, squares = states
    means = jax.tree.map(lambda m, g: m + (1 - BETA1) * (g - m), means, gradients)
    squares = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, squares, gradients)
    rate, scale = network.rate / (1 - BETA1**done), 1 / (1 - BETA2**done)
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jax.numpy.sqrt(v * scale) + ADAM_EPS), parameters, means, squares
    )
    return parameters, [means, squares], done, value


@CALL.does("step")
def steps(network: Perceptron) -> Work:
    """One compiled function a step."""
    jax = _jax()
    compiled = jax.jit(partial(step, network, loss_function(network)), donate_argnums=0)
    return _steps(network, compiled, network.steps)


@SCAN.does("step")
def scan_steps(network: Perceptron) -> Work:
    """All steps of a call in one compiled function."""
    jax, one = _jax(), partial(step, network, loss_function(network))

    def many(state: Any, x: Any, t: Any) -> Any:
        return jax.lax.scan(lambda state, _: (one(state, x, t), None), state, None, length=network.steps)[0]

    return _steps(network, jax.jit(many, donate_argnums=0), 1)


def _steps(network: Perceptron, compiled: Callable, calls: int) -> Work:
    jax = _jax()
    x, t = network.data()
    inputs = jax.numpy.asarray(x), jax.numpy.asarray(t.astype("int32") if network.loss == "softmax" else t)
    state = [start(network)]

    def call() -> None:
        for _ in range(calls):
            state[0] = compiled(state[0], *inputs)
        jax.block_until_ready(state[0])

    return Work(call, lambda: flat(*zip(*state[0][0], strict=True)), network.steps)


@SCAN.does("book")
def book(steps: int) -> Work:
    jax = _jax()
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


@CALL.does("gemm")
def product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    """The transpose is written in the function, so that the compiler may choose how to read it."""
    a, b = factors(form, shape, dtype)
    if form == "x W":
        return _jitted(lambda x, w: x @ w, a, b, dtype=dtype)
    if form == "x.T dout":
        return _jitted(lambda x, dout: x.T @ dout, a.T, b, dtype=dtype)
    return _jitted(lambda dout, w: dout @ w.T, a, b.T, dtype=dtype)


@CALL.does("adam")
def adam(n: int) -> Work:
    jax = _jax()

    def step(state, g):
        p, m, v, done = state
        done = done + 1
        m, v = m + (1 - BETA1) * (g - m), BETA2 * v + (1 - BETA2) * g * g
        p = p - RATE / (1 - BETA1**done) * m / (jax.numpy.sqrt(v / (1 - BETA2**done)) + ADAM_EPS)
        return p, m, v, done

    compiled = jax.jit(step, donate_argnums=0)
    p, g = map(jax.numpy.asarray, parameters_and_gradients(n))
    state = [(p, jax.numpy.zeros_like(p), jax.numpy.zeros_like(p), jax.numpy.zeros(()))]

    def call() -> None:
        state[0] = jax.block_until_ready(compiled(state[0], g))

    return Work(call, lambda: [np.asarray(state[0][0])])


@CALL.does("relu", "sigmoid", "tanh")
def activation(layer: str, direction: str, n: int) -> Work:
    jax = _jax()
    functions: dict[tuple[str, str], Callable[..., Any]] = {
        ("Relu", "forward"): lambda x: jax.numpy.maximum(x, 0),
        ("Relu", "backward"): lambda dout, y: jax.numpy.where(y > 0, dout, 0),
        ("Sigmoid", "forward"): jax.nn.sigmoid,
        ("Sigmoid", "backward"): lambda dout, y: dout * (1 - y) * y,
        ("Tanh", "forward"): jax.numpy.tanh,
        ("Tanh", "backward"): lambda dout, y: dout * (1 - y * y),
    }
    work = _jitted(functions[layer, direction], *arrays(layer, direction, n))
    return Work(work.call, lambda: [sample(work.answer()[0])])


@CALL.does("softmax loss", "squared error")
def loss(loss, shape):
    jax = _jax()
    if loss == "MeanSquaredError":
        squared = jax.value_and_grad(lambda x, t: jax.numpy.mean((x - t) ** 2))
        return _jitted(squared, *scores_and_targets(loss, shape))
    x, t = scores_and_targets(loss, shape)

    def mean_loss(x, t):
        picked = jax.numpy.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1)
        return -picked.mean()

    return _jitted(jax.value_and_grad(mean_loss), x, t.astype(np.int32))


@CALL.does("predict")
def predict(network: Perceptron) -> Work:
    """Parameters and rows lie on the device already."""
    jax = _jax()
    activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[network.activation]
    parameters = start(network)[0]

    def scores(x):
        for W, b in parameters[:-1]:
            x = activation(x @ W + b)
        W, b = parameters[-1]
        return x @ W + b

    return _jitted(scores, network.data()[0])


def _convolve(x: Any, W: Any, stride: int, pad: int) -> Any:
    return _jax().lax.conv_general_dilated(x, W, (stride, stride), [(pad, pad)] * 2)


@CALL.does("convolution")
def convolution(direction: str, shape: tuple[int, ...]) -> Work:
    """What ``vjp`` of it gives for one gradient; the compiler leaves out what that does not need."""
    jax, a, pad = _jax(), operands(shape), shape[-1]

    def forward(x, W, b):
        return _convolve(x, W, 1, pad) + b[:, None, None]

    if direction == "forward":
        return _jitted(forward, a["x"], a["W"], a["b"])
    if direction == "dx":
        return _jitted(lambda x, W, b, d: jax.vjp(lambda x: forward(x, W, b), x)[1](d), *a.values())
    return _jitted(lambda x, W, b, d: jax.vjp(lambda W, b: forward(x, W, b), W, b)[1](d), *a.values())


def _layer(layer: Any, parameters: Any, x: Any) -> Any:
    """What a layer of the convolutional networks makes of ``x``."""
    jax, kind = _jax(), type(layer).__name__
    if kind == "Convolution":
        return _convolve(x, parameters[0], layer.stride, layer.pad) + parameters[1][:, None, None]
    if kind == "Affine":
        return x.reshape(len(x), -1) @ parameters[0] + parameters[1]
    if kind in ("MaxPooling", "AveragePooling"):
        begin, fold = (-np.inf, jax.lax.max) if kind == "MaxPooling" else (0.0, jax.lax.add)
        window, strides = (1, 1, layer.pool_h, layer.pool_w), (1, 1, layer.stride, layer.stride)
        pooled = jax.lax.reduce_window(x, begin, fold, window, strides, "VALID")
        return pooled if kind == "MaxPooling" else pooled / (layer.pool_h * layer.pool_w)
    return {"Relu": jax.nn.relu, "Tanh": jax.numpy.tanh, "Flatten": lambda x: x.reshape(len(x), -1)}[kind](x)


@CALL.does("convolutional step")
def convolutional_step(name: str) -> Work:
    """One compiled function a step."""
    jax, (net, x, t) = _jax(), convolutional_network(name)
    layers = list(net.layers.values())

    def loss(parameters, x, t):
        for layer, own in zip(layers, parameters, strict=True):
            x = _layer(layer, own, x)
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1).mean()

    moved = SimpleNamespace(optimizer=rule(name), rate=RATES[rule(name)])
    parameters = [[jax.numpy.array(getattr(layer, name)) for name in layer.parameters] for layer in layers]
    states = [jax.tree.map(jax.numpy.zeros_like, parameters) for _ in range(2)] if moved.optimizer == "adam" else []
    compiled = jax.jit(partial(step, moved, loss), donate_argnums=0)
    state = [(parameters, states, jax.numpy.zeros((), jax.numpy.float32), jax.numpy.zeros(()))]
    inputs = jax.numpy.asarray(x), jax.numpy.asarray(t.astype(np.int32))

    def call() -> None:
        state[0] = jax.block_until_ready(compiled(state[0], *inputs))

    return Work(call, lambda: [np.asarray(p) for p in jax.tree.leaves(state[0][0])])


@SCAN.does("many")
def many_by_vmap(many: Many) -> Work:
    """All networks in one vmap, and their steps in one scan inside one jitted function."""
    jax = _jax()
    if many.n * many.epochs * many.n_rows > MOST_PLACES:
        raise Unsuitable("the orders of all networks would take gigabytes")
    np_, (x, t) = jax.numpy, data(many)
    inputs = np_.asarray(x), np_.asarray(t.astype("int32") if many.is_ensemble else t)
    per_epoch = many.n_rows // many.batch
    orders = many.orders()[:, :, : per_epoch * many.batch].reshape(many.n, -1, many.batch)
    places = np_.asarray(orders.swapaxes(0, 1))
    made = [list(zip(*many.parameters(k), strict=True)) for k in range(many.n)]
    state = [jax.tree.map(lambda *p: np_.stack(p), *made)]

    def scores(parameters: Any, x: Any) -> Any:
        *hidden, (W, b) = parameters
        for V, c in hidden:
            x = jax.nn.relu(x @ V + c)
        return x @ W + b

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        y = scores(parameters, x)
        if many.is_ensemble:
            return -np_.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1).mean()
        return ((y - t) ** 2).mean()

    def one(parameters: Any, rows: Any, x: Any, t: Any) -> Any:
        slopes = jax.grad(loss)(parameters, x[rows], t[rows])
        return jax.tree.map(lambda p, g: p - RATE_OF_MANY * g, parameters, slopes)

    def all_steps(parameters: Any, places: Any, x: Any, t: Any) -> Any:
        step = jax.vmap(one, in_axes=(0, 0, None, None))
        return jax.lax.scan(lambda p, rows: (step(p, rows, x, t), None), parameters, places)[0]

    compiled = jax.jit(all_steps, donate_argnums=0)

    def train() -> None:
        state[0] = jax.block_until_ready(compiled(state[0], places, *inputs))

    return work_of_many(many, train, lambda k, x: scores(jax.tree.map(lambda p: p[k], state[0]), x))
