"""What an ``Entry`` does when Python calls it: it looks at the arguments, makes the results, and calls the kernel.

Arguments are looked at where CPython and NumPy keep them: an object's type in the last word of its header, and an
array's words in the order of NumPy's PyArrayObject, which is part of its binary interface.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .memory import float_of_bits, like, load, store
from .team import CHUNK, LEAST_SHARED, NO_TEAM, machine_of

# What an entry's words say: addresses of Python's objects and of NumPy's function that makes an array, for either
# element type the compiled kernel and what it takes beside operands, how many operands there are, and a code for each.
NONE, ARRAY, FLOAT, INT, NEW_ARRAY, TYPES, KERNELS, EXTRAS = 0, 1, 2, 3, 4, 5, 9, 11
N_EXTRAS = 2  # of each element type
N_GIVEN, N_MADE, NEEDS_TEAM, OPERANDS = 15, 16, 17, 18
# Types of elements: those of TYPES, and the call's own; and what is no array.
REAL32, REAL64, BOOL, LABELS, REAL, NUMBER, INTEGER = range(7)

# A code: the type of the elements, how many dimensions, a letter for each of two, and what else will do.
MOST_LETTERS, MOST_GIVEN, MOST_MADE = 6, 6, 4
ANY_SHAPE = 15
EITHER_ORDER, OR_NONE = 1, 2

# The words that a kernel gets: EXTRA, then those of each operand.
EXTRA, FIRST, OPERAND_WORDS = 0, 8, 5
AT, ROWS, COLUMNS, BY_ROW, BY_COLUMN = range(OPERAND_WORDS)

HEADER = object.__basicsize__  # bytes before what is an object's own; the last word is its type
# Where an array has what, and two of its flags: NumPy's PyArrayObject, part of its binary interface.
DATA, NDIM, SHAPE, STRIDES, DTYPE, FLAGS = (HEADER + 8 * i for i in (0, 1, 2, 3, 5, 6))
C_ORDER, F_ORDER, ALIGNED = 1, 2, 0x100
KIND, SAYS = HEADER + 8, ~0xFF000000  # of PyArray_Descr: kind, type, byte order, what differs, and the type's number
NEW_FROM_DESCR = 94  # in the table of NumPy's functions

# Elements in all of a call so short that other Python threads may as well wait, of element by element work that has no
# need of a team: one thread does it then. Of any other, the machine says.
SHORT = (LEAST_SHARED - 1) * CHUNK

_increase = types.ExternalFunction("Py_IncRef", types.void(types.int64))
_decrease = types.ExternalFunction("Py_DecRef", types.void(types.int64))
_integer = types.ExternalFunction("PyLong_AsLongLong", types.int64(types.int64))
_ask = types.ExternalFunction("PyObject_CallNoArgs", types.int64(types.int64))
_number = types.ExternalFunction("PyFloat_FromDouble", types.int64(types.float64))
_new_tuple = types.ExternalFunction("PyTuple_New", types.int64(types.int64))
_set_item = types.ExternalFunction("PyTuple_SetItem", types.int32(types.int64, types.int64, types.int64))
_let_others = types.ExternalFunction("PyEval_SaveThread", types.int64())
_alone_again = types.ExternalFunction("PyEval_RestoreThread", types.void(types.int64))


@intrinsic
def _make_array(typingctx, function, kind, dtype, ndim, shape):
    """A new reference to a new array, 0 where there is no memory for it; takes a reference to ``dtype``."""

    def codegen(context, builder, signature, arguments):
        i64, i32 = ir.IntType(64), ir.IntType(32)
        form = ir.FunctionType(i64, [i64, i64, i32, i64, i64, i64, i32, i64])
        function, kind, dtype, ndim, shape = arguments
        target, none = builder.inttoptr(function, form.as_pointer()), i64(0)
        return builder.call(target, [kind, dtype, builder.trunc(ndim, i32), shape, none, none, i32(0), none])

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _call_kernel(typingctx, function, team, words, one):
    """Call a kernel in the form of an entry's; returns whether the operands fitted."""

    def codegen(context, builder, signature, arguments):
        i64 = ir.IntType(64)
        form = ir.FunctionType(i64, [i64, i64, arguments[-1].type])
        return builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])

    return types.int64(types.int64, types.int64, types.int64, one), codegen


@intrinsic
def _room(typingctx):
    """The address of words that are free until the calling function returns."""
    words = ir.ArrayType(
        ir.IntType(64), MOST_LETTERS + MOST_MADE + 2 + FIRST + OPERAND_WORDS * (MOST_GIVEN + MOST_MADE)
    )

    def codegen(context, builder, signature, arguments):
        return builder.ptrtoint(cgutils.alloca_once(builder, words), ir.IntType(64))

    return types.int64(), codegen


@kernel(inline=True)
def _half(address):
    """The int32 at ``address``, of a word's first half."""
    return load(address) & 0xFFFFFFFF


@kernel(inline=True)
def _letter(code, axis):
    return (code >> (8 + 4 * axis)) & 15


@kernel(inline=True)
def _measure(item, operand, ndim):
    """Write down where an array is, and its rows and columns: of more than two dimensions the last are the columns."""
    shape = load(item + SHAPE)
    rows, columns = 1, 1
    if ndim > 0:
        columns = load(shape + 8 * (ndim - 1))
        for axis in range(ndim - 1):
            rows *= load(shape + 8 * axis)
    store(operand + 8 * AT, load(item + DATA))
    store(operand + 8 * ROWS, rows)
    store(operand + 8 * COLUMNS, columns)
    return rows * columns


@kernel(inline=True)
def _same_type(dtype, own):
    """Whether a dtype says the same as one of NumPy's ``own``: one that was pickled is another object."""
    return dtype == own or (load(dtype + KIND) ^ load(own + KIND)) & SAYS == 0


@kernel(inline=True)
def _is_usual(words, item, code, kind):
    """Whether an array is of the type, the number of dimensions and the order that a code asks for."""
    of = code & 15
    if not _same_type(load(item + DTYPE), load(words + 8 * (TYPES + (kind if of == REAL else of)))):
        return False
    flags = _half(item + FLAGS)
    orders = C_ORDER | (F_ORDER if (code >> 16) & EITHER_ORDER else 0)
    if not (flags & ALIGNED and flags & orders):
        return False
    ndim = (code >> 4) & 15
    return ndim == ANY_SHAPE or ndim == _half(item + NDIM)


@kernel(inline=True)
def _same_shape(item, first):
    ndim = _half(item + NDIM)
    if ndim != _half(first + NDIM):
        return False
    for axis in range(ndim):  # noqa: SIM110 (numba has no generators)
        if load(load(item + SHAPE) + 8 * axis) != load(load(first + SHAPE) + 8 * axis):
            return False
    return True


@kernel(inline=True)
def _take_letters(item, code, letters):
    """Learn what an array's letters stand for; returns whether that is what they stood for already."""
    for axis in range((code >> 4) & 15):
        size, place = load(load(item + SHAPE) + 8 * axis), letters + 8 * _letter(code, axis)
        if load(place) < 0:
            store(place, size)
        elif load(place) != size:
            return False
    return True


@kernel
def _take(words, arguments, letters, call):
    """Look at the arguments and write down what the kernel gets of them.

    Returns the type of the call, REAL32 or REAL64, the first array, and how many elements there are in all; -1 for the
    type where an argument is not what the entry takes.
    """
    kind, first, elements, refused = -1, 0, 0, (-1, 0, 0)
    for letter in range(MOST_LETTERS):
        store(letters + 8 * letter, -1)
    for n in range(load(words + 8 * N_GIVEN)):
        item, code = load(arguments + 8 * n), load(words + 8 * (OPERANDS + n))
        operand = call + 8 * (FIRST + OPERAND_WORDS * n)
        if code & 15 == NUMBER:
            if load(item + HEADER - 8) != load(words + 8 * FLOAT):
                return refused
            store(operand + 8 * AT, load(item + HEADER))
            continue
        if code & 15 == INTEGER:
            if load(item + HEADER - 8) != load(words + 8 * INT):
                return refused
            store(operand + 8 * AT, _integer(item))
            continue
        if (code >> 16) & OR_NONE and item == load(words + 8 * NONE):
            store(operand + 8 * AT, 0)
            continue
        if load(item + HEADER - 8) != load(words + 8 * ARRAY):
            return refused
        if kind < 0:
            kind = REAL64 if _same_type(load(item + DTYPE), load(words + 8 * (TYPES + REAL64))) else REAL32
        if not _is_usual(words, item, code, kind):
            return refused
        if (code >> 4) & 15 == ANY_SHAPE:
            first = item if first == 0 else first
            if not _same_shape(item, first):
                return refused
        elif not _take_letters(item, code, letters):
            return refused
        elements += _measure(item, operand, _half(item + NDIM))
        if (code >> 16) & EITHER_ORDER:
            strides, size = load(item + STRIDES), 4 << kind
            rows, columns = load(operand + 8 * ROWS), load(operand + 8 * COLUMNS)
            # A stride of a single row or column means nothing; as 1 or the row's length it keeps the copy simple.
            store(operand + 8 * BY_ROW, load(strides) // size if rows > 1 else columns)
            store(operand + 8 * BY_COLUMN, load(strides + 8) // size if columns > 1 else 1)
    return kind, first, elements


@kernel
def _make(words, letters, call, made, kind, first):
    """Make the arrays of the results, and write down what the kernel gets of them; returns how many came to be."""
    given = load(words + 8 * N_GIVEN)
    for n in range(load(words + 8 * N_MADE)):
        code = load(words + 8 * (OPERANDS + given + n))
        operand = call + 8 * (FIRST + OPERAND_WORDS * (given + n))
        of, ndim = code & 15, (code >> 4) & 15
        if of == NUMBER:  # which the kernel leaves in its word
            store(made + 8 * n, 0)
            continue
        shape = letters + 8 * MOST_LETTERS
        if ndim == ANY_SHAPE:
            ndim, shape = _half(first + NDIM), load(first + SHAPE)
        else:
            for axis in range(ndim):
                store(shape + 8 * axis, load(letters + 8 * _letter(code, axis)))
        dtype = load(words + 8 * (TYPES + (kind if of == REAL else of)))
        _increase(dtype)
        array = _make_array(load(words + 8 * NEW_ARRAY), load(words + 8 * ARRAY), dtype, ndim, shape)
        if array == 0:
            return n
        store(made + 8 * n, array)
        _measure(array, operand, ndim)
    return load(words + 8 * N_MADE)


@kernel
def _run(words, team, arguments, call, kind, elements):
    """Call the kernel, other threads running meanwhile unless it is a matter of a moment.

    They cannot resize what is referred to from here.
    """
    function, others = load(words + 8 * (KERNELS + kind)), 0
    for n in range(N_EXTRAS):
        store(call + 8 * (EXTRA + n), load(words + 8 * (EXTRAS + N_EXTRAS * kind + n)))
    lets_others = elements > (machine_of(team).short_call if load(words + 8 * NEEDS_TEAM) else SHORT)
    if lets_others:
        for n in range(load(words + 8 * N_GIVEN)):
            _increase(load(arguments + 8 * n))
        others = _let_others()
    if kind == REAL32:
        fits = _call_kernel(function, team, call, like(1, types.float32(1)))
    else:
        fits = _call_kernel(function, team, call, 1.0)
    if lets_others:
        _alone_again(others)
        for n in range(load(words + 8 * N_GIVEN)):
            _decrease(load(arguments + 8 * n))
    return fits


@kernel(inline=True)
def _ask_for_team(function):
    """What a Python function returns, an address; 0 where it raises."""
    answer, team = _ask(function), 0
    if answer != 0:
        team = _integer(answer)
        _decrease(answer)
    return team


@kernel(by_address=True)
def enter(entry, arguments, count):
    """What an ``Entry`` does, as a function of Python's C interface (METH_FASTCALL)."""
    words = load(entry + DATA)
    none = load(words + 8 * NONE)
    room = _room()
    letters = room
    made = letters + 8 * (MOST_LETTERS + 2)
    call = made + 8 * MOST_MADE
    kind, first, elements, team = -1, 0, 0, NO_TEAM
    if count == 1 + load(words + 8 * N_GIVEN):
        kind, first, elements = _take(words, arguments + 8, letters, call)
        if kind >= 0 and (load(words + 8 * NEEDS_TEAM) or elements > SHORT):
            team = _ask_for_team(load(arguments))
            if team == 0:
                return 0
            # Python has run meanwhile, and who knows what.
            kind, first, elements = _take(words, arguments + 8, letters, call)
    if kind < 0 or load(words + 8 * (KERNELS + kind)) == 0:
        _increase(none)
        return none
    n_made = _make(words, letters, call, made, kind, first)
    whole = n_made == load(words + 8 * N_MADE)
    if whole and _run(words, team, arguments + 8, call, kind, elements):
        for n in range(n_made):
            if load(made + 8 * n) == 0:
                bits = load(call + 8 * (FIRST + OPERAND_WORDS * (load(words + 8 * N_GIVEN) + n) + AT))
                store(made + 8 * n, _number(float_of_bits(bits)))
        if n_made == 1:
            return load(made)
        result = _new_tuple(n_made)
        for n in range(n_made):
            _set_item(result, n, load(made + 8 * n))
        return result
    for n in range(n_made):
        _decrease(load(made + 8 * n))
    if not whole:
        return 0
    _increase(none)
    return none
