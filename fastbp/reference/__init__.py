"""The book's layers in plain NumPy: the yardstick for tests and benchmarks.

Each class computes what its namesake in "Deep Learning from Scratch", chapter 5, computes, quirks included; what the
book does not have is as in PyTorch.
There are four differences: ``Relu.backward`` leaves its ``dout`` alone, Affine takes a single sample of shape (I,),
``SoftmaxWithLoss`` has an exact form, with its gradient, and rows of targets that are not one-hot are weighed, as their
gradient is, where the book's loss looks at their largest entry. Nothing is checked, compiled or tuned, and dtypes are
what NumPy's promotion makes of the arguments.

Letters in shapes: N samples, I inputs, O outputs, K classes.
"""

from fastbp.basics.gradient import numerical_gradient
from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.reference import activations, functions, images, layers, losses, networks
from fastbp.reference.activations import *  # noqa: F403 (what there is, its module says)
from fastbp.reference.functions import *  # noqa: F403
from fastbp.reference.images import *  # noqa: F403
from fastbp.reference.layers import *  # noqa: F403
from fastbp.reference.losses import *  # noqa: F403
from fastbp.reference.networks import *  # noqa: F403

__all__ = [
    *activations.__all__,
    *functions.__all__,
    *images.__all__,
    *layers.__all__,
    *losses.__all__,
    *networks.__all__,
    "AddLayer",
    "MulLayer",
    "numerical_gradient",
]
