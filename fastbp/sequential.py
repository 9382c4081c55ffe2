"""Networks: layers one after the other, and the loss they are trained by."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp import _arguments, _check
from fastbp._blocks import in_blocks
from fastbp._conversions import Conversions
from fastbp._lowering import Backward, Lowering
from fastbp._stepper import Stepper
from fastbp.affine import Affine
from fastbp.fit import fit
from fastbp.gradient import numerical_gradient
from fastbp.kernels.gemm import LINEAR
from fastbp.leaky_relu import LeakyRelu
from fastbp.optimizers import Optimizer
from fastbp.relu import Relu
from fastbp.sigmoid import Sigmoid
from fastbp.softmax_with_loss import SoftmaxWithLoss
from fastbp.tanh import Tanh


class Params(dict):
    """Parameters by name. An array assigned to a name is written into the parameter, so that it trains."""

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        own = self.get(name)
        if own is None:
            raise KeyError(f"there is no parameter {name!r}, only {', '.join(self)}")
        if value is not own:
            value = _check.as_real(name, value)
            _check.same_shape(name, value, own.shape, "the parameter")
            own[...] = value

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Params:  # type: ignore[misc]
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type, tuple[dict]]:
        return dict, (dict(self),)  # the network that owns a copy binds it anew


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
    params : dict of ``W1``, ``b1``, ``W2``, ...; writing into these arrays trains
    scale : what ``x`` is multiplied by

    Letters in shapes: N samples, I inputs, K outputs.

    >>> net = Sequential([Affine(np.zeros((4, 3)), np.zeros(3))])
    >>> net.predict(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, layers: Iterable[Any], loss: Any = None, *, scale: float = 1.0) -> None:
        self.layers: OrderedDict[str, Any] = OrderedDict()
        numbers: dict[str, int] = {}
        for layer in layers:
            is_layer = hasattr(layer, "lower") and hasattr(layer, "backward") and not hasattr(layer, "as_targets")
            if isinstance(layer, type) or not is_layer:
                raise TypeError(f"layers must be layers of fastbp, got {layer!r}")
            if any(layer is other for other in self.layers.values()):
                raise ValueError(f"layers must be different objects, got {layer!r} twice")
            kind = type(layer).__name__
            numbers[kind] = numbers.get(kind, 0) + 1
            self.layers[f"{kind}{numbers[kind]}"] = layer
        if not self._affines():
            raise ValueError("layers must hold at least one Affine")
        if loss is not None and (isinstance(loss, type) or not hasattr(loss, "as_targets")):
            raise TypeError(f"loss must be a loss layer of fastbp, got {loss!r}")
        self.lastLayer = SoftmaxWithLoss(eps=0) if loss is None else loss
        self.scale = _arguments.real("scale", scale, above=0)
        self._stepper: Stepper | None = None
        self._bind()

    def _affines(self) -> list[Affine]:
        return [layer for layer in self.layers.values() if isinstance(layer, Affine)]

    def _bind(self) -> None:
        """Move the parameters into one flat vector, and make the layers' arrays and ``params`` views of it."""
        columns = None
        parts: list[tuple[Affine, str, int, np.ndarray]] = []
        for n, layer in enumerate(self._affines(), 1):
            W, b = layer.checked_parameters()
            if columns is not None and W.shape[0] != columns:
                raise ValueError(f"W{n} of shape {W.shape} does not fit the {columns} outputs of the Affine before")
            columns = W.shape[1]
            parts.append((layer, "W", n, W))
            if layer.b is not None:
                parts.append((layer, "b", n, b))
        dtype = _check.computed_in(_check.result_type(*[array for *_, array in parts]))
        self._parameters = np.concatenate([array.astype(dtype, copy=False).ravel() for *_, array in parts])
        views, at = Params(), 0
        for layer, letter, n, array in parts:
            view = self._parameters[at : at + array.size].reshape(array.shape)
            at += array.size
            setattr(layer, letter, view)
            dict.__setitem__(views, f"{letter}{n}", view)
        self._arrays = [(layer, layer.W, layer.b) for layer in self._affines()]
        self.params = views

    def _bound(self) -> np.ndarray:
        """The flat vector of the parameters; bound anew where a layer was given other arrays."""
        for layer, W, b in self._arrays:
            if layer.W is not W or layer.b is not b:
                self._bind()
                break
        return self._parameters

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stepper": None}  # its programs hold addresses of this network's arrays

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()  # a copy's arrays are no longer views of one vector

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

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of ``x`` (N, I): the output of the last layer, dropout switched off.

        Many rows are computed in blocks, so that Ctrl-C is heard; the layers then keep the last block for a backward.
        """
        return in_blocks(self._scores, x, self._parameters.size)

    def _scores(self, x: ArrayLike) -> np.ndarray:
        out = self._scaled(x)
        for layer in self.layers.values():
            out = layer.predict(out) if hasattr(layer, "predict") else layer.forward(out)
        return out

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Return the probabilities that the loss layer makes of the scores of ``x`` (N, I)."""
        return self.lastLayer.probabilities(self.predict(x))

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss of ``x`` (N, I) against targets ``t``, which are those of the loss layer."""
        return self.lastLayer.forward(self._scores(x), t)  # the layers keep all rows, as in the book

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
        """Return the gradient of the loss for each of ``params`` by backpropagation, layer by layer."""
        out = self._scaled(x)
        for layer in self.layers.values():
            out = layer.forward(out)
        self.lastLayer.forward(out, t)
        dout = self.lastLayer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        gradients: dict[str, Any] = {}
        for n, layer in enumerate(self._affines(), 1):
            gradients[f"W{n}"] = layer.dW
            if layer.db is not None:
                gradients[f"b{n}"] = layer.db
        return gradients

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by central differences: slow, for checking."""
        self._bound()
        return {name: numerical_gradient(lambda _: self.loss(x, t), p) for name, p in self.params.items()}

    fit = fit

    def step(self, x: ArrayLike, t: ArrayLike, optimizer: str | Optimizer = "sgd") -> float:
        """Train by one step on a mini-batch and return its loss before the step: for data that come one by one.

        ``x`` is (N, I), ``t`` what the loss layer takes. The optimizer's state is kept from call to call for as long as
        the same optimizer is given.

        Raises ValueError and TypeError as ``fit`` does, FloatingPointError where the loss is not finite; nothing has
        changed then.
        """
        parameters = self._bound()
        stepper = self._stepper
        if (
            stepper is None
            or stepper.parameters is not parameters
            or (stepper.given is not optimizer and stepper.given != optimizer)
        ):
            stepper = self._stepper = Stepper(self, optimizer)
        return stepper(self, x, t)

    def _lower_backward(self, passes: list[Backward], dout: int) -> None:
        """Write the layers' backward passes, back to the first with parameters, whose dx nobody needs."""
        first = next(place for place, layer in enumerate(self.layers.values()) if isinstance(layer, Affine))
        for place in range(len(passes) - 1, first - 1, -1):
            dout = passes[place](dout, place > first)

    def _lower(self, p: Lowering, x: int, columns: int) -> tuple[int, int, list[Backward]]:
        """Write the forward pass; return the address and columns of the scores, and the layers' backward passes."""
        layers = list(self.layers.values())
        passes: list[Backward] = []
        computed = False
        for place, layer in enumerate(layers):
            if isinstance(layer, Affine):
                following = layers[place + 1] if place + 1 < len(layers) else None
                activation = getattr(following, "in_product", LINEAR)
                x, columns, backward = layer.lower(p, x, columns, place, activation)
                computed = activation != LINEAR
            else:
                x, columns, backward = layer.lower(p, x, columns, place, computed)
                computed = False
            passes.append(backward)
        return x, columns, passes


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
