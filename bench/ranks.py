"""What a training step takes of two processes with a thread each, beside PyTorch's, and its parts.

``mpiexec -n 2 python -m fastbp.bench.ranks`` prints what it comes to. Both libraries train in the same
processes, in turns, on rows of one global batch: fastbp by ``fit(comm=)``, which draws them from shards, and so has a
few more on one rank than on the other; PyTorch by DistributedDataParallel with gloo, on a half of the batch each that
is chosen already. Each rank is on a core of its own.
"""

import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastbp
from fastbp.programs._feed import Rows
from fastbp.programs._program import Program, Update
from fastbp.training._dense_rows import DenseRows
from fastbp.training._ranks import Ranks

from .networks import Perceptron
from .peers.fastbp.networks import net_of
from .peers.torch import build

NETWORKS = Perceptron((784, 512, 512, 10), 256), Perceptron((1024, 1024, 1024, 1024), 1024)
BATCHES, TURNS, SECONDS, LEAST_EPOCHS = 8, 5, 0.5, 3  # in an epoch; of each library; of a turn, about
CALLS = 31  # of a part
APART, SEEDS, EPOCHS = (1, 4, 16, 64), 10, 20


@dataclass(frozen=True)
class Step:
    """Seconds of steps of one rank alone, of all ranks, and of PyTorch's ranks, and of a step's parts.

    ``gradient`` is that of a rank's share of the batch, ``update`` the optimizer's, ``exchange`` the sum over ranks.
    """

    alone: list[float]
    ranks: list[float]
    torch: list[float]
    gradient: float
    update: float
    exchange: float

    def lines(self, name: str) -> str:
        """What the benchmark prints."""
        found = [
            (words, of(self.alone), of(self.ranks), of(self.torch))
            for words, of in (("median", statistics.median), ("least", min))
        ]
        times = [
            f"    {words:6}  one rank {1e3 * alone:7.2f} ms, all {1e3 * ranks:7.2f} ms ({alone / ranks:.2f}x), "
            f"torch DDP {1e3 * torch:7.2f} ms ({torch / ranks:.2f}x)"
            for words, alone, ranks, torch in found
        ]
        share = self.exchange / statistics.median(self.ranks)
        parts = (
            f"    parts   gradient {1e3 * self.gradient:.2f} ms, exchange {1e3 * self.exchange:.2f} ms, "
            f"update {1e3 * self.update:.2f} ms; the exchange is {share:.1%} of a step"
        )
        return "\n".join([name, *times, parts])


def programs_of(network: Perceptron, x: np.ndarray, t: np.ndarray, rows: int) -> tuple[Program, Program]:
    """The gradient of a share of at most so many ``rows``, and the update by it, as each rank runs them."""
    binding, rule = net_of(network)._binding(), fastbp.optimizers.SGD(lr=network.rate)
    feed = Rows(DenseRows("x", x, 1.0), t, x[:0, 0], sliceable=False)
    gradient = Program(binding, feed, binding.loss, None, rows)
    states = rule.new_states(binding.vector.size, binding.vector.dtype)
    return gradient, Program(binding, None, None, Update(rule, *states), gradients=gradient.gradients)


def _of_fit(network: Perceptron, x: np.ndarray, t: np.ndarray, comm: Any) -> list[float]:
    """Seconds of a step of ``fit``, epoch by epoch.

    As many epochs as a first run says, rather than a callback that ends it: after callbacks, ranks compare parameters.
    One sample to validate with has each epoch timed by itself.
    """

    def seconds(epochs: int) -> list[float]:
        history = net_of(network).fit(
            x,
            t,
            epochs=epochs,
            batch_size=network.batch,
            optimizer=fastbp.optimizers.SGD(lr=network.rate),
            seed=0,
            threads=1,
            comm=comm,
            validation_data=(x[:1], t[:1]),
            progress=False,
        )
        return history.seconds[1:]  # of the same length on all ranks

    epochs = max(LEAST_EPOCHS, round(SECONDS / min(seconds(2))))
    return [one / BATCHES for one in seconds(epochs)]


def _of_parts(network: Perceptron, x: np.ndarray, t: np.ndarray, comm: Any) -> tuple[float, float, float]:
    """Seconds of the gradient of a rank's share, of the update and of the exchange, each again and again."""
    ranks, share = Ranks(comm), network.batch // comm.size
    gradient, update = programs_of(network, x, t, share)
    rows, rate, loss = np.arange(share), np.full(1, network.rate), np.zeros(1)

    def exchange() -> None:
        ranks.numbers(0.0)
        ranks.add_up(gradient.gradients)

    return (
        _repeated(lambda: gradient.share(rows, network.batch, 0, 0), comm),
        _repeated(lambda: update.run(np.zeros(1, np.int64), 0, rate, loss), comm),
        _repeated(exchange, comm),
    )


def _repeated(call: Callable[[], object], comm: Any) -> float:
    """The median of the seconds that calls take, as many on each rank."""
    times = []
    for _ in range(CALLS):
        comm.Barrier()
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _of_torch(network: Perceptron, comm: Any) -> list[float]:
    """Seconds of a step of DistributedDataParallel, on a part of the batch that is chosen already."""
    import torch

    torch.set_num_threads(1)
    net, optimizer, measure = build(network)
    net = torch.nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
    x, t = (torch.from_numpy(part[comm.rank :: comm.size].copy()) for part in network.data())
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while comm.bcast(len(times) <= LEAST_EPOCHS or time.perf_counter() < end):
        begin = time.perf_counter()
        for _ in range(BATCHES):
            optimizer.zero_grad()
            measure(net(x), t).backward()
            optimizer.step()
        times.append(time.perf_counter() - begin)
    return [seconds / BATCHES for seconds in times[1:]]


def step_of(network: Perceptron, comm: Any) -> Step:
    """Measure a network, on all ranks; the times are the first rank's."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCHES * network.batch, network.sizes[0]), np.float32)
    t = rng.integers(0, network.sizes[-1], len(x))
    shard = slice(len(x) * comm.rank // comm.size, len(x) * (comm.rank + 1) // comm.size)
    alone: list[float] = []
    ranks: list[float] = []
    torch: list[float] = []
    for _ in range(TURNS):
        if comm.rank == 0:
            alone += _of_fit(network, x, t, None)
        _wait(comm)
        ranks += _of_fit(network, x[shard], t[shard], comm)
        torch += _of_torch(network, comm)
    parts = _of_parts(network, x[shard], t[shard], comm)
    return Step(alone or [0.0], ranks, torch, *parts)


def accuracy_apart(comm: Any, sync_every: int) -> list[float]:
    """Test accuracies on digits, by seed, of ranks that do so many steps each before they go on from the mean."""
    digits, found = fastbp.datasets.digits(), []
    n = len(digits.x_train)
    own = slice(n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size)
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(n)[own]  # the digits come writer by writer
        net = fastbp.mlp([64, 50, 10], seed=seed)
        net.fit(
            digits.x_train[order],
            digits.t_train[order],
            scale=digits.scale,
            epochs=EPOCHS,
            batch_size=32,
            optimizer=fastbp.optimizers.SGD(lr=0.5),
            seed=seed,
            threads=1,
            comm=comm,
            sync_every=sync_every,
            progress=False,
        )
        found.append(net.accuracy(digits.x_test, digits.t_test))
    return found


def _wait(comm: Any) -> None:
    """For all others, without keeping a core busy meanwhile."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(1e-3)


def main() -> int:
    """Print three lines for each network, and one for each number of steps apart."""
    os.environ["OMP_NUM_THREADS"] = "1"  # which peers go by
    import torch
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[comm.rank % len(cores)]})
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = comm.bcast(free.getsockname()[1])
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=comm.rank, world_size=comm.size
    )
    if comm.rank == 0:
        print(f"{comm.size} ranks of a thread each; {TURNS} turns each")
    for network in NETWORKS:
        step = step_of(network, comm)
        if comm.rank == 0:
            print(step.lines(network.name), flush=True)
    torch.distributed.destroy_process_group()
    for sync_every in APART:
        found = accuracy_apart(comm, sync_every)
        if comm.rank == 0:
            mean, low, high = statistics.mean(found), min(found), max(found)
            print(
                f"digits, sync_every={sync_every:<4} test accuracy {mean:.4f} ({low:.4f} to {high:.4f}), {SEEDS} seeds"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
