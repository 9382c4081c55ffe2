"""What the benchmarks of the activations share: their sizes, their arrays, and how each provider calls a function.

Every provider writes into an array made beforehand where it can. The backward pass is that of a network: the
incoming gradient and the output of the forward pass go in, the gradient for the input comes out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp import reference
from fastbp.activations import named
from fastbp.basics import _team
from fastbp.kernels.elementwise import apply_function, apply_function_back
from fastbp.programs._lowering import function_address

from . import peers
from .row import Expected, Row, Work

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SAMPLE = 1_000_003  # answers with more elements are checked at about so many of them
PASSES = {"forward": 2, "backward": 3}  # arrays that each reads and writes
HELD = 2  # arrays in memory at the least: a gradient may take the place of the one that came in


def activation_rows(
    layer: str, tolerance: float, quick: tuple[int, ...] = (100_000,), more: tuple[int, ...] = ()
) -> list[Row]:
    """Forward and backward passes of one of ``fastbp.reference``'s layers; ``more`` sizes are forward only."""
    return [
        Row(
            layer.lower(),
            f"{direction} {n:,}",
            (layer, direction, n),
            moved=4.0 * n * arrays,
            working_set=4.0 * n * HELD,
            tolerance=tolerance,
            quick=n in quick,
        )
        for direction, arrays in PASSES.items()
        for n in (*SIZES, *more)
        if n in SIZES or direction == "forward"
    ]


def arrays(layer: str, direction: str, n: int) -> list[np.ndarray]:
    """What goes in, float32: ``x``, or ``dout`` and the output of the forward pass."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n, np.float32)
    if direction == "forward":
        return [x]
    return [rng.standard_normal(n, np.float32), getattr(reference, layer)().forward(x)]


def expected(layer: str, direction: str, n: int) -> Expected:
    """By the plain layer, in float64; errors are relative."""
    inputs = [_sample(a).astype(np.float64) for a in arrays(layer, direction, n)]
    plain = getattr(reference, layer)()
    if direction == "forward":
        right = plain.forward(inputs[0])
    else:
        dout, y = inputs
        plain.out, plain.mask = y, y <= 0
        right = plain.backward(dout)
    return [(right, np.maximum(np.abs(right), 1e-3))]


def _sample(a: np.ndarray) -> np.ndarray:
    """Elements so far apart, by an odd number, that all places in a vector and all parts of the work are among them."""
    return a[:: max(1, a.size // SAMPLE) | 1]


Into = Callable[..., object]
"""A function of the inputs and of the array for its result."""


def fastbp_pass(word: str, layer: str, direction: str, n: int, *, in_place: bool = False) -> Work:
    """The kernels of the activation that ``word`` names, called from Python.

    Where ``in_place``, the gradient comes out where it went in, and doing it once more must change nothing.
    """
    inputs = [a.reshape(1, n) for a in arrays(layer, direction, n)]
    team, dtype, activation = _team.current().address, inputs[0].dtype, named(word)
    number = dtype.type(activation.number)
    if direction == "forward":
        run, function = apply_function, function_address(activation.kernel, dtype)
    else:
        run, function = apply_function_back, function_address(activation.kernel_back, dtype)
    out = inputs[0] if in_place and direction == "backward" else np.empty_like(inputs[0])
    held = *inputs, out
    places = [a.ctypes.data for a in held]
    return Work(lambda: run(team, function, *places, n, number), lambda: [_sample(held[-1].ravel())])


def numpy_pass(forward: Into, backward: Into, layer: str, direction: str, n: int) -> Work:
    """Functions of the inputs that write into an array."""
    inputs = arrays(layer, direction, n)
    out = np.empty_like(inputs[0])
    run = {"forward": forward, "backward": backward}[direction]
    return Work(lambda: run(*inputs, out), lambda: [_sample(out)])


def torch_pass(forward: Into, backward: Into, layer: str, direction: str, n: int) -> Work:
    """Functions of ``torch`` and the inputs that write into a tensor."""
    torch = peers.torch()
    inputs = [torch.from_numpy(a) for a in arrays(layer, direction, n)]
    out = torch.empty_like(inputs[0])
    run = {"forward": forward, "backward": backward}[direction]
    return Work(lambda: run(torch, *inputs, out), lambda: [_sample(out.numpy())])


def jax_pass(forward: Callable, backward: Callable, layer: str, direction: str, n: int) -> Work:
    """Functions of ``jax`` and the inputs that return their result."""
    run, jax = {"forward": forward, "backward": backward}[direction], peers.jax()

    def traced(*inputs: Any) -> Any:
        return run(jax, *inputs)

    work = peers.jitted(traced, *arrays(layer, direction, n))
    return Work(work.call, lambda: [_sample(work.answer()[0])])
