"""What runs the instructions of ``instructions``: each operation reads its operands and calls the kernel of a layer.

The instructions of other layers stand beside their kernels, in ``columns`` and ``normalization``.
"""

import math

import numpy as np

from . import instructions as of
from ._jit import kernel
from .batch import gather, gather_kind, gather_sparse
from .deviance import deviance, sum_of_weights
from .dropout import dropout_backward, dropout_forward
from .element_losses import element_loss
from .elementwise import apply_function, apply_function_back
from .gemm import NO_EPILOGUE, NOTHING, product
from .instructions import operands, operation
from .memory import bits_of_float, float_of_bits, like, load, matrix, store, view
from .optimizer import N_HYPER, optimizer_step, squared_norm
from .penalty import l2_penalty
from .program import LOSS, LR, ROWS, SAMPLES, SEED, STEP
from .random import key_of
from .row_sums import sum_of_rows
from .slices import run_slices
from .softmax_xent import softmax_xent_backward, softmax_xent_forward, softmax_xent_short
from .team import parts_of


@kernel(inline=True)
def _samples(step, n_rows):
    """The numbers of the batch's samples."""
    return view(load(step + 8 * SAMPLES), n_rows, np.int64(1))


@operation(of.GatherRows)
def gather_rows(team, row, step, one):
    """Run ``GatherRows``."""
    i = operands(of.GatherRows, row)
    source, target = view(i.source, i.n_samples * i.columns, one), matrix(i.target, i.rows, i.columns, one)
    gather(team, source, i.columns, _samples(step, i.rows), target, like(i.scale, one))


@operation(of.GatherConvertedRows)
def gather_converted_rows(team, row, step, one):
    """Run ``GatherConvertedRows``."""
    i = operands(of.GatherConvertedRows, row)
    target = matrix(i.target, i.rows, i.columns, one)
    gather_kind(team, i.source, i.kind, i.n_samples, i.columns, _samples(step, i.rows), target, like(i.scale, one))


@operation(of.GatherSparseRows)
def gather_sparse_rows(team, row, step, one):
    """Run ``GatherSparseRows``."""
    i = operands(of.GatherSparseRows, row)
    target = matrix(i.target, i.rows, i.columns, one)
    gather_sparse(team, i.values, i.indices, i.starts, _samples(step, i.rows), target)


@operation(of.GatherLabels)
def gather_labels(team, row, step, one):
    """Run ``GatherLabels``."""
    i = operands(of.GatherLabels, row)
    rows, target = _samples(step, i.rows), view(i.target, i.rows, np.int64(1))
    for n in range(rows.size):
        target[n] = load(i.source + 8 * rows[n])


@operation(of.AffineForward)
def affine_forward(team, row, step, one):
    """Run ``AffineForward``."""
    i = operands(of.AffineForward, row)
    product(team, i.plan, i.x, i.W, i.y, i.b, one, (i.function, NOTHING, bits_of_float(i.number)))


@operation(of.AffineInputGradient)
def affine_input_gradient(team, row, step, one):
    """Run ``AffineInputGradient``."""
    i = operands(of.AffineInputGradient, row)
    product(team, i.plan, i.dy, i.W, i.dx, NOTHING, one, (i.function, i.kept, bits_of_float(i.number)))


@operation(of.AffineWeightGradient)
def affine_weight_gradient(team, row, step, one):
    """Run ``AffineWeightGradient``."""
    i = operands(of.AffineWeightGradient, row)
    start_W, start_b = (i.dW, i.db) if i.adds else (NOTHING, NOTHING)
    product(team, i.plan, i.x, i.dy, i.dW, start_W, one, NO_EPILOGUE)
    if i.db != NOTHING:
        sum_of_rows(team, i.plan_of_sum, i.dy, i.db, start_b, one)


@operation(of.AffineStep)
def affine_step(team, row, step, one):
    """Run ``AffineStep``."""
    i = operands(of.AffineStep, row)
    rate = like(-float_of_bits(load(step + 8 * LR)), one)
    product(team, i.plan, i.x, i.dy, i.W, i.W, rate, NO_EPILOGUE)
    if i.b != NOTHING:
        sum_of_rows(team, i.plan_of_sum, i.dy, i.b, i.b, rate)


@operation(of.Activation)
def activation(team, row, step, one):
    """Run ``Activation``."""
    i = operands(of.Activation, row)
    apply_function(team, i.function, i.x, i.y, i.n, like(i.number, one))


@operation(of.ActivationGradient)
def activation_gradient(team, row, step, one):
    """Run ``ActivationGradient``."""
    i = operands(of.ActivationGradient, row)
    apply_function_back(team, i.function, i.d, i.kept, i.d, i.n, like(i.number, one))


@kernel(inline=True)
def _mask(at, n):
    return view(at, n, True).reshape(1, n)


@operation(of.Dropout)
def dropout(team, row, step, one):
    """Run ``Dropout``."""
    i = operands(of.Dropout, row)
    seed = load(step + 8 * SEED) if i.seed < 0 else i.seed
    key = key_of(seed, i.stream, load(step + 8 * STEP))
    dropout_forward(team, matrix(i.x, 1, i.n, one), i.keep, key, matrix(i.y, 1, i.n, one), _mask(i.mask, i.n))


@operation(of.DropoutGradient)
def dropout_gradient(team, row, step, one):
    """Run ``DropoutGradient``."""
    i = operands(of.DropoutGradient, row)
    dropout_backward(team, matrix(i.dy, 1, i.n, one), _mask(i.mask, i.n), i.keep, matrix(i.dx, 1, i.n, one))


@kernel(inline=True)
def _share(step, one):
    """What the mean over the batch gives to each row."""
    return like(1.0 / load(step + 8 * ROWS), one)


@kernel(inline=True)
def _tell_loss(step, loss, n_rows):
    """Write the mean ``loss`` of ``n_rows`` rows to the step's words, as their share of the whole batch's."""
    store(step + 8 * LOSS, bits_of_float(loss * (n_rows / load(step + 8 * ROWS))))


@kernel(inline=True)
def _weights(at, n_rows, one):
    return view(at, n_rows if at else 0, one)


@operation(of.SoftmaxLossOfFew)
def softmax_loss_of_few(team, row, step, one):
    """Run ``SoftmaxLossOfFew``."""
    i = operands(of.SoftmaxLossOfFew, row)
    share = _share(step, one)
    loss = softmax_xent_short(team, i.x, i.labels, i.eps, share, i.dx, i.losses, i.rows, i.columns)
    _tell_loss(step, loss, i.rows)


@kernel(inline=True)
def _of_loss(i, one):
    """What losses have in common: scores, the gradient with respect to them, weights, and scratch for losses."""
    x, dx = matrix(i.x, i.rows, i.columns, one), matrix(i.dx, i.rows, i.columns, one)
    return x, dx, _weights(i.weights, i.rows, one), view(i.losses, i.rows, 1.0)


# The next two differ in the form of targets alone; a function for the calls of both would be compiled once more.
@operation(of.SoftmaxLossOfLabels)
def softmax_loss_of_labels(team, row, step, one):
    """Run ``SoftmaxLossOfLabels``."""
    i = operands(of.SoftmaxLossOfLabels, row)
    x, dx, weights, losses = _of_loss(i, one)
    y, t = matrix(i.y, i.rows, i.columns, one), view(i.targets, i.rows, np.int64(1))
    _tell_loss(step, softmax_xent_forward(team, x, t, weights, i.eps, i.smoothing, y, losses), i.rows)
    softmax_xent_backward(team, y, t, weights, i.eps, i.smoothing, _share(step, one), dx)


@operation(of.SoftmaxLossOfRows)
def softmax_loss_of_rows(team, row, step, one):
    """Run ``SoftmaxLossOfRows``."""
    i = operands(of.SoftmaxLossOfRows, row)
    x, dx, weights, losses = _of_loss(i, one)
    y, t = matrix(i.y, i.rows, i.columns, one), matrix(i.targets, i.rows, i.columns, one)
    _tell_loss(step, softmax_xent_forward(team, x, t, weights, i.eps, i.smoothing, y, losses), i.rows)
    softmax_xent_backward(team, y, t, weights, i.eps, i.smoothing, _share(step, one), dx)


@operation(of.ElementLoss)
def mean_of_element_losses(team, row, step, one):
    """Run ``ElementLoss``."""
    i = operands(of.ElementLoss, row)
    x, dx, weights, losses = _of_loss(i, one)
    t, kernels = matrix(i.targets, i.rows, i.columns, one), (i.function, i.slope, i.in_one_go)
    loss = element_loss(team, *kernels, x, t, weights, _share(step, one), i.number, losses, dx)
    _tell_loss(step, loss, i.rows)


@operation(of.DevianceLoss)
def deviance_loss(team, row, step, one):
    """Run ``DevianceLoss``."""
    i = operands(of.DevianceLoss, row)
    x, dx, weights, losses = _of_loss(i, one)
    t, y = matrix(i.targets, i.rows, i.columns, one), matrix(i.y, i.rows, i.columns, one)
    total = sum_of_weights(weights, load(step + 8 * ROWS))
    loss = deviance(team, i.function, i.output, x, t, weights, total, y, dx, losses)
    store(step + 8 * LOSS, bits_of_float(loss))
    store(i.total, bits_of_float(total))


@operation(of.Penalty)
def penalty(team, row, step, one):
    """Run ``Penalty``."""
    i = operands(of.Penalty, row)
    total = float_of_bits(load(i.total))
    decay = i.alpha / total if total != 0 else 0.0
    partial = view(i.partial, parts_of(i.n), 1.0)
    added = l2_penalty(team, view(i.W, i.n, one), view(i.dW, i.n, one), decay, partial)
    store(step + 8 * LOSS, bits_of_float(float_of_bits(load(step + 8 * LOSS)) + added))


@operation(of.Optimize)
def optimize(team, row, step, one):
    """Run ``Optimize``."""
    i = operands(of.Optimize, row)
    params, grads = view(i.parameters, i.n, one), view(i.gradients, i.n, one)
    first, second = view(i.first, i.n_first, one), view(i.second, i.n_second, one)
    scale = 1.0
    if i.limit > 0:
        norm = math.sqrt(squared_norm(team, grads, view(i.partial, parts_of(i.n), 1.0)))
        scale = min(1.0, i.limit / (norm + 1e-6))  # torch.nn.utils.clip_grad_norm_'s 1e-6
    lr, number = float_of_bits(load(step + 8 * LR)), load(step + 8 * STEP) + 1
    optimizer_step(team, i.kind, params, grads, first, second, view(i.hyper, N_HYPER, 1.0), lr, number, scale)


@operation(of.Slices)
def slices(team, row, step, one):
    """Run ``Slices``."""
    i = operands(of.Slices, row)
    gradients = view(i.gradients, i.n, one)
    run_slices(team, i.parts, i.n_parts, i.rows, i.slice_rows, i.n_instructions, gradients, step, one)
