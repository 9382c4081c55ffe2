"""The largest errors of exp, log, sigmoid and tanh over every float32, in units in the last place.

    python -m fastbp.bench.ulp_exhaustive        (several minutes)

The yardstick is NumPy's float64 function rounded nowhere. exp and log must stay within 2, sigmoid and tanh within 4;
the exit code says whether they did.
"""

import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import fastbp
from fastbp.kernels._jit import kernel
from fastbp.kernels.elementary import exp, log

BLOCK = 1 << 16  # what is computed on the way stays in the cache
BLOCKS = (1 << 32) // BLOCK


@kernel
def exp_of(x, y):
    """Our exp of every element."""
    for i in range(x.size):
        y[i] = exp(x[i])


@kernel
def log_of(x, y):
    """Our log of every element."""
    for i in range(x.size):
        y[i] = log(x[i])


def of_kernel(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """A kernel of two arrays as a function of one."""

    def of(x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        function(x, y)
        return y

    return of


def exact_sigmoid(x: np.ndarray) -> np.ndarray:
    """The formula in float64, in the form that does not overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


class Function(NamedTuple):
    """A function of ours, what it should give in float64, and by how much it may be off."""

    ours: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[np.ndarray], np.ndarray]
    limit: float


FUNCTIONS = {
    "exp": Function(of_kernel(exp_of), np.exp, 2.0),
    "log": Function(of_kernel(log_of), np.log, 2.0),
    "sigmoid": Function(fastbp.sigmoid, exact_sigmoid, 4.0),
    "tanh": Function(lambda x: fastbp.Tanh().forward(x), np.tanh, 4.0),
}


def patterns(block: int) -> np.ndarray:
    """The float32 numbers whose first 16 bits are those of ``block``."""
    return np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.uint64).astype(np.uint32).view(np.float32)


def worst(y: np.ndarray, exact: np.ndarray) -> float:
    """The largest error of ``y``; infinite where NaN or an infinity is not where it should be.

    A result counts as too large for its type where it rounds to infinity.
    """
    nearest = exact.astype(np.float32)
    finite = np.isfinite(nearest)
    if not finite.all():
        if not np.array_equal(y[~finite], nearest[~finite], equal_nan=True):
            return np.inf
        y, exact, nearest = y[finite], exact[finite], nearest[finite]
    error = np.abs(y.astype(np.float64) - exact) / np.spacing(np.abs(nearest))
    return float(error.max(initial=0))  # NaN where one of y is


def largest_errors(blocks: Iterable[int], names: Iterable[str] = FUNCTIONS) -> dict[str, float]:
    """The largest error of each function over the numbers of these blocks."""
    largest = dict.fromkeys(names, 0.0)
    with np.errstate(all="ignore"):
        for block in blocks:
            x = patterns(block)
            wide = x.astype(np.float64)
            for name in largest:
                error = worst(FUNCTIONS[name].ours(x), FUNCTIONS[name].exact(wide))
                largest[name] = max(largest[name], np.inf if np.isnan(error) else error)
    return largest


def main() -> int:
    """Go through all float32 numbers; return 1 where an error is above its limit."""
    largest = largest_errors(tqdm(range(BLOCKS), disable=None))
    for name, error in largest.items():
        print(f"{name}: at most {error:.3f} units in the last place, {FUNCTIONS[name].limit:g} allowed")
    return 0 if all(error <= FUNCTIONS[name].limit for name, error in largest.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
