"""The book's own layers, which are those of ``fastbp.reference``: float32 images, float64 weights."""

from typing import Any

from fastbp import reference

from ..bench_book import book_loop
from ..bench_layers import prepared
from ..row import Work
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


@FLOAT64.does("layer")
def layer(*arguments: Any) -> Work:
    call = prepared(reference, *arguments)
    return Work(call, call)
