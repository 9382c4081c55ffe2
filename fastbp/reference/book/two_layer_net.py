"""The network of chapter 5."""

from fastbp.reference.networks import TwoLayerNet

__all__ = ["TwoLayerNet"]
