"""Several networks whose predictions are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check
from fastbp.files import ensemble_exports, ensemble_file
from fastbp.network import Network
from fastbp.sequential import Sequential


class Ensemble:
    """The mean of several networks: of their probabilities where they are of classes, else of their outputs.

    Letters in shapes: M networks, N samples, I inputs, K outputs.

    Parameters
    ----------
    nets : sequence of networks
        As many as one, with the same inputs and outputs, all of them of classes or all of numbers.
    weights : (M,) array or None
        Finite numbers of at least 0, how much each counts; all the same if None.

    Attributes
    ----------
    nets : tuple of networks
        Those that were given, not copies: what they predict now is averaged.
    weights : (M,) float64
        What each counts; they sum to 1.

    Examples
    --------
    >>> nets = [mlp([4, 8, 3], seed=seed) for seed in range(5)]
    >>> Ensemble(nets).predict(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, nets: Iterable[Network], weights: ArrayLike | None = None) -> None:
        if isinstance(nets, (Network, str)) or not isinstance(nets, Iterable):
            raise TypeError(f"nets must be a sequence of networks, got {_arguments.shown(nets)}")
        self.nets = tuple(nets)
        if not self.nets:
            raise ValueError("nets must hold at least one network, got none")
        for k, net in enumerate(self.nets):
            if not isinstance(net, Network):
                raise TypeError(f"nets[{k}] must be a network of fastbp, got {_arguments.shown(net)}")
            for what, own, first in zip(("inputs", "outputs", "loss"), _form(net), _form(self.nets[0]), strict=True):
                if own != first:
                    raise ValueError(f"nets[{k}] has {own} for its {what}, nets[0] {first}: they have no mean")
        self.weights = _shares(weights, len(self.nets))

    def __len__(self) -> int:
        """How many networks these are."""
        return len(self.nets)

    def __iter__(self) -> Iterator[Network]:
        """The networks."""
        return iter(self.nets)

    def __repr__(self) -> str:
        return f"Ensemble of {len(self)} networks, the first {_arguments.shown(self.nets[0])}"

    @property
    def is_of_classes(self) -> bool:
        """Whether the networks are of classes, so that their probabilities are averaged."""
        return self.nets[0].loss_layer.is_of_classes

    @property
    def _dtype(self) -> np.dtype:
        """float32 or float64, of what is predicted."""
        return np.result_type(*{net.dtype for net in self.nets})

    def _predicted(self, net: Network, x: ArrayLike) -> np.ndarray:
        """What a network has to give for rows ``x``."""
        return net.predict_proba(x) if self.is_of_classes else net.predict(x)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the mean (N, K) of the members' probabilities, or outputs, for ``x`` (N, I).

        It is summed in float64, in the order of the members.
        """
        x = self._samples(x)
        total = np.zeros((len(x), self.nets[0].n_outputs))
        for net, weight in zip(self.nets, self.weights, strict=True):
            total += weight * self._predicted(net, x)
        return total.astype(self._dtype, copy=False)

    def predict_all(self, x: ArrayLike) -> np.ndarray:
        """Return the probabilities, or outputs, (M, N, K) of each member for ``x`` (N, I)."""
        x = self._samples(x)
        return np.stack([self._predicted(net, x) for net in self.nets]).astype(self._dtype, copy=False)

    def predict_std(self, x: ArrayLike) -> np.ndarray:
        """Return the members' spread (N, K) for ``x`` (N, I): their weighed standard deviation from ``predict``."""
        x = self._samples(x)
        mean = np.zeros((len(x), self.nets[0].n_outputs))
        squares, used = np.zeros_like(mean), 0.0
        for net, weight in zip(self.nets, self.weights, strict=True):
            if weight:  # Welford's way: no difference of large numbers
                used += weight
                away = self._predicted(net, x) - mean
                mean += away * (weight / used)
                squares += weight * (1 - weight / used) * away**2
        return np.sqrt(squares).astype(self._dtype, copy=False)

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Return what ``predict`` does; TypeError for networks of numbers, which have no probabilities."""
        self.nets[0].loss_layer.must_be_of_classes("probabilities")
        return self.predict(x)

    def predict_classes(self, x: ArrayLike) -> np.ndarray:
        """Return the classes (N,) of the highest mean probabilities for ``x`` (N, I).

        Of networks with one output it is 1 where the mean is above a half, else 0.

        Raises
        ------
        TypeError
            For networks of numbers.
        """
        self.nets[0].loss_layer.must_be_of_classes("classes")
        mean = self.predict(x)
        if self.nets[0].loss_layer.n_classes(mean.shape[1]) > mean.shape[1]:
            return (mean[:, 0] > 0.5).astype(np.intp)
        return np.argmax(mean, axis=1)

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of rows of ``x`` (N, I) whose class is the one that ``predict_classes`` finds.

        ``t`` is as a network's ``accuracy`` takes it, and what is raised is the same.
        """
        loss = self.nets[0].loss_layer
        loss.must_be_of_classes("accuracy")
        found = self.predict_classes(x)
        if not len(found):
            raise ValueError("x must hold at least one sample, got none")
        return float(np.mean(found == loss.as_labels(t, (len(found), self.nets[0].n_outputs))))

    @staticmethod
    def _samples(x: ArrayLike) -> np.ndarray:
        """``x`` as an array of samples, which all members get."""
        array = _check.as_real("x", x)
        if array.ndim < 2:
            raise ValueError(f"x must have two dimensions or more, samples first, got shape {array.shape}")
        return array

    def save(self, path: str | os.PathLike) -> None:
        """Save all networks and weights to one safetensors file, for ``Ensemble.load``.

        The file is there whole or not at all, and the same ensemble gives the same bytes.

        Raises
        ------
        TypeError
            For layers and losses that are not of fastbp.
        ValueError
            For more networks than the file's header has room for, a few hundred small ones.
        OSError
            Where the file cannot be written.
        """
        ensemble_file.save(self.nets, self.weights.tolist(), path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Ensemble:
        """Return the ensemble that ``save`` has saved, to the same bits.

        As by ``fastbp.load``, nothing in the file is run, and memory is bounded by the file's size.

        Raises
        ------
        ModelFileError
            For a file that is damaged, changed, cut short or of another kind.
        OSError
            Where it cannot be read.
        """
        nets, weights = ensemble_file.read(path, Sequential)
        try:
            made = cls(nets, weights)
        except ValueError as error:
            raise ensemble_file.ModelFileError(f"{os.fspath(path)!s}: no ensemble: {error}") from error
        made.weights = np.array(weights)
        return made

    def to_c(self, path: str | os.PathLike, *, prefix: str = "") -> None:
        """Write the ensemble as one file of C99 without dependencies.

        ``void predict(size_t rows, const float *x, float *mean)`` gives what predict gives, but for rounding; it is of
        double for float64 networks. The names begin with ``prefix``.

        Raises
        ------
        TypeError, OSError
            As a network's ``to_c`` does.
        ValueError
            As that does, and for networks of different types.
        """
        ensemble_exports.to_c(self.nets, self.weights.tolist(), path, prefix)

    def to_numpy(self, path: str | os.PathLike) -> None:
        """Write the ensemble as one Python module that needs only NumPy.

        ``predict(x)`` gives what predict gives, but for rounding, ``predict_all(x)`` likewise.

        Raises
        ------
        TypeError, OSError
            As a network's ``to_numpy`` does.
        ValueError
            As that does, and for networks of different types.
        """
        ensemble_exports.to_numpy(self.nets, self.weights.tolist(), path)

    def to_onnx(self, path: str | os.PathLike) -> None:
        """Write the ensemble as one ONNX graph from ``x`` (N, I) to ``mean`` (N, K), what predict gives.

        Raises
        ------
        TypeError, ImportError, OSError
            As a network's ``to_onnx`` does.
        ValueError
            As that does, and for networks of different types.
        """
        ensemble_exports.to_onnx(self.nets, self.weights.tolist(), path)


def _form(net: Network) -> tuple[Any, Any, Any]:
    """What networks that have a mean have in common."""
    loss = net.loss_layer
    kind = "numbers" if not loss.is_of_classes else f"{loss.targets} of {loss.link.__name__ if loss.link else 'scores'}"
    return net.in_shape, net.n_outputs, kind


def _shares(weights: Any, n: int) -> np.ndarray:
    """``weights`` of ``n`` networks, which sum to 1."""
    if weights is None:
        return np.full(n, 1 / n)
    array = np.array(_check.as_real("weights", weights), np.float64)
    if array.shape != (n,):
        raise ValueError(f"weights must hold one number for each of the {n} networks, got shape {array.shape}")
    wrong = ~((array >= 0) & np.isfinite(array))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(f"weights[{k}] is {array[k]}, not a finite number of at least 0")
    largest = array.max()
    if largest == 0:
        raise ValueError("weights are all 0: one of them must be more")
    array /= largest  # whose sum is finite
    return array / array.sum()
