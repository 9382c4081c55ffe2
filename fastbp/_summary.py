"""What a network is made of, as a table: for the terminal and for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbp import _html

if TYPE_CHECKING:
    from fastbp.sequential import Sequential

HEAD = ("layer", "parameters", "number")


def text(net: Sequential) -> str:
    rows = [HEAD, *_rows(net)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def html(net: Sequential) -> str:
    return _html.table(HEAD, _rows(net), type(net).__name__)


def _rows(net: Sequential) -> list[tuple[str, str, str]]:
    """Name, shapes and number of the parameters of each layer, and of all together."""
    parameters = net._bound()
    rows = [] if net.scale == 1 else [("scale", f"{net.scale:.6g}", "0")]
    for name, layer in net.layers.items():
        arrays = [a for a in (getattr(layer, "W", None), getattr(layer, "b", None)) if a is not None]
        shapes = " + ".join(str(a.shape) for a in arrays)
        rows.append((name, shapes or "-", f"{sum(a.size for a in arrays):,}"))
    rows.append((type(net.lastLayer).__name__, "-", "0"))
    return [*rows, ("total", str(parameters.dtype), f"{parameters.size:,}")]
