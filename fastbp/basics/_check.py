"""What a layer accepts, and the form in which a kernel gets it.

Kernels see C-contiguous, aligned, native, writable arrays of float32 or float64 and nothing else; here an array is
taken as it is where it is so already, and copied where not. Errors name the argument, what was expected and what came.
The first test of each function is for the usual case: at the size of a few rows it is most of a layer's time.

Arrays of a user's can be changed by anyone at any time. A layer therefore takes each once, by ``as_real`` or
``operand``, and checks and uses what that returns: a view of its own or a copy, whose shape, strides and type are out
of reach. It keeps the memory alive, and where it is: ``ndarray.resize`` refuses to move what has a view.
"""

from typing import Any

import numpy as np

from fastbp.basics._arguments import FLOATS
from fastbp.kernels.row_losses import first_outside

FLOAT32, FLOAT64 = FLOATS
USUAL = (*FLOATS, np.dtype(np.intp))  # real, native, of at most 64 bits
BOOL = np.dtype(np.bool_)


def as_array(name: str, value: Any) -> np.ndarray:
    """``value`` as an array, of other libraries too: by ``__array__`` or ``__dlpack__``, without a copy if possible.

    Raises TypeError where that library does not give its array away, because it is on a GPU or requires a gradient, and
    for a masked array; ValueError for lists whose lengths differ.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, and masks are not looked at: fill it first, as by {name}.filled(0)")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{name} cannot be read as a NumPy array: {error}") from error
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise ValueError(f"{name} cannot be read as a NumPy array: {error}") from error
        raise ValueError(f"{name} must be an array or lists of one length, got lists of different lengths") from None


def as_real(name: str, value: Any) -> np.ndarray:
    """``value`` as an array of real numbers of at most 64 bits, in native byte order: a view or a copy, never itself.

    Raises TypeError for any other kind of array.
    """
    x = value.view() if type(value) is np.ndarray else as_array(name, value).view()
    if x.dtype in USUAL:
        return x
    if x.dtype.kind not in "fiub" or x.dtype.itemsize > 8:
        if hasattr(value, "toarray"):  # of scipy.sparse, which NumPy takes for one object
            raise TypeError(f"{name} is a sparse matrix, which only estimators take: {name}.toarray() is an array")
        raise TypeError(f"{name} must hold real numbers of at most 64 bits, got dtype {x.dtype}")
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def own_view(x: Any) -> np.ndarray:
    """A view of an array, whose shape nobody else sets."""
    return x.view()


def result_type(*arrays: np.ndarray) -> np.dtype:
    """The floating-point type of NumPy's result of arithmetic on ``arrays``; float64 where all are integers."""
    dtype = arrays[0].dtype
    for x in arrays:
        if x.dtype is not dtype:
            dtype = np.result_type(*arrays)
            break
    return dtype if dtype.kind == "f" else FLOAT64


def computed_in(dtype: np.dtype) -> np.dtype:
    """The type whose kernels compute results of floating-point type ``dtype``: float16 is computed in float32."""
    return FLOAT64 if dtype == FLOAT64 else FLOAT32


def ready(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``x`` of type ``dtype`` in the form that kernels take: itself or a copy, never a view."""
    if type(x) is np.ndarray and x.dtype == dtype and x.flags.carray:
        return x
    return np.array(x, dtype=dtype, order="C")


def operand(name: str, value: Any) -> tuple[np.ndarray, np.dtype]:
    """``value`` ready for a kernel, and the type of a result computed from it; see ``as_real``.

    Raises TypeError for what is no array of real numbers.
    """
    x = as_real(name, value)
    if x.dtype in FLOATS and x.flags.carray:
        return x, x.dtype
    dtype = result_type(x)
    return ready(x, computed_in(dtype)), dtype


def operands(names: tuple[str, str], a: Any, b: Any) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """``a`` and ``b`` ready for a kernel, and the type of a result computed from both; see ``as_real``.

    Raises TypeError for what is no array of real numbers, ValueError unless ``a`` has the shape of ``b``.
    """
    a, b = as_real(names[0], a), as_real(names[1], b)
    same_shape(names[0], a, b.shape, "x")
    if a.dtype is b.dtype and a.dtype in FLOATS and a.flags.carray and b.flags.carray:
        return a, b, a.dtype
    dtype = result_type(a, b)
    kind = computed_in(dtype)
    return ready(a, kind), ready(b, kind), dtype


def as_mask(value: Any, dout: np.ndarray) -> np.ndarray:
    """A layer's mask ready for a kernel beside ``dout``; see ``as_real``.

    Raises TypeError for what is no array of bools, ValueError unless ``dout`` has its shape.
    """
    mask = value.view() if type(value) is np.ndarray else as_array("mask", value).view()
    if mask.dtype != BOOL:
        raise TypeError(f"mask must hold bools, got dtype {mask.dtype}")
    same_shape("dout", dout, mask.shape, "x")
    return ready(mask, BOOL)


def of_type(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A result in the type that it is returned in."""
    return x if x.dtype is dtype else x.astype(dtype, copy=False)


def as_rows(x: np.ndarray) -> np.ndarray:
    """A contiguous array as two-dimensional, the one rank for which elementwise kernels are compiled."""
    return x if x.ndim == 2 else x.reshape(1, -1)


def same_shape(name: str, x: np.ndarray, shape: tuple[int, ...], origin: str) -> None:
    """ValueError unless ``x`` has ``shape``, which is that of ``origin``."""
    if x.shape != shape:
        raise ValueError(f"{name} must have the shape of {origin}, {shape}, got {x.shape}")


def within(name: str, x: np.ndarray, low: float, high: float, otherwise: str) -> None:
    """Raise ValueError for the first element of ``x`` outside ``low``..``high``, saying that it is ``otherwise``.

    NaN passes. ``x`` is ready for a kernel.
    """
    n = first_outside(x.reshape(-1), low, high)
    if n >= 0:
        where = ", ".join(map(str, np.unravel_index(n, x.shape)))
        raise ValueError(f"{name}[{where}] is {x.flat[n]}, {otherwise}")


def not_before_forward(layer: object) -> RuntimeError:
    return RuntimeError(f"{type(layer).__name__}.backward was called before forward")
