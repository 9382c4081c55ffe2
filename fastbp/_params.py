"""Arrays by name that lie in one vector, as a network has its parameters and its buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check


class Params(dict):
    """Parameters or buffers by name. An array assigned to a name is written into the parameter, so that it trains."""

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        if value is not self.get(name):  # as after ``params[name] -= step``
            self.update({name: value})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write all of these, or none where one does not fit."""
        given = {name: self._fitting(name, value) for name, value in dict(*args, **kwargs).items()}
        for name, array in given.items():
            self[name][...] = array

    def _fitting(self, name: str, value: ArrayLike) -> np.ndarray:
        """A copy of ``value``, which may be a view of any parameter."""
        own = self.get(name)
        if own is None:
            raise KeyError(f"there is no parameter {name!r}, only {', '.join(self)}")
        array = _check.as_real(name, value)
        _check.same_shape(name, array, own.shape, "the parameter")
        if not own.flags.writeable:
            raise ValueError(read_only(name))
        return np.array(array)

    def __ior__(self, other: Any) -> Params:  # type: ignore[misc]
        self.update(other)
        return self

    def _stays(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("params has the parameters of the layers: they can be written, not added or taken away")

    __delitem__ = pop = popitem = clear = setdefault = _stays

    def __reduce__(self) -> tuple[type, tuple[dict]]:
        return dict, (dict(self),)  # the network that owns a copy binds it anew


def in_one(arrays: Mapping[str, np.ndarray], dtype: np.dtype) -> tuple[np.ndarray, Params]:
    """A flat vector of ``dtype`` that holds these arrays, and views of it by their names."""
    vector = np.empty(sum([array.size for array in arrays.values()]), dtype)
    views = cut(vector, arrays)
    for name, array in arrays.items():
        views[name][...] = array
    return vector, Params(views)


def cut(vector: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Views of a vector by the names of ``arrays``, one after the other and of their shapes."""
    views, at = {}, 0
    for name, array in arrays.items():
        end = at + array.size
        views[name] = vector[at:end].reshape(array.shape)
        at = end
    return views


def check_apart(arrays: list[tuple[str, str, np.ndarray]]) -> None:
    """ValueError where two of a layer's attributes share memory: each would be trained on its own."""
    owners = [array if array.base is None else array.base for _, _, array in arrays]
    if len({*map(id, owners)}) == len(owners) and all(type(o) is np.ndarray and o.flags.owndata for o in owners):
        return  # each in memory of its own, as most are
    spans = []
    for attribute, layer, array in arrays:
        if array.size:
            low, high = np.lib.array_utils.byte_bounds(array)
            spans.append((low, high, f"{attribute} of {layer}", array))
    spans.sort(key=lambda span: span[:2])
    near: list[tuple[int, int, str, np.ndarray]] = []
    for span in spans:
        near = [other for other in near if other[1] > span[0]]
        for other in near:
            if np.shares_memory(span[3], other[3]):
                first, second = sorted((other[2], span[2]))
                raise ValueError(
                    f"{first} and {second} share memory, and weights shared by two layers would be trained as two: "
                    "give one of them a copy"
                )
        near.append(span)


def read_only(*names: str) -> str:
    """What is said of parameters that cannot be written."""
    return (
        f"{', '.join(names)} cannot be trained or written, being read-only: "
        f"set net.params[{names[0]!r}].flags.writeable = True"
    )
