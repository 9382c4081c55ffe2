"""Huber's loss as a layer."""

from fastbp import _arguments
from fastbp._loss import RealTargetLoss
from fastbp.kernels.element_losses import HUBER


class Huber(RealTargetLoss):
    """The mean over all elements of ``(x - t)^2 / 2`` where ``|x - t| <= delta``, else ``delta (|x - t| - delta / 2)``.

    As PyTorch's HuberLoss (Huber 1964).

    Parameters
    ----------
    delta : float above 0
        Where the square ends.

    Attributes
    ----------
    loss : the last loss
    y : a copy of ``x``
    t : the targets as they were given

    All three are None before the first ``forward``.
    """

    _kind = HUBER

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = _arguments.real("delta", delta, above=0)

    @property
    def _number(self) -> float:  # type: ignore[override]
        return self.delta

    def __repr__(self) -> str:
        return f"Huber(delta={self.delta:g})"
