"""``net.to_onnx``: a network as an ONNX graph."""

import os
from typing import Any

import numpy as np

from fastbp._extra import needed
from fastbp._files import write_whole
from fastbp.affine import Affine
from fastbp.architecture import predicting, probabilities_of
from fastbp.sequential import Sequential

# Of 2022, for the runtimes of the years since: the first in which onnxruntime has PRelu for float64.
OPSET, IR_VERSION = 16, 8

_OPERATORS = {"Relu": "Relu", "LeakyRelu": "PRelu", "Sigmoid": "Sigmoid", "Tanh": "Tanh"}
_PROBABILITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("Softmax", {"axis": -1}),
    "sigmoid": ("Sigmoid", {}),
    "identity": ("Identity", {}),
}


def to_onnx(net: Sequential, path: str | os.PathLike, probabilities: bool = False) -> None:
    onnx = needed("onnx", "onnx")
    from onnx import helper, numpy_helper

    nodes, constants = [], dict(net.params)
    layers, x, n_affine = predicting(net), "x", 0
    for place, (kind, layer) in enumerate(layers):
        y = "scores" if place + 1 == len(layers) else f"y{place + 1}"
        if isinstance(layer, Affine):
            n_affine += 1
            parameters = [f"{letter}{n_affine}" for letter in "Wb" if getattr(layer, letter) is not None]
            nodes.append(helper.make_node("Gemm", [x, *parameters], [y], name=f"{kind}{place + 1}"))
        else:
            inputs = [x]
            if kind == "LeakyRelu":  # ONNX's own has its slope in float32, whatever x is of
                inputs.append(f"slope{place + 1}")
                constants[inputs[1]] = np.full(1, layer.slope, net._bound().dtype)
            nodes.append(helper.make_node(_OPERATORS[kind], inputs, [y], name=f"{kind}{place + 1}"))
        x = y
    outputs = ["scores"]
    if probabilities:
        operator, attributes = _PROBABILITIES[_known_probabilities(net)]
        nodes.append(helper.make_node(operator, ["scores"], ["probabilities"], name="Probabilities", **attributes))
        outputs.append("probabilities")

    number = helper.np_dtype_to_tensor_dtype(net._bound().dtype)
    n_inputs, n_outputs = net.params["W1"].shape[0], net._affines()[-1].W.shape[1]
    graph = helper.make_graph(
        nodes,
        "fastbp",
        [helper.make_tensor_value_info("x", number, ["N", n_inputs])],
        [helper.make_tensor_value_info(name, number, ["N", n_outputs]) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph, producer_name="fastbp", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString(deterministic=True))


def _known_probabilities(net: Sequential) -> str:
    name = probabilities_of(net)
    if name is None:
        raise TypeError(f"{type(net.lastLayer).__name__} is no loss of classes: its network has no probabilities")
    return name
