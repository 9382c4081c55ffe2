"""Optimizers as the tests use them: gradients, a few steps, and the formulas in NumPy."""

import numpy as np
import pytest
from strategies import FLOATS

from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop

ALL = [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam, AdamW]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}  # relative and absolute, after 50 steps
all_optimizers = pytest.mark.parametrize("kind", ALL)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def normal(n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


def gradients(n, dtype, steps=50):
    """A gradient for each step, the scale of its elements from 1e-4 to 10."""
    return [np.logspace(-4, 1, n).astype(dtype) * normal(n, dtype, seed) for seed in range(1, steps + 1)]


def trained(optimizer, p, grads):
    params = {"W": p.copy()}
    for g in grads:
        optimizer.update(params, {"W": g})
    return params["W"]


def reference(optimizer, p, grads):
    """The formulas, in extended precision where there is one."""
    wide = np.longdouble
    p, lr, decay = p.astype(wide), wide(optimizer.lr), wide(optimizer.weight_decay)
    constants = {
        name: wide(getattr(optimizer, name, 0)) for name in ("momentum", "decay_rate", "beta1", "beta2", "eps")
    }
    momentum, rate, beta1, beta2, eps = constants.values()
    s, q = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, start=1):
        g = g.astype(wide) if isinstance(optimizer, AdamW) else g + decay * p
        match optimizer:
            case SGD():
                p = p - lr * g
            case Momentum():
                s = momentum * s + g
                p = p - lr * s
            case Nesterov():
                s = momentum * s + g
                p = p - lr * (g + momentum * s)
            case AdaGrad():
                s = s + g**2
                p = p - lr * g / (np.sqrt(s) + eps)
            case RMSprop():
                s = rate * s + (1 - rate) * g**2
                p = p - lr * g / (np.sqrt(s) + eps)
            case Adam() | AdamW():
                if isinstance(optimizer, AdamW):
                    p = p * (1 - lr * decay)
                s = beta1 * s + (1 - beta1) * g
                q = beta2 * q + (1 - beta2) * g**2
                p = p - lr * (s / (1 - beta1**t)) / (np.sqrt(q / (1 - beta2**t)) + eps)
    return p
