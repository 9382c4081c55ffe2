"""The operations that programs are made of: each reads its operands and calls the kernel of a layer.

``operation(team, row, step, one)``: the operands begin at address ``row``, the step's words at ``step`` (see
``program``), and ``one`` names the element type. N is the number of rows in the batch. Compiled one by one, when the
first network needs them; called through their address.
"""

import math

import numpy as np

from ._jit import kernel
from .affine import sum_rows
from .batch import gather, gather_kind, gather_sparse
from .deviance import deviance, sum_of_weights
from .dropout import dropout_backward, dropout_forward
from .element_losses import element_loss
from .gemm import LINEAR, NOTHING, gemm
from .leaky_relu import leaky_relu_backward, leaky_relu_forward
from .memory import bits_of_float, float_of_bits, like, load, store, view
from .optimizer import N_HYPER, optimizer_step, squared_norm
from .penalty import l2_penalty
from .program import LOSS, LR, ROWS, SAMPLES, SEED, STEP
from .random import key_of
from .relu import relu_backward_in_place, relu_forward_plain
from .sigmoid import sigmoid_backward_in_place, sigmoid_forward
from .slices import run_slices
from .softmax_xent import softmax_xent_backward, softmax_xent_forward, softmax_xent_short
from .tanh import tanh_backward_in_place, tanh_forward
from .team import parts_of


@kernel(inline=True)
def _word(row, i):
    return load(row + 8 * i)


@kernel(inline=True)
def _number(row, i, one):
    """Operand ``i``, a float64 as bits, as an element."""
    return like(float_of_bits(load(row + 8 * i)), one)


@kernel(inline=True)
def _matrix(at, n_rows, n_columns, one):
    return view(at, n_rows * n_columns, one).reshape(n_rows, n_columns)


@kernel
def gather_rows(team, row, step, one):
    """Operands: source, of elements of the target's type, samples in it, target (N, width), N, width, scale."""
    n_samples, n_rows, width = _word(row, 1), _word(row, 3), _word(row, 4)
    rows = view(load(step + 8 * SAMPLES), n_rows, np.int64(1))
    source = view(_word(row, 0), n_samples * width, one)
    gather(team, source, width, rows, _matrix(_word(row, 2), n_rows, width, one), _number(row, 5, one))


@kernel
def gather_converted_rows(team, row, step, one):
    """Operands as of ``gather_rows``, and the kind of the source's elements."""
    n_samples, n_rows, width = _word(row, 1), _word(row, 3), _word(row, 4)
    rows = view(load(step + 8 * SAMPLES), n_rows, np.int64(1))
    target = _matrix(_word(row, 2), n_rows, width, one)
    gather_kind(team, _word(row, 0), _word(row, 6), n_samples, width, rows, target, _number(row, 5, one))


@kernel
def gather_sparse_rows(team, row, step, one):
    """Operands: values, their columns, where each sample's begin, target (N, width), N, width."""
    n_rows, width = _word(row, 4), _word(row, 5)
    rows = view(load(step + 8 * SAMPLES), n_rows, np.int64(1))
    target = _matrix(_word(row, 3), n_rows, width, one)
    gather_sparse(team, _word(row, 0), _word(row, 1), _word(row, 2), rows, target)


@kernel
def gather_labels(team, row, step, one):
    """Operands: source (samples,) int64, target (N,) int64, N."""
    n_rows = _word(row, 2)
    rows = view(load(step + 8 * SAMPLES), n_rows, np.int64(1))
    target = view(_word(row, 1), n_rows, np.int64(1))
    source = _word(row, 0)
    for n in range(n_rows):
        target[n] = load(source + 8 * rows[n])


@kernel
def affine(team, row, step, one):
    """``y = f(x W + b)``. Operands: x (N, I), W (I, O), b (O,) or NOTHING, y (N, O), N, I, O, f."""
    x, w, b, y = _word(row, 0), _word(row, 1), _word(row, 2), _word(row, 3)
    n_rows, n_inputs, n_outputs = _word(row, 4), _word(row, 5), _word(row, 6)
    shape = (n_rows, n_outputs, n_inputs)
    gemm(team, shape, (x, n_inputs, 1), (w, n_outputs, 1), (y, n_outputs), (b, 0), one, _word(row, 7))


@kernel
def affine_dx(team, row, step, one):
    """``dx = dy W.T``. Operands: dy (N, O), W (I, O), dx (N, I), N, I, O."""
    dy, w, dx = _word(row, 0), _word(row, 1), _word(row, 2)
    n_rows, n_inputs, n_outputs = _word(row, 3), _word(row, 4), _word(row, 5)
    shape = (n_rows, n_inputs, n_outputs)
    gemm(team, shape, (dy, n_outputs, 1), (w, 1, n_outputs), (dx, n_inputs), (NOTHING, 0), one, LINEAR)


@kernel
def affine_dw(team, row, step, one):
    """``dW = x.T dy`` and db, the sum of the rows of dy, or both added to what stands there.

    Operands: x (N, I), dy (N, O), dW (I, O), db (O,) or NOTHING, N, I, O, whether to add.
    """
    x, dy, dw, db = _word(row, 0), _word(row, 1), _word(row, 2), _word(row, 3)
    n_rows, n_inputs, n_outputs = _word(row, 4), _word(row, 5), _word(row, 6)
    shape = (n_inputs, n_outputs, n_rows)
    start_w, start_b = (dw, db) if _word(row, 7) else (NOTHING, NOTHING)
    gemm(team, shape, (x, 1, n_inputs), (dy, n_outputs, 1), (dw, n_outputs), (start_w, n_outputs), one, LINEAR)
    if db != NOTHING:
        sum_rows(team, dy, (n_rows, n_outputs), (db, start_b), one)


@kernel
def affine_step(team, row, step, one):
    """``W -= lr x.T dy`` and ``b -= lr sum of the rows of dy``: gradient descent without a gradient array.

    Operands as of ``affine_dw``, W for dW and b for db.
    """
    x, dy, w, b = _word(row, 0), _word(row, 1), _word(row, 2), _word(row, 3)
    n_rows, n_inputs, n_outputs = _word(row, 4), _word(row, 5), _word(row, 6)
    rate = like(-float_of_bits(load(step + 8 * LR)), one)
    shape = (n_inputs, n_outputs, n_rows)
    gemm(team, shape, (x, 1, n_inputs), (dy, n_outputs, 1), (w, n_outputs), (w, n_outputs), rate, LINEAR)
    if b != NOTHING:
        sum_rows(team, dy, (n_rows, n_outputs), (b, b), rate)


@kernel
def relu(team, row, step, one):
    """``y = 0 where x <= 0, else x``. Operands: x, y, elements."""
    n = _word(row, 2)
    relu_forward_plain(team, view(_word(row, 0), n, one), view(_word(row, 1), n, one))


@kernel
def relu_back(team, row, step, one):
    """``d = 0 where y <= 0``, the gradient in place. Operands: d, y, elements."""
    n = _word(row, 2)
    relu_backward_in_place(team, view(_word(row, 0), n, one), view(_word(row, 1), n, one))


@kernel
def sigmoid(team, row, step, one):
    """``y = 1 / (1 + exp(-x))``. Operands: x, y, elements."""
    n = _word(row, 2)
    sigmoid_forward(team, _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 1), 1, n, one))


@kernel
def sigmoid_back(team, row, step, one):
    """``d *= (1 - y) y``, the gradient in place. Operands: d, y, elements."""
    n = _word(row, 2)
    sigmoid_backward_in_place(team, view(_word(row, 0), n, one), view(_word(row, 1), n, one))


@kernel(inline=True)
def _batch_of(row, one):
    """What begins every loss's operands: x, y and dx (N, K), weights (N,) or (0,), losses (N,) of rows or of parts."""
    n_rows, n_columns = _word(row, 5), _word(row, 6)
    x, y = _matrix(_word(row, 0), n_rows, n_columns, one), _matrix(_word(row, 3), n_rows, n_columns, one)
    dx, losses = _matrix(_word(row, 4), n_rows, n_columns, one), view(_word(row, 7), n_rows, 1.0)
    return x, y, dx, view(_word(row, 2), n_rows if _word(row, 2) else 0, one), losses


@kernel(inline=True)
def _mask(at, n):
    return view(at, n, True).reshape(1, n)


@kernel(inline=True)
def _share(step, one):
    """What the mean over the batch gives to each row."""
    return like(1.0 / load(step + 8 * ROWS), one)


@kernel(inline=True)
def _tell_loss(step, loss, n_rows):
    """Write the mean ``loss`` of ``n_rows`` rows to the step's words, as their share of the whole batch's."""
    store(step + 8 * LOSS, bits_of_float(loss * (n_rows / load(step + 8 * ROWS))))


# Operands of a loss: x (N, K), targets, weights (N,) or 0, y (N, K), dx (N, K), N, K, losses (N,), and its numbers.
# It writes the mean loss to the step's words, and the gradient to dx.


@kernel
def softmax_loss_of_few(team, row, step, one):
    """Softmax and cross-entropy for at most LONGEST classes; targets are labels (N,), without weights. Number: eps."""
    x, labels, dx, losses = _word(row, 0), _word(row, 1), _word(row, 4), _word(row, 7)
    n_rows, n_columns = _word(row, 5), _word(row, 6)
    eps = float_of_bits(_word(row, 8))
    loss = softmax_xent_short(team, x, labels, eps, _share(step, one), dx, losses, n_rows, n_columns)
    _tell_loss(step, loss, n_rows)


@kernel
def softmax_loss_of_labels(team, row, step, one):
    """Softmax and cross-entropy; targets are labels (N,). Numbers: eps, label smoothing."""
    x, y, dx, weights, losses = _batch_of(row, one)
    eps, smoothing = float_of_bits(_word(row, 8)), float_of_bits(_word(row, 9))
    labels = view(_word(row, 1), losses.size, np.int64(1))
    loss = softmax_xent_forward(team, x, labels, weights, eps, smoothing, y, losses)
    _tell_loss(step, loss, losses.size)
    softmax_xent_backward(team, y, labels, weights, eps, smoothing, _share(step, one), dx)


@kernel
def softmax_loss_of_rows(team, row, step, one):
    """Softmax and cross-entropy; targets are distributions (N, K). Numbers: eps, label smoothing."""
    x, y, dx, weights, losses = _batch_of(row, one)
    eps, smoothing = float_of_bits(_word(row, 8)), float_of_bits(_word(row, 9))
    t = _matrix(_word(row, 1), losses.size, _word(row, 6), one)
    loss = softmax_xent_forward(team, x, t, weights, eps, smoothing, y, losses)
    _tell_loss(step, loss, losses.size)
    softmax_xent_backward(team, y, t, weights, eps, smoothing, _share(step, one), dx)


@kernel
def real_target_loss(team, row, step, one):
    """A loss that is a mean over elements; targets (N, K). Further operand: its kind. ``y`` is not written."""
    x, _, dx, weights, losses = _batch_of(row, one)
    t = _matrix(_word(row, 1), losses.size, _word(row, 6), one)
    loss = element_loss(team, _word(row, 8), x, t, weights, _share(step, one), losses, dx)
    _tell_loss(step, loss, losses.size)


@kernel
def deviance_loss(team, row, step, one):
    """The loss that goes with an output function; targets (N, K). Further operands: kind of the function, and the
    address of a float64 that is overwritten with the sum of the batch's weights. With weights, N is the whole batch.
    """
    x, y, dx, weights, losses = _batch_of(row, one)
    t = _matrix(_word(row, 1), losses.size, _word(row, 6), one)
    total = sum_of_weights(weights, load(step + 8 * ROWS))
    store(step + 8 * LOSS, bits_of_float(deviance(team, _word(row, 8), x, t, weights, total, y, dx, losses)))
    store(_word(row, 9), bits_of_float(total))


@kernel
def penalty(team, row, step, one):
    """Add the L2 penalty ``alpha / total / 2 sum(W^2)`` to the step's loss, and its gradient to dW.

    Operands: W (n,), dW (n,), n, alpha, address of the total, partial sums. Without a total there is no penalty.
    """
    n, total = _word(row, 2), float_of_bits(load(_word(row, 4)))
    decay = float_of_bits(_word(row, 3)) / total if total != 0 else 0.0
    w, dw = view(_word(row, 0), n, one), view(_word(row, 1), n, one)
    added = l2_penalty(team, w, dw, decay, view(_word(row, 5), parts_of(n), 1.0))
    store(step + 8 * LOSS, bits_of_float(float_of_bits(load(step + 8 * LOSS)) + added))


@kernel
def tanh(team, row, step, one):
    """``y = tanh(x)``. Operands: x, y, elements."""
    n = _word(row, 2)
    tanh_forward(team, _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 1), 1, n, one))


@kernel
def tanh_back(team, row, step, one):
    """``d *= 1 - y y``, the gradient in place. Operands: d, y, elements."""
    n = _word(row, 2)
    tanh_backward_in_place(team, view(_word(row, 0), n, one), view(_word(row, 1), n, one))


@kernel
def leaky_relu(team, row, step, one):
    """``y = slope x where x <= 0, else x``. Operands: x, y, mask, elements, slope."""
    n = _word(row, 3)
    x, y = _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 1), 1, n, one)
    leaky_relu_forward(team, x, _number(row, 4, one), y, _mask(_word(row, 2), n))


@kernel
def leaky_relu_back(team, row, step, one):
    """``dx = slope dy where mask, else dy``. Operands: dy, mask, dx, elements, slope."""
    n = _word(row, 3)
    dy, dx = _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 2), 1, n, one)
    leaky_relu_backward(team, dy, _mask(_word(row, 1), n), _number(row, 4, one), dx)


@kernel
def dropout(team, row, step, one):
    """``y = x / keep where mask, else 0``. Operands: x, y, mask, elements, keep, stream, seed or -1 for the run's."""
    n, seed = _word(row, 3), _word(row, 6)
    x, y = _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 1), 1, n, one)
    if seed < 0:
        seed = load(step + 8 * SEED)
    key = key_of(seed, _word(row, 5), load(step + 8 * STEP))
    dropout_forward(team, x, float_of_bits(_word(row, 4)), key, y, _mask(_word(row, 2), n))


@kernel
def dropout_back(team, row, step, one):
    """``dx = dy / keep where mask, else 0``. Operands: dy, mask, dx, elements, keep."""
    n = _word(row, 3)
    dy, dx = _matrix(_word(row, 0), 1, n, one), _matrix(_word(row, 2), 1, n, one)
    dropout_backward(team, dy, _mask(_word(row, 1), n), float_of_bits(_word(row, 4)), dx)


@kernel
def optimize(team, row, step, one):
    """One step of an optimizer, its gradients first clipped to a norm where ``limit`` > 0.

    Operands: kind, parameters (n,), gradients (n,), first and second state (n,) or of length 0, n, length of the
    first, length of the second, hyper, limit, partial sums.
    """
    n = _word(row, 5)
    params, grads = view(_word(row, 1), n, one), view(_word(row, 2), n, one)
    first, second = view(_word(row, 3), _word(row, 6), one), view(_word(row, 4), _word(row, 7), one)
    hyper, limit = view(_word(row, 8), N_HYPER, 1.0), float_of_bits(_word(row, 9))
    scale = 1.0
    if limit > 0:
        norm = math.sqrt(squared_norm(team, grads, view(_word(row, 10), parts_of(n), 1.0)))
        scale = min(1.0, limit / (norm + 1e-6))  # torch.nn.utils.clip_grad_norm_'s 1e-6
    lr, number = float_of_bits(load(step + 8 * LR)), load(step + 8 * STEP) + 1
    optimizer_step(team, _word(row, 0), params, grads, first, second, hyper, lr, number, scale)


@kernel
def slices(team, row, step, one):
    """Loss and gradient of the batch by programs for slices of it.

    Operands: parts, number of parts, N, rows of a slice, instructions of a program, gradients (P,), P.
    """
    gradients = view(_word(row, 5), _word(row, 6), one)
    run_slices(team, _word(row, 0), _word(row, 1), _word(row, 2), _word(row, 3), _word(row, 4), gradients, step, one)
