"""``net.to_numpy``: a network as a Python module that needs only NumPy."""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.files._files import write_whole
from fastbp.files._interface import PLAIN, Interface
from fastbp.files._source import comment, number_lines
from fastbp.files.architecture import Step, predicting
from fastbp.network import Network
from fastbp.views import _summary

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


def to_numpy(net: Network, path: str | os.PathLike, interface: Interface = PLAIN) -> None:
    """Write ``net`` as a module of NumPy, with inputs and outputs as ``interface`` has them; see ``Sequential``."""
    write_whole(path, in_numpy(net, interface).encode("ascii"))


def in_numpy(net: Network, interface: Interface = PLAIN) -> str:
    """The text of a module of NumPy."""
    sizes: dict[str, Any] = {"n_inputs": net.n_inputs, "n_outputs": net.n_outputs}
    layers, arrays = predicting(net)
    code = "\n".join(f"    x = {step}" for step in _steps(net, layers, interface))
    functions, own = "", [step for step in layers if _is_function(step)]
    if net.loss_layer.is_of_classes and not interface.outputs:
        link = net.loss_layer.link and net.loss_layer.link()
        call = f"{link.word}_of(predict(x))" if link else "predict(x)"
        functions = _PROBABILITIES.format(call=call, **sizes)
        own += [Step(link)] if link else []
    functions += "".join(f"\n{text}" for text in dict(map(_function, own)).values())
    numbers = [_array(name, array, "") for name, array in arrays.items()]
    for name, unit in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs)):
        if unit is not None:
            numbers += [
                _array(f"{name}_{part}", getattr(unit, part.lower()), ", np.float64") for part in ("MEAN", "STD")
            ]
    names = names_in_numpy(interface)
    fields = {"summary": comment(_summary.text(net)), "dtype": net.dtype.name, "steps": code}
    return _MODULE.format(functions=functions, names=names, numbers="\n".join(numbers), **fields, **sizes)


def _steps(net: Network, layers: list[Step], interface: Interface) -> list[str]:
    """What ``x`` becomes, one after the other."""
    steps = ["np.asarray(x, DTYPE)"]
    if interface.inputs is not None:
        steps = ["((np.asarray(x, np.float64) - INPUT_MEAN) / INPUT_STD).astype(DTYPE)"]
    if net.scale != 1:
        steps.append(f"x * DTYPE({float(net.scale)!r})")
    if len(shape := layers[0].shape) > 1:
        steps.append(f"x.reshape(len(x), {', '.join(map(str, shape))})")
    for step in layers:
        text = step.layer.numpy
        arguments = {name: step.argument(name) for name in step.arguments_in(text)}
        if _is_function(step):
            steps.append(f"{step.layer.word}_of({', '.join(map(str, ('x', *arguments.values())))})")
        else:
            for name, argument in arguments.items():
                text = re.sub(rf"\b{name}\b", str(argument), text)
            steps.append(text)
    if interface.outputs is not None:
        steps.append("x * OUTPUT_STD + OUTPUT_MEAN")
    return steps


def _is_function(step: Step) -> bool:
    """Whether the layer's text is the body of a function, not an expression."""
    return "return " in step.layer.numpy


def _function(step: Step) -> tuple[str, str]:
    """The name and the text of the function of a layer."""
    name, text = f"{step.layer.word}_of", step.layer.numpy
    return name, f"\ndef {name}({', '.join(('x', *step.arguments_in(text)))}):\n    {text}\n"


def _array(name: str, array: np.ndarray, more: str) -> str:
    return f'{name} = _numbers({array.shape}, """\n' + "\n".join(number_lines(array)) + f'\n"""{more})'


def names_in_numpy(interface: Interface) -> str:
    """What inputs and classes are called, as constants of a module."""
    return _names("INPUTS", interface.input_names) + _names("CLASSES", interface.class_names)


def _names(name: str, texts: Sequence[str | int] | None) -> str:
    if texts is None:
        return ""
    return f"{name} = (\n" + "".join(f"    {text!a},\n" for text in texts) + ")\n"
