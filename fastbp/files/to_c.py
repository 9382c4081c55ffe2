"""``net.to_c``: a network as one file of C99."""

import math
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.files._files import write_whole
from fastbp.files._interface import PLAIN, Interface
from fastbp.files._source import c_string, comment, hex_number, number_lines
from fastbp.files.architecture import Step, predicting
from fastbp.network import Network
from fastbp.views import _summary

# In all that follows REAL is the type of the numbers, and f the ending of its constants and mathematical functions;
# IN and OUT are the types of what is taken and given, double where that has a unit of its own.
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
{linkage}void {prefix}predict(size_t rows, const IN *x, OUT *scores)
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
{linkage}void {prefix}predict_proba(size_t rows, const IN *x, REAL *probabilities)
{{
    {prefix}predict(rows, x, probabilities);
{made}}}
"""


def to_c(net: Network, path: str | os.PathLike, prefix: str = "", interface: Interface = PLAIN) -> None:
    """Write ``net`` as a file of C99, with inputs and outputs as ``interface`` has them; see ``Sequential.to_c``."""
    text, _ = in_c(net, prefix, interface)
    write_whole(path, text.encode("ascii"))


def in_c(net: Network, prefix: str, interface: Interface = PLAIN, linkage: str = "") -> tuple[str, list[str]]:
    """The text of a file of C99, and the names that are its own: those of functions and of constants.

    ``linkage`` is what ``predict`` begins with: nothing, or "static ".
    """
    check_prefix(prefix)
    dtype = net.dtype
    fields: dict[str, Any] = {"prefix": prefix, "dtype": dtype.name, "linkage": linkage}
    fields |= {"n_inputs": net.n_inputs, "n_outputs": net.n_outputs}
    layers, own = predicting(net)
    layers = [step for step in layers if not step.layer.only_reshapes]  # rows of a C array are flat
    fields["steps"] = "\n".join(f"        {step}" for step in _steps(net, layers, interface))
    functions = dict(map(_function, layers))
    fields["proba"] = fields["proba_declared"] = ""
    if net.loss_layer.is_of_classes and not interface.outputs:
        link = net.loss_layer.link and net.loss_layer.link()
        fields["proba_declared"] = _PROBA_DECLARED.format(**fields)
        fields["proba"] = _PROBA.format(made=_made(link, net.n_outputs), **fields)
        functions |= [_function_of_link(link)] if link else []
    fields["functions"] = "".join(functions.values())
    mathematics = "@f(" in fields["functions"]
    fields["includes"] = "#include <math.h>\n#include <stddef.h>" if mathematics else "#include <stddef.h>"
    fields["library"] = " (link with -lm)" if mathematics else ""
    fields["summary"] = "\n".join(f" *     {line}".rstrip() for line in comment(_summary.text(net)).splitlines())
    fields["named"], strings = names_in_c(prefix, interface)
    ending = "f" if dtype == _check.FLOAT32 else ""
    text = _FILE.format(names="@names", numbers="@numbers", **fields)
    kinds = {"REAL": "float" if ending else "double"}
    kinds |= {"IN": "double" if interface.inputs else "REAL", "OUT": "double" if interface.outputs else "REAL"}
    for word in ("IN", "OUT", "REAL"):
        text = re.sub(rf"\b{word}\b", kinds[word], text)
    text = text.replace("@f", ending)
    # Names and numbers last, so that nothing in them is taken for one of the marks.
    arrays = _arrays(own, interface)
    numbers = "\n\n".join(_array(name, array) for name, array in arrays.items())
    head, _, tail = text.partition("@names@numbers")
    return head + strings + numbers + tail, [*functions, *arrays]


def names_in_c(prefix: str, interface: Interface) -> tuple[str, str]:
    """A line of a comment on what inputs and classes are called, and their names as arrays of strings."""
    given = {f"{prefix}input_names": interface.input_names, f"{prefix}class_names": interface.class_names}
    lists = {name: list_ for name, list_ in given.items() if list_ is not None}
    line = f" * What they are called, in UTF-8: {', '.join(lists)}.\n" if lists else ""
    return line, "".join(_strings(name, list_) for name, list_ in lists.items())


def check_prefix(prefix: str) -> None:
    """ValueError unless names in C may begin with ``prefix``."""
    if not re.fullmatch(r"([A-Za-z]\w*)?", prefix, re.ASCII):
        raise ValueError(f"prefix must be the beginning of a name in C, got {prefix!r}")


def _made(link: Any, n_outputs: int) -> str:
    """The statement that makes probabilities of scores in their place, by a ``link`` or by none."""
    if link is None:
        return ""
    if link.elementwise:
        each, made = f"i < rows * {n_outputs}; i++", f"probabilities[i] = {link.word}_of(probabilities[i]);"
        return f"    for (size_t i = 0; {each})\n        {made}\n"
    each, made = "row < rows; row++", f"{link.word}_of({n_outputs}, probabilities + row * {n_outputs});"
    return f"    for (size_t row = 0; {each})\n        {made}\n"


def _function_of_link(link: Any) -> tuple[str, str]:
    """The name and the text of the function of a ``link``: of one number, or of a row, in its place."""
    if link.elementwise:
        return _function(Step(link))
    name = f"{link.word}_of"
    return name, f"\nstatic void {name}(size_t n, REAL *x)\n{{\n    {link.c}\n}}\n"


def _function(step: Step) -> tuple[str, str]:
    """The name and the text of the function of a layer: of one number, or of a row."""
    text = step.layer.c
    if step.layer.elementwise:
        name, number = f"{step.layer.word}_of", ", REAL number" if step.arguments_in(text) else ""
        return name, f"\nstatic REAL {name}(REAL x{number})\n{{\n    {text}\n}}\n"
    taken = [f"size_t {size}, " for size in _sizes(step)] + ["const REAL *x, "]
    for name in step.arguments_in(text):
        is_number = isinstance(step.argument(name), float)
        taken.append(f"REAL {name}, " if is_number else f"const REAL *{name}, ")
    name = step.layer.word
    return name, f"\nstatic void {name}({''.join(taken)}REAL *y)\n{{\n{text}}}\n"


def _sizes(step: Step) -> dict[str, int]:
    """The sizes that a layer's function needs, by name."""
    sizes = step.layer.sizes(step.shape, step.out_shape)
    return {name: size for name, size in sizes.items() if re.search(rf"\b{name}\b", step.layer.c)}


def _call(step: Step, real: Any, x: str, y: str) -> str:
    """The call of a layer's function from ``x`` to ``y``."""
    text = step.layer.c
    given: list[Any] = [*_sizes(step).values(), x]
    for name in step.arguments_in(text):
        value = step.argument(name)
        given.append("NULL" if value is None else f"{hex_number(real(value))}@f" if isinstance(value, float) else value)
    return f"{step.layer.word}({', '.join(map(str, [*given, y]))});"


def _arrays(own: dict[str, np.ndarray], interface: Interface) -> dict[str, np.ndarray]:
    """The constants of the file by name."""
    arrays = dict(own)
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


def _steps(net: Network, layers: list[Step], interface: Interface) -> list[str]:
    """The statements that compute ``scores`` of one row of ``x``."""
    real, n_rows, last = net.dtype.type, 0, sum(not step.layer.elementwise for step in layers)
    x, shape = "x", layers[0].shape
    steps = []
    taken = "x[i]"
    if interface.inputs is not None:
        taken = "(REAL)((x[i] - input_mean[i]) / input_std[i])"
    if net.scale != 1:
        taken += f" * {hex_number(real(net.scale))}@f"
    if taken != "x[i]" or layers[0].layer.elementwise:
        x, n = "h0", math.prod(shape)
        steps += [f"REAL h0[{n}];", f"for (size_t i = 0; i < {n}; i++)", f"    h0[i] = {taken};"]
    result = "scores" if interface.outputs is None else f"h{last}"
    for step in layers:
        n = math.prod(shape)
        shape = step.out_shape
        if step.layer.elementwise:  # in place
            number = f", {hex_number(real(step.layer.number))}@f" if step.arguments_in(step.layer.c) else ""
            steps += [f"for (size_t i = 0; i < {n}; i++)", f"    {x}[i] = {step.layer.word}_of({x}[i]{number});"]
        else:
            n_rows += 1
            given, x = x, result if n_rows == last else f"h{n_rows}"
            if x != "scores":
                steps.append(f"REAL {x}[{math.prod(shape)}];")
            steps.append(_call(step, real, given, x))
    if interface.outputs is not None:
        n = math.prod(shape)
        steps += [f"for (size_t i = 0; i < {n}; i++)", f"    scores[i] = {x}[i] * output_std[i] + output_mean[i];"]
    return steps
