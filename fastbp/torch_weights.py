"""To PyTorch: state dicts in its names and layout, in both directions, and modules.

torch keeps the weights of a layer as (outputs, inputs), here they are (inputs, outputs). A state dict is any mapping of
names to arrays; nothing but modules needs torch itself.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check
from fastbp._extra import needed
from fastbp.affine import Affine
from fastbp.architecture import LAYERS, known
from fastbp.dropout import Dropout
from fastbp.network import Network


def _module(nn: Any, layer: Any) -> Any:
    """The module of torch.nn that is a layer, its weights still to come."""
    known(layer, LAYERS)
    if isinstance(layer, Affine):
        return nn.Linear(*layer.W.shape, bias=layer.b is not None, device="meta")
    if isinstance(layer, Dropout):
        return nn.Dropout(float(layer.p))
    name, arguments = layer.torch
    return getattr(nn, name)(**{theirs: getattr(layer, ours) for theirs, ours in arguments.items()})


def to_torch(net: Network) -> Any:
    torch = needed("torch", "torch")
    modules = {str(place): _module(torch.nn, layer) for place, layer in enumerate(net.layers.values())}
    if net.scale != 1:
        from fastbp._torch_modules import Scale

        kind = getattr(torch, net._bound().dtype.name)
        modules = {"scale": Scale(net.scale, kind)} | modules  # by name, so that the layers keep their numbers
    module = torch.nn.Sequential(OrderedDict(modules))  # no numbers so far: none are drawn from torch's generator
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict(net).items()}, assign=True)
    return module.eval()


def state_dict(net: Network) -> dict[str, np.ndarray]:
    return {name: np.array(array.T, order="C") for name, array in _parameters(net)}


def load_state_dict(net: Network, state: Mapping[str, ArrayLike]) -> None:
    own = dict(_parameters(net))
    if own.keys() != state.keys():
        missing, unknown = [name for name in own if name not in state], [name for name in state if name not in own]
        raise ValueError(f"state must have the names {list(own)}: it lacks {missing}, and has {unknown}")
    given = {name: as_array(name, value) for name, value in state.items()}
    for name, array in given.items():
        _check.same_shape(name, array, own[name].T.shape, "the parameter")
    for name, array in given.items():
        own[name][...] = array.T


def _parameters(net: Network) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters by torch's names: those of a Sequential of the same layers."""
    net._bound()
    for place, layer in enumerate(net.layers.values()):
        if isinstance(layer, Affine):
            yield f"{place}.weight", layer.W
            if layer.b is not None:
                yield f"{place}.bias", layer.b


def as_array(name: str, value: Any) -> np.ndarray:
    """A tensor on any device, or any array."""
    return _check.as_real(name, value.detach().cpu() if hasattr(value, "detach") else value)
