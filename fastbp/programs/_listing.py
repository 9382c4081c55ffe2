"""A program in words: its instructions, and what stands at the addresses that they name."""

from __future__ import annotations

from typing import Any

from fastbp.kernels.gemm import LINEAR, NOTHING, RELU
from fastbp.kernels.plan import NO_WORK, PACKED_TILES, TILES, Plan
from fastbp.programs._lowering import Lowering

WAYS = {NO_WORK: "nothing", TILES: "tiles", PACKED_TILES: "tiles,packed"}


def listing(p: Lowering, names: dict[int, str]) -> str:
    """The last program that was written into ``p``, a line an instruction: its name, and its operands by theirs.

    ``names`` says what stands at which address; those that are not in it are given as numbers.
    """
    lines = [_line(instruction, names) for instruction in p.instructions]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {operands}" for name, operands in lines)


def _line(instruction: Any, names: dict[int, str]) -> tuple[str, str]:
    kinds = type(instruction).__annotations__
    said = []
    for field, value in instruction._asdict().items():
        if field == "function":
            value = {LINEAR: "none", RELU: "relu"}.get(value) or names.get(value, value)
        elif kinds[field] is not float and value != NOTHING:
            value = names.get(value, value)
        said.append(f"{field}={value:g}" if isinstance(value, float) else f"{field}={value}")
    return type(instruction).__name__, " ".join(said)


def plan_in_words(plan: Plan) -> str:
    """Rows and columns of a product, its depth, and how it is computed."""
    ahead = f",ahead={plan.k_ahead}" if plan.k_ahead else ""
    return f"{plan.rows}x{plan.columns}x{plan.depth}:{WAYS.get(plan.way) or _blocks(plan)}{ahead}"


def _blocks(plan: Plan) -> str:
    said = [f"blocks={plan.block_k}x{plan.block_n}", f"parts={plan.by_rows}x{plan.by_columns}"]
    if plan.turns_a:
        said.append("turned")
    if plan.packs_b:
        said.append("packed")
    if plan.thin:
        said.append(f"thin={plan.thin}")
    return ",".join(said)
