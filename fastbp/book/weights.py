"""Files of weights: ``from fastbp.book import weights as pickle`` in place of ``import pickle``.

``load`` reads the book's ``sample_weight.pkl`` and what its networks save. It runs nothing that stands in a file, which
pickle's own does.
"""

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from fastbp.basics._arguments import shown
from fastbp.files.pickled import read_pickle

__all__ = ["dump", "load"]


def load(file: BinaryIO) -> dict[str, Any]:
    """Return the dict of arrays that is pickled in an open binary ``file``.

    Raises
    ------
    ValueError
        Where anything but dicts, strings and NumPy arrays of real numbers is in it.
    """
    return read_pickle(file)


def dump(weights: Mapping[str, np.ndarray], file: BinaryIO) -> None:
    """Write a dict of arrays to an open binary ``file``, so that ``load``, and pickle, read it.

    Raises
    ------
    TypeError
        For what ``load`` would refuse.
    """
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights must be a dict of arrays by name, got {shown(weights)}")
    for name, array in weights.items():
        if type(name) is not str or type(array) is not np.ndarray or array.dtype.kind not in "fiub":
            raise TypeError(f"weights must be arrays of real numbers by name, got {shown(name)}: {shown(array)}")
    pickle.dump(dict(weights), file)
