"""A batch in slices of some hundred rows, each carried through the whole network while it lies in the cache.

The slices are dealt to a fixed number of parts, each with a gradient vector, buffers and programs of its own; the parts
are shared among the team, and their gradients added up in their order: the same bits for any number of threads.
"""

import math

from ._jit import kernel
from .memory import bits_of_float, float_of_bits, load, store, view
from .program import LOSS, SAMPLES, STEP_WORDS, execute, program_at
from .team import alone_of, package, spread

# Words of a part: its gradient, its program for a whole slice and for the last of the batch, and its own step's words.
GRADIENT, WHOLE, LAST = range(3)
STEP_COPY = 3
PART_WORDS = STEP_COPY + STEP_WORDS


@kernel(inline=True)
def _part_at(parts, part):
    return parts + 8 * PART_WORDS * part


@kernel
def _run_part(team, parts, n_parts, n_rows, slice_rows, n_instructions, n_parameters, step, one, part, member):
    at = _part_at(parts, part)
    own = at + 8 * STEP_COPY
    for i in range(STEP_WORDS):
        store(own + 8 * i, load(step + 8 * i))
    slices = (n_rows + slice_rows - 1) // slice_rows
    if slices > n_parts:
        gradient = view(load(at + 8 * GRADIENT), n_parameters, one)
        for i in range(gradient.size):
            gradient[i] = 0
    total = 0.0
    for s in range(slices * part // n_parts, slices * (part + 1) // n_parts):
        first = s * slice_rows
        store(own + 8 * SAMPLES, load(step + 8 * SAMPLES) + 8 * first)
        program = load(at + 8 * (WHOLE if first + slice_rows <= n_rows else LAST))
        execute(alone_of(team, member), program_at(program, n_instructions), own, one)
        total += float_of_bits(load(own + 8 * LOSS))
        if not math.isfinite(total):
            break
    store(own + 8 * LOSS, bits_of_float(total))


@kernel
def run_slices(team, parts, n_parts, n_rows, slice_rows, n_instructions, gradients, step, one):
    """Loss and gradient of the batch that ``step`` names.

    parts : address of ``n_parts`` times PART_WORDS words, of which STEP_COPY on are written here
    n_rows, slice_rows : samples in the batch and in a whole slice
    n_instructions : of each program; they leave a slice's share of the loss, and its gradient in their part's, to which
        they add it where there are more slices than parts
    gradients : (P,), overwritten
    step : address of the step's words; the loss is written there
    """
    arguments = (team, parts, n_parts, n_rows, slice_rows, n_instructions, gradients.size, step, one)
    spread(team, n_parts, package(_run_part, arguments), 2)
    loss = 0.0
    for part in range(n_parts):
        at = _part_at(parts, part)
        loss += float_of_bits(load(at + 8 * (STEP_COPY + LOSS)))
        gradient = view(load(at + 8 * GRADIENT), gradients.size, one)
        if part == 0:
            for i in range(gradients.size):
                gradients[i] = gradient[i]
        else:
            for i in range(gradients.size):
                gradients[i] += gradient[i]
    store(step + 8 * LOSS, bits_of_float(loss))
