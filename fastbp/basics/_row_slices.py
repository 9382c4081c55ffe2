"""Some rows at a time, so that what is made of some of them stays small beside all."""

from collections.abc import Iterator

ROWS_AT_A_TIME = 4096


def row_slices(n: int, rows: int = ROWS_AT_A_TIME) -> Iterator[slice]:
    """Slices of 0..n-1, one after the other, of so many ``rows`` but the last."""
    return (slice(begin, min(begin + rows, n)) for begin in range(0, n, rows))
