"""What a network needs to know of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp._lowering import Lowering
from fastbp._operand import Operand

_NONE: Mapping[str, str] = {}


@cache
def _numbered(arrays: tuple[str, ...], n: int) -> Mapping[str, str]:
    return {attribute: f"{attribute}{n}" for attribute in arrays}


class Numbering:
    """Gives the arrays of a network's layers their names: W1, b1, W2, ..., counted by the layers that have such."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, layer: Layer | type[Layer]) -> Mapping[str, str]:
        """The names of the next ``layer``'s parameters and buffers by the attributes that they are."""
        arrays = (*layer.parameters, *layer.buffers)
        if not arrays:
            return _NONE
        n = self._counts[arrays[0]] = self._counts.get(arrays[0], 0) + 1
        return _numbered(arrays, n)


class Layer:
    """What a network asks of a layer; a layer is a subclass that says what it is.

    ``forward`` and ``backward`` compute layer by layer, ``lower`` writes the same as instructions of a program. The
    names in ``parameters`` and ``buffers`` are attributes; ``backward`` leaves the gradient of each parameter in one
    with a ``d`` in front.
    """

    parameters: tuple[str, ...] = ()  # arrays that train, in the order of the flat vector; None where there is none
    buffers: tuple[str, ...] = ()  # arrays that are kept with a network and not trained
    draws: ClassVar[bool] = False  # whether ``forward`` draws random numbers, which ``predict`` does not
    mixes_rows: ClassVar[bool] = False  # whether a row's result depends on the other rows, or on its place in the batch

    def checked(self) -> tuple[np.ndarray | None, ...]:
        """The ``parameters`` and ``buffers`` as they are now, in arrays of their own; None where the layer has none.

        Raises ValueError where they do not fit, TypeError for what is no array of real numbers.
        """
        return ()

    @property
    def n_inputs(self) -> int | None:
        """Numbers in an input sample; None where any number will do."""
        return None

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an output sample for input samples of ``shape``; ValueError where that does not fit."""
        return shape

    def forward(self, x: ArrayLike) -> Any:
        raise NotImplementedError

    def backward(self, dout: ArrayLike) -> Any:
        raise NotImplementedError

    def predict(self, x: ArrayLike) -> Any:
        """Return what ``forward`` returns outside training."""
        return self.forward(x)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the forward pass into ``p`` and hang the backward pass on it; returns the output."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
