"""A batch that several processes share: what some rows give to its loss and gradient, and sums over processes."""

from ._jit import kernel
from .choice import begin_step, end_step
from .memory import address, bits_of_float, float_of_bits, store
from .program import LOSS, LR, ROWS, SAMPLES, SEED, STEP, STEP_WORDS, execute
from .team import package, part_of, parts_of, spread


@kernel
def take_share(team, program, rows, n_rows, number, seed, words, one):
    """Leave what the samples ``rows`` give to the gradient of the mean loss of a batch, and return what to the loss.

    Parameters
    ----------
    program : of as many rows as ``rows`` has, without an update
    rows : (R,) int64, numbers of samples
    n_rows : int64, of the whole batch, whose share a row's loss is
    number, seed : int64, which masks are drawn by
    words : (TRAINING_WORDS,) int64, of which the step's are overwritten; the others are the program's choice
    one : 1 of the element type

    Returns
    -------
    loss : float64; where it is not finite, the gradient is not there
    """
    step = address(words)
    store(step + 8 * STEP, number)
    store(step + 8 * SAMPLES, address(rows))
    store(step + 8 * LR, bits_of_float(0.0))
    store(step + 8 * LOSS, bits_of_float(0.0))
    store(step + 8 * ROWS, n_rows)
    store(step + 8 * SEED, seed)
    execute(begin_step(team, step + 8 * STEP_WORDS), program, step, one)
    end_step(team, step + 8 * STEP_WORDS)
    return float_of_bits(words[LOSS])


_BLOCK = 2048  # elements that stay in the first cache between one rank's and the next's


@kernel
def _add_part(own, others, place, part, member):
    begin, end = part_of(own.size, part)
    for first in range(begin, end, _BLOCK):
        past = min(first + _BLOCK, end)
        total = own[first:past]
        if place > 0:
            before = others[0][first:past]
            for r in range(1, place):
                row = others[r][first:past]
                for i in range(row.size):
                    before[i] += row[i]
            for i in range(total.size):
                total[i] += before[i]  # to the bits of before + own
        for r in range(place + 1, others.shape[0]):
            row = others[r][first:past]
            for i in range(total.size):
                total[i] += row[i]


@kernel
def add_in_order(team, own, others, place):
    """``own = others[0] + others[1] + ...``, from left to right, where ``own`` takes the place of ``others[place]``.

    own : (N,), C-contiguous, overwritten
    others : (P, N) of that type, C-contiguous; the first row may be overwritten, row ``place`` is not read
    """
    spread(team, parts_of(own.size), package(_add_part, (own, others, place)))
