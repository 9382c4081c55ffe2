"""The hyperbolic tangent and its gradient."""

from functools import partial

import numpy as np

from .elementwise import activation_rows, expected, fastbp_pass, jax_pass, numpy_pass, torch_pass
from .row import rows


def numpy_forward(x, out):
    np.tanh(x, out=out)


def numpy_backward(dout, y, out):
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, dout, out=out)


def torch_forward(torch, x, out):
    torch.tanh(x, out=out)


def torch_backward(torch, dout, y, out):
    torch.ops.aten.tanh_backward.grad_input(dout, y, grad_input=out)


def jax_forward(jax, x):
    return jax.numpy.tanh(x)


def jax_backward(jax, dout, y):
    return dout * (1 - y * y)


PROVIDERS = {
    "fastbp": partial(fastbp_pass, "tanh"),
    "numpy": partial(numpy_pass, numpy_forward, numpy_backward),
    "torch": partial(torch_pass, torch_forward, torch_backward),
    "jax": partial(jax_pass, jax_forward, jax_backward),
}


@rows(activation_rows("Tanh", tolerance=1000), PROVIDERS)
def bench_tanh(measure, row, provider):
    measure(PROVIDERS, expected)
