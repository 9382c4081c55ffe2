"""The logistic function and binary cross-entropy as one layer."""

import numpy as np

from fastbp._loss import RealTargetLoss
from fastbp.activations import Sigmoid
from fastbp.kernels.element_losses import OF_SCORES


class SigmoidWithLoss(RealTargetLoss):
    """Sigmoid and mean binary cross-entropy as one layer, for scores ``x`` of any size.

    The loss is the mean over all elements of ``max(x, 0) - x t + log(1 + exp(-|x|))``, which is
    ``-(t log(y) + (1 - t) log(1 - y))`` for ``y = 1 / (1 + exp(-x))`` without its rounding; as
    ``torch.nn.BCEWithLogitsLoss``. The gradient is ``y - t`` divided by the number of elements. Targets are in 0..1.

    Attributes
    ----------
    loss : the last loss, in nats
    y : the probabilities, of the shape of ``x``
    t : the targets as they were given

    All three are None before the first ``forward``.

    >>> layer = SigmoidWithLoss()
    >>> round(float(layer.forward([0.0, -1000.0], [1, 0])), 6)
    0.346574
    """

    _kind = OF_SCORES
    _of_probabilities = True

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """1 / (1 + exp(-scores))."""
        return Sigmoid().forward(scores)
