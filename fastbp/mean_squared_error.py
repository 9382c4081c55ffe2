"""The mean squared error as a layer."""

from fastbp._loss import RealTargetLoss
from fastbp.kernels.element_losses import SQUARED


class MeanSquaredError(RealTargetLoss):
    """Mean over all elements of ``(x - t)^2``, as ``torch.nn.MSELoss``.

    The gradient is ``2 (x - t)`` divided by the number of elements. The book's ``sum_squared_error`` (chapter 4) is
    half the sum: this loss times half the number of elements, and ``backward(dout)`` with that number gives its
    gradient, ``x - t``.

    Attributes
    ----------
    loss : the last loss
    y : a copy of the predictions ``x``
    t : the targets as they were given

    All three are None before the first ``forward``.

    >>> layer = MeanSquaredError()
    >>> float(layer.forward([1.0, 2.0], [0, 4]))
    2.5
    """

    _kind = SQUARED
