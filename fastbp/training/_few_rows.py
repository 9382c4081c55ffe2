"""Batches with fewer samples than a layer learns something from."""

from fastbp._binding import Binding
from fastbp.basics._warn import warn


def tell_of_few(binding: Binding, n_samples: int, batch_size: int) -> None:
    """Warn where a batch of each epoch has fewer samples than a layer of the network expects."""
    fewest = n_samples % batch_size or batch_size
    for name, least in binding.least_rows.items():
        if least <= fewest:
            continue
        which = "batches have" if n_samples % batch_size == 0 else "the last batch of an epoch has"
        way_out = ". Another batch_size leaves no such batch" if n_samples >= least else ""
        warn(
            f"{name} expects at least {least} samples a batch, but {which} {fewest} ({n_samples} in all, batch_size="
            f"{batch_size}): what it keeps for predictions will be wrong{way_out}",
            RuntimeWarning,
        )
