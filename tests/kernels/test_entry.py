"""Kernels as functions of Python: what they take, what they make, and what they leave to others to look at."""

import pickle
import sys
from functools import partial

import numpy as np
import pytest
from calls import FLOATS, python, team_for
from numba.core.dispatcher import Dispatcher

import fastbp
from fastbp.basics._team import Team
from fastbp.kernels import entry as entries
from fastbp.kernels.affine import affine_forward
from fastbp.kernels.enter import ALIGNED, F_ORDER
from fastbp.kernels.entry import Entry
from fastbp.kernels.leaky_relu import leaky_relu_forward
from fastbp.kernels.relu import relu_backward, relu_forward
from fastbp.kernels.softmax import softmax_forward

RELU = Entry(relu_forward, "... -> ... ...:bool", needs_team=False)
RELU_BACK = Entry(relu_backward, "... ...:bool -> ...")
LEAKY = Entry(leaky_relu_forward, "... number -> ... ...:bool")
AFFINE = Entry(affine_forward, "NI IO' O=None -> NO")
SOFTMAX = Entry(softmax_forward, "NK -> NK")


def normal(*shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.fixture(autouse=True)
def _known():
    """Compiled, and a team that knows the product, for both types."""
    for dtype in FLOATS:
        x, team = normal(3, 3, dtype=dtype), partial(team_for, dtype)
        RELU(team, x), RELU_BACK(team, x, x > 0), LEAKY(team, x, 0.5), AFFINE(team, x, x, None), SOFTMAX(team, x)


def called(entry, *operands):
    return entry.call(lambda: team_for(np.float32), *operands)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (0, 5), (2, 3, 4, 5), (1,) * 9])
@pytest.mark.parametrize("dtype", FLOATS)
def test_any_shape_gives_arrays_of_that_shape(dtype, shape):
    x = np.asarray(normal(*shape, dtype=dtype))
    y, mask = called(RELU, x)
    assert y.shape == mask.shape == shape
    assert y.dtype is np.dtype(dtype)
    assert mask.dtype is np.dtype(bool)
    assert y.flags.owndata
    assert y.flags.carray
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(mask, x <= 0)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", [(4, 3, 2), (1, 1, 1), (5, 1, 3), (1, 7, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_letters_are_dimensions(shape, order):
    n, i, o = shape
    x, w, b = normal(n, i), np.array(normal(i, o), order=order), normal(o)
    np.testing.assert_allclose(called(AFFINE, x, w, b), x @ w + b, rtol=1e-13)
    np.testing.assert_allclose(called(AFFINE, x, w, None), x @ w, rtol=1e-13)


X = normal(4, 6)
NOT_USUAL = {
    "no array": [[1.0, 2.0]],
    "None": None,
    "a number": 1.0,
    "a NumPy number": np.float64(1),
    "a subclass": np.ma.MaskedArray(X),
    "columns apart": X[:, ::2],
    "rows apart": X[::2],
    "Fortran's order": np.asfortranarray(X),
    "of another byte order": X.astype(X.dtype.newbyteorder()),
    "unaligned": np.frombuffer(b"\0" * 49, np.uint8)[1:].view(np.float64).reshape(2, 3),
    "integers": np.ones((2, 3), int),
    "float16": np.ones((2, 3), np.float16),
    "longdouble": np.ones((2, 3), np.longdouble),
    "complex": np.ones((2, 3), complex),
    "objects": np.ones((2, 3), object),
    "text": np.array(["a"]),
    "records": np.zeros(3, [("a", "f4")]),
    "times": np.zeros(3, "m8[s]"),
}


@pytest.mark.parametrize("case", NOT_USUAL)
def test_what_is_not_usual_is_left_to_others_and_compiles_nothing(case):
    before = compiled()
    x = NOT_USUAL[case]
    assert called(RELU, x) is None
    assert called(RELU_BACK, x, X > 0) is None
    assert called(AFFINE, x, X, None) is None
    assert called(AFFINE, X, normal(6, 2), 1.0 if x is None else x) is None
    assert compiled() == before


def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("fastbp.kernels.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    return sum(len(kernel.overloads) for kernel in kernels)


def test_odd_arrays_compile_nothing_through_the_layers():
    W, b = normal(6, 3), normal(3)
    for dtype in FLOATS:
        layer = fastbp.Affine(W.astype(dtype), b.astype(dtype))
        layer.backward(np.ones_like(layer.forward(X.astype(dtype))))
        fastbp.relu(X.astype(dtype)), fastbp.softmax(X.astype(dtype)), fastbp.sigmoid(X.astype(dtype))
    before = compiled()
    read_only = X.copy()
    read_only.flags.writeable = False
    for x in (np.asfortranarray(X), X[:, ::-1], X.astype(">f8"), X.astype(np.float16), read_only, X.tolist()):
        for weights in (W, np.asfortranarray(W), W[::-1], W.astype(np.float32)):
            layer = fastbp.Affine(weights, b)
            layer.backward(np.ones_like(layer.forward(x)))
        fastbp.relu(x), fastbp.softmax(x), fastbp.sigmoid(x)
    assert compiled() == before


@pytest.mark.parametrize(
    ("entry", "operands"),
    [
        (AFFINE, (X, normal(5, 3), None)),
        (AFFINE, (X, normal(6, 3), normal(4))),
        (AFFINE, (X, normal(6, 3), normal(1, 3))),
        (AFFINE, (X, normal(6, 3, dtype=np.float32), None)),
        (AFFINE, (normal(6), normal(6, 3), None)),
        (AFFINE, (X, normal(6), None)),
        (RELU_BACK, (X, X.T > 0)),
        (RELU_BACK, (X, X[0] > 0)),
        (RELU_BACK, (X, X)),
        (LEAKY, (X, 1)),
        (LEAKY, (X, np.float64(1))),
        (SOFTMAX, (X[0],)),
        (SOFTMAX, (X[:, :0].copy(),)),
        (RELU, ()),
        (RELU, (X, X)),
    ],
)
def test_operands_that_do_not_fit_make_nothing(entry, operands):
    assert called(entry, *operands) is None


def test_a_type_that_was_pickled_is_the_same():
    x = pickle.loads(pickle.dumps(X))
    assert x.dtype is not X.dtype
    np.testing.assert_array_equal(called(RELU, x)[0], np.maximum(X, 0))


def test_arrays_that_are_read_only_are_read():
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(called(RELU, x)[0], np.maximum(X, 0))


def test_a_team_that_does_not_know_the_product_is_taught_it():
    team = Team(1)
    assert AFFINE.call(lambda: team.address, X, X.T.copy(), None) is None


def test_what_asking_for_a_team_raises_is_raised():
    def ask():
        raise RuntimeError("no more threads")

    for entry, operands in ((AFFINE, (X, X.T.copy(), None)), (RELU, (normal(400, 200),))):
        with pytest.raises(RuntimeError, match="no more threads"):
            entry.call(ask, *operands)
    assert RELU.call(ask, X) is not None


def test_arrays_are_looked_at_after_a_team_was_asked_for():
    """Which runs Python, and perhaps other threads."""
    x = normal(400, 200)

    def ask():
        x.resize((3, 2), refcheck=False)
        return team_for(np.float64)

    assert called(RELU, x)[0].shape == (400, 200)
    assert RELU.call(ask, x)[0].shape == (3, 2)


def test_references_are_neither_lost_nor_kept():
    large = normal(400, 200)  # at which other threads may run
    operands = [(RELU, X), (RELU, large), (RELU, None), (AFFINE, X, X, None), (AFFINE, large, large.T, None)]
    held = [None, np.dtype(float), np.dtype(bool), X, large]
    before = [sys.getrefcount(one) for one in held]
    for _ in range(1000):
        for entry, *given in operands:
            made = called(entry, *given)
            for array in made if isinstance(made, tuple) else (made,):
                assert array is None or sys.getrefcount(array) <= 4
    del made, array
    after = [sys.getrefcount(one) for one in held]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 100


def test_too_large_a_result_is_a_memory_error():
    x, w = np.empty((1 << 30, 0)), np.empty((0, 1 << 20))
    with pytest.raises(MemoryError):
        called(AFFINE, x, w, None)


def test_an_array_lies_in_memory_as_entries_take_it():
    """NumPy's binary interface, which an array's words are read by."""
    x = np.asfortranarray(normal(3, 2))
    expected = x.ctypes.data, 2, x.shape, x.strides, id(x.dtype), F_ORDER | ALIGNED
    assert entries.layout_of(x) == expected


def test_arrays_that_lie_in_memory_otherwise_are_not_read(monkeypatch):
    entries.check_layout.cache_clear()
    monkeypatch.setattr(entries, "layout_of", lambda x: ())
    with pytest.raises(RuntimeError, match=r"fastbp does not know how NumPy .* keeps its arrays"):
        Entry(relu_forward, "... -> ... ...:bool")(lambda: team_for(np.float64), X)


ENDING = """
import ctypes, gc
import numpy as np
import fastbp
from fastbp.kernels import enter, entry

x, t = np.ones((4, 3)), np.zeros(4, int)
fastbp.Affine(np.ones((3, 2)), None).forward(x)
net = fastbp.mlp([3, 2], dtype=np.float64)
net.step(x, t)
net.predict(x)
functions = [one for one in gc.get_objects() if type(getattr(one, "__self__", None)) is np.ndarray]
functions = [one for one in functions if one.__name__ in {"affine_forward", "step", "predict"}]
assert len(functions) >= 3
flags, fastcall = entry._Method.flags.offset, entry.FASTCALL
entry.__dict__.clear()  # as an interpreter may that ends, before it frees the functions
gc.collect()
for function in functions:
    definition = ctypes.c_size_t.from_address(id(function) + enter.HEADER).value
    assert ctypes.c_int.from_address(definition + flags).value == fastcall, function
"""


def test_what_functions_are_made_of_outlives_them():
    python(ENDING, PYTHONMALLOC="debug")  # which overwrites what is freed
