"""What a network needs to know of a layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

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
    # How other software says it. PyTorch: a class of torch.nn, and its attributes with the names of ours. Python and
    # C99: y from x and what the constructor takes, by the names of its arguments. In Python it is an expression for
    # (N, K), or the body of a function; in C the body of a function for a row, which may ask for ``n_inputs`` and
    # ``n_outputs``; REAL is the type of the numbers there, and ``@f`` ends the names of mathematical functions.
    torch: ClassVar[tuple[str, dict[str, str]]]
    torch_unused: ClassVar[tuple[str, ...]] = ()  # integers in its state dict that mean nothing here
    numpy: str
    c: str

    mixes_rows: ClassVar[bool] = False  # whether a row's result depends on the other rows, or on its place in the batch

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        """One for samples of ``n`` numbers, to try it out with."""
        return cls()

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

    def folded(self, before: Layer) -> Layer | None:
        """One layer that predicts what ``before`` and then this one do; None where there is none."""
        return None

    @property
    def word(self) -> str:
        """What it is called in files of other languages: batch_normalization."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def onnx(self, node: Any, x: str) -> str:
        """Add what it does with ``x`` to an ONNX graph by ``node(operator, *inputs, **attributes)``; returns its name.

        An input that is a number or an array becomes a constant of the network's dtype.
        """
        raise NotImplementedError

    def to_module(self, nn: Any) -> Any:
        """The module of torch.nn that does the same, its arrays still to come."""
        name, arguments = self.torch
        return getattr(nn, name)(**{theirs: getattr(self, ours) for theirs, ours in arguments.items()})

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """The layer that does what a module of torch.nn of that class does; TypeError where there is none."""
        return cls(**{ours: getattr(module, theirs) for theirs, ours in cls.torch[1].items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
