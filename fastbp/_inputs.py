"""What a network makes of the samples that it is given: the shape of one, its rows, and what the first layer gets."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp._binding import Binding
from fastbp.basics import _arguments, _check


def as_shape(shape: Any) -> tuple[int, ...]:
    """What ``in_shape`` was set to, checked."""
    said = f"in_shape must be (channels, height, width), or (inputs,), got {_arguments.shown(shape)}"
    if not isinstance(shape, (tuple, list)):
        raise TypeError(said)
    if len(shape) not in (1, 3):
        raise ValueError(said)
    return tuple(_arguments.integer(f"in_shape[{n}]", size, 1) for n, size in enumerate(shape))


def scaled(x: ArrayLike, binding: Binding, scale: float) -> Any:
    """``x`` in the shape of samples and in the type that the network computes it in, times the scale."""
    shape = binding.in_shape
    if shape is not None and len(shape) > 1:
        x = _check.as_real("x", x)
        if x.ndim > 1 and x.shape[1:] != shape:
            binding.check_samples("x", x.shape)
            x = x.reshape(len(x), *shape)
    if scale == 1:
        return x
    x = _check.as_real("x", x)
    dtype = _check.computed_in(_check.result_type(x, binding.vector))
    return np.multiply(x, dtype.type(scale), dtype=dtype)


def as_rows(x: np.ndarray, binding: Binding, scale: float) -> np.ndarray | None:
    """``x`` as rows (N, I) whose scores are of the dtype of the parameters; None where only the layers can tell."""
    first, dtype = binding.layers[0], binding.vector.dtype
    joins = scale != 1 or first.parameters or first.buffers  # x and numbers of that dtype at once
    if (_check.result_type(x, binding.vector) if joins else x.dtype) != dtype or not x.size:
        return None
    if binding.in_shape is None:
        return None
    if len(binding.in_shape) > 1:
        binding.check_samples("x", x.shape)
        return x.reshape(len(x), -1) if x.ndim > 1 else None
    if x.ndim == 1:  # one sample, unless it is as many of one number, for the first layer or a later one
        x = x[None] if (1,) not in ((binding.n_inputs,), *binding.shapes[:-1]) else x
    elif x.ndim > 2:
        try:
            flattened = len(first.out_shape(x.shape[1:])) == 1
        except ValueError:
            return None
        x = x.reshape(len(x), -1) if flattened else x
    return x if x.ndim == 2 and x.shape[1] == binding.n_inputs else None
