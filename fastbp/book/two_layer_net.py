"""The book's ``ch05/two_layer_net.py``, of layers. What chapter 4 has under this name is written with functions."""

from fastbp.two_layer_net import TwoLayerNet

__all__ = ["TwoLayerNet"]
