"""Predictions: the program of a forward pass alone, run by one compiled call."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable
from typing import Any
from weakref import ref

import numpy as np

from fastbp.basics import _machine, _team
from fastbp.basics._blocks import LEAST_ROWS, rows_of_block
from fastbp.basics._pin import pin
from fastbp.kernels import program as of
from fastbp.kernels.entry_program import short_prediction
from fastbp.kernels.program import predict
from fastbp.programs._lowering import Lowering, words_with
from fastbp.programs._program import Chain, is_short

MOST_PROGRAMS = 128  # that a thread keeps, for as many numbers of rows; a kilobyte or two each


def of_any(*arguments: object) -> None:
    """In place of a compiled call."""


class _Prediction:
    """The program for one number of rows.

    Attributes
    ----------
    address : of its words, see ``kernels.program``; they live as long as this
    shape : of its scores (N, K)
    enter : what a call is, of a team's address and samples, if it takes a moment; else it does nothing
    """

    def __init__(self, p: Lowering, chain: Chain) -> None:
        x = np.empty(0, p.dtype)  # whose address stands for that of a call's input
        scores = chain.forward(p, x.ctypes.data)
        self.shape = p.rows, scores.columns
        self._lowering, self._table = p, p.table()
        self._inputs, self._outputs = (words_with(at, self._table) for at in (x.ctypes.data, scores.address))
        self._words = words = np.zeros(of.PREDICTION_WORDS, np.int64)
        words[of.PROGRAM], words[of.N_INSTRUCTIONS] = self._table.ctypes.data, len(self._table)
        words[of.N_ROWS], words[of.N_COLUMNS] = p.rows, chain.n_inputs
        words[of.INPUTS], words[of.N_INPUTS] = self._inputs.ctypes.data, len(self._inputs)
        words[of.OUTPUTS], words[of.N_OUTPUTS] = self._outputs.ctypes.data, len(self._outputs)
        self.address = words.ctypes.data
        self.enter = of_any
        if is_short(chain, p.rows):
            self.enter = short_prediction(p.dtype, self.address, (p.rows, chain.n_inputs), self.shape)


class _Own(threading.local):
    """What a thread has of its own: programs by the shapes of their input, and the buffers between their layers."""

    def __init__(self) -> None:
        self.programs: dict[tuple[int, ...], _Prediction] = {}
        self.buffers: dict[Hashable, np.ndarray] = {}
        self.team: _team.Team | None = None  # the last that knew the product
        self.enter: Callable[..., Any] = of_any  # of the program that was used last


class Predictor:
    """What layers one after the other predict, for any number of rows.

    Several threads may use it at once: each has programs of its own, which share their buffers. They hold addresses;
    what is behind these lives in their ``Lowering``. Input and output are handed over as arrays at each call.

    Attributes
    ----------
    chain : the layers
    most_rows : that are computed at once
    """

    def __init__(self, chain: Chain) -> None:
        self.chain, self._dtype = chain, chain.vector.dtype
        width = sum(map(math.prod, chain.shapes)) * self._dtype.itemsize
        most_bytes = _machine.numbers().predict_bytes
        self.most_rows = min(rows_of_block(chain.vector.size), max(LEAST_ROWS, most_bytes // max(1, width)))
        self._own = _Own()
        chain.learn_to_look()

    def __call__(self, x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | None:
        """Return the scores (N, K) of ``x``, an ndarray and of no subclass; in ``y`` if that is given.

        Images are taken as they are, and as rows. None where ``x`` is not in the form that a program takes, or not of
        as many rows as one was written for by this thread, and where the program did not come to its end. ``y`` has
        then to be filled in another way.
        """
        own = self._own
        if not own.programs:
            return None  # and starts no thread: the first call may be one that fails
        team = _team.current()
        if team is not own.team:
            team.learn_gemm(self._dtype)
            own.team = team
        if y is None:
            y = own.enter(team.address, x)
            if y is not None:
                return y
        held = ref(x) if x.base is None else pin("x", x)
        x = x.view()  # whose shape and type nobody else can change
        if x.ndim > 2 and x.shape[1:] == self.chain.in_shape:  # of images
            x = x.reshape(len(x), self.chain.n_inputs)
        program = own.programs.get(x.shape)
        if program is None or x.dtype != self._dtype or not x.flags.carray:
            return None
        if y is None:
            y = np.empty(program.shape, self._dtype)
        own.enter = program.enter
        done = predict(team.address, program.address, x, y)
        del held
        return y if done else None

    def write(self, n_rows: int) -> None:
        """Write the program for a number of rows, at most ``most_rows``, unless this thread has it."""
        own, vector, shape = self._own, self.chain.vector, (n_rows, self.chain.n_inputs)
        if shape in own.programs:
            return
        if len(own.programs) == MOST_PROGRAMS:
            own.programs = {}
        p = Lowering(vector, vector[:0], self.most_rows, predicts=True, buffers=own.buffers)
        p.rows = n_rows
        own.programs[shape] = _Prediction(p, self.chain)
