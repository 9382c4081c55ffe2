"""Networks: layers one after the other, and the loss they are trained by."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check, _classes, _summary
from fastbp._conversions import Conversions
from fastbp._lowering import Backward, Lowering
from fastbp._stepper import Stepper
from fastbp.affine import Affine
from fastbp.fit import fit
from fastbp.gradient import numerical_gradient
from fastbp.kernels.gemm import LINEAR
from fastbp.optimizers import Optimizer
from fastbp.softmax import Softmax
from fastbp.softmax_with_loss import SoftmaxWithLoss


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
    scale : what ``x`` is multiplied by; may be set, and ``fit(scale=...)`` sets it

    Letters in shapes: N samples, I inputs, K outputs.

    >>> net = Sequential([Affine(np.zeros((4, 3)), np.zeros(3))])
    >>> net.predict(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, layers: Iterable[Any], loss: Any = None, *, scale: float = 1.0) -> None:
        self.layers: OrderedDict[str, Any] = OrderedDict()
        numbers: dict[str, int] = {}
        if isinstance(layers, str) or not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a sequence of layers, got {_arguments.shown(layers)}")
        seen: set[int] = set()
        for layer in layers:
            _check_layer(layer)
            if id(layer) in seen:
                raise ValueError(f"layers must be different objects, got {layer!r} twice")
            seen.add(id(layer))
            kind = type(layer).__name__
            numbers[kind] = numbers.get(kind, 0) + 1
            self.layers[f"{kind}{numbers[kind]}"] = layer
        if not self._affines():
            raise ValueError("layers must hold at least one Affine")
        if loss is not None and (isinstance(loss, type) or not hasattr(loss, "as_targets")):
            raise TypeError(f"loss must be a loss layer of fastbp, got {_arguments.shown(loss)}")
        self.lastLayer = SoftmaxWithLoss(eps=0) if loss is None else loss
        self.scale = scale
        self._stepper: Stepper | None = None
        self._bind()

    @property
    def scale(self) -> float:
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = _arguments.real("scale", value, above=0)

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
        return _summary.text(self)

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        return _summary.html(self)

    def _scaled(self, x: ArrayLike) -> Any:
        """What the first layer gets of ``x``: in the type that the network computes it in, times the scale."""
        if self.scale == 1:
            return x
        x = _check.as_real("x", x)
        dtype = _check.computed_in(_check.result_type(x, self._bound()))
        return np.multiply(x, dtype.type(self.scale), dtype=dtype)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of ``x`` (N, I): the output of the last layer, dropout switched off."""
        out = self._scaled(x)
        for layer in self.layers.values():
            out = layer.predict(out) if hasattr(layer, "predict") else layer.forward(out)
        return out

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Return the probabilities that the loss layer makes of the scores of ``x`` (N, I)."""
        return self.lastLayer.probabilities(self.predict(x))

    def predict_classes(self, x: ArrayLike) -> np.ndarray:
        """Return the classes (N,) that are found for ``x`` (N, I): those of the highest scores.

        Of a network with one output it is 1 where its probability is above a half, else 0. Raises TypeError for a loss
        of numbers, such as MeanSquaredError.
        """
        _classes.must_have_classes(self.lastLayer, "classes")
        return _classes.found(self.lastLayer, np.atleast_2d(self.predict(x)))

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss of ``x`` (N, I) against targets ``t``, which are those of the loss layer."""
        return self.lastLayer.forward(self.predict(x), t)

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of rows of ``x`` (N, I) whose class is the one that ``predict_classes`` finds.

        ``t`` is labels (N,) or (N, 1) in 0..K-1, or rows (N, K) whose largest element is the class; of a network with
        one output it is 0 or 1, (N,) or (N, 1).

        Raises TypeError for a loss of numbers, which has no accuracy, and for what is no array of real numbers;
        ValueError for no samples, for shapes that do not fit, and for labels out of range.
        """
        _classes.must_have_classes(self.lastLayer, "accuracy")
        scores = np.atleast_2d(self.predict(x))
        if len(scores) == 0:
            raise ValueError("x must hold at least one sample, got none")
        labels = _classes.as_labels(self.lastLayer, t, scores.shape)
        return float(np.mean(_classes.found(self.lastLayer, scores) == labels))

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


def _check_layer(layer: Any) -> None:
    """TypeError unless ``layer`` can stand between the input and the loss of a network."""
    if isinstance(layer, Softmax) or layer is Softmax:
        raise TypeError(
            "layers must end with scores, got Softmax: leave it out, for SoftmaxWithLoss, the loss of the "
            "network, is the softmax of scores and its loss in one, and predict_proba gives probabilities"
        )
    hint = ""
    if isinstance(layer, type):
        hint = f"; did you mean {layer.__name__}(...)?"
    elif hasattr(layer, "as_targets"):
        hint = f"; a loss is given apart, as loss={layer!r}"
    elif hasattr(layer, "lower") and hasattr(layer, "backward"):
        return
    raise TypeError(f"layers must be layers of fastbp, got {_arguments.shown(layer)}{hint}")
