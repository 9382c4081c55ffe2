"""The ways of a network into files and other libraries, as methods; each imports what it needs when called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from fastbp.history import TrainingState


class Conversions:
    """What ``Sequential`` inherits to be saved and exported."""

    def save(
        self, path: str | os.PathLike, *, state: TrainingState | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Save the network to a safetensors file, for ``fastbp.load`` and ``fastbp.load_checkpoint``.

        The file is there whole or not at all, also after a crash; what was there before is replaced. The same network
        gives the same bytes.

        Parameters
        ----------
        state : the ``state`` of a History of this network, with which ``fit(resume=...)`` goes on to the same bits
        extra : anything that JSON can hold, for ``load_checkpoint`` to return

        Raises TypeError for layers and losses that are not of fastbp, and for an ``extra`` that JSON cannot hold;
        ValueError for a state of another network and an ``extra`` that is too long for the file; OSError.
        """
        from fastbp.model_file import save

        save(self, path, state, extra)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters by PyTorch's names and in its layout.

        ``"0.weight"`` (outputs, inputs) and ``"0.bias"`` (outputs,) are those of the first layer, if it is an Affine:
        the names that ``to_torch().state_dict()`` has.
        """
        from fastbp.torch_weights import state_dict

        return state_dict(self)  # type: ignore[arg-type]

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over parameters, tensors or arrays with the names and shapes that ``state_dict`` has.

        Raises ValueError for other names and shapes, TypeError for what is no array of real numbers; nothing has
        changed then.
        """
        from fastbp.torch_weights import load_state_dict

        load_state_dict(self, state)  # type: ignore[arg-type]

    def to_torch(self) -> Any:
        """Return a ``torch.nn.Sequential`` with copies of the layers, in evaluation mode: it gives what predict gives.

        The way back is ``fastbp.from_torch``. Raises TypeError for layers that are not of fastbp, ImportError without
        torch (``pip install 'fastbp[torch]'``).
        """
        from fastbp.torch_weights import to_torch

        return to_torch(self)  # type: ignore[arg-type]
