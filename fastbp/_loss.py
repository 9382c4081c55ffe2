"""What losses share: the weights of samples, and the layer around a loss of real targets."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._layer import Operand
from fastbp._lowering import Lowering
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


class RealTargetLoss:
    """A loss whose targets are real numbers of the shape of ``x``; subclasses name its kind."""

    has_classes = False  # whether targets are classes, of which the highest score is the prediction
    _kind: int  # in kernels.element_losses
    _number: float = 0.0  # the kind's own

    def __init__(self) -> None:
        self.loss: Any = None
        self.y: np.ndarray | None = None
        self.t: np.ndarray | None = None
        self._targets: np.ndarray | None = None  # t and the weights as the kernels took them
        self._weights: np.ndarray | None = None

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
        if x.ndim not in (1, 2) or x.size == 0:
            raise ValueError(f"x must be (N, K) or (N,), of samples that are not empty, got shape {x.shape}")
        self._check_values(x)
        t = _check.as_real("t", t)
        n_rows = x.shape[0]
        if t.shape != x.shape and not (x.size == n_rows and t.shape in ((n_rows,), (n_rows, 1))):
            raise ValueError(f"t of shape {t.shape} does not fit x of shape {x.shape}: both must have the same shape")
        rows = (n_rows, x.size // n_rows)
        targets = _check.ready(t, x.dtype).reshape(rows)
        weights = as_weights(sample_weight, n_rows, x.dtype)
        y, partial = np.empty(x.shape, x.dtype), np.empty(n_rows)
        team = _team.current().address
        arrays = x.reshape(rows), targets, weights, y.reshape(rows), partial
        loss = element_loss_forward(team, self._kind, self._number, *arrays)
        self.t, self._targets, self._weights = t, targets, weights
        self.y, self.loss = _check.of_type(y, dtype), dtype.type(loss)
        return self.loss

    def backward(self, dout: float = 1) -> np.ndarray:
        """Return the gradient of the loss with respect to ``x``, times the number ``dout``, in the dtype of ``y``.

        Raises RuntimeError before the first ``forward``, TypeError unless ``dout`` is a number.
        """
        if self.y is None or self._targets is None or self._weights is None:
            raise _check.not_before_forward(self)
        y, dtype = _check.operand("y", self.y)
        rows = self._targets.shape
        share = y.dtype.type(float(dout) / rows[0])
        dx = np.empty(y.shape, y.dtype)
        team = _team.current().address
        arrays = y.reshape(rows), self._targets, self._weights, share, dx.reshape(rows)
        element_loss_backward(team, self._kind, self._number, *arrays)
        return _check.of_type(dx, dtype)

    def _check_values(self, x: np.ndarray) -> None:
        """Raise ValueError for values of ``x`` that the loss does not allow."""

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """``t`` for outputs of ``shape`` (N, K) as (N, K) of ``dtype``; ValueError where it does not fit."""
        t = _check.as_real("t", t)
        if t.shape != shape and not (shape[1] == 1 and t.shape == shape[:1]):
            raise ValueError(
                f"t of shape {t.shape} does not fit outputs of shape {shape}: both must have the same shape"
            )
        return _check.ready(t, dtype).reshape(shape)

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        """Write the loss and its gradient, whose address is returned."""
        dx, losses = p.loss_buffers(x.columns)
        p.emit(of.ElementLoss(x.address, targets, weights, dx, p.rows, x.columns, losses, self._kind, self._number))
        return dx

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} is no loss of classes: its network has no probabilities")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
