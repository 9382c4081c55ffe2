"""The executor: training steps and predictions of any network, driven by a table of instructions.

A program is an (n, INSTRUCTION_WORDS) int64 array, one row an instruction. Its first word is the address of a compiled
*operation*, the others are that operation's operands: addresses of arrays, sizes, and float64 numbers as bits. An
operation is compiled when the first network needs it, the executor once for each element type, and a new architecture
compiles nothing. Instructions run one after the other on the calling thread; each shares its work with the team.
"""

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .batch import begin_epoch
from .choice import CHOICE_WORDS, begin_step, end_step
from .memory import address, atomic_add, bits_of_float, float_of_bits, load, local, size_of, store, view
from .reduce import nan_unless_finite
from .simd import I64, element_type
from .team import CHUNK, package, part_of, parts_of, spread

INSTRUCTION_WORDS = 12

# Words of a step, what its operations know of it beside their operands.
STEP, SAMPLES, LR, LOSS, ROWS, SEED = range(6)
STEP_WORDS = 6
TRAINING_WORDS = STEP_WORDS + CHOICE_WORDS
NO_STEP = (0,) * STEP_WORDS

# Words of a batch from outside and of a prediction: the address and length of its program, its rows, and which words of
# the program say where its samples are, by the address and length of an array of their addresses.
PROGRAM, N_INSTRUCTIONS, N_ROWS, INPUTS, N_INPUTS = range(5)

# And then of a batch: the address of the step's words, the address of its labels, how many they are (0 where targets
# are numbers) and of how many classes, the address and length of the parameters, and a count that is written here.
OWN_STEP, LABELS, N_LABELS, N_CLASSES, PARAMETERS, N_PARAMETERS, NOT_FINITE, CHOICE = range(5, 13)
BATCH_WORDS = CHOICE + CHOICE_WORDS

# Of a prediction: the columns of its samples, and what INPUTS is of these for its output.
N_COLUMNS, OUTPUTS, N_OUTPUTS = range(5, 8)
PREDICTION_WORDS = 8


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
    return view(at, n_instructions * INSTRUCTION_WORDS, 1).reshape(n_instructions, INSTRUCTION_WORDS)


@kernel
def _look_at_part(vector, n, count, one, part, member):
    begin, end = part_of(n, part)
    if nan_unless_finite(vector + size_of(one) * begin, end - begin, one) != 0:
        atomic_add(count, 1)


@kernel
def _parameters_are_finite(team, batch, one):
    vector, n = load(batch + 8 * PARAMETERS), load(batch + 8 * N_PARAMETERS)
    count = batch + 8 * NOT_FINITE
    if n <= CHUNK:
        _look_at_part(vector, n, count, one, 0, 0)
    else:
        spread(team, parts_of(n), package(_look_at_part, (vector, n, count, one)))
    return load(count) == 0


@kernel(inline=True)
def _point(words, n_words, at):
    """Write the address ``at`` to all words whose addresses stand at ``words``."""
    for word in view(words, n_words, 1):
        store(word, at)


@kernel
def take_step(team, batch, x, one):
    """Do a step on the mini-batch whose words are at address ``batch``, count it, and return its loss.

    ``x`` is the address of its samples, (N_ROWS, I) row after row, which are only read. The step's words have the steps
    done so far, the learning rate and the seed in them. The result is NaN

    - if a label is outside 0..N_CLASSES-1, or the loss is not finite: it is in the step's words, which otherwise hold a
      finite one. Nothing is counted then, and nothing was changed;
    - if a parameter is no longer finite: then NOT_FINITE is not 0.
    """
    step = load(batch + 8 * OWN_STEP)
    store(step + 8 * LOSS, bits_of_float(0.0))
    n_classes = load(batch + 8 * N_CLASSES)
    for label in view(load(batch + 8 * LABELS), load(batch + 8 * N_LABELS), n_classes):
        if label < 0 or label >= n_classes:
            return math.nan
    _point(load(batch + 8 * INPUTS), load(batch + 8 * N_INPUTS), x)
    store(step + 8 * ROWS, load(batch + 8 * N_ROWS))
    store(batch + 8 * NOT_FINITE, 0)
    used = begin_step(team, batch + 8 * CHOICE)
    if not execute(used, program_at(load(batch + 8 * PROGRAM), load(batch + 8 * N_INSTRUCTIONS)), step, one):
        return math.nan
    end_step(team, batch + 8 * CHOICE)
    store(step + 8 * STEP, load(step + 8 * STEP) + 1)
    if not _parameters_are_finite(team, batch, one):
        return math.nan
    return float_of_bits(load(step + 8 * LOSS))


@kernel
def predict_at(team, prediction, x, y, one):
    """Run the program whose words are at address ``prediction`` on (N, I) at ``x``, so that its output is at ``y``.

    Returns 0 where an operation left a loss that is not finite, as one does that does not go on, else 1.
    """
    _point(load(prediction + 8 * INPUTS), load(prediction + 8 * N_INPUTS), x)
    _point(load(prediction + 8 * OUTPUTS), load(prediction + 8 * N_OUTPUTS), y)
    program = program_at(load(prediction + 8 * PROGRAM), load(prediction + 8 * N_INSTRUCTIONS))
    return 1 if execute(team, program, local(NO_STEP), one) else 0


@kernel
def predict(team, prediction, x, y):
    """Run the program whose words are at address ``prediction`` on ``x``, so that its output is ``y``.

    Parameters
    ----------
    x : (N, I), C-contiguous
    y : (N, K), C-contiguous, of that type; overwritten

    Returns
    -------
    done : bool
        False where ``x`` is not of the program's shape, and where an operation left a loss that is not finite, as one
        does that does not go on.
    """
    if x.shape[0] != load(prediction + 8 * N_ROWS) or x.shape[1] != load(prediction + 8 * N_COLUMNS):
        return False
    return predict_at(team, prediction, address(x), address(y), x.dtype.type(1)) == 1


@kernel
def train(team, whole, last, order, rows, batch_size, shuffled, first, lrs, losses, words, one):
    """Do the training steps ``first``, ``first + 1``, ... as many as there are learning rates.

    Parameters
    ----------
    whole, last : the programs of a batch of ``batch_size`` samples, and of the smaller one that ends an epoch
    order : (N,) int64
        The samples in the order of the epoch that step ``first`` belongs to; overwritten as epochs begin where
        ``shuffled`` is true.
    rows : (N,) int64, the numbers of the samples; without elements where they are 0..N-1
    first : int64, the number of the first step, from 0
    lrs : (S,) float64, the learning rate of each step
    losses : (S,) float64, overwritten with the loss of each
    words : (TRAINING_WORDS,) int64
        The step's words, of which SEED is given and the others are written here, then those of the program's choice.
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
            begin_epoch(order, rows, load(step + 8 * SEED), number // per_epoch)
        store(step + 8 * STEP, number)
        store(step + 8 * SAMPLES, address(order) + 8 * batch * batch_size)
        store(step + 8 * LR, bits_of_float(lrs[s]))
        store(step + 8 * LOSS, bits_of_float(0.0))
        is_whole = (batch + 1) * batch_size <= n_samples
        store(step + 8 * ROWS, batch_size if is_whole else n_samples - batch * batch_size)
        if is_whole:
            used = begin_step(team, step + 8 * STEP_WORDS)
            finished = execute(used, whole, step, one)
            end_step(team, step + 8 * STEP_WORDS)
        else:
            finished = execute(team, last, step, one)
        losses[s] = float_of_bits(load(step + 8 * LOSS))
        if not finished:
            return s
    return lrs.size
