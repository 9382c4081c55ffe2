"""Training layer by layer, in Python, where a layer has no instructions: only the update is a program."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from fastbp._binding import Binding
from fastbp.basics import _check
from fastbp.basics._claim import Claim
from fastbp.basics._warn import warn
from fastbp.kernels._interrupts import uninterrupted
from fastbp.kernels.batch import begin_epoch
from fastbp.layers._layer import propagate
from fastbp.network import Network
from fastbp.optimizers import Optimizer
from fastbp.programs._program import ONE_SAMPLE, Program, Update
from fastbp.training._data import Data


def tell(net: Network) -> None:
    """Warn, once a network, where it is trained layer by layer."""
    names = net._last_binding.unlowered
    if names and not net._told_by_layers:
        warn(
            f"{', '.join(names)} cannot be compiled, having no method lower of its own: the network is trained layer "
            "by layer in Python",
        )
        net._told_by_layers = True


class ByLayers:
    """Steps of a network with layers that have no instructions.

    Those layers work as they stand in the network, so that what they keep of their own goes on from step to step; while
    another thread is in the midst of a pass through them, copies do. The others are the binding's, as in a program.

    Parameters
    ----------
    binding : the network as it is
    passing : the claim of whoever passes through its layers
    update : what moves the parameters; None leaves it at their gradients
    """

    def __init__(self, binding: Binding, passing: Claim, update: Update | None) -> None:
        self._binding, self._passing = binding, passing
        self._update = Program(binding, None, None, update)
        self._gradients = binding.views_of(self._update.gradients)
        self._arrays = binding.params | binding.buffers
        self._is_own = [not layer.is_lowered() for layer in binding.layers]
        self._layers = [
            live if own else copy.copy(layer)
            for live, layer, own in zip(binding.live, binding.layers, self._is_own, strict=True)
        ]
        self._loss = copy.copy(binding.loss)
        self._no_loss = np.zeros(1)

    def step(self, x: np.ndarray, t: np.ndarray, weights: np.ndarray, rate: float, number: int, seed: int) -> float:
        """Do the step of that ``number``; returns its loss. Where that is not finite, nothing has changed."""
        kept, done, layers = self._binding.kept.copy(), False, self._layers
        try:
            if not self._passing.take(False):
                layers = [copy.copy(layer) if own else layer for layer, own in zip(layers, self._is_own, strict=True)]
            loss = self._loss_and_gradient(layers, x, t, weights, number, seed)
            if math.isfinite(loss):
                with uninterrupted():
                    self._update.run(ONE_SAMPLE, number, np.array([rate]), self._no_loss)
                    done = True
        finally:
            if not done:
                self._put_back(layers, kept)
            self._passing.end()
        return loss

    def compile(self) -> None:
        """Compile the update."""
        self._update.compile()

    def _loss_and_gradient(
        self, layers: list[Any], x: np.ndarray, t: np.ndarray, weights: np.ndarray, number: int, seed: int
    ) -> float:
        """The loss of a batch, whose gradient, if it is finite, then stands before the update."""
        out: Any = x.reshape(len(x), *(self._binding.in_shape or x.shape[1:]))
        for place, layer in enumerate(layers):
            layer.sow(seed, place, number)
            out = layer.forward(out)
        loss = float(self._loss.forward(out, t, weights if weights.size else None))
        if math.isfinite(loss):
            propagate(layers, self._loss.backward())
            for layer, names, own in zip(layers, self._binding.names, self._is_own, strict=True):
                for attribute, name in names.items():
                    if own:
                        self._take_over(layer, attribute, name)
                    if attribute in layer.parameters:
                        self._gradients[name][...] = _gradient(layer, attribute, self._arrays[name].shape)
        return loss

    def _take_over(self, layer: Any, attribute: str, name: str) -> None:
        """Write what a layer has assigned to one of its arrays into the network's, which it then has again."""
        assigned, own = getattr(layer, attribute), self._arrays[name]
        if assigned is not own:
            array = _check.as_real(f"{attribute} of {type(layer).__name__}", assigned)
            _check.same_shape(f"{attribute} of {type(layer).__name__}", array, own.shape, "the array before")
            own[...] = array
            setattr(layer, attribute, own)

    def _put_back(self, layers: list[Any], kept: np.ndarray) -> None:
        """Have the buffers be what they were."""
        self._binding.kept[...] = kept
        for layer, names, own in zip(layers, self._binding.names, self._is_own, strict=True):
            for attribute, name in names.items():
                if own and attribute in layer.buffers:
                    setattr(layer, attribute, self._arrays[name])


class ShareByLayers(ByLayers):
    """Gradients of samples of a data set, with what ``ShardedRows`` uses of a ``Program``.

    Attributes
    ----------
    gradients : (P,)
    """

    def __init__(self, passing: Claim, binding: Binding, data: Data) -> None:
        super().__init__(binding, passing, None)
        self.gradients, self._data = self._update.gradients, data

    def share(self, rows: np.ndarray, n_rows: int, number: int, seed: int) -> float:
        """As ``Program.share``."""
        if not len(rows):
            self.gradients.fill(0)
            return 0.0
        loss = self.step(*_batch(self._data, rows, self.gradients.dtype), 0.0, number, seed)
        self.gradients *= self.gradients.dtype.type(len(rows) / n_rows)
        return loss * len(rows) / n_rows

    def compile_share(self) -> None:
        """Compile nothing: layers in Python are run as they are."""


class RowsByLayers(ByLayers):
    """Steps over a data set, with what runs use of a ``RowsProgram``."""

    def __init__(
        self,
        passing: Claim,
        binding: Binding,
        data: Data,
        rule: Optimizer,
        limit: float,
        batch_size: int,
    ) -> None:
        self.states = rule.new_states(binding.vector.size, binding.vector.dtype)
        super().__init__(binding, passing, Update(rule, *self.states, limit))
        self._data, self._batch_size, self._dtype = data, batch_size, binding.vector.dtype

    def leave(self) -> None:
        """Leave nothing to a later run: its layers may be used in between."""

    def run(
        self,
        order: np.ndarray,
        first: int,
        rates: np.ndarray,
        losses: np.ndarray,
        *,
        shuffled: bool = False,
        seed: int = 0,
    ) -> int:
        """Do the steps from ``first`` on, as many as there are ``rates``; returns how many had a finite loss.

        None is done with parameters or buffers that are no longer finite, of which layers might complain.
        """
        per_epoch = -(-len(order) // self._batch_size)
        for s, rate in enumerate(rates):
            epoch, batch = divmod(first + s, per_epoch)
            if shuffled and batch == 0:
                begin_epoch(order, self._data.rows, seed, epoch)
            rows = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            losses[s] = self.step(*_batch(self._data, rows, self._dtype), rate, first + s, seed)
            if not math.isfinite(losses[s]):
                return s
            if not self._binding.is_finite():
                return s + 1
        return len(rates)


def _batch(data: Data, rows: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples, targets and weights of these rows."""
    weights = data.weights[rows] if data.weights.size else data.weights
    return data.samples.rows(rows, dtype), data.targets[rows], weights


def _gradient(layer: Any, attribute: str, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient that ``backward`` has left; RuntimeError where there is none, ValueError where it does not fit."""
    name = f"d{attribute}"
    gradient = getattr(layer, name, None)
    if gradient is None:
        raise RuntimeError(f"{type(layer).__name__}.backward must leave the gradient of {attribute} in {name}")
    array = _check.as_real(f"{name} of {type(layer).__name__}", gradient)
    _check.same_shape(f"{name} of {type(layer).__name__}", array, shape, attribute)
    return array
