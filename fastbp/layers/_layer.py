"""What a network needs to know of a layer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.basics._attributes import recalls_no_more
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

_NONE: Mapping[str, str] = {}


class Numbering:
    """Gives the arrays of a network's layers their names: W1, b1, W2, ..., counted by the layers that have such.

    All of a layer have one number, the next that none of theirs has had.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, layer: Layer | type[Layer]) -> Mapping[str, str]:
        """The names of the next ``layer``'s parameters and buffers by the attributes that they are."""
        return self.of((*layer.parameters, *layer.buffers))

    def of(self, arrays: tuple[str, ...]) -> Mapping[str, str]:
        """As a call, for a layer with these attributes."""
        if not arrays:
            return _NONE
        n = max(self._counts.get(name, 0) for name in arrays) + 1
        self._counts.update(dict.fromkeys(arrays, n))
        return {attribute: f"{attribute}{n}" for attribute in arrays}


@lru_cache(maxsize=256)
def names_of(arrays: tuple[tuple[str, ...], ...]) -> tuple[Mapping[str, str], ...]:
    """What ``Numbering`` calls the arrays of layers with these attributes, which nobody may write into."""
    numbering = Numbering()
    return tuple([numbering.of(attributes) for attributes in arrays])


@lru_cache(maxsize=256)
def gradients_of(layers: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]) -> list[list[tuple[str, str, str]]]:
    """Of layers with these parameters and buffers: each parameter, its gradient, and its name in the network."""
    names = names_of(tuple([(*parameters, *buffers) for parameters, buffers in layers]))
    return [
        [(name, f"d{name}", called[name]) for name in parameters]
        for (parameters, _), called in zip(layers, names, strict=True)
    ]


def propagate(layers: Sequence[Any], dout: Any) -> None:
    """Put the gradient with respect to the last output back through ``layers``, which leave those of their parameters.

    That with respect to the input of the first is not computed, where the first knows how.
    """
    first, *rest = layers
    for layer in reversed(rest):
        dout = layer.backward(dout)
    getattr(first, "leave_gradients", first.backward)(dout)


@lru_cache(maxsize=1024)  # of what is asked of each layer several times as a network is made
def _lowers(cls: type, names: tuple[str, ...], *methods: Any) -> bool:
    """Whether ``lower`` is of a class of ``cls`` no older than those that its methods with these ``names`` are of.

    ``methods`` are these, so that others are another question.
    """

    def age(name: str) -> int:
        """How many classes of ``cls``, itself the youngest, are younger than the one that its method is of."""
        return next(age for age, owner in enumerate(cls.__mro__) if name in vars(owner))

    return all(age("lower") <= age(name) for name in names)


class Layer:
    """What a network asks of a layer: a layer is a subclass, and one of your own can stand in a network.

    It has ``forward`` and ``backward``, in NumPy or whatever you like. A network whose layers are all of fastbp is
    trained in compiled code, for which ``lower`` writes what ``forward`` and ``backward`` do as instructions; with a
    layer that has no ``lower``, or other ``forward`` and ``backward`` than the class that has it, ``fit`` and ``step``
    train layer by layer and say so once. All the rest is the same: the order of the samples, learning rates, clipping,
    callbacks, resume, what is done about numbers that are not finite, dropout's masks. The layer gets rows (N, I) then.

    Attributes
    ----------
    parameters : names of the attributes that train; ``backward`` leaves their gradients in attributes with a ``d`` in
        front: ``("W", "b")`` and ``dW``, ``db``. In a network these arrays become views of one vector. One that is None
        is none of the network's.
    buffers : names of the attributes that are kept with a network and not trained, such as running means; they are part
        of ``resume`` and of ``patience``, which go back to earlier weights
    remembers : names of the attributes that ``forward`` leaves for ``backward``, of which the class has what they are
        before the first; ``predict`` of a network has its layers forget them

    A step of training may go wrong, and then leaves buffers as they were before it, and parameters, unless the layer
    itself writes into these.
    """

    parameters: tuple[str, ...] = ()  # in the order of the flat vector
    buffers: tuple[str, ...] = ()
    remembers: ClassVar[tuple[str, ...]] = ()
    other_settings: ClassVar[tuple[str, ...]] = ()  # that instructions depend on, beside the constructor's arguments
    takes_images: ClassVar[bool] = False  # whether a sample is an image (C, H, W), whose size it does not know
    flattens_images: ClassVar[bool] = False  # whether it takes an image as a row by itself, and has a row come out
    elementwise: ClassVar[bool] = False  # whether it is a function of each number by itself, as activations are
    only_reshapes: ClassVar[bool] = False  # whether its output has the numbers of its input as they are
    takes_train_flg: ClassVar[bool] = False  # whether ``forward`` has that argument, as the book's has
    mixes_rows: ClassVar[bool] = False  # whether a row's result depends on the other rows, or on its place in the batch
    draws: ClassVar[bool] = False  # whether ``forward`` draws random numbers, which ``predict`` does not
    # How other software says it. PyTorch: a class of torch.nn, and its attributes with the names of ours. Python and
    # C99: y from x and what the constructor takes, by the names of its arguments. In Python it is an expression for
    # (N, K), or the body of a function; in C the body of a function for a row, which may ask for the ``sizes``, and is
    # not needed where rows stay what they are; REAL is the type of the numbers there, and ``@f`` ends the names of
    # mathematical functions.
    torch: ClassVar[tuple[str, dict[str, str]]]
    torch_too: ClassVar[tuple[str, ...]] = ()  # other classes of torch.nn that it is made of
    torch_unused: ClassVar[tuple[str, ...]] = ()  # integers in its state dict that mean nothing here
    numpy: str
    c: str

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        """One for samples of ``n`` numbers, to try it out with."""
        return cls()

    def checked(self) -> tuple[np.ndarray | None, ...]:
        """The ``parameters`` and ``buffers`` as they are now, in arrays of their own; None where the layer has none.

        Raises ValueError where they do not fit, TypeError for what is no array of real numbers.
        """
        arrays = ((name, getattr(self, name)) for name in (*self.parameters, *self.buffers))
        return tuple(None if a is None else _check.as_real(f"{name} of {type(self).__name__}", a) for name, a in arrays)

    @property
    def n_inputs(self) -> int | None:
        """Numbers in an input sample; None where any number will do. One of a network's layers must say it."""
        return None

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an output sample for input samples of ``shape``; ValueError where that does not fit."""
        return shape

    def least_rows(self, shape: tuple[int, ...]) -> int:
        """How many samples of that shape a batch must have for the layer to learn from it."""
        return 1

    def forward(self, x: ArrayLike) -> Any:
        """Return the output for samples ``x``, and remember what ``backward`` needs."""
        raise NotImplementedError

    def backward(self, dout: ArrayLike) -> Any:
        """Return the gradient with respect to ``x``, given that with respect to the output; leave the parameters'."""
        raise NotImplementedError

    def leave_gradients(self, dout: ArrayLike) -> None:
        """Leave the gradients of the parameters as ``backward`` does, where nobody asks for that of ``x``."""
        self.backward(dout)

    def predict(self, x: ArrayLike) -> Any:
        """Return what ``forward`` returns outside training."""
        return self.forward(x)

    def recall(self, x: np.ndarray, y: np.ndarray) -> None:
        """Leave what a ``forward`` of ``x`` with the result ``y`` left, which was the work of a program; move nothing.

        Before an activation whose derivative goes by its output, a product may have put that in the place of ``x``.
        """
        self.forward(x)

    def forget(self) -> None:
        """Forget the last ``forward``, as if there had been none."""
        recalls_no_more(self)
        for name in self.remembers:
            self.__dict__.pop(name, None)

    def sow(self, seed: int, place: int, step: int) -> None:
        """Get to know, before ``forward``, of what random numbers are to be drawn at a step of training.

        These follow from the run's seed, the layer's place in the network and the number of the step, both from 0.
        """

    def skip_draw(self) -> None:
        """Leave it to a copy, for a pass of its own, to draw the random numbers that would come next here."""

    @classmethod
    def is_lowered(cls) -> bool:
        """Whether ``lower`` writes what ``forward`` and ``backward`` do: neither is of a younger class."""
        own: Any = cls  # which can be hashed
        return own.lower is not Layer.lower and _lowers(
            own, ("forward", "backward"), own.lower, own.forward, own.backward
        )

    @classmethod
    def predict_is_lowered(cls) -> bool:
        """Whether ``lower`` writes what ``predict`` does, too."""
        own: Any = cls
        return own.is_lowered() and _lowers(own, ("predict",), own.lower, own.predict)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the forward pass into ``p`` and hang the backward pass on it; returns the output.

        If ``p.predicts``, write what ``predict`` does. What stands at ``x`` is not written to.
        """
        raise NotImplementedError

    def folded(self, before: Layer) -> Layer | None:
        """One layer that predicts what ``before`` and then this one do; None where there is none."""
        return None

    def with_scaled_inputs(self, scale: float) -> Layer | None:
        """A layer that does with ``x`` what this one does with ``scale x``; None where there is none."""
        return None

    def with_scaled_outputs(self, mean: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> Layer | None:
        """A layer that predicts ``(y - mean) factor + shift`` where this one predicts ``y``; None where there is none.

        The arrays (K,) have a number for each column of ``y`` (N, K), or for each channel or pixel of images.
        """
        return None

    @property
    def word(self) -> str:
        """What it is called in files of other languages: batch_normalization."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def onnx(self, node: Any, x: str) -> str:
        """Add what it does with ``x`` to an ONNX graph by ``node(operator, *inputs, **attributes)``; returns its name.

        An input that is a number or an array becomes a constant of the network's dtype.
        """
        raise NotImplementedError

    def onnx_on(self, node: Any, x: str, shape: tuple[int, ...]) -> str:
        """``onnx`` for input samples of that shape."""
        return self.onnx(node, x)

    def sizes(self, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> dict[str, int]:
        """The sizes that ``c`` may ask for by name, for samples of these shapes."""
        return {"n_inputs": math.prod(shape), "n_outputs": math.prod(out_shape)}

    def to_module(self, nn: Any) -> Any:
        """The module of torch.nn that does the same, its arrays still to come."""
        name, arguments = self.torch
        return getattr(nn, name)(**{theirs: getattr(self, ours) for theirs, ours in arguments.items()})

    def module_on(self, nn: Any, shape: tuple[int, ...]) -> Any:
        """``to_module`` for input samples of that shape."""
        return self.to_module(nn)

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """The layer that does what a module of torch.nn of that class does; TypeError where there is none."""
        return cls(**{ours: getattr(module, theirs) for theirs, ours in cls.torch[1].items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
