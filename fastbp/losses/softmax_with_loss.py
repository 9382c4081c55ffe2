"""Softmax and cross-entropy as one layer."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._attributes import setting
from fastbp.kernels import instructions as of
from fastbp.kernels.entry import Entry
from fastbp.kernels.short_rows import LONGEST
from fastbp.kernels.softmax_xent import (
    xent_of_labels,
    xent_of_labels_backward,
    xent_of_rows,
    xent_of_rows_backward,
)
from fastbp.layers.softmax import Softmax
from fastbp.losses._loss import LABELS, Loss, as_factor, as_loss, as_weights, no_weights
from fastbp.losses._targets import as_targets
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

OF_LABELS = Entry(xent_of_labels, "NK N:labels N=None number number -> NK N:labels N:double number")
OF_ROWS = Entry(xent_of_rows, "NK NK N=None number number -> NK N:double number")
OF_LABELS_BACKWARD = Entry(xent_of_labels_backward, "NK N:labels N=None number number number -> NK")
OF_ROWS_BACKWARD = Entry(xent_of_rows_backward, "NK NK N=None number number number -> NK")


class SoftmaxWithLoss(Loss):
    """Softmax and mean cross-entropy as one layer, as in "Deep Learning from Scratch".

    Parameters
    ----------
    eps : float >= 0
        Added to each probability before its logarithm. With 0 the loss is exact, ``log(sum(exp(x))) - x[t]``, also
        where a probability is too small for its dtype, and ``backward`` gives its gradient for targets of any sum; with
        any other eps, the gradient is the book's ``y - t``. The exact loss is infinite where it is larger than the
        largest number of its dtype, and where two scores of a row are further apart than the largest float64.
    label_smoothing : float in 0..1
        Part of each target that is spread over all classes alike, s: t becomes ``(1 - s) t + s / K``, as in PyTorch.

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
    >>> layer = SoftmaxWithLoss(eps=0)
    >>> round(float(layer.forward(np.zeros((2, 4)), [0, 3])), 6)
    1.386294
    """

    names: ClassVar = {"softmax": {"eps": 0}}
    elsewhere = "categorical_crossentropy", "sparse_categorical_crossentropy", "cross_entropy", "log_loss"
    targets = LABELS
    link = Softmax

    eps: float = setting(lambda name, value: _arguments.real(name, value, 0))
    label_smoothing: float = setting(lambda name, value: _arguments.real(name, value, 0, 1))

    def __init__(self, eps: float = 1e-7, label_smoothing: float = 0.0) -> None:
        self.eps = eps
        self.label_smoothing = label_smoothing

    def forward(self, x: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the mean over the rows of ``-sum(t log(y + eps))`` with ``y = softmax(x)``.

        Parameters
        ----------
        x : (N, K) or (K,) array
            Scores; (K,) are those of a single sample.
        t : (N,) array, or array of as many elements as ``x``
            Class labels in 0..K-1, of any integer dtype or integral floats; or one-hot rows or distributions over the
            classes, not negative. The loss is that of the formula also where a row does not sum to 1; for the gradient
            see ``backward``.
        sample_weight : (N,) array or None
            Finite numbers of at least 0: each row's loss is multiplied with its own. The sum is divided by N all the
            same.

        Returns
        -------
        loss : number
            Of the dtype of ``y``, which is that of ``x`` and float64 for integers.

        Raises
        ------
        ValueError
            For shapes that do not fit, no rows, labels outside 0..K-1, negative shares of classes, and weights that are
            negative or not finite.
        TypeError
            For what is no array of real numbers.
        """
        eps, smoothing = self.eps, self.label_smoothing
        if sample_weight is None:
            if made := OF_LABELS.call(_team.address, x, t, None, eps, smoothing):
                y, targets, _, mean = made
                return self._keep(y, t, targets, mean)
            if made := OF_ROWS.call(_team.address, x, t, None, eps, smoothing):
                y, _, mean = made
                return self._keep(y, t, None, mean)
        x, dtype = _check.operand("x", x)
        t = _check.as_real("t", t)
        targets = _targets_for("x", x, t)
        weights = as_weights(sample_weight, len(targets), x.dtype)
        # x, rows and the weights are this call's own views or copies, labels a copy.
        entry = OF_LABELS if targets.ndim == 1 else OF_ROWS
        given = _check.as_rows(x), targets, weights if weights.size else None
        y, *_, mean = entry(_team.address, *given, eps, smoothing)
        loss, y = as_loss(mean, dtype), y.reshape(x.shape)
        self._remember(loss, _check.of_type(y, dtype), t, sample_weight, y.dtype, (targets, weights))
        return loss

    def _keep(self, y: np.ndarray, t: Any, labels: np.ndarray | None, mean: float) -> Any:
        """Remember a forward of arrays as the kernel takes them, of rows where there are no ``labels``."""
        loss, t = as_loss(mean, y.dtype), _check.own_view(t)
        targets = t if labels is None else labels
        self._remember(loss, y, t, None, y.dtype, (targets, no_weights(y.dtype)))
        return loss

    def backward(self, dout: float = 1) -> np.ndarray:
        """Return the gradient with respect to ``x``, ``(y - t) / len(t) dout``, of the targets as smoothed and weighed.

        With ``eps=0`` it is ``(y sum(t) - t) / len(t) dout``, the gradient of the loss for soft targets of any sum, as
        PyTorch's. With any other eps it is the book's, which is the gradient where a row of targets sums to 1.

        The dtype is that of ``y``, whatever type the targets came in. The divisor is ``t.shape[0]``: the number of
        rows, and as in the book the number of classes for the one-hot target, (K,), of a single sample. ``dout`` is a
        number, the gradient of what follows with respect to the loss. ``y``, ``t`` and the options are taken as they
        are now, set since ``forward`` or not; of labels the layer has a copy, which what is written into ``t`` does not
        reach.

        Raises
        ------
        RuntimeError
            Before the first ``forward``.
        TypeError
            Unless ``dout`` is a number, and for what was set as ``forward`` does.
        ValueError
            For what was set as ``forward`` does.
        """
        _, given, t, sample_weight, _ = last = self._last
        if given is None or t is None:
            raise _check.not_before_forward(self)
        eps, smoothing = self.eps, self.label_smoothing
        if (taken := self._as_taken(last)) is not None:
            targets, weights = taken
            backward = OF_LABELS_BACKWARD if targets.ndim == 1 else OF_ROWS_BACKWARD
            share = as_factor(dout) / len(targets)
            dx = backward.call(_team.address, given, targets, weights if weights.size else None, eps, smoothing, share)
            if dx is not None:
                return dx
        y, dtype = _check.operand("y", given)
        taken = self._taken(last, y)
        t = t if taken else _check.as_real("t", t)
        targets = taken[0] if taken else _targets_for("y", y, t, any_shares=True)
        weights = taken[1] if taken else as_weights(sample_weight, len(targets), y.dtype)
        share = as_factor(dout) / (t.shape[0] if t.ndim else 1)
        # y, rows and the weights are this call's own views or copies, labels a copy.
        backward = OF_LABELS_BACKWARD if targets.ndim == 1 else OF_ROWS_BACKWARD
        rows = _check.as_rows(y), targets, weights if weights.size else None
        dx = backward(_team.address, *rows, eps, smoothing, share).reshape(y.shape)
        return _check.of_type(dx, dtype)

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """(N,) labels, or (N, K) rows of ``dtype``; see ``Loss.as_targets``."""
        return as_targets(_check.as_real("t", t), "the scores", shape, dtype)

    def exact(self) -> Loss:
        """The same with an ``eps`` of 0, which the gradient of the book's ignores."""
        return SoftmaxWithLoss(0, self.label_smoothing)

    def smoothed(self, label_smoothing: float) -> Loss:
        """The same with this ``label_smoothing``."""
        return SoftmaxWithLoss(self.eps, label_smoothing)

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        """Write the instruction of this loss: that of few classes, of labels or of rows."""
        dx, losses = p.loss_buffers(x.columns)
        sizes, smoothing = (p.rows, x.columns, losses), float(self.label_smoothing)
        if labels and not weights and not smoothing and x.columns <= LONGEST:
            p.emit(of.SoftmaxLossOfFew(x.address, targets, dx, *sizes, self.eps))
        else:
            instruction = of.SoftmaxLossOfLabels if labels else of.SoftmaxLossOfRows
            # The gradient takes the place of the probabilities that it is computed from.
            p.emit(instruction(x.address, targets, weights, dx, dx, *sizes, self.eps, smoothing))
        return dx


def _targets_for(name: str, x: np.ndarray, t: np.ndarray, *, any_shares: bool = False) -> np.ndarray:
    """``t`` beside ``x``, which messages call ``name``, as kernels take it; ValueError where it does not fit."""
    if x.ndim not in (1, 2) or x.size == 0:
        raise ValueError(
            f"{name} must be (N, K) or (K,), of a batch and classes that are not empty, got shape {x.shape}"
        )
    return as_targets(t, name, x.shape, x.dtype, any_shares=any_shares)
