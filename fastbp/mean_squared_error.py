"""The mean squared error as a layer."""

from fastbp._loss import RealTargetLoss
from fastbp.kernels.mean_squared_error import mean_squared_error_backward, mean_squared_error_forward


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

    _operation = "mean_squared_error_loss"
    _kernel_forward = staticmethod(mean_squared_error_forward)
    _kernel_backward = staticmethod(mean_squared_error_backward)
