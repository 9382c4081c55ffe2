"""Training steps by JAX: one compiled step a call, and many in one ``lax.scan``; parameters are donated."""

from collections.abc import Callable
from functools import partial
from typing import Any

from . import peers
from .networks import ADAM_EPS, BETA1, BETA2, Network, flat
from .row import Work


def loss_function(network: Network) -> Callable:
    """Mean loss of parameters ``[(W, b), ...]`` on (x, t)."""
    jax = peers.jax()
    activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[network.activation]

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        for W, b in parameters[:-1]:
            x = activation(x @ W + b)
        W, b = parameters[-1]
        y = x @ W + b
        if network.loss == "mse":
            return jax.numpy.mean((y - t) ** 2)
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1).mean()

    return loss


def start(network: Network) -> tuple[Any, Any, Any, Any]:
    """Parameters, the optimizer's two states, and the number of steps done."""
    jax = peers.jax()
    parameters = [(jax.numpy.asarray(W), jax.numpy.asarray(b)) for W, b in zip(*network.parameters(), strict=True)]
    states = [jax.tree.map(jax.numpy.zeros_like, parameters) for _ in range(2)] if network.optimizer == "adam" else []
    return parameters, states, jax.numpy.zeros((), jax.numpy.float32), jax.numpy.zeros(())


def step(network: Network, loss: Callable, state: Any, x: Any, t: Any) -> Any:
    """``state``, of ``start``, one step on."""
    jax = peers.jax()
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


def jax_steps(network: Network) -> Work:
    """One compiled function a step."""
    jax = peers.jax()
    compiled = jax.jit(partial(step, network, loss_function(network)), donate_argnums=0)
    return _work(network, compiled, network.steps)


def jax_scan_steps(network: Network) -> Work:
    """All steps of a call in one compiled function."""
    jax, one = peers.jax(), partial(step, network, loss_function(network))

    def many(state: Any, x: Any, t: Any) -> Any:
        return jax.lax.scan(lambda state, _: (one(state, x, t), None), state, None, length=network.steps)[0]

    return _work(network, jax.jit(many, donate_argnums=0), 1)


def _work(network: Network, compiled: Callable, calls: int) -> Work:
    jax = peers.jax()
    x, t = network.data()
    inputs = jax.numpy.asarray(x), jax.numpy.asarray(t if network.loss == "mse" else t.astype("int32"))
    state = [start(network)]

    def call() -> None:
        for _ in range(calls):
            state[0] = compiled(state[0], *inputs)
        jax.block_until_ready(state[0])

    return Work(call, lambda: flat(*zip(*state[0][0], strict=True)), network.steps)
