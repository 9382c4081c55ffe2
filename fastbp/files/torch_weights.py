"""To PyTorch: state dicts in its names and layout, in both directions, and modules.

torch keeps the weights of a layer as (outputs, inputs), here they are (inputs, outputs). A state dict is any mapping of
names to arrays; nothing but modules needs torch itself.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.basics._extra import import_extra
from fastbp.basics._tensor import array_of_tensor
from fastbp.files.architecture import LAYERS, known
from fastbp.layers._layer import Numbering
from fastbp.network import Network


def to_torch(net: Network) -> Any:
    """The network in PyTorch, with copies of the arrays; see ``Sequential.to_torch``."""
    torch = import_extra("torch", "torch")
    for layer in net.layers.values():
        known(layer, LAYERS)
    modules: dict[str, Any] = {}
    shape = (net.n_inputs,) if net.in_shape is None else net.in_shape
    for place, layer in enumerate(net.layers.values()):
        if layer.flattens_images and len(shape) > 1:  # by name, so that the layers keep their numbers
            modules[f"flatten{place}"] = torch.nn.Flatten()
        modules[str(place)] = layer.module_on(torch.nn, shape)
        shape = layer.out_shape(shape)
    if net.scale != 1:
        from fastbp.layers._torch_modules import Scale

        kind = getattr(torch, net.dtype.name)
        modules = {"scale": Scale(net.scale, kind)} | modules  # by name, so that the layers keep their numbers
    module = torch.nn.Sequential(OrderedDict(modules))  # no numbers so far: none are drawn from torch's generator
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict(net).items()}, assign=True)
    return module.eval()


def state_dict(net: Network) -> dict[str, np.ndarray]:
    """Copies of parameters and buffers by PyTorch's names; see ``Sequential.state_dict``."""
    arrays = {name: np.array(_turned(array), order="C") for name, array in _arrays(net)}
    return arrays | {name: np.array(0) for name in _unused(net)}


def load_state_dict(net: Network, state: Mapping[str, ArrayLike]) -> None:
    """Write what ``state`` has into the network's arrays, all of it or nothing; see ``Sequential.load_state_dict``."""
    own, unused = dict(_arrays(net)), set(_unused(net))
    if own.keys() != state.keys() - unused:
        missing = [name for name in own if name not in state]
        unknown = [name for name in state if name not in own and name not in unused]
        raise ValueError(f"state must have the names {list(own)}: it lacks {missing}, and has {unknown}")
    given = {name: array_of_tensor(name, value) for name, value in state.items() if name in own}
    for name, array in given.items():
        _check.same_shape(name, array, _turned(own[name]).shape, "the parameter")
    for name, array in given.items():
        own[name][...] = _turned(array)


def _turned(array: np.ndarray) -> np.ndarray:
    """An array in torch's layout of one here, and the other way round: a matrix is the other's transpose."""
    return array.T if array.ndim == 2 else array


def _arrays(net: Network) -> Iterator[tuple[str, np.ndarray]]:
    """Parameters and buffers by torch's names: those of a Sequential of the same layers."""
    arrays, numbering = net.params | net.buffers, Numbering()
    for place, layer in enumerate(net.layers.values()):
        names = numbering(layer)
        for theirs, ours in layer.torch[1].items():
            if names.get(ours) in arrays:
                yield f"{place}.{theirs}", arrays[names[ours]]


def _unused(net: Network) -> Iterator[str]:
    """The names of what torch has beside these."""
    for place, layer in enumerate(net.layers.values()):
        for theirs in layer.torch_unused:
            yield f"{place}.{theirs}"
