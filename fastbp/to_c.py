"""``net.to_c``: a network as one file of C99."""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp import _check
from fastbp._files import write_whole
from fastbp._interface import PLAIN, Interface
from fastbp._source import c_string, comment, hex_number, number_lines
from fastbp.activations import Activation
from fastbp.affine import Affine
from fastbp.architecture import predicting
from fastbp.sequential import Sequential
from fastbp.softmax import Softmax

# In all that follows REAL is the type of the numbers, and f the ending of its constants and mathematical functions;
# IN and OUT are the types of what is taken and given, double where that has a unit of its own.
_AFFINE = """
/* y = x W + b, where W has a row for each input; b may be NULL. */
static void affine(size_t n_inputs, size_t n_outputs, const REAL *x, const REAL *W, const REAL *b, REAL *y)
{
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = b ? b[o] : 0;
    for (size_t i = 0; i < n_inputs; i++)
        for (size_t o = 0; o < n_outputs; o++)
            y[o] += x[i] * W[i * n_outputs + o];
}
"""
_FILE = """\
/* A network of {n_inputs} inputs and {n_outputs} outputs, computed in {dtype}.
 *
 *     void {prefix}predict(size_t rows, const IN *x, OUT *scores);
{proba_declared} *
 * x has {n_inputs} numbers for each row, the result {n_outputs}; the two must not overlap.
{named} *
{summary}
 *
 * C99, needs nothing but the C library{library}. Any number of threads may call it. The numbers are exact.
 * Written by fastbp.
 */

{includes}

{names}{numbers}
{functions}
void {prefix}predict(size_t rows, const IN *x, OUT *scores)
{{
    for (size_t row = 0; row < rows; row++) {{
{steps}
        x += {n_inputs};
        scores += {n_outputs};
    }}
}}
{proba}"""
_PROBA_DECLARED = " *     void {prefix}predict_proba(size_t rows, const IN *x, REAL *probabilities);\n"
_PROBA = """
void {prefix}predict_proba(size_t rows, const IN *x, REAL *probabilities)
{{
    {prefix}predict(rows, x, probabilities);
{made}}}
"""


def to_c(net: Sequential, path: str | os.PathLike, prefix: str = "", interface: Interface = PLAIN) -> None:
    if not re.fullmatch(r"([A-Za-z]\w*)?", prefix, re.ASCII):
        raise ValueError(f"prefix must be the beginning of a name in C, got {prefix!r}")
    dtype = net._bound().dtype
    fields: dict[str, Any] = {"prefix": prefix, "dtype": dtype.name}
    fields |= {"n_inputs": net.n_inputs, "n_outputs": net.n_outputs}
    fields["steps"] = "\n".join(f"        {step}" for step in _steps(net, interface))
    functions = dict(_function(layer) for _, layer in predicting(net) if isinstance(layer, Activation))
    fields["proba"] = fields["proba_declared"] = ""
    if net.lastLayer.is_of_classes and not interface.outputs:
        link = net.lastLayer.link and net.lastLayer.link()
        fields["proba_declared"] = _PROBA_DECLARED.format(**fields)
        fields["proba"] = _PROBA.format(made=_made(link, net.n_outputs), **fields)
        functions |= [_function(link)] if link else []
    fields["functions"] = _AFFINE + "".join(functions.values())
    mathematics = "@f(" in fields["functions"]
    fields["includes"] = "#include <math.h>\n#include <stddef.h>" if mathematics else "#include <stddef.h>"
    fields["library"] = " (link with -lm)" if mathematics else ""
    fields["summary"] = "\n".join(f" *     {line}".rstrip() for line in comment(net.summary()).splitlines())
    given = {f"{prefix}input_names": interface.input_names, f"{prefix}class_names": interface.class_names}
    lists = {name: list_ for name, list_ in given.items() if list_ is not None}
    fields["named"] = f" * What they are called, in UTF-8: {', '.join(lists)}.\n" if lists else ""
    ending = "f" if dtype == _check.FLOAT32 else ""
    text = _FILE.format(names="@names", numbers="@numbers", **fields)
    kinds = {"REAL": "float" if ending else "double"}
    kinds |= {"IN": "double" if interface.inputs else "REAL", "OUT": "double" if interface.outputs else "REAL"}
    for word in ("IN", "OUT", "REAL"):
        text = re.sub(rf"\b{word}\b", kinds[word], text)
    text = text.replace("@f", ending)
    # Names and numbers last, so that nothing in them is taken for one of the marks.
    numbers = "\n\n".join(_array(name, array) for name, array in _arrays(net, interface).items())
    head, _, tail = text.partition("@names@numbers")
    text = head + "".join(_strings(name, list_) for name, list_ in lists.items()) + numbers + tail
    write_whole(path, text.encode("ascii"))


def _made(link: Any, n_outputs: int) -> str:
    """The statement that makes probabilities of scores in their place, by a ``link`` or by none."""
    if link is None:
        return ""
    if isinstance(link, Softmax):
        each, made = "row < rows; row++", f"{link.word}_of({n_outputs}, probabilities + row * {n_outputs});"
        return f"    for (size_t row = 0; {each})\n        {made}\n"
    each, made = f"i < rows * {n_outputs}; i++", f"probabilities[i] = {link.word}_of(probabilities[i]);"
    return f"    for (size_t i = 0; {each})\n        {made}\n"


def _function(layer: Activation | Softmax) -> tuple[str, str]:
    """The name and the text of an activation function, or of the softmax of a row."""
    if isinstance(layer, Softmax):
        return f"{layer.word}_of", f"\nstatic void {layer.word}_of(size_t n, REAL *x)\n{{\n    {layer.c}\n}}\n"
    number = ", REAL number" if _takes_number(layer) else ""
    name = f"{layer.word}_of"
    return name, f"\nstatic REAL {name}(REAL x{number})\n{{\n    {layer.c}\n}}\n"


def _takes_number(layer: Activation) -> bool:
    return re.search(r"\bnumber\b", layer.c) is not None


def _number(layer: Activation, real: Any) -> str:
    """The argument for the number of an activation that has one."""
    return f", {hex_number(real(layer.number))}@f" if _takes_number(layer) else ""


def _arrays(net: Sequential, interface: Interface) -> dict[str, np.ndarray]:
    """The constants of the file by name."""
    arrays: dict[str, np.ndarray] = dict(net.params)
    for name, unit in (("input", interface.inputs), ("output", interface.outputs)):
        if unit is not None:
            arrays |= {f"{name}_mean": unit.mean, f"{name}_std": unit.std}
    return arrays


def _array(name: str, array: np.ndarray) -> str:
    kind, ending = ("float", "f,") if array.dtype == _check.FLOAT32 else ("double", ",")
    lines = "\n".join(number_lines(array, ending))
    return f"static const {kind} {name}[{' * '.join(map(str, array.shape))}] = {{\n{lines}\n}};"


def _strings(name: str, texts: Sequence[str | int]) -> str:
    lines = "".join(f"    {c_string(str(text))},\n" for text in texts)
    return f"const char *const {name}[{len(texts)}] = {{\n{lines}}};\n\n"


def _steps(net: Sequential, interface: Interface) -> list[str]:
    """The statements that compute ``scores`` of one row of ``x``."""
    real, n_affine, last = net._bound().dtype.type, 0, sum(isinstance(layer, Affine) for layer in net.layers.values())
    x, n = "x", net.n_inputs
    steps = []
    taken = "x[i]"
    if interface.inputs is not None:
        taken = "(REAL)((x[i] - input_mean[i]) / input_std[i])"
    if net.scale != 1:
        taken += f" * {hex_number(real(net.scale))}@f"
    layers = predicting(net)
    if taken != "x[i]" or not isinstance(layers[0][1], Affine):
        x = "h0"
        steps += [f"REAL h0[{n}];", f"for (size_t i = 0; i < {n}; i++)", f"    h0[i] = {taken};"]
    result = "scores" if interface.outputs is None else f"h{last}"
    for _, layer in layers:
        if isinstance(layer, Affine):
            n_affine += 1
            inputs, given = n, x
            n, x = layer.W.shape[1], result if n_affine == last else f"h{n_affine}"
            if x != "scores":
                steps.append(f"REAL {x}[{n}];")
            b = "NULL" if layer.b is None else f"b{n_affine}"
            steps.append(f"affine({inputs}, {n}, {given}, W{n_affine}, {b}, {x});")
        else:
            call = f"{layer.word}_of({x}[i]{_number(layer, real)})"
            steps += [f"for (size_t i = 0; i < {n}; i++)", f"    {x}[i] = {call};"]
    if interface.outputs is not None:
        steps += [f"for (size_t i = 0; i < {n}; i++)", f"    scores[i] = {x}[i] * output_std[i] + output_mean[i];"]
    return steps
