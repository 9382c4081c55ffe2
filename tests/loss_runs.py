"""Losses as the tests run them: a batch for each, weights, one forward and backward, and how near is near."""

import warnings

import numpy as np
import pytest
from strategies import FLOATS, assert_within, eps

import fastbp
from fastbp import reference

NAMES = ("BinaryCrossEntropy", "SigmoidWithLoss", "MeanSquaredError", "MeanAbsoluteError", "Huber")
ALL = (*NAMES, "SoftmaxWithLoss")
OF_PROBABILITIES = ("BinaryCrossEntropy", "SigmoidWithLoss")  # whose targets are in 0..1
names = pytest.mark.parametrize("name", NAMES)
all_names = pytest.mark.parametrize("name", ALL)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def batch(name, shape=(6, 5), dtype=np.float64, seed=0):
    """Predictions for a loss, and targets for them; ``shape`` of one number is (N,)."""
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    if name == "BinaryCrossEntropy":
        x = reference.sigmoid(x)
    if name == "SoftmaxWithLoss":
        return x, rng.integers(0, shape[1], shape[0])
    t = rng.random(shape) if name in OF_PROBABILITIES else rng.standard_normal(shape)
    return x, t.astype(dtype)


def weights_for(n, seed=3):
    weights = np.random.default_rng(seed).exponential(size=n)
    weights[n // 2] = 0
    return weights


def run(name, x, t, sample_weight=None, library=fastbp, **options):
    layer = getattr(library, name)(**options)
    return layer.forward(x, t, sample_weight=sample_weight), layer.backward(), layer.y


def wide(*arrays):
    return [None if a is None else np.asarray(a, np.float64) for a in arrays]


def torch_or_skip():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        return pytest.importorskip("torch")


def assert_near(got, expected, dtype, factor=16):
    """A loss and its gradient, to ``factor`` eps of the largest number in either."""
    for a, b in zip(got[:2], expected[:2], strict=True):
        assert_within(a, b, factor * eps(dtype) * max(np.max(np.abs(b)), 1e-30))
