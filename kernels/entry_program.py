"""Steps and predictions of small networks as functions of Python's; see ``enter_program``."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from . import enter_program as of
from ._jit import NUMBA_TYPES, compiled_address
from .entry import TYPES, array_maker, check_layout, function_of
from .program import predict_at, take_step

Held = Sequence[tuple[dict[str, Any], str, Any]]
"""Dicts, names in them, and what they have by these."""


def looking_at(arrays: Held, others: Held) -> Callable[[], Any]:
    """A function that is True if the dicts still have the same objects, and all arrays, or None, can be written.

    Else it returns None. Whoever has it keeps dicts, names and objects alive.
    """
    check_layout()
    words = [id(None), id(True), len(arrays) + len(others), len(arrays)]
    for held in (*arrays, *others):
        words += map(id, held)
    return function_of(of.look, "look", np.array(words, np.int64))


def short_step(dtype: np.dtype, batch: int, shape: tuple[int, int], labels: int) -> Callable[..., Any]:
    """``enter_program.enter_step`` for the words at address ``batch``, samples of ``shape``, and where labels go."""
    words = _words_of_call(dtype, batch, shape)
    words[of.OWN_LABELS] = labels
    words[of.FUNCTION] = compiled_address(take_step, types.float64(*[types.int64] * 3, NUMBA_TYPES[dtype]))
    return function_of(of.enter_step, "step", words)


def short_prediction(
    dtype: np.dtype, prediction: int, shape: tuple[int, int], outputs: tuple[int, int]
) -> Callable[..., Any]:
    """``enter_program.enter_prediction`` for the words at address ``prediction``, and the shapes of both arrays."""
    words = _words_of_call(dtype, prediction, shape)
    words[of.OUTPUTS : of.OUTPUTS + 2] = outputs
    words[of.FUNCTION] = compiled_address(predict_at, types.int64(*[types.int64] * 4, NUMBA_TYPES[dtype]))
    return function_of(of.enter_prediction, "predict", words)


def _words_of_call(dtype: np.dtype, at: int, shape: tuple[int, int]) -> np.ndarray:
    check_layout()
    words, kind = np.zeros(of.CALL_WORDS, np.int64), TYPES.index(dtype)
    words[[of.NONE, of.ARRAY, of.NEW_ARRAY]] = id(None), id(np.ndarray), array_maker()
    words[[of.REAL, of.LABELS, of.KIND]] = id(TYPES[kind]), id(np.dtype(np.intp)), kind
    words[of.PROGRAM_WORDS], words[of.ROWS : of.COLUMNS + 1] = at, shape
    return words
