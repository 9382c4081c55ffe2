"""What a network needs to know of a layer, and what passes from layer to layer while a program is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import ArrayLike

from fastbp.kernels.gemm import LINEAR, NOTHING

if TYPE_CHECKING:
    from fastbp._lowering import Lowering

Epilogue = tuple[int, int, float]
"""The address of a function, of what it needs, and its number; see the instructions of the products."""

NO_EPILOGUE: Epilogue = (LINEAR, NOTHING, 0.0)


@dataclass
class Operand:
    """What one layer hands to the next in a program: rows of numbers at an address.

    Attributes
    ----------
    address : where (N, ...) begins, row after row
    shape : of one sample
    slope : what the gradient with respect to these numbers has to be put through before the layer that made them takes
        it: whoever computes that gradient may take this over, see ``take_slope``
    """

    address: int
    shape: tuple[int, ...]
    slope: Epilogue = NO_EPILOGUE

    @property
    def columns(self) -> int:
        """Numbers in a sample that is a row."""
        (columns,) = self.shape
        return columns

    def take_slope(self) -> Epilogue:
        """Take over what the gradient has to be put through; whoever made the numbers then leaves it out."""
        taken, self.slope = self.slope, NO_EPILOGUE
        return taken


class Layer:
    """What a network asks of a layer; a layer is a subclass that says what it is.

    ``forward`` and ``backward`` compute layer by layer, ``lower`` writes the same as instructions of a program. The
    names in ``parameters`` are attributes, and ``backward`` leaves the gradient of each in one with a ``d`` in front.
    """

    parameters: ClassVar[tuple[str, ...]] = ()  # arrays that train, in the order of the flat vector; None has none
    mixes_rows: ClassVar[bool] = False  # whether a row's result depends on the other rows, or on its place in the batch

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
