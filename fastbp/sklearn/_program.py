"""A training set and the compiled steps over it: epochs for the stochastic solvers, the whole gradient for L-BFGS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.basics import _team
from fastbp.kernels import instructions as of
from fastbp.kernels.batch import KINDS
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.program import SEED, STEP_WORDS, train
from fastbp.kernels.team import CHUNK
from fastbp.programs._lowering import Lowering
from fastbp.sklearn._network import Network, by_row, export
from fastbp.sklearn._solver import Solver
from fastbp.training._run import CHUNK_SECONDS
from fastbp.training._samples import Samples
from fastbp.training._slices import lower_batch, rows_of_slice

_NO_RATE = np.zeros(1)


class Program:
    """The steps over a training set in mini-batches, on a copy of the network's weights.

    Parameters
    ----------
    network : the weights at the start; see ``parameters``
    X, y : samples (N, I), an array or a sparse matrix, and targets (N, K)
    sample_weight : (N,) or None
    batch_size : rows a step; the last of an epoch has what is left
    alpha : L2 penalty of the weights, divided by the sum of a batch's sample weights
    dropout, seed : probability to drop a hidden layer's output, and of what random numbers
    solver : moves the parameters at each step; without one, there is only the gradient

    Attributes
    ----------
    order : (N,) int64, the samples in the order of an epoch; at first as they are given
    per_epoch : batches of an epoch
    parameters, gradients : flat vectors

    A program holds addresses. What keeps each alive, unmoved and of its size while the program is there:

    - parameters, gradients, a buffer, a table, what ``Lowering.keep`` has got: made here or converted to a copy, and
      kept by the Lowering, which this keeps; views of the parameters, which users get, cannot change their size
    - X, y, values of a sparse X: views of what users may own; kept by the Lowering, their memory by ``_exports``
    - columns and pointers of a sparse X: a copy that ``fastbp.sklearn._sparse`` has made and checked
    - the solver's states: arrays that own their memory, kept by the Lowering also when the solver takes up others
    - the team: ``_team``
    - order, rates, losses, words: handed over as arrays, at each call
    """

    def __init__(
        self,
        network: Network,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        *,
        batch_size: int,
        alpha: float,
        dtype: np.dtype,
        dropout: float = 0.0,
        seed: int = 0,
        solver: Solver | None = None,
    ) -> None:
        self.network, self.alpha, self.solver = network, alpha, solver
        self.net = network.sequential(dropout, dtype)
        self._binding = self.net._binding()
        self.parameters = self._binding.vector
        self.gradients = np.zeros_like(self.parameters)
        self.n_samples, self.columns = X.shape
        self.order = np.arange(self.n_samples)
        starts = np.arange(0, self.n_samples, batch_size)
        self.batch_size, self.per_epoch = batch_size, len(starts)
        self.share_of_epoch = np.minimum(batch_size, self.n_samples - starts) / self.n_samples
        self.losses = np.zeros(self.per_epoch)
        self.words = np.zeros(STEP_WORDS, np.int64)
        self.words[SEED] = seed
        # A batch's slices do not know the sum of its weights.
        self._slice_rows = rows_of_slice(self._binding, batch_size) if sample_weight is None else 0
        self._team = _team.current()
        self._team.learn_gemm(dtype)
        self._one, self._epochs, self._steps = dtype.type(1), 0, 1
        self._exports: list[Any] = []
        self._lower(by_row(X), y, sample_weight)

    def weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The matrices and biases of the layers: views of ``parameters``."""
        numbers = range(1, len(self.network.coefs) + 1)
        return [self.net.params[f"W{n}"] for n in numbers], [self.net.params[f"b{n}"] for n in numbers]

    def _lower(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        """Write the programs of a whole batch, and of the rest at an epoch's end."""
        p = self._keeps_buffers = Lowering(self.parameters, self.gradients, self.batch_size)
        targets = Samples("y", y.view(np.uint8) if y.dtype == bool else y, 1.0)
        weights = None if sample_weight is None else sample_weight.astype(p.dtype).reshape(self.n_samples, 1)
        gather, samples = _gathering(X, p.dtype)
        total = p.keep(np.zeros(1))
        self._exports += map(export, (targets.array, samples))

        def loss_and_gradient(p: Lowering) -> None:
            x = gather(p)
            t = p.gather("t", targets.array, targets.kind)
            w = NOTHING if weights is None else p.gather("weights", weights, KINDS.index(p.dtype.name))
            scores = self._binding.forward(p, x)
            p.backward(self.network.lower_loss(p, scores, t, w, total))

        def step(p: Lowering) -> None:
            lower_batch(p, loss_and_gradient, self._slice_rows)
            if self.alpha:
                for W in self.weights()[0]:
                    partial = p.keep(np.zeros(-(-W.size // CHUNK)))
                    p.emit(of.Penalty(W.ctypes.data, p.gradient_of(W), W.size, self.alpha, total, partial))
            if self.solver is not None:
                update: Any = self.solver  # of an optimizer, the lowering looks at kind and hyper() alone
                p.optimizer(update, self.solver.first, self.solver.second, 0.0)

        self.whole, self.last = p.tables(self.n_samples, step)

    def _run(self, first: int, rates: np.ndarray, losses: np.ndarray) -> bool:
        """Do the steps from ``first`` on, as many as there are rates; returns whether all losses were finite."""
        program = self.whole, self.last, self.order, self.batch_size, False
        return train(self._team.address, *program, first, rates, losses, self.words, self._one) == len(rates)

    def compile(self) -> None:
        """Do no step, which compiles all that steps need."""
        self._run(0, _NO_RATE[:0], self.losses[:0])

    def epoch(self, rates: np.ndarray) -> float:
        """Do the steps of one epoch at their learning ``rates`` (per_epoch,); returns the mean loss over its samples.

        The samples come in the order of ``self.order``. Ctrl-C is heard about every CHUNK_SECONDS. The result is not
        finite where a step's loss was not; the epoch ends there, before that step.
        """
        begin, start = 0, self._epochs * self.per_epoch
        while begin < self.per_epoch:
            end = min(begin + self._steps, self.per_epoch)
            clock = time.perf_counter()
            if not self._run(start + begin, rates[begin:end], self.losses[begin:end]):
                return float("nan")
            taken = (time.perf_counter() - clock) / (end - begin)
            self._steps = max(1, min(8 * self._steps, int(CHUNK_SECONDS / max(taken, 1e-9))))
            begin = end
        self._epochs += 1
        return float(self.losses @ self.share_of_epoch)

    def batch_gradient(self, batch: int) -> float:
        """Write the gradient over the samples of a batch, without a step, to ``gradients``; returns the batch's loss.

        Where the loss is not finite, neither is the gradient.
        """
        if not self._run(batch, _NO_RATE, self.losses[:1]):
            self.gradients.fill(np.nan)
        return float(self.losses[0])


def _gathering(X: Any, dtype: np.dtype) -> tuple[Callable[[Lowering], int], np.ndarray]:
    """What writes the copy of a batch's samples out of ``X``, and the array that it reads the numbers from.

    ``X`` is an array or a sparse matrix; the function returns the address of the copy. Whatever has to be converted is
    converted here, once for all programs.
    """
    if not hasattr(X, "indptr"):
        samples = Samples("X", X, 1.0)
        return lambda p: p.gather("x", samples.array, samples.kind), samples.array
    values = np.ascontiguousarray(X.data, dtype)
    columns, starts = (np.ascontiguousarray(a, np.int64) for a in (X.indices, X.indptr))

    def gather(p: Lowering) -> int:
        target = p.buffer("x", X.shape[1])
        p.emit(of.GatherSparseRows(*map(p.keep, (values, columns, starts)), target, p.rows, X.shape[1]))
        return target

    return gather, values
