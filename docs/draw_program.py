"""A program as a picture: the rows that ``net.program`` lists, and arrows from who writes an array to who reads it."""

import re
from html import escape

LINE, FIELD = 13, 11  # sizes of letters
CHARACTER = 0.61  # width of a letter of a monospace font over its size
ROW, HEIGHT, GAP, EDGE = 62, 36, 6, 10  # from row to row; of a box; between boxes; around all
WRITES = "y", "dx"  # the operands that an instruction writes, in the picture's programs
COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"


def rows_of(text: str) -> list[tuple[str, dict[str, str]]]:
    """The instructions of a listing, each with its operands by their names."""
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    return [(name, dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", operands))) for name, operands in lines]


def arrows_of(rows: list[tuple[str, dict[str, str]]]) -> list[tuple[str, tuple[int, str], tuple[int, str]]]:
    """What is written by one row and read by another: its name, and row and operand there and here."""
    written: dict[str, tuple[int, str]] = {}
    arrows = []
    for n, (_, operands) in enumerate(rows):
        arrows += [
            (value, written[value], (n, field))
            for field, value in operands.items()
            if field not in WRITES and value in written
        ]
        written |= {operands[field]: (n, field) for field in WRITES if field in operands}
    return arrows


def picture(text: str) -> str:
    """The listing of a program as an SVG."""
    rows = rows_of(text)
    arrows = arrows_of(rows)
    colours = dict(zip(dict.fromkeys(name for name, _, _ in arrows), COLOURS, strict=False))
    first = EDGE + max(len(name) for name, _ in rows) * LINE * CHARACTER + 12
    boxes, shapes = {}, []
    for n, (name, operands) in enumerate(rows):
        x, y = first, EDGE + n * ROW
        shapes.append(_text(EDGE, y + 23, name, LINE, "#222", "start"))
        for field, value in operands.items():
            width = max(len(field) * FIELD, len(value) * FIELD) * CHARACTER + 10
            boxes[n, field] = x + width / 2, y
            colour = colours.get(value, "#bbb")
            at = f'x="{x:.0f}" y="{y}" width="{width:.0f}" height="{HEIGHT}" rx="3"'
            shapes.append(f'<rect {at} fill="#fff" stroke="{colour}"/>')
            shapes.append(_text(x + width / 2, y + 14, field, FIELD, "#777"))
            shapes.append(_text(x + width / 2, y + 29, value, FIELD, "#222"))
            x += width + GAP
        boxes[n, ""] = x, y  # where the row ends
    lines = [_arrow(boxes[begin], boxes[end], colours.get(name, "#666")) for name, begin, end in arrows]
    width, height = max(x for x, _ in boxes.values()) + EDGE, (len(rows) - 1) * ROW + HEIGHT + 2 * EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="monospace" role="img" aria-label="{escape(text)}">\n'
        + "\n".join([*lines, *shapes])  # arrows pass behind boxes
        + "\n</svg>"
    )


def _arrow(begin: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    """From the bottom of the box at ``begin`` to the top of that at ``end``."""
    (x0, y0), (x1, y1) = begin, end
    y0 += HEIGHT
    bend = min(40, (y1 - y0) / 2)
    line = f"M{x0:.0f} {y0} C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - 6 - bend:.0f} {x1:.0f} {y1 - 6}"
    head = f"M{x1 - 4:.0f} {y1 - 7} h8 l-4 6z"
    return f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.4"/><path d="{head}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, size: int, colour: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
