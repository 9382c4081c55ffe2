"""Networks: layers one after the other, and the loss they are trained by."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp import _arguments, _check
from fastbp._binding import Binding, Params
from fastbp._claim import Claim, in_training
from fastbp._conversions import Conversions
from fastbp._pin import pin
from fastbp._stepper import Stepper
from fastbp.affine import Affine
from fastbp.dropout import Dropout
from fastbp.fit import fit
from fastbp.gradient import numerical_gradient
from fastbp.leaky_relu import LeakyRelu
from fastbp.optimizers import Optimizer
from fastbp.relu import Relu
from fastbp.sigmoid import Sigmoid
from fastbp.softmax_with_loss import SoftmaxWithLoss
from fastbp.tanh import Tanh


class Sequential(Conversions):
    """Layers one after the other, with the interface of the book's networks and a compiled ``fit``.

    Parameters
    ----------
    layers : the layers in their order, at least one of them an Affine
        Their parameters become views of one flat vector, of the dtype that NumPy's promotion makes of them all.
    loss : the loss layer, SoftmaxWithLoss(eps=0) if none is given
    scale : number above 0 that every element of ``x`` is multiplied by before the first layer, 1 / 255 for bytes

    Attributes
    ----------
    layers : OrderedDict of the layers, named ``Affine1``, ``Relu1``, ``Affine2``, ... by class and number
    lastLayer : the loss layer
    params : dict of ``W1``, ``b1``, ``W2``, ...; writing into these arrays trains, and a dict assigned is written into
        them
    scale : what ``x`` is multiplied by

    Layers, their arrays and their settings may be replaced: every later use follows, or raises what making a network of
    them would. One network may be used by several threads, and trained by one at a time.

    Letters in shapes: N samples, I inputs, K outputs.

    >>> net = Sequential([Affine(np.zeros((4, 3)), np.zeros(3))])
    >>> net.predict(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, layers: Iterable[Any], loss: Any = None, *, scale: float = 1.0) -> None:
        self.layers: OrderedDict[str, Any] = OrderedDict()
        numbers: dict[str, int] = {}
        for layer in layers:
            kind = type(layer).__name__
            numbers[kind] = numbers.get(kind, 0) + 1
            self.layers[f"{kind}{numbers[kind]}"] = layer
        self.lastLayer = SoftmaxWithLoss(eps=0) if loss is None else loss
        self.scale = _arguments.real("scale", scale, above=0)
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        self._stepper: Stepper | None = None
        self._training, self._passing = Claim(), Claim()
        self._last_binding = Binding(self.layers, self.lastLayer)

    def _binding(self) -> Binding:
        """What the layers are now; looked at anew where a layer, an array or a setting is another than before."""
        binding = self._last_binding
        while not binding.is_of(self.layers, self.lastLayer):
            if self._training.is_elsewhere():
                raise RuntimeError(
                    "a layer of a network in training in another thread, its arrays or its settings were replaced: "
                    "wait until that training has taken it up between two steps, or write into the arrays in place"
                )
            binding = self._last_binding = Binding(self.layers, self.lastLayer, binding)
        return binding

    def _bound(self) -> np.ndarray:
        """The flat vector of the parameters."""
        return self._binding().vector

    def _affines(self) -> list[Affine]:
        return [layer for layer in self.layers.values() if isinstance(layer, Affine)]

    @property
    def params(self) -> Params:
        """The parameters by name, as views of one vector."""
        return self._binding().params

    @params.setter
    def params(self, arrays: Mapping[str, ArrayLike]) -> None:
        own = self.params
        if not isinstance(arrays, Mapping):
            raise TypeError(f"params must be a dict of arrays by name, got {_arguments.shown(arrays)}")
        if arrays.keys() != own.keys():
            raise ValueError(f"params must hold {', '.join(own)}, got {', '.join(map(str, arrays)) or 'none'}")
        own.update(arrays)

    def __getstate__(self) -> dict[str, Any]:
        own = ("_stepper", "_training", "_passing", "_last_binding")  # with this network's addresses and locks
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin_afresh()

    def __copy__(self) -> Sequential:
        return copy.deepcopy(self)  # two networks cannot share layers whose parameters lie in one vector

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self.layers.values()))
        scale = "" if self.scale == 1 else f", scale={self.scale:g}"
        return f"{type(self).__name__}([{names}], loss={self.lastLayer!r}{scale})"

    def summary(self) -> str:
        """Return a table of the layers: name, shape of the parameters, their number."""
        rows = [("layer", "parameters", "number")]
        for name, layer in self.layers.items():
            arrays = [a for a in (getattr(layer, "W", None), getattr(layer, "b", None)) if a is not None]
            shapes = " + ".join(str(a.shape) for a in arrays)
            rows.append((name, shapes or "-", f"{sum(a.size for a in arrays):,}"))
        rows.append((type(self.lastLayer).__name__, "-", "0"))
        rows.append(("total", str(self._bound().dtype), f"{self._bound().size:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)

    def _scaled(self, x: ArrayLike) -> Any:
        """What the first layer gets of ``x``: in the type that the network computes it in, times the scale."""
        if self.scale == 1:
            return x
        x = _check.as_real("x", x)
        dtype = _check.computed_in(_check.result_type(x, self._bound()))
        return np.multiply(x, dtype.type(self.scale), dtype=dtype)

    def _copies(self, *, draws: bool) -> list[Any]:
        """Copies of the layers and the loss, for a pass while another thread is in the midst of one through them.

        ``draws`` says that the pass draws masks.
        """
        layers = [*self.layers.values(), self.lastLayer]
        copies = [copy.copy(layer) for layer in layers]
        for layer in layers:
            if draws and isinstance(layer, Dropout):
                layer.step += 1  # that mask is the copy's
        return copies

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of ``x`` (N, I): the output of the last layer, dropout switched off."""
        held = pin("x", x)
        passing = self._passing
        try:
            layers = list(self.layers.values()) if passing.take(False) else self._copies(draws=False)[:-1]
            out = self._scaled(x)
            for layer in layers:
                out = layer.predict(out) if hasattr(layer, "predict") else layer.forward(out)
        finally:
            passing.end()
        del held
        return out

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Return the probabilities that the loss layer makes of the scores of ``x`` (N, I)."""
        return self.lastLayer.probabilities(self.predict(x))

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss of ``x`` (N, I) against targets ``t``, which are those of the loss layer."""
        held = pin("t", t)
        passing = self._passing
        try:
            layer = self.lastLayer if passing.take(False) else copy.copy(self.lastLayer)
            loss = layer.forward(self.predict(x), t)
        finally:
            passing.end()
        del held
        return loss

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of rows of ``x`` whose class is found.

        ``t`` is labels (N,) or rows (N, K), and the class found is that of the highest score; of a network with one
        output, ``t`` is 0 or 1, (N,) or (N, 1), and the class found is 1 where its probability is above a half.
        """
        t = _check.as_array("t", t)
        scores = self.predict(x)
        if scores.shape[-1] == 1 and not self.lastLayer.has_classes:
            found = self.lastLayer.probabilities(scores).ravel() > 0.5
            return float(np.mean(found == (t.ravel() == 1)))
        labels = t if t.ndim == 1 else np.argmax(t, axis=1)
        return float(np.mean(np.argmax(scores, axis=1) == labels))

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by backpropagation, layer by layer.

        The layers have then what ``forward`` and ``backward`` leave in them. Several threads may do this at once; one
        that finds another in the layers works in copies of them.
        """
        held = pin("x", x), pin("t", t)
        passing = self._passing
        try:
            alone = passing.take(False)
            *layers, loss = [*self.layers.values(), self.lastLayer] if alone else self._copies(draws=True)
            out = self._scaled(x)
            for layer in layers:
                out = layer.forward(out)
            loss.forward(out, t)
            dout = loss.backward()
            for layer in reversed(layers):
                dout = layer.backward(dout)
        finally:
            passing.end()
        del held
        gradients: dict[str, Any] = {}
        for n, layer in enumerate((layer for layer in layers if isinstance(layer, Affine)), 1):
            gradients[f"W{n}"] = layer.dW
            if layer.db is not None:
                gradients[f"b{n}"] = layer.db
        return gradients

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by central differences: slow, for checking."""
        net = copy.deepcopy(self)  # whose parameters nobody else reads while they are varied
        return {name: numerical_gradient(lambda _: net.loss(x, t), p) for name, p in net.params.items()}

    fit = fit

    def step(
        self,
        x: ArrayLike,
        t: ArrayLike,
        optimizer: str | Optimizer = "sgd",
        *,
        sample_weight: ArrayLike | None = None,
        clip_norm: float | None = None,
        seed: int | None = None,
    ) -> float:
        """Train by one step on a mini-batch and return its loss before the step: for data that come one by one.

        The optimizer's state is kept from call to call for as long as the same optimizer is given and the layers are of
        the same kinds and shapes.

        Parameters
        ----------
        x : (N, I)
        t : what the loss layer takes
        sample_weight : (N,) finite numbers of at least 0, which multiply the losses of the samples
        clip_norm : largest norm of all gradients together, to which larger ones are scaled down
        seed : of the dropout from this step on, which also depends on the number of the step; None goes on with that of
            the step before, and draws one at the first

        Raises
        ------
        ValueError, TypeError
            as ``fit`` does; nothing has changed then
        FloatingPointError
            where the loss or a parameter would no longer be finite; nothing has changed then
        RuntimeError
            where another thread trains this network
        """
        training = self._training
        try:
            if not training.take(False):
                raise in_training("step")
            binding = self._binding()
            stepper = self._stepper
            if stepper is None or stepper.binding is not binding or stepper.given is not optimizer:
                stepper = self._stepper = Stepper.going_on(stepper, binding, optimizer)
            return stepper.step(x, t, sample_weight, clip_norm, seed)
        finally:
            training.end()


def mlp(
    sizes: Sequence[int],
    activation: str = "relu",
    *,
    dtype: DTypeLike = np.float32,
    seed: Any = None,
    loss: Any = None,
) -> Sequential:
    """A network of fully connected layers, with an activation after each but the last.

    Parameters
    ----------
    sizes : inputs, units of each hidden layer, outputs
    activation : "relu" or "leaky_relu", with He's initial weights (normal, standard deviation sqrt(2 / inputs): He et
        al. 2015); "sigmoid" or "tanh", with Xavier's (sqrt(1 / inputs): Glorot & Bengio 2010, as in the book)
    dtype : float32 or float64
    seed : of the initial weights, whatever ``np.random.default_rng`` takes. Biases are 0.
    loss : the loss layer, SoftmaxWithLoss(eps=0) if none is given
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if len(sizes) < 2 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1 for n in sizes):
        raise ValueError(f"sizes must be at least two integers of at least 1, got {sizes!r}")
    kind = np.dtype(dtype)
    if kind not in _check.FLOATS:
        raise ValueError(f"dtype must be float32 or float64, got {kind}")
    layer_class, gain = ACTIVATIONS[activation]
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for n_inputs, n_outputs in pairwise(sizes):
        W = (np.sqrt(gain / n_inputs) * rng.standard_normal((n_inputs, n_outputs))).astype(kind)
        layers += [Affine(W, np.zeros(n_outputs, kind)), layer_class()]
    return Sequential(layers[:-1], loss)


ACTIVATIONS: dict[str, tuple[Any, float]] = {
    "relu": (Relu, 2.0),
    "leaky_relu": (LeakyRelu, 2.0),
    "sigmoid": (Sigmoid, 1.0),
    "tanh": (Tanh, 1.0),
}
