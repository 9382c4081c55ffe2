"""``net.to_numpy``: a network as a Python module that needs only NumPy."""

import os
from typing import Any

from fastbp._files import write_whole
from fastbp._source import number_lines
from fastbp.affine import Affine
from fastbp.architecture import predicting, probabilities_of
from fastbp.sequential import Sequential

_CALLS = {  # a layer's class to the call that computes it
    "Relu": lambda layer: "relu(x)",
    "LeakyRelu": lambda layer: f"leaky_relu(x, {float(layer.slope)!r})",
    "Sigmoid": lambda layer: "sigmoid(x)",
    "Tanh": lambda layer: "np.tanh(x)",
}
_FUNCTIONS = {
    "relu": """
def relu(x):
    return np.where(x <= 0, DTYPE(0), x)
""",
    "leaky_relu": """
def leaky_relu(x, slope):
    return np.where(x <= 0, DTYPE(slope) * x, x)
""",
    "sigmoid": '''
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow for any x."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, DTYPE(1)) / (1 + e)
''',
    "softmax": """
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
""",
}
_MODULE = '''\
"""A network of {n_inputs} inputs and {n_outputs} outputs, computed in {dtype}; it needs NumPy and nothing else.

{summary}

Written by fastbp. The numbers at the end are exact.
"""

import numpy as np

DTYPE = np.{dtype}


def predict(x):
    """Return the scores (N, {n_outputs}) of samples x (N, {n_inputs})."""
    x = np.asarray(x, DTYPE)
{steps}
    return x
{functions}

def _numbers(shape, text):
    return np.array([float.fromhex(number) for number in text.split()], DTYPE).reshape(shape)


{numbers}
'''
_PROBABILITIES = '''

def predict_proba(x):
    """Return the probabilities (N, {n_outputs}) of samples x (N, {n_inputs})."""
    return {call}
'''


def to_numpy(net: Sequential, path: str | os.PathLike) -> None:
    layers = predicting(net)
    steps, n_affine = [], 0
    for kind, layer in layers:
        if isinstance(layer, Affine):
            n_affine += 1
            step = f"x @ W{n_affine}" + ("" if layer.b is None else f" + b{n_affine}")
        else:
            step = _CALLS[kind](layer)
        steps.append(f"    x = {step}")
    sizes: dict[str, Any] = {"n_inputs": net.params["W1"].shape[0], "n_outputs": net._affines()[-1].W.shape[1]}
    code = "\n".join(steps)
    functions = ""
    probabilities = probabilities_of(net)
    if probabilities is not None:
        call = "predict(x)" if probabilities == "identity" else f"{probabilities}(predict(x))"
        functions = _PROBABILITIES.format(call=call, **sizes)
    used = code + functions
    functions += "".join(f"\n{text}" for name, text in _FUNCTIONS.items() if f" {name}(" in used)
    numbers = "\n".join(
        f'{name} = _numbers({array.shape}, """\n' + "\n".join(number_lines(array)) + '\n""")'
        for name, array in net.params.items()
    )
    dtype = net._bound().dtype.name
    text = _MODULE.format(summary=net.summary(), dtype=dtype, steps=code, functions=functions, numbers=numbers, **sizes)
    write_whole(path, text.encode("ascii"))
