"""The L2 penalty of a matrix of weights, beside a loss."""

from ._jit import kernel
from .memory import like
from .optimizer import squared_norm
from .team import package, part_of, parts_of, spread


@kernel
def _add(w, dw, decay, part, member):
    begin, end = part_of(w.size, part)
    value, gradient = w[begin:end], dw[begin:end]
    for i in range(value.size):
        gradient[i] += decay * value[i]


@kernel
def l2_penalty(team, w, dw, decay, partial):
    """``dw += decay w``; returns ``decay / 2 sum(w^2)``, float64, of which that is the gradient.

    w, dw : (D,) float32 or float64, C-contiguous
    decay : float64
    partial : (parts_of(D),) float64, overwritten
    """
    spread(team, parts_of(w.size), package(_add, (w, dw, like(decay, w[0]))))
    return 0.5 * decay * squared_norm(team, w, partial)
