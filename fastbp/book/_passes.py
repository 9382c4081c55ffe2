"""The passes of a book's network, forward and back, as compiled programs.

Layers and arrays stay where they are and what they are: a program is told at each run where samples, targets, masks and
gradients lie, and what a forward would have left in the layers is recalled when somebody looks at it. Masks are drawn
from ``np.random`` before a run, in the order of the layers, as these do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp._settings import settings_of
from fastbp.activations import Relu, Sigmoid
from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._attributes import recalls
from fastbp.basics._claim import Claim
from fastbp.basics._pin import pin
from fastbp.book.layers import Affine, BatchNormalization, Convolution, Dropout, Pooling, SoftmaxWithLoss
from fastbp.kernels import program
from fastbp.kernels.entry_program import looking_at
from fastbp.kernels.gemm import NOTHING
from fastbp.losses._loss import as_loss, no_weights
from fastbp.programs._lowering import Lowering, words_with
from fastbp.programs._operand import Operand

MOST_PROGRAMS = 4  # kept, each with its buffers: of a whole mini-batch and of what is left at the end, back or not
MOST_ROWS = 1000  # of a program, in which Ctrl-C is not heard
CLASSES = (Affine, Convolution, Pooling, BatchNormalization, Relu, Sigmoid, Dropout)


class Held:
    """The layers and the loss of a network, and the arrays and settings that they have.

    Attributes
    ----------
    parameters : which layer has each, under which name, and what it is
    dtype : of all of these
    stays : whether a pass that does not go back moves no buffers
    n_classes : outputs
    remembered : the dict of each, and a name of what a forward leaves there
    """

    def __init__(self, layers: Sequence[Any], loss: Any) -> None:
        self.layers, self.loss = list(layers), loss
        of_layers = [(layer, name) for layer in layers for name in (*layer.parameters, *layer.buffers)]
        arrays = [(vars(layer), name, getattr(layer, name)) for layer, name in of_layers]
        found = [(layer, name, getattr(layer, name)) for layer in layers for name in layer.parameters]
        self.parameters = [one for one in found if one[2] is not None]
        self._shapes = [(array, array.shape) for _, _, array in arrays if array is not None]
        self.remembered = [(vars(part), name) for part in (*layers, loss) for name in part.remembers]
        self._attributes = [vars(part) for part in (*layers, loss)]
        self.dtype = self._shapes[0][0].dtype
        self.stays = all(type(layer) is not BatchNormalization for layer in layers)
        self.n_classes = next(layer.W.shape[1] for layer in reversed(self.layers) if type(layer) is Affine)
        settings = [of for part in (*layers, loss) for of in _settings(part)]
        self._look = looking_at(arrays, settings)
        self._kept = arrays, settings  # which it looks at by their addresses

    @classmethod
    def of(cls, layers: Sequence[Any], loss: Any) -> Held | None:
        """None where a layer is another than the book's, or has arrays that a program cannot take as they are."""
        if type(loss) is not SoftmaxWithLoss or not layers or type(layers[0]) not in (Affine, Convolution):
            return None
        if any(type(layer) not in CLASSES for layer in layers) or Affine not in map(type, layers):
            return None
        try:
            checked = [layer.checked() for layer in layers]
        except (TypeError, ValueError):
            return None  # which the layers say themselves
        found = []
        for layer, taken in zip(layers, checked, strict=True):
            for name, array in zip((*layer.parameters, *layer.buffers), taken, strict=True):
                own = getattr(layer, name)
                if array is None:
                    continue
                found.append(own)
                if type(own) is not np.ndarray or own.shape != array.shape or not own.flags.carray:
                    return None
        fits = found[0].dtype in _check.FLOATS and all(array.dtype == found[0].dtype for array in found)
        apart = len(set(map(id, layers))) == len(layers) and len(set(map(address_of, found))) == len(found)
        return cls(layers, loss) if fits and apart else None

    def is_of(self, layers: Sequence[Any], loss: Any) -> bool:
        """Whether these are the layers and the loss, as they were."""
        if loss is not self.loss or layers != self.layers or not self._look():
            return False
        for array, shape in self._shapes:
            if array.shape != shape:
                return False
        for attributes in self._attributes:  # noqa: SIM110 (a generator takes as long as all the rest)
            if "forward" in attributes or "backward" in attributes:
                return False
        return True


def _settings(part: Any) -> list[tuple[dict[str, Any], str, Any]]:
    """What a program of a layer or a loss depends on, but for its arrays, and for masks, which are given."""
    attributes, arrays = vars(part), () if type(part) is SoftmaxWithLoss else (*part.parameters, *part.buffers)
    names = () if type(part) is Dropout else settings_of(part, arrays)
    return [(attributes, name, attributes[name]) for name in names]


class _Apart(Lowering):
    """Of parameters and gradients each of which lies by itself; the latter elsewhere at each run."""

    def __init__(self, dtype: np.dtype, n_rows: int, parameters: Sequence[np.ndarray], twin: _Apart | None) -> None:
        nothing = np.zeros(0, dtype)
        super().__init__(nothing, nothing, n_rows, buffers=None if twin is None else twin._buffers)
        self.slopes = {self.keep(parameter): np.empty_like(parameter) for parameter in parameters}

    def place_of(self, parameter: np.ndarray) -> int:
        return address_of(parameter)

    def gradient_of(self, parameter: np.ndarray) -> int:
        return address_of(self.slopes[address_of(parameter)])

    def stay(self) -> None:
        """Write no backward pass, and keep nothing that could."""
        self._passes.clear()

    def array_at(self, at: int, shape: tuple[int, ...]) -> np.ndarray:
        """A copy of what is in the buffer at an address."""
        buffer = next(buffer for buffer in self._buffers.values() if address_of(buffer) == at)
        return buffer[: np.prod(shape, dtype=int)].reshape(shape).copy()


class Pass:
    """The pass forward and back for batches of one shape, with the arrays that it had at the last run.

    Parameters
    ----------
    held : the network
    shape : of the samples (N, ...)
    labels : whether targets are labels (N,) intp, not rows (N, K)
    back : whether it goes back, too
    twin : the pass of the same batches that does or does not; they never run at once, and have buffers in common
    """

    def __init__(self, held: Held, shape: tuple[int, ...], labels: bool, back: bool, twin: Pass | None) -> None:
        self._held, dtype, n = held, held.dtype, shape[0]
        arrays = [array for _, _, array in held.parameters]
        p = _Apart(dtype, n, arrays, None if twin is None else twin._lowering)
        self._lowering: _Apart = p
        parameters = held.parameters if back else []
        self._slopes = [(vars(layer), f"d{name}", array.shape) for layer, name, array in parameters]
        # Arrays in place of those that runs will bring.
        x, t = np.empty(shape, dtype), np.empty(n if labels else (n, held.n_classes), np.intp if labels else dtype)
        operand, self._outputs, masks = Operand(address_of(x), shape[1:]), [], []
        for p.place, layer in enumerate(held.layers):
            inside = layer.out_shape(operand.shape)
            if type(layer) is Dropout:
                masks.append(np.empty((n, *inside), _check.BOOL))
                operand = layer.lower_with(address_of(masks[-1]), p, operand)
            else:
                operand = layer.lower(p, operand)
            self._outputs.append((operand.address, (n, *operand.shape)))
        if operand.shape != (held.n_classes,):
            raise ValueError(f"scores of {held.n_classes} classes are expected at the end, got {operand.shape}")
        dout = held.loss.lower(p, operand, address_of(t), NOTHING, labels)
        if back:
            p.backward(dout)
        else:
            p.stay()
        self._table = p.table()
        self._mask_shapes = [mask.shape for mask in masks]
        # The words that have the address of one of these arrays, and of which.
        places = [np.flatnonzero(self._table == address_of(array)) for array in (t, *masks, *p.slopes.values())]
        self._places = np.concatenate(places), np.repeat(np.arange(len(places)), [len(words) for words in places])
        p.slopes.clear()
        inputs = words_with(address_of(x), self._table)
        self._step, words = np.zeros(program.STEP_WORDS, np.int64), np.zeros(program.BATCH_WORDS, np.int64)
        words[program.PROGRAM], words[program.N_INSTRUCTIONS] = p.keep(self._table), len(self._table)
        words[program.INPUTS], words[program.N_INPUTS] = p.keep(inputs), len(inputs)
        words[program.OWN_STEP], words[program.N_ROWS], words[program.N_CLASSES] = p.keep(self._step), n, held.n_classes
        self._words, self._one = words, dtype.type(1)

    def run(self, x: np.ndarray, t: np.ndarray, given: tuple[Any, Any]) -> Any:
        """Return the loss, and leave the gradients in the layers; None where it is not finite, and nothing was done.

        ``x`` and ``t`` are the samples and targets as the program takes them, and ``given`` as they came.
        """
        layers = self._held.layers
        state = np.random.get_state() if self._mask_shapes else None
        ratios = [layer.p for layer in layers if type(layer) is Dropout]
        masks = [np.random.random_sample(shape) > p for shape, p in zip(self._mask_shapes, ratios, strict=True)]
        slopes = [np.empty(shape, self._held.dtype) for _, _, shape in self._slopes]
        words, arrays = self._places
        self._table.reshape(-1)[words] = np.array([address_of(array) for array in (t, *masks, *slopes)])[arrays]
        team = _team.address_for(self._held.dtype)
        loss = program.take_step(team, address_of(self._words), address_of(x), self._one)
        if loss != loss:
            if state is not None:
                np.random.set_state(state)
            return None
        self._given, self._targets, self._masks, self._loss = given, t, masks, as_loss(loss, self._held.dtype)
        self._leave(slopes)
        return self._loss

    def _leave(self, slopes: list[np.ndarray]) -> None:
        """Put gradients into the layers, which recall the rest from here."""
        for (attributes, name, _), slope in zip(self._slopes, slopes, strict=True):
            attributes[name] = slope
        for attributes, name in self._held.remembered:
            attributes.pop(name, None)

    def is_recalled(self) -> None:
        """Have layers and loss recall by this what they do not have."""
        for place, part in enumerate((*self._held.layers, self._held.loss)):
            recalls(part, self, place)

    def recall(self, layer: Any, place: int) -> None:
        """Leave in a layer, or in the loss, what its forward of the last run would have."""
        x = self._lowering.array_at(*self._outputs[place - 1]) if place else self._given[0]
        if type(layer) is SoftmaxWithLoss:
            layer.forward(x, self._targets)
            _, y, *_ = layer._last
            t = _check.as_real("t", self._given[1])  # into which somebody may have written since
            layer._remember(self._loss, y, t, None, y.dtype, (self._targets, no_weights(y.dtype)))
        elif type(layer) is Dropout:
            layer._last = self._masks[sum(type(before) is Dropout for before in self._held.layers[:place])], 1.0
        elif type(layer) is Sigmoid:
            layer.out = self._lowering.array_at(*self._outputs[place])
        elif type(layer) is BatchNormalization:
            running = [getattr(layer, name) for name in layer.buffers]
            before = [array.copy() for array in running]
            layer.forward(x)
            for array, numbers in zip(running, before, strict=True):
                array[...] = numbers
        else:  # of which ReLU finds the same signs in what was put through it already
            layer.forward(self._lowering.array_at(*self._outputs[place]) if type(layer) is Relu else x)


class Passes:
    """The programs of a network, each written when a pass of its kind comes for the second time."""

    def __init__(self) -> None:
        self._claim = Claim()
        self._held: Held | None = None
        self._seen: list[tuple[tuple[int, ...], bool, bool]] = []  # the last come last
        self._programs: dict[tuple[tuple[int, ...], bool, bool], Pass] = {}
        self._last: Pass | None = None  # which layers recall by

    def run(self, layers: Sequence[Any], loss: Any, x: Any, t: Any, *, back: bool) -> Any:
        """Return the loss of a training pass by a program; None where there is none, with nothing done.

        If it goes ``back``, leave the gradients in the layers.
        """
        try:
            return self._run(layers, loss, x, t, back) if self._claim.take(False) else None
        finally:
            self._claim.end()

    def _run(self, layers: Sequence[Any], loss: Any, x: Any, t: Any, back: bool) -> Any:
        held = self._held
        if held is None or not held.is_of(layers, loss):
            held = self._held = Held.of(layers, loss)
            self._programs, self._seen = {}, []
        if held is None or not (back or held.stays):
            return None
        samples = _as_samples(x, held.dtype)
        if samples is None:
            return None
        try:
            targets = loss.as_targets(t, (len(samples), held.n_classes), held.dtype)
        except (TypeError, ValueError):
            return None  # which the layers say themselves
        key = samples.shape, targets.ndim == 1, back
        if key not in self._programs:
            if key not in self._seen:
                self._seen = [*self._seen[1 - 2 * MOST_PROGRAMS :], key]
                return None
            while len(self._programs) >= MOST_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            try:
                self._programs[key] = Pass(held, *key, self._programs.get((*key[:2], not back)))
            except ValueError:
                return None  # where shapes do not fit, which the layers say themselves
        if self._last is not (own := self._programs[key]):
            self._last = own
            own.is_recalled()
        held_there = pin("x", samples), pin("t", targets)
        found = own.run(samples, targets, (x, t))
        del held_there
        return found


def _as_samples(x: Any, dtype: np.dtype) -> np.ndarray | None:
    """``x`` as a program of ``dtype`` takes it, if what the layers made of it were of that type, too."""
    if type(x) is not np.ndarray or x.ndim < 2 or not 2 <= len(x) <= MOST_ROWS or not x.size:
        return None
    own = x.view()
    if own.dtype.kind not in "fiub" or own.dtype.itemsize > 8 or _check.result_type(own, np.empty(0, dtype)) != dtype:
        return None
    return _check.ready(own, dtype)
