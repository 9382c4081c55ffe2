"""Batches with fewer samples than a layer learns something from."""

from fastbp._binding import Binding
from fastbp.basics._warn import warn


def tell_of_few(binding: Binding, n_samples: int, batch_size: int) -> None:
    """Warn where a batch of each epoch has fewer samples than a layer of the network expects."""
    which = "batches have" if n_samples % batch_size == 0 else "the last batch of an epoch has"
    of = f"({n_samples} in all, batch_size={batch_size})"
    fewest = n_samples % batch_size or batch_size
    _tell(binding, fewest, f"{which} {fewest} {of}", n_samples)


def tell_of_a_step(binding: Binding, rows: int) -> None:
    """Warn where a batch of so many samples, the only one of a step, has fewer than a layer expects."""
    _tell(binding, rows, f"this step's has {rows}")


def _tell(binding: Binding, rows: int, found: str, n_samples: int = 0) -> None:
    """Warn of a batch of so many ``rows``, out of ``n_samples`` that might be cut otherwise."""
    for name, least in binding.least_rows.items():
        if rows < least:
            way_out = ". Another batch_size leaves no such batch" if n_samples >= least else ""
            warn(
                f"{name} expects at least {least} samples a batch, but {found}: what it keeps for predictions will be "
                f"wrong{way_out}",
                RuntimeWarning,
            )
