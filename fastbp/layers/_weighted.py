"""What layers with weights ``W`` and a bias ``b`` have in common."""

from __future__ import annotations

import numpy as np

from fastbp.layers._layer import Layer


class Weighted(Layer):
    """A layer whose outputs are sums of products with ``W``, and of ``b`` unless that is None."""

    parameters = ("W", "b")

    def checked_parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """``W`` and ``b`` as they are now, in arrays of their own; b has no elements where there is none.

        Raises ValueError where they do not fit, TypeError for what is no array of real numbers.
        """
        raise NotImplementedError

    def checked(self) -> tuple[np.ndarray | None, ...]:
        """``W``, and ``b`` or None, as they are now; see ``checked_parameters``."""
        W, b = self.checked_parameters()
        return W, b if b.size else None
