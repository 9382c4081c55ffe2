"""What Python calls at each step and prediction of a small network: looks and arithmetic in one compiled function.

They are functions of Python's C interface, made by ``entry.function_of``, and find arrays as ``enter`` does. To other
Python threads all of a call is one moment, in which nobody can change, move or free an array: samples are read where
they lie. That is for calls so short that other threads may as well wait.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .enter import (
    ALIGNED,
    C_ORDER,
    DATA,
    DTYPE,
    FLAGS,
    HEADER,
    NDIM,
    REAL32,
    SHAPE,
    _decrease,
    _half,
    _increase,
    _integer,
    _make_array,
    _number,
    _same_type,
)
from .memory import like, load, store

# Words that all have: addresses of None, of NumPy's class, of its function that makes an array, of the dtypes of the
# network and of labels; which of REAL32 and REAL64 the former is; the address of the kernel, and that of the words that
# it takes (see ``program``).
NONE, ARRAY, NEW_ARRAY, REAL, LABELS, KIND, FUNCTION, PROGRAM_WORDS = range(8)
ROWS, COLUMNS = 8, 9  # of the samples: the shape (N, I)
OUTPUTS = 10  # and of what is made: the shape (N, K)
OWN_LABELS = 12  # the address of the program's labels (N,)
CALL_WORDS = 13

# Words of ``look``: addresses of None and of True, how many objects, and how many of them, the first, are arrays; then
# of each its dict, its name and itself.
LOOK_NONE, LOOK_TRUE, N_OBJECTS, N_ARRAYS, OBJECTS = range(5)
WRITEABLE = 0x400
BASE = HEADER + 8 * 4  # of an array: what its memory is of, 0 for its own

_item = types.ExternalFunction("PyDict_GetItem", types.int64(types.int64, types.int64))


@intrinsic
def _call_step(typingctx, function, team, batch, x, one):
    """Call ``program.take_step`` by its address."""

    def codegen(context, builder, signature, arguments):
        i64 = ir.IntType(64)
        form = ir.FunctionType(ir.DoubleType(), [i64, i64, i64, arguments[-1].type])
        return builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])

    return types.float64(types.int64, types.int64, types.int64, types.int64, one), codegen


@intrinsic
def _call_prediction(typingctx, function, team, prediction, x, y, one):
    """Call ``program.predict_at`` by its address."""

    def codegen(context, builder, signature, arguments):
        i64 = ir.IntType(64)
        form = ir.FunctionType(i64, [i64, i64, i64, i64, arguments[-1].type])
        return builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])

    return types.int64(*[types.int64] * 5, one), codegen


@kernel(inline=True)
def _is_at_home(words, item):
    """Whether an array's memory is NumPy's, which is there as long as the array; what others lend, they may close."""
    base = load(item + BASE)
    while base != 0:
        if load(base + HEADER - 8) != load(words + 8 * ARRAY):
            return False
        base = load(base + BASE)
    return True


@kernel(inline=True)
def _is_usual(words, item, dtype, ndim):
    """Whether an object is an array, of no subclass, of that dtype and number of dimensions, in C order, at home."""
    if load(item + HEADER - 8) != load(words + 8 * ARRAY) or _half(item + NDIM) != ndim:
        return False
    if not _same_type(load(item + DTYPE), dtype) or not _is_at_home(words, item):
        return False
    return _half(item + FLAGS) & (ALIGNED | C_ORDER) == (ALIGNED | C_ORDER)


@kernel(inline=True)
def _are_samples(words, item):
    if not _is_usual(words, item, load(words + 8 * REAL), 2):
        return False
    shape = load(item + SHAPE)
    return load(shape) == load(words + 8 * ROWS) and load(shape + 8) == load(words + 8 * COLUMNS)


@kernel(inline=True)
def _are_labels(words, item):
    return _is_usual(words, item, load(words + 8 * LABELS), 1) and load(load(item + SHAPE)) == load(words + 8 * ROWS)


@kernel(by_address=True)
def enter_step(entry, arguments, count):
    """A step on a team (its address), samples and labels; its loss, NaN as ``take_step`` gives it.

    None where they are not in the form of the program, and nothing was done.
    """
    words = load(entry + DATA)
    if count != 3 or not _are_samples(words, load(arguments + 8)) or not _are_labels(words, load(arguments + 16)):
        none = load(words + 8 * NONE)
        _increase(none)
        return none
    team, x, t = load(arguments), load(arguments + 8), load(arguments + 16)
    source, target = load(t + DATA), load(words + 8 * OWN_LABELS)
    for n in range(load(words + 8 * ROWS)):
        store(target + 8 * n, load(source + 8 * n))
    function, batch, at = load(words + 8 * FUNCTION), load(words + 8 * PROGRAM_WORDS), load(x + DATA)
    if load(words + 8 * KIND) == REAL32:
        loss = _call_step(function, _integer(team), batch, at, like(1, types.float32(1)))
    else:
        loss = _call_step(function, _integer(team), batch, at, 1.0)
    return _number(loss)


@kernel(by_address=True)
def enter_prediction(entry, arguments, count):
    """The scores of samples, by a team (its address); None where they are not in the form of the program."""
    words = load(entry + DATA)
    none = load(words + 8 * NONE)
    if count != 2 or not _are_samples(words, load(arguments + 8)):
        _increase(none)
        return none
    team, x = load(arguments), load(arguments + 8)
    dtype = load(words + 8 * REAL)
    _increase(dtype)
    y = _make_array(load(words + 8 * NEW_ARRAY), load(words + 8 * ARRAY), dtype, 2, words + 8 * OUTPUTS)
    if y == 0:
        return 0
    function, prediction = load(words + 8 * FUNCTION), load(words + 8 * PROGRAM_WORDS)
    if load(words + 8 * KIND) == REAL32:
        one = like(1, types.float32(1))
        done = _call_prediction(function, _integer(team), prediction, load(x + DATA), load(y + DATA), one)
    else:
        done = _call_prediction(function, _integer(team), prediction, load(x + DATA), load(y + DATA), 1.0)
    if done:
        return y
    _decrease(y)
    _increase(none)
    return none


@kernel(by_address=True)
def look(entry, arguments, count):
    """True if each object is still what its dict has by its name, and all arrays can be written; else None."""
    words = load(entry + DATA)
    answer, none = load(words + 8 * LOOK_TRUE), load(words + 8 * LOOK_NONE)
    n_arrays = load(words + 8 * N_ARRAYS)
    for n in range(load(words + 8 * N_OBJECTS)):
        at = words + 8 * (OBJECTS + 3 * n)
        own = load(at + 16)
        is_array = n < n_arrays and own != none
        if _item(load(at), load(at + 8)) != own or (is_array and not _half(own + FLAGS) & WRITEABLE):
            answer = none
            break
    _increase(answer)
    return answer
