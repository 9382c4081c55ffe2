"""fastbp: networks, one or many at once, kernels, and the rest of what users call: a file each of one peer's jobs."""

from . import faces, kernels, many, networks
from .forms import PEER

__all__ = ["PEER", "faces", "kernels", "many", "networks"]
