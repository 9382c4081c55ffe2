"""Tables for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """An HTML table; its first column stands to the left, as names do, the others to the right."""
    lines = ["<table>"]
    if caption:
        lines.append(f"<caption>{escape(caption)}</caption>")
    lines += [
        f"<thead>{_row('th', head)}</thead>",
        "<tbody>",
        *(_row("td", row) for row in rows),
        "</tbody>",
        "</table>",
    ]
    return "\n".join(lines)


def _row(cell: str, texts: Sequence[str]) -> str:
    sides = ["left"] + ["right"] * (len(texts) - 1)
    cells = (f'<{cell} style="text-align: {side}">{escape(t)}</{cell}>' for t, side in zip(texts, sides, strict=True))
    return f"<tr>{''.join(cells)}</tr>"
