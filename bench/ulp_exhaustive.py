"""The largest error of exp, log, sigmoid and tanh over every float32, in units in the last place.

    python -m fastbp.bench.ulp_exhaustive        (a few minutes)

The yardstick is NumPy's float64 function rounded nowhere. exp and log must stay within 2, sigmoid and tanh within 4;
the exit code says whether they did.
"""

import sys
from typing import Any

import numpy as np
from tqdm import tqdm

from fastbp.kernels._jit import kernel
from fastbp.kernels.elementary import exp, log, logistic, tanh

BLOCK = 1 << 24
LIMITS = {"exp": 2.0, "log": 2.0, "sigmoid": 4.0, "tanh": 4.0}


@kernel
def exp_of(x, y):
    """Our exp of every element."""
    for i in range(x.size):
        y[i] = exp(x[i])


@kernel
def log_of(x, y):
    """Our logarithm of every element."""
    for i in range(x.size):
        y[i] = log(x[i])


@kernel
def sigmoid_of(x, y):
    """Our sigmoid of every element."""
    for i in range(x.size):
        y[i] = logistic(x[i])


@kernel
def tanh_of(x, y):
    """Our tanh of every element."""
    for i in range(x.size):
        y[i] = tanh(x[i])


def exact_sigmoid(x: np.ndarray) -> np.ndarray:
    """The formula in float64, in the form that does not overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "exp": (exp_of, np.exp),
    "log": (log_of, np.log),
    "sigmoid": (sigmoid_of, exact_sigmoid),
    "tanh": (tanh_of, np.tanh),
}


def worst(y: np.ndarray, exact: np.ndarray) -> tuple[float, bool]:
    """The largest error of ``y`` where the float32 nearest to ``exact`` is finite; whether the rest is right."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        nearest = exact.astype(np.float32)
        finite = np.isfinite(nearest)
        error = np.abs(y[finite].astype(np.float64) - exact[finite]) / np.spacing(np.abs(nearest[finite]))
    return float(error.max(initial=0)), bool(np.array_equal(y[~finite], nearest[~finite], equal_nan=True))


def main() -> int:
    """Go through all float32 numbers; return 1 where an error is above its limit."""
    largest = dict.fromkeys(LIMITS, 0.0)
    special = True
    for start in tqdm(range(0, 1 << 32, BLOCK), disable=None):
        x = np.arange(start, start + BLOCK, dtype=np.uint64).astype(np.uint32).view(np.float32)
        y = np.empty_like(x)
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
            for name, (ours, exact) in FUNCTIONS.items():
                ours(x, y)
                error, right = worst(y, exact(wide))
                largest[name], special = max(largest[name], error), special and right
    for name, limit in LIMITS.items():
        print(f"{name}: at most {largest[name]:.3f} units in the last place, {limit:g} allowed")
    print("infinities and NaN " + ("right everywhere" if special else "WRONG"))
    return 0 if special and all(largest[name] <= limit for name, limit in LIMITS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
