"""What losses share: what they remember, the weights of samples, and the layer around a loss of real targets."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._arguments import shown
from fastbp._attributes import remembered
from fastbp._lowering import Lowering
from fastbp._operand import Operand
from fastbp.kernels import instructions as of
from fastbp.kernels.element_losses import element_loss_backward, element_loss_forward

NO_WEIGHTS32, NO_WEIGHTS64 = (np.empty(0, dtype) for dtype in _check.FLOATS)


def as_weights(sample_weight: Any, n_rows: int, dtype: np.dtype) -> np.ndarray:
    """``sample_weight`` in the form that kernels take: (N,) of ``dtype``, without elements for None.

    Raises ValueError unless it holds a finite number of at least 0 for each row.
    """
    if sample_weight is None:
        return NO_WEIGHTS32 if dtype == _check.FLOAT32 else NO_WEIGHTS64
    weights = _check.as_real("sample_weight", sample_weight)
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must hold one number for each of the {n_rows} samples, got shape {weights.shape}"
        )
    with np.errstate(over="ignore"):
        taken = _check.ready(weights, dtype)
    wrong = ~((taken >= 0) & (taken < np.inf))
    if wrong.any():
        n = int(np.argmax(wrong))
        raise ValueError(f"sample_weight[{n}] is {weights[n]}, not a finite number of at least 0")
    return taken


def as_factor(dout: Any) -> float:
    """``dout``, the gradient of what follows with respect to a loss; TypeError unless it is a number."""
    try:
        return float(dout)
    except (TypeError, ValueError):
        raise TypeError(f"dout must be a number, got {shown(dout)}") from None


def as_loss(mean: float, dtype: np.dtype) -> Any:
    """``mean`` as a number of ``dtype``: infinity where that does not reach."""
    if mean < 1e4:  # which every type has
        return dtype.type(mean)
    with np.errstate(over="ignore"):
        return dtype.type(mean)


class Loss:
    """What a loss remembers of its last forward: ``backward`` looks anew at what was set since."""

    loss: Any = remembered(0)
    y: np.ndarray | None = remembered(1)
    t: np.ndarray | None = remembered(2)
    _last: tuple[Any, ...] = (None, None, None, None, None)  # and the weights of the samples, and ``_taken``

    def _remember(
        self, loss: Any, y: np.ndarray, t: np.ndarray, sample_weight: Any, kind: np.dtype, arrays: tuple
    ) -> None:
        """Keep a forward: what is public, and of it the ``arrays`` that kernels took, which computed in ``kind``."""
        self._last = loss, y, t, sample_weight, (y, t, y.shape, kind, arrays)

    @staticmethod
    def _taken(last: tuple[Any, ...], y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Targets and weights as the kernels took them, None where y or t is no longer that of the forward.

        ``y`` is that of ``last``, ready for a kernel. Its shape may have been set, too.
        """
        _, given, t, _, taken = last
        if taken is None or given is not taken[0] or t is not taken[1] or y.shape != taken[2] or y.dtype != taken[3]:
            return None
        return taken[4]


class RealTargetLoss(Loss):
    """A loss whose targets are real numbers of the shape of ``x``; subclasses name its kind."""

    has_classes = False  # whether targets are classes, of which the highest score is the prediction
    _kind: int  # in kernels.element_losses
    _number: float = 0.0  # the kind's own
    _of_probabilities = False  # whether targets must be in 0..1

    def forward(self, x: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the loss of ``x`` against ``t``.

        Parameters
        ----------
        x : (N, K), or (N,) of one number a sample
        t : real numbers of the shape of ``x``; (N,) and (N, 1) go together
        sample_weight : (N,) finite numbers of at least 0
            Each sample's loss is multiplied with its own. The sum is divided by N all the same.

        Returns
        -------
        loss : number of the dtype of ``y``, which is that of ``x`` and float64 for integers

        Raises ValueError for shapes that do not fit, no samples, and weights that are negative or not finite; TypeError
        for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        t = _check.as_real("t", t)
        targets = self._targets_for("x", x, t)
        self._check_values(x)
        self._check_targets(targets)
        rows = targets.shape
        weights = as_weights(sample_weight, rows[0], x.dtype)
        y, partial = np.empty(x.shape, x.dtype), np.empty(rows[0])
        # x, t and the weights are this call's own views or copies, y and partial are new: all stay until it returns.
        team = _team.current().address
        arrays = x.reshape(rows), targets, weights, y.reshape(rows), partial
        loss = as_loss(element_loss_forward(team, self._kind, self._number, *arrays), dtype)
        self._remember(loss, _check.of_type(y, dtype), t, sample_weight, y.dtype, (targets, weights))
        return loss

    def backward(self, dout: float = 1) -> np.ndarray:
        """Return the gradient of the loss with respect to ``x``, times the number ``dout``, in the dtype of ``y``.

        ``y`` and ``t`` are taken as they are now, set since ``forward`` or not.

        Raises RuntimeError before the first ``forward``, TypeError unless ``dout`` is a number, and for what was set
        ValueError and TypeError as ``forward`` does.
        """
        _, given, t, sample_weight, _ = last = self._last
        if given is None or t is None:
            raise _check.not_before_forward(self)
        y, dtype = _check.operand("y", given)
        taken = self._taken(last, y)
        targets = taken[0] if taken else self._targets_for("y", y, _check.as_real("t", t))
        rows = targets.shape
        weights = taken[1] if taken else as_weights(sample_weight, rows[0], y.dtype)
        share = y.dtype.type(as_factor(dout) / rows[0])
        dx = np.empty(y.shape, y.dtype)
        # y, t and the weights are this call's own views or copies, dx is new: all stay until it returns.
        team = _team.current().address
        arrays = y.reshape(rows), targets, weights, share, dx.reshape(rows)
        element_loss_backward(team, self._kind, self._number, *arrays)
        return _check.of_type(dx, dtype)

    def _targets_for(self, name: str, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """``t`` beside ``x``, which messages call ``name``, as (N, K) of the type of ``x``.

        Raises ValueError where shapes do not fit.
        """
        if x.ndim not in (1, 2) or x.size == 0:
            raise ValueError(f"{name} must be (N, K) or (N,), of samples that are not empty, got shape {x.shape}")
        n_rows = x.shape[0]
        if t.shape != x.shape and not (x.size == n_rows and t.shape in ((n_rows,), (n_rows, 1))):
            raise ValueError(
                f"t of shape {t.shape} does not fit {name} of shape {x.shape}: both must have the same shape"
            )
        return _check.ready(t, x.dtype).reshape(n_rows, x.size // n_rows)

    def _check_values(self, x: np.ndarray) -> None:
        """Raise ValueError for values of ``x`` that the loss does not allow."""

    def _check_targets(self, targets: np.ndarray) -> None:
        """Raise ValueError for values of targets that the loss does not allow."""
        if self._of_probabilities:
            _check.within("t", targets, 0.0, 1.0, "outside 0..1 (for classes there is SoftmaxWithLoss)")

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """``t`` for outputs of ``shape`` (N, K) as (N, K) of ``dtype``; ValueError where it does not fit."""
        t = _check.as_real("t", t)
        if t.shape != shape and not (shape[1] == 1 and t.shape == shape[:1]):
            raise ValueError(
                f"t of shape {t.shape} does not fit outputs of shape {shape}: both must have the same shape"
            )
        targets = _check.ready(t, dtype).reshape(shape)
        self._check_targets(targets)
        return targets

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        """Write the loss and its gradient, whose address is returned."""
        dx, losses = p.loss_buffers(x.columns)
        p.emit(of.ElementLoss(x.address, targets, weights, dx, p.rows, x.columns, losses, self._kind, self._number))
        return dx

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} is no loss of classes: its network has no probabilities")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
