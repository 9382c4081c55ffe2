"""Networks out of files: ``fastbp.load`` and ``fastbp.load_checkpoint``."""

import os
from dataclasses import dataclass, field
from typing import Any

from fastbp.files import model_file
from fastbp.sequential import Sequential
from fastbp.training.history import TrainingState


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Attributes
    ----------
    net : Sequential
        The network.
    state : TrainingState or None
        For ``net.fit(resume=...)``; None where none was saved.
    extra : dict
        What else was saved.
    """

    net: Sequential
    state: TrainingState | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def load(path: str | os.PathLike) -> Sequential:
    """Return the network that ``net.save(path)`` has saved: the same layers, loss, dtype and bits.

    The network of a subclass, such as TwoLayerNet, comes back as a Sequential of its layers; the masks of Dropout begin
    again with the first of their seed.

    Nothing in the file is run, whoever wrote it, and reading takes at most twice the file's size in memory, its header
    of at most 128 KiB and a 64th of the file aside.

    Raises
    ------
    ModelFileError
        A ValueError: for a file that is damaged, changed, cut short, of another kind, or from a later version of
        fastbp.
    OSError
        For one that cannot be read or is no regular file.
    """
    return load_checkpoint(path).net


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """As ``load``, with the training state and what else was saved."""
    return Checkpoint(*model_file.read(path, Sequential))
