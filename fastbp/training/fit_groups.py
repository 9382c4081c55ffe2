"""``fastbp.fit_groups``: one network for each group of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _progress
from fastbp.network import Network
from fastbp.training._ranks import Alone, on_all_ranks
from fastbp.training.fit_many import DEFAULTS, fit_named
from fastbp.training.history import History


class Groups(Mapping[Any, Network]):
    """The network of each group, by the group's label; what ``fit_groups`` returns.

    Attributes
    ----------
    histories : dict of History
        What became of each, by the same labels; with ``errors="keep"`` also FloatingPointErrors.
    """

    def __init__(self, nets: dict[Any, Network], histories: dict[Any, History]) -> None:
        self._nets, self.histories = nets, histories

    def __getitem__(self, label: Any) -> Network:
        """The network of a group; KeyError where there is none."""
        return self._nets[label]

    def __iter__(self) -> Iterator[Any]:
        """The labels, sorted if they can be."""
        return iter(self._nets)

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._nets)

    def __repr__(self) -> str:
        return f"<{len(self)} networks by group: {_arguments.shown(list(self))}>"

    def predict(self, x: ArrayLike, groups: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of samples ``x`` (N, ...), each by the network of its group, ``groups`` (N,).

        Raises
        ------
        ValueError
            For a group that has no network, and where the groups' networks have different numbers of outputs.
        """
        x = _check.as_real("x", x)
        if not x.ndim or not len(x):
            raise ValueError(f"x must hold at least one sample, got shape {x.shape}")
        labels, rows = _by_group(groups, len(x))
        for label, own in zip(labels, rows, strict=True):
            if label not in self._nets:
                raise ValueError(f"groups[{own[0]}] is {label!r}, a group that has no network")
        nets = [self._nets[label] for label in labels]
        if len({net.n_outputs for net in nets}) > 1:
            raise ValueError("the networks of these groups have different numbers of outputs: ask each by itself")
        scores = np.empty((len(x), nets[0].n_outputs), np.result_type(*{net.dtype for net in nets}))
        for net, own in zip(nets, rows, strict=True):
            scores[own] = net.predict(x[own])
        return scores


@_progress.told_if(lambda *args, progress=True, comm=None, **others: progress and getattr(comm, "rank", 0) == 0)
@on_all_ranks
def fit_groups(
    make_net: Callable[[Any], Network],
    x: ArrayLike,
    t: ArrayLike,
    groups: ArrayLike,
    *,
    comm: Any = None,
    **options: Any,
) -> Groups:
    """Train one network for each group of samples: one per shop, customer, machine.

    Each gets the same bits as by ``net.fit(x[rows], t[rows], ..., threads=1)`` with the rows of its group, in their
    order.

    Parameters
    ----------
    make_net : function
        Called with a group's label, returns its network: ``lambda label: fastbp.mlp([8, 16, 1], loss="mse", seed=0)``.
    x, t : arrays
        Samples and targets, as ``fit`` takes them.
    groups : (N,) array
        The label of each sample's group: numbers, text, or whatever can be a key of a dict.
    comm : mpi4py communicator or None
        Deal the groups out to its ranks, as ``fit_many`` deals out networks. All pass the same samples and groups, and
        ``make_net`` has to make the same networks on all, so with a seed.
    **options
        As ``fit_many`` takes them, but for ``rows``. What may differ from network to network is one for all, or a dict
        by label that has all groups.

    Returns
    -------
    nets : Groups
        Like a dict, from label to network, in the order of the sorted labels; ``nets.histories`` likewise.

    Raises
    ------
    ValueError, TypeError, FloatingPointError, RuntimeError
        As ``fit_many`` does, naming the group; and ValueError for a label that is missing.

    Examples
    --------
    >>> x, t = np.random.rand(60, 4), np.random.rand(60, 1)
    >>> shops = np.repeat(["north", "south", "west"], 20)
    >>> nets = fit_groups(lambda shop: mlp([4, 8, 1], loss="mse"), x, t, shops, epochs=2)
    >>> list(nets)
    ['north', 'south', 'west']
    """
    if not callable(make_net):
        hint = " (lambda group: net would train the same one for all)" if isinstance(make_net, Network) else ""
        shown = _arguments.shown(make_net)
        raise TypeError(f"make_net must be a function that returns a new network{hint}, got {shown}")
    progress = options.pop("progress", True)
    unknown = [name for name in options if name not in DEFAULTS]
    if unknown or "rows" in options:
        name = unknown[0] if unknown else "rows"
        raise TypeError(f"fit_groups takes the options of fit_many but for rows, got {name}")
    _arguments.flag("progress", progress)  # told_if goes by it
    ranks: Alone = comm  # which on_all_ranks has made of it
    labels, rows = _by_group(groups, len(_check.as_array("x", x)) if np.ndim(x) else 0)
    ranks.agree(lambda: {"list of groups": labels})
    chosen = {name: _of_labels(name, options.get(name, default), labels) for name, default in DEFAULTS.items()}
    nets = [make_net(label) for label in labels]
    chosen |= {"rows": rows, "comm": ranks}
    histories = fit_named(nets, lambda k: f"the network of group {labels[k]!r}", x, t, **chosen)
    return Groups(dict(zip(labels, nets, strict=True)), dict(zip(labels, histories, strict=True)))


def _of_labels(name: str, value: Any, labels: list[Any]) -> Any:
    """``value``, of a dict by labels those of all groups."""
    if not isinstance(value, Mapping):
        return value
    missing = [label for label in labels if label not in value]
    if missing:
        raise ValueError(f"{name} must have all groups, it lacks {_arguments.shown(missing[0])}")
    return [value[label] for label in labels]


def _by_group(groups: Any, n_samples: int) -> tuple[list[Any], list[np.ndarray]]:
    """The labels of the groups, sorted if they can be, and of each the numbers of its samples."""
    array = _check.as_array("groups", groups)
    if array.shape != (n_samples,):
        raise ValueError(f"groups must hold one label for each of the {n_samples} samples, got shape {array.shape}")
    if array.dtype == object:
        missing = np.array([label is None or label != label for label in array], bool)
    else:
        missing = array != array  # as NaN and NaT alone are
    if np.any(missing):
        raise ValueError(f"groups[{int(np.argmax(missing))}] is missing: leave such samples out, or name their group")
    try:
        found, numbers = np.unique(array, return_inverse=True)
        labels = list(found) if array.dtype.kind in "mM" else found.tolist()
    except TypeError:  # labels of different types
        places: dict[Any, int] = {}
        numbers = np.array([places.setdefault(label, len(places)) for label in array], np.intp)
        labels = list(places)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(1, len(labels)))
    return labels, np.split(order, bounds)
