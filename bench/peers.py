"""The peers as their documentation wants them used: as many threads as everybody, and nothing done twice."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .row import Work


def threads() -> int:
    """How many threads this provider's process has."""
    return int(os.environ["OMP_NUM_THREADS"])


def torch() -> Any:
    """PyTorch with this process's number of threads."""
    import torch

    torch.set_num_threads(threads())
    return torch


def jax(dtype: str = "float32") -> Any:
    """JAX on the CPU; its threads are as many as the cores that this process may use.

    64 bits are switched on for float64 only: they would widen integers and constants elsewhere too.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", dtype == "float64")
    return jax


def jitted(function: Callable, *arguments: np.ndarray, dtype: str = "float32") -> Work:
    """A compiled function of arrays, called once a unit; its results are waited for, as only then are they there."""
    module = jax(dtype)
    compiled = module.jit(function)
    inputs = [module.numpy.asarray(a) for a in arguments]
    last: list[Any] = []

    def call() -> None:
        last[:] = [module.block_until_ready(compiled(*inputs))]

    return Work(call, lambda: [np.asarray(a) for a in module.tree.leaves(last[0])])
