"""``net.to_c``: a network as one file of C99."""

import os
import re
from typing import Any

from fastbp import _check
from fastbp._files import write_whole
from fastbp._source import hex_number, number_lines
from fastbp.affine import Affine
from fastbp.architecture import predicting, probabilities_of
from fastbp.sequential import Sequential

# In all that follows REAL is the type of the numbers, and f the ending of its constants and mathematical functions.
_CALLS = {  # a layer's class to the call that computes it in place
    "Relu": lambda layer, real: "relu({n}, {x});",
    "LeakyRelu": lambda layer, real: f"leaky_relu({{n}}, {hex_number(real(layer.slope))}@f, {{x}});",
    "Sigmoid": lambda layer, real: "sigmoid({n}, {x});",
    "Tanh": lambda layer, real: "hyperbolic_tangent({n}, {x});",
}
_FUNCTIONS = {
    "affine": """
/* y = x W + b, where W has a row for each input; b may be NULL. */
static void affine(size_t n_inputs, size_t n_outputs, const REAL *x, const REAL *W, const REAL *b, REAL *y)
{
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = b ? b[o] : 0;
    for (size_t i = 0; i < n_inputs; i++)
        for (size_t o = 0; o < n_outputs; o++)
            y[o] += x[i] * W[i * n_outputs + o];
}
""",
    "relu": """
static void relu(size_t n, REAL *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] <= 0 ? 0 : x[i];
}
""",
    "leaky_relu": """
static void leaky_relu(size_t n, REAL slope, REAL *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] <= 0 ? slope * x[i] : x[i];
}
""",
    "sigmoid": """
/* 1 / (1 + exp(-x)), without overflow for any x. */
static void sigmoid(size_t n, REAL *x)
{
    for (size_t i = 0; i < n; i++) {
        REAL e = exp@f(-fabs@f(x[i]));
        x[i] = (x[i] < 0 ? e : 1) / (1 + e);
    }
}
""",
    "hyperbolic_tangent": """
static void hyperbolic_tangent(size_t n, REAL *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = tanh@f(x[i]);
}
""",
    "softmax": """
static void softmax(size_t n, REAL *x)
{
    REAL largest = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < n; i++) {
        x[i] = exp@f(x[i] - largest);
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}
""",
}
_FILE = """\
/* A network of {n_inputs} inputs and {n_outputs} outputs, computed in {dtype}.
 *
 *     void {prefix}predict(size_t rows, const REAL *x, REAL *scores);
{proba_declared} *
 * x has {n_inputs} numbers for each row, the result {n_outputs}; the two must not overlap.
 *
{summary}
 *
 * C99, needs nothing but the C library{library}. Any number of threads may call it. The numbers are exact.
 * Written by fastbp.
 */

{includes}

{numbers}
{functions}
void {prefix}predict(size_t rows, const REAL *x, REAL *scores)
{{
    for (size_t row = 0; row < rows; row++) {{
{steps}
        x += {n_inputs};
        scores += {n_outputs};
    }}
}}
{proba}"""
_PROBA_DECLARED = " *     void {prefix}predict_proba(size_t rows, const REAL *x, REAL *probabilities);\n"
_PROBA = """
void {prefix}predict_proba(size_t rows, const REAL *x, REAL *probabilities)
{{
    {prefix}predict(rows, x, probabilities);
{made}}}
"""
_MADE = {  # what makes probabilities of scores to the statement that does it in place
    "softmax": """\
    for (size_t row = 0; row < rows; row++)
        softmax({n_outputs}, probabilities + row * {n_outputs});
""",
    "sigmoid": "    sigmoid(rows * {n_outputs}, probabilities);\n",
    "identity": "",
}


def to_c(net: Sequential, path: str | os.PathLike, prefix: str = "") -> None:
    if not re.fullmatch(r"([A-Za-z]\w*)?", prefix, re.ASCII):
        raise ValueError(f"prefix must be the beginning of a name in C, got {prefix!r}")
    dtype = net._bound().dtype
    fields: dict[str, Any] = {"prefix": prefix, "dtype": dtype.name}
    fields |= {"n_inputs": net.params["W1"].shape[0], "n_outputs": net._affines()[-1].W.shape[1]}
    fields["steps"] = "\n".join(f"        {step}" for step in _steps(net))
    probabilities = probabilities_of(net)
    fields["proba"] = fields["proba_declared"] = ""
    if probabilities is not None:
        fields["proba_declared"] = _PROBA_DECLARED.format(**fields)
        fields["proba"] = _PROBA.format(made=_MADE[probabilities].format(**fields), **fields)

    used = fields["steps"] + fields["proba"]
    fields["functions"] = "".join(text for name, text in _FUNCTIONS.items() if f" {name}(" in used)
    mathematics = any(name in fields["functions"] for name in ("exp@f", "tanh@f"))
    fields["includes"] = "#include <math.h>\n#include <stddef.h>" if mathematics else "#include <stddef.h>"
    fields["library"] = " (link with -lm)" if mathematics else ""
    fields["summary"] = "\n".join(f" *     {line}".rstrip() for line in net.summary().splitlines())
    ending = "f" if dtype == _check.FLOAT32 else ""
    fields["numbers"] = "\n\n".join(
        f"static const REAL {name}[{' * '.join(map(str, array.shape))}] = {{\n"
        + "\n".join(number_lines(array, ending + ","))
        + "\n};"
        for name, array in net.params.items()
    )
    text = _FILE.format(**fields).replace("REAL", "float" if ending else "double").replace("@f", ending)
    write_whole(path, text.encode("ascii"))


def _steps(net: Sequential) -> list[str]:
    """The statements that compute ``scores`` of one row of ``x``."""
    real, n_affine, last = net._bound().dtype.type, 0, len(net._affines())
    x, n = "x", net.params["W1"].shape[0]
    steps = []
    for kind, layer in predicting(net):
        if isinstance(layer, Affine):
            n_affine += 1
            inputs, given = n, x
            n, x = layer.W.shape[1], "scores" if n_affine == last else f"h{n_affine}"
            if x != "scores":
                steps.append(f"REAL {x}[{n}];")
            b = "NULL" if layer.b is None else f"b{n_affine}"
            steps.append(f"affine({inputs}, {n}, {given}, W{n_affine}, {b}, {x});")
        else:
            if x == "x":
                x = "h0"
                steps += [f"REAL h0[{n}];", f"for (size_t i = 0; i < {n}; i++)", "    h0[i] = x[i];"]
            steps.append(_CALLS[kind](layer, real).format(n=n, x=x))
    return steps
