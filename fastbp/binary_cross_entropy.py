"""Binary cross-entropy of probabilities as a layer."""

import numpy as np

from fastbp import _check
from fastbp._loss import RealTargetLoss
from fastbp.kernels.element_losses import BINARY


class BinaryCrossEntropy(RealTargetLoss):
    """Mean over all elements of ``-(t log(x) + (1 - t) log(1 - x))``, for probabilities ``x`` and ``t`` in 0..1.

    As ``torch.nn.BCELoss``: a logarithm counts as -100 where it is less, and the gradient, ``(x - t) / (x (1 - x))``
    divided by the number of elements, takes x (1 - x) as 1e-12 where it is less. To follow a ``Sigmoid``,
    ``SigmoidWithLoss`` in place of both is faster, and exact where this is not.

    Attributes
    ----------
    loss : the last loss, in nats
    y : a copy of the probabilities
    t : the targets as they were given

    All three are None before the first ``forward``.

    >>> layer = BinaryCrossEntropy()
    >>> round(float(layer.forward([0.25, 0.5], [0, 1])), 6)
    0.490415
    """

    _kind = BINARY
    _of_probabilities = True

    def _check_values(self, x: np.ndarray) -> None:
        _check.within("x", x, 0.0, 1.0, "outside 0..1 (for scores there is SigmoidWithLoss)")

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """The scores themselves: this loss takes probabilities."""
        return scores
