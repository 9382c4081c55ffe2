"""The layer around a loss of elements: real targets of the shape of the outputs, and a mean over all of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.kernels import instructions as of
from fastbp.kernels.element_losses import element_loss_backward, element_loss_forward
from fastbp.kernels.entry import Entry
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.layers._layer import Operand
from fastbp.losses._loss import NUMBERS, PROBABILITIES, Loss, as_factor, as_loss, as_weights, no_weights
from fastbp.programs._lowering import Lowering, function_address, in_one_go_address, loss_address


def _entries_of(cls: Any) -> tuple[Entry, Entry]:
    """The ways from Python to a class's loss and to its slope, which kernels call through their addresses."""

    def output(dtype: np.dtype) -> int:
        return function_address(cls.link.kernel, dtype) if cls.link else LINEAR

    loss = Entry(
        element_loss_forward, "NK NK N=None number -> NK N:double number", (partial(loss_address, cls.kernel), output)
    )
    slope = partial(loss_address, cls.kernel_slope_of_output or cls.kernel_slope)
    return loss, Entry(element_loss_backward, "NK NK N=None number number -> NK", (slope,))


class ElementLoss(Loss):
    """A loss whose targets are real numbers of the shape of ``x``; subclasses name its kernels."""

    # Of ``kernels.element_losses``, in staticmethods: the loss of each element, and its slope by x; the slope by the
    # output, where a ``link`` makes that another; and what does both faster.
    kernel: Any
    kernel_slope: Any
    kernel_slope_of_output: Any = None
    kernel_in_one_go: Any = None
    number: float = 0.0  # what the kernels take beside the elements

    _entries: tuple[Entry, Entry]  # of its kernels

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if hasattr(cls, "kernel"):
            cls._entries = _entries_of(cls)

    def forward(self, x: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the loss of ``x`` against ``t``.

        Parameters
        ----------
        x : (N, K) or (N,) array
            (N,) is one number a sample.
        t : array of the shape of ``x``
            Real numbers; (N,) and (N, 1) go together.
        sample_weight : (N,) array or None
            Finite numbers of at least 0: each sample's loss is multiplied with its own. The sum is divided by N all the
            same.

        Returns
        -------
        loss : number
            Of the dtype of ``y``, which is that of ``x`` and float64 for integers.

        Raises
        ------
        ValueError
            For shapes that do not fit, no samples, and weights that are negative or not finite.
        TypeError
            For what is no array of real numbers.
        """
        forward, number = self._entries[0], float(self.number)
        if sample_weight is None and self.targets == NUMBERS:
            made = forward.call(_team.address, x, t, None, number)
            if made is not None:
                y, _, mean = made
                loss, t = as_loss(mean, y.dtype), _check.own_view(t)
                self._remember(loss, y, t, None, y.dtype, (t, no_weights(y.dtype)))
                return loss
        x, dtype = _check.operand("x", x)
        t = _check.as_real("t", t)
        targets = self._targets_for("x", x, t)
        if self.targets == PROBABILITIES:
            self._check_values(x)
            _check_probabilities(targets)
        rows, kind = targets.shape, x.dtype
        weights = as_weights(sample_weight, rows[0], kind)
        # x, t and the weights are this call's own views or copies.
        given = x.reshape(rows), targets, weights if weights.size else None
        y, _, mean = forward(_team.address, *given, number)
        loss, y = as_loss(mean, dtype), y.reshape(x.shape)
        self._remember(loss, _check.of_type(y, dtype), t, sample_weight, kind, (targets, weights))
        return loss

    def backward(self, dout: float = 1) -> np.ndarray:
        """Return the gradient of the loss with respect to ``x``, times the number ``dout``, in the dtype of ``y``.

        ``y`` and ``t`` are taken as they are now, set since ``forward`` or not.

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
        backward, number = self._entries[1], float(self.number)
        if (taken := self._as_taken(last)) is not None:
            targets, weights = taken
            share = as_factor(dout) / len(targets)
            dx = backward.call(_team.address, given, targets, weights if weights.size else None, share, number)
            if dx is not None:
                return dx
        y, dtype = _check.operand("y", given)
        taken = self._taken(last, y)
        targets = taken[0] if taken else self._targets_for("y", y, _check.as_real("t", t))
        rows, kind = targets.shape, y.dtype
        weights = taken[1] if taken else as_weights(sample_weight, rows[0], kind)
        share = as_factor(dout) / rows[0]
        # y, t and the weights are this call's own views or copies.
        given = y.reshape(rows), targets, weights if weights.size else None
        dx = backward(_team.address, *given, share, number).reshape(y.shape)
        return _check.of_type(dx, dtype)

    def _targets_for(self, name: str, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """``t`` beside ``x``, which messages call ``name``, as (N, K) of the type of ``x``.

        Raises ValueError where shapes do not fit.
        """
        shape = x.shape
        if len(shape) not in (1, 2) or 0 in shape:
            raise ValueError(f"{name} must be (N, K) or (N,), of samples that are not empty, got shape {shape}")
        n_rows, n_columns = shape if len(shape) == 2 else (*shape, 1)
        if t.shape != shape and not (n_columns == 1 and t.shape in ((n_rows,), (n_rows, 1))):
            raise ValueError(
                f"t of shape {t.shape} does not fit {name} of shape {shape}: both must have the same shape"
            )
        return _check.ready(t, x.dtype).reshape(n_rows, n_columns)

    def _check_values(self, x: np.ndarray) -> None:
        """Raise ValueError for values of ``x`` that a loss of probabilities does not allow."""

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        t = _check.as_real("t", t)
        if t.shape != shape and not (shape[1] == 1 and t.shape == shape[:1]):
            raise ValueError(
                f"t of shape {t.shape} does not fit outputs of shape {shape}: both must have the same shape"
            )
        targets = _check.ready(t, dtype).reshape(shape)
        if self.targets == PROBABILITIES:
            _check_probabilities(targets)
        return targets

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        dx, losses = p.loss_buffers(x.columns)
        kernels = p.function(self.kernel, loss_address), p.function(self.kernel_slope, loss_address)
        in_one_go = p.function(self.kernel_in_one_go, in_one_go_address) if self.kernel_in_one_go else NOTHING
        sizes = p.rows, x.columns, losses
        p.emit(of.ElementLoss(x.address, targets, weights, dx, *sizes, *kernels, in_one_go, float(self.number)))
        return dx


def _check_probabilities(targets: np.ndarray) -> None:
    _check.within("t", targets, 0.0, 1.0, "outside 0..1 (for classes there is SoftmaxWithLoss)")
