"""The executor: training steps of any network, driven by a table of instructions.

A program is an (n, WORDS) int64 array, one row an instruction. Its first word is the address of a compiled
*operation*, the others are that operation's operands: addresses of arrays, sizes, and float64 numbers as bits. An
operation is compiled when the first network needs it, the executor once for each element type, and a new architecture
compiles nothing. Instructions run one after the other on the calling thread; each shares its work with the team.
"""

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .batch import shuffle
from .memory import address, bits_of_float, float_of_bits, load, store, view
from .simd import I64, element_type

WORDS = 12

# Words of a step, what its operations know of it beside their operands.
STEP, SAMPLES, LR, LOSS, ROWS, SEED = range(6)
STEP_WORDS = 6


@intrinsic
def _call_operation(typingctx, operation, team, row, step, one):
    """Call the operation compiled at address ``operation`` with its operands at ``row``."""

    def codegen(context, builder, signature, arguments):
        form = ir.FunctionType(ir.VoidType(), [I64, I64, I64, element_type(one)])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, one), codegen


@kernel
def execute(team, program, step, one):
    """Run the instructions of ``program`` in their order, until one leaves a loss that is not finite.

    ``step`` is the address of the step's words. Returns whether all were run.
    """
    for i in range(program.shape[0]):
        row = address(program[i])
        _call_operation(load(row), team, row + 8, step, one)
        if not math.isfinite(float_of_bits(load(step + 8 * LOSS))):
            return False
    return True


@kernel(inline=True)
def program_at(at, n_instructions):
    """The program at an address."""
    return view(at, n_instructions * WORDS, 1).reshape(n_instructions, WORDS)


@kernel
def take_step(team, program, step, x, t, own_x, own_t, n_classes, number, lr, one):
    """Do step ``number`` on the mini-batch ``x`` (N, I), ``t`` (N,) labels or (N, K), and return its loss.

    ``own_x`` and ``own_t`` are addresses of what ``program`` reads, of the types of ``x`` and ``t``. The loss is NaN,
    and nothing was done, if a label is outside 0..n_classes-1.
    """
    inputs, targets = x.reshape(x.size), t.reshape(t.size)
    if t.ndim == 1:
        for label in targets:
            if label < 0 or label >= n_classes:
                return math.nan
    copy, copied = view(own_x, inputs.size, one), view(own_t, targets.size, targets.dtype.type(1))
    for i in range(inputs.size):
        copy[i] = inputs[i]
    for i in range(targets.size):
        copied[i] = targets[i]
    store(step + 8 * STEP, number)
    store(step + 8 * ROWS, x.shape[0])
    store(step + 8 * LR, bits_of_float(lr))
    store(step + 8 * LOSS, bits_of_float(0.0))
    execute(team, program, step, one)
    return float_of_bits(load(step + 8 * LOSS))


@kernel
def train(team, whole, last, order, batch_size, shuffled, first, lrs, losses, words, one):
    """Do the training steps ``first``, ``first + 1``, ... as many as there are learning rates.

    Parameters
    ----------
    whole, last : the programs of a batch of ``batch_size`` samples, and of the smaller one that ends an epoch
    order : (N,) int64
        The samples in the order of the epoch that step ``first`` belongs to; overwritten as epochs begin where
        ``shuffled`` is true.
    first : int64, the number of the first step, from 0
    lrs : (S,) float64, the learning rate of each step
    losses : (S,) float64, overwritten with the loss of each
    words : (STEP_WORDS,) int64, the step's words; SEED is given, the others are written here
    one : 1 of the element type

    Returns
    -------
    steps : int64, how many were finished; fewer than S where a loss was not finite. That loss is in ``losses``, and
    nothing was updated from it.
    """
    n_samples = order.size
    per_epoch = (n_samples + batch_size - 1) // batch_size
    step = address(words)
    for s in range(lrs.size):
        number = first + s
        batch = number % per_epoch
        if shuffled and batch == 0:
            shuffle(order, load(step + 8 * SEED), number // per_epoch)
        store(step + 8 * STEP, number)
        store(step + 8 * SAMPLES, address(order) + 8 * batch * batch_size)
        store(step + 8 * LR, bits_of_float(lrs[s]))
        store(step + 8 * LOSS, bits_of_float(0.0))
        is_whole = (batch + 1) * batch_size <= n_samples
        store(step + 8 * ROWS, batch_size if is_whole else n_samples - batch * batch_size)
        finished = execute(team, whole if is_whole else last, step, one)
        losses[s] = float_of_bits(load(step + 8 * LOSS))
        if not finished:
            return s
    return lrs.size
