"""Softmax as a layer of its own."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.kernels.entry import Entry
from fastbp.kernels.softmax import softmax_backward, softmax_forward

FORWARD = Entry(softmax_forward, "NK -> NK")
BACKWARD = Entry(softmax_backward, "NK NK -> NK")


class Softmax:
    """exp(x) / sum(exp(x)) along the last axis, as a layer.

    Followed by the gradient of the cross-entropy, ``-t / y / N``, its backward pass gives that of
    ``SoftmaxWithLoss``, ``(y - t) / N``.

    Attributes
    ----------
    y : array of the shape of ``x``, or None
        The result of the last ``forward``; None before the first.
    """

    in_networks: ClassVar[str] = (  # what is said where one is to be a layer of a network
        "layers must end with scores, got Softmax: leave it out, for SoftmaxWithLoss, the loss of the "
        "network, is the softmax of scores and its loss in one, and predict_proba gives probabilities"
    )
    elementwise: ClassVar[bool] = False
    # How other software says it, as an activation does; in C, of a row of ``n`` scores ``x``, in place.
    word: ClassVar[str] = "softmax"
    c: ClassVar[str] = """\
REAL largest = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < n; i++) {
        x[i] = exp@f(x[i] - largest);
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;"""
    numpy: ClassVar[str] = """\
e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)"""

    def onnx(self, node: Any, x: str) -> str:
        """Add it to an ONNX graph, as ``Layer.onnx`` does."""
        return node("Softmax", x, axis=-1)

    def __init__(self) -> None:
        self.y: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the probabilities of scores ``x``, (N, K) or (K,) or of any more dimensions.

        No finite score overflows; -inf gives 0. The dtype is that of ``x``, float64 for integers.

        Raises
        ------
        ValueError
            For an ``x`` of no dimension or no classes.
        TypeError
            For what is no array of real numbers.
        """
        y = FORWARD.call(_team.address, x)
        if y is None:
            x, dtype = _check.operand("x", x)
            y = FORWARD(_team.address, x.reshape(_rows("x", x))).reshape(x.shape)
            y = _check.of_type(y, dtype)
        self.y = y
        return y

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, y (dout - sum(dout y)) along the last axis.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        """
        dx = BACKWARD.call(_team.address, dout, self.y)
        if dx is None:
            y = self.y
            if y is None:
                raise _check.not_before_forward(self)
            dout, y, dtype = _check.operands(("dout", "y"), dout, y)
            rows = _rows("y", y)
            dx = BACKWARD(_team.address, dout.reshape(rows), y.reshape(rows)).reshape(y.shape)
            dx = _check.of_type(dx, dtype)
        return dx


def _rows(name: str, x: np.ndarray) -> tuple[int, int]:
    """The two-dimensional shape of ``x``, classes along its last axis; ValueError unless there is at least one."""
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one class along its last axis, got shape {x.shape}")
    return x.size // x.shape[-1], x.shape[-1]
