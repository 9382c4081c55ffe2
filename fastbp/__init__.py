"""fastbp: the layers of "Deep Learning from Scratch" on compiled kernels."""

from pathlib import Path as _Path

# Installed, the kernels are fastbp.kernels; in a bare checkout they sit in ../kernels.
if not _Path(__file__).with_name("kernels").is_dir():
    __path__.append(str(_Path(__file__).resolve().parents[1]))

from fastbp._team import get_num_threads, set_num_threads
from fastbp.affine import Affine
from fastbp.arithmetic import AddLayer, MulLayer
from fastbp.functions import cross_entropy_error, relu, sigmoid, softmax
from fastbp.gradient import numerical_gradient
from fastbp.relu import Relu
from fastbp.sigmoid import Sigmoid
from fastbp.softmax import Softmax
from fastbp.softmax_with_loss import SoftmaxWithLoss
from fastbp.two_layer_net import TwoLayerNet

__version__ = "0.1.0"

__all__ = [
    "AddLayer",
    "Affine",
    "MulLayer",
    "Relu",
    "Sigmoid",
    "Softmax",
    "SoftmaxWithLoss",
    "TwoLayerNet",
    "cross_entropy_error",
    "get_num_threads",
    "numerical_gradient",
    "relu",
    "set_num_threads",
    "sigmoid",
    "softmax",
]
