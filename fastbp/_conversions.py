"""The ways of a network into files and other libraries, as methods; each imports what it needs when called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
