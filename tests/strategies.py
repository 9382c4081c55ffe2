"""What the tests feed to fastbp: shapes, dtypes, values and memory layouts, and how they compare answers."""

import numpy as np
from hypothesis import strategies as st

FLOATS = (np.float32, np.float64)
INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
SPECIALS = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-30, -1e-30, 1e30, -1e30)

# None, one, around the widths of vectors and register tiles, and anything between.
SIZES = st.one_of(st.sampled_from([0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65]), st.integers(0, 40))
SOME = SIZES.filter(bool)
GEOMETRIES = [  # images, filter or window, stride, pad
    ((2, 3, 6, 5), (3, 2), 1, 0),
    ((1, 1, 9, 9), (3, 3), 2, 1),
    ((3, 2, 5, 5), (5, 5), 1, 2),
    ((2, 2, 4, 4), (2, 2), 3, 0),
    ((1, 1, 1, 1), (1, 1), 1, 0),
    ((2, 1, 8, 3), (2, 3), 5, 2),
]
FLOAT_DTYPES = st.sampled_from(FLOATS)
SHAPES = st.one_of(
    st.just(()),
    st.tuples(SIZES),
    st.tuples(SIZES, SIZES),
    st.tuples(*[st.integers(0, 5)] * 3),
    st.tuples(*[st.integers(0, 4)] * 4),
)


def eps(dtype):
    return float(np.finfo(dtype).eps)


@st.composite
def normal(draw, shape, dtype=np.float64, scale=1.0):
    """An array of normal numbers; the seed is what hypothesis draws, so large arrays stay cheap."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.asarray(scale * rng.standard_normal(shape)).astype(dtype)


@st.composite
def hostile(draw, shape, dtype=np.float64):
    """Normal numbers, a third of them replaced by zeros of both signs, nan, infinities and extremes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.where(rng.random(shape) < 1 / 3, rng.choice(SPECIALS, shape), rng.standard_normal(shape))
    return np.asarray(values).astype(dtype)


@st.composite
def affine_shapes(draw, sizes=SIZES):
    """Shapes of x and W: x of (D,), (N, D) or (N, C, H, W)."""
    outputs = draw(sizes)
    kind = draw(st.sampled_from(["sample", "rows", "images"]))
    if kind == "images":
        x_shape = (draw(sizes), *draw(st.tuples(*[st.integers(1, 4)] * 3)))
        return x_shape, (int(np.prod(x_shape[1:])), outputs)
    inputs = draw(sizes)
    return ((inputs,) if kind == "sample" else (draw(sizes), inputs)), (inputs, outputs)


def contiguous(a):
    """A fresh C-ordered, aligned, native-endian copy."""
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C", copy=True)


def _strided(a):
    # The gaps hold what would show in any answer that read them.
    gaps = np.nan if a.dtype.kind == "f" else 1
    wide = np.full([2 * n + 1 for n in a.shape], gaps, a.dtype)
    view = wide[(*[slice(1, 2 * n + 1, 2) for n in a.shape], ...)]
    view[...] = a
    return view


def _reversed(a):
    backwards = (*[slice(None, None, -1)] * a.ndim, ...)
    return contiguous(a[backwards])[backwards]


def _read_only(a):
    a = contiguous(a)
    a.flags.writeable = False
    return a


def _unaligned(a):
    view = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


# Each gives the values of ``a`` in another memory layout; "zero stride" repeats the first row of ``a``.
LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "negative stride": _reversed,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": _read_only,
    "unaligned": _unaligned,
    "zero stride": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and len(a) else a,
}


def assert_same_bits(got, expected):
    """Same dtype (byte order aside), shape and bits."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert got.shape == expected.shape
    assert contiguous(got).tobytes() == contiguous(expected).tobytes()


def assert_within(got, expected, tolerance):
    """``|got - expected| <= tolerance`` entry by entry, with the same shape, nans and infinities."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    error = np.abs(got[finite].astype(np.longdouble) - expected[finite])
    excess = error - np.broadcast_to(tolerance, expected.shape)[finite]
    assert np.all(excess <= 0), f"{error.max()} off, {excess.max()} more than allowed"
