"""Many networks on several ranks: which rank trains which, and what has to be the same on all."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from fastbp.kernels._jit import kind
from fastbp.training._jobs import Job
from fastbp.training._shards import of_network


def dealt(works: Sequence[float], n_ranks: int) -> list[int]:
    """For each of these pieces of work its rank: the longest first, each to that with the least so far."""
    owners = [0] * len(works)
    loads = [(0.0, rank) for rank in range(n_ranks)]
    for k in sorted(range(len(works)), key=lambda k: -works[k]):
        load, rank = loads[0]
        owners[k] = rank
        heapq.heapreplace(loads, (load + works[k], rank))
    return owners


def alike(jobs: list[Job]) -> dict[str, Any]:
    """What has to be the same on all ranks."""
    networks = [of_network(job.binding) for job in jobs]
    data, held = [job.data for job in jobs], [job.validation for job in jobs if job.validation is not None]
    return {
        "list of networks": len(jobs),
        **{name: [network[name] for network in networks] for name in (networks[0] if networks else ())},
        "scale": [part.samples.scale for part in data],
        "x": [part.samples.array for part in data],
        "t": [part.targets for part in data],
        "sample_weight": [part.weights for part in data],
        "list of rows": [part.rows for part in data],
        "validation part": [
            [job.validation is None for job in jobs],
            [part.samples.array for part in held],
            [part.targets for part in held],
            [part.rows for part in held],
        ],
        "list of optimizers": [job.optimizer.settings() for job in jobs],
        "list of epochs": [job.epochs for job in jobs],
        "list of batch_sizes": [job.batch_size for job in jobs],
        "list of seeds": [job.seed for job in jobs],
        "list of shuffle": [job.shuffle for job in jobs],
        "list of clip_norm": [job.clip_norm for job in jobs],
        "list of patience": [job.patience for job in jobs],
        "list of max_steps": [job.max_steps for job in jobs],
        "list of states to resume": [None if job.resume is None else vars(job.resume) for job in jobs],
        "machine code": kind(),
    }
