"""Ensembles as one file of C99, of NumPy or of ONNX: each member as its own export has it, and their mean."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.basics._extra import import_extra
from fastbp.files._files import write_whole
from fastbp.files._interface import PLAIN, Interface
from fastbp.files._source import hex_number
from fastbp.files.to_c import check_prefix, in_c, names_in_c
from fastbp.files.to_numpy import in_numpy, names_in_numpy
from fastbp.files.to_onnx import graph_of, write_model
from fastbp.network import Network

_C = """\
/* The mean of {n_members} networks of {n_inputs} inputs and {n_outputs} outputs.
 *
 *     void {prefix}predict(size_t rows, const IN *x, OUT *mean);
 *
 * x has {n_inputs} numbers for each row, the result {n_outputs}: {what}. The two must not overlap.
{named} * Each of the networks follows, under the same names, by macros that end with it.
 *
 * C99, needs nothing but the C library (link with -lm). Any number of threads may call it. Written by fastbp.
 */

#include <math.h>
#include <stddef.h>

@names@members
void {prefix}predict(size_t rows, const IN *x, OUT *mean)
{{
    for (size_t row = 0; row < rows; row++) {{
        double total[{n_outputs}] = {{0}};
        OUT y[{n_outputs}];
{steps}
        for (size_t i = 0; i < {n_outputs}; i++)
            mean[i] = (OUT)total[i];
        x += {n_inputs};
        mean += {n_outputs};
    }}
}}
"""
_C_STEP = """\
        {prefix}member{k}_{function}(1, x, y);
        for (size_t i = 0; i < {n_outputs}; i++)
            total[i] += {weight} * y[i];"""

_NUMPY = '''\
"""The mean of {n_members} networks of {n_inputs} inputs and {n_outputs} outputs; it needs NumPy and nothing else.

Written by fastbp.
"""

import numpy as np

{named}
def predict(x):
    """Return the mean (N, {n_outputs}) of the members' {what} for samples x (N, {n_inputs})."""
    return sum(weight * member(x) for weight, member in zip(WEIGHTS, MEMBERS)).astype(np.{dtype})


def predict_all(x):
    """Return the members' {what} (M, N, {n_outputs}) for samples x (N, {n_inputs})."""
    return np.stack([member(x) for member in MEMBERS])

{members}

WEIGHTS = [np.float64(float.fromhex(weight)) for weight in """
{weights}
""".split()]
MEMBERS = [{names}]
'''


def to_c(
    nets: Sequence[Network],
    weights: Sequence[float],
    path: str | os.PathLike,
    prefix: str,
    interface: Interface = PLAIN,
) -> None:
    """Write them as a file of C99, with inputs and outputs as ``interface`` has them; see ``Ensemble.to_c``."""
    check_prefix(prefix)
    named, strings = names_in_c(prefix, interface)
    fields = _fields(nets) | {"prefix": prefix, "function": _function(nets), "named": named}
    members, steps = [], []
    for k, (net, weight) in enumerate(zip(nets, weights, strict=True)):
        own = f"{prefix}member{k}_"
        text, names = in_c(net, own, _unnamed(interface), linkage="static ")
        # A member's functions and constants are called as in all others: in this file they have its number, too.
        defined = "".join(f"#define {name} {own}{name}\n" for name in names)
        undefined = "".join(f"#undef {name}\n" for name in names)
        members.append(f"\n{defined}\n{text}\n{undefined}")
        steps.append(_C_STEP.format(k=k, weight=hex_number(np.float64(weight)), **fields))
    real = "float" if nets[0].dtype == _check.FLOAT32 else "double"
    kinds = {"IN": "double" if interface.inputs else real, "OUT": "double" if interface.outputs else real}
    text = _C.format(steps="\n".join(steps), **fields)
    for word, kind in kinds.items():
        text = re.sub(rf"\b{word}\b", kind, text)
    head, _, tail = text.partition("@names@members")
    write_whole(path, (head + strings + "".join(members) + tail).encode("ascii"))


def to_numpy(
    nets: Sequence[Network], weights: Sequence[float], path: str | os.PathLike, interface: Interface = PLAIN
) -> None:
    """Write them as a module of NumPy, with inputs and outputs as ``interface`` has them; see ``Ensemble``."""
    dtype = "float64" if interface.outputs else nets[0].dtype.name
    fields = _fields(nets) | {"dtype": dtype, "named": names_in_numpy(interface)}
    own = _unnamed(interface)
    members = [
        f"\n\ndef _member{k}():\n{textwrap.indent(in_numpy(net, own), '    ')}    return {_function(nets)}"
        for k, net in enumerate(nets)
    ]
    names = ", ".join(f"_member{k}()" for k in range(len(nets)))
    numbers = "\n".join(hex_number(np.float64(weight)) for weight in weights)
    text = _NUMPY.format(members="\n".join(members), weights=numbers, names=names, **fields)
    write_whole(path, text.encode("ascii"))


def to_onnx(
    nets: Sequence[Network], weights: Sequence[float], path: str | os.PathLike, interface: Interface = PLAIN
) -> None:
    """Write them as a graph of ONNX, with inputs and outputs as ``interface`` has them; see ``Ensemble``."""
    import_extra("onnx", "onnx")
    from onnx import helper, numpy_helper

    _fields(nets)
    classes = nets[0].loss_layer.is_of_classes
    graphs = [graph_of(net, classes, interface) for net in nets]
    nodes: list[Any] = []
    arrays: list[Any] = []
    weighted = []
    for k, (graph, weight) in enumerate(zip(graphs, weights, strict=True)):
        for node in graph.node:
            node.input[:] = [name if name in ("x", "") else f"member{k}_{name}" for name in node.input]
            node.output[:] = [f"member{k}_{name}" for name in node.output]
            node.name = f"member{k}_{node.name}"
        for array in graph.initializer:
            array.name = f"member{k}_{array.name}"
        nodes.extend(graph.node)
        arrays.extend(graph.initializer)
        dtype = helper.tensor_dtype_to_np_dtype(graph.output[-1].type.tensor_type.elem_type)
        arrays.append(numpy_helper.from_array(np.array(weight, dtype), f"member{k}_weight"))
        given = f"member{k}_{'probabilities' if classes else 'scores'}"
        nodes.append(helper.make_node("Mul", [given, f"member{k}_weight"], [f"member{k}_share"], name=f"Weigh{k}"))
        weighted.append(f"member{k}_share")
    nodes.append(helper.make_node("Sum", weighted, ["mean"], name="Mean"))
    kind = graphs[0].output[-1].type.tensor_type.elem_type
    mean = helper.make_tensor_value_info("mean", kind, ["N", nets[0].n_outputs])
    write_model(path, helper.make_graph(nodes, "fastbp", [graphs[0].input[0]], [mean], arrays), interface)


def _unnamed(interface: Interface) -> Interface:
    """What a member takes and gives: names stand once in a file, for all."""
    return replace(interface, input_names=None, class_names=None)


def _function(nets: Sequence[Network]) -> str:
    """What a member's export calls what is averaged."""
    return "predict_proba" if nets[0].loss_layer.is_of_classes else "predict"


def _fields(nets: Sequence[Network]) -> dict[str, Any]:
    """What the texts say of them; ValueError where they are of different types."""
    types = {net.dtype.name for net in nets}
    if len(types) > 1:
        raise ValueError(f"the networks compute in {' and '.join(sorted(types))}: an export is of one type")
    what = "probabilities" if nets[0].loss_layer.is_of_classes else "outputs"
    return {"n_members": len(nets), "n_inputs": nets[0].n_inputs, "n_outputs": nets[0].n_outputs, "what": what}
