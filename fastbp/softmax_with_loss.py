"""Softmax and cross-entropy as one layer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._layer import Operand
from fastbp._loss import as_weights
from fastbp._lowering import Lowering
from fastbp._targets import as_targets
from fastbp.kernels import instructions as of
from fastbp.kernels.short_rows import LONGEST
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward
from fastbp.softmax import Softmax


class SoftmaxWithLoss:
    """Softmax and mean cross-entropy as one layer, as in "Deep Learning from Scratch".

    Parameters
    ----------
    eps : float >= 0
        Added to each probability before its logarithm. With 0 the loss is exact, ``log(sum(exp(x))) - x[t]``, also
        where a probability is too small for its dtype.
    label_smoothing : float in 0..1
        Part of each target that is spread over all classes alike, s: t becomes ``(1 - s) t + s / K``, as in PyTorch.

    Attributes
    ----------
    loss : the last loss, in nats
    y : the probabilities, of the shape of ``x``
    t : the targets as they were given

    All three are None before the first ``forward``.

    >>> layer = SoftmaxWithLoss(eps=0)
    >>> round(float(layer.forward(np.zeros((2, 4)), [0, 3])), 6)
    1.386294
    """

    has_classes = True  # targets are classes, of which the highest score is the prediction

    def __init__(self, eps: float = 1e-7, label_smoothing: float = 0.0) -> None:
        if not 0 <= eps < np.inf:
            raise ValueError(f"eps must be a finite number of at least 0, got {eps!r}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be a number in 0..1, got {label_smoothing!r}")
        self.eps = eps
        self.label_smoothing = label_smoothing
        self.loss: Any = None
        self.y: np.ndarray | None = None
        self.t: np.ndarray | None = None
        self._targets: np.ndarray | None = None  # t, the weights and the smoothing as the kernels took them
        self._weights: np.ndarray | None = None
        self._smoothing = 0.0

    def forward(self, x: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the mean over the rows of ``-sum(t log(y + eps))`` with ``y = softmax(x)``.

        Parameters
        ----------
        x : (N, K) scores, or (K,) of a single sample
        t : (N,) class labels in 0..K-1, of any integer dtype or integral floats; or as many elements as ``x``,
            one-hot rows or distributions over the classes
        sample_weight : (N,) finite numbers of at least 0
            Each row's loss is multiplied with its own. The sum is divided by N all the same.

        Returns
        -------
        loss : number of the dtype of ``y``, which is that of ``x`` and float64 for integers

        Raises ValueError for shapes that do not fit, no rows, labels outside 0..K-1, and weights that are negative or
        not finite; TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        if x.ndim not in (1, 2) or x.size == 0:
            raise ValueError(
                f"x must be (N, K) or (K,), of a batch and classes that are not empty, got shape {x.shape}"
            )
        t = _check.as_real("t", t)
        targets = as_targets(t, "x", x.shape, x.dtype)
        weights = as_weights(sample_weight, len(targets), x.dtype)
        y, losses = np.empty(x.shape, x.dtype), np.empty(len(targets))
        smoothing = float(self.label_smoothing)
        loss = softmax_xent_forward(
            _team.current().address,
            _check.as_rows(x),
            targets,
            weights,
            float(self.eps),
            smoothing,
            _check.as_rows(y),
            losses,
        )
        self.t, self._targets, self._weights, self._smoothing = t, targets, weights, smoothing
        self.y, self.loss = _check.of_type(y, dtype), dtype.type(loss)
        return self.loss

    def backward(self, dout: float = 1) -> np.ndarray:
        """Return the gradient with respect to ``x``, ``(y - t) / len(t) dout``, of the targets as smoothed and weighed.

        The dtype is that of ``y``, whatever type the targets came in. The divisor is ``t.shape[0]``: the number of
        rows, and as in the book the number of classes for the one-hot target, (K,), of a single sample. ``dout`` is a
        number, the gradient of what follows with respect to the loss.

        Raises RuntimeError before the first ``forward``, TypeError unless ``dout`` is a number.
        """
        if self.y is None or self.t is None or self._targets is None or self._weights is None:
            raise _check.not_before_forward(self)
        share = float(dout) / (self.t.shape[0] if self.t.ndim else 1)
        y, dtype = _check.operand("y", self.y)
        dx = np.empty(y.shape, y.dtype)
        softmax_xent_backward(
            _team.current().address,
            _check.as_rows(y),
            self._targets,
            self._weights,
            self._smoothing,
            y.dtype.type(share),
            _check.as_rows(dx),
        )
        return _check.of_type(dx, dtype)

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """``t`` for scores of ``shape`` (N, K) as the kernels take it; ValueError where it does not fit."""
        return as_targets(_check.as_real("t", t), "the scores", shape, dtype)

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        """Write the loss and its gradient, whose address is returned."""
        dx, losses = p.loss_buffers(x.columns)
        sizes, smoothing = (p.rows, x.columns, losses), float(self.label_smoothing)
        if labels and not weights and not smoothing and x.columns <= LONGEST:
            p.emit(of.SoftmaxLossOfFew(x.address, targets, dx, *sizes, self.eps))
        else:
            instruction = of.SoftmaxLossOfLabels if labels else of.SoftmaxLossOfRows
            # The gradient takes the place of the probabilities that it is computed from.
            p.emit(instruction(x.address, targets, weights, dx, dx, *sizes, self.eps, smoothing))
        return dx

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """softmax(scores)."""
        return Softmax().forward(scores)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(eps={self.eps:g}, label_smoothing={self.label_smoothing:g})"
