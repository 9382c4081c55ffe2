"""A network: layers one after the other, and the loss that its gradient is of."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp._binding import Binding
from fastbp._inputs import as_rows, as_shape, scaled
from fastbp._params import Params
from fastbp.basics import _arguments, _check
from fastbp.basics._blocks import in_blocks
from fastbp.basics._claim import Claim
from fastbp.basics._pin import pin
from fastbp.basics.gradient import numerical_gradient
from fastbp.layers._layer import Layer, gradients_of, propagate
from fastbp.losses import loss_layer
from fastbp.programs._predictor import Predictor


class Network:
    """Layers one after the other: what they give, what the loss layer makes of it, and its gradient.

    It knows nothing of training, files and pictures, which know it; ``Sequential`` is a Network with all of these.

    Letters in shapes: N samples, I inputs, K outputs.
    """

    _in_shape: tuple[int, ...] | None = None  # of what older pickles hold, too
    _told_by_layers = False  # whether it has been told that it is trained layer by layer
    _predict_is_kept: ClassVar[bool] = False  # whether ``predict`` leaves in the layers what ``backward`` needs

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.loss is not Network.loss or cls.gradient is not Network.gradient:  # which may go through predict
            cls._predict_is_kept = True

    def __init__(
        self,
        layers: Iterable[Any],
        loss: Any = None,
        *,
        scale: float = 1.0,
        in_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.layers: OrderedDict[str, Any] = OrderedDict()
        numbers: dict[str, int] = {}
        if isinstance(layers, str) or not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a sequence of layers, got {_arguments.shown(layers)}")
        for layer in layers:
            kind = type(layer).__name__
            numbers[kind] = numbers.get(kind, 0) + 1
            self.layers[f"{kind}{numbers[kind]}"] = layer
        self.loss_layer = loss_layer(loss)
        self.scale = scale
        self._in_shape = None if in_shape is None else as_shape(in_shape)
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        self._training, self._passing = Claim(), Claim()
        self._last_binding = Binding(self.layers, self.loss_layer, None, self._in_shape)
        self._predictor: Predictor | None = None

    def _binding(self) -> Binding:
        """What the layers are now; looked at anew where a layer, an array or a setting is another than before."""
        binding = self._last_binding
        while not binding.is_of(self.layers, self.loss_layer):
            if self._training.is_elsewhere():
                raise RuntimeError(
                    "a layer of a network in training in another thread, its arrays or its settings were replaced: "
                    "wait until that training has taken it up between two steps, or write into the arrays in place"
                )
            binding = self._last_binding = Binding(self.layers, self.loss_layer, binding, self._in_shape)
        return binding

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        """The shape of an input sample: (I,), or (C, H, W) of images.

        Of a network for images it is None until it was set, by ``in_shape`` or by the first images that ``predict``,
        ``fit``, ``step``, ``loss`` or ``gradient`` were given.
        """
        return self._binding().in_shape

    @in_shape.setter
    def in_shape(self, shape: tuple[int, ...]) -> None:
        own = as_shape(shape)
        self._binding()
        self._last_binding = Binding(self.layers, self.loss_layer, self._last_binding, own)
        self._in_shape = own

    def _learn_shape(self, x: Any) -> None:
        """Take the size of images from the first that come."""
        if self._last_binding.in_shape is None and (shape := np.shape(x))[1:] and len(shape) == 4:
            self.in_shape = shape[1:]

    @property
    def scale(self) -> float:
        """What inputs are multiplied by before the first layer, a float above 0."""
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
        return self._binding().vector.dtype

    @property
    def params(self) -> Params:
        """The parameters by name, as views of one vector."""
        binding = self._last_binding
        if not binding.has_arrays_of(self.layers, self.loss_layer):
            binding = self._binding()
        return binding.params

    @params.setter
    def params(self, arrays: Mapping[str, ArrayLike]) -> None:
        own = self.params
        if not isinstance(arrays, Mapping):
            raise TypeError(f"params must be a dict of arrays by name, got {_arguments.shown(arrays)}")
        if arrays.keys() != own.keys():
            raise ValueError(f"params must hold {', '.join(own)}, got {', '.join(map(str, arrays)) or 'none'}")
        own.update(arrays)

    @property
    def buffers(self) -> Params:
        """What layers keep beside the parameters, such as running means, by name, as views of one vector."""
        return self._binding().buffers

    def __getstate__(self) -> dict[str, Any]:
        own = ("_training", "_passing", "_last_binding", "_predictor")  # with this network's addresses and locks
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin_afresh()

    def __copy__(self) -> Network:
        return copy.deepcopy(self)  # two networks cannot share layers whose parameters lie in one vector

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self.layers.values()))
        scale = "" if self.scale == 1 else f", scale={self.scale:g}"
        return f"{type(self).__name__}([{names}], loss={self.loss_layer!r}{scale})"

    def _scaled(self, x: ArrayLike) -> Any:
        """What the first layer gets of ``x``."""
        self._learn_shape(x)
        return scaled(x, self._last_binding if self._scale == 1 else self._binding(), self._scale)

    def _copies(self, *, draws: bool) -> list[Any]:
        """Copies of the layers and the loss, for a pass while another thread is in the midst of one through them.

        ``draws`` says that the pass draws masks.
        """
        copies = [copy.copy(part) for part in (*self.layers.values(), self.loss_layer)]
        for layer in self.layers.values():
            if draws:
                layer.skip_draw()  # which is the copy's
        return copies

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of ``x`` (N, I): the output of the last layer, dropout switched off.

        It is one compiled call, of many rows one for each block, so that Ctrl-C is heard. Layer by layer it goes where
        a layer cannot be compiled, where the scores are of another type than the parameters, and where an array of a
        layer was replaced, until ``step``, ``fit`` or ``params`` have taken that up.

        Nothing is left in the layers that ``backward`` could go by: it is an error after ``predict``, as before the
        first ``forward``. Only in ``TwoLayerNet``, and in subclasses with a ``loss`` or ``gradient`` of their own, do
        the layers keep the pass, as in the book; of many rows, the last block.
        """
        predictor = self._predictor
        if (
            predictor is not None
            and type(x) is np.ndarray
            and self._scale == 1
            and (binding := self._last_binding).is_of(self.layers, self.loss_layer)
            and binding is predictor.chain
        ):
            scores = predictor(x)
            if scores is not None:
                for attributes, name in binding.remembered:
                    if name in attributes:
                        self._forget()
                        break
                return scores
        return self._predicted(x)

    def _predicted(self, x: ArrayLike) -> np.ndarray:
        """What ``predict`` returns, for what it was not called with before."""
        held = pin("x", x)
        self._learn_shape(x)
        binding = self._binding_that_predicts()
        if binding is None:
            way = self._scores if self._predict_is_kept else self._passed
            return in_blocks(way, x, self._last_binding.vector.size)
        x = _check.as_real("x", x)
        rows = as_rows(x, binding, self._scale)
        if rows is None:
            return in_blocks(self._passed, x, binding.vector.size)
        predictor = self._predictor
        if predictor is None or predictor.chain is not binding:
            predictor = self._predictor = Predictor(binding)
        scores = np.empty((len(rows), binding.n_outputs), binding.vector.dtype)
        for begin in range(0, len(rows), predictor.most_rows):
            block = rows[begin : begin + predictor.most_rows]
            into = scores[begin : begin + len(block)]
            predictor.write(len(block))
            if predictor(_check.ready(self._scaled(block), scores.dtype), into) is None:
                into[...] = self._passed(block)
        self._forget()
        del held
        return scores[0] if x.ndim == 1 else scores

    def _binding_that_predicts(self) -> Binding | None:
        """What the layers are now, if they can predict in compiled code and an array need not be moved for that."""
        binding = self._last_binding
        if self._predict_is_kept:
            return None
        try:
            if not binding.is_of(self.layers, self.loss_layer):
                if not binding.keeps_arrays_of(self.layers):
                    return None
                binding = self._binding()
        except (TypeError, ValueError, RuntimeError, AttributeError):
            return None  # what is wrong with them, the layers say themselves
        return binding if binding.predicts else None

    def _passed(self, x: ArrayLike) -> np.ndarray:
        """What ``predict`` returns, layer by layer, of all rows at once; the layers have forgotten it afterwards."""
        try:
            return self._scores(x)
        finally:
            self._forget()

    def _forget(self) -> None:
        """Have the layers forget the last pass through them, unless another thread is in the midst of one."""
        passing = self._passing
        try:
            if passing.take(False):
                for layer in self.layers.values():
                    if isinstance(layer, Layer):
                        layer.forget()
        finally:
            passing.end()

    def _scores(self, x: ArrayLike) -> np.ndarray:
        """What ``predict`` returns, layer by layer, of all rows at once; the layers keep what ``backward`` needs."""
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
        return self.loss_layer.probabilities(self.predict(x))

    def predict_classes(self, x: ArrayLike) -> np.ndarray:
        """Return the classes (N,) that are found for ``x`` (N, I): those of the highest scores.

        Of a network with one output it is 1 where its probability is above a half, else 0.

        Raises
        ------
        TypeError
            For a loss of numbers, such as MeanSquaredError.
        """
        self.loss_layer.must_be_of_classes("classes")
        return self.loss_layer.found(np.atleast_2d(self.predict(x)))

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss of ``x`` (N, I) against targets ``t``, which are those of the loss layer."""
        held = pin("t", t)
        passing = self._passing
        try:
            layer = self.loss_layer if passing.take(False) else copy.copy(self.loss_layer)
            loss = layer.forward(self._scores(x), t)  # the layers keep all rows, as in the book
        finally:
            passing.end()
        del held
        return loss

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of rows of ``x`` (N, I) whose class is the one that ``predict_classes`` finds.

        ``t`` is labels (N,) or (N, 1) in 0..K-1, or rows (N, K) whose largest element is the class; of a network with
        one output it is 0 or 1, (N,) or (N, 1).

        Raises
        ------
        TypeError
            For a loss of numbers, which has no accuracy, and for what is no array of real numbers.
        ValueError
            For no samples, for shapes that do not fit, and for labels out of range.
        """
        self.loss_layer.must_be_of_classes("accuracy")
        scores = np.atleast_2d(self.predict(x))
        if len(scores) == 0:
            raise ValueError("x must hold at least one sample, got none")
        labels = self.loss_layer.as_labels(t, scores.shape)
        return float(np.mean(self.loss_layer.found(scores) == labels))

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by backpropagation, layer by layer.

        The layers have then what ``forward`` and ``backward`` leave in them, but after an error the running statistics
        of before. Several threads may do this at once; one that finds another in the layers works in copies of them.
        """
        held = pin("x", x), pin("t", t)
        passing, statistics = self._passing, self._last_binding.kept
        before = statistics.copy()
        try:
            alone = passing.take(False)
            *layers, loss = [*self.layers.values(), self.loss_layer] if alone else self._copies(draws=True)
            out = self._scaled(x)
            for layer in layers:
                out = layer.forward(out)
            loss.forward(out, t)
            propagate(layers, loss.backward())
            # Before another thread may use the same layers.
            names = gradients_of(tuple([(tuple(layer.parameters), tuple(layer.buffers)) for layer in layers]))
            gradients = {
                name: getattr(layer, slope)
                for layer, own in zip(layers, names, strict=True)
                for attribute, slope, name in own
                if getattr(layer, attribute) is not None
            }
        except BaseException:
            statistics[...] = before
            raise
        finally:
            passing.end()
        del held
        return gradients

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by central differences: slow, for checking.

        The loss is that of training, where batch normalisation goes by the batch, but without dropout.
        """
        net = copy.deepcopy(self)  # whose parameters nobody else reads while they are varied
        return {name: numerical_gradient(lambda _: net._trained_loss(x, t), p) for name, p in net.params.items()}

    def _trained_loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """The mean loss that ``gradient`` is the gradient of, but nothing is drawn."""
        out = self._scaled(x)
        for layer in self.layers.values():
            out = layer.predict(out) if layer.draws else layer.forward(out)
        return self.loss_layer.forward(out, t)
