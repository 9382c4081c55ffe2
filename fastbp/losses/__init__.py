"""Losses as layers: a class for each, which is all that networks, files, exports and commands know of it.

What a new one of numbers needs: its two kernels in ``kernels.element_losses``, a class here, and its plain twin in
``reference``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastbp.activations import Sigmoid
from fastbp.basics import _arguments, _check
from fastbp.basics._attributes import derived, setting
from fastbp.kernels import element_losses as kernels
from fastbp.losses._element_loss import ElementLoss
from fastbp.losses._loss import PROBABILITIES, Loss
from fastbp.losses.softmax_with_loss import SoftmaxWithLoss

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SigmoidWithLoss",
    "SoftmaxWithLoss",
]


class SigmoidWithLoss(ElementLoss):
    """Sigmoid and mean binary cross-entropy as one layer, for scores ``x`` of any size.

    The loss is the mean over all elements of ``max(x, 0) - x t + log(1 + exp(-|x|))``, which is
    ``-(t log(y) + (1 - t) log(1 - y))`` for ``y = 1 / (1 + exp(-x))`` without its rounding; as
    ``torch.nn.BCEWithLogitsLoss``. The gradient is ``y - t`` divided by the number of elements. Targets are in 0..1.

    Attributes
    ----------
    loss : number or None
        The last loss, in nats; None before the first ``forward``, as the others are.
    y : array or None
        The probabilities, of the shape of ``x``.
    t : array or None
        The targets as they were given.

    Examples
    --------
    >>> layer = SigmoidWithLoss()
    >>> round(float(layer.forward([0.0, -1000.0], [1, 0])), 6)
    0.346574
    """

    names: ClassVar = {"sigmoid": {}}
    elsewhere = "binary_crossentropy", "bce", "logistic"
    targets = PROBABILITIES
    link = Sigmoid
    kernel, kernel_slope = staticmethod(kernels.binary_of_scores), staticmethod(kernels.binary_of_scores_slope)
    kernel_slope_of_output = staticmethod(kernels.binary_of_scores_slope_of_output)


class BinaryCrossEntropy(ElementLoss):
    """Mean over all elements of ``-(t log(x) + (1 - t) log(1 - x))``, for probabilities ``x`` and ``t`` in 0..1.

    As ``torch.nn.BCELoss``: a logarithm counts as -100 where it is less, and the gradient, ``(x - t) / (x (1 - x))``
    divided by the number of elements, takes x (1 - x) as 1e-12 where it is less. To follow a ``Sigmoid``,
    ``SigmoidWithLoss`` in place of both is faster, and exact where this is not.

    Attributes
    ----------
    loss : number or None
        The last loss, in nats; None before the first ``forward``, as the others are.
    y : array or None
        A copy of the probabilities.
    t : array or None
        The targets as they were given.

    Examples
    --------
    >>> layer = BinaryCrossEntropy()
    >>> round(float(layer.forward([0.25, 0.5], [0, 1])), 6)
    0.490415
    """

    targets = PROBABILITIES
    kernel, kernel_slope = staticmethod(kernels.binary), staticmethod(kernels.binary_slope)

    def _check_values(self, x: np.ndarray) -> None:
        _check.within("x", x, 0.0, 1.0, "outside 0..1 (for scores there is SigmoidWithLoss)")


class MeanSquaredError(ElementLoss):
    """Mean over all elements of ``(x - t)^2``, as ``torch.nn.MSELoss``.

    The gradient is ``2 (x - t)`` divided by the number of elements. The book's ``sum_squared_error`` (chapter 4) is
    half the sum: this loss times half the number of elements, and ``backward(dout)`` with that number gives its
    gradient, ``x - t``.

    Attributes
    ----------
    loss : number or None
        The last loss; None before the first ``forward``, as the others are.
    y : array or None
        A copy of the predictions ``x``.
    t : array or None
        The targets as they were given.

    Examples
    --------
    >>> layer = MeanSquaredError()
    >>> float(layer.forward([1.0, 2.0], [0, 4]))
    2.5
    """

    names: ClassVar = {"mse": {}}
    elsewhere = "mean_squared_error", "squared_error", "l2"
    kernel, kernel_slope = staticmethod(kernels.squared), staticmethod(kernels.squared_slope)
    kernel_in_one_go = staticmethod(kernels.squared_in_one_go)


class MeanAbsoluteError(ElementLoss):
    """The mean over all elements of ``|x - t|``, whose derivative at 0 is 0; as PyTorch's L1Loss.

    Attributes
    ----------
    loss : number or None
        The last loss; None before the first ``forward``, as the others are.
    y : array or None
        A copy of ``x``.
    t : array or None
        The targets as they were given.
    """

    names: ClassVar = {"mae": {}}
    elsewhere = "mean_absolute_error", "absolute_error", "l1"
    kernel, kernel_slope = staticmethod(kernels.absolute), staticmethod(kernels.absolute_slope)


class Huber(ElementLoss):
    """The mean over all elements of ``(x - t)^2 / 2`` where ``|x - t| <= delta``, else ``delta (|x - t| - delta / 2)``.

    As PyTorch's HuberLoss (Huber 1964).

    Parameters
    ----------
    delta : float above 0
        Where the square ends.

    Attributes
    ----------
    loss : number or None
        The last loss; None before the first ``forward``, as the others are.
    y : array or None
        A copy of ``x``.
    t : array or None
        The targets as they were given.
    """

    names: ClassVar = {"huber": {}}
    elsewhere = ("huber_loss",)
    kernel, kernel_slope = staticmethod(kernels.huber), staticmethod(kernels.huber_slope)

    delta: float = setting(lambda name, value: _arguments.real(name, value, above=0))

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    @derived
    def number(self) -> float:
        """What the kernels take: ``delta``."""
        return self.delta


CLASSES: tuple[type[Loss], ...] = (
    SoftmaxWithLoss,
    SigmoidWithLoss,
    BinaryCrossEntropy,
    MeanSquaredError,
    MeanAbsoluteError,
    Huber,
)
BY_NAME: dict[str, tuple[type[Loss], dict[str, Any]]] = {
    name: (cls, arguments) for cls in CLASSES for name, arguments in cls.names.items()
}
ELSEWHERE = {other: name for name, (cls, _) in BY_NAME.items() for other in cls.elsewhere}


def named(loss: str) -> Loss:
    """The layer that a word of ``BY_NAME`` stands for."""
    cls, arguments = BY_NAME[_arguments.choice("loss", loss, BY_NAME, ELSEWHERE)]
    return cls(**arguments)


def words(targets: str) -> list[str]:
    """The words for losses of such targets."""
    return [name for name, (cls, _) in BY_NAME.items() if cls.targets == targets]


def loss_layer(loss: Any) -> Any:
    """The loss of a network: what a word stands for, the exact one of softmax for None; a layer is itself."""
    if loss is None:
        return named("softmax")
    return named(loss) if isinstance(loss, str) else loss
