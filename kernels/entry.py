"""Kernels as Python calls them: with arrays, of which compiled code looks whether they are what the kernel takes.

A layer's call of a few rows is over in less time than Python, or numba's own way in, takes to look at its arrays. An
``Entry`` is therefore a function of Python's C interface, and what it does is compiled (``enter``): it looks at each
argument, makes new arrays for the results, and calls the kernel with addresses. To other Python threads all of this is
one moment: what they change is changed before it or after.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numba import types

from . import enter as of
from ._jit import compiled_address, kernel
from .memory import bits_of_float, float_of_bits, load, matrix, store, view


@kernel(inline=True)
def operand(operands, n):
    """Of the operand number ``n`` of those that a kernel gets, given and made: its address, rows and columns.

    Of more than two dimensions the last are the columns; of one dimension it is a row.
    """
    at = operands + 8 * (of.FIRST + of.OPERAND_WORDS * n)
    return load(at + 8 * of.AT), load(at + 8 * of.ROWS), load(at + 8 * of.COLUMNS)


@kernel(inline=True)
def strides_of(operands, n):
    """Elements from row to row, and from column to column, of an operand that may be in either order."""
    at = operands + 8 * (of.FIRST + of.OPERAND_WORDS * n)
    return load(at + 8 * of.BY_ROW), load(at + 8 * of.BY_COLUMN)


@kernel(inline=True)
def number(operands, n):
    """The operand number ``n``, a float64."""
    return float_of_bits(operand(operands, n)[0])


@kernel(inline=True)
def integer(operands, n):
    """The operand number ``n``, an int64."""
    return operand(operands, n)[0]


@kernel(inline=True)
def vector(operands, n, one):
    """The operand number ``n``, of the type of ``one`` and of one dimension; without elements where it is None."""
    at, _, columns = operand(operands, n)
    return view(at, columns if at else 0, one)


@kernel(inline=True)
def rows_of(operands, n, one):
    """The operand number ``n``, of the type of ``one`` and of two dimensions."""
    at, rows, columns = operand(operands, n)
    return matrix(at, rows, columns, one)


@kernel(inline=True)
def give_number(operands, n, value):
    """Leave a float64 as the operand number ``n``, which is made."""
    store(operands + 8 * (of.FIRST + of.OPERAND_WORDS * n + of.AT), bits_of_float(value))


@kernel(inline=True)
def extra(operands, n):
    """One of the addresses that an entry has beside its operands."""
    return load(operands + 8 * (of.EXTRA + n))


class _Method(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


FASTCALL = 0x80
_ELEMENTS = {"": of.REAL, "bool": of.BOOL, "labels": of.LABELS, "double": of.REAL64}
_SCALARS = {"number": of.NUMBER, "integer": of.INTEGER}
TYPES = [np.dtype(kind) for kind in (np.float32, np.float64, np.bool_, np.intp)]


def _nothing(*arguments: Any) -> None:
    """What an entry says before its kernel is compiled."""


class Entry:
    """A kernel as a function of Python's.

    Parameters
    ----------
    kernel : compiled function of ``(team, operands, one)``
        The address of a team, that of the operands' words, and a number of the type of the elements. It returns 0 where
        operands do not fit each other, having written nothing, and else 1.
    form : str
        What it takes and what it makes: ``"NI IO' O=None -> NO"``. A letter is the length of a dimension, everywhere
        the same; ``...`` is any shape, the same for all; ``number`` a float, ``integer`` one of 64 bits. Arrays hold
        the call's float32 or float64 unless a colon says ``bool``, ``labels`` (intp) or ``double``. They are in C
        order, or with a ``'`` in either; with ``=None``, None will do.
    extras : functions of a dtype
        Give addresses that the kernel takes beside its operands.
    needs_team : bool
        False for a kernel that has no use for its team where there are less than two parts to do.

    Attributes
    ----------
    call : function of what gives a team's address and of the operands
        Returns the arrays that the kernel made, a tuple where there are several. None where an operand is not as
        ``form`` has it, or the kernel is not compiled for its type yet, or says that they do not fit.
    """

    __slots__ = ("_extras", "_kernel", "_words", "call")

    def __init__(
        self, kernel: Any, form: str, extras: tuple[Callable[[np.dtype], int], ...] = (), *, needs_team: bool = True
    ) -> None:
        self._kernel, self._extras, self.call = kernel, extras, _nothing
        given, _, made = form.partition("->")
        takes, makes = ([_code(token) for token in part.split()] for part in (given, made))
        assert len(takes) <= of.MOST_GIVEN and len(makes) <= of.MOST_MADE and len(extras) <= of.N_EXTRAS
        self._words = np.array([0] * of.OPERANDS + takes + makes, np.int64)
        self._words[[of.N_GIVEN, of.N_MADE, of.NEEDS_TEAM]] = len(takes), len(makes), needs_team

    def __call__(self, team: Callable[[], int], *operands: Any) -> Any:
        """What ``call`` returns for operands that are as ``form`` has them, compiled where it was not.

        Raises RuntimeError where an array is no longer what it was.
        """
        self.learn(operands[0].dtype)
        made = self.call(team, *operands)
        if made is None:
            raise RuntimeError("an array was changed by another thread while a layer took it")
        return made

    def learn(self, dtype: np.dtype) -> None:
        """Compile the kernel for float32 or float64, where it was not."""
        words, place = self._words, TYPES.index(dtype)
        if words[of.KERNELS + place] == 0:
            check_layout()
            for n, extra in enumerate(self._extras):
                words[of.EXTRAS + of.N_EXTRAS * place + n] = extra(TYPES[place])
            signature = types.int64(types.int64, types.int64, (types.float32, types.float64)[place])
            words[[of.NONE, of.ARRAY, of.FLOAT, of.INT]] = id(None), id(np.ndarray), id(float), id(int)
            words[of.NEW_ARRAY] = array_maker()
            words[of.TYPES : of.TYPES + len(TYPES)] = [id(dtype) for dtype in TYPES]
            words[of.KERNELS + place] = compiled_address(self._kernel, signature)
        if self.call is _nothing:
            self.call = function_of(of.enter, self._kernel.__name__, words)


def function_of(kernel: Any, name: str, words: np.ndarray) -> Callable[..., Any]:
    """A function of Python's C interface, compiled to take itself as ``words``, its arguments, and their number."""
    address = compiled_address(kernel, types.int64(types.int64, types.int64, types.int64))
    return _new_function(ctypes.byref(_method(address, name)), words, None)


@cache
def _method(address: int, name: str) -> _Method:
    """What functions of Python's refer to, never freed.

    They read it at every call and when they are freed themselves; at the end of a process that is after all modules.
    """
    method = _Method(name.encode(), address, FASTCALL, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(method))
    return method


def _code(token: str) -> int:
    token, _, default = token.partition("=")
    either = token.endswith("'")
    shape, _, elements = token.rstrip("'").partition(":")
    if shape in _SCALARS:
        return _SCALARS[shape]
    others = (of.EITHER_ORDER if either else 0) | (of.OR_NONE if default else 0)
    if shape == "...":
        return _ELEMENTS[elements] | of.ANY_SHAPE << 4 | others << 16
    letters = [LETTERS.index(letter) << (8 + 4 * axis) for axis, letter in enumerate(shape)]
    return _ELEMENTS[elements] | len(shape) << 4 | sum(letters) | others << 16


LETTERS = "NIOKDJ"


def layout_of(x: np.ndarray) -> tuple[Any, ...]:
    """What ``enter`` finds of an array: its address, dimensions, shape, strides, dtype, and those flags it asks for."""

    def word(address: int) -> int:
        return ctypes.c_int64.from_address(address).value

    at = id(x)
    ndim = word(at + of.NDIM) & 0xFFFFFFFF
    shape, strides = (
        tuple(word(word(at + place) + 8 * axis) for axis in range(ndim)) for place in (of.SHAPE, of.STRIDES)
    )
    flags = word(at + of.FLAGS) & (of.C_ORDER | of.F_ORDER | of.ALIGNED)
    return word(at + of.DATA), ndim, shape, strides, word(at + of.DTYPE), flags


@cache
def check_layout() -> None:
    """RuntimeError where NumPy keeps arrays in another way than ``enter`` has it."""
    x = np.empty((3, 2), np.float32)
    if layout_of(x) != (x.ctypes.data, 2, x.shape, x.strides, id(x.dtype), of.C_ORDER | of.ALIGNED):
        raise RuntimeError(
            f"fastbp does not know how NumPy {np.__version__} keeps its arrays: it needs another version"
        )


@cache
def array_maker() -> int:
    """Address of PyArray_NewFromDescr."""
    table = _pointer_in(import_module("numpy._core._multiarray_umath")._ARRAY_API, None)
    return ctypes.c_size_t.from_address(table + ctypes.sizeof(ctypes.c_size_t) * of.NEW_FROM_DESCR).value


_python = ctypes.pythonapi
_pointer_in = ctypes.PYFUNCTYPE(ctypes.c_size_t, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))
_new_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", _python)
)
