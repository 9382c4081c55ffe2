"""Layers, a file for each; this is the list of what there is, activations and losses aside.

What a new one needs: its kernel, with its instructions, in ``kernels``, a file here, its name below, and its plain twin
in ``reference``.
"""

from fastbp.layers._layer import Layer
from fastbp.layers.affine import Affine
from fastbp.layers.batch_normalization import BatchNormalization
from fastbp.layers.convolution import Convolution
from fastbp.layers.dropout import Dropout
from fastbp.layers.flatten import Flatten
from fastbp.layers.layer_normalization import LayerNormalization
from fastbp.layers.pooling import AveragePooling, MaxPooling
from fastbp.layers.scale import Scale

CLASSES: tuple[type[Layer], ...] = (Affine, BatchNormalization, Dropout, Flatten, LayerNormalization, Scale)
OF_IMAGES: tuple[type[Layer], ...] = (Convolution, MaxPooling, AveragePooling)

__all__ = [
    "Affine",
    "AveragePooling",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "Flatten",
    "LayerNormalization",
    "MaxPooling",
    "Scale",
]
