"""Batch normalisation as a layer."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._attributes import setting
from fastbp.basics._tensor import array_of_tensor
from fastbp.kernels import channels as of_images
from fastbp.kernels import normalization as of
from fastbp.kernels.channels import normalize_channels, normalize_channels_back, normalize_channels_by
from fastbp.kernels.columns import shape_of_partial
from fastbp.kernels.entry import Entry
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.normalization import (
    MEAN,
    SCALE,
    STATISTICS,
    VAR,
    batch_normalization_backward,
    batch_normalization_forward,
    move_averages,
    normalize_by,
)
from fastbp.layers._columns import ColumnLayer
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

FORWARD = Entry(batch_normalization_forward, "NK K K number IK ODK:double -> NK NK")
BACKWARD = Entry(batch_normalization_backward, "NK NK K IK ODK:double integer -> NK K K")
ONE_SAMPLE = (
    "BatchNormalization expects at least two samples while training, got x of shape {}: one sample is its own mean, so "
    "that the output is beta and no gradient goes further"
)


def is_by_channel(shape: tuple[int, ...], n: int) -> bool:
    """Whether samples of that shape are images that ``n`` numbers normalise by channel."""
    return len(shape) == 3 and shape[0] == n


class BatchNormalization(ColumnLayer):
    """Columns of mean 0 and variance 1 over the batch, times ``gamma``, plus ``beta``: the book's layer.

    ``gamma (x - mean) / sqrt(var + eps) + beta`` (Ioffe & Szegedy 2015), with the mean and the mean squared deviation
    of each column of the batch while training, and with the running ones when testing. Images (N, C, H, W) are
    normalised by channel, over all pixels, where ``gamma`` has a number for each channel, as by
    ``torch.nn.BatchNorm2d``; where it has one for each pixel, they are rows, as in the book.

    Parameters
    ----------
    gamma, beta : (K,) array of real numbers
        For samples of K numbers, or images of K channels; kept by reference.
    momentum : float in 0..1
        What stays of the running statistics at each training pass: ``running = momentum running + (1 - momentum)
        batch``. PyTorch's momentum is 1 less this, and its running variance that of a sample, N / (N - 1) of this one.
    running_mean, running_var : (K,) array or None
        Written in place while training; None for zeros, as in the book. Ones for the variance, as in PyTorch, leave
        ``x`` about as it is before the first training pass.
    eps : float above 0
        The book's is 10e-7, PyTorch's 1e-5.

    Attributes
    ----------
    dgamma : (K,) array or None
        The gradient of ``gamma`` from the last ``backward``; None before the first.
    dbeta : (K,) array or None
        That of ``beta``.
    """

    parameters = ("gamma", "beta")
    buffers = ("running_mean", "running_var")
    mixes_rows = True
    takes_train_flg = True
    _factor = "gamma"

    momentum: float = setting(lambda name, value: _arguments.real(name, value, 0, 1))
    eps: float = setting(lambda name, value: _arguments.real(name, value, above=0))

    torch = "BatchNorm1d", {"weight": "gamma", "bias": "beta"} | {name: name for name in buffers}
    torch_unused = ("num_batches_tracked",)
    torch_too = ("BatchNorm2d",)
    numpy = """\
shape = (-1,) + (1,) * (x.ndim - 2) if len(gamma) == x.shape[1] else x.shape[1:]
    factor = (gamma / np.sqrt(running_var + eps)).reshape(shape)
    return (x - running_mean.reshape(shape)) * factor + beta.reshape(shape)"""
    c = """\
    for (size_t o = 0; o < n_outputs; o++) {
        const size_t k = o / area;
        y[o] = (x[o] - running_mean[k]) * (gamma[k] / sqrt@f(running_var[k] + eps)) + beta[k];
    }
"""

    def __init__(
        self,
        gamma: np.ndarray,
        beta: np.ndarray,
        momentum: float = 0.9,
        running_mean: np.ndarray | None = None,
        running_var: np.ndarray | None = None,
        eps: float = 10e-7,
    ) -> None:
        self.gamma, self.beta = gamma, beta
        self.momentum, self.eps = momentum, eps
        self.running_mean, self.running_var = running_mean, running_var
        self.dgamma: np.ndarray | None = None
        self.dbeta: np.ndarray | None = None

    def _fitting(self, name: str, given: Any, factor: np.ndarray) -> np.ndarray:
        if name in self.buffers and given is None:
            return np.zeros(factor.shape, _check.result_type(factor))
        array = super()._fitting(name, given, factor)
        if name == "running_var" and (array < 0).any():
            raise ValueError(f"running_var must be at least 0, got {array.min()}")
        return array

    def forward(self, x: ArrayLike, train_flg: bool = True) -> np.ndarray:
        """Return the normalised ``x``, by the batch and moving the running statistics if ``train_flg``, else by these.

        Parameters
        ----------
        x : (N, K), (K,) or (N, C, H, W) array of real numbers
            (K,) is a single sample; (N, C, H, W) has C = K, or C H W = K, where its rows are flattened.
        train_flg : bool
            Whether this is a training pass.

        Returns
        -------
        out : array of the shape of ``x``
            Of the dtype of NumPy's arithmetic on ``x``, ``gamma`` and ``beta``, float64 for integers.

        Raises
        ------
        ValueError
            Where shapes do not fit, for no samples while training and for a negative ``running_var``. One sample while
            training is a RuntimeWarning.
        TypeError
            For what is no array of real numbers.
        """
        out = self._trained(x) if train_flg else None
        if out is None:
            out, self._last = self._passed(x, train_flg)
        return out

    def _trained(self, x: ArrayLike) -> np.ndarray | None:
        """What a training pass returns, where all is as the kernel takes it and may be written to; else None."""
        given = x, self.gamma, self.running_mean, self.running_var
        if any(type(array) is not np.ndarray for array in given):
            return None
        rows, gamma, *running = map(_check.own_view, given)
        if rows.ndim != 2 or len(rows) < 2 or running[1].min(initial=0) < 0:
            return None
        for array in running:
            if array.shape != rows.shape[1:] or array.dtype != rows.dtype or not array.flags.carray:
                return None
        statistics, partial = np.empty((STATISTICS, rows.shape[1]), rows.dtype), np.empty(shape_of_partial(*rows.shape))
        made = FORWARD.call(_team.address, rows, gamma, self.beta, self.eps, statistics, partial)
        if made is None:
            return None
        z, y = made
        move_averages(statistics, *running, self.momentum)
        self._last = z, statistics, False, rows.shape
        return y

    def recall(self, x: np.ndarray, y: np.ndarray) -> None:
        """Leave what a training pass did, but for the running statistics, which have been moved."""
        other = copy.copy(self)
        other.running_mean = other.running_var = None
        other.forward(x)
        self._last = other._last

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` normalised by the running statistics, without touching what the last ``forward`` left."""
        return self._passed(x, False)[0]

    def _passed(self, x: ArrayLike, train_flg: bool) -> tuple[np.ndarray, tuple[Any, ...]]:
        """The result for ``x``, and what ``backward`` needs of this pass."""
        gamma, beta, running_mean, running_var = self._taken("beta", *self.buffers)
        x = _check.as_real("x", x)
        by_channel = is_by_channel(x.shape[1:], len(gamma))
        if by_channel:
            dtype = _check.result_type(x, gamma, beta)
            rows = _check.ready(x.reshape(*x.shape[:2], -1) if x.size else x[:, :, 0], _check.computed_in(dtype))
        else:
            x, rows, dtype = self._rows(x, (gamma, beta))
        kind = rows.dtype
        statistics = np.empty((STATISTICS, len(gamma)), kind)
        team, gamma, beta = _team.current().address, _check.ready(gamma, kind), _check.ready(beta, kind)
        # All of these are this call's own views or copies, or new: they stay until it returns.
        if train_flg:
            if not len(rows):
                raise ValueError(f"x must hold at least one sample while training, got shape {x.shape}")
            if rows.size == len(gamma):  # where torch raises; the book's own check of gradients does it
                warnings.warn(ONE_SAMPLE.format(x.shape), RuntimeWarning, stacklevel=3)
            if by_channel:
                y, z = np.empty_like(rows), np.empty_like(rows)
                at, one = (address_of(z), address_of(y)), kind.type(1)
                normalize_channels(team, address_of(rows), rows.shape, self.eps, gamma, beta, statistics, *at, one)
            else:
                partial = np.empty(shape_of_partial(*rows.shape))
                z, y = FORWARD(_team.address, rows, gamma, beta, self.eps, statistics, partial)
            self._move("running_mean", running_mean, statistics[MEAN])
            self._move("running_var", running_var, statistics[VAR])
        else:
            statistics[MEAN], statistics[SCALE] = running_mean, 1 / np.sqrt(running_var + self.eps)
            y, z = np.empty_like(rows), np.empty_like(rows)
            if by_channel:
                at, one = (address_of(z), address_of(y)), kind.type(1)
                normalize_channels_by(team, address_of(rows), rows.shape, gamma, beta, statistics, *at, one)
            else:
                normalize_by(team, rows, statistics, gamma, beta, z, y)
        return _check.of_type(y.reshape(x.shape), dtype), (z, statistics, not train_flg, x.shape)

    def _move(self, name: str, running: np.ndarray, batch: np.ndarray) -> None:
        """Move a running statistic, in place where it is an array of floating-point numbers."""
        moved = self.momentum * running.astype(np.float64) + (1 - self.momentum) * batch.astype(np.float64)
        own = getattr(self, name)
        if isinstance(own, np.ndarray) and own.dtype.kind == "f" and own.flags.writeable:
            own[...] = moved
        else:
            setattr(self, name, moved.astype(_check.result_type(running)))

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """As that of every layer with a number for each column: see ``ColumnLayer``."""
        last = self._last
        if last is not None and len(last[-1]) == 2:
            z, statistics, constant, shape = last
            partial = np.zeros(shape_of_partial(*shape))  # read where there are no rows
            made = BACKWARD.call(_team.address, dout, z, self.gamma, statistics.copy(), partial, int(constant))
            if made is not None:
                dx, self.dgamma, self.dbeta = made
                return dx
        return super().backward(dout)

    def _back(self, last: tuple[Any, ...], d: np.ndarray, factor: np.ndarray, *rest: Any) -> None:
        z, statistics, constant, _ = last
        partial, _, _, *gradients = rest
        own = np.array(statistics, d.dtype)  # in which the kernel works
        z = _check.ready(z, d.dtype)
        if d.ndim == 3:
            at = _team.current().address, address_of(d), address_of(z)
            normalize_channels_back(*at, d.shape, factor, own, constant, *rest[1:])
        else:
            made = BACKWARD(_team.address, d, z, factor, own, partial, int(constant))
            for array, result in zip((d, *gradients), made, strict=True):
                array[...] = result

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """``shape``, which is that of images of as many channels as gamma is long, or has as many numbers in all."""
        n = len(self._taken()[0])
        if not is_by_channel(shape, n) and math.prod(shape) != n:
            given = " x ".join(map(str, shape))
            raise ValueError(f"gamma of shape ({n},) does not fit the {given} outputs of the layers before")
        return shape

    def least_rows(self, shape: tuple[int, ...]) -> int:
        """Two, where a sample has one number for each mean: one number is its own mean, and its variance 0."""
        return 2 if math.prod(shape) == len(self._taken()[0]) else 1

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer; the running statistics move with the backward pass, after the loss.

        A prediction goes by the running statistics.
        """
        gamma, beta, mean, var = self._taken("beta", *self.buffers)
        columns, at_gamma, at_beta = len(gamma), p.place_of(gamma), p.place_of(beta)
        y, z = p.buffer((self, "y"), x.columns), p.buffer((self, "z"), x.columns)
        by_channel = is_by_channel(x.shape, columns)
        of_image = p.rows, columns, x.columns // columns
        statistics, at_running = p.array((self, "statistics"), (STATISTICS, columns)), (p.keep(mean), p.keep(var))
        written, shape = (statistics, z, y), (p.rows, columns)
        if p.predicts and by_channel:
            given = x.address, at_gamma, at_beta, *at_running, statistics, y
            p.emit(of_images.RunningChannelNormalization(*given, *of_image, self.eps))
            return Operand(y, x.shape)
        if p.predicts:
            p.emit(of.RunningNormalization(x.address, at_gamma, at_beta, *at_running, *written, *shape, self.eps))
            return Operand(y, x.shape)
        of_batch = x.address, at_gamma, at_beta, *written
        if by_channel:
            partial = NOTHING
            p.emit(of_images.ChannelNormalization(*of_batch, *of_image, self.eps))
        else:
            partial = self._partial(p, columns)
            p.emit(of.BatchNormalization(*of_batch, *shape, self.eps, partial))

        def backward(dy: int, wanted: bool) -> int:
            dgamma, dbeta = self._targets(p, gamma, beta)
            given, adds = (dy, z, at_gamma, statistics, dgamma, dbeta), (p.adds, p.fused_step)
            if by_channel:
                p.emit(of_images.ChannelNormalizationGradient(*given, *of_image, *adds))
            else:
                p.emit(of.BatchNormalizationGradient(*given, *shape, partial, *adds))
            p.emit(of.MovingAverages(statistics, *at_running, columns, self.momentum))
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)

    def folded(self, before: Layer) -> Layer | None:
        """A layer like ``before``, if that has weights which the running statistics go into."""
        _, mean, var = (array.astype(np.float64) for array in self._taken(*self.buffers))
        return before.with_scaled_outputs(mean, self.gamma / np.sqrt(var + self.eps), self.beta)

    def sizes(self, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> dict[str, int]:
        """Beside those of any layer the pixels of a channel."""
        return super().sizes(shape, out_shape) | {"area": math.prod(shape) // len(self.gamma)}

    def onnx_on(self, node: Any, x: str, shape: tuple[int, ...]) -> str:
        """As ``onnx``, with arrays that fit images."""
        gamma, beta, mean, var = self._taken("beta", *self.buffers)
        own = (-1, 1, 1) if is_by_channel(shape, len(gamma)) else shape
        mean, factor, beta = (array.reshape(own) for array in (mean, gamma / np.sqrt(var + self.eps), beta))
        return node("Add", node("Mul", node("Sub", x, mean), factor), beta)

    def onnx(self, node: Any, x: str) -> str:
        """What ``predict`` computes, by operators that every runtime has in both types."""
        return self.onnx_on(node, x, (len(self.gamma),))

    def to_module(self, nn: Any) -> Any:
        """A BatchNorm1d, whose momentum is what 1 lacks of ours."""
        return self.module_on(nn, (len(self.gamma),))

    def module_on(self, nn: Any, shape: tuple[int, ...]) -> Any:
        """A BatchNorm1d or, by channel, a BatchNorm2d; TypeError for images that are rows here."""
        if len(shape) > 1 and not is_by_channel(shape, len(self.gamma)):
            raise TypeError(f"{self!r} takes images {shape} as rows, which no module of PyTorch does")
        kind = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
        return kind(len(self.gamma), eps=self.eps, momentum=round(1 - self.momentum, 15), device="meta")

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a BatchNorm1d or BatchNorm2d; TypeError for one without weights, running statistics or momentum."""
        arrays = {ours: getattr(module, theirs) for theirs, ours in cls.torch[1].items()}
        missing = [name for name, array in arrays.items() if array is None]
        if missing or module.momentum is None:
            missing = missing or ["momentum"]
            raise TypeError(f"{module!r} has no {' and '.join(missing)}, which BatchNormalization needs")
        copies = {name: np.array(array_of_tensor(name, array)) for name, array in arrays.items()}
        return cls(**copies, momentum=round(1 - module.momentum, 15), eps=module.eps)

    def __repr__(self) -> str:
        return f"BatchNormalization({np.size(self.gamma)}, momentum={self.momentum:g}, eps={self.eps:g})"
