"""Softmax with cross-entropy: the mean loss of a batch of labels, and its gradient."""

import numpy as np

from fastbp.basics import _team
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward

from . import peers
from .losses import expected, loss_rows, scores_and_targets
from .row import Work, rows


def fastbp_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    y, dx, losses, no_weights = np.empty_like(x), np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())

    def call():
        value[...] = softmax_xent_forward(team, x, t, no_weights, 0.0, 0.0, y, losses)
        softmax_xent_backward(team, y, t, no_weights, 0.0, 0.0, share, dx)

    return Work(call, lambda: [value, dx])


def numpy_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    d, column, value = np.empty_like(x), np.empty((len(x), 1), np.float32), np.zeros(())
    rows = np.arange(len(x))

    def call():
        np.max(x, axis=1, keepdims=True, out=column)
        np.subtract(x, column, out=d)
        picked = d[rows, t]
        np.exp(d, out=d)
        np.sum(d, axis=1, keepdims=True, out=column)
        value[...] = np.mean(np.log(column[:, 0]) - picked, dtype=np.float64)
        np.divide(d, column, out=d)
        d[rows, t] -= 1
        np.multiply(d, np.float32(1 / len(x)), out=d)

    return Work(call, lambda: [value, d])


def torch_loss(loss, shape):
    torch = peers.torch()
    x, t = map(torch.from_numpy, scores_and_targets(loss, shape))
    x.requires_grad_()
    last: list = []

    def call():
        value = torch.nn.functional.cross_entropy(x, t)
        last[:] = value, *torch.autograd.grad(value, x)

    return Work(call, lambda: [a.detach().numpy() for a in last])


def jax_loss(loss, shape):
    jax = peers.jax()
    x, t = scores_and_targets(loss, shape)

    def mean_loss(x, t):
        picked = jax.numpy.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1)
        return -picked.mean()

    return peers.jitted(jax.value_and_grad(mean_loss), x, t.astype(np.int32))


PROVIDERS = {"fastbp": fastbp_loss, "numpy": numpy_loss, "torch": torch_loss, "jax": jax_loss}


@rows(loss_rows("SoftmaxWithLoss", label_targets=True), PROVIDERS)
def bench_softmax_loss(measure, row, provider):
    measure(PROVIDERS, expected)
