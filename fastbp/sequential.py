"""The network that users make: it can be trained, shown, saved and exported."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments
from fastbp.basics._claim import in_training
from fastbp.files import model_file, torch_weights
from fastbp.files.to_c import to_c
from fastbp.files.to_numpy import to_numpy
from fastbp.files.to_onnx import to_onnx
from fastbp.losses._loss import LABELS
from fastbp.network import Network
from fastbp.optimizers import Optimizer
from fastbp.training._by_layers import tell
from fastbp.training._stepper import Batch, Stepper
from fastbp.training.fit import fit
from fastbp.training.history import TrainingState
from fastbp.views import _summary

RENAMED = "lastLayer is deprecated: use loss_layer (a TwoLayerNet keeps the book's name, too)"


class Sequential(Network):
    """Layers one after the other, with the interface of the book's networks and a compiled ``fit``.

    Layers, their arrays and their settings may be replaced: every later use follows, or raises what making a network of
    them would. One network may be used by several threads, and trained by one at a time.

    Letters in shapes: N samples, I inputs, K outputs.

    Parameters
    ----------
    layers : iterable of layers
        In their order, at least one of them with parameters. Their parameters become views of one flat vector, of the
        dtype that NumPy's promotion makes of them all.
    loss : loss layer, str or None
        A loss layer, or one of ``mlp``'s words for it; SoftmaxWithLoss(eps=0) if None.
    scale : float above 0
        What every element of ``x`` is multiplied by before the first layer, 1 / 255 for bytes.
    in_shape : (C, H, W) or None
        The size of the images that a network with Convolution or pooling takes; None to take it from the first images
        that it is given. With it, images may also come as rows of C H W numbers, and those of one channel without it.

    Attributes
    ----------
    layers : OrderedDict
        The layers, named ``Affine1``, ``Relu1``, ``Affine2``, ... by class and number.
    loss_layer : loss layer
        What training makes smaller.
    params : dict of arrays
        ``W1``, ``b1``, ``W2``, ...; writing into these arrays trains, and a dict assigned is written into them.
    scale : float
        What ``x`` is multiplied by; may be set, and ``fit(scale=...)`` sets it.
    in_shape : tuple of int or None
        The shape of an input sample, None while that of images is not known; may be set.

    Examples
    --------
    >>> net = Sequential([Affine(np.zeros((4, 3)), np.zeros(3))])
    >>> net.predict(np.ones((2, 4))).shape
    (2, 3)
    """

    _stepper: Stepper | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_stepper", None)  # with this network's addresses
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "lastLayer" in state:  # its name in older pickles
            state = {"loss_layer" if name == "lastLayer" else name: value for name, value in state.items()}
        super().__setstate__(state)

    @property
    def lastLayer(self) -> Any:
        """The ``loss_layer`` by its old name, which gives a DeprecationWarning."""
        warnings.warn(RENAMED, DeprecationWarning, stacklevel=2)
        return self.loss_layer

    @lastLayer.setter
    def lastLayer(self, loss: Any) -> None:
        warnings.warn(RENAMED, DeprecationWarning, stacklevel=2)
        self.loss_layer = loss

    def summary(self) -> str:
        """Return a table of the layers: name, shape of the parameters, their number."""
        return _summary.text(self)

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        return _summary.html(self)

    fit = fit

    def step(
        self,
        x: ArrayLike,
        t: ArrayLike,
        optimizer: str | Optimizer = "sgd",
        *,
        sample_weight: ArrayLike | None = None,
        clip_norm: float | None = None,
        seed: int | None = None,
    ) -> float:
        """Train by one step on a mini-batch and return its loss before the step: for data that come one by one.

        The optimizer's state is kept from call to call for as long as the same optimizer is given and the layers are of
        the same kinds and shapes.

        Parameters
        ----------
        x : (N, I) array
            Samples.
        t : array
            Targets, as the loss layer takes them.
        optimizer : str or Optimizer
            As ``fit`` takes it.
        sample_weight : (N,) array or None
            Finite numbers of at least 0, which multiply the losses of the samples.
        clip_norm : float above 0, or None
            Largest norm of all gradients together, to which larger ones are scaled down.
        seed : int or None
            Of the dropout from this step on, which also depends on the number of the step; None goes on with that of
            the step before, and draws one at the first.

        Returns
        -------
        loss : float

        Raises
        ------
        ValueError, TypeError
            As ``fit`` does; nothing has changed then.
        FloatingPointError
            Where the loss is not finite, and nothing has changed then; and where a parameter no longer is: it stays so,
            since a copy of all parameters before each step would take longer than many a step.
        RuntimeError
            Where another thread trains this network.
        """
        training = self._training
        try:
            if not training.take(False):
                raise in_training("step")
            binding = self._last_binding
            if not binding.is_of(self.layers, self.loss_layer):  # asked here, at each step, it costs a call less
                binding = self._binding()
            if binding.in_shape is None:
                self._learn_shape(x)
                binding = self._last_binding
            stepper = self._stepper
            if stepper is None or stepper.binding is not binding or stepper.given is not optimizer:
                tell(self)
                stepper = self._stepper = Stepper.going_on(stepper, binding, optimizer, self._passing)
            return stepper.step(x, t, self._scale, sample_weight, clip_norm, seed)
        finally:
            training.end()

    def program(self, batch_size: int = 32, optimizer: str | Optimizer = "sgd") -> str:
        """Return the instructions that ``step`` runs for a mini-batch, a line each, with their operands by name.

        Compiles what the network needs.

        Raises
        ------
        ValueError, TypeError
            As ``step`` does.

        Examples
        --------
        >>> net = Sequential([Affine(np.zeros((4, 3)), None)])
        >>> print(net.program(batch_size=2).splitlines()[0])
        AffineForward     x=x W=W1 b=0 y=Affine1.y plan=2x3x4:tiles function=none number=0
        """
        binding = self._binding()
        labels = binding.loss.targets == LABELS
        n_rows = _arguments.integer("batch_size", batch_size, 1)
        targets = np.zeros(
            n_rows if labels else (n_rows, binding.n_outputs), np.intp if labels else binding.vector.dtype
        )
        batch = Batch(Stepper(binding, optimizer, self._passing), n_rows, targets, False, 0.0)
        return batch.listing(self.layers)

    def save(
        self, path: str | os.PathLike, *, state: TrainingState | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Save the network to a safetensors file, for ``fastbp.load`` and ``fastbp.load_checkpoint``.

        The file is there whole or not at all, also after a crash; what was there before is replaced, and hands on its
        permissions. The same network gives the same bytes.

        Parameters
        ----------
        path : str or path
            The file to write.
        state : TrainingState or None
            The ``state`` of a History of this network: the optimizer's vectors and the place in the run, with which
            ``fit(resume=...)`` goes on to the same bits, given the same data, optimizer and options.
        extra : mapping or None
            Anything that JSON can hold, for ``load_checkpoint`` to return.

        Raises
        ------
        TypeError
            For layers and losses that are not of fastbp, and for an ``extra`` that JSON cannot hold.
        ValueError
            For a state of another network, and an ``extra`` that is too long for the file.
        OSError
            Where the file cannot be written, also where there is something other than a regular file.
        """
        model_file.save(self, path, state, extra)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters by PyTorch's names and in its layout.

        ``"0.weight"`` (outputs, inputs) and ``"0.bias"`` (outputs,) are those of the first layer, if it is an Affine:
        the names that ``to_torch().state_dict()`` has.
        """
        return torch_weights.state_dict(self)

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over parameters, tensors or arrays with the names and shapes that ``state_dict`` has.

        After an error nothing has changed.

        Raises
        ------
        ValueError
            For other names and shapes.
        TypeError
            For what is no array of real numbers.
        """
        torch_weights.load_state_dict(self, state)

    def to_torch(self) -> Any:
        """Return a ``torch.nn.Sequential`` with copies of the layers, in evaluation mode: it gives what predict gives.

        A ``scale`` of the network is a module of its own before them, called ``scale``; the layers keep their numbers,
        and the state dict has nothing of it.

        The way back is ``fastbp.from_torch``.

        Raises
        ------
        TypeError
            For layers that are not of fastbp.
        ImportError
            Without torch (the extra ``torch``).
        """
        return torch_weights.to_torch(self)

    def to_onnx(self, path: str | os.PathLike, *, probabilities: bool = False) -> None:
        """Write the network as an ONNX graph, from ``x`` (N, I) to ``scores`` (N, K) as predict gives, N any number.

        The graph computes in the network's dtype, its ``scale`` included, with opset 16. With ``probabilities`` it has
        a second output of that name, which is what predict_proba gives. A network for images has ``x`` (N, C, H, W);
        one of float64 is written in float32, with a UserWarning, as onnxruntime has no convolution of float64.

        Raises
        ------
        TypeError
            For layers and losses that are not of fastbp, and for ``probabilities`` of a loss without them.
        ValueError
            For parameters that are not finite.
        ImportError
            Without onnx (the extra ``onnx``).
        OSError
            Where the file cannot be written.
        """
        to_onnx(self, path, probabilities)

    def to_c(self, path: str | os.PathLike, *, prefix: str = "") -> None:
        """Write the network as one file of C99 without dependencies: the exact weights, and functions that predict.

        ``void predict(size_t rows, const float *x, float *scores)`` gives what predict gives, but for rounding; it is
        of double for a float64 network. ``predict_proba`` is there too where the loss has probabilities. The names
        begin with ``prefix``, so that a program can have several networks.

        Raises
        ------
        TypeError
            For layers and losses that are not of fastbp.
        ValueError
            For parameters that are not finite, and for a ``prefix`` that no name in C begins with.
        OSError
            Where the file cannot be written.
        """
        to_c(self, path, prefix)

    def to_numpy(self, path: str | os.PathLike) -> None:
        """Write the network as a Python module that needs only NumPy: the exact weights, and functions that predict.

        ``predict(x)`` takes (N, I) and gives what predict gives, but for rounding, in the network's dtype;
        ``predict_proba(x)`` is there too where the loss has probabilities.

        Raises
        ------
        TypeError
            For layers and losses that are not of fastbp.
        ValueError
            For parameters that are not finite.
        OSError
            Where the file cannot be written.
        """
        to_numpy(self, path)
