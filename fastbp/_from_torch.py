"""From PyTorch: networks of its modules and state dicts."""

import sys
from collections.abc import Mapping
from typing import Any

from fastbp.activations import BY_NAME, named
from fastbp.basics import _arguments
from fastbp.basics._tensor import array_of_tensor
from fastbp.files.architecture import KINDS
from fastbp.layers.affine import Affine
from fastbp.sequential import Sequential

# A layer by its class of torch.nn.
_BY_MODULE: dict[str, Any] = {name: cls for cls in KINDS for name in (cls.torch[0], *cls.torch_too)}
_NO_LAYERS = ("Identity",)


def from_torch(source: Any, *, activation: str | None = None, loss: Any = None) -> Sequential:
    """Return a network with the layers and weights of a PyTorch module, or with the weights of a state dict.

    The weights are copied; float32 and float64 stay, float16 becomes float32. No torch is needed for a mapping.

    Parameters
    ----------
    source : torch.nn.Sequential or mapping
        A Sequential, nested ones too, of Linear, Dropout, BatchNorm1d, LayerNorm, Conv2d, BatchNorm2d, MaxPool2d,
        AvgPool2d, Identity, Flatten and the activations that are layers here, after the scale that ``to_torch`` may
        have put first; or a state dict: a mapping from
        names to tensors or arrays, ``NAME.weight`` (outputs, inputs) and ``NAME.bias`` (outputs,). Its layers come in
        the mapping's order, but by number where all names are numbers.
    activation : str or None
        One of ``mlp``'s or "identity", after each layer of a state dict but the last: a state dict does not tell.
        "relu" if None; a module has its own.
    loss : loss layer, str or None
        A loss layer, or one of ``mlp``'s words for it; SoftmaxWithLoss(eps=0) if None.

    Returns
    -------
    net : Sequential

    Raises
    ------
    TypeError
        For modules and arrays of other kinds, which it names.
    ValueError
        For names and shapes that do not fit, which it names.
    """
    if isinstance(source, Mapping):
        return Sequential(_stack(source, "relu" if activation is None else activation), loss)
    nn = sys.modules.get("torch.nn")
    if nn is None or not isinstance(source, nn.Module):
        raise TypeError(f"source must be a module of PyTorch or a mapping from names to arrays, got {source!r:.80}")
    if activation is not None:
        raise TypeError("activation goes with a state dict: a module has its own")
    scale, source = _scale_of(nn, source)
    layers = _layers(nn, source, type(source).__name__)
    if not any(layer.takes_images for layer in layers):  # samples are rows from the first layer on
        layers = [layer for layer in layers if not layer.only_reshapes]
    return Sequential(layers, loss, scale=scale)


def _scale_of(nn: Any, module: Any) -> tuple[float, Any]:
    """The scale with which ``to_torch`` lets a module begin, 1 if it does not, and the module without it."""
    if type(module) is nn.Sequential and len(module):
        from fastbp.layers._torch_modules import Scale

        if type(module[0]) is Scale:
            return module[0].scale, module[1:]
    return 1.0, module


def _layers(nn: Any, module: Any, name: str) -> list[Any]:
    """The layers of a module; TypeError that names it if it is not one of the table."""
    kind = type(module).__name__
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return [layer for key, child in module.named_children() for layer in _layers(nn, child, f"{name}.{key}")]
    if type(module) is getattr(nn, kind, None) or type(module).__module__ == "fastbp.layers._torch_modules":
        if kind in _BY_MODULE:
            return [_BY_MODULE[kind].from_module(module)]
        if kind in _NO_LAYERS:
            return []
    raise TypeError(
        f"{name} is {module!r:.80}; supported are Sequential, {', '.join((*_BY_MODULE, *_NO_LAYERS))} "
        "(softmax is part of the loss here; of other modules, pass state_dict() and activation)"
    )


def _stack(state: Mapping[str, Any], activation: str) -> list[Any]:
    """Affine layers of the pairs in a state dict, with an activation after each but the last."""
    _arguments.choice("activation", activation, [*BY_NAME, "identity"])
    pairs: dict[str, dict[str, str]] = {}
    for key in state:
        name, _, part = key.rpartition(".")
        if part not in ("weight", "bias"):
            raise ValueError(f"{key!r} is neither the weight nor the bias of a Linear layer: {list(state)!r:.200}")
        pairs.setdefault(name, {})[part] = key
    names = list(pairs)
    if all(part.isdecimal() for name in names for part in name.split(".")):
        names.sort(key=lambda name: [int(part) for part in name.split(".")])  # files have 10 before 2
    layers: list[Any] = []
    for name in names:
        if "weight" not in pairs[name]:
            raise ValueError(f"{pairs[name]['bias']!r} has no weight beside it")
        weight, bias = pairs[name]["weight"], pairs[name].get("bias", "")
        layers.append(_affine(weight, state[weight], bias, state[bias] if bias else None))
        if activation != "identity" and name != names[-1]:
            layers.append(named(activation))
    return layers


def _affine(weight_name: str, weight: Any, bias_name: str, bias: Any) -> Affine:
    W, b = array_of_tensor(weight_name, weight), None if bias is None else array_of_tensor(bias_name, bias)
    if W.ndim != 2:
        raise ValueError(f"{weight_name} must be (outputs, inputs) of a Linear layer, got shape {W.shape}")
    if b is not None and b.shape != W.shape[:1]:
        raise ValueError(f"{bias_name} must have one element for each row of {weight_name}, got shape {b.shape}")
    return Affine(W.T, b)
