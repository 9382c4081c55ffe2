"""What the book's networks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.basics._arguments import float_type
from fastbp.basics._check import as_array
from fastbp.basics.gradient import numerical_gradient
from fastbp.book._passes import Passes
from fastbp.book.layers import SoftmaxWithLoss
from fastbp.layers._layer import propagate


class BookNetwork:
    """Layers that share their arrays with ``params``, and the loss behind them.

    Attributes
    ----------
    params : dict of arrays, which the layers share
    layers : OrderedDict or list, in their order
    last_layer : SoftmaxWithLoss
    dtype : of the parameters as they are drawn
    """

    layers: Any
    _passes: Passes | None = None

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = float_type("dtype", dtype)
        self.params: dict[str, np.ndarray] = {}
        self.last_layer = SoftmaxWithLoss()

    def _draw(self, n: int, scale: float, shape: Sequence[int], outputs: int) -> tuple[np.ndarray, np.ndarray]:
        """The weights and the bias number ``n``, which are put into ``params``: drawn from ``np.random``, and zeros."""
        W = (scale * np.random.randn(*shape)).astype(self.dtype, copy=False)
        self.params[f"W{n}"], self.params[f"b{n}"] = W, np.zeros(outputs, self.dtype)
        return W, self.params[f"b{n}"]

    def _in_order(self) -> list[Any]:
        return list(self.layers.values()) if isinstance(self.layers, Mapping) else self.layers

    def _scores(self, x: ArrayLike, train_flg: bool) -> np.ndarray:
        """What ``predict`` returns, where the layers that depend on it are told whether this is a training pass."""
        scores: Any = x
        for layer in self._in_order():
            told = getattr(layer, "takes_train_flg", False)  # anything with a forward may stand here, as in the book
            scores = layer.forward(scores, train_flg) if told else layer.forward(scores)
        return scores

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of samples ``x`` (N, ...), before the softmax."""
        scores: Any = x
        for layer in self._in_order():
            scores = layer.forward(scores)
        return scores

    def loss(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the mean loss of samples ``x`` with labels or one-hot rows ``t``."""
        loss = self._by_program(x, t, back=False)
        return self.last_layer.forward(self.predict(x), t) if loss is None else loss

    def _loss_in_training(self, x: ArrayLike, t: ArrayLike) -> float:
        return self.loss(x, t)

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of samples whose highest score is that of their label ``t``, (N,) or one-hot (N, K).

        Raises
        ------
        ValueError
            Unless there is a target for each sample.
        """
        found, t = np.argmax(self.predict(x), axis=1), as_array("t", t)
        labels = t if t.ndim == 1 else np.argmax(t, axis=1)
        if labels.shape != found.shape:
            raise ValueError(f"t must hold a target for each of the {len(found)} samples in x, got shape {t.shape}")
        return np.sum(found == labels) / len(found)

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the training loss by each of ``params``, by central differences: slow.

        Whatever layers draw from ``np.random`` is drawn alike each time, as ``gradient`` would draw it now.
        """
        state = np.random.get_state()

        def loss(_: np.ndarray) -> float:
            np.random.set_state(state)
            return self._loss_in_training(x, t)

        return {name: numerical_gradient(loss, p) for name, p in self.params.items()}

    def _propagate(self, x: ArrayLike, t: ArrayLike) -> None:
        """Leave in each layer the gradient of the training loss: by a program where all is as it was made here."""
        if self._by_program(x, t, back=True) is None:
            self._loss_in_training(x, t)
            propagate(self._in_order(), self.last_layer.backward())

    def _by_program(self, x: ArrayLike, t: ArrayLike, *, back: bool) -> Any:
        """The loss of a training pass by a program; None where there is none, or methods are not those of here."""
        methods = (self.predict, self._scores, self.loss, self._loss_in_training)[: 4 if back else 2]
        if not all(getattr(method, "__module__", "").startswith("fastbp.book.") for method in methods):
            return None
        if self._passes is None:
            self._passes = Passes()
        return self._passes.run(self._in_order(), self.last_layer, x, t, back=back)

    def __getstate__(self) -> dict[str, Any]:
        for part in (*self._in_order(), self.last_layer):  # which a copy of them could not recall any more
            for name in getattr(part, "remembers", ()):
                getattr(part, name, None)
        return {name: value for name, value in vars(self).items() if name != "_passes"}  # with addresses and locks
