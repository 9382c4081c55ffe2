"""The network with dropout and batch normalisation."""

from fastbp.reference.book.multi_layer_net import MultiLayerNet

__all__ = ["MultiLayerNetExtend"]


class MultiLayerNetExtend(MultiLayerNet):
    """Under its own name."""
