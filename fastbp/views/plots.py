"""Pictures with matplotlib: loss curves, a confusion matrix, the weights of the first layer.

Each function returns a Figure of its own, which pyplot knows nothing of: no window opens, no backend is chosen, and it
is freed like any other object. A notebook shows it where it is the last expression of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.basics._arguments import integer, shown
from fastbp.basics._extra import import_extra
from fastbp.basics._row_slices import row_slices
from fastbp.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERED = 25  # classes up to which the cells of a confusion matrix have room for a number
WIDE = 50  # largest loss over the least from which on they stand on a logarithmic axis
DARK = 0.55  # share of a row from which on its cell is so dark that the number is white


def plot_history(lists: Mapping[str, Sequence[float]]) -> Figure:
    """The losses by epoch of ``History.lists()``, and the accuracies in a panel of their own if there are any.

    Losses that fall a long way stand on a logarithmic axis.
    """
    losses = {"training": lists["loss"], "validation": lists["val_loss"]}
    if not lists["loss"]:
        raise ValueError("there is nothing to plot before the end of the first epoch")
    accuracies = {"training": lists["accuracy"], "validation": lists["val_accuracy"]}
    panels = 2 if any(accuracies.values()) else 1
    figure = _figure(5.2 * panels, 3.6, "constrained")
    left, *right = figure.subplots(1, panels, squeeze=False)[0]
    for label, values in losses.items():
        if values:
            _curve(left, values, label)
    every = [*lists["loss"], *lists["val_loss"]]
    if 0 < WIDE * min(every) < max(every):
        left.set_yscale("log")
    left.set_ylabel("mean loss")
    left.legend(frameon=False)
    for axes in right:
        for color, (label, values) in enumerate(accuracies.items()):
            if values:
                _curve(axes, values, label, color=f"C{color}")
        axes.set_ylabel("accuracy")
        axes.legend(frameon=False)
    return figure


def plot_confusion(net: Network, x: ArrayLike, t: ArrayLike, names: Sequence[Any] | None = None) -> Figure:
    """How often samples of each class are taken for each other class.

    A cell holds a number of samples; its colour is their share of the samples of the true class, which is the row.

    Parameters
    ----------
    net : network
        With an output for each class.
    x : (N, I) array
        Samples.
    t : (N,) or (N, K) array
        Class labels, or rows whose largest element is the class.
    names : sequence or None
        What to call the classes; 0, 1, ... if None.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where shapes do not fit, for a label outside 0..K-1 and for networks with one output.
    TypeError
        For what is no network and no array of numbers.
    """
    _check_network(net)
    x, t = _check.as_real("x", x), _check.as_real("t", t)
    if x.ndim < 2 or t.ndim not in (1, 2):
        raise ValueError(f"x must be of shape (N, ...) and t (N,) or (N, K), got {x.shape} and {t.shape}")
    if len(x) == 0:
        raise ValueError("x must hold at least one sample, got none")
    pieces = [net.predict(x[rows]) for rows in row_slices(len(x))]
    scores = np.concatenate(pieces)
    n_classes = scores.shape[-1]
    if n_classes < 2:
        raise ValueError("a confusion matrix needs a network with an output for each class, this one has 1")
    names = range(n_classes) if names is None else names
    if not isinstance(names, Iterable):
        raise TypeError(f"names must be {n_classes} names, one for each class, got {shown(names)}")
    names = list(names)
    if t.ndim == 2 and t.shape[1] != n_classes:
        raise ValueError(f"t must have {n_classes} columns, one for each class, got shape {t.shape}")
    if len(names) != n_classes:
        raise ValueError(f"names must be {n_classes}, one for each class, got {len(names)}")
    return confusion_figure(net.loss_layer.found(scores), t if t.ndim == 1 else np.argmax(t, axis=1), names)


def confusion_figure(found: np.ndarray, labels: np.ndarray, names: Sequence[Any]) -> Figure:
    """``plot_confusion`` of classes (N,) that are found already, among those called ``names``."""
    n_classes = len(names)
    counts = confusion_counts(found, labels, n_classes)
    texts = [str(name) for name in names]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    numbered = n_classes <= MOST_NUMBERED
    side = 2.2 + (0.48 if numbered else 0.1) * n_classes
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class")
    if numbered:
        axes.set_xticks(range(n_classes), texts, rotation=90 if max(map(len, texts)) > 3 else 0)
        axes.set_yticks(range(n_classes), texts)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > DARK else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    figure.colorbar(image, ax=axes, label="share of the true class")
    return figure


def confusion_counts(found: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(K, K) numbers of samples by true class and the class ``found``; ValueError for a label outside 0..K-1."""
    if labels.shape != found.shape:
        raise ValueError(f"t of shape {labels.shape} does not fit {len(found)} samples: t must hold a class for each")
    wrong = ~np.isin(labels, np.arange(n_classes))
    if wrong.any():
        n = int(np.argmax(wrong))
        raise ValueError(f"t[{n}] is {labels[n]}, outside 0..{n_classes - 1}")
    pairs = labels.astype(np.intp) * n_classes + found
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def plot_weights(net: Network, shape: tuple[int, int] | None = None, most: int = 100) -> Figure:
    """The first layer's weights, one image for each of its units: what each looks for in an image.

    Red raises a unit's score, blue lowers it, white is 0; the scale is the same for all units.

    Parameters
    ----------
    net : network
        Whose inputs are images, pixel rows one after another.
    shape : (int, int) or None
        Height and width of an image; square if None.
    most : int
        Number of units to show, from the first.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where the inputs are no image of that shape, and for weights that are not finite.
    TypeError
        For arguments of another kind.
    """
    _check_network(net)
    most = integer("most", most, 1)
    W = net.params["W1"]
    n_inputs, n_units = W.shape
    if shape is None:
        side = math.isqrt(n_inputs)
        if side * side != n_inputs:
            raise ValueError(f"{n_inputs} inputs are no square image: shape must say its height and width")
        shape = side, side
    if not isinstance(shape, Sequence) or not all(isinstance(side, (int, np.integer)) for side in shape):
        raise TypeError(f"shape must be height and width, two integers, got {shown(shape)}")
    if len(shape) != 2 or min(shape) < 1 or math.prod(shape) != n_inputs:
        raise ValueError(f"shape must be height and width of {n_inputs} inputs, got {shape!r}")
    if not np.isfinite(W).all():
        raise ValueError("the weights of the first layer are not all finite")
    n_shown = min(n_units, most)
    columns = math.ceil(math.sqrt(n_shown))
    rows = -(-n_shown // columns)
    limit = float(np.abs(W[:, :n_shown]).max()) or 1.0
    figure = _figure(0.8 * columns + 1.0, max(1.6, 0.8 * rows * shape[0] / shape[1]))
    grid = figure.subplots(rows, columns, squeeze=False)
    for unit, axes in enumerate(grid.ravel()):
        axes.set_axis_off()
        if unit < n_shown:
            image = axes.imshow(W[:, unit].reshape(shape), cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.colorbar(image, ax=grid, label="weight")
    return figure


def _check_network(net: Any) -> None:
    if not isinstance(net, Network):
        raise TypeError(f"net must be a network, got {shown(net)}")


def _figure(width: float, height: float, layout: Any = "compressed") -> Figure:
    """An empty Figure of that size in inches; "compressed" is the layout for images, which keep their proportions."""
    import_extra("matplotlib.figure", "plot")
    from fastbp.views._picture import Picture

    return Picture(figsize=(width, height), layout=layout)


def _curve(axes: Any, values: Sequence[float], label: str, **style: Any) -> None:
    axes.plot(range(1, len(values) + 1), values, label=label, marker="." if len(values) < 30 else None, **style)
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
