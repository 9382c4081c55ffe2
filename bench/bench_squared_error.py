"""The mean squared error of a batch, and its gradient."""

import numpy as np

from fastbp.basics import _team
from fastbp.kernels import element_losses
from fastbp.programs._lowering import in_one_go_address, loss_address

from . import peers
from .losses import expected, loss_rows, scores_and_targets
from .row import Work, rows


def fastbp_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    dx, partial, no_weights = np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())
    kernels = [loss_address(kernel, x.dtype) for kernel in (element_losses.squared, element_losses.squared_slope)]
    kernels.append(in_one_go_address(element_losses.squared_in_one_go, x.dtype))

    def call():
        value[...] = element_losses.element_loss(team, *kernels, x, t, no_weights, share, 0.0, partial, dx)

    return Work(call, lambda: [value, dx])


def numpy_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    d, value, scale = np.empty_like(x), np.zeros(()), np.float32(2 / x.size)

    def call():
        np.subtract(x, t, out=d)
        value[...] = np.dot(d.ravel(), d.ravel()) / np.float32(x.size)
        np.multiply(d, scale, out=d)

    return Work(call, lambda: [value, d])


def torch_loss(loss, shape):
    torch = peers.torch()
    x, t = map(torch.from_numpy, scores_and_targets(loss, shape))
    x.requires_grad_()
    last: list = []

    def call():
        value = torch.nn.functional.mse_loss(x, t)
        last[:] = value, *torch.autograd.grad(value, x)

    return Work(call, lambda: [a.detach().numpy() for a in last])


def jax_loss(loss, shape):
    jax = peers.jax()
    return peers.jitted(jax.value_and_grad(lambda x, t: jax.numpy.mean((x - t) ** 2)), *scores_and_targets(loss, shape))


PROVIDERS = {"fastbp": fastbp_loss, "numpy": numpy_loss, "torch": torch_loss, "jax": jax_loss}


@rows(loss_rows("MeanSquaredError", label_targets=False), PROVIDERS)
def bench_squared_error(measure, row, provider):
    measure(PROVIDERS, expected)
