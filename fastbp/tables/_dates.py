"""Dates in a column of text, and the numbers that a network takes for one."""

import datetime
import re
from collections.abc import Iterable

import numpy as np

PARTS = ("year", "month", "day of week")  # inputs that a date gives; Monday is day 0
ORDERS = ("ymd", "dmy", "mdy")
DATE = re.compile(r"(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})(?:[T ]\d{1,2}:\d{2}\S*(?: ?\S*)?)?")


def orders_of(entries: Iterable[str]) -> list[str]:
    """The orders of year, month and day in which all ``entries`` are dates; none where one is no date in any."""
    entries = set(entries)
    orders = [order for order in ORDERS if entries]
    for entry in entries:
        orders = [order for order in orders if date(entry, order) is not None]
        if not orders:
            break
    return orders


def date(entry: str, order: str) -> datetime.date | None:
    """``entry`` as a date, its time of day left out; None where it is none. Dots stand in none but dmy and ymd."""
    found = DATE.fullmatch(entry)
    if found is None or (found[2] == "." and order == "mdy"):
        return None
    part = dict(zip(order, (found[1], found[3], found[4]), strict=True))
    if len(part["y"]) != 4:
        return None
    try:
        return datetime.date(int(part["y"]), int(part["m"]), int(part["d"]))
    except ValueError:
        return None


def numbers_of(entries: np.ndarray, order: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The ``PARTS`` of dates (N,) in float64, NaN where there is none; and which entries are no dates."""
    dates = {entry: date(entry, order) for entry in set(entries) if entry is not None}
    parts = {None: (np.nan,) * 3} | {
        entry: (np.nan,) * 3 if day is None else (day.year, day.month, day.weekday()) for entry, day in dates.items()
    }
    numbers = np.array([parts[entry] for entry in entries], np.float64).reshape(-1, len(PARTS))
    strange = np.array([entry is not None and dates[entry] is None for entry in entries], bool)
    return dict(zip(PARTS, numbers.T, strict=True)), strange
