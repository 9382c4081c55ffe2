"""What the benchmarks of the activations share: their sizes, their arrays, and how each provider calls a function.

Every provider writes into an array made beforehand where it can. The backward pass is that of a network: the
incoming gradient and the output of the forward pass go in, the gradient for the input comes out.
"""

import numpy as np

from fastbp import reference

from .row import Expected, Row

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
    inputs = [sample(a).astype(np.float64) for a in arrays(layer, direction, n)]
    plain = getattr(reference, layer)()
    if direction == "forward":
        right = plain.forward(inputs[0])
    else:
        dout, y = inputs
        plain.out, plain.mask = y, y <= 0
        right = plain.backward(dout)
    return [(right, np.maximum(np.abs(right), 1e-3))]


def sample(a: np.ndarray) -> np.ndarray:
    """Elements so far apart, by an odd number, that all places in a vector and all parts of the work are among them."""
    return a[:: max(1, a.size // SAMPLE) | 1]
