"""The logistic function and its gradient."""

from functools import partial

import numpy as np

from .elementwise import activation_rows, expected, fastbp_pass, jax_pass, numpy_pass, torch_pass
from .row import rows


def numpy_forward(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


def numpy_backward(dout, y, out):
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)
    np.multiply(out, dout, out=out)


def torch_forward(torch, x, out):
    torch.sigmoid(x, out=out)


def torch_backward(torch, dout, y, out):
    torch.ops.aten.sigmoid_backward.grad_input(dout, y, grad_input=out)


def jax_forward(jax, x):
    return jax.nn.sigmoid(x)


def jax_backward(jax, dout, y):
    return dout * (1 - y) * y


PROVIDERS = {
    "fastbp": partial(fastbp_pass, "sigmoid"),
    "numpy": partial(numpy_pass, numpy_forward, numpy_backward),
    "torch": partial(torch_pass, torch_forward, torch_backward),
    "jax": partial(jax_pass, jax_forward, jax_backward),
}


@rows(activation_rows("Sigmoid", tolerance=16), PROVIDERS)
def bench_sigmoid(measure, row, provider):
    measure(PROVIDERS, expected)
