"""From layers to a program: the table of instructions that ``kernels.program`` executes.

Each layer and loss writes its own instructions (its method ``lower``) into a ``Lowering``, which owns the buffers
between them. Every operand is an address, a size, or the bits of a number. What keeps an array alive, unmoved and of
its size behind its address, for as long as the ``Lowering`` lives: buffers are in no other hands; arrays from elsewhere
are kept and pinned; parameters are views of a ``Binding``'s vector that no one else has, the vector kept and pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import types, void

from fastbp import _check
from fastbp._pin import pin
from fastbp.kernels import operations
from fastbp.kernels._jit import address_of
from fastbp.kernels.batch import KINDS
from fastbp.kernels.program import WORDS
from fastbp.kernels.team import CHUNK

if TYPE_CHECKING:
    from fastbp.optimizers import Optimizer

_NUMBA = {_check.FLOAT32: types.float32, _check.FLOAT64: types.float64}

Backward = Callable[[int, bool], int]
"""Writes a layer's backward pass: takes the address of dy and whether dx is wanted, returns the address of dx."""


def bits(number: float) -> int:
    """A float64 as the int64 of the same bits, the form in which a program holds it."""
    return int(np.float64(number).view(np.int64))


@cache
def _address(operation: str, dtype: np.dtype) -> int:
    """Of the operation compiled for ``dtype``."""
    return address_of(getattr(operations, operation), void(types.int64, types.int64, types.int64, _NUMBA[dtype]))


class Lowering:
    """Writes the program of one step for batches of ``rows`` samples, a number that may be lowered from ``most_rows``.

    Parameters
    ----------
    parameters, gradients : flat vectors of the same length; the layers' arrays are views of the first
    most_rows : rows of the largest batch
    fused_step : whether parameters are updated by plain gradient descent as soon as their gradient is known, so that
        no gradients are kept
    adds : whether gradients are added to what ``gradients`` holds
    """

    def __init__(
        self,
        parameters: np.ndarray,
        gradients: np.ndarray,
        most_rows: int,
        *,
        fused_step: bool = False,
        adds: bool = False,
    ) -> None:
        self.dtype = parameters.dtype
        self.parameters, self.gradients = parameters, gradients
        self.most_rows = self.rows = most_rows
        self.fused_step, self.adds = fused_step, adds
        self._buffers: dict[Hashable, np.ndarray] = {}
        self._kept: dict[int, tuple[np.ndarray, object]] = {}
        self._rows: list[tuple[int, ...]] = []
        self.keep(parameters)
        self.keep(gradients)
        self._included: list[Lowering] = []

    def buffer(self, key: Hashable, columns: int, dtype: np.dtype | None = None) -> int:
        """Address of a buffer of ``most_rows`` x ``columns`` elements; the same one for the same ``key``."""
        if key not in self._buffers:
            self._buffers[key] = np.zeros(max(1, self.most_rows * columns), dtype or self.dtype)
        return self._buffers[key].ctypes.data

    def keep(self, array: np.ndarray) -> int:
        """Address of an array that has to live as long as the program."""
        self._kept[id(array)] = array, pin("an array in use", array)
        return array.ctypes.data

    def include(self, other: Lowering) -> None:
        """Have ``other`` live as long as this."""
        self._included.append(other)

    def gradient_of(self, parameter: np.ndarray) -> int:
        """Address of the gradient of a layer's parameter."""
        return parameter.ctypes.data - self.parameters.ctypes.data + self.gradients.ctypes.data

    def emit(self, operation: str, *operands: int) -> None:
        """Append an instruction; compiles the operation if no network has needed it yet."""
        self._rows.append((_address(operation, self.dtype), *operands))

    def elementwise(
        self, operation: str, x: int, columns: int, place: int, computed: bool, *numbers: float
    ) -> tuple[int, int, Backward]:
        """Write an activation function, unless the product before has ``computed`` it, for ``layer.lower`` to return.

        ``operation`` takes x, y, the number of elements, and ``numbers``; ``operation`` + "_back" takes the gradient,
        which it changes in place, y, the number of elements, and ``numbers``.
        """
        n, extra = self.rows * columns, [bits(number) for number in numbers]
        y = x if computed else self.buffer((place, "y"), columns)
        if not computed:
            self.emit(operation, x, y, n, *extra)

        def backward(dy: int, wanted: bool) -> int:
            self.emit(operation + "_back", dy, y, n, *extra)
            return dy

        return y, columns, backward

    def masked(
        self, operation: str, x: int, columns: int, place: int, number: float, stream: int = 0, seed: int = -1
    ) -> tuple[int, int, Backward]:
        """As ``elementwise``, of an operation that keeps a mask: it takes x, y, mask, the number of elements,
        ``number``, and the stream and seed of its random numbers, -1 for the run's seed; its backward pass dy, mask,
        dx, the number, and ``number``.
        """
        n = self.rows * columns
        y, mask = self.buffer((place, "y"), columns), self.buffer((place, "mask"), columns, _check.BOOL)
        self.emit(operation, x, y, mask, n, bits(number), stream, seed)

        def backward(dy: int, wanted: bool) -> int:
            self.emit(operation + "_back", dy, mask, dy, n, bits(number))
            return dy

        return y, columns, backward

    def loss(
        self, operation: str, x: int, columns: int, targets: int, weights: int, *operands: int, in_place: bool = False
    ) -> int:
        """Write a loss with its gradient; returns the address of the gradient with respect to ``x``.

        ``operands`` are those beyond what all losses have. ``in_place`` says that the gradient may be written over the
        loss layer's output.
        """
        dx = self.buffer("loss dx", columns)
        y = dx if in_place else self.buffer("loss y", columns)
        losses = self.buffer("losses", 1, _check.FLOAT64)
        self.emit(operation, x, targets, weights, y, dx, self.rows, columns, losses, *operands)
        return dx

    def optimizer(self, optimizer: Optimizer, first: np.ndarray, second: np.ndarray, limit: float) -> None:
        """Write the update of all parameters, their gradients clipped to the norm ``limit`` where that is not 0."""
        n = self.parameters.size
        partial = self.keep(np.zeros(-(-n // CHUNK)))
        vectors = [self.keep(a) for a in (self.parameters, self.gradients, first, second)]
        hyper = self.keep(optimizer.hyper())
        self.emit("optimize", optimizer.kind, *vectors, n, first.size, second.size, hyper, bits(limit), partial)

    def gather(self, key: Hashable, source: np.ndarray, kind: int, scale: float = 1.0) -> int:
        """Write the copy of a batch's rows of ``source`` (samples, D); returns the address of the copy."""
        n_samples, columns = source.shape
        target = self.buffer(key, columns)
        native = KINDS[kind] == self.dtype.name
        operands = self.keep(source), n_samples, target, self.rows, columns, bits(scale)
        self.emit("gather_rows" if native else "gather_converted_rows", *operands, kind)
        return target

    def gather_labels(self, source: np.ndarray) -> int:
        """Write the copy of a batch's labels out of ``source`` (samples,) intp; returns the address of the copy."""
        target = self.buffer("labels", 1, np.dtype(np.int64))
        self.emit("gather_labels", self.keep(source), target, self.rows)
        return target

    def tables(self, n: int, write: Callable[[Lowering], None]) -> tuple[np.ndarray, np.ndarray]:
        """What ``write`` writes for a whole batch, and for the last batch of ``n`` samples, which may be smaller."""
        tables = []
        for rows in dict.fromkeys((self.most_rows, n % self.most_rows or self.most_rows)):
            self.rows = rows
            write(self)
            tables.append(self._table())
        return tables[0], tables[-1]

    def _table(self) -> np.ndarray:
        """The program written so far; the next instruction begins another."""
        rows, self._rows = self._rows, []
        table = np.zeros((len(rows), WORDS), np.int64)
        for i, words in enumerate(rows):
            table[i, : len(words)] = words
        return table
