"""A training set and the compiled steps over it: epochs for the stochastic solvers, the whole gradient for L-BFGS."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastbp.basics import _pool
from fastbp.basics._pace import Pace
from fastbp.kernels import instructions as of
from fastbp.kernels.team import CHUNK
from fastbp.losses._loss import as_weights
from fastbp.programs._feed import Rows, Source, SparseRows
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand
from fastbp.programs._program import Program, Update
from fastbp.sklearn._network import EstimatorNetwork, by_row
from fastbp.sklearn._solver import Solver
from fastbp.training._dense_rows import DenseRows
from fastbp.training._ranks import ALONE, Alone, Ranks
from fastbp.training._shards import ShardedRows, Shards

_NO_RATE = np.zeros(1)


class EstimatorSteps:
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
    ranks : each with samples of its own; with several, there must be a solver

    Attributes
    ----------
    shards : which samples are whose
    order : (N,) int64, the samples of all ranks in the order of an epoch; at first as they are given
    per_epoch : batches of an epoch
    parameters, gradients : flat vectors

    The memory of a sparse ``X``'s columns and pointers is a copy that ``fastbp.sklearn._sparse`` has made and checked;
    other arrays of users are held in their place by the program. The solver's states are arrays that own their memory,
    and live as long as the program also when the solver takes up others.
    """

    def __init__(
        self,
        network: EstimatorNetwork,
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
        ranks: Alone = ALONE,
    ) -> None:
        self._n_layers, self._seed = len(network.coefs), seed
        self.net = network.sequential(dropout, dtype)
        binding = self.net._binding()
        self.parameters = binding.vector
        self.shards = Shards(ranks.gathered(X.shape[0]), ranks.rank)
        self.n_samples = self.shards.total
        self.order = np.arange(self.n_samples)
        starts = np.arange(0, self.n_samples, batch_size)
        self.per_epoch = len(starts)
        self.share_of_epoch = np.minimum(batch_size, self.n_samples - starts) / self.n_samples
        self.losses = np.zeros(self.per_epoch)
        self._epochs, self._pace = 0, Pace()
        targets = DenseRows("y", y.view(np.uint8) if y.dtype == bool else y, 1.0).array
        weights = as_weights(None, X.shape[0], dtype) if sample_weight is None else sample_weight.astype(dtype)
        # A batch's slices do not know the sum of its weights.
        sliceable = sample_weight is None and not isinstance(ranks, Ranks)
        rows = Rows(_source(by_row(X), dtype), targets, weights, sliceable=sliceable)
        loss = _Deviance(network)

        def penalty(p: Lowering) -> None:
            for W in self.weights()[0] if alpha else ():
                total, partial = p.keep(loss.total), p.keep(np.zeros(-(-W.size // CHUNK)))
                p.emit(of.Penalty(W.ctypes.data, p.gradient_of(W), W.size, alpha, total, partial))

        update = None if solver is None else Update(solver, solver.first, solver.second)
        self._program: Program | ShardedRows
        if isinstance(ranks, Ranks) and update is not None:
            gradient = _Share(
                Program(binding, rows, loss, None, min(batch_size, X.shape[0])), ranks, weights, loss.total
            )
            self.gradients, states = gradient.gradients, (update.first, update.second)
            moving = Program(binding, None, None, update, between=penalty, gradients=self.gradients)
            self._program = ShardedRows(ranks, self.shards, binding, gradient, moving, states, batch_size, 1)
        else:
            self._program = Program(binding, rows, loss, update, batch_size, between=penalty)
            self.gradients = self._program.gradients

    def weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The matrices and biases of the layers: views of ``parameters``."""
        numbers = range(1, self._n_layers + 1)
        return [self.net.params[f"W{n}"] for n in numbers], [self.net.params[f"b{n}"] for n in numbers]

    def _run(self, first: int, rates: np.ndarray, losses: np.ndarray) -> bool:
        """Do the steps from ``first`` on, as many as there are rates; returns whether all losses were finite."""
        return self._program.run(self.order, first, rates, losses, seed=self._seed) == len(rates)

    def compile(self) -> None:
        """Compile all that steps need."""
        self._program.compile()

    def epoch(self, rates: np.ndarray) -> float:
        """Do the steps of one epoch at their learning ``rates`` (per_epoch,); returns the mean loss over its samples.

        The samples come in the order of ``self.order``. Ctrl-C is heard between chunks of them. The result is not
        finite where a step's loss was not; the epoch ends there, before that step.
        """
        begin, start = 0, self._epochs * self.per_epoch
        while begin < self.per_epoch:
            end = min(begin + self._pace.steps, self.per_epoch)
            clock = time.perf_counter()
            _pool.look()
            if not self._run(start + begin, rates[begin:end], self.losses[begin:end]):
                return float("nan")
            self._pace.took(time.perf_counter() - clock, end - begin)
            begin = end
        self._epochs += 1
        return float(self.losses @ self.share_of_epoch)

    def batch_gradient(self, batch: int) -> float:
        """Write the gradient over the samples of a batch, without a step, to ``gradients``; returns the batch's loss.

        Where the loss is not finite, neither is the gradient.
        """
        _pool.look()
        if not self._run(batch, _NO_RATE, self.losses[:1]):
            self.gradients.fill(np.nan)
        return float(self.losses[0])


class _Share:
    """The gradient of samples as their share of a batch's by weight, with what ``ShardedRows`` uses of a ``Program``.

    ``total`` (1,) receives the sum of the batch's weights.
    """

    def __init__(self, program: Program, ranks: Ranks, weights: np.ndarray, total: np.ndarray) -> None:
        self._program, self._ranks, self._weights, self._total = program, ranks, weights, total
        self.gradients, self.compile_share = program.gradients, program.compile_share

    def share(self, rows: np.ndarray, n_rows: int, number: int, seed: int) -> float:
        """As ``Program.share``."""
        loss = self._program.share(rows, n_rows, number, seed)  # with weights, the mean by those of the rows here
        if not self._weights.size:
            self._total[0] = n_rows
            return loss
        own = float(self._weights[rows].sum(dtype=np.float64))
        total = self._total[0] = sum(self._ranks.numbers(own))
        part = own / total if total else 0.0
        self.gradients *= self.gradients.dtype.type(part)
        return loss * part


class _Deviance:
    """An estimator's loss, as one that is written into a program.

    Attributes
    ----------
    total : (1,), where each step leaves the sum of the batch's weights
    """

    def __init__(self, network: EstimatorNetwork) -> None:
        self._network, self.total = network, np.zeros(1)

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int:
        return self._network.lower_loss(p, x, targets, weights, p.keep(self.total))


def _source(X: Any, dtype: np.dtype) -> Source:
    """The samples of ``X``, an array or a sparse matrix, whose numbers are converted here if they have to be."""
    if not hasattr(X, "indptr"):
        return DenseRows("X", X, 1.0)
    columns, starts = (np.ascontiguousarray(a, np.int64) for a in (X.indices, X.indptr))
    return SparseRows(np.ascontiguousarray(X.data, dtype), columns, starts, X.shape[1])
