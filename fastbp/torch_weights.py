"""To and from PyTorch: state dicts in its names and layout, and modules.

torch keeps the weights of a layer as (outputs, inputs), here they are (inputs, outputs). A state dict is any mapping of
names to arrays; nothing but modules needs torch itself.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check
from fastbp._extra import needed
from fastbp.activations import BY_NAME, CLASSES, Activation, named
from fastbp.affine import Affine
from fastbp.architecture import LAYERS, known
from fastbp.dropout import Dropout
from fastbp.sequential import Sequential

_BY_MODULE = {cls.torch[0]: cls for cls in CLASSES}  # an activation by its class of torch.nn
_TO_LAYERS: dict[str, Callable[[Any], Any]] = {  # a module of torch.nn to layers
    "Linear": lambda module: [_affine("weight", module.weight, "bias", module.bias)],
    "Dropout": lambda module: [Dropout(module.p)],
    "Identity": lambda module: [],
    "Flatten": lambda module: [],  # an Affine takes any sample as a row
} | {name: lambda module: [_activation(module)] for name in _BY_MODULE}


def _activation(module: Any) -> Activation:
    cls = _BY_MODULE[type(module).__name__]
    if getattr(module, "beta", 1) != 1:
        raise TypeError(f"{module!r} has a beta, which {cls.__name__} has not")
    return cls(**{ours: getattr(module, theirs) for theirs, ours in cls.torch[1].items()})


def _module(nn: Any, layer: Any) -> Any:
    """The module of torch.nn that is a layer, its weights still to come."""
    known(layer, LAYERS)
    if isinstance(layer, Affine):
        return nn.Linear(*layer.W.shape, bias=layer.b is not None, device="meta")
    if isinstance(layer, Dropout):
        return nn.Dropout(float(layer.p))
    name, arguments = layer.torch
    return getattr(nn, name)(**{theirs: getattr(layer, ours) for theirs, ours in arguments.items()})


def from_torch(source: Any, *, activation: str | None = None, loss: Any = None) -> Sequential:
    """Return a network with the layers and weights of a PyTorch module, or with the weights of a state dict.

    Parameters
    ----------
    source : ``torch.nn.Sequential``, nested ones too, of Linear, Dropout, Identity, Flatten and the activations that
        are layers here, after the scale that ``to_torch`` may have put first; or a state dict: a mapping from names to
        tensors or arrays, ``NAME.weight`` (outputs, inputs) and ``NAME.bias`` (outputs,). Its layers come in the
        mapping's order, but by number where all names are numbers.
    activation : one of ``mlp``'s or "identity", after each layer of a state dict but the last:
        a state dict does not tell. "relu" if None; a module has its own.
    loss : the loss layer, or one of ``mlp``'s words for it; SoftmaxWithLoss(eps=0) if none is given

    The weights are copied; float32 and float64 stay, float16 becomes float32. No torch is needed for a mapping.

    Raises TypeError for modules and arrays of other kinds, ValueError for names and shapes that do not fit; both name
    them.
    """
    if isinstance(source, Mapping):
        return Sequential(_stack(source, "relu" if activation is None else activation), loss)
    nn = sys.modules.get("torch.nn")
    if nn is None or not isinstance(source, nn.Module):
        raise TypeError(f"source must be a module of PyTorch or a mapping from names to arrays, got {source!r:.80}")
    if activation is not None:
        raise TypeError("activation goes with a state dict: a module has its own")
    scale, source = _scale_of(nn, source)
    return Sequential(_layers(nn, source, type(source).__name__), loss, scale=scale)


def to_torch(net: Sequential) -> Any:
    torch = needed("torch", "torch")
    modules = {str(place): _module(torch.nn, layer) for place, layer in enumerate(net.layers.values())}
    if net.scale != 1:
        from fastbp._torch_modules import Scale

        kind = getattr(torch, net._bound().dtype.name)
        modules = {"scale": Scale(net.scale, kind)} | modules  # by name, so that the layers keep their numbers
    module = torch.nn.Sequential(OrderedDict(modules))  # no numbers so far: none are drawn from torch's generator
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict(net).items()}, assign=True)
    return module.eval()


def state_dict(net: Sequential) -> dict[str, np.ndarray]:
    return {name: np.array(array.T, order="C") for name, array in _parameters(net)}


def load_state_dict(net: Sequential, state: Mapping[str, ArrayLike]) -> None:
    own = dict(_parameters(net))
    if own.keys() != state.keys():
        missing, unknown = [name for name in own if name not in state], [name for name in state if name not in own]
        raise ValueError(f"state must have the names {list(own)}: it lacks {missing}, and has {unknown}")
    given = {name: _array(name, value) for name, value in state.items()}
    for name, array in given.items():
        _check.same_shape(name, array, own[name].T.shape, "the parameter")
    for name, array in given.items():
        own[name][...] = array.T


def _parameters(net: Sequential) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters by torch's names: those of a Sequential of the same layers."""
    net._bound()
    for place, layer in enumerate(net.layers.values()):
        if isinstance(layer, Affine):
            yield f"{place}.weight", layer.W
            if layer.b is not None:
                yield f"{place}.bias", layer.b


def _scale_of(nn: Any, module: Any) -> tuple[float, Any]:
    """The scale with which ``to_torch`` lets a module begin, 1 if it does not, and the module without it."""
    if type(module) is nn.Sequential and len(module):
        from fastbp._torch_modules import Scale

        if type(module[0]) is Scale:
            return module[0].scale, module[1:]
    return 1.0, module


def _layers(nn: Any, module: Any, name: str) -> list[Any]:
    """The layers of a module; TypeError that names it if it is not one of the table."""
    kind = type(module).__name__
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return [layer for key, child in module.named_children() for layer in _layers(nn, child, f"{name}.{key}")]
    rows = kind != "Flatten" or (module.start_dim, module.end_dim) == (1, -1)
    if kind in _TO_LAYERS and type(module) is getattr(nn, kind) and rows:
        return _TO_LAYERS[kind](module)
    raise TypeError(
        f"{name} is {module!r:.80}; supported are Sequential, {', '.join(_TO_LAYERS)} "
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
    W, b = _array(weight_name, weight), None if bias is None else _array(bias_name, bias)
    if W.ndim != 2:
        raise ValueError(f"{weight_name} must be (outputs, inputs) of a Linear layer, got shape {W.shape}")
    if b is not None and b.shape != W.shape[:1]:
        raise ValueError(f"{bias_name} must have one element for each row of {weight_name}, got shape {b.shape}")
    return Affine(W.T, b)


def _array(name: str, value: Any) -> np.ndarray:
    """A tensor on any device, or any array."""
    return _check.as_real(name, value.detach().cpu() if hasattr(value, "detach") else value)
