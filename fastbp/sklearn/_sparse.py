"""Sparse samples at the door: what compiled code is to follow their indices by is checked here, and nowhere else."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse


def check_sparse(X: Any) -> Any:
    """``X``; if it is a sparse matrix, one with indices of its own, all known to be inside.

    SciPy's compiled code trusts the indices as kernels do, so this comes before any conversion, and with the copy
    nobody can change them afterwards. The values are shared with ``X``.

    Raises ValueError for indices out of range, pointers to rows that fall, and lengths that do not fit together.
    """
    if not sparse.issparse(X) or X.ndim != 2:
        return X
    try:
        return _READ[X.format](X) if X.format in _READ else X.tocsr()
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"X is no valid sparse matrix of format {X.format}: {error}") from error


def _coordinates(X: Any) -> Any:
    return sparse.coo_array((X.data[...], (np.array(X.row), np.array(X.col))), shape=X.shape)  # which checks them


def _compressed(X: Any) -> Any:
    make = getattr(sparse, f"{X.format}_array")
    own = make((np.asarray(X.data)[...], np.array(X.indices), np.array(X.indptr)), shape=X.shape)
    own.check_format()
    if (np.diff(own.indptr) < 0).any():  # at which check_format does not look where the last pointer is 0
        raise ValueError("indptr must be a non-decreasing sequence")
    return own


def _lists(X: Any) -> Any:
    rows, values = ([list(items) for items in lists] for lists in (X.rows, X.data))
    if [*map(len, rows)] != [*map(len, values)]:
        raise ValueError("rows and data must have the same lengths")
    starts = np.cumsum([0, *map(len, rows)])
    columns = np.array([*chain.from_iterable(rows)], np.int64)
    return _compressed(sparse.csr_array((np.array([*chain.from_iterable(values)], X.dtype), columns, starts), X.shape))


_READ = {"coo": _coordinates, "csr": _compressed, "csc": _compressed, "bsr": _compressed, "lil": _lists}
