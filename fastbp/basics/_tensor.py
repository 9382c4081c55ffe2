"""Tensors of PyTorch as arrays, without its library."""

from typing import Any

import numpy as np

from fastbp.basics import _check


def array_of_tensor(name: str, value: Any) -> np.ndarray:
    """A tensor on any device, or any array."""
    return _check.as_real(name, value.detach().cpu() if hasattr(value, "detach") else value)
