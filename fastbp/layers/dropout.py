"""Dropout as a layer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._arguments import shown
from fastbp.basics._attributes import left, remembered, setting
from fastbp.kernels import instructions as of
from fastbp.kernels.dropout import drop, drop_backward
from fastbp.kernels.entry import Entry
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

SEEDS = 1 << 63
FORWARD = Entry(drop, "... number integer integer integer -> ... ...:bool", needs_team=False)
BACKWARD = Entry(drop_backward, "... ...:bool number -> ...", needs_team=False)


def _word(name: str, value: Any) -> int:
    return _arguments.integer(name, value, 0, SEEDS - 1)


class Dropout(Layer):
    """Elements dropped at random while training, as a layer for arrays of any shape.

    An element is kept with probability 1 - p and then divided by it, so that means stay and nothing remains to be done
    when testing. (The book's layer leaves what it keeps as it is and multiplies by 1 - p when testing.)

    Parameters
    ----------
    p : float in 0..1
        Probability to drop an element.
    seed : int in 0..2^63-1, or None
        With ``stream`` and ``step`` it determines each mask, whatever the dtype, the shape and the threads, in a
        network's ``fit`` and ``step`` too, where the number of the training step, from 0, counts in place of ``step``.
        Without one, the masks there follow from the seed of ``fit`` or ``step`` and the layer's place, and elsewhere
        from one of the operating system's. Layers of one seed and stream drop alike. ``np.random``'s own state is
        neither used nor changed.
    dropout_ratio : float in 0..1
        The book's name for ``p``.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, or None
        True where the last ``forward`` kept; None before the first.
    stream : int
        0 unless set: tells apart layers that share a seed.
    step : int
        Number of masks drawn so far; set it to have one drawn again.
    """

    torch = "Dropout", {"p": "p"}
    takes_train_flg = True
    draws = True
    remembers = ("_last",)
    mixes_rows = True  # random numbers are counted through the batch
    other_settings = ("stream",)

    p: float = setting(lambda name, value: _arguments.real(name, value, 0, 1))
    seed: int | None = setting(lambda name, value: None if value is None else _word(name, value))
    stream: int = setting(_word)
    step: int = setting(_word)
    mask: np.ndarray | None = remembered(0)
    _last: tuple[np.ndarray | None, float] = left((None, 1.0))  # and the probability that its elements were kept with

    def __init__(self, p: float = 0.5, seed: int | None = None, *, dropout_ratio: float | None = None) -> None:
        if dropout_ratio is not None and p != 0.5:
            raise TypeError(f"p and dropout_ratio are names of one number, got {shown(p)} and {shown(dropout_ratio)}")
        self.p = p
        if dropout_ratio is not None:
            self.dropout_ratio = dropout_ratio
        self.seed = seed
        self._drawn = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) % SEEDS  # in place of a seed
        self.stream = 0
        self.step = 0

    @property
    def dropout_ratio(self) -> float:
        """The book's name for ``p``."""
        return self.p

    @dropout_ratio.setter
    def dropout_ratio(self, value: float) -> None:
        self.p = _arguments.real("dropout_ratio", value, 0, 1)

    def forward(self, x: ArrayLike, train_flg: bool = True) -> np.ndarray:
        """Return ``x / (1 - p)`` where a new mask is True and 0 elsewhere; a copy of ``x`` unless ``train_flg``.

        The dtype is that of ``x``, float64 for integers.

        Raises
        ------
        TypeError
            For what is no array of real numbers.
        """
        if not train_flg:
            x, dtype = _check.operand("x", x)
            self._last = np.ones(x.shape, _check.BOOL), 1.0
            return np.array(x, dtype)
        seed, keep = self._drawn if self.seed is None else self.seed, 1.0 - self.p
        made = FORWARD.call(_team.address, x, keep, seed, self.stream, self.step)
        if made is None:
            x, dtype = _check.operand("x", x)
            y, mask = FORWARD(_team.address, x, keep, seed, self.stream, self.step)
            made = _check.of_type(y, dtype), mask
        y, mask = made
        self._last = mask, keep
        self.__dict__["step"] += 1  # which needs no check
        return y

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout / (1 - p)`` where ``mask``, else 0.

        After a forward pass with ``train_flg=False`` it is ``dout``.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For a ``mask`` that was set to other than bools.
        """
        mask, keep = self._last
        dx = BACKWARD.call(_team.address, dout, mask, keep)
        if dx is None:
            if mask is None:
                raise _check.not_before_forward(self)
            dout, dtype = _check.operand("dout", dout)
            mask = _check.as_mask(mask, dout)
            dx = _check.of_type(BACKWARD(_team.address, dout, mask, keep), dtype)
        return dx

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` as it is, without touching the mask of the last ``forward``."""
        return _check.as_array("x", x)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer, whose masks follow from the run's seed and its place without one.

        A prediction has none of them.
        """
        if p.predicts:
            return x
        n, keep = p.rows * x.columns, 1.0 - self.p
        y, mask = p.buffer((self, "y"), x.columns), p.buffer((self, "mask"), x.columns, _check.BOOL)
        stream, seed = (p.place + 1, -1) if self.seed is None else (self.stream, self.seed)
        p.emit(of.Dropout(x.address, y, mask, n, keep, stream, seed))

        def backward(dy: int, wanted: bool) -> int:
            p.emit(of.DropoutGradient(dy, mask, dy, n, keep))
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)

    def sow(self, seed: int, place: int, step: int) -> None:
        """Draw the next mask as a program does at a training step."""
        self.step = step
        if self.seed is None:
            self._drawn, self.stream = seed, place + 1

    def skip_draw(self) -> None:
        """Have the next mask drawn by another."""
        self.step += 1

    def __repr__(self) -> str:
        return f"Dropout(p={self.p:g})"
