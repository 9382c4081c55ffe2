"""``net.to_onnx``: a network as an ONNX graph."""

import json
import os
from functools import partial
from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.basics._extra import import_extra
from fastbp.basics._warn import warn
from fastbp.files._files import write_whole
from fastbp.files._interface import PLAIN, Interface, Unit
from fastbp.files.architecture import predicting
from fastbp.network import Network

# Of 2022, for the runtimes of the years since: the first in which onnxruntime has PRelu for float64.
OPSET, IR_VERSION = 16, 8

IN_FLOAT32 = (
    "the ONNX graph takes, computes and gives float32, where the network is of float64: onnxruntime has neither "
    "convolutions nor mean pooling of float64"
)


def to_onnx(net: Network, path: str | os.PathLike, probabilities: bool = False, interface: Interface = PLAIN) -> None:
    """Write ``net`` as an ONNX graph, with inputs and outputs as ``interface`` has them; see ``Sequential.to_onnx``."""
    write_model(path, graph_of(net, probabilities, interface), interface)


def write_model(path: str | os.PathLike, graph: Any, interface: Interface = PLAIN) -> None:
    """Write a graph with what else a file of ONNX has."""
    onnx = import_extra("onnx", "onnx")
    from onnx import helper

    model = helper.make_model(
        graph, producer_name="fastbp", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    names = {"inputs": interface.input_names, "classes": interface.class_names}
    helper.set_model_props(model, {key: json.dumps(list(list_)) for key, list_ in names.items() if list_ is not None})
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString(deterministic=True))


def graph_of(net: Network, probabilities: bool, interface: Interface = PLAIN) -> Any:
    """The graph of ``net``: from ``x`` to ``scores``, and to ``probabilities`` if asked for."""
    import_extra("onnx", "onnx")
    from onnx import helper, numpy_helper

    nodes: list[Any] = []
    units: dict[str, np.ndarray] = {}  # in float64
    layers, constants = predicting(net)
    dtype = net.dtype
    if dtype == _check.FLOAT64 and any(step.layer.takes_images for step in layers):
        warn(IN_FLOAT32)
        dtype = _check.FLOAT32
    number, double = (helper.np_dtype_to_tensor_dtype(kind) for kind in (dtype, _check.FLOAT64))

    def add(operator: str, inputs: list[str], output: str, name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def node(layer: str, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add an operator of a layer's; inputs that are no names are its arrays and numbers."""
        names = []
        for given in inputs:
            name = given if isinstance(given, str) else next((n for n, a in constants.items() if a is given), None)
            if name is None:
                name = f"{layer}_number{len(constants)}"
                constants[name] = np.asarray(given, dtype)
            names.append(name)
        return add(operator, names, f"{layer}_{len(nodes)}", f"{layer}_{operator}{len(nodes)}", **attributes)

    def unit(name: str, of: Unit) -> list[str]:
        units.update({f"{name}_mean": of.mean, f"{name}_std": of.std})
        return [f"{name}_mean", f"{name}_std"]

    x = "x"
    if interface.inputs is not None:
        mean, std = unit("input", interface.inputs)
        x = add("Div", [add("Sub", ["x", mean], "x_centred", "Centre"), std], "x_standardised", "Standardise")
        x = add("Cast", [x], "x_cast", "CastInputs", to=number)
    if net.scale != 1:
        constants["scale"] = np.array(net.scale, dtype)
        x = add("Mul", [x, "scale"], "x_scaled", "Scale")
    for place, step in enumerate(layers, 1):
        step.layer.onnx_on(partial(node, f"{type(step.layer).__name__}{place}"), x, step.shape)
        x = "scores" if place == len(layers) and interface.outputs is None else f"y{place}"
        nodes[-1].output[0] = x
    if interface.outputs is not None:
        mean, std = unit("output", interface.outputs)
        x = add("Cast", [x], "y_cast", "CastOutputs", to=double)
        x = add("Add", [add("Mul", [x, std], "y_scaled", "Unscale"), mean], "scores", "Uncentre")
    outputs = {"scores": number if interface.outputs is None else double}
    if probabilities:
        net.loss_layer.must_be_of_classes("probabilities")
        link, of_link = net.loss_layer.link, partial(node, "Probabilities")
        link().onnx(of_link, "scores") if link else of_link("Identity", "scores")
        nodes[-1].output[0] = "probabilities"
        outputs["probabilities"] = number

    used = {name for made in nodes for name in made.input}
    held = units | {name: array.astype(dtype) for name, array in constants.items() if name in used}
    shapes = {"x": layers[0].shape, "scores": layers[-1].out_shape}
    return helper.make_graph(
        nodes,
        "fastbp",
        [helper.make_tensor_value_info("x", number if interface.inputs is None else double, ["N", *shapes["x"]])],
        [helper.make_tensor_value_info(name, kind, ["N", *shapes["scores"]]) for name, kind in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
