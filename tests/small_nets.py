"""A network of 4, 7 and 3 units, and examples for it."""

import numpy as np

import fastbp


def small(dtype=np.float64, **options):
    return fastbp.mlp([4, 7, 3], dtype=dtype, **{"seed": 0} | options)


def examples(rows=9, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 4)).astype(dtype), rng.integers(0, 3, rows)
