"""fastbp: the layers of "Deep Learning from Scratch" on compiled kernels."""

from pathlib import Path as _Path

# Installed, the kernels are fastbp.kernels; in a bare checkout they sit in ../kernels.
if not _Path(__file__).with_name("kernels").is_dir():
    __path__.append(str(_Path(__file__).resolve().parents[1]))

from fastbp import activations, datasets, layers, losses, optimizers, schedules
from fastbp._from_torch import from_torch
from fastbp._load import Checkpoint, load, load_checkpoint
from fastbp._mlp import mlp
from fastbp.activations import *  # noqa: F403 (one list of what there is)
from fastbp.basics._team import get_num_threads, set_num_threads
from fastbp.basics.gradient import numerical_gradient
from fastbp.files.model_file import ModelFileError
from fastbp.functions import cross_entropy_error, relu, sigmoid, softmax
from fastbp.layers import *  # noqa: F403
from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.layers.softmax import Softmax
from fastbp.losses import *  # noqa: F403
from fastbp.sequential import Sequential
from fastbp.tables import TableModel
from fastbp.training.history import History, TrainingState
from fastbp.two_layer_net import TwoLayerNet
from fastbp.views.plots import plot_confusion, plot_weights

__version__ = "0.1.0"  # which nothing else says: pyproject.toml, the pages and the command line read it here

__all__ = [
    *activations.__all__,
    *layers.__all__,
    *losses.__all__,
    "AddLayer",
    "Checkpoint",
    "History",
    "ModelFileError",
    "MulLayer",
    "Sequential",
    "Softmax",
    "TableModel",
    "TrainingState",
    "TwoLayerNet",
    "cross_entropy_error",
    "datasets",
    "from_torch",
    "get_num_threads",
    "load",
    "load_checkpoint",
    "mlp",
    "numerical_gradient",
    "optimizers",
    "plot_confusion",
    "plot_weights",
    "relu",
    "schedules",
    "set_num_threads",
    "sigmoid",
    "softmax",
]
