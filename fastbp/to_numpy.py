"""``net.to_numpy``: a network as a Python module that needs only NumPy."""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp._files import write_whole
from fastbp._interface import PLAIN, Interface
from fastbp._source import comment, number_lines
from fastbp.activations import Activation
from fastbp.affine import Affine
from fastbp.architecture import predicting
from fastbp.sequential import Sequential

_MODULE = '''\
"""A network of {n_inputs} inputs and {n_outputs} outputs, computed in {dtype}; it needs NumPy and nothing else.

{summary}

Written by fastbp. The numbers at the end are exact.
"""

import numpy as np

DTYPE = np.{dtype}
{names}

def predict(x):
    """Return the scores (N, {n_outputs}) of samples x (N, {n_inputs})."""
{steps}
    return x
{functions}

def _numbers(shape, text, dtype=DTYPE):
    return np.array([float.fromhex(number) for number in text.split()], dtype).reshape(shape)


{numbers}
'''
_PROBABILITIES = '''

def predict_proba(x):
    """Return the probabilities (N, {n_outputs}) of samples x (N, {n_inputs})."""
    return {call}
'''


def to_numpy(net: Sequential, path: str | os.PathLike, interface: Interface = PLAIN) -> None:
    sizes: dict[str, Any] = {"n_inputs": net.n_inputs, "n_outputs": net.n_outputs}
    code = "\n".join(f"    x = {step}" for step in _steps(net, interface))
    functions, own = "", [layer for _, layer in predicting(net) if isinstance(layer, Activation)]
    if net.lastLayer.is_of_classes and not interface.outputs:
        link = net.lastLayer.link and net.lastLayer.link()
        call = f"{link.word}_of(predict(x))" if link else "predict(x)"
        functions = _PROBABILITIES.format(call=call, **sizes)
        own += [link] if link else []
    functions += "".join(f"\n{text}" for text in dict(map(_function, own)).values())
    numbers = [_array(name, array, "") for name, array in net.params.items()]
    for name, unit in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs)):
        if unit is not None:
            numbers += [
                _array(f"{name}_{part}", getattr(unit, part.lower()), ", np.float64") for part in ("MEAN", "STD")
            ]
    names = _names("INPUTS", interface.input_names) + _names("CLASSES", interface.class_names)
    fields = {"summary": comment(net.summary()), "dtype": net._bound().dtype.name, "steps": code}
    text = _MODULE.format(functions=functions, names=names, numbers="\n".join(numbers), **fields, **sizes)
    write_whole(path, text.encode("ascii"))


def _steps(net: Sequential, interface: Interface) -> list[str]:
    """What ``x`` becomes, one after the other."""
    steps, n_affine = ["np.asarray(x, DTYPE)"], 0
    if interface.inputs is not None:
        steps = ["((np.asarray(x, np.float64) - INPUT_MEAN) / INPUT_STD).astype(DTYPE)"]
    if net.scale != 1:
        steps.append(f"x * DTYPE({float(net.scale)!r})")
    for _, layer in predicting(net):
        if isinstance(layer, Affine):
            n_affine += 1
            steps.append(f"x @ W{n_affine}" + ("" if layer.b is None else f" + b{n_affine}"))
        else:
            number = f", {float(layer.number)!r}" if _takes_number(layer) else ""
            steps.append(f"{layer.word}_of(x{number})")
    if interface.outputs is not None:
        steps.append("x * OUTPUT_STD + OUTPUT_MEAN")
    return steps


def _function(layer: Any) -> tuple[str, str]:
    """The name and the text of an activation function, or of softmax."""
    name = f"{layer.word}_of"
    number = ", number" if _takes_number(layer) else ""
    return name, f"\ndef {name}(x{number}):\n    {layer.numpy}\n"


def _takes_number(layer: Any) -> bool:
    return re.search(r"\bnumber\b", layer.numpy) is not None


def _array(name: str, array: np.ndarray, more: str) -> str:
    return f'{name} = _numbers({array.shape}, """\n' + "\n".join(number_lines(array)) + f'\n"""{more})'


def _names(name: str, texts: Sequence[str | int] | None) -> str:
    if texts is None:
        return ""
    return f"{name} = (\n" + "".join(f"    {text!a},\n" for text in texts) + ")\n"
