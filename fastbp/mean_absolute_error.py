"""The mean absolute error as a layer."""

from fastbp._loss import RealTargetLoss
from fastbp.kernels.element_losses import ABSOLUTE


class MeanAbsoluteError(RealTargetLoss):
    """The mean over all elements of ``|x - t|``, whose derivative at 0 is 0; as PyTorch's L1Loss.

    Attributes
    ----------
    loss : the last loss
    y : a copy of ``x``
    t : the targets as they were given

    All three are None before the first ``forward``.
    """

    _kind = ABSOLUTE
