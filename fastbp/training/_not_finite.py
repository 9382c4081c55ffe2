"""Where numbers are not finite: for the messages of a training that came to no finite loss."""

import numpy as np

from fastbp.basics._row_slices import row_slices


def place_of(name: str, array: np.ndarray, rows: np.ndarray, dtype: np.dtype, scale: float = 1.0) -> str:
    """The first element in ``rows`` of ``array`` that is not finite in ``dtype`` times ``scale``, in words.

    That is ``x[3, 2] is nan``, or nothing where all are finite.
    """
    if array.dtype.kind != "f" and scale == 1:
        return ""
    for part in row_slices(len(rows)):
        some = rows[part]
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = ~np.isfinite(array[some].astype(dtype) * dtype.type(scale))
        if wrong.any():
            n, *rest = np.argwhere(wrong)[0].tolist()
            index = (int(some[n]), *rest)
            value = array[index]
            why = f", too large for {dtype}" if np.isfinite(value) else ""
            return f"{name}[{', '.join(map(str, index))}] is {value}{why}"
    return ""
