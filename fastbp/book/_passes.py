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
from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._attributes import recalls
from fastbp.basics._claim import Claim
from fastbp.basics._pin import pin
from fastbp.book.layers import IN_NETWORKS, LOSSES_OF_NETWORKS
from fastbp.kernels import program
from fastbp.kernels.entry_program import looking_at
from fastbp.kernels.gemm import NOTHING
from fastbp.losses._loss import as_loss
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

MOST_PROGRAMS = 4  # kept, each with its buffers: of a whole mini-batch and of what is left at the end, back or not
MOST_ROWS = 1000  # of a program, in which Ctrl-C is not heard


class Held:
    """The layers and the loss of a network, and the arrays and settings that they have.

    Attributes
    ----------
    parameters : which layer has each, under which name, and what it is
    dtype : of all of these
    stays : whether a pass that does not go back moves no buffers
    n_classes : outputs
    drawing : the layers that draw masks, and their places
    remembered : the dict of each, and a name of what a forward leaves there
    """

    def __init__(self, layers: Sequence[Any], loss: Any, n_classes: int) -> None:
        self.layers, self.loss, self.n_classes = list(layers), loss, n_classes
        self.drawing = [(place, layer) for place, layer in enumerate(layers) if layer.draws]
        of_layers = [(layer, name) for layer in layers for name in (*layer.parameters, *layer.buffers)]
        arrays = [(vars(layer), name, getattr(layer, name)) for layer, name in of_layers]
        found = [(layer, name, getattr(layer, name)) for layer in layers for name in layer.parameters]
        self.parameters = [one for one in found if one[2] is not None]
        self._shapes = [(array, array.shape) for _, _, array in arrays if array is not None]
        self.remembered = [(vars(part), name) for part in (*layers, loss) for name in part.remembers]
        self._attributes = [vars(part) for part in (*layers, loss)]
        self.dtype = self._shapes[0][0].dtype
        self.stays = not any(layer.buffers for layer in layers)
        settings = [of for layer in layers if not layer.draws for of in _settings(layer)]  # masks are given
        settings += [(vars(loss), name, getattr(loss, name)) for name in settings_of(loss, ())]
        self._look = looking_at(arrays, settings)
        self._kept = arrays, settings  # which it looks at by their addresses

    @classmethod
    def of(cls, layers: Sequence[Any], loss: Any) -> Held | None:
        """None where a layer is another than the book's, or has arrays that a program cannot take as they are."""
        if type(loss) not in LOSSES_OF_NETWORKS or any(type(layer) not in IN_NETWORKS for layer in layers):
            return None
        if not layers or not layers[0].parameters:  # by which samples get a type
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
        n_classes = _n_outputs(layers) if fits and apart else None
        return None if n_classes is None else cls(layers, loss, n_classes)

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


def _settings(layer: Any) -> list[tuple[dict[str, Any], str, Any]]:
    """What a program of a layer depends on, but for its arrays."""
    attributes = vars(layer)
    return [(attributes, name, attributes[name]) for name in settings_of(layer, (*layer.parameters, *layer.buffers))]


def _n_outputs(layers: Sequence[Any]) -> int | None:
    """How many numbers come out, by the last layer that says how many go in; None where that is not known."""
    last = max((place for place, layer in enumerate(layers) if layer.n_inputs is not None), default=None)
    if last is None:
        return None
    shape: tuple[int, ...] = (layers[last].n_inputs,)
    try:
        for layer in layers[last:]:
            shape = layer.out_shape(shape)
    except ValueError:
        return None  # which the layers say themselves
    return shape[0]


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
        shapes = [shape]
        for layer in held.layers:
            shapes.append((n, *layer.out_shape(shapes[-1][1:])))
        if shapes[-1] != (n, held.n_classes):
            raise ValueError(f"scores of {held.n_classes} classes are expected at the end, got {shapes[-1]}")
        *_, scores = written = [*p.forward(held.layers, Operand(address_of(x), shape[1:]))]
        self._outputs = list(zip([operand.address for operand in written], shapes[1:], strict=True))
        dout = held.loss.lower(p, scores, address_of(t), NOTHING, labels)
        if back:
            p.backward(dout)
        else:
            p.stay()
        self._table = p.table()
        self._mask_shapes, buffers = [shapes[place] for place, _ in held.drawing], p.buffers()
        masks = [buffers[layer, "mask"] for _, layer in held.drawing]
        # The words that have the address of one of these arrays, and of which.
        given = address_of(t), *masks, *map(address_of, p.slopes.values())
        places = [np.flatnonzero(self._table == address) for address in given]
        self._places = np.concatenate(places), np.repeat(np.arange(len(places)), [len(words) for words in places])
        p.slopes.clear()
        self._words, self._one = np.zeros(program.BATCH_WORDS, np.int64), dtype.type(1)
        p.fill_in(self._words, self._table, address_of(x), np.zeros(program.STEP_WORDS, np.int64), held.n_classes)

    def run(self, x: np.ndarray, t: np.ndarray, given: tuple[Any, Any]) -> Any:
        """Return the loss, and leave the gradients in the layers; None where it is not finite, and nothing was done.

        ``x`` and ``t`` are the samples and targets as the program takes them, and ``given`` as they came.
        """
        drawing = self._held.drawing
        state = np.random.get_state() if drawing else None
        masks = [layer.draw(shape) for (_, layer), shape in zip(drawing, self._mask_shapes, strict=True)]
        slopes = [np.empty(shape, self._held.dtype) for _, _, shape in self._slopes]
        words, arrays = self._places
        self._table.reshape(-1)[words] = np.array([address_of(array) for array in (t, *masks, *slopes)])[arrays]
        team = _team.address_for(self._held.dtype)
        loss = program.take_step(team, address_of(self._words), address_of(x), self._one)
        if loss != loss:
            if state is not None:
                np.random.set_state(state)
            return None
        self._given, self._targets, self._loss = given, t, as_loss(loss, self._held.dtype)
        self._masks = {place: mask for (place, _), mask in zip(drawing, masks, strict=True)}
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
        if place in self._masks:
            layer.keep(self._masks[place])
            return
        x = self._lowering.array_at(*self._outputs[place - 1]) if place else self._given[0]
        if place == len(self._outputs):
            layer.recall(x, self._given[1], self._targets, self._loss)
        else:
            layer.recall(x, self._lowering.array_at(*self._outputs[place]))


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
