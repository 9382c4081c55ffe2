"""What the book's two networks of convolutions have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics._arguments import integer, shown
from fastbp.basics._check import as_array
from fastbp.book import weights
from fastbp.book._network import BookNetwork
from fastbp.book.util import places
from fastbp.files._files import write_whole

POOL = 2  # pixels, each way, of which one is left


class ConvParam(NamedTuple):
    """What the book's ``conv_param`` says: a dict with these names."""

    filter_num: int
    filter_size: int
    pad: int
    stride: int

    @classmethod
    def of(cls, name: str, given: Any) -> ConvParam:
        """``given``, checked; TypeError and ValueError say what is wrong with the argument ``name``."""
        if not isinstance(given, Mapping) or set(given) != set(cls._fields):
            raise TypeError(f"{name} must be a dict of {', '.join(cls._fields)}, got {shown(given)}")
        return cls(*(integer(f"{field} of {name}", given[field], 0 if field == "pad" else 1) for field in cls._fields))

    def filtered(self, image: Sequence[int]) -> tuple[int, int, int]:
        """Of images (C, H, W), the shape of what comes out of the convolution."""
        height, width = (places("filter_size", size, self.filter_size, self.stride, self.pad) for size in image[1:])
        return self.filter_num, height, width


def pooled(image: Sequence[int]) -> tuple[int, int, int]:
    """Of images (C, H, W), the shape of what comes out of the pooling."""
    channels, height, width = image
    return channels, places("pool_h", height, POOL, POOL, 0), places("pool_w", width, POOL, POOL, 0)


def shape_of_images(input_dim: Any) -> tuple[int, int, int]:
    """``input_dim``, checked: channels, height and width."""
    if not isinstance(input_dim, Sequence) or len(input_dim) != 3:
        raise TypeError(f"input_dim must be channels, height and width of images, got {shown(input_dim)}")
    channels, height, width = (integer("input_dim", size, 1) for size in input_dim)
    return channels, height, width


class ConvNet(BookNetwork):
    """A network of convolutions, whose accuracy is taken in batches, and whose weights go into files."""

    def accuracy(self, x: ArrayLike, t: ArrayLike, batch_size: int = 100) -> float:
        """Return the share of samples whose highest score is that of their label ``t``, (N,) or one-hot (N, K).

        ``batch_size`` samples are predicted at a time. (The book leaves out what is left of the last batch, but divides
        by all.)

        Raises
        ------
        ValueError
            Unless there is a target for each sample.
        """
        x, t, size = as_array("x", x), as_array("t", t), integer("batch_size", batch_size, 1)
        if x.ndim == 0 or t.ndim == 0 or len(x) != len(t):
            raise ValueError(f"t must hold a target for each of the samples in x, got shapes {t.shape} and {x.shape}")
        batches = [slice(begin, begin + size) for begin in range(0, len(x), size)]
        return sum(super(ConvNet, self).accuracy(x[some], t[some]) * len(t[some]) for some in batches) / len(x)

    def _with_weights(self) -> Iterator[tuple[int, Any]]:
        """The layers that have weights, and their numbers."""
        return enumerate([layer for layer in self._in_order() if "W" in getattr(layer, "parameters", ())], 1)

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the training loss by each of ``params``, by backpropagation."""
        self._propagate(x, t)
        grads = {}
        for n, layer in self._with_weights():
            grads[f"W{n}"], grads[f"b{n}"] = layer.dW, layer.db
        return grads

    def save_params(self, file_name: str | os.PathLike = "params.pkl") -> None:
        """Write ``params`` into a file, so that ``load_params``, and the book's, read it."""
        content = BytesIO()
        weights.dump(self.params, content)
        write_whole(file_name, content.getbuffer())

    def load_params(self, file_name: str | os.PathLike = "params.pkl") -> None:
        """Take ``params`` from a file of ``save_params``, or of the book's, in which nothing is run.

        Raises
        ------
        ValueError
            Where other things are in the file, or arrays of other names or shapes; nothing has changed then.
        """
        with open(file_name, "rb") as file:
            found = weights.load(file)
        own, other = ({name: np.shape(p) for name, p in params.items()} for params in (self.params, found))
        if own != other:
            raise ValueError(f"{os.fspath(file_name)} must hold arrays {_listed(own)}, got {_listed(other)}")
        self.params.update(found)
        for n, layer in self._with_weights():
            layer.W, layer.b = self.params[f"W{n}"], self.params[f"b{n}"]


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
