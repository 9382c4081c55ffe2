"""ReLU and its gradient."""

from functools import partial

import numpy as np

from .elementwise import activation_rows, expected, fastbp_pass, jax_pass, numpy_pass, torch_pass
from .row import rows


def numpy_forward(x, out):
    np.maximum(x, 0, out=out)


def numpy_backward(dout, y, out):
    np.greater(y, 0, out=out)
    np.multiply(out, dout, out=out)


def torch_forward(torch, x, out):
    torch.clamp_min(x, 0, out=out)


def torch_backward(torch, dout, y, out):
    torch.ops.aten.threshold_backward.grad_input(dout, y, 0, grad_input=out)


def jax_forward(jax, x):
    return jax.numpy.maximum(x, 0)


def jax_backward(jax, dout, y):
    return jax.numpy.where(y > 0, dout, 0)


PROVIDERS = {
    "fastbp": partial(fastbp_pass, "relu", in_place=True),
    "numpy": partial(numpy_pass, numpy_forward, numpy_backward),
    "torch": partial(torch_pass, torch_forward, torch_backward),
    "jax": partial(jax_pass, jax_forward, jax_backward),
}


@rows(
    activation_rows("Relu", tolerance=0, quick=(1_000, 10_000_000), more=(100_000_000,)),
    PROVIDERS,
)
def bench_relu(measure, row, provider):
    measure(PROVIDERS, expected)
