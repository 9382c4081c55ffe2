"""The book's ``common/multi_layer_net_extend.py``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.basics._arguments import flag, real
from fastbp.book.layers import BatchNormalization, Dropout
from fastbp.book.multi_layer_net import MultiLayerNet

__all__ = ["MultiLayerNetExtend"]


class MultiLayerNetExtend(MultiLayerNet):
    """A ``MultiLayerNet`` with dropout and batch normalisation, where asked for.

    Parameters
    ----------
    input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda, dtype
        As for ``MultiLayerNet``.
    use_dropout : bool
        Whether each activation is followed by the layer ``Dropout1``, ...
    dropout_ration : float in 0..1
        Probability to drop an element, under the book's name for it.
    use_batchnorm : bool
        Whether each activation is preceded by the layer ``BatchNorm1``, ..., with the parameters ``gamma1``, ``beta1``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: Sequence[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: str | float = "relu",
        weight_decay_lambda: float = 0,
        use_dropout: bool = False,
        dropout_ration: float = 0.5,
        use_batchnorm: bool = False,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.use_dropout, self.use_batchnorm = flag("use_dropout", use_dropout), flag("use_batchnorm", use_batchnorm)
        self.dropout_ration = real("dropout_ration", dropout_ration, 0, 1)
        sizes = input_size, hidden_size_list, output_size
        super().__init__(*sizes, activation, weight_init_std, weight_decay_lambda, dtype=dtype)

    def _between(self, n: int) -> Iterator[tuple[str, Any]]:
        if self.use_batchnorm:
            size = self.hidden_size_list[n - 1]
            gamma, beta = np.ones(size, self.dtype), np.zeros(size, self.dtype)
            self.params[f"gamma{n}"], self.params[f"beta{n}"] = gamma, beta
            yield f"BatchNorm{n}", BatchNormalization(gamma, beta)
        yield from super()._between(n)
        if self.use_dropout:
            yield f"Dropout{n}", Dropout(self.dropout_ration)

    def predict(self, x: ArrayLike, train_flg: bool = False) -> np.ndarray:
        """Return the scores (N, K) of samples ``x`` (N, ...), before the softmax, of a training pass or not."""
        return self._scores(x, train_flg)

    def loss(self, x: ArrayLike, t: ArrayLike, train_flg: bool = False) -> float:
        """As that of ``MultiLayerNet``; of a training pass if ``train_flg``."""
        return self.last_layer.forward(self.predict(x, train_flg), t) + self._penalty()

    def _loss_in_training(self, x: ArrayLike, t: ArrayLike) -> float:
        return self.loss(x, t, train_flg=True)

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the training loss by each of ``params``, by backpropagation."""
        grads = super().gradient(x, t)
        for n in range(1, self.hidden_layer_num + 1) if self.use_batchnorm else ():
            layer = self.layers[f"BatchNorm{n}"]
            grads[f"gamma{n}"], grads[f"beta{n}"] = layer.dgamma, layer.dbeta
        return grads
