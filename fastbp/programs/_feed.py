"""Feeds: where a program has the samples, targets and weights of a batch from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from fastbp.kernels import instructions as of
from fastbp.kernels.gemm import NOTHING
from fastbp.programs._lowering import Lowering


class Fed(NamedTuple):
    """The addresses of a batch's samples, targets and weights; NOTHING where there are none of these."""

    x: int
    t: int
    weights: int


class Feed(Protocol):
    """What a program asks of a feed.

    Attributes
    ----------
    n_samples : in an epoch
    labels : whether targets are labels of classes, not rows of numbers
    sliceable : whether the batch may be computed in slices: each is asked for like a batch of its own
    """

    @property
    def n_samples(self) -> int: ...

    @property
    def labels(self) -> bool: ...

    @property
    def sliceable(self) -> bool: ...

    def write(self, p: Lowering) -> Fed:
        """Write what brings a batch to its addresses."""


class Source(Protocol):
    """Samples of which a program copies rows."""

    def gather(self, p: Lowering) -> int:
        """Write the copy of a batch's samples; returns its address."""


class SparseRows:
    """Samples in compressed rows: of row n, the ``values`` and ``columns`` from ``starts[n]`` to ``starts[n + 1]``.

    ``columns`` and ``starts`` are (M,) and (N + 1,) int64 that nobody else has, and known to be inside ``n_columns``.
    """

    def __init__(self, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, n_columns: int) -> None:
        self._arrays, self._n_columns = (values, columns, starts), n_columns

    def gather(self, p: Lowering) -> int:
        """Write the copy of a batch's samples, with the zeros between; returns its address."""
        target = p.buffer("x", self._n_columns)
        values, columns, starts = map(p.keep, self._arrays)
        p.emit(of.GatherSparseRows(values, columns, starts, target, p.rows, self._n_columns))
        return target


class Rows:
    """Rows of a data set, copied in the order that a run goes by.

    Parameters
    ----------
    x : the samples
    t : (N,) intp, labels, or (N, K) of one of ``kernels.batch.KINDS``; as the loss takes them
    weights : (N,) of the program's dtype, or without elements for none
    n_samples : of which an epoch is; N if None
    sliceable : whether the loss of a slice's rows is their share of the batch's
    """

    def __init__(
        self,
        x: Source,
        t: np.ndarray,
        weights: np.ndarray,
        n_samples: int | None = None,
        *,
        sliceable: bool = True,
    ) -> None:
        self._x, self._t, self._weights = x, t, weights.reshape(-1, 1)
        self.n_samples = len(t) if n_samples is None else n_samples
        self.labels, self.sliceable = t.ndim == 1, sliceable

    def write(self, p: Lowering) -> Fed:
        """Write the copies of a batch's rows."""
        x = self._x.gather(p)
        t = p.gather_labels(self._t) if self.labels else p.gather("t", self._t)
        return Fed(x, t, p.gather("weights", self._weights) if self._weights.size else NOTHING)


class Given:
    """One batch, read where it lies: arrays that nobody else has, or that stay as they are while the program runs.

    ``x`` (N, I) and ``weights`` (N,) are of the program's dtype, the latter without elements for none; ``t`` is labels
    (N,) intp or (N, K) of the program's dtype.
    """

    sliceable = False

    def __init__(self, x: np.ndarray, t: np.ndarray, weights: np.ndarray) -> None:
        self.x, self.t, self.weights = x, t, weights
        self.n_samples, self.labels = len(x), t.ndim == 1

    def write(self, p: Lowering) -> Fed:
        """Write nothing: the batch is there."""
        return Fed(p.keep(self.x), p.keep(self.t), p.keep(self.weights) if self.weights.size else NOTHING)
