"""The logistic function as a layer."""

from fastbp._smooth_activation import SmoothActivation
from fastbp.kernels.gemm import SIGMOID
from fastbp.kernels.sigmoid import sigmoid_backward, sigmoid_forward


class Sigmoid(SmoothActivation):
    """1 / (1 + exp(-x)) as a layer, for arrays of any shape; the derivative is (1 - out) out.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    in_product = SIGMOID  # what the matrix product before can apply to its result at once
    _kernel_forward = staticmethod(sigmoid_forward)
    _kernel_backward = staticmethod(sigmoid_backward)
    _operation = "sigmoid"
