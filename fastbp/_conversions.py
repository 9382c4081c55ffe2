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

        The file is there whole or not at all, also after a crash; what was there before is replaced, and hands on its
        permissions. The same network gives the same bytes.

        Parameters
        ----------
        state : the ``state`` of a History of this network: the optimizer's vectors and the place in the run, with which
            ``fit(resume=...)`` goes on to the same bits, given the same data, optimizer and options
        extra : anything that JSON can hold, for ``load_checkpoint`` to return

        Raises TypeError for layers and losses that are not of fastbp, and for an ``extra`` that JSON cannot hold;
        ValueError for a state of another network and an ``extra`` that is too long for the file; OSError, also where
        there is something other than a regular file.
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

        A ``scale`` of the network is a module of its own before them, called ``scale``; the layers keep their numbers,
        and the state dict has nothing of it.

        The way back is ``fastbp.from_torch``. Raises TypeError for layers that are not of fastbp, ImportError without
        torch (the extra ``torch``).
        """
        from fastbp.torch_weights import to_torch

        return to_torch(self)  # type: ignore[arg-type]

    def to_onnx(self, path: str | os.PathLike, *, probabilities: bool = False) -> None:
        """Write the network as an ONNX graph, from ``x`` (N, I) to ``scores`` (N, K) as predict gives, N any number.

        The graph computes in the network's dtype, its ``scale`` included, with opset 16. With ``probabilities`` it has
        a second output of that name, which is what predict_proba gives.

        Raises TypeError for layers and losses that are not of fastbp, and for ``probabilities`` of a loss without them;
        ValueError for parameters that are not finite; ImportError without onnx (the extra ``onnx``); OSError.
        """
        from fastbp.to_onnx import to_onnx

        to_onnx(self, path, probabilities)  # type: ignore[arg-type]

    def to_c(self, path: str | os.PathLike, *, prefix: str = "") -> None:
        """Write the network as one file of C99 without dependencies: the exact weights, and functions that predict.

        ``void predict(size_t rows, const float *x, float *scores)`` gives what predict gives, but for rounding; it is
        of double for a float64 network. ``predict_proba`` is there too where the loss has probabilities. The names
        begin with ``prefix``, so that a program can have several networks.

        Raises TypeError for layers and losses that are not of fastbp; ValueError for parameters that are not finite and
        for a ``prefix`` that no name in C begins with; OSError.
        """
        from fastbp.to_c import to_c

        to_c(self, path, prefix)  # type: ignore[arg-type]

    def to_numpy(self, path: str | os.PathLike) -> None:
        """Write the network as a Python module that needs only NumPy: the exact weights, and functions that predict.

        ``predict(x)`` takes (N, I) and gives what predict gives, but for rounding, in the network's dtype;
        ``predict_proba(x)`` is there too where the loss has probabilities.

        Raises TypeError for layers and losses that are not of fastbp, ValueError for parameters that are not finite,
        OSError.
        """
        from fastbp.to_numpy import to_numpy

        to_numpy(self, path)  # type: ignore[arg-type]
