"""Networks: layers one after the other, and the loss they are trained by."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check, _classes, _summary
from fastbp._binding import Binding, Params
from fastbp._blocks import in_blocks
from fastbp._claim import Claim, in_training
from fastbp._conversions import Conversions
from fastbp._layer import Numbering
from fastbp._pin import pin
from fastbp._stepper import Batch, Stepper
from fastbp.dropout import Dropout
from fastbp.fit import fit
from fastbp.gradient import numerical_gradient
from fastbp.optimizers import Optimizer
from fastbp.softmax_with_loss import SoftmaxWithLoss


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
    scale : what ``x`` is multiplied by; may be set, and ``fit(scale=...)`` sets it

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
        if isinstance(layers, str) or not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a sequence of layers, got {_arguments.shown(layers)}")
        for layer in layers:
            kind = type(layer).__name__
            numbers[kind] = numbers.get(kind, 0) + 1
            self.layers[f"{kind}{numbers[kind]}"] = layer
        self.lastLayer = SoftmaxWithLoss(eps=0) if loss is None else loss
        self.scale = scale
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

    @property
    def scale(self) -> float:
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = _arguments.real("scale", value, above=0)

    @property
    def n_inputs(self) -> int:
        """Numbers in an input sample."""
        return self._binding().n_inputs

    @property
    def n_outputs(self) -> int:
        """Numbers in an output sample, the scores of a row."""
        return self._binding().n_outputs

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64, of all parameters."""
        return self._bound().dtype

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
        return _summary.text(self)

    def program(self, batch_size: int = 32, optimizer: str | Optimizer = "sgd") -> str:
        """Return the instructions that ``step`` runs for a mini-batch, a line each, with their operands by name.

        Compiles what the network needs. Raises ValueError and TypeError as ``step`` does.

        >>> net = Sequential([Affine(np.zeros((4, 3)), None)])
        >>> print(net.program(batch_size=2).splitlines()[0])
        AffineForward     x=x W=W1 b=0 y=Affine1.y plan=2x3x4:tiles function=none number=0
        """
        binding = self._binding()
        labels = binding.loss.has_classes
        n_rows = _arguments.integer("batch_size", batch_size, 1)
        targets = np.zeros(
            n_rows if labels else (n_rows, binding.n_outputs), np.intp if labels else binding.vector.dtype
        )
        batch = Batch(Stepper(binding, optimizer), n_rows, targets, False, 0.0)
        return batch.listing(self.layers)

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
        """Return the scores (N, K) of ``x`` (N, I): the output of the last layer, dropout switched off.

        Many rows are computed in blocks, so that Ctrl-C is heard; the layers then keep the last block for a backward.
        """
        return in_blocks(self._scores, x, self._last_binding.vector.size)

    def _scores(self, x: ArrayLike) -> np.ndarray:
        """What ``predict`` returns, of all rows at once."""
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

    def predict_classes(self, x: ArrayLike) -> np.ndarray:
        """Return the classes (N,) that are found for ``x`` (N, I): those of the highest scores.

        Of a network with one output it is 1 where its probability is above a half, else 0. Raises TypeError for a loss
        of numbers, such as MeanSquaredError.
        """
        _classes.must_have_classes(self.lastLayer, "classes")
        return _classes.found(self.lastLayer, np.atleast_2d(self.predict(x)))

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss of ``x`` (N, I) against targets ``t``, which are those of the loss layer."""
        held = pin("t", t)
        passing = self._passing
        try:
            layer = self.lastLayer if passing.take(False) else copy.copy(self.lastLayer)
            loss = layer.forward(self._scores(x), t)  # the layers keep all rows, as in the book
        finally:
            passing.end()
        del held
        return loss

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
            # Before another thread may use the same layers.
            gradients: dict[str, Any] = {}
            numbering = Numbering()
            for layer in layers:
                for attribute, name in numbering(layer).items():
                    if getattr(layer, attribute) is not None:
                        gradients[name] = getattr(layer, f"d{attribute}")
        finally:
            passing.end()
        del held
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
            where the loss is not finite, and nothing has changed then; and where a parameter no longer is: it stays so,
            since a copy of all parameters before each step would take longer than many a step
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
            return stepper.step(x, t, self.scale, sample_weight, clip_norm, seed)
        finally:
            training.end()
