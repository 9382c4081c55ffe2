"""What a network is made of, as a table: for the terminal and for notebooks."""

from __future__ import annotations

from fastbp.network import Network
from fastbp.views import _html

HEAD = ("layer", "parameters", "number")


def text(net: Network) -> str:
    rows = [HEAD, *_rows(net)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def html(net: Network) -> str:
    return _html.table(HEAD, _rows(net), type(net).__name__)


def _rows(net: Network) -> list[tuple[str, str, str]]:
    """Name, shapes and number of the parameters of each layer, and of all together."""
    parameters = net.params.values()
    rows = [] if net.scale == 1 else [("scale", f"{net.scale:.6g}", "0")]
    for name, layer in net.layers.items():
        arrays = [a for a in (getattr(layer, name) for name in layer.parameters) if a is not None]
        shapes = " + ".join(str(a.shape) for a in arrays)
        rows.append((name, shapes or "-", f"{sum(a.size for a in arrays):,}"))
    rows.append((type(net.loss_layer).__name__, "-", "0"))
    return [*rows, ("total", str(net.dtype), f"{sum(a.size for a in parameters):,}")]
