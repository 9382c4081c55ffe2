"""fastbp: the layers of "Deep Learning from Scratch" on compiled kernels."""

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING

# Installed, the kernels are fastbp.kernels; in a bare checkout they sit in ../kernels.
if not _Path(__file__).with_name("kernels").is_dir():
    __path__.append(str(_Path(__file__).resolve().parents[1]))

from fastbp import activations, layers, losses, optimizers, schedules
from fastbp._convnet import convnet
from fastbp._load import Checkpoint, load, load_checkpoint
from fastbp._mlp import mlp
from fastbp.activations import *  # noqa: F403 (one list of what there is)
from fastbp.basics._team import get_num_threads, set_num_threads
from fastbp.basics.gradient import numerical_gradient
from fastbp.ensemble import Ensemble
from fastbp.files.model_file import ModelFileError
from fastbp.functions import cross_entropy_error, relu, sigmoid, softmax
from fastbp.layers import *  # noqa: F403
from fastbp.layers._layer import Layer
from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.layers.softmax import Softmax
from fastbp.losses import *  # noqa: F403
from fastbp.sequential import Sequential
from fastbp.training.fit_groups import Groups, fit_groups
from fastbp.training.fit_many import fit_many
from fastbp.training.history import History, TrainingState
from fastbp.two_layer_net import TwoLayerNet
from fastbp.views.plots import plot_confusion, plot_weights

if _TYPE_CHECKING:
    from fastbp import datasets, tables
    from fastbp._from_torch import from_torch
    from fastbp._show_config import show_config
    from fastbp.tables import TableModel

__version__ = "0.1.0"  # which nothing else says: pyproject.toml, the pages and the command line read it here

__all__ = [
    *activations.__all__,
    *layers.__all__,
    *losses.__all__,
    "AddLayer",
    "Checkpoint",
    "Ensemble",
    "Groups",
    "History",
    "Layer",
    "ModelFileError",
    "MulLayer",
    "Sequential",
    "Softmax",
    "TableModel",
    "TrainingState",
    "TwoLayerNet",
    "convnet",
    "cross_entropy_error",
    "datasets",
    "fit_groups",
    "fit_many",
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
    "show_config",
    "sigmoid",
    "softmax",
    "tables",
]

# What most programs do without, imported when it is first asked for: names, and the modules that have them.
_LATER = {
    "TableModel": "fastbp.tables",
    "datasets": "fastbp.datasets",
    "from_torch": "fastbp._from_torch",
    "show_config": "fastbp._show_config",
    "tables": "fastbp.tables",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'fastbp' has no attribute {name!r}")
    module = _import_module(_LATER[name])
    globals()[name] = found = getattr(module, name, module)
    return found


def __dir__() -> list[str]:
    return sorted(globals().keys() | _LATER)
