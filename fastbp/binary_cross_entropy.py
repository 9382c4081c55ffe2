"""Binary cross-entropy of probabilities as a layer."""

import numpy as np

from fastbp._loss import RealTargetLoss
from fastbp.kernels.element_losses import BINARY


class BinaryCrossEntropy(RealTargetLoss):
    """Mean over all elements of ``-(t log(x) + (1 - t) log(1 - x))``, for probabilities ``x`` in 0..1.

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

    def _check_values(self, x: np.ndarray) -> None:
        if x.min() >= 0 and x.max() <= 1:
            return
        wrong = (x < 0) | (x > 1)
        if wrong.any():  # else it is NaN, which propagates
            index = np.unravel_index(int(np.argmax(wrong)), x.shape)
            where = ", ".join(map(str, index))
            raise ValueError(f"x[{where}] is {x[index]}, outside 0..1 (for scores there is SigmoidWithLoss)")

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """The scores themselves: this loss takes probabilities."""
        return scores
