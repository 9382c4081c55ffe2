"""The numbers of this machine: a row of ``kernels.machine``, fitted to caches and cores, and what was measured on it.

Compiled code reads them from ``words()``, which teams point to; programs are written by ``numbers()``.
"""

import os

import numpy as np

from fastbp.basics import _cpu, _tuned
from fastbp.kernels.isa import ISA
from fastbp.kernels.machine import Machine, Row, fitted, nearest

OF_ROW, OF_SIZES = "row", "sizes"


class _Used:
    """What this process goes by, found out at the first question.

    Attributes
    ----------
    row : of the table
    untuned, numbers : as if nothing had been measured on this machine, and as they are used
    sources : of each number by name: OF_ROW, OF_SIZES or the day on which it was tuned
    words : the numbers, as compiled code reads them; they live as long as the process
    """

    def __init__(self) -> None:
        cpu, tuned = _cpu.this(), _tuned.load()
        self.row = nearest(ISA.name, cpu.vendor, cpu.family, cpu.caches)
        self.untuned = fitted(self.row, cpu.caches, os.cpu_count() or 1)
        own = self.row.numbers._asdict()
        self.sources = {
            name: OF_ROW if own[name] == value else OF_SIZES for name, value in self.untuned._asdict().items()
        }
        self.numbers = self.untuned
        if tuned:
            self.numbers = self.untuned._replace(**tuned.numbers)
            self.sources |= dict.fromkeys(tuned.numbers, tuned.date)
        self.words = np.array(self.numbers, np.int64)


_made: dict[str, _Used] = {}


def _used() -> _Used:
    try:
        return _made["used"]
    except KeyError:
        return _made.setdefault("used", _Used())  # one for all threads, if they come at once


def row() -> Row:
    """The row of the table that this machine has."""
    return _used().row


def sources() -> dict[str, str]:
    """Where each number comes from: OF_ROW, OF_SIZES or the day on which it was tuned."""
    return _used().sources


def untuned() -> Machine:
    """The numbers as if nothing had been measured on this machine."""
    return _used().untuned


def numbers() -> Machine:
    """The numbers that programs are to be written by."""
    return _used().numbers


def words() -> np.ndarray:
    """The numbers in their order, int64, for teams to point to."""
    return _used().words


def use(numbers: Machine) -> None:
    """Go by these numbers from now on, in all threads; programs that are written already stay as they are."""
    for name, value in numbers._asdict().items():
        if not _tuned.is_allowed(name, value):
            raise ValueError(f"{name} cannot be {value!r}")
    used = _used()
    used.numbers = numbers
    used.words[:] = numbers
