"""One step of an optimizer over a flat vector of parameters, and the squared norm of a gradient.

Every update but the last is torch.optim's. ``p`` stands for a parameter, ``s`` and ``q`` for its states, ``g`` for its
gradient times ``scale`` plus ``weight_decay p``; ``t`` counts steps from 1::

    SGD       p -= lr g
    MOMENTUM  s = momentum s + g;            p -= lr s
    NESTEROV  s = momentum s + g;            p -= lr (g + momentum s)
    ADAGRAD   s += g g;                      p -= lr g / (sqrt(s) + eps)
    RMSPROP   s = decay s + (1 - decay) g g; p -= lr g / (sqrt(s) + eps)
    ADAM      s += (1 - beta1) (g - s);      q = beta2 q + (1 - beta2) g g
              p -= lr s / (1 - beta1**t) / (sqrt(q / (1 - beta2**t)) + eps)
    ADAMW     as ADAM, except that g has no weight_decay p: p is multiplied by 1 - lr weight_decay beforehand
    PLAIN     as ADAM, except that the states are taken as they are: p -= lr s / (sqrt(q) + eps)
"""

import math

from ._jit import kernel
from .memory import address, atomic_load, view
from .reduce import row_sum, sum_of_squares
from .team import CHUNK, SLEEPERS, machine_of, package, part_of, parts_of, spread

SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW, PLAIN = range(8)

# Entries of ``hyper``. The first is the momentum, RMSprop's decay or Adam's beta1; what an optimizer lacks is not read.
MEMORY, BETA2, EPS, WEIGHT_DECAY = range(4)
N_HYPER = 4

UNIT = CHUNK // 16  # elements: parts of an update have multiples of so many where members are awake, at least one

# Columns of the table of ``optimizer_steps``: where a parameter, its gradient and its states are, of how many elements,
# and the number of the step.
PARAMS, GRADS, FIRST, SECOND, SIZE, N_STEPS = range(6)

# The loops below take a new state from a variable, not back out of its array: for all the compiler knows the arrays may
# overlap, and a vector that was just stored across two cache lines is slow to load.


@kernel
def _sgd(params, grads, scale, decay, lr):
    for i in range(params.size):
        params[i] -= lr * (scale * grads[i] + decay * params[i])


@kernel
def _momentum(params, grads, velocity, scale, decay, lr, momentum):
    for i in range(params.size):
        speed = momentum * velocity[i] + (scale * grads[i] + decay * params[i])
        velocity[i] = speed
        params[i] -= lr * speed


@kernel
def _nesterov(params, grads, velocity, scale, decay, lr, momentum):
    for i in range(params.size):
        g = scale * grads[i] + decay * params[i]
        speed = momentum * velocity[i] + g
        velocity[i] = speed
        params[i] -= lr * (g + momentum * speed)


@kernel
def _scaled(params, grads, squares, scale, decay, lr, keep, share, eps):
    """AdaGrad, RMSprop: ``squares = keep squares + share g g``."""
    for i in range(params.size):
        g = scale * grads[i] + decay * params[i]
        square = keep * squares[i] + share * g * g
        squares[i] = square
        params[i] -= lr * g / (math.sqrt(square) + eps)


@kernel
def _adam(params, grads, means, squares, scale, decay, lr, shrink, share1, beta2, share2, root, eps):
    """Adam, AdamW: ``p = shrink p - lr means / (root sqrt(squares) + eps)``."""
    for i in range(params.size):
        g = scale * grads[i] + decay * params[i]
        mean = means[i] + share1 * (g - means[i])
        square = beta2 * squares[i] + share2 * g * g
        means[i], squares[i] = mean, square
        params[i] = shrink * params[i] - lr * mean / (root * math.sqrt(square) + eps)


@kernel(inline=True)
def _elements_of_part(team, n):
    """Of an update of ``n`` elements: fewer than CHUNK where members are awake, since they helped with the gradients.

    Parameters and states up to some hundred thousand then stay in the caches of those who need them at the next step.
    """
    if atomic_load(team + 8 * SLEEPERS) > 0:
        return CHUNK
    of_all = machine_of(team).many_parts * UNIT
    return min(CHUNK, max(1, (n + of_all - 1) // of_all) * UNIT)


@kernel
def _part(kind, params, grads, first, second, hyper, lr, root, shrink, scale, of_part, part, member):
    """The loop of one optimizer over one part; all of its constants in the type of the arrays."""
    begin, end = part * of_part, min(params.size, (part + 1) * of_part)
    params, grads, first, second = params[begin:end], grads[begin:end], first[begin:end], second[begin:end]
    of = params.dtype.type
    one = of(1)
    # 1 - decay before it is rounded: of 0.999 in float32, it would be off by 5e-5 of itself.
    memory, rest = of(hyper[MEMORY]), of(1.0 - hyper[MEMORY])
    scale, decay, lr, eps = of(scale), of(hyper[WEIGHT_DECAY]), of(lr), of(hyper[EPS])
    if kind == SGD:
        _sgd(params, grads, scale, decay, lr)
    elif kind == MOMENTUM:
        _momentum(params, grads, first, scale, decay, lr, memory)
    elif kind == NESTEROV:
        _nesterov(params, grads, first, scale, decay, lr, memory)
    elif kind in (ADAGRAD, RMSPROP):
        # One call for both: constants of 1 would make it another loop, whose fused multiply-adds round differently.
        keep, share = (memory, rest) if kind == RMSPROP else (one, one)
        _scaled(params, grads, first, scale, decay, lr, keep, share, eps)
    else:
        if kind == ADAMW:
            decay = of(0)
        beta2, share2 = of(hyper[BETA2]), of(1.0 - hyper[BETA2])
        _adam(params, grads, first, second, scale, decay, lr, of(shrink), rest, beta2, share2, of(root), eps)


@kernel
def optimizer_step(team, kind, params, grads, first, second, hyper, lr, step, scale):
    """Update ``params`` and the states in one pass, by the formulas above. The same bits for any number of threads.

    Parameters
    ----------
    team : int64
        Address of the words of a team.
    kind : int64
        SGD, ..., PLAIN.
    params, grads, first, second : (D,) float32 or float64, all of one type, C-contiguous
        ``params`` is overwritten, and ``first`` and ``second``, the states s and q; those that the optimizer does not
        have are not touched and may be of length 0. Before step 1 the states are zeros.
    hyper : (N_HYPER,) float64
        Constants of the optimizer, see MEMORY, BETA2, EPS, WEIGHT_DECAY.
    lr, scale : float64
        Learning rate, and what every gradient is multiplied by first, 1 unless it is to be clipped.
    step : int64
        Number of this step, from 1. ADAM and ADAMW alone depend on it.

    Notes
    -----
    Constants are computed in float64 and rounded to the type of the arrays. After 50 steps, parameters differ from
    torch.optim's by at most 1e-6 (1 + abs(p)) in float32, 1e-12 (1 + abs(p)) in float64, and by the same from the
    formulas; AdamW's in float32 by 3e-6, as torch's, for its product with p rounds p once more a step (tests).
    """
    rate, root, shrink = lr, 1.0, 1.0
    if kind in (ADAM, ADAMW):
        rate = lr / (1.0 - hyper[MEMORY] ** float(step))
        root = 1.0 / math.sqrt(1.0 - hyper[BETA2] ** float(step))
    if kind == ADAMW:
        shrink = 1.0 - lr * hyper[WEIGHT_DECAY]
    size = _elements_of_part(team, params.size)
    job = package(_part, (kind, params, grads, first, second, hyper, rate, root, shrink, scale, size))
    spread(team, (params.size + size - 1) // size, job)


@kernel
def optimizer_steps(team, kind, table, hyper, lr, scale, one):
    """``optimizer_step`` for each of several parameters, one after the other: one call from Python for all.

    Parameters
    ----------
    table : (M, 6) int64
        A row a parameter, see PARAMS, ..., N_STEPS; an address is 0 where the optimizer does not have that state.
    one : float32 or float64
        1 in the type of all arrays.

    The others are those of ``optimizer_step``.
    """
    for m in range(len(table)):
        row, n = table[m], table[m, SIZE]
        params, grads = view(row[PARAMS], n, one), view(row[GRADS], n, one)
        first, second = view(row[FIRST], n if row[FIRST] else 0, one), view(row[SECOND], n if row[SECOND] else 0, one)
        optimizer_step(team, kind, params, grads, first, second, hyper, lr, row[N_STEPS], scale)


@kernel
def _squares_of_part(grads, partial, part, member):
    begin, end = part_of(grads.size, part)
    partial[part] = sum_of_squares(address(grads[begin:end]), end - begin, grads.dtype.type(1))


@kernel
def squared_norm(team, grads, partial):
    """``sum(grads ** 2)`` in float64 for either type, NaN and infinities included.

    grads : (D,) float32 or float64, C-contiguous
    partial : (parts_of(D),) float64, overwritten with the sum of each part

    The same bits for any number of threads. The relative error is that of sums of CHUNK squares, a chain for each lane
    of ``reduce``, and of the parts (tests). A float64 gradient beyond 1e154 overflows to infinity.
    """
    parts = parts_of(grads.size)
    spread(team, parts, package(_squares_of_part, (grads, partial)))
    return row_sum(address(partial), parts, 1.0)
