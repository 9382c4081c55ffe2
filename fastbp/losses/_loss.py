"""What a loss is: a layer that ends a network, and what networks, files, exports and commands ask of it."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.basics._arguments import shown
from fastbp.basics._attributes import arguments_of, left, remembered
from fastbp.losses._targets import as_targets
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

# What targets are: (N,) labels of classes or (N, K) shares of them; (N, K) in 0..1, how likely each output is 1; or
# (N, K) real numbers.
LABELS, PROBABILITIES, NUMBERS = "labels", "probabilities", "numbers"

NO_WEIGHTS32, NO_WEIGHTS64 = (np.empty(0, dtype) for dtype in _check.FLOATS)


def no_weights(dtype: np.dtype) -> np.ndarray:
    """What kernels take where all samples count the same."""
    return NO_WEIGHTS32 if dtype == _check.FLOAT32 else NO_WEIGHTS64


def as_weights(sample_weight: Any, n_rows: int, dtype: np.dtype) -> np.ndarray:
    """``sample_weight`` in the form that kernels take: (N,) of ``dtype``, without elements for None.

    Raises ValueError unless it holds a finite number of at least 0 for each row.
    """
    if sample_weight is None:
        return no_weights(dtype)
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
    """What a network asks of a loss; a loss is a subclass that says what it is.

    ``forward`` and ``backward`` compute alone, ``lower`` writes the same as instructions of a program.

    Attributes
    ----------
    loss, y, t : the last loss, the outputs that the ``link`` made of scores, and the targets as they were given;
        ``backward`` looks anew at what was set since. All are None before the first ``forward``.
    """

    # By which words networks and the command line know it, each with the arguments that it stands for; and what other
    # libraries call it, which error messages translate.
    names: ClassVar[dict[str, dict[str, Any]]] = {}
    elsewhere: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[str] = NUMBERS
    other_settings: ClassVar[tuple[str, ...]] = ()  # as of a ``Layer``
    link: ClassVar[Any] = None  # the class of the layer that makes outputs of scores; None where they are the same

    remembers: ClassVar[tuple[str, ...]] = ("_last",)
    loss: Any = remembered(0)
    y: np.ndarray | None = remembered(1)
    t: np.ndarray | None = remembered(2)
    _last: tuple[Any, ...] = left((None, None, None, None, None))  # and the weights of the samples, and ``_taken``

    def forward(self, x: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        raise NotImplementedError

    def backward(self, dout: float = 1) -> np.ndarray:
        raise NotImplementedError

    def as_targets(self, t: ArrayLike, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """``t`` for scores of ``shape`` (N, K) in the form that kernels take; ValueError where it does not fit."""
        raise NotImplementedError

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        """Write the loss and its gradient with respect to ``x``, whose address is returned."""
        raise NotImplementedError

    def exact(self) -> "Loss":
        """The loss that ``backward`` gives the exact gradient of: itself, where a subclass does not say another."""
        return self

    def smoothed(self, label_smoothing: float) -> "Loss | None":
        """The same with so large a part of each target spread over all classes; None where targets are no classes."""
        return None

    @property
    def is_of_classes(self) -> bool:
        """Whether it is about classes, and makes probabilities of scores."""
        return self.targets != NUMBERS

    def must_be_of_classes(self, what: str) -> None:
        """TypeError where it is about numbers, for which there is no ``what``."""
        if not self.is_of_classes:
            raise TypeError(
                f"{type(self).__name__} is a loss of numbers, not of classes: its network has no {what} "
                f"(loss(x, t) says how far predict(x) is from t)"
            )

    def n_classes(self, n_outputs: int) -> int:
        """The number of classes: one for each output, but two, 0 and 1, for one that is a probability. 0 of numbers."""
        if not self.is_of_classes:
            return 0
        return 2 if self._is_binary(n_outputs) else n_outputs

    def _is_binary(self, n_outputs: int) -> bool:
        return n_outputs == 1 and self.targets == PROBABILITIES

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """The probabilities that the loss makes of ``scores``; TypeError for a loss of numbers."""
        self.must_be_of_classes("probabilities")
        return scores if self.link is None else self.link().forward(scores)

    def found(self, scores: np.ndarray) -> np.ndarray:
        """(N,) the class that each row of ``scores`` (N, K) says: the highest; of one probability, 1 above a half."""
        if self._is_binary(scores.shape[1]):
            return (self.probabilities(scores)[:, 0] > 0.5).astype(np.intp)
        return np.argmax(scores, axis=1)

    def labels_in(self, targets: np.ndarray) -> np.ndarray | None:
        """(N,) the classes that ``targets``, in the form of ``as_targets``, name; None unless it is one a row."""
        if targets.ndim == 1:
            return targets
        if self.targets == LABELS:
            return np.argmax(targets, axis=1)
        if not self.is_of_classes:
            return None
        if self._is_binary(targets.shape[1]):
            return targets[:, 0].astype(np.intp) if np.isin(targets, (0, 1)).all() else None
        return np.argmax(targets, axis=1) if (_named(targets) == 1).all() else None

    def as_labels(self, t: Any, shape: tuple[int, int]) -> np.ndarray:
        """(N,) the classes that ``t`` names for scores of ``shape`` (N, K): labels (N,) or (N, 1), or rows (N, K).

        Raises ValueError where ``t`` does not fit or does not name one class a row, TypeError for what is no array of
        real numbers.
        """
        t = _check.as_real("t", t)
        binary = self._is_binary(shape[1])
        if binary:
            targets = self.as_targets(t, shape, _check.FLOAT64)
        else:
            column = t.shape == (shape[0], 1) != shape
            targets = as_targets(t[:, 0] if column else t, "the scores", shape, _check.FLOAT64)
        labels = self.labels_in(targets)
        if labels is not None:
            return labels
        if binary:
            n = int(np.argmin(np.isin(targets, (0, 1))))
            raise ValueError(f"t[{n}] is {t.reshape(-1)[n]}, neither 0 nor 1")
        n = int(np.argmax(_named(targets) != 1))
        raise ValueError(f"t[{n}] names {_named(targets)[n]} classes, and accuracy is of one class a row")

    def _remember(
        self, loss: Any, y: np.ndarray, t: np.ndarray, sample_weight: Any, kind: np.dtype, arrays: tuple
    ) -> None:
        """Keep a forward: what is public, and of it the ``arrays`` that kernels took, which computed in ``kind``."""
        self._last = loss, y, t, sample_weight, (y, t, y.shape, kind, arrays)

    def recall(self, x: np.ndarray, t: Any, targets: np.ndarray, loss: Any) -> None:
        """Leave what a ``forward`` of ``x`` and ``t`` left, which was the work of a program.

        That took ``targets`` for ``t``, into which somebody may have written since, and came to this ``loss``.
        """
        self.forward(x, targets)
        y: Any = self.y
        self._remember(loss, y, _check.as_real("t", t), None, y.dtype, (targets, no_weights(y.dtype)))

    @staticmethod
    def _as_taken(last: tuple[Any, ...]) -> Any:
        """Targets and weights as the kernels took them, None where y or t is another than at the last forward.

        Whether they still have the same shapes the kernel sees.
        """
        _, y, t, _, taken = last
        return taken[4] if taken is not None and y is taken[0] and t is taken[1] else None

    @staticmethod
    def _taken(last: tuple[Any, ...], y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Targets and weights as the kernels took them, None where y or t is no longer that of the forward.

        ``y`` is that of ``last``, ready for a kernel. Its shape may have been set, too.
        """
        _, given, t, _, taken = last
        if taken is None or given is not taken[0] or t is not taken[1] or y.shape != taken[2] or y.dtype != taken[3]:
            return None
        return taken[4]

    def __repr__(self) -> str:
        arguments = (f"{name}={getattr(self, name):g}" for name in arguments_of(type(self)))
        return f"{type(self).__name__}({', '.join(arguments)})"


def _named(targets: np.ndarray) -> np.ndarray:
    """(N,) how many classes each row of (N, K) names."""
    return np.count_nonzero(targets, axis=1)
