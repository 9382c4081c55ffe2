"""The book's own layers, which are those of ``fastbp.reference``: float32 images, float64 weights."""

from typing import Any

import fastbp.reference.book
from fastbp import reference

from .. import book_layers
from ..bench_book import book_loop
from ..bench_book_networks import steps
from ..bench_layers import prepared
from ..networks import Perceptron
from ..row import Unsuitable, Work
from ._peer import Peer

PEER = Peer("book", module="numpy", package="numpy", is_own=True)
FLOAT64 = PEER.form("book", "#56B4E9", "s")
FLOAT32 = PEER.form("book float32", "#332288", "d", quick=False)


@FLOAT64.does("book")
def training(steps: int) -> Work:
    return book_loop(reference, "float64", steps)


@FLOAT32.does("book")
def training_in_float32(steps: int) -> Work:
    return book_loop(reference, "float32", steps)


@FLOAT64.does("layer", "call")
def layer(*arguments: Any) -> Work:
    call = prepared(book_layers, *arguments)
    return Work(call, call)


@FLOAT64.does("book step")
def step(name: str, dtype: str) -> Work:
    """Of the plain twins of ``fastbp.book``."""
    return steps(fastbp.reference.book, name, dtype)


@FLOAT64.does("predict")
def predict(network: Perceptron) -> Work:
    """Layer by layer, in the type of the network."""
    if network.activation != "relu":
        raise Unsuitable("the chapter has no such layer")
    pairs = zip(*network.parameters(), strict=True)
    layers = [layer for W, b in pairs for layer in (book_layers.Affine(W, b), book_layers.Relu())][:-1]
    x, _ = network.data()

    def call():
        out = x
        for layer in layers:
            out = layer.forward(out)
        return [out]

    return Work(call, call)
