"""The hyperbolic tangent as a layer."""

from fastbp._smooth_activation import SmoothActivation
from fastbp.kernels.tanh import tanh_backward, tanh_forward


class Tanh(SmoothActivation):
    """tanh(x) as a layer, for arrays of any shape; the derivative is 1 - out out.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    _kernel_forward = staticmethod(tanh_forward)
    _kernel_backward = staticmethod(tanh_backward)
    _operation = "tanh"
