"""A model of how training speeds up with nodes that a network joins, from parts that are measured on one core.

Assumptions:

- A node has CORES cores, which compute as fast as EFFICIENCY times as many of the one measured: the gradient of
  rows, on the line through two measured numbers of them, and the update, which every node does in full.
- A node has its share of the batch, and the step waits for the one with the most: with rows drawn at random, of P
  nodes with b each on average, about b + sqrt(2 b ln P).
- The exchange is what ``fit(comm=)`` does: each node sends all others a piece of its gradient, adds up what it
  receives, and sends the sum back. Of G bytes, it sends and receives 2 G (P - 1) / P, all at once at the full bandwidth
  of its link, the switch being none's limit; a message costs its sender SENDING besides, and the last is on its way for
  LATENCY. To add up G bytes takes what copying them takes at MEMORY. The meeting before it takes log2 P latencies.
- Nothing of the exchange goes on while a node computes, as it does not in ``fit``.

``python -m fastbp.bench.growth_by_ranks [PICTURE]`` prints the speed-ups it comes to, and draws them.
"""

import sys
import time
from dataclasses import dataclass
from math import ceil, log, log2, sqrt

import numpy as np

from .networks import Perceptron
from .ranks import NETWORKS, programs_of

NODES, GIGABITS = (2, 8, 64, 1024), (10, 25, 100)
CORES, EFFICIENCY = 16, 0.8
LATENCY, SENDING = 2e-5, 1e-6  # seconds; of TCP over Ethernet, and of a message's sender
MEMORY = 1e10  # bytes a second
REPEATS = 9


@dataclass(frozen=True)
class Node:
    """What a node does by itself: seconds of a gradient without rows and of each row, of an update; gradient bytes."""

    start: float
    row: float
    update: float
    gradient_bytes: int

    def alone(self, rows: float) -> float:
        """Seconds of a step without others."""
        return self.start + self.row * rows + self.update

    def among(self, nodes: int, rows: float, gigabits: float) -> float:
        """Seconds of a step of several, with ``rows`` each on average."""
        most = min(rows + sqrt(2 * rows * log(nodes)), rows * nodes)
        sent = 2 * self.gradient_bytes * (nodes - 1) / nodes / (gigabits / 8 * 1e9)
        messages = 2 * (LATENCY + (nodes - 1) * SENDING) + ceil(log2(nodes)) * LATENCY
        return self.alone(most) + sent + messages + self.gradient_bytes / MEMORY

    def speed_up(self, nodes: int, batch: int, gigabits: float, grows: bool) -> float:
        """Samples a second, by those of one: of one batch for all, or of one for each where it ``grows``."""
        rows = batch if grows else batch / nodes
        return nodes * rows / self.among(nodes, rows, gigabits) / (batch / self.alone(batch))


def _least_seconds(call, *arguments) -> float:
    times = []
    call(*arguments)
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call(*arguments)
        times.append(time.perf_counter() - begin)
    return min(times)


def node_of(network: Perceptron) -> Node:
    """Measure on this core, and reckon with all of a node's."""
    x, t = network.data()
    gradient, update = programs_of(network, x, t, network.batch)
    rows = np.arange(network.batch)
    few, many = network.batch // 4, network.batch
    least = [_least_seconds(gradient.share, rows[:n], network.batch, 0, 0) for n in (few, many)]
    row = (least[1] - least[0]) / (many - few)
    updating = _least_seconds(update.run, rows[:1], 0, np.zeros(1), np.zeros(1))
    faster = CORES * EFFICIENCY
    return Node(max(0.0, least[1] - many * row) / faster, row / faster, updating / faster, gradient.gradients.nbytes)


def draw(path: str, nodes: dict[Perceptron, Node]) -> None:
    """Draw samples a second over nodes, a panel for each network and way."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    places = np.unique(np.round(np.logspace(1, 10, 46, base=2)).astype(int))
    for line, (network, node) in zip(figure.subplots(2, 2, sharex=True, sharey=True), nodes.items(), strict=True):
        for axes, grows in zip(line, (False, True), strict=True):
            axes.plot(places, places, color="#555555", linestyle=":", label="as many times as nodes")
            for gigabits, colour in zip(GIGABITS, ("#D55E00", "#0072B2", "#009E73"), strict=True):
                y = [node.speed_up(int(n), network.batch, gigabits, grows) for n in places]
                axes.plot(places, y, color=colour, label=f"{gigabits} Gbit/s")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.axhline(1, color="#999999", linewidth=0.8)
            batch = f"{network.batch} rows {'for each node' if grows else 'in all'}"
            axes.set_title(f"{'-'.join(map(str, network.sizes))}, {batch}", fontsize=10)
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.set_ylabel("times the samples a second of one node")
            axes.set_xlabel("nodes")
            axes.legend(frameon=False, fontsize=8)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ranks"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Print a line for each network, batch and bandwidth."""
    nodes = {network: node_of(network) for network in NETWORKS}
    print(f"times the samples a second of one node of {CORES} cores{'':31}{''.join(f'{n:>8}' for n in NODES)}")
    for network, node in nodes.items():
        for grows in (False, True):
            for gigabits in GIGABITS:
                words = f"{'-'.join(map(str, network.sizes))}, {network.batch} {'each' if grows else 'in all'}"
                numbers = "".join(f"{node.speed_up(n, network.batch, gigabits, grows):8.2f}" for n in NODES)
                print(f"{words:56}{gigabits:>6} Gbit/s    {numbers}")
    if sys.argv[1:]:
        draw(sys.argv[1], nodes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
