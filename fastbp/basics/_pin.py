"""Arrays of the user's whose memory compiled code uses by address."""

from typing import Any
from weakref import ref

import numpy as np


def pin(name: str, array: Any) -> Any:
    """What, together with ``array``, keeps its memory where it is and as large as it is, for as long as it is held.

    A reference keeps an array alive, and no more. NumPy does not resize an array that has a weak reference, not even
    with ``refcheck=False``; what lends its memory to arrays (a memory map, shared memory, a bytearray) is neither
    closed nor resized while there is a memoryview of it: that is a BufferError. A file that is cut short under its
    memory map cannot be held.

    Raises ValueError where the memory is gone already.
    """
    if not isinstance(array, np.ndarray):
        return None
    while (owner := array.base) is not None:  # a view is never resized, what it is a view of may be
        if not isinstance(owner, np.ndarray):
            return _pin_lender(name, owner)
        array = owner
    return ref(array)


def _pin_lender(name: str, lender: Any) -> Any:
    try:
        return memoryview(lender)
    except TypeError:  # it lends by other ways, and the array keeps it alive
        return None
    except (ValueError, BufferError) as error:
        raise ValueError(f"the memory of {name} is no longer there: {error}") from error
