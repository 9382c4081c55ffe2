"""Kernels, called from Python."""

import math
from itertools import count

import numpy as np

from fastbp.activations import named
from fastbp.basics import _team
from fastbp.kernels import element_losses
from fastbp.kernels._jit import kernel
from fastbp.kernels.convolution import correlate, gradient_of_filters
from fastbp.kernels.convolution_plan import Shape, elements_of_parts, forward, input_gradient, weight_gradient
from fastbp.kernels.elementwise import apply_function, apply_function_back
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, gemm
from fastbp.kernels.memory import address
from fastbp.kernels.optimizer import ADAM, optimizer_step
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward
from fastbp.programs._lowering import function_address, in_one_go_address, loss_address

from ...bench_adam import RATE, parameters_and_gradients
from ...bench_convolution import operands
from ...bench_gemm import factors
from ...elementwise import arrays, sample
from ...losses import scores_and_targets
from ...networks import ADAM_EPS, BETA1, BETA2
from ...row import Work
from .forms import COMPILED


@kernel
def repeat_gemm(team, repeats, a, a_strides, b, b_strides, c, one, alone):
    """``C = A B`` as often as ``repeats`` says; strides in elements."""
    shape = (c.shape[0], c.shape[1], a.size // c.shape[0])
    at_a, at_b, at_c = (address(a), *a_strides), (address(b), *b_strides), (address(c), c.shape[1])
    for _ in range(repeats):
        gemm(team, shape, at_a, at_b, at_c, (NOTHING, 0), one, NO_EPILOGUE, alone)


@COMPILED.does("gemm")
def product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    a, b = factors(form, shape, dtype)
    c = np.empty((a.shape[0], b.shape[1]), dtype)
    team, one = _team.address_for(np.dtype(dtype)), np.dtype(dtype).type(1)
    alone = int(form == "dout W.T")  # as in gradients
    repeats = max(1, round(2e7 / 2 / math.prod(shape)))  # so that the one call from Python does not count
    operands = [value for m in (a, b) for value in (m.T if m.flags.f_contiguous else m, _strides(m))]
    return Work(lambda: repeat_gemm(team, repeats, *operands, c, one, alone), lambda: [c], repeats)


def _strides(matrix: np.ndarray) -> tuple[int, int]:
    return matrix.strides[0] // matrix.itemsize, matrix.strides[1] // matrix.itemsize


@COMPILED.does("convolution")
def convolution(direction: str, shape: tuple[int, ...]) -> Work:
    """One direction of a convolution, its kernel called from Python."""
    a, (n, c, h, w, f, k, pad) = operands(shape), shape
    form, kind, one = Shape(c, h, w, f, k, k, 1, pad), a["x"].dtype, a["x"].dtype.type(1)
    team, plain = _team.current().address, (NO_EPILOGUE[0], NOTHING)
    at = {name: array.ctypes.data for name, array in a.items()}
    if direction == "dW":
        plan = weight_gradient(form, kind)
        partial, dW, db = np.empty(elements_of_parts(plan, n), kind), np.empty_like(a["W"]), np.empty_like(a["b"])
        given, made = (at["x"], at["dout"], partial.ctypes.data), (dW.ctypes.data, db.ctypes.data)
        return Work(
            lambda: gradient_of_filters(team, plan.ctypes.data, *given, n, one, False, *made),
            lambda: [dW, db] if partial.size else [],
        )
    back = direction == "dx"
    plan = input_gradient(form, kind)[0] if back else forward(form, kind)
    out = np.empty_like(a["x"] if back else a["dout"])
    x, start = (at["dout"], NOTHING) if back else (at["x"], at["b"])
    return Work(
        lambda: correlate(team, plan.ctypes.data, x, at["W"], start, out.ctypes.data, n, plain, one), lambda: [out]
    )


@COMPILED.does("adam")
def adam(n: int) -> Work:
    p, g = parameters_and_gradients(n)
    first, second, hyper = np.zeros_like(p), np.zeros_like(p), np.array([BETA1, BETA2, ADAM_EPS, 0.0])
    team, steps = _team.current().address, count(1)
    return Work(lambda: optimizer_step(team, ADAM, p, g, first, second, hyper, RATE, next(steps), 1.0), lambda: [p])


@COMPILED.does("relu", "sigmoid", "tanh")
def activation(layer: str, direction: str, n: int) -> Work:
    """The kernels of an activation, called from Python.

    ReLU's gradient comes out where it went in: doing it once more changes nothing.
    """
    inputs = arrays(layer, direction, n)
    team, dtype, activation = _team.current().address, inputs[0].dtype, named(layer.lower())
    number = dtype.type(activation.number)
    if direction == "forward":
        run, function = apply_function, function_address(activation.kernel, dtype)
    else:
        run, function = apply_function_back, function_address(activation.kernel_back, dtype)
    out = inputs[0] if (layer, direction) == ("Relu", "backward") else np.empty_like(inputs[0])
    held = *inputs, out
    places = [a.ctypes.data for a in held]
    return Work(lambda: run(team, function, *places, n, number), lambda: [sample(held[-1])])


@COMPILED.does("softmax loss")
def softmax_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    y, dx, losses, no_weights = np.empty_like(x), np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())

    def call():
        value[...] = softmax_xent_forward(team, x, t, no_weights, 0.0, 0.0, y, losses)
        softmax_xent_backward(team, y, t, no_weights, 0.0, 0.0, share, dx)

    return Work(call, lambda: [value, dx])


@COMPILED.does("squared error")
def squared_error(loss, shape):
    x, t = scores_and_targets(loss, shape)
    dx, partial, no_weights = np.empty_like(x), np.empty(len(x)), np.empty(0, np.float32)
    team, share, value = _team.current().address, np.float32(1 / len(x)), np.zeros(())
    kernels = [loss_address(kernel, x.dtype) for kernel in (element_losses.squared, element_losses.squared_slope)]
    kernels.append(in_one_go_address(element_losses.squared_in_one_go, x.dtype))

    def call():
        value[...] = element_losses.element_loss(team, *kernels, x, t, no_weights, share, 0.0, partial, dx)

    return Work(call, lambda: [value, dx])
